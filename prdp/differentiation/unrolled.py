"""Unrolled differentiation: reverse all K iterations, K traced."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax

from prdp.checks import integer
from prdp.differentiation.reverse import Carry, Loop, Reversal, ReverseMode
from prdp.solvers import Record


@dataclass(frozen=True)
class Unrolled(ReverseMode):
    """Backpropagate through the K iterations, from the last to the first: the gradient of the K-step map.

    The forward loop writes the state before every iteration to a buffer of `iterations_cap` states; the
    backward loop walks it in reverse with the VJP of one `solver.step`. Both are loops with a traced bound: K
    may change at every call, nothing is compiled again. Works for any solver and for parameters in `A`, in `b` and in
    the guess. Where K is a number at trace time it is also the cap. See `ReverseMode` for what the tolerance means.

    Args:
        iterations_cap: room for this many iterations. More than that gives the status `BUFFER_TOO_SMALL` and NaN.

    Raises:
        ValueError: `iterations_cap` is below 1.

    Source: paper, appendix C.2, eqs. 14-16.
    """

    iterations_cap: int | None = None

    def __post_init__(self) -> None:
        integer("iterations_cap", self.iterations_cap, 1, null=True)

    def with_capacity(self, iterations: int) -> "Unrolled":
        """Return the mode with room for so many iterations, where `iterations_cap` was left open."""
        return (
            self if self.iterations_cap is not None else dataclasses.replace(self, iterations_cap=iterations)
        )

    def prepare(self, iterations: Any) -> "Unrolled":
        """Return the mode with room for K iterations.

        Raises:
            ValueError: K is above the cap, or traced and no cap was given.
        """
        known = None if isinstance(iterations, jax.core.Tracer) else int(iterations)
        if self.iterations_cap is None:
            if known is None:
                raise ValueError("unrolled differentiation with a traced K needs iterations_cap")
            return dataclasses.replace(self, iterations_cap=known)
        if known is not None and known > self.iterations_cap:
            raise ValueError(f"iterations={known} is above iterations_cap={self.iterations_cap}")
        return self

    @property
    def room(self) -> int:
        """The cap."""
        assert self.iterations_cap is not None
        return self.iterations_cap

    @property
    def record(self) -> Record:
        """Every state."""
        return Record(self.room)

    def reverse(self, reversal: Reversal, loop: Loop, carry: Carry) -> tuple[Carry, Any]:
        """Walk the buffer from its end."""

        def body(j: Any, carry: Carry) -> Carry:
            k = loop.trips - 1 - j
            # A system that was frozen by iteration k contributes nothing and passes its cotangent on.
            return reversal.step(jax.tree.map(lambda h: h[k], loop.history), k < loop.counts, carry)

        return jax.lax.fori_loop(0, loop.trips, body, carry), loop.largest
