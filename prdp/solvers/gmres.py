"""Restarted GMRES."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.checks import integer
from prdp.linalg import Operator, inner, inner_each, norm
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, flag, safe_divide, start
from prdp.solvers.status import Status


class GMRESState(NamedTuple):
    """The current iterate, its residual `b - A u`, and the failure code of each system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class GMRES(Solver):
    """GMRES(m): one iteration is a whole restart cycle of `m` products, the unit in which the paper counts K.

    A cycle builds an orthonormal basis `v_1..v_m` of the Krylov space of `A` and `r` (Gram-Schmidt, every
    vector orthogonalised twice), and takes the `y` that minimises `||r - A V y||_2` by Givens rotations of
    the Hessenberg matrix. The images `A v_j` are kept, so that the new residual `r - A V y` costs no further
    product. The Arnoldi loop is unrolled: `m` is a small constant, K is not.

    A cycle that does not lower the residual would be repeated for ever, since the next one starts from the same
    place: the system is then `STAGNATED` and its iteration ends. Differentiable by unrolling as well.

    Args:
        restart: `m`, at least 1.

    Raises:
        ValueError: `restart` is below 1.

    Source: paper, Algorithm 3; Saad & Schultz 1986.
    """

    restart: int = 8
    preconditionable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        integer("restart", self.restart, 1, 10_000)

    @property
    def matvecs_per_iteration(self) -> int:
        """`restart` products a cycle."""
        return self.restart

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> GMRESState:
        """Return the state at `guess`."""
        return GMRESState(*start(operator, rhs, guess))

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: GMRESState) -> GMRESState:
        """Return the state one restart cycle on."""
        rank = operator.rank
        before = _safe_norm(state.residual, rank)
        basis = [state.residual * expand(safe_divide(jnp.ones_like(before), before), rank)]
        images, columns = [], []
        for _ in range(min(self.restart, operator.size)):
            image = operator.mv(basis[-1])
            column, successor = _arnoldi(image, basis, rank)
            images.append(image)
            columns.append(column)
            basis.append(successor)
        coefficients = _least_squares(columns, before)
        value, residual = state.value, state.residual
        for y, vector, image in zip(coefficients, basis, images, strict=False):
            value = value + expand(y, rank) * vector
            residual = residual - expand(y, rank) * image
        # Reductions below a few roundings are noise: the next cycle would see the same residual.
        epsilon = jnp.finfo(before.dtype).eps
        stagnated = (before > 0) & (norm(residual, rank) >= (1 - 10 * epsilon) * before)
        return GMRESState(value, residual, flag(state.failure, stagnated, Status.STAGNATED))


def _safe_norm(u: Array, rank: int) -> Array:
    """Return `||u||_2` with a zero, not undefined, derivative at `u = 0`."""
    squared = inner(u, u, rank)
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)


def _arnoldi(image: Array, basis: list[Array], rank: int) -> tuple[list[Array], Array]:
    """Return the Hessenberg column of `A v_j` and `v_{j+1}` (zero where the Krylov space is exhausted)."""
    # Without the barriers XLA computes the product again for each inner product that reads it: four times slower on
    # a CPU. Between the two passes there is none: the second reads each vector once, for difference and product.
    materialise = jax.lax.optimization_barrier
    image = materialise(image)
    w, column = image, [jnp.zeros(image.shape[: image.ndim - rank], image.dtype)] * len(basis)
    for _ in range(2):
        projections = inner_each(tuple(basis), w, rank)
        for v, projection in zip(basis, projections, strict=True):
            w = w - expand(projection, rank) * v
        column = [c + p for c, p in zip(column, projections, strict=True)]
    w = materialise(w)
    length = _safe_norm(w, rank)
    # What is left at rounding level has no direction of its own.
    exhausted = length <= 10 * jnp.finfo(w.dtype).eps * jax.lax.stop_gradient(norm(image, rank))
    length = jnp.where(exhausted, 0, length)
    successor = w * expand(safe_divide(jnp.ones_like(length), length), rank)
    return [*column, length], materialise(successor)


def _least_squares(columns: list[list[Array]], beta: Array) -> list[Array]:
    """Return the `y` that minimises `||beta e_1 - H y||`, `H` given by its columns; a zero pivot gives `y_j = 0`."""
    rotations: list[tuple[Array, Array]] = []
    triangle, rhs = [], [beta]
    for column in columns:
        h = list(column)
        for i, (c, s) in enumerate(rotations):
            h[i], h[i + 1] = c * h[i] + s * h[i + 1], c * h[i + 1] - s * h[i]
        squared = h[-2] ** 2 + h[-1] ** 2
        radius = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
        c = jnp.where(squared > 0, safe_divide(h[-2], radius), 1)
        s = safe_divide(h[-1], radius)
        rotations.append((c, s))
        triangle.append([*h[:-2], radius])
        rhs = [*rhs[:-1], c * rhs[-1], -s * rhs[-1]]
    size = len(columns)
    y: list[Array] = [jnp.zeros_like(beta)] * size
    for i in reversed(range(size)):
        total = rhs[i]
        for j in range(i + 1, size):
            total = total - triangle[j][i] * y[j]
        y[i] = safe_divide(total, triangle[i][i])
    return y
