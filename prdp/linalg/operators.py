"""The operator contract and the dense operator."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Leaves of a pytree: arrays mostly, but JAX also puts tracers, `None` and sentinels there.
Leaf = Any


def static(**kwargs: Any) -> Any:
    """Declare a dataclass field that is part of a pytree's structure, not a leaf."""
    return field(metadata={"static": True}, **kwargs)


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

    @abstractmethod
    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, of the shape of `u`."""

    @abstractmethod
    def transpose(self) -> "Operator":
        """Return `A^T`, exact: `<A u, v> = <u, A^T v>` to rounding, also where `A` is not symmetric."""

    @abstractmethod
    def diagonal(self) -> Float[Array, "..."]:
        """Return `diag(A)`, broadcastable against fields of shape `shape`."""

    def row_sum_bound(self) -> Float[Array, ""]:
        """Return `max_i sum_j |A_ij|`, an upper bound of the spectral radius."""
        return jnp.max(jnp.sum(jnp.abs(self.as_dense()), axis=-1))

    @property
    def rank(self) -> int:
        """The number of axes of one system."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of unknowns of one system."""
        return math.prod(self.shape)

    def as_dense(self) -> Float[Array, "... n n"]:
        """Return the matrix, `(*batch, n, n)` with `n = size`, unknowns in row-major order.

        For tests, references and `operator=dense`; costs `n` products and `n^2` memory.
        """
        dtype = jnp.result_type(float, *(x.dtype for x in jax.tree.leaves(self)))
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

    def diagonal(self) -> Float[Array, "..."]:
        """Return the matrix's diagonal, reshaped to a field."""
        d = jnp.diagonal(self.matrix, axis1=-2, axis2=-1)
        return d.reshape(*d.shape[:-1], *self.shape)

    def as_dense(self) -> Float[Array, "... n n"]:
        """Return the matrix."""
        return self.matrix
