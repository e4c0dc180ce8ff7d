"""The solver loop: at most K iterations with a traced K; each system stops when it is done."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from prdp.linalg import Operator, norm, relative_norm, rounding_level, vary_alike
from prdp.linalg.norms import expand
from prdp.solvers.base import Solver, State
from prdp.solvers.status import Status

# A residual within this factor of the rounding errors of `b - A u` cannot decrease much further.
_ROUNDING = 10


class Iterated(NamedTuple):
    """The result of the loop.

    Attributes:
        value: the computed solution, `(*batch, *shape)`.
        state: the solver's final state.
        residual: measured relative residual `||b - A u||/||b||` per system, `(*batch,)`.
        iterations: iterations per system, `(*batch,)`, int32.
        products: products with `A` per system, including those for verification, `(*batch,)`, int32.
        trips: passes of the loop, the maximum of `iterations`; under `vmap`, the maximum over all lanes.
        status: the `Status` per system, `(*batch,)`, int32.
        history: the stacked states that `record` selects, or `None` without `record`.
    """

    value: Float[Array, "..."]
    state: State
    residual: Float[Array, "..."]
    iterations: Int[Array, "..."]
    products: Int[Array, "..."]
    trips: Int[Array, ""]
    status: Int[Array, "..."]
    history: Any


Leave = Callable[[Array, Any], Array]


def each(residual: Float[Array, "..."], tolerance: Any) -> Bool[Array, "..."]:
    """Stop each system when its own relative residual is below the tolerance (paper, eq. 6)."""
    return (residual < tolerance) | (residual == 0)


def together(residual: Float[Array, "..."], tolerance: Any) -> Bool[Array, "..."]:
    """Stop all systems at once, when their mean relative residual is below the tolerance."""
    return jnp.broadcast_to(each(jnp.mean(residual), tolerance), residual.shape)


def never(residual: Float[Array, "..."], tolerance: Any) -> Bool[Array, "..."]:
    """Run all K iterations."""
    return jnp.zeros_like(residual, bool)


class Record(NamedTuple):
    """The states that the loop stores, e.g. for a backward pass.

    Attributes:
        room: the capacity, a static number of states.
        stride: store the states before iterations `0, stride, 2 stride, ...`, up to the capacity.
        ring: instead, store the last `room` states of each system, the one before iteration k at `k % room`.
        view: the part of a state to store, by default all of it.
    """

    room: int
    stride: int = 1
    ring: bool = False
    view: Callable[[State], Any] = lambda state: state

    def empty(self, state: State) -> Any:
        """Return a history of zeros."""
        return jax.tree.map(lambda x: jnp.zeros((self.room, *x.shape), x.dtype), self.view(state))

    def write(self, history: Any, k: Array, active: Array, state: State) -> Any:
        """Return the history with the state before iteration `k`."""
        state = self.view(state)
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


class _Run(NamedTuple):
    """The loop carry; `previous` is the residual one iteration earlier."""

    trips: Array
    state: State
    residual: Array
    previous: Array
    counts: Array
    history: Any


class _Round(NamedTuple):
    """The carry of the outer loop, for solvers whose residual must be verified.

    Attributes:
        run: the carry of the inner loop.
        measured: the residual measured at the last verification, initially at the guess.
        settled: whether the system is done.
        checks: the number of verifications per system, one product each.
    """

    run: _Run
    measured: Array
    settled: Array
    checks: Array


def iterate(
    solver: Solver,
    operator: Operator,
    rhs: Float[Array, "..."],
    guess: Float[Array, "..."] | None,
    iterations: Int[Array, "..."] | int,
    tolerance: Float[Array, "..."] | float,
    leave: Leave = each,
    record: Record | None = None,
) -> Iterated:
    """Run each system for at most `iterations` iterations, or until `leave` stops it.

    A system that has stopped or failed is frozen, so its result does not depend on the rest of the batch. Except with
    `never`, a zero right-hand side converges at once to the zero solution. Under `vmap`, K may differ between lanes:
    one loop runs until the last lane ends, and finished lanes are frozen.

    **Residuals are measured.** If a solver updates its residual by a recursion, `b - A u` is computed once all systems
    have stopped. Systems whose recursion falsely reports convergence restart from their iterate, as long as each
    restart halves the measured residual. A measured residual that no longer decreases is compared with the rounding
    errors of the product (`rounding_level`) to distinguish `PRECISION_LIMIT` from `STAGNATED`.

    Args:
        solver: the solver.
        operator: `A`, as returned by `solver.prepare`.
        rhs: `b`, shape `(*batch, *operator.shape)`.
        guess: the initial guess, or `None` for zero.
        iterations: K, the maximum number of iterations, one number or one per system. May be traced: changing it does
            not recompile. Solvers that are not iterative take one step.
        tolerance: relative to `||b||`, one number or one per system.
        leave: the stopping rule: `each` (per system), `together` (mean residual) or `never`.
        record: the states to store, or `None`.
    """
    rank = operator.rank
    # Assemble the system once: without the barrier, XLA fuses the assembly into every product of the loop.
    operator, rhs = jax.lax.optimization_barrier((operator, rhs))
    rhs_norm = norm(rhs, rank)
    if guess is not None and leave is not never:
        guess = jnp.where(expand(rhs_norm == 0, rank), 0, guess)
    measure = partial(relative_norm, rhs_norm=rhs_norm, rank=rank)
    state = vary_alike(solver.init(operator, rhs, guess), rhs)
    beginning = measure(state.residual)
    epsilon = jnp.finfo(beginning.dtype).eps
    # Beyond this, rounding errors exceed the initial residual.
    limit = jnp.maximum(beginning, 1) / epsilon
    budget = iterations if solver.is_iterative else jnp.minimum(iterations, 1)
    # A linear iteration continues even at zero residual, because its derivative still changes. A Krylov method ends at
    # epsilon^2: its iterate no longer changes, and the derivatives of its quotients would overflow.
    ends = leave is never and not solver.is_linear

    def is_active(run: _Run, settled: Array) -> Array:
        # Comparisons with NaN are false, so a non-finite residual stops the system.
        active = (run.residual < limit) & (run.state.failure == 0) & (run.counts < budget) & ~settled
        active &= ~leave(run.residual, tolerance)
        return active & (run.residual > epsilon**2) if ends else active

    def go(run: _Run, settled: Array) -> _Run:
        def body(run: _Run) -> _Run:
            active, state = is_active(run, settled), run.state
            history = None if record is None else record.write(run.history, run.trips, active, state)
            state = select(active, solver.step(operator, rhs, state), state)
            return _Run(
                run.trips + 1,
                state,
                jnp.where(active, measure(state.residual), run.residual),
                jnp.where(active, run.residual, run.previous),
                run.counts + active.astype(jnp.int32),
                history,
            )

        return jax.lax.while_loop(lambda run: in_any_lane(jnp.any(is_active(run, settled))), body, run)

    none = jnp.zeros_like(beginning, bool)
    zero = jnp.zeros_like(beginning, jnp.int32)
    history = None if record is None else record.empty(state)
    infinite = jnp.full_like(beginning, jnp.inf)
    run, none, zero = vary_alike(
        (_Run(jnp.int32(0), state, beginning, infinite, zero, history), none, zero),
        rhs,
        iterations,
        tolerance,
    )
    if solver.measures_residual:
        run, checks, claimed, lost = go(run, none), zero, none, none
        residual = run.residual
    else:

        def verify(rounds: _Round) -> tuple[_Round, Array]:
            run = go(rounds.run, rounds.settled)
            fresh = solver.init(operator, rhs, solver.solution(operator, run.state))
            unsettled = ~rounds.settled
            residual = jnp.where(unsettled, measure(fresh.residual), rounds.measured)
            claimed = (
                leave(run.residual, tolerance) | each(run.residual, tolerance) | (run.state.failure != 0)
            )
            again = unsettled & claimed & ~each(residual, tolerance) & (run.counts < budget)
            again &= (residual < rounds.measured / 2) & (leave is not never) & ~leave(residual, tolerance)
            state = select(again, fresh, run.state)
            run = run._replace(state=state, residual=jnp.where(again, residual, run.residual))
            return _Round(run, residual, ~again, rounds.checks + unsettled.astype(jnp.int32)), claimed

        def unfinished(rounds: _Round) -> Array:
            return in_any_lane(jnp.any(~rounds.settled))

        rounds = _Round(run, beginning, none, zero)
        if leave is never:
            rounds, claimed = verify(rounds)
        else:
            rounds = jax.lax.while_loop(unfinished, lambda r: verify(r)[0], rounds)
            claimed = each(rounds.run.residual, tolerance)
        run, residual, checks = rounds.run, rounds.measured, rounds.checks
        # The recursion has drifted from the true residual, and the iterate is worse than the guess.
        lost = (residual > 10 * run.residual) & (residual > beginning)

    value = solver.solution(operator, run.state)
    converged, failure = each(residual, tolerance), run.state.failure
    # The residual no longer decreases, or further iterations cannot be trusted to reduce it.
    stuck = (
        ~converged
        & (residual < limit)
        & (claimed | lost | (failure != 0) | (residual >= run.previous) | (not solver.is_iterative))
        & (run.counts > 0)
    )
    level = _rounding_level_where(stuck, solver.system(operator), value, rhs_norm)
    status = jnp.where((run.counts < budget) | lost, Status.STAGNATED, Status.BUDGET_SPENT)
    status = jnp.where(failure != 0, failure, status)
    status = jnp.where(stuck & (residual <= _ROUNDING * level), Status.PRECISION_LIMIT, status)
    if not solver.is_iterative:
        # With a relative residual of 0.5 or more, the factorisation has no correct digit.
        status = jnp.where(stuck, jnp.where(residual < 0.5, Status.PRECISION_LIMIT, Status.SINGULAR), status)
    status = jnp.where(converged, Status.CONVERGED, status)
    broken = jnp.where(residual >= limit, Status.DIVERGED, Status.NON_FINITE)
    broken = jnp.where(failure == Status.SINGULAR, Status.SINGULAR, broken)
    status = jnp.where(residual < limit, status, broken).astype(jnp.int32)
    if leave is not never:
        gave_up = (status >= Status.PRECISION_LIMIT) & (status <= Status.BREAKDOWN)
        worse = gave_up & (residual > beginning)
        origin = jnp.zeros_like(value) if guess is None else guess
        value = jnp.where(expand(worse, rank), origin, value)
        residual = jnp.where(worse, beginning, residual)
    products = run.counts * solver.matvecs_per_iteration + checks + int(guess is not None) + stuck
    return Iterated(value, run.state, residual, run.counts, products, run.trips, status, run.history)


def _rounding_level_where(stuck: Array, operator: Operator, value: Array, rhs_norm: Array) -> Array:
    """Return the relative `rounding_level` if any system is stuck (one product), and zeros otherwise (no product)."""
    return jax.lax.cond(
        in_any_lane(jnp.any(stuck)),
        lambda: rounding_level(operator, value) / jnp.where(rhs_norm == 0, 1, rhs_norm),
        lambda: vary_alike(jnp.zeros_like(rhs_norm), value),
    )


@jax.custom_batching.custom_vmap
def in_any_lane(flag: Array) -> Array:
    """Return whether `flag` holds in any lane of the enclosing `vmap`s, as one value shared by all lanes.

    With one condition per lane, the loop would copy the whole state of every lane after every pass, including the
    history for a backward pass.
    """
    return flag


@in_any_lane.def_vmap
def _(axis_size: int, in_batched: list[bool], flag: Array) -> tuple[Array, bool]:
    return in_any_lane(jnp.any(flag, axis=0) if in_batched[0] else flag), False


def select(condition: Array, new: State, old: State) -> State:
    """Return `new` for systems where `condition` (`(*batch,)`) holds, and `old` for the others."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(expand(condition, a.ndim - condition.ndim), a, b)

    return jax.tree.map(pick, new, old)
