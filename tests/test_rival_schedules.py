"""The exact decisions of the schedules that PRDP is compared with, and the physics errors that one of them needs."""

import json
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import prdp
from prdp import preparation
from prdp.config import ConfigError, parse
from prdp.linalg import Dense
from prdp.schedules import HOAG, PRDP, Flatness, Geometric, Matched
from prdp.training import physics_errors

EAGER = {"tau_step": 0.9, "tau_stop": 0.8, "grace_window": 2, "smoothing_window": 1}
# Every second metric is a plateau that improved on the last one.
STAIRS = [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
ERRORS = (0.5, 0.0625, 0.25, 0.015625, 0.001)
SEQUENCES = ("exponential", "quadratic", "cubic", "adaptive")
EVERY = {
    "geometric": Geometric(growth=1.3, cap=40, **EAGER),
    "flatness": Flatness(increment=2, gain=3.0, cap=40, **EAGER),
    "matched": Matched(ERRORS, 0.125),
    "matched, falling": Matched(ERRORS, 0.125, monotone=False),
    **{s: HOAG(25, s, sufficient_ratio=0.9) for s in SEQUENCES},
}


def trace(schedule, metrics):
    """Return K after each metric, and the states."""
    state, ks, states = schedule.init(), [], []
    for metric in metrics:
        state, k = schedule.update(state, metric)
        ks.append(k)
        states.append(state)
    return ks, states


def levels(schedule, metrics):
    """Return what steers the solver after each metric: the tolerance, or K."""
    return [getattr(s, "tolerance", s.iterations) for s in trace(schedule, metrics)[1]]


def history(seed, length=60):
    random = np.random.default_rng(seed)
    return [8 * float(x) for x in np.exp(np.cumsum(random.normal(-0.1, 0.3, length)))]


def test_geometric_multiplies_and_rounds_up():
    assert trace(Geometric(**EAGER), STAIRS)[0] == [1, 1, 2, 2, 3, 3, 5, 5, 8]
    assert trace(Geometric(iterations=20, growth=2.0, cap=100, **EAGER), STAIRS)[0][2::2] == [
        40,
        80,
        100,
        100,
    ]


def test_geometric_adds_at_least_its_increment():
    assert trace(Geometric(increment=4, **EAGER), STAIRS)[0][2::2] == [5, 9, 14, 21]


def test_a_rounding_error_of_the_product_raises_nothing():
    # 1.1 * 10 is above 11 in float64.
    schedule = Geometric(iterations=10, growth=1.1)
    assert schedule.raised(10, 1.0) == 11
    assert int(schedule.raised(jnp.int32(10), 1.0)) == 11
    assert schedule.raised(11, 1.0) == 13


def test_a_flatter_plateau_adds_more():
    schedule = Flatness(increment=4, gain=2.0, tau_step=0.5, tau_stop=0.8, grace_window=2, smoothing_window=1)
    # r = 0.625 -> 4 * 1.5, 0.75 -> 4 * 2, 1 is adequate, 2 counts as 1 -> 4 * 3, 0.25 is no plateau.
    ks, states = trace(schedule, [8.0, 8.0, 5.0, 3.75, 3.75, 7.5, 1.875])
    assert [s.ratio_step for s in states[2:]] == [0.625, 0.75, 1.0, 2.0, 0.25]
    assert ks == [1, 1, 7, 15, 15, 27, 27]


def test_flatness_rounds_halves_up_and_knows_the_steepest_threshold():
    assert Flatness(gain=2.0, tau_step=0.5).raised(1, 0.625) == 3
    assert Flatness(gain=2.0, tau_step=1.0).raised(1, 1.5) == 4
    assert Flatness().raised(7, math.nan) == 8


@pytest.mark.parametrize("seed", range(5))
def test_both_refine_when_prdp_does(seed):
    metrics = history(seed)
    expected, states = trace(PRDP(increment=3, cap=40, **EAGER), metrics)
    assert sum(s.refined for s in states) > 5
    assert trace(Flatness(increment=3, gain=0.0, cap=40, **EAGER), metrics)[0] == expected
    for schedule in (Geometric(cap=40, **EAGER), Flatness(cap=40, **EAGER)):
        others = trace(schedule, metrics)[1]
        assert [s.refined for s in others] == [s.refined for s in states]
        assert [s.checkpoint for s in others] == [s.checkpoint for s in states]


def test_the_sequences_of_hoag_are_those_of_the_paper():
    metrics, k = history(0, 12), np.arange(1, 13)
    make = partial(HOAG, 25, start=0.2, smallest=1e-3)
    formulas = {"exponential": 0.2 * 0.9**k, "quadratic": 0.2 / k**2, "cubic": 0.2 / k**3}
    for sequence, expected in formulas.items():
        schedule = make(sequence)
        np.testing.assert_allclose(levels(schedule, metrics), np.maximum(expected, 1e-3), rtol=1e-14)
        assert trace(schedule, metrics)[0] == [25] * 12
        # Whatever the metrics.
        assert levels(schedule, [math.nan] * 12) == levels(schedule, metrics)
        assert schedule.init().tolerance == 0.2


def test_the_sequences_of_hoag_are_summable():
    n = 2000
    sums = {s: sum(levels(HOAG(1, s, start=0.5, smallest=0.0), [1.0] * n)) for s in SEQUENCES[:3]}
    assert sums["exponential"] == pytest.approx(0.5 * 9, rel=1e-12)
    # What is left lies between the integrals from n + 1 and from n.
    assert 0.5 / (n + 1) < 0.5 * math.pi**2 / 6 - sums["quadratic"] < 0.5 / n
    zeta_3 = 1.2020569031595942
    assert 0.25 / (n + 1) ** 2 < 0.5 * zeta_3 - sums["cubic"] < 0.25 / n**2


def test_adaptive_halves_the_tolerance_where_progress_is_insufficient():
    schedule = HOAG(25, "adaptive", start=0.1, smallest=0.01, sufficient_ratio=0.5)
    metrics = [8.0, 3.0, 1.5, math.nan, 1.0, math.inf, 0.4, 0.3, 0.3, 0.1]
    expected = [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125, 0.01, 0.01]
    assert levels(schedule, metrics) == expected
    refined = [s.refined for s in trace(schedule, metrics)[1]]
    assert refined == [False, False, True, False, True, False, False, True, True, False]


def test_matched_takes_the_least_k_from_which_on_the_physics_is_below():
    schedule = Matched(ERRORS, 0.125, monotone=False)
    # Allowed is an eighth. K = 2 is below 1/8, but K = 3 is not; an error equal to the allowed one is not below.
    cases = {8.0: 1, 4.0: 2, 3.0: 2, 2.0: 4, 1.0: 4, 0.125: 5, 0.01: 5, 0.0: 5}
    assert {metric: trace(schedule, [metric])[0][0] for metric in cases} == cases


def test_matched_falls_only_where_it_may():
    metrics = [10.0, 1.0, 3.0, math.nan, math.inf, -1.0, 0.05]
    assert trace(Matched(ERRORS, 0.125), metrics)[0] == [1, 4, 4, 4, 4, 4, 5]
    ks, states = trace(Matched(ERRORS, 0.125, monotone=False), metrics)
    assert ks == [1, 4, 2, 2, 2, 2, 5]
    assert [s.refined for s in states] == [False, True, False, False, False, False, True]


def test_the_cap_holds_and_is_what_unknown_errors_ask_for():
    metrics = [10.0, 3.0, 1.0, 0.001]
    assert trace(Matched(ERRORS, 0.125, cap=3), metrics)[0] == [1, 2, 3, 3]
    assert trace(Matched(ERRORS, 0.125, cap=9), metrics)[0] == [1, 2, 4, 9]


@pytest.mark.parametrize("monotone", [True, False])
def test_matched_begins_at_its_least_k_and_stays_above(monotone):
    metrics = [1e9, 100, 10, 1e9]
    ks = trace(Matched(ERRORS, 0.125, least=3, monotone=monotone), metrics)[0]
    free = trace(Matched(ERRORS, 0.125, monotone=monotone), metrics)[0]
    assert min(free) < 3
    assert ks == [max(3, k) for k in free]
    assert set(trace(Matched(ERRORS, 0.125, least=9, cap=2, monotone=monotone), metrics)[0]) == {2}


@pytest.mark.parametrize("name", EVERY)
def test_traced_decisions_are_the_plain_ones(name):
    schedule, metrics = EVERY[name], [*history(3, 30), math.nan, *history(4, 30)]
    lanes = [metrics, metrics[::-1]]
    expected = [levels(schedule, lane) for lane in lanes]
    assert len(set(expected[0])) > 2

    def step(state, metric):
        state, k = schedule.update(state, metric)
        return state, getattr(state, "tolerance", k)

    def run(metrics):
        return jax.lax.scan(step, jax.tree.map(jnp.asarray, schedule.init()), metrics)[1]

    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(jax.vmap(run))(jnp.asarray(lanes)), expected, rtol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_a_state_survives_the_json_of_a_checkpoint(name):
    schedule, metrics = EVERY[name], history(3, 30)
    states = [schedule.init(), *trace(schedule, metrics)[1]]
    for before, metric, after in zip(states, metrics, states[1:], strict=False):
        stored = json.loads(json.dumps(before._asdict()))
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        assert repr(schedule.update(type(before)(**fields), metric)[0]) == repr(after)


def test_the_largest_k_is_known():
    schedules = (Geometric(cap=12), Flatness(cap=13), HOAG(25), Matched(ERRORS), Matched(ERRORS, cap=9))
    assert [s.largest_iterations for s in schedules] == [12, 13, 25, 5, 9]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Geometric(growth=1.0), "growth=1.0: allowed is a number > 1"),
        (lambda: Geometric(growth=math.inf), "growth=inf"),
        (lambda: Geometric(increment=0), "increment=0"),
        (lambda: Flatness(gain=-1.0), "gain=-1.0: allowed is a number >= 0"),
        (lambda: Flatness(gain=math.nan), "gain=nan"),
        (lambda: Flatness(tau_step=2.0), "tau_step=2.0"),
        (lambda: HOAG(0), "iterations=0: allowed is an integer >= 1"),
        (
            lambda: HOAG(5, "linear"),
            "sequence=linear: allowed is one of exponential, quadratic, cubic, adaptive",
        ),
        (lambda: HOAG(5, start=1.0), "start=1.0: allowed is 0 < start < 1"),
        (lambda: HOAG(5, smallest=1.0), "smallest=1.0: allowed is 0 <= smallest < 1"),
        (lambda: HOAG(5, sufficient_ratio=0.0), "sufficient_ratio=0.0: allowed is a number > 0"),
        (lambda: Matched(()), r"errors=\[\]: allowed is a list of numbers >= 0"),
        (lambda: Matched((1.0, math.nan)), r"errors=\[1.0, nan\]"),
        (lambda: Matched((1.0,), fraction=0.0), "fraction=0.0: allowed is a number > 0"),
        (lambda: Matched((1.0,), least=0), "least=0: allowed is an integer >= 1"),
        (lambda: Matched((1.0,), cap=0), "cap=0: allowed is an integer >= 1, or null"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("squared", [True, False])
def test_physics_errors_are_the_distances_to_the_exact_solution(x64, squared):
    random = np.random.default_rng(0)
    matrix = np.eye(8) * 4 + random.uniform(-0.5, 0.5, (3, 8, 8))
    rhs = random.normal(size=(3, 8))
    operator, b = Dense(jnp.asarray(matrix), (8,)), jnp.asarray(rhs)
    exact = np.linalg.solve(matrix, rhs[..., None])[..., 0]
    solver, expected = prdp.Jacobi(), []
    for k in range(1, 11):
        iterate = prdp.solve(operator, b, solver=solver, iterations=k, tolerance=0.0).value
        error = np.linalg.norm(iterate - exact, axis=-1) / np.linalg.norm(exact, axis=-1)
        expected.append(np.mean(error**2 if squared else error))
    errors = physics_errors(solver, operator, b, 10, 1e-8, squared)
    assert expected[0] > 100 * expected[-1]
    np.testing.assert_allclose(errors, expected, rtol=1e-2)
    assert physics_errors(prdp.Direct(), operator, b, 10, 1e-8, squared) == (0.0,)


def test_null_stands_for_k_epsilon(compose):
    for name in ("geometric", "flatness", "hoag", "matched"):
        config = parse(compose("physics=heat1d", f"schedule={name}", "converged_iterations=25"))
        assert [config.resolved_schedule(k).largest_iterations for k in (25, 31)] == [25, 31]


def test_errors_may_be_given(compose):
    config = parse(compose("schedule=matched", "schedule.errors=[0.5,0.25]", "metric=train_loss"))
    assert config.resolved_schedule(25) == Matched((0.5, 0.25), 0.01, cap=25)
    assert not config.schedule.needs_errors


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("schedule=geometric schedule.growth=1", "schedule.growth=1.0: allowed is a number > 1"),
        ("schedule=flatness schedule.gain=-1", "schedule.gain=-1.0: allowed is a number >= 0"),
        (
            "schedule=hoag schedule.sequence=x",
            "schedule.sequence=x: allowed is one of exponential, quadratic",
        ),
        ("schedule=matched schedule.fraction=0", "schedule.fraction=0.0: allowed is a number > 0"),
        ("schedule=matched schedule.errors=[]", "schedule.errors=[]: allowed is a list of numbers >= 0"),
        ("schedule=matched metric=train_loss", "metric=train_loss does not go with schedule=matched"),
    ],
)
def test_a_mistake_is_one_line(compose, mistake, told):
    with pytest.raises(ConfigError) as raised:
        parse(compose("physics=heat1d", *mistake.split()))
    assert told in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.fast("schedule=matched")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            "schedule=geometric schedule.grace_window=2 schedule.tau_step=0.01", marks=pytest.mark.slow
        ),
        pytest.param(
            "schedule=flatness schedule.grace_window=2 schedule.tau_step=0.01", marks=pytest.mark.slow
        ),
        "schedule=hoag schedule.sequence=cubic",
        "schedule=matched",
    ],
)
def test_a_run_does_what_its_schedule_says(compose, data_dir, run_in, tmp_path, options):
    overrides = ("physics=heat1d", "epochs=3", *options.split())
    outcome = run_in(tmp_path, *overrides)
    rows = pd.read_parquet(outcome.folder / "history.parquet")
    _, schedule, converged = preparation.prepare(parse(compose(*overrides, f"data_dir={data_dir}")))
    _, states = trace(schedule, rows["val_error"])
    assert converged == 25
    assert list(rows["iterations"][1:]) == [s.iterations for s in states[:-1]]
    assert list(rows["tolerance"][1:]) == [getattr(s, "tolerance", 1e-5) for s in states[:-1]]
    assert rows["iterations"].nunique() + rows["tolerance"].nunique() > 2
    assert outcome.summary["compilations"] == 1


@pytest.mark.parametrize("physics", ["heat1d", "poisson"])
def test_measured_errors_are_in_the_units_of_the_metric(compose, data_dir, physics):
    config = parse(
        compose(f"physics={physics}", f"data_dir={data_dir}", "schedule=matched", "progress=false")
    )
    _, schedule, converged = preparation.prepare(config)
    errors = schedule.errors
    assert len(errors) == converged == schedule.largest_iterations
    # K_epsilon is where the residual, a norm, is 1e-5.
    power = 1 if physics == "poisson" else 2
    assert 0.05 < errors[-1] ** (1 / power) / 1e-5 < 2
    assert list(errors) == sorted(set(errors), reverse=True)
