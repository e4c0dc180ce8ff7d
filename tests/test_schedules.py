"""The exact decisions of each schedule on hand-made histories."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prdp.schedules import PRDP, Deadline, Fixed, Linear, TolerancePRDP, TwoStage
from tests.cases import some_fast

plain = partial(PRDP, tau_step=0.9, tau_stop=0.8, grace_window=2, smoothing_window=1)


def trace(schedule, metrics):
    """Return K after each metric and the states."""
    state, ks, states = schedule.init(), [], []
    for metric in metrics:
        state, k = schedule.update(state, metric)
        ks.append(k)
        states.append(state)
    return ks, states


def algorithm_4(metrics, tau_step, tau_stop, grace_window, smoothing_window, k0, increment, c, cap):
    """The paper's Algorithm 4 on whole lists, written without the controller's state."""
    ks, k = [], k0
    for end in range(1, len(metrics) + 1):
        smooth = [metrics[0]]
        alpha = 2 / (smoothing_window + 1)
        for metric in metrics[1:end]:
            smooth.append(alpha * metric + (1 - alpha) * smooth[-1])
        if end > grace_window and smooth[-1] / smooth[-grace_window] > tau_step:
            ratio = smooth[-1] / c
            if ratio < tau_stop or ratio > 1.0:
                c = smooth[-1]
                k = min(k + increment, cap)
        ks.append(k)
    return ks


def test_no_decision_before_the_grace_window_is_full():
    ks, states = trace(plain(grace_window=4), [1.0] * 6)
    assert ks == [1, 1, 1, 1, 2, 2]
    assert [math.isnan(s.ratio_step) for s in states] == [True] * 4 + [False] * 2


def test_no_plateau_keeps_k():
    ks, states = trace(plain(), [1.0, 0.8, 0.6, 0.4, 0.2])
    assert ks == [1] * 5
    assert not any(s.refined for s in states)
    assert states[-1].checkpoint == 100.0


def test_a_plateau_that_improved_on_the_last_one_refines_and_moves_the_checkpoint():
    ks, states = trace(plain(), [1.0, 1.0, 1.0, 0.5, 0.5])
    assert ks == [1, 1, 2, 2, 3]
    assert [s.checkpoint for s in states] == [100.0, 100.0, 1.0, 1.0, 0.5]
    assert states[-1].ratio_stop == 0.5


def test_a_plateau_without_improvement_keeps_k_for_good():
    ks, states = trace(plain(), [1.0, 1.0, 1.0, 0.9, 0.9, 0.9])
    assert ks == [1, 1, 2, 2, 2, 2]
    assert states[-1].ratio_step > 0.9
    assert 0.8 <= states[-1].ratio_stop <= 1.0
    assert not states[-1].refined


def test_a_plateau_above_the_checkpoint_refines():
    ks, states = trace(plain(), [1.0, 1.0, 1.0, 1.2, 1.2])
    assert ks == [1, 1, 2, 3, 3]
    assert states[3].ratio_stop == pytest.approx(1.2)
    # r_c = 1 exactly is neither improvement nor divergence.
    assert states[4].ratio_stop == 1.0
    assert not states[4].refined


def test_thresholds_are_strict():
    # r = tau_step exactly is no plateau; r_c = tau_stop exactly is no improvement.
    assert trace(PRDP(tau_step=0.5, grace_window=2, smoothing_window=1), [1.0, 1.0, 0.5])[0] == [1, 1, 1]
    schedule = PRDP(tau_step=0.25, tau_stop=0.5, grace_window=2, smoothing_window=1, checkpoint=2.0)
    ks, states = trace(schedule, [1.0, 1.0, 1.0])
    assert ks == [1, 1, 1]
    assert states[-1].ratio_stop == 0.5


def test_the_grace_window_looks_delta_minus_one_back():
    _, states = trace(plain(grace_window=3), [16.0, 8.0, 4.0, 2.0])
    assert states[-1].ratio_step == 2.0 / 8.0


def test_smoothing_is_an_exponential_average_started_from_the_first_metric():
    _, states = trace(PRDP(smoothing_window=3), [4.0, 2.0, 2.0])
    assert [s.smoothed for s in states] == [4.0, 3.0, 2.5]


def test_increment_and_cap():
    ks, _ = trace(plain(iterations=25, increment=10, cap=40), [3.0, 3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 0.5, 0.5])
    assert ks == [25, 25, 35, 35, 40, 40, 40, 40, 40]


def test_a_metric_that_is_not_finite_is_passed_over():
    metrics = [1.0, 1.0, math.nan, math.inf, 1.0]
    ks, states = trace(plain(), metrics)
    assert ks == [1, 1, 1, 1, 2]
    assert states[2].smoothed == 1.0
    assert math.isnan(states[2].ratio_step)


def test_a_metric_that_reaches_zero_is_a_plateau():
    ks, _ = trace(plain(), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    assert ks == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("seed", some_fast(range(20), range(6)))
def test_decisions_equal_algorithm_4_on_random_histories(seed):
    random = np.random.default_rng(seed)
    metrics = list(np.exp(np.cumsum(random.normal(-0.03, 0.15, 80))))
    options = {
        "tau_step": random.uniform(0.8, 1),
        "tau_stop": random.uniform(0.8, 1),
        "grace_window": int(random.integers(2, 6)),
        "smoothing_window": int(random.integers(1, 9)),
    }
    expected = algorithm_4(metrics, **options, k0=2, increment=3, c=100.0, cap=40)
    schedule = PRDP(iterations=2, increment=3, cap=40, **options)
    ks, _ = trace(schedule, metrics)
    assert ks == expected
    assert len(set(ks)) > 2

    # The same decisions when traced, and one lane each under vmap.
    state = jax.tree.map(jnp.asarray, schedule.init())
    update = jax.jit(schedule.update)
    traced = []
    with jax.enable_x64(True):
        for metric in metrics:
            state, k = update(state, jnp.asarray(metric))
            traced.append(int(k))
    assert traced == expected


def test_prdp_runs_inside_scan_and_vmap():
    schedule = plain(cap=9)
    metrics = jnp.asarray([[1.0, 1.0, 1.0, 0.5, 0.5], [1.0, 0.8, 0.6, 0.4, 0.2]])

    def run(metrics):
        state = jax.tree.map(jnp.asarray, schedule.init())
        return jax.lax.scan(schedule.update, state, metrics)[1]

    np.testing.assert_array_equal(jax.vmap(run)(metrics), [[1, 1, 2, 2, 3], [1, 1, 1, 1, 1]])


def test_tolerances_tighten_where_prdp_would_raise_k():
    random = np.random.default_rng(7)
    metrics = list(np.exp(np.cumsum(random.normal(-0.03, 0.15, 80))))
    options = {"tau_step": 0.9, "tau_stop": 0.95, "grace_window": 2, "smoothing_window": 3}
    ks, _ = trace(PRDP(iterations=4, increment=3, cap=20, **options), metrics)
    assert len(set(ks)) == 7
    schedule = TolerancePRDP(iterations=20, start=4, increment=3, smallest=1e-5, **options)
    budgets, states = trace(schedule, metrics)
    assert set(budgets) == {20}
    # As tight as K iterations of a solver that takes 20 to 1e-5 with a constant rate.
    np.testing.assert_allclose([s.tolerance for s in states], [1e-5 ** (k / 20) for k in ks], rtol=1e-12)
    assert schedule.init().tolerance == 1e-5 ** (4 / 20)
    assert states[-1].tolerance == 1e-5

    update, traced = jax.jit(schedule.update), []
    with jax.enable_x64(True):
        state = jax.tree.map(jnp.asarray, schedule.init())
        for metric in metrics:
            state, _ = update(state, jnp.asarray(metric))
            traced.append(float(state.tolerance))
    np.testing.assert_allclose(traced, [s.tolerance for s in states], rtol=1e-12)


def test_linear_starts_after_the_untrained_metric_and_stops_at_its_cap():
    assert trace(Linear(25, 5, 40), [0.0] * 6)[0] == [25, 30, 35, 40, 40, 40]
    assert trace(Linear(1, 2, 6, interval=3), [0.0] * 10)[0] == [1, 1, 1, 3, 3, 3, 5, 5, 5, 6]
    jitted = jax.jit(Linear(1, 2, 6, interval=3).update)
    state, ks = jax.tree.map(jnp.asarray, Linear(1, 2, 6, interval=3).init()), []
    for _ in range(10):
        state, k = jitted(state, 0.0)
        ks.append(int(k))
    assert ks == [1, 1, 1, 3, 3, 3, 5, 5, 5, 6]


EAGER = {"tau_step": 0.5, "tau_stop": 1.0, "grace_window": 2, "smoothing_window": 1}


def test_a_deadline_holds_refinement_back_and_matches_the_physics_at_the_end():
    # A plateau at every metric: PRDP itself refines after each from the third on.
    metrics = [0.9**i for i in range(11)]
    assert trace(PRDP(cap=9, **EAGER), metrics)[0] == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    held = Deadline(cap=9, intervals=11, power=2.0, last=0.0, errors=(1.0,), **EAGER)
    # At most 1 + floor(8 (n/10)^2) in the intervals n = 0, 1, ...; one more at a time.
    assert trace(held, metrics)[0] == [1, 1, 1, 1, 2, 3, 3, 4, 5, 6, 7]
    # The last three intervals: the physics error is to be below 0.1 times the metric, 0.043, 0.039 and 0.035.
    errors = (1.0, 0.5, 0.2, 0.1, 0.0869, 0.03, 0.0388, 0.02)
    late = Deadline(cap=9, intervals=11, power=2.0, last=3 / 11, errors=errors, fraction=0.1, **EAGER)
    assert trace(late, metrics)[0] == [1, 1, 1, 1, 2, 3, 3, 4, 6, 8, 9]


def test_a_deadline_without_errors_ends_with_the_cap_and_needs_to_know_when_that_is():
    late = Deadline(cap=9, intervals=4, last=0.5, **EAGER)
    assert late.needs_errors
    assert not Deadline(cap=9, last=0.0).needs_errors
    assert trace(late, [1.0] * 4)[0] == [1, 1, 9, 9]
    resolved = Deadline().resolved(converged=25, epochs=70, errors=(0.1, 0.01))
    assert (resolved.cap, resolved.intervals, resolved.errors) == (25, 70, (0.1, 0.01))
    with pytest.raises(ValueError, match="intervals=null"):
        Deadline(cap=9).update(Deadline(cap=9).init(), 1.0)
    # A metric that cannot be used changes nothing.
    assert trace(late, [1.0, 1.0, math.nan, math.nan])[0] == [1, 1, 1, 1]


def test_two_stages_switch_after_so_many_intervals():
    schedule = TwoStage(2, 25, after=3)
    # K of the intervals 1, 2, ...: the first metric is the untrained model's.
    assert trace(schedule, [1.0, math.nan, 0.1, 5.0, 0.0])[0] == [2, 2, 2, 25, 25]
    assert trace(TwoStage(2, 25, after=0), [1.0, 1.0])[0] == [25, 25]
    assert schedule.largest_iterations == 25
    update = jax.jit(schedule.update)
    state, ks = jax.tree.map(jnp.asarray, schedule.init()), []
    for metric in (1.0, 1.0, 1.0, 1.0):
        state, k = update(state, metric)
        ks.append(int(k))
    assert ks == [2, 2, 2, 25]


def test_fixed_never_moves():
    assert trace(Fixed(7), [1.0, math.nan, 0.0])[0] == [7, 7, 7]


def test_plain_floats_stay_plain():
    _, states = trace(plain(), [1.0, 1.0, 1.0])
    assert type(states[-1].iterations) is int
    assert type(states[-1].smoothed) is float
    assert type(states[-1].refined) is bool


def test_the_largest_k_is_known():
    assert (Fixed(7).largest_iterations, Linear(1, 1, 9).largest_iterations) == (7, 9)
    assert PRDP(cap=12).largest_iterations == 12
    with pytest.raises(ValueError, match=r"^cap=null: "):
        _ = PRDP().largest_iterations


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PRDP(tau_step=1.2), "tau_step=1.2: allowed is 0 < tau_step <= 1"),
        (lambda: PRDP(tau_step=math.nan), "tau_step=nan"),
        (lambda: PRDP(tau_stop=0.0), "tau_stop=0.0"),
        (lambda: PRDP(iterations=0), "iterations=0: allowed is an integer >= 1"),
        (lambda: PRDP(increment=0), "increment=0"),
        (lambda: PRDP(grace_window=1), "grace_window=1: allowed is an integer >= 2"),
        (lambda: PRDP(smoothing_window=0), "smoothing_window=0"),
        (lambda: PRDP(checkpoint=0.0), "checkpoint=0.0"),
        (lambda: PRDP(iterations=5, cap=4), r"cap=4: allowed is an integer >= iterations \(5\)"),
        (lambda: Fixed(0), "iterations=0"),
        (lambda: Fixed(True), "iterations=True"),
        (lambda: Linear(1, 0, 5), "increment=0"),
        (lambda: Linear(6, 1, 5), "cap=5"),
        (lambda: Linear(1, 1, 5, interval=0), "interval=0"),
        (lambda: TwoStage(0, 5, 5), "iterations=0"),
        (lambda: TwoStage(1, 0, 5), "final=0"),
        (lambda: TwoStage(1, 5, -1), "after=-1"),
        (lambda: TolerancePRDP(0), "iterations=0"),
        (lambda: TolerancePRDP(5, start=0), "start=0"),
        (lambda: TolerancePRDP(5, increment=0), "increment=0"),
        (lambda: TolerancePRDP(5, smallest=0.0), "smallest=0.0: allowed is 0 < smallest < 1"),
        (lambda: TolerancePRDP(5, tau_step=2.0), "tau_step=2.0"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
