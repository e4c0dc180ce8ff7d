"""What a linear system may be given as: matrices, functions and the operators of other libraries."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prdp.linalg.closures import trace
from prdp.linalg.functional import FunctionOperator, from_lineax
from prdp.linalg.layout import Layout, PairLayout
from prdp.linalg.operators import Dense, Operator, is_floating
from prdp.linalg.real_form import Pairs, hermitian_transpose, is_complex, real_form
from prdp.linalg.sparse import Sparse, from_bcoo, from_scipy


class System(NamedTuple):
    """A linear system with fields for unknowns.

    Attributes:
        operator: `A`.
        rhs: `b`, an array.
        flatten: takes a pytree of unknowns, such as a guess, and returns it as a field.
        restore: takes a field, and returns it with the structure that the right-hand side was given in.
        is_complex: whether the operator is the real form of a complex one.
    """

    operator: Operator
    rhs: Any
    flatten: Callable[[Any], Any]
    restore: Callable[[Any], Any]
    is_complex: bool = False

    def require_real(self, **options: Any) -> None:
        """Refuse options that are not defined for complex systems.

        Raises:
            ValueError: If the system is complex and an option is not `None`.
        """
        for name, value in options.items():
            if self.is_complex and value is not None:
                raise ValueError(f"{name}: allowed for real systems, and this one is complex")


def as_system(operator: Any, rhs: Any, symmetric: bool | None = None, transpose: Any = None) -> System:
    """Return the system `A u = b` for whatever `A` and `b` are given as; see `prdp.solve`.

    Complex plain inputs are returned in their real form.

    Raises:
        TypeError: If `operator` is none of the kinds that are taken.
        ValueError: If shapes do not match, or if `symmetric` or `transpose` is given where it is not taken.
    """
    if transpose is not None and not callable(transpose):
        raise ValueError(f"transpose is a {type(transpose).__name__}: allowed is a function u -> A^T u")
    if isinstance(operator, Operator):
        if symmetric is not None or transpose is not None:
            raise ValueError("symmetric and transpose: allowed for plain inputs; a prdp.Operator has its own")
        return _plain(_without_closures(operator, rhs), rhs)
    lineax = sys.modules.get("lineax")
    if lineax is not None and isinstance(operator, lineax.AbstractLinearOperator):
        unknowns = operator.in_structure()
        of_complex = is_complex((unknowns, rhs))
        declares = lineax.is_positive_semidefinite if of_complex else lineax.is_symmetric
        declared = bool(declares(operator)) if symmetric is None else symmetric
        if isinstance(unknowns, jax.ShapeDtypeStruct) and transpose is None and not of_complex:
            return _plain(replace(from_lineax(operator), symmetric=declared), rhs)
        return _of_function(operator.mv, rhs, declared, transpose)
    if transpose is not None and not callable(operator):
        raise ValueError("transpose: allowed where the operator is a function; matrices have a transpose")
    matrix = _matrix(operator, bool(symmetric))
    if matrix is not None:
        if not is_complex((matrix, rhs)):
            return _plain(matrix, rhs)
        if jnp.shape(rhs)[-1:] != matrix.shape:
            raise ValueError(
                f"rhs has shape {jnp.shape(rhs)}; it must end in the operator's shape {matrix.shape}"
            )
        halves = Pairs(stacked=False)
        return System(real_form(matrix), halves.pair(rhs), halves.pair, halves.join, True)
    if callable(operator):
        return _of_function(operator, rhs, bool(symmetric), transpose)
    raise TypeError(
        f"operator is a {type(operator).__name__}: allowed is a matrix (a JAX or NumPy array, a SciPy sparse matrix or "
        "a BCOO), a function u -> A u, a lineax operator, or a prdp.Operator such as prdp.Dense(matrix, shape)"
    )


def _plain(operator: Operator, rhs: Any) -> System:
    return System(operator, rhs, _same, _same)


def _matrix(given: Any, symmetric: bool) -> Dense | Sparse | None:
    """Return the operator of a dense or sparse matrix, and `None` for anything else."""
    if isinstance(given, jax.Array | np.ndarray):
        shape = jnp.shape(given)
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ValueError(f"the matrix has shape {shape}: allowed are square matrices, (*batch, n, n)")
        return Dense(jnp.asarray(given), (shape[-1],), symmetric)
    if hasattr(given, "tocoo"):
        return from_scipy(given, symmetric)
    sparse = sys.modules.get("jax.experimental.sparse")
    if sparse is not None and isinstance(given, sparse.BCOO):
        return from_bcoo(given, symmetric)
    return None


@dataclass(frozen=True)
class _Part:
    """A function of one of several parameters."""

    function: Callable[..., Any]
    index: int

    def __call__(self, parameters: Any, *arguments: Any) -> Any:
        return self.function(parameters[self.index], *arguments)


def _of_function(
    function: Callable[[Any], Any], given: Any, symmetric: bool, transpose: Callable[[Any], Any] | None
) -> System:
    """Return the system of a function of one unknown, an array or a pytree with the structure of `given`, the rhs."""
    numbers = Layout.of(given)
    rhs = numbers.flatten(given)
    of_complex = is_complex((rhs, jax.eval_shape(function, numbers.restore(rhs))))
    layout = PairLayout(numbers) if of_complex else numbers
    if of_complex:
        rhs = layout.flatten(given)
        transpose = None if transpose is None else hermitian_transpose(transpose)
    flatten, restore = layout.flatten, layout.restore

    def traced(function: Callable[[Any], Any], rhs: Any) -> tuple[Any, Any]:
        return trace(lambda u: flatten(function(restore(u))), rhs)

    _, arrays = traced(function, rhs)
    rhs = rhs.astype(jnp.result_type(rhs, *_reals(arrays)))
    forward, arrays = traced(function, rhs)
    parameters: tuple[Any, ...] = (arrays,)
    product, product_transposed = _Part(forward, 0), None
    if transpose is not None:
        backward, more = traced(transpose, rhs)
        parameters, product_transposed = (arrays, more), _Part(backward, 1)
    operator = FunctionOperator(
        parameters, product, rhs.shape, symmetric, transpose_function=product_transposed
    )
    return System(operator, rhs, flatten, restore, of_complex)


def _same(x: Any) -> Any:
    return x


def _reals(tree: Any) -> list[Any]:
    return [x for x in jax.tree.leaves(tree) if is_floating(x)]


def _without_closures(operator: Operator, rhs: Any) -> Operator:
    """Return the operator with the traced arrays that its function closes over among its parameters."""
    if not isinstance(operator, FunctionOperator):
        return operator
    names = ("function", "transpose_function", "diagonal_function")
    given = {name: getattr(operator, name) for name in names if getattr(operator, name) is not None}

    def traced(dtype: Any) -> dict[str, tuple[Any, Any]]:
        cast: Any = operator.astype(dtype)
        parameters = cast.parameters
        field = jax.ShapeDtypeStruct(operator.shape, dtype)
        return {
            name: trace(function, parameters, *(() if name == "diagonal_function" else (field,)))
            for name, function in given.items()
        }

    dtype = jnp.result_type(*_reals((rhs, operator)) or [float])
    closed = [arrays for _, arrays in traced(dtype).values()]
    if not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(closed)):
        return operator
    found = traced(jnp.result_type(dtype, *_reals(closed)))
    functions: dict[str, Any] = {
        name: _Hoisted(function, i) for i, (name, (function, _)) in enumerate(found.items())
    }
    parameters = operator.parameters, tuple(arrays for _, arrays in found.values())
    return replace(operator, parameters=parameters, **functions)


@dataclass(frozen=True)
class _Hoisted:
    """A traced function of `(parameters, arrays)`, where the arrays are those that the functions close over."""

    function: Callable[..., Any]
    index: int

    def __call__(self, parameters: Any, *arguments: Any) -> Any:
        parameters, arrays = parameters
        return self.function(arrays[self.index], parameters, *arguments)
