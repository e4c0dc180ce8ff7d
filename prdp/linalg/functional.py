"""Operators given by functions, and those of lineax."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.operators import Leaf, Operator, number, static


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FunctionOperator(Operator):
    """A matrix-free operator `u -> function(parameters, u)`, linear in `u`.

    The transpose is derived by `jax.linear_transpose`, the diagonal by one product per unknown (give
    `diagonal_function` where a solver asks for it often).

    Args:
        parameters: any pytree of arrays; gradients with respect to it flow through the solve.
        function: `(parameters, u) -> A u` for one system `u` of shape `shape`.
        shape: the shape of one system.
        symmetric: whether `A = A^T`.
        diagonal_function: `parameters -> diag(A)`, a field of shape `shape`.
    """

    parameters: Leaf
    function: Callable[..., Any] = static()
    shape: tuple[int, ...] = static()
    symmetric: bool = static(default=False)
    diagonal_function: Callable[..., Any] | None = static(default=None)

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, mapped over the batch axes of `u`."""
        return self._over_batch(lambda v: self.function(self.parameters, v), u)

    def transpose(self) -> "Operator":
        """Return `A^T` (itself where declared symmetric)."""
        if self.symmetric:
            return self
        return FunctionOperator(
            self.parameters,
            _Transposed(self.function, self.shape),
            self.shape,
            False,
            self.diagonal_function,
        )

    def __rmul__(self, factor: Leaf) -> "FunctionOperator":
        """Return `c A` for a number `c`."""
        diagonal = None if self.diagonal_function is None else _Multiplied(self.diagonal_function)
        parameters = (number(factor), self.parameters)
        return replace(
            self, parameters=parameters, function=_Multiplied(self.function), diagonal_function=diagonal
        )

    def diagonal(self) -> Float[Array, "..."]:
        """Return `diag(A)`."""
        if self.diagonal_function is not None:
            return self.diagonal_function(self.parameters)
        return jnp.diagonal(self.as_dense()).reshape(self.shape)

    def _over_batch(self, function: Callable[[Any], Any], u: Array) -> Array:
        for _ in range(u.ndim - self.rank):
            function = jax.vmap(function)
        return function(u)


@dataclass(frozen=True)
class _Transposed:
    """`function` transposed in its second argument; a class so that equal ones hash alike under jit."""

    function: Callable[..., Any]
    shape: tuple[int, ...]

    def __call__(self, parameters: Any, u: Array) -> Array:
        template = jax.ShapeDtypeStruct(self.shape, u.dtype)
        (out,) = jax.linear_transpose(lambda v: self.function(parameters, v), template)(u)
        return out


@dataclass(frozen=True)
class _Multiplied:
    """`c` times a function, with `(c, parameters)` in the place of its parameters."""

    function: Callable[..., Any]

    def __call__(self, parameters: Any, *fields: Array) -> Array:
        factor, parameters = parameters
        return factor * self.function(parameters, *fields)


@dataclass(frozen=True)
class _LineaxProduct:
    """The product with a lineax operator whose arrays are given apart from its structure."""

    structure: tuple[tuple[Hashable, ...], Any]

    def rebuild(self, arrays: Any) -> Any:
        leaves, treedef = self.structure
        filled = iter(arrays)
        return jax.tree.unflatten(treedef, [next(filled) if x is _ARRAY else x for x in leaves])

    def __call__(self, arrays: Any, u: Array) -> Array:
        return self.rebuild(arrays).mv(u)


@dataclass(frozen=True)
class _LineaxDiagonal(_LineaxProduct):
    def __call__(self, arrays: Any) -> Array:  # type: ignore[override]
        import lineax

        return lineax.diagonal(self.rebuild(arrays))


_ARRAY = "<array>"


def from_lineax(operator: Any) -> FunctionOperator:
    """Wrap a square lineax operator on one flat or shaped array.

    Symmetry is what `lineax.is_symmetric` says; transpose and products go through lineax's own methods.

    Args:
        operator: a `lineax.AbstractLinearOperator` whose input and output structures are the same single array.

    Raises:
        ValueError: its input and output structures differ or are not a single array.
    """
    import lineax

    inputs, outputs = operator.in_structure(), operator.out_structure()
    if not isinstance(inputs, jax.ShapeDtypeStruct) or inputs.shape != outputs.shape:
        raise ValueError(
            "from_lineax needs an operator from one array to one array of the same shape, "
            f"got {inputs} -> {outputs}"
        )
    leaves, treedef = jax.tree.flatten(operator)
    is_array = [isinstance(x, jax.Array) or hasattr(x, "__array__") for x in leaves]
    arrays = tuple(jnp.asarray(x) for x, a in zip(leaves, is_array, strict=True) if a)
    marked = tuple(_ARRAY if a else x for x, a in zip(leaves, is_array, strict=True))
    structure = (marked, treedef)
    return FunctionOperator(
        arrays,
        _LineaxProduct(structure),
        tuple(inputs.shape),
        bool(lineax.is_symmetric(operator)),
        _LineaxDiagonal(structure) if len(inputs.shape) == 1 else None,
    )
