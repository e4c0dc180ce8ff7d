"""Unrolled differentiation that recomputes iterations between snapshots."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from prdp.checks import integer
from prdp.differentiation.reverse import Carry, Loop, Reversal
from prdp.differentiation.unrolled import Unrolled
from prdp.solvers import Record


@dataclass(frozen=True)
class Checkpointed(Unrolled):
    """The gradient of `Unrolled` with less memory: it stores `snapshots + iterations_cap / snapshots` states.

    The forward loop stores its state every `iterations_cap / snapshots` iterations. The backward loop recomputes each
    segment between two snapshots and then reverses it, so every iteration is computed twice.

    Args:
        iterations_cap: the largest K that the buffer supports, or `None` for K itself if it is not traced.
        snapshots: the number of snapshots, or `None` for the square root of `iterations_cap`, which minimises memory.

    Raises:
        ValueError: If `iterations_cap` or `snapshots` is below 1.

    Source: Griewank 1992, *Achieving logarithmic growth of temporal and spatial complexity in reverse automatic
    differentiation*. This implementation uses two levels instead of logarithmically many, since K is known only at
    run time.
    """

    snapshots: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("snapshots", self.snapshots, 1, null=True)

    @property
    def record(self) -> Record:
        """Stores the first state of every segment."""
        cap = super().room
        snapshots = min(self.snapshots or math.ceil(math.sqrt(cap)), cap)
        return Record(snapshots, stride=math.ceil(cap / snapshots))

    def reverse(self, reversal: Reversal, loop: Loop, carry: Carry) -> tuple[Carry, Any]:
        """Recompute and reverse the segments, from last to first."""
        stride = self.record.stride

        def segment(i: Any, carry: Carry) -> Carry:
            first = ((loop.trips - 1) // stride - i) * stride

            def again(state: Any, j: Any) -> tuple[Any, Any]:
                return reversal.again(state, first + j < loop.counts), state

            start = reversal.safe(jax.tree.map(lambda h: h[first // stride], loop.history))
            _, states = jax.lax.scan(again, start, jnp.arange(stride))

            def body(j: Any, carry: Carry) -> Carry:
                k = stride - 1 - j
                return reversal.step(jax.tree.map(lambda h: h[k], states), first + k < loop.counts, carry)

            return jax.lax.fori_loop(0, stride, body, carry)

        segments = (loop.trips + stride - 1) // stride
        # Every iteration is recomputed and then reversed.
        return jax.lax.fori_loop(0, segments, segment, carry), 2 * loop.largest
