"""Sparse matrices by their entries."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.operators import Leaf, Operator, number, static


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sparse(Operator):
    """A sparse matrix in coordinate format, `(A u)_i = sum_(k: rows_k = i) data_k u_(columns_k)`.

    Entries at the same place add up. Gradients flow to `data`. See `from_scipy` and `from_bcoo`.

    Args:
        data: the entries, `(*batch, entries)`.
        rows: their row indices, `(entries,)`, integers.
        columns: their column indices, `(entries,)`, integers.
        shape: `(n,)`.
        symmetric: whether `A = A^T`.
    """

    data: Leaf
    rows: Leaf
    columns: Leaf
    shape: tuple[int, ...] = static()
    symmetric: bool = static(default=False)

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, shape `(*batch, n)`."""
        return self._sum_by_row(self.data * jnp.take(u, self.columns, axis=-1, mode="clip"))

    def transpose(self) -> "Sparse":
        """Return the operator with rows and columns exchanged."""
        return Sparse(self.data, self.columns, self.rows, self.shape, self.symmetric)

    def diagonal(self) -> Float[Array, "..."]:
        """Return `diag(A)`, shape `(*batch, n)`."""
        return self._sum_by_row(jnp.where(self.rows == self.columns, self.data, 0))

    def row_sum_bound(self) -> Float[Array, ""]:
        """Return `max_i sum_k |data_k|` over the entries of row i, an upper bound of the spectral radius."""
        return jnp.max(self._sum_by_row(jnp.abs(self.data)))

    def as_dense(self) -> Float[Array, "... n n"]:
        """Return the matrix, shape `(*batch, n, n)`."""
        data = jnp.asarray(self.data)
        empty = jnp.zeros((*data.shape[:-1], self.size, self.size), data.dtype)
        return empty.at[..., self.rows, self.columns].add(data)

    def __rmul__(self, factor: Leaf) -> "Sparse":
        """Return `c A` for a number `c`."""
        return Sparse(number(factor) * self.data, self.rows, self.columns, self.shape, self.symmetric)

    def _sum_by_row(self, entries: Array) -> Array:
        empty = jnp.zeros((*entries.shape[:-1], self.size), entries.dtype)
        # Indices beyond the matrix mark unused entries of a BCOO; they are dropped.
        return empty.at[..., self.rows].add(entries, mode="drop")


def from_scipy(matrix: Any, symmetric: bool = False) -> Sparse:
    """Return a square SciPy sparse matrix or array, of any format, as an operator on `(n,)`.

    Raises:
        ValueError: If the matrix is not square.
    """
    entries = matrix.tocoo()
    return Sparse(
        jnp.asarray(entries.data),
        jnp.asarray(entries.row),
        jnp.asarray(entries.col),
        _square(matrix),
        symmetric,
    )


def from_bcoo(matrix: Any, symmetric: bool = False) -> Sparse:
    """Return a square `jax.experimental.sparse.BCOO` as an operator on `(n,)`. Gradients flow to its `data`.

    Raises:
        ValueError: If the matrix is not square, or has batch or dense axes.
    """
    if matrix.n_batch or matrix.n_dense:
        raise ValueError(
            f"the BCOO has n_batch={matrix.n_batch}, n_dense={matrix.n_dense}: allowed is one matrix of sparse axes; "
            "use jax.vmap for a batch"
        )
    rows, columns = matrix.indices[:, 0], matrix.indices[:, 1]
    return Sparse(matrix.data, rows, columns, _square(matrix), symmetric)


def _square(matrix: Any) -> tuple[int, ...]:
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"the matrix has shape {tuple(matrix.shape)}: allowed are square matrices")
    return (int(matrix.shape[0]),)
