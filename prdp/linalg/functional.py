"""Operators defined by functions, and a wrapper for lineax operators."""

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

    The transpose comes from `transpose_function`, or else from `jax.linear_transpose`. The diagonal costs one product
    per unknown; pass `diagonal_function` if the solver uses the diagonal (e.g. `Jacobi`).

    Args:
        parameters: any pytree of arrays; gradients with respect to it flow through the solve.
        function: `(parameters, u) -> A u` for one system `u` of shape `shape`.
        shape: the shape of one system.
        symmetric: whether `A = A^T`.
        diagonal_function: `parameters -> diag(A)`, a field of shape `shape`.
        transpose_function: `(parameters, u) -> A^T u`, for functions that JAX cannot transpose.
    """

    parameters: Leaf
    function: Callable[..., Any] = static()
    shape: tuple[int, ...] = static()
    symmetric: bool = static(default=False)
    diagonal_function: Callable[..., Any] | None = static(default=None)
    transpose_function: Callable[..., Any] | None = static(default=None)

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, vectorised over the batch axes of `u`."""
        return self._over_batch(lambda v: self.function(self.parameters, v), u)

    def transpose(self) -> "Operator":
        """Return `A^T`, which is the operator itself if it is declared symmetric."""
        if self.symmetric:
            return self
        given = self.transpose_function
        return replace(
            self,
            function=_Transposed(self.function, self.shape) if given is None else given,
            transpose_function=None if given is None else self.function,
        )

    def __rmul__(self, factor: Leaf) -> "FunctionOperator":
        """Return `c A` for a number `c`."""

        def multiplied(function: Callable[..., Any] | None) -> Callable[..., Any] | None:
            return None if function is None else _Multiplied(function)

        return FunctionOperator(
            (number(factor), self.parameters),
            _Multiplied(self.function),
            self.shape,
            self.symmetric,
            multiplied(self.diagonal_function),
            multiplied(self.transpose_function),
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
    """`function` transposed in its second argument. A dataclass, so that equal instances share one jit cache entry."""

    function: Callable[..., Any]
    shape: tuple[int, ...]

    def __call__(self, parameters: Any, u: Array) -> Array:
        template = jax.ShapeDtypeStruct(self.shape, u.dtype)
        (out,) = jax.linear_transpose(lambda v: self.function(parameters, v), template)(u)
        return out


@dataclass(frozen=True)
class _Multiplied:
    """`c` times a function. Takes `(c, parameters)` instead of the function's parameters."""

    function: Callable[..., Any]

    def __call__(self, parameters: Any, *fields: Array) -> Array:
        factor, parameters = parameters
        return factor * self.function(parameters, *fields)


@dataclass(frozen=True)
class _LineaxProduct:
    """The product with a lineax operator, whose arrays are passed separately from its static structure."""

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
    """Wrap a square lineax operator that acts on a single array.

    Symmetry is taken from `lineax.is_symmetric`, products from `operator.mv`, and the diagonal of a one-axis system
    from `lineax.diagonal`.

    Args:
        operator: a `lineax.AbstractLinearOperator` whose input and output are single arrays of the same shape.

    Returns:
        An operator of that shape, whose parameters are the arrays of `operator`.

    Raises:
        ValueError: If the input and output shapes differ, or if either is not a single array.
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
