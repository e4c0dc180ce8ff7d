"""The operator contract and the dense operator."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.promotion import promoting

# Leaves of a pytree: arrays mostly, but JAX also puts tracers, `None` and sentinels there.
Leaf = Any


def is_floating(x: Any) -> bool:
    """Whether a parameter is a real floating-point number or an array of them."""
    return isinstance(x, float) or jnp.issubdtype(getattr(x, "dtype", None) or type(x), jnp.floating)


def number(x: Any) -> Any:
    """Return a real number as it is.

    Raises:
        TypeError: `x` is an array, a complex number or no number.
    """
    kind = getattr(x, "dtype", None) or (type(x) if isinstance(x, int | float) else None)
    if kind is None or jnp.ndim(x) != 0 or not jnp.issubdtype(kind, jnp.number):
        raise TypeError(f"operators are multiplied and divided by real numbers on this side, not by {x!r}")
    return x


def finite(x: Any) -> Any:
    """Return `x` with 0 for NaN and infinity."""
    return jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x)) if is_floating(x) else x


def static(**kwargs: Any) -> Any:
    """Declare a dataclass field that is part of a pytree's structure, not a leaf."""
    return field(metadata={"static": True}, **kwargs)


# Methods in which parameters meet fields of another rank.
_PROMOTING = ("mv", "transpose", "diagonal", "row_sum_bound", "as_dense", "__add__", "__sub__", "__rmul__")


class Operator(ABC):
    """A linear map `u -> A u` on fields of shape `shape`, as a pytree.

    Its parameters are its leaves, so that gradients with respect to them flow through `prdp.solve`. Leading
    axes of `u` beyond `shape` are batch axes. A parameter may carry batch axes of its own (one operator per
    sample); they broadcast against those of `u`.

    Attributes:
        shape: the shape of one system, e.g. `(30,)` or `(1, 30, 30)`.
        symmetric: a declaration (it is not checked) that `A = A^T`. Solvers that need it refuse others.
    """

    shape: tuple[int, ...]
    symmetric: bool

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in _PROMOTING:
            if name in vars(cls):
                setattr(cls, name, promoting(vars(cls)[name]))

    # Without it `np.ones(n) * A` would make an array of n operators.
    __array_ufunc__ = None

    @abstractmethod
    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, of the shape of `u`."""

    @abstractmethod
    def transpose(self) -> "Operator":
        """Return `A^T`, exact: `<A u, v> = <u, A^T v>` to rounding, also where `A` is not symmetric."""

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
        """Return `c A` for a number `c`; a field on this side would scale columns, and is refused."""
        return number(factor) * self

    def __truediv__(self, factor: Leaf) -> "Operator":
        """Return `A / c` for a number `c`."""
        return (1 / number(factor)) * self

    def __neg__(self) -> "Operator":
        """Return `-A`."""
        return -1.0 * self

    def astype(self, dtype: Any) -> "Operator":
        """Return the operator with its floating-point parameters as arrays of `dtype`; others stay what they are."""
        return jax.tree.map(lambda x: jnp.asarray(x, dtype) if is_floating(x) else x, self)

    def without_non_finite(self) -> "Operator":
        """Return the operator with 0 for what is not finite in parameters that have a batch axis.

        A backward pass uses it, where such a number belongs to a system that failed. One in a parameter that all
        systems share makes all of them fail, and stays.
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
        """Return the matrix, `(*batch, n, n)` with `n = size`, unknowns in row-major order.

        For tests, references and `operator=dense`; costs `n` products and `n^2` memory.
        """
        dtype = jnp.result_type(float, *(x for x in jax.tree.leaves(self) if is_floating(x)))
        basis = jnp.eye(self.size, dtype=dtype).reshape(self.size, *self.shape)
        # One product per basis vector: batch axes of the parameters stay in front of the field's own.
        columns = jax.vmap(self.mv)(basis)
        batch = columns.shape[1 : columns.ndim - self.rank]
        return jnp.moveaxis(columns.reshape(self.size, *batch, self.size), 0, -1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Dense(Operator):
    """An operator stored as its matrix, `(A u)_i = sum_j A_ij u_j`.

    Reproduces the cost profile of the paper's materialised matrices. The product is computed at the highest
    precision everywhere: the TF32 default of GPUs cannot reach a residual of 1e-5.

    Args:
        matrix: `(*batch, n, n)`, with `n` the product of `shape`.
        shape: the shape of one system.
        symmetric: whether `matrix` equals its transpose.
    """

    matrix: Leaf
    shape: tuple[int, ...] = static()
    symmetric: bool = static(default=False)

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`."""
        flat = u.reshape(*u.shape[: u.ndim - self.rank], self.size)
        out = jnp.einsum("...ij,...j->...i", self.matrix, flat, precision=jax.lax.Precision.HIGHEST)
        return out.reshape(*out.shape[:-1], *self.shape)

    def transpose(self) -> "Dense":
        """Return the operator of the transposed matrix."""
        return Dense(jnp.swapaxes(self.matrix, -1, -2), self.shape, self.symmetric)

    def astype(self, dtype: Any) -> "Dense":
        """Return the operator with its matrix in `dtype`."""
        return replace(self, matrix=jnp.asarray(self.matrix, dtype))

    def without_non_finite(self) -> "Dense":
        """Return the operator with 0 for what is not finite, if there is a matrix for each system."""
        return self if jnp.ndim(self.matrix) == 2 else replace(self, matrix=finite(self.matrix))

    def __rmul__(self, factor: Leaf) -> "Dense":
        """Return `c A` for a number `c`."""
        return replace(self, matrix=number(factor) * self.matrix)

    def diagonal(self) -> Float[Array, "..."]:
        """Return the matrix's diagonal, reshaped to a field."""
        d = jnp.diagonal(self.matrix, axis1=-2, axis2=-1)
        return d.reshape(*d.shape[:-1], *self.shape)

    def as_dense(self) -> Float[Array, "... n n"]:
        """Return the matrix."""
        return self.matrix
