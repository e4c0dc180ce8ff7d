"""The operator interface and the dense operator."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.promotion import promoting

# A pytree leaf: usually an array, but JAX also substitutes tracers, `None` and sentinels.
Leaf = Any


def is_floating(x: Any) -> bool:
    """Whether a parameter is a real floating-point number or array."""
    return isinstance(x, float) or jnp.issubdtype(getattr(x, "dtype", None) or type(x), jnp.floating)


def number(x: Any) -> Any:
    """Return `x` unchanged if it is a real number.

    Raises:
        TypeError: If `x` is not a real number: an array, a complex number or anything else.
    """
    kind = getattr(x, "dtype", None) or (type(x) if isinstance(x, int | float) else None)
    if kind is None or jnp.ndim(x) != 0 or not jnp.issubdtype(kind, jnp.number):
        raise TypeError(f"operators are multiplied and divided by real numbers on this side, not by {x!r}")
    return x


def finite(x: Any) -> Any:
    """Return `x` with NaN and infinity replaced by 0."""
    return jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x)) if is_floating(x) else x


def static(**kwargs: Any) -> Any:
    """Declare a dataclass field as static: part of the pytree's structure, not a leaf."""
    return field(metadata={"static": True}, **kwargs)


# Methods that combine parameters and fields of different rank.
_PROMOTING = ("mv", "transpose", "diagonal", "row_sum_bound", "as_dense", "__add__", "__sub__", "__rmul__")


class Operator(ABC):
    """A linear map `u -> A u` on fields of shape `shape`, as a pytree.

    The operator's parameters are its pytree leaves; `prdp.solve` is differentiable with respect to them. Leading axes
    of `u` beyond `shape` are batch axes. Parameters may have batch axes too (one operator per sample), which broadcast
    against those of `u`.

    Attributes:
        shape: the shape of one system, e.g. `(30,)` or `(1, 30, 30)`.
        symmetric: whether the operator is declared symmetric, `A = A^T`. The declaration is not verified. Solvers
            that require symmetry reject operators without it.
    """

    shape: tuple[int, ...]
    symmetric: bool

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in _PROMOTING:
            if name in vars(cls):
                setattr(cls, name, promoting(vars(cls)[name]))

    # Otherwise NumPy would evaluate `np.ones(n) * A` as an array of n operators.
    __array_ufunc__ = None

    @abstractmethod
    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, shape `(*batch, *shape)`."""

    @abstractmethod
    def transpose(self) -> "Operator":
        """Return the exact transpose `A^T`: `<A u, v> = <u, A^T v>` up to rounding, for nonsymmetric `A` too."""

    @abstractmethod
    def diagonal(self) -> Float[Array, "..."]:
        """Return `diag(A)`, broadcastable against fields of shape `shape`."""

    @promoting
    def row_sum_bound(self) -> Float[Array, ""]:
        """Return `max_i sum_j |A_ij|`, an upper bound of the spectral radius."""
        return jnp.max(jnp.sum(jnp.abs(self.as_dense()), axis=-1))

    def __rmul__(self, factor: Leaf) -> "Operator":
        """Return `c A`."""
        return NotImplemented

    def __mul__(self, factor: Leaf) -> "Operator":
        """Return `c A` for a number `c`.

        Raises:
            TypeError: If `c` is not a real number. A field to the right of `A` would scale its columns.
        """
        return number(factor) * self

    def __truediv__(self, factor: Leaf) -> "Operator":
        """Return `A / c` for a number `c`.

        Raises:
            TypeError: If `c` is not a real number.
        """
        return (1 / number(factor)) * self

    def __neg__(self) -> "Operator":
        """Return `-A`."""
        return -1.0 * self

    def astype(self, dtype: Any) -> "Operator":
        """Return the operator with its floating-point parameters cast to arrays of `dtype`; others are unchanged."""
        return jax.tree.map(lambda x: jnp.asarray(x, dtype) if is_floating(x) else x, self)

    def without_non_finite(self) -> "Operator":
        """Return the operator with non-finite entries set to 0 in parameters that have a batch axis.

        Backward passes use it so that failed systems do not affect the rest of the batch. A non-finite entry in a
        parameter shared by the batch makes every system fail; such entries are kept.
        """
        return jax.tree.map(lambda x: finite(x) if jnp.ndim(x) > self.rank else x, self)

    @property
    def rank(self) -> int:
        """The number of axes of one system."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of unknowns of one system."""
        return math.prod(self.shape)

    @promoting
    def as_dense(self) -> Float[Array, "... n n"]:
        """Return the matrix, shape `(*batch, n, n)` with `n = size`, unknowns in row-major order.

        Used for tests, references and `operator=dense`. Costs `n` products and `n^2` memory.
        """
        dtype = jnp.result_type(float, *(x for x in jax.tree.leaves(self) if is_floating(x)))
        basis = jnp.eye(self.size, dtype=dtype).reshape(self.size, *self.shape)
        # vmap over single products keeps the parameters' batch axes ahead of the field's axes.
        columns = jax.vmap(self.mv)(basis)
        batch = columns.shape[1 : columns.ndim - self.rank]
        return jnp.moveaxis(columns.reshape(self.size, *batch, self.size), 0, -1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Dense(Operator):
    """An operator stored as a dense matrix, `(A u)_i = sum_j A_ij u_j`.

    It has the cost profile of the paper's assembled matrices. Products use JAX's highest precision on every device,
    because the GPU default (TF32) cannot reach a relative residual of 1e-5.

    Args:
        matrix: `(*batch, n, n)`, with `n` the product of `shape`.
        shape: the shape of one system.
        symmetric: whether `matrix` equals its transpose.
    """

    matrix: Leaf
    shape: tuple[int, ...] = static()
    symmetric: bool = static(default=False)

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, shape `(*batch, *shape)`."""
        flat = u.reshape(*u.shape[: u.ndim - self.rank], self.size)
        out = jnp.einsum("...ij,...j->...i", self.matrix, flat, precision=jax.lax.Precision.HIGHEST)
        return out.reshape(*out.shape[:-1], *self.shape)

    def transpose(self) -> "Dense":
        """Return the operator with the transposed matrix."""
        return Dense(jnp.swapaxes(self.matrix, -1, -2), self.shape, self.symmetric)

    def astype(self, dtype: Any) -> "Dense":
        """Return the operator with its matrix cast to `dtype`."""
        return replace(self, matrix=jnp.asarray(self.matrix, dtype))

    def without_non_finite(self) -> "Dense":
        """Return the operator with non-finite entries set to 0 if the matrix has batch axes."""
        return self if jnp.ndim(self.matrix) == 2 else replace(self, matrix=finite(self.matrix))

    def __rmul__(self, factor: Leaf) -> "Dense":
        """Return `c A` for a number `c`."""
        return replace(self, matrix=number(factor) * self.matrix)

    def diagonal(self) -> Float[Array, "..."]:
        """Return the diagonal of the matrix, reshaped to `(*batch, *shape)`."""
        d = jnp.diagonal(self.matrix, axis1=-2, axis2=-1)
        return d.reshape(*d.shape[:-1], *self.shape)

    def as_dense(self) -> Float[Array, "... n n"]:
        """Return the matrix, shape `(*batch, n, n)`."""
        return self.matrix
