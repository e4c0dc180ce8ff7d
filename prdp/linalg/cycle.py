"""The multigrid V-cycle as an operator."""

import math
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.inverses import Inverse, apart
from prdp.linalg.operators import Dense, Leaf, static
from prdp.linalg.stencils import Stencil
from prdp.linalg.transfer import Transfer


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VCycle(Inverse):
    """One V-cycle from a zero guess, a linear operator `P` close to `A^-1`.

    For one level and the ones below it:

        v <- S u,   v <- v + I P_c R (u - A v),   v <- v + S (u - A v),

    with the smoother `S`, the interpolation `I`, the restriction `R = r I^T` and the cycle `P_c` of the next level. The
    coarsest level is solved exactly. If `A` and `S` are symmetric, so is `P`.

    Args:
        operators: `A` on each level but the coarsest.
        smoothers: `S` on each of these levels.
        coarsest: the inverse of the coarsest operator.
        transfers: the transfers from each of these levels to the next.
        shape: the shape of one system.
        symmetric: whether `A` is symmetric.

    Source: Trottenberg, Oosterlee & Schüller, *Multigrid*, section 2.4.
    """

    operators: Leaf
    smoothers: Leaf
    coarsest: Leaf
    transfers: tuple[tuple[Transfer, ...], ...] = static()
    shape: tuple[int, ...] = static()
    symmetric: bool = static()

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P u`."""
        return self._cycle(0, u)

    def _cycle(self, level: int, u: Array) -> Array:
        if level == len(self.operators):
            return self.coarsest.mv(u)
        operator, smoother = self.operators[level], self.smoothers[level]
        value = apart(smoother.mv(u))
        correction = apart(u - operator.mv(value))
        for transfer in self.transfers[level]:
            correction = apart(transfer.restrict(correction))
        correction = self._cycle(level + 1, correction)
        for transfer in self.transfers[level]:
            correction = apart(transfer.interpolate(correction))
        value = apart(value + correction)
        return apart(value + smoother.mv(apart(u - operator.mv(value))))

    def transpose(self) -> "VCycle":
        """Return `P^T`: the cycle with the transposed operator, smoother and inverse on every level."""
        operators, smoothers = (
            tuple(x.transpose() for x in each) for each in (self.operators, self.smoothers)
        )
        return replace(self, operators=operators, smoothers=smoothers, coarsest=self.coarsest.transpose())


def exact_inverse(operator: Stencil) -> Dense:
    """Return the inverse of an operator with few unknowns as a matrix.

    If the constants of a periodic grid are in the null space of `A` to rounding, the result is the inverse of `A` with
    the constants made an eigenvector.
    """
    matrix = operator.as_dense()
    n = operator.size
    if operator.boundary == "periodic":
        points = math.prod(operator.grid)
        row_sums = jnp.max(jnp.abs(jnp.sum(matrix, -1)), -1, keepdims=True)[..., None]
        largest = jnp.max(jnp.sum(jnp.abs(matrix), -1), -1, keepdims=True)[..., None]
        singular = row_sums <= 100 * jnp.finfo(matrix.dtype).eps * largest
        same = jnp.kron(jnp.eye(n // points), jnp.ones((points, points))) / points
        scale = jnp.mean(jnp.diagonal(matrix, axis1=-2, axis2=-1), -1)[..., None, None]
        matrix = matrix + jnp.where(singular, scale, 0) * same.astype(matrix.dtype)
    return Dense(_inverse(matrix), operator.shape, operator.symmetric)


def _inverse(matrix: Array) -> Array:
    """Return the inverse of each matrix, one at a time, see `prdp.linalg.batches`."""
    if matrix.ndim == 2:
        return jnp.linalg.inv(matrix)
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    return jax.lax.map(jnp.linalg.inv, flat).reshape(matrix.shape)
