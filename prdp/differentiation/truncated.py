"""Truncated unrolling: backpropagate only through the last iterations."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from prdp.checks import integer
from prdp.differentiation.reverse import Carry, Loop, Reversal, ReverseMode
from prdp.linalg import Operator
from prdp.linalg.norms import expand
from prdp.solvers import Preconditioned, Record, Solver


@dataclass(frozen=True)
class Truncated(ReverseMode):
    """Backpropagate through the last `steps` of the K iterations. The iterate before them is treated as constant.

    The residual `b - A u` before them depends on `b` and `A`, which are differentiated; only its `u` is constant. If a
    system ran at most `steps` iterations, the gradient is that of `Unrolled`. The buffer holds `steps` states,
    independent of K. For a stationary iteration with rate rho, the gradient error decreases as `rho^steps`. See
    `ReverseMode` for the role of the tolerance.

    Args:
        steps: K', at least 1.

    Raises:
        ValueError: If `steps` is below 1.

    Source: Shaban et al. 2019, *Truncated back-propagation for bilevel optimization*.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        integer("steps", self.steps, 1)

    def check(self, solver: Solver, operator: Operator) -> None:
        """Check that the solver is not preconditioned: its iterations would act on an unknown other than `u`.

        Raises:
            ValueError: If it is preconditioned.
        """
        if isinstance(solver, Preconditioned):
            raise ValueError("truncated differentiation is not defined for a preconditioned solver")

    @property
    def record(self) -> Record:
        """Stores the last `steps` states of each system."""
        return Record(self.steps, ring=True)

    @property
    def kept(self) -> int:
        """The last `steps` iterations."""
        return self.steps

    def reverse(self, reversal: Reversal, loop: Loop, carry: Carry) -> tuple[Carry, Any]:
        """Reverse the last `steps` iterations of each system."""
        counts, kept = loop.counts, self.steps

        def before(iteration: Any) -> Any:
            """Return the state before the given iteration, which differs between systems."""
            slot = iteration % kept

            def pick(h: Any) -> Any:
                index = expand(slot, h.ndim - 1 - slot.ndim)[None]
                return jnp.take_along_axis(h, index, axis=0)[0]

            return jax.tree.map(pick, loop.history)

        def body(j: Any, carry: Carry) -> Carry:
            return reversal.step(before(counts - 1 - j), j < counts, carry)

        carry = jax.lax.fori_loop(0, jnp.minimum(loop.trips, kept), body, carry)
        whole = counts <= kept
        carry = reversal.residual(before(counts - kept).value, ~whole, carry)
        state_bar, operator_bar, rhs_bar = carry
        return (reversal.masked(whole, state_bar), operator_bar, rhs_bar), jnp.minimum(loop.largest, kept)


@dataclass(frozen=True)
class OneStep(Truncated):
    """Differentiate only the last iteration, from a constant `u^[K-1]`: `Truncated` with one step.

    Raises:
        ValueError: If `steps` is not 1.

    Source: Bolte et al. 2023, *One-step differentiation of iterative algorithms*.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps != 1 or self.steps is True:
            raise ValueError(f"steps={self.steps}: allowed is 1; use Truncated for more")
