"""Geometric multigrid: V-cycles as a solver and as a preconditioner."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.checks import integer, one_of
from prdp.linalg import (
    Operator,
    Polynomial,
    Relaxation,
    Stencil,
    VCycle,
    apart,
    coarsen,
    exact_inverse,
    inverse_diagonal,
    scaled_bound,
)
from prdp.solvers.base import Solver, flag, start
from prdp.solvers.preconditioner import PreconditionedOperator, Preconditioner
from prdp.solvers.status import Status

SMOOTHERS = ("auto", "chebyshev", "jacobi", "gauss_seidel")
# Damping of Jacobi: keeps |1 - omega z| below one on the whole disc |z - 1| <= 1 and reduces high frequencies.
_DAMPING = 0.8


class MultigridState(NamedTuple):
    """The current iterate, its residual `b - A u`, and the failure code per system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class Multigrid(Solver, Preconditioner):
    """Geometric multigrid for stencils in one to three dimensions. One iteration is a V-cycle, `u <- u + P (b - A u)`.

    As a solver, PRDP refines the number of cycles. As a preconditioner (`prdp.PCG(prdp.Multigrid())`), `P` is one
    cycle. Every level has half as many points per axis (any number of points is allowed, rounded down for Dirichlet,
    up for periodic grids) and linear interpolation. Coarser operators are rediscretised for constant coefficients of
    nearest neighbours, and Galerkin's `R A I` otherwise, see `prdp.linalg.coarsen`. The coarsest level, with at most
    four points per axis, is solved exactly. The smoother is applied before and after; it and the cycle are symmetric
    if `A` is, and the cycle of `A^T` is the transposed cycle of `A`.

    If the constants of a periodic grid are in the null space, the cycles converge to one of the solutions if the
    right-hand side has zero mean. Otherwise there is none, and the status says so.

    Galerkin's operator of an upwind difference is close to a central one, and cycles with it diverge where advection
    dominates. Coarser operators that are not symmetric are therefore upwinded, see `prdp.linalg.coarsen`. Where
    streamlines are closed, the cycles still grow with the cell Péclet number, since a coarser grid has more numerical
    diffusion: in a vortex on 64^2 points it takes 6, 23 and 43 cycles to 1e-5 at Péclet 1, 10 and 100. There, let them
    precondition GMRES, which takes 1, 3 and 5 restarts of 8.

    **Where it is not robust**: coefficients that differ strongly between directions, since point smoothers reduce only
    errors along the strong one.

    Cost: with `s` products per smoothing (`sweeps - 1`; for Gauss-Seidel `3 sweeps - 1`), a cycle of the solver takes
    `2 s + 3` products with `A`, which `matvecs` counts. The coarser levels take up to as much again in one dimension,
    a third of it in two and a seventh in three; this and the set-up are not counted.

    Args:
        smoother: `chebyshev` (a polynomial of `D^-1 A`), `jacobi` (damped by 0.8), `gauss_seidel` (symmetric
            red-black), or `auto`: Chebyshev if `A` is symmetric, else Jacobi.
        sweeps: the degree of the polynomial or the number of sweeps, before and after the correction each.

    Raises:
        ValueError: If an argument is not one of these.

    Source: Trottenberg, Oosterlee & Schüller, *Multigrid*, chapters 2 and 7; Adams et al. 2003 (Chebyshev smoothing).
    """

    has_splitting: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True

    smoother: str = "auto"
    sweeps: int = 2

    def __post_init__(self) -> None:
        one_of("smoother", self.smoother, SMOOTHERS)
        integer("sweeps", self.sweeps, 1, 100)

    @property
    def measures_residual(self) -> bool:
        """True: every step computes `b - A u`."""
        return True

    @property
    def products(self) -> int:
        """The products with `A` in a cycle from zero: `2 s + 2`."""
        smoothing = 3 * self.sweeps - 1 if self.smoother == "gauss_seidel" else self.sweeps - 1
        return 2 * smoothing + 2

    @property
    def matvecs_per_iteration(self) -> int:
        """Those of the cycle, and one for the residual."""
        return self.products + 1

    def check(self, operator: Operator) -> None:
        """Check that the operator is a stencil of neighbours.

        Raises:
            ValueError: If it is not a stencil whose offsets are -1, 0 or 1 along each axis.
        """
        if not isinstance(operator, Stencil):
            raise ValueError(
                f"multigrid needs a scalar stencil (prdp.Stencil), not a {type(operator).__name__}: "
                "use another solver or preconditioner"
            )
        far = [o for o in operator.offsets if max(map(abs, o)) > 1]
        if far:
            raise ValueError(
                f"multigrid needs a stencil with offsets of -1, 0 and 1 along each axis, not {far[0]}"
            )

    def inverse(self, operator: Operator) -> VCycle:
        """Return the V-cycle for `operator`."""
        assert isinstance(operator, Stencil)
        levels: list[Any] = []
        level = operator
        while True:
            coarser, transfers = coarsen(level)
            if not transfers:
                break
            levels.append((level, self._smoother(level), transfers))
            level = coarser
        operators, smoothers, moves = zip(*levels, strict=True) if levels else ((), (), ())
        return VCycle(operators, smoothers, exact_inverse(level), moves, operator.shape, operator.symmetric)

    def _smoother(self, operator: Stencil) -> Operator:
        kind, scaling = self.smoother, inverse_diagonal(operator)
        axes = len(operator.grid)
        if kind == "auto":
            kind = "chebyshev" if operator.symmetric else "jacobi"
        if kind == "jacobi":
            return Relaxation(operator, _DAMPING * scaling, (None,) * self.sweeps, axes)
        if kind == "gauss_seidel":
            return Relaxation(operator, scaling, (0, 1, 0) * self.sweeps, axes)
        upper = scaled_bound(operator)
        # The eigenvalues of D^-1 A for errors that the next grid does not see, if A is diagonally dominant.
        lower = jnp.maximum(upper / (2 * axes), 1 - (upper - 1) * (1 - 1 / axes))
        return Polynomial(operator, scaling, lower, upper, self.sweeps)

    def prepare(self, operator: Operator) -> PreconditionedOperator:
        """Return `A` and its V-cycle."""
        return PreconditionedOperator(operator, self.inverse(operator))

    def system(self, prepared: Operator) -> Operator:
        """Return `A`."""
        assert isinstance(prepared, PreconditionedOperator)
        return prepared.original

    def transpose(self) -> "Multigrid":
        """Return the solver itself."""
        return self

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> MultigridState:
        """Return the state at `guess`. A zero on the diagonal sets the failure `SINGULAR`."""
        value, residual, failure = start(self.system(operator), rhs, guess)
        singular = jnp.any(self.system(operator).diagonal() == 0, axis=tuple(range(-operator.rank, 0)))
        return MultigridState(value, residual, flag(failure, singular, Status.SINGULAR))

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: MultigridState) -> MultigridState:
        """Return the state after one V-cycle; the same state if every system has failed."""
        # The conditional keeps the cycle apart from the loop around it. Without it, XLA's CPU compiler fuses the last
        # smoothing into the choice between this state and the one before, and into the product of the residual, where
        # it repeats the smoothing for every neighbour: 2.5 times the time of a solve at 256^2. `apart` alone does not
        # prevent that.
        return jax.lax.cond(
            jnp.any(state.failure == 0), partial(self._cycle, operator, rhs), lambda state: state, state
        )

    def _cycle(self, operator: Operator, rhs: Float[Array, "..."], state: MultigridState) -> MultigridState:
        value = apart(state.value + self.correction(operator, state.residual))
        return MultigridState(value, apart(rhs - self.system(operator).mv(value)), state.failure)

    def correction(self, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P r`, for `A` or for the result of `prepare`."""
        prepared = operator if isinstance(operator, PreconditionedOperator) else self.prepare(operator)
        return prepared.inverse.mv(residual)
