"""Phantom gradients: differentiate a few damped iterations at the solution."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from prdp.checks import integer, one_of, within
from prdp.differentiation.adjoint import AdjointMode
from prdp.differentiation.base import AdjointStats, Controls, Problem
from prdp.linalg import Operator
from prdp.solvers import Solver

FORMS = ("neumann", "unrolled")


@dataclass(frozen=True)
class Phantom(AdjointMode):
    """Differentiate `steps` damped iterations `u <- u + tau M^-1 (b - A u)`, starting from the detached solution.

    - `neumann`: as if the solution were exact, `lambda = sum_(t<k) (I - tau M^-T A^T)^t tau M^-T ubar`.
    - `unrolled`: by backpropagation through these iterations. The gradient with respect to `b` is the same; that with
      respect to parameters of `A` uses the iterates instead of the solution. The value remains that of the solve.

    One undamped step (`tau = 1`) is `JFB`. The gradient becomes exact as the number of steps grows, if the iteration
    converges.

    Args:
        steps: k, at least 1.
        damping: tau, in `(0, 1]`.
        form: `neumann` or `unrolled`.

    Raises:
        ValueError: If an argument is outside its range.

    Source: Geng et al. 2021, *On training implicit models*.
    """

    steps: int = 5
    damping: float = 0.5
    form: str = "neumann"

    def __post_init__(self) -> None:
        integer("steps", self.steps, 1)
        within("damping", self.damping, lambda x: 0 < x <= 1, "0 < damping <= 1")
        one_of("form", self.form, FORMS)

    def check(self, solver: Solver, operator: Operator) -> None:
        """Check that the solver has a splitting.

        Raises:
            ValueError: If it does not.
        """
        if not solver.has_splitting:
            raise ValueError(
                f"phantom gradients need a splitting A = M - N, and {type(solver).__name__} has none"
            )

    def multiplier(
        self, solver: Solver, operator: Operator, cotangent: Any, controls: Controls, primal_rhs: Any
    ) -> tuple[Any, AdjointStats]:
        """Return the damped Neumann sum, which costs `k - 1` products."""
        first = self.damping * solver.correction(operator, cotangent)

        def add(_: Any, multiplier: Any) -> Any:
            residual = cotangent - operator.mv(multiplier)
            return multiplier + self.damping * solver.correction(operator, residual)

        multiplier = jax.lax.fori_loop(1, self.steps, add, first)
        return multiplier, AdjointStats.of(self.steps, self.steps - 1)

    def pull_back(
        self, solver: Solver, problem: Problem, value: Any, cotangent: Any, controls: Controls
    ) -> tuple[Operator, Any, AdjointStats]:
        """Return the cotangents of operator and right-hand side, and the stats."""
        if self.form == "neumann":
            return super().pull_back(solver, problem, value, cotangent, controls)

        _, pull_back = jax.vjp(partial(self._steps, solver, value), problem.operator, problem.rhs)
        # Every step costs one product forward and one backward.
        return (*pull_back(cotangent), AdjointStats.of(self.steps, 2 * self.steps))

    def push_forward(
        self, solver: Solver, problem: Problem, value: Any, tangents: Problem, controls: Controls
    ) -> Any:
        """Return the tangent of `value`."""
        if self.form == "neumann":
            return super().push_forward(solver, problem, value, tangents, controls)
        at, moved = (problem.operator, problem.rhs), (tangents.operator, tangents.rhs)
        return jax.jvp(partial(self._steps, solver, value), at, moved)[1]

    def _steps(self, solver: Solver, value: Any, operator: Operator, rhs: Any) -> Any:
        """Return the iterate after the damped iterations from `value`."""

        def step(u: Any, _: Any) -> Any:
            return u + self.damping * solver.correction(operator, rhs - operator.mv(u)), None

        return jax.lax.scan(step, value, length=self.steps)[0]
