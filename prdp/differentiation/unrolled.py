"""Unrolled differentiation: backpropagate through all K iterations, with a traced K."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax

from prdp.checks import integer
from prdp.differentiation.reverse import Carry, Loop, Reversal, ReverseMode
from prdp.solvers import Record


@dataclass(frozen=True)
class Unrolled(ReverseMode):
    """Backpropagate through the K iterations, from last to first: the gradient of the K-step map.

    The forward loop stores the state before every iteration in a buffer of `iterations_cap` states. The backward loop
    traverses the buffer in reverse and applies the VJP of `solver.step`. Both loops have a traced bound, so K may
    change at every call without recompiling. This works for any solver, and for parameters of `A`, `b` and the guess.
    See `ReverseMode` for the role of the tolerance, and for when the gradient converges.

    Args:
        iterations_cap: the capacity of the buffer, the largest supported K; `None` for K itself if it is not traced.
            A traced K above the cap gives NaN and the status `BUFFER_TOO_SMALL`.

    Raises:
        ValueError: If `iterations_cap` is below 1.

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
        """Return the mode with capacity for K iterations.

        Raises:
            ValueError: If K is above the cap, or if K is traced and no cap is given.
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
        """The capacity, `iterations_cap`."""
        assert self.iterations_cap is not None
        return self.iterations_cap

    @property
    def record(self) -> Record:
        """Stores every state."""
        return Record(self.room)

    def reverse(self, reversal: Reversal, loop: Loop, carry: Carry) -> tuple[Carry, Any]:
        """Reverse all iterations, from the end of the buffer."""

        def body(j: Any, carry: Carry) -> Carry:
            k = loop.trips - 1 - j
            # A system that was frozen before iteration k contributes nothing, and its cotangent is unchanged.
            return reversal.step(jax.tree.map(lambda h: h[k], loop.history), k < loop.counts, carry)

        return jax.lax.fori_loop(0, loop.trips, body, carry), loop.largest
