"""The loop: at most K iterations, K traced, each system leaving at its own tolerance."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from prdp.linalg import Operator, norm, relative_norm
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, State
from prdp.solvers.status import Status


class Iterated(NamedTuple):
    """What the loop hands back.

    Attributes:
        state: the solver's last state.
        residual: relative residual `||b - A u||/||b||` of each system, `(*batch,)`.
        iterations: iterations of each system until it left, `(*batch,)`, int32.
        trips: passes of the loop, the largest of `iterations`; under `vmap` one number, the largest of all lanes.
        status: a `Status` of each system, `(*batch,)`, int32.
        history: with `record`, states *before* iterations, stacked; otherwise `None`.
    """

    state: State
    residual: Float[Array, "..."]
    iterations: Int[Array, "..."]
    trips: Int[Array, ""]
    status: Int[Array, "..."]
    history: Any

    @property
    def largest(self) -> Int[Array, ""]:
        """The largest of `iterations`: what this batch needed, whoever shares its loop."""
        return jnp.max(self.iterations)


class Record(NamedTuple):
    """Which states the loop keeps for a backward pass.

    Attributes:
        room: how many, a static number.
        stride: those before iterations `0, stride, 2 stride, ...`; beyond the room nothing is kept.
        ring: keep the last ones of each system instead, that before its iteration k at `k % room` (stride 1).
    """

    room: int
    stride: int = 1
    ring: bool = False

    def write(self, history: State, k: Array, active: Array, state: State) -> State:
        """Return the history with the state before iteration `k`."""
        if self.ring:
            slot = k % self.room
            return jax.tree.map(
                lambda h, x: h.at[slot].set(x), history, select(active, state, _at(history, slot))
            )
        if self.stride == 1:
            return jax.tree.map(lambda h, x: h.at[k].set(x), history, state)
        slot = jnp.where(k % self.stride == 0, k // self.stride, self.room)
        return jax.tree.map(lambda h, x: h.at[slot].set(x), history, state)


def _at(history: State, slot: Array) -> State:
    return jax.tree.map(lambda h: h[slot], history)


def iterate(
    solver: Solver,
    operator: Operator,
    rhs: Float[Array, "..."],
    guess: Float[Array, "..."] | None,
    iterations: Int[Array, ""] | int,
    tolerance: Float[Array, "..."] | float,
    record: Record | None = None,
) -> Iterated:
    """Run at most `iterations` steps, each system until `||b - A u|| / ||b|| < tolerance` (paper, eq. 6).

    A system that has converged or failed is frozen, so that its result does not depend on which others share
    its batch. A zero right-hand side is converged at once, with the zero solution. Under `vmap`, K may differ by lane:
    all lanes run in one loop until the last has ended, where the others are frozen, as systems of a batch are.

    Args:
        solver: the iteration.
        operator: `A`, as `solver.prepare` returned it.
        rhs: `b`, shape `(*batch, *operator.shape)`.
        guess: where to start, or `None` for zero.
        iterations: K, the largest number of steps; may be traced, a change never recompiles.
        tolerance: relative, a number or one of each system; 0 uses all K steps.
        record: which states to keep for a backward pass, or `None`.
    """
    rank = operator.rank
    # The system is assembled once: XLA would else fuse the assembly into every product of the loop.
    operator, rhs = jax.lax.optimization_barrier((operator, rhs))
    rhs_norm = norm(rhs, rank)
    is_zero = rhs_norm == 0
    if guess is not None:
        guess = jnp.where(expand(is_zero, rank), 0, guess)
    state = solver.init(operator, rhs, guess)
    residual = jnp.where(is_zero, 0, relative_norm(state.residual, rhs_norm, rank))
    counts = jnp.zeros(residual.shape, jnp.int32)
    history = None
    if record is not None:
        history = jax.tree.map(lambda x: jnp.zeros((record.room, *x.shape), x.dtype), state)

    def is_active(k: Array, state: State, residual: Array) -> Array:
        # Comparisons with NaN are false: a non-finite residual ends the system.
        unsolved = (residual >= tolerance) & (residual < jnp.inf) & (state.failure == 0) & (residual > 0)
        return unsolved & (k < iterations)

    def go_on(carry: tuple) -> Array:
        k, state, residual, *_ = carry
        return in_any_lane(jnp.any(is_active(k, state, residual)))

    def body(carry: tuple) -> tuple:
        k, state, residual, counts, history = carry
        active = is_active(k, state, residual)
        if record is not None:
            history = record.write(history, k, active, state)
        proposal = solver.step(operator, rhs, state)
        state = select(active, proposal, state)
        residual = jnp.where(active, relative_norm(state.residual, rhs_norm, rank), residual)
        return k + 1, state, residual, counts + active, history

    trips, state, residual, counts, history = jax.lax.while_loop(
        go_on, body, (jnp.int32(0), state, residual, counts, history)
    )
    converged = (residual < tolerance) | (residual == 0)
    status = jnp.where(converged, Status.CONVERGED, Status.BUDGET_SPENT)
    status = jnp.where(~converged & (state.failure != 0), state.failure, status)
    singular = state.failure == Status.SINGULAR
    status = jnp.where(
        jnp.isfinite(residual), status, jnp.where(singular, Status.SINGULAR, Status.NON_FINITE)
    )
    return Iterated(state, residual, counts, trips, status.astype(jnp.int32), history)


@jax.custom_batching.custom_vmap
def in_any_lane(flag: Array) -> Array:
    """Return whether `flag` holds in any lane of the `vmap`s around, one value for all of them.

    A loop with a condition of each lane's own would have to copy every lane's whole state after every pass, the
    history for a backward pass included.
    """
    return flag


@in_any_lane.def_vmap
def _(axis_size: int, in_batched: list[bool], flag: Array) -> tuple[Array, bool]:
    return in_any_lane(jnp.any(flag, axis=0) if in_batched[0] else flag), False


def select(condition: Array, new: State, old: State) -> State:
    """Return `new` for the systems where `condition` (`(*batch,)`) holds and `old` for the others."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(expand(condition, a.ndim - condition.ndim), a, b)

    return jax.tree.map(pick, new, old)
