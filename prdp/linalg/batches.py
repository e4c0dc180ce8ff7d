"""Solves of batches of dense systems that avoid LAPACK's multithreaded batched kernels.

On CPUs, these kernels can deadlock (jaxlib 0.10 and 0.11, `ParallelBatchMap` in jaxlib/cpu/lapack_kernels.cc). Each
kernel occupies one thread of XLA's pool while it waits for other threads of the same pool. If as many kernels run at
once as the pool has threads, all of them wait forever. On two cores, the factorisations of `A` and `A^T` in one
program suffice.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact


def solve_each(
    matrices: Inexact[Array, "*#batch n n"], rhs: Inexact[Array, "*#batch n"]
) -> Inexact[Array, "*#batch n"]:
    """Return `A^-1 b` for every system, by LU with partial pivoting. On CPUs, systems are solved one at a time.

    The result is non-finite where a matrix is singular. Batch axes of the matrices and of `rhs` broadcast.
    """
    n = rhs.shape[-1]
    batch = jnp.broadcast_shapes(matrices.shape[:-2], rhs.shape[:-1])
    if jax.default_backend() != "cpu":
        return jnp.linalg.solve(matrices, jnp.broadcast_to(rhs, (*batch, n))[..., None])[..., 0]
    systems = jnp.broadcast_to(matrices, (*batch, n, n)), jnp.broadcast_to(rhs, (*batch, n))
    flat = systems[0].reshape(-1, n, n), systems[1].reshape(-1, n)
    return jax.lax.map(lambda system: jnp.linalg.solve(*system), flat).reshape(*batch, n)


def invert_each(matrices: Inexact[Array, "*batch n n"]) -> Inexact[Array, "*batch n n"]:
    """Return the inverse of every matrix, by Gauss-Jordan elimination with partial pivoting.

    For very small `n`: the `n` steps are unrolled, each of them vectorised over the batch. The result is non-finite
    where a matrix is singular.
    """
    n = matrices.shape[-1]
    rows = jnp.arange(n)
    unit = jnp.broadcast_to(jnp.eye(n, dtype=matrices.dtype), matrices.shape)
    work = jnp.concatenate([matrices, unit], axis=-1)
    for i in range(n):
        pivot = i + jnp.argmax(jnp.abs(work[..., i:, i]), axis=-1)[..., None]
        exchanged = jnp.where(rows == i, pivot, jnp.where(rows == pivot, i, rows))
        work = jnp.take_along_axis(work, exchanged[..., None], axis=-2)
        row = work[..., i, :] / work[..., i, i, None]
        others = work - jnp.where(rows == i, 0, work[..., :, i])[..., None] * row[..., None, :]
        work = others.at[..., i, :].set(row)
    return work[..., n:]
