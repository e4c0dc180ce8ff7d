"""Least squares with small upper Hessenberg matrices, one per system."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import vary_alike
from prdp.solvers.base import safe_divide

UNROLLED = 4


class LeastSquares(NamedTuple):
    """The solution of `min ||beta e_1 - H y||_2`.

    Attributes:
        weights: `y`. Entries are zero for columns that are linearly dependent on previous ones up to rounding.
        inverse: `R^-1`, where `H = Q R`, so that `(H^T H)^-1 = R^-1 R^-T`. The rows and columns of dependent columns
            are zero.
    """

    weights: Float[Array, "*batch m"]
    inverse: Float[Array, "*batch m m"]


def least_squares(hessenberg: Float[Array, "*batch rows m"], beta: Float[Array, "*batch"]) -> LeastSquares:
    """Return the `y` that minimises `||beta e_1 - H y||_2`, by Givens rotations and back substitution.

    A pivot `R_jj` counts as zero if it is at the rounding level of its column or of the largest column. Such a pivot
    is noise, and dividing by it would make `y` arbitrarily large.

    Args:
        hessenberg: `H`, shape `(*batch, m + 1, m)`.
        beta: shape `(*batch,)`.
    """
    m = hessenberg.shape[-1]
    # For a few iterations, the overhead of a loop exceeds the cost of its body.
    unroll = m <= UNROLLED
    first = jnp.zeros((*beta.shape, m + 1, 1), beta.dtype).at[..., 0, 0].set(beta)
    table = jnp.concatenate([hessenberg, vary_alike(first, hessenberg)], axis=-1)

    def rotate(j: Array, table: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(table, j, 2, axis=-2)
        pair = jax.lax.dynamic_slice_in_dim(rows, j, 1, axis=-1)
        above, below = pair[..., :1, :], pair[..., 1:, :]
        squared = above**2 + below**2
        some = squared > 0
        radius = jnp.where(some, jnp.sqrt(jnp.where(some, squared, 1)), 1)
        c, s = jnp.where(some, above / radius, 1), below / radius
        upper, lower = rows[..., :1, :], rows[..., 1:, :]
        rotated = jnp.concatenate([c * upper + s * lower, c * lower - s * upper], axis=-2)
        return jax.lax.dynamic_update_slice_in_dim(table, rotated, j, axis=-2)

    table = jax.lax.fori_loop(0, m, rotate, table, unroll=unroll)
    # Entries below the diagonal are rounding errors of the rotations.
    triangle, projected = jnp.triu(table[..., :m, :m]), table[..., :m, m:]
    columns = jnp.sqrt(jnp.sum(triangle**2, axis=-2))
    pivots = jnp.diagonal(triangle, axis1=-2, axis2=-1)
    noise = jnp.maximum(10 * columns, 4 * jnp.max(columns, axis=-1, keepdims=True))
    pivots = jnp.where(jnp.abs(pivots) > jnp.finfo(pivots.dtype).eps * noise, pivots, 0)
    unit = jnp.broadcast_to(jnp.eye(m, dtype=beta.dtype), (*beta.shape, m, m))
    right = jnp.concatenate([projected, vary_alike(unit, projected)], axis=-1)

    def substitute(k: Array, solved: Array) -> Array:
        i = m - 1 - k
        row = jax.lax.dynamic_slice_in_dim(triangle, i, 1, axis=-2)
        known = jnp.sum(jnp.swapaxes(row, -1, -2) * solved, axis=-2, keepdims=True)
        pivot = jax.lax.dynamic_slice_in_dim(pivots, i, 1, axis=-1)[..., None]
        new = safe_divide(jax.lax.dynamic_slice_in_dim(right, i, 1, axis=-2) - known, pivot)
        return jax.lax.dynamic_update_slice_in_dim(solved, new, i, axis=-2)

    solved = jax.lax.fori_loop(0, m, substitute, jnp.zeros_like(right), unroll=unroll)
    return LeastSquares(solved[..., 0], solved[..., 1:])
