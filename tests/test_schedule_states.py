"""No state of a schedule holds a NaN, whatever JAX's checks are, and no metric is taken that has no ratio."""

import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from prdp.schedules import (
    HOAG,
    PRDP,
    Deadline,
    Fixed,
    Flatness,
    Geometric,
    Linear,
    Matched,
    TolerancePRDP,
    TwoStage,
)
from prdp.tasks import MixedChain
from prdp.training import UnsuitableMetric
from tests.cases import some_fast

EAGER = {"tau_step": 0.9, "tau_stop": 0.8, "grace_window": 2, "smoothing_window": 1}
EVERY = {
    "fixed": Fixed(7),
    "linear": Linear(1, 2, 9, interval=2),
    "two_stage": TwoStage(2, 25, after=3),
    "prdp": PRDP(cap=9, **EAGER),
    "prdp without cap": PRDP(**EAGER),
    "geometric": Geometric(cap=40, **EAGER),
    "flatness": Flatness(gain=3.0, cap=40, **EAGER),
    "tolerance_prdp": TolerancePRDP(20, start=2, **EAGER),
    "deadline": Deadline(cap=9, intervals=12, power=1.0, errors=(0.5, 0.25, 0.01), fraction=0.5, **EAGER),
    "matched": Matched((0.5, 0.0625, 0.25, 0.015625, 0.001), 0.125),
    **{f"hoag {s}": HOAG(25, s) for s in ("exponential", "quadratic", "cubic", "adaptive")},
}
RATIOS = ("prdp", "deadline", "prdp without cap", "geometric", "flatness", "tolerance_prdp", "hoag adaptive")
METRICS = [1.0, 1.0, 1.0, 0.5, 0.5, math.nan, 0.5, math.inf, 0.25, 0.25, 0.0, 0.0]


def levels(schedule, metrics):
    state, found = schedule.init(), []
    for metric in metrics:
        state, k = schedule.update(state, metric)
        found.append(float(getattr(state, "tolerance", k)))
    return found


def traced_levels(schedule, metrics, wrap=jax.jit):
    update = wrap(schedule.update)
    state, found = jax.tree.map(jnp.asarray, schedule.init()), []
    for metric in metrics:
        state, k = update(state, metric)
        found.append(float(getattr(state, "tolerance", k)))
    return found, state


@pytest.fixture
def arrays():
    """The metrics as arrays, which JAX's checks let no one make of a NaN."""
    return [jnp.float32(metric) for metric in METRICS]


@pytest.fixture
def strict(arrays):
    """JAX with all of its checks."""
    with (
        jax.debug_nans(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        yield


@pytest.mark.parametrize(
    ("name", "way"),
    some_fast(
        itertools.product(EVERY, ["jitted", "eager"]),
        [*((name, "jitted") for name in EVERY), ("tolerance_prdp", "eager"), ("hoag adaptive", "eager")],
    ),
)
def test_schedules_trace_under_all_checks_of_jax(arrays, strict, name, way):
    schedule = EVERY[name]
    found, state = traced_levels(schedule, arrays, jax.jit if way == "jitted" else lambda f: f)
    np.testing.assert_allclose(found, levels(schedule, METRICS), rtol=1e-5)
    assert all(np.isfinite(x) or np.isinf(x) for x in jax.tree.leaves(state))


@pytest.mark.parametrize("name", EVERY)
def test_schedules_are_vmapped_and_scanned_under_all_checks_of_jax(strict, name):
    schedule, lanes = EVERY[name], [METRICS, METRICS[::-1]]
    metrics = np.asarray(lanes, np.float32)

    def step(state, metric):
        state, k = schedule.update(state, metric)
        return state, getattr(state, "tolerance", k)

    def run(metrics):
        return jax.lax.scan(step, jax.tree.map(jnp.asarray, schedule.init()), metrics)[1]

    found = jax.jit(jax.vmap(run))(metrics)
    np.testing.assert_allclose(found, [levels(schedule, lane) for lane in lanes], rtol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_a_state_has_no_nan_and_its_columns_have(name):
    schedule = EVERY[name]
    state = schedule.init()
    for metric in (math.nan, *METRICS):
        assert "NaN" not in json.dumps(state._asdict())
        if hasattr(state, "decided"):
            assert math.isnan(state.ratio_step) == math.isnan(state.ratio_stop) == (not state.decided)
            assert math.isnan(state.smoothed) == (state.seen == 0)
        state, _ = schedule.update(state, metric)


@pytest.mark.parametrize("metric", [-1.0, -2.0, -3.0])
@pytest.mark.parametrize("name", RATIOS)
def test_a_negative_number_is_refused(name, metric):
    schedule = EVERY[name]
    with pytest.raises(
        ValueError, match=rf"^metric={metric}: allowed is a number >= 0, since .*ratios of it$"
    ):
        schedule.update(schedule.init(), metric)
    assert "negative" in type(schedule).__doc__ or "`PRDP`" in type(schedule).__doc__


@pytest.mark.parametrize("name", RATIOS)
def test_a_traced_negative_metric_is_passed_over_and_counted(name):
    schedule = EVERY[name]
    metrics = [1.0, -1.0, 1.0, 1.0, -2.0, 0.5, -3.0, math.nan, 0.5]
    found, state = traced_levels(schedule, [jnp.float32(metric) for metric in metrics])
    good = [m for m in metrics if m >= 0]
    assert found[-1] == pytest.approx(levels(schedule, good)[-1], rel=1e-6)
    # Not where it is passed over.
    assert found[4] == found[3]
    if hasattr(state, "passed_over"):
        assert int(state.passed_over) == 4


def test_a_largest_k_does_not_overflow():
    for schedule in (
        PRDP(iterations=2**30 - 1, increment=2**30 - 1, **EAGER),
        Geometric(iterations=2**30 - 1, growth=1e30, **EAGER),
        Flatness(iterations=2**30 - 1, increment=2**30 - 1, gain=1e30, **EAGER),
    ):
        metrics = [1.0, 1.0, 1.0, 0.5, 0.5]
        assert set(levels(schedule, metrics)) == {2**30 - 1}
        update, state = jax.jit(schedule.update), jax.tree.map(jnp.asarray, schedule.init())
        for metric in metrics:
            state, k = update(state, jnp.float32(metric))
            assert int(k) == 2**30 - 1


# As versions 1.0 and before wrote it: after 1, 1, 1 and a NaN.
OLD = {
    "iterations": 2,
    "checkpoint": 1.0,
    "smoothed": 1.0,
    "recent": [1.0, 1.0],
    "seen": 3,
    "ratio_step": math.nan,
    "ratio_stop": math.nan,
    "refined": False,
}
BEFORE = {**OLD, "iterations": 1, "smoothed": math.nan, "recent": [math.nan, math.nan], "seen": 0}
DECIDED = {**OLD, "ratio_step": 1.0, "ratio_stop": 0.01, "refined": True}


@pytest.mark.parametrize(
    ("old", "metrics"), [(OLD, [1.0, 1.0, 1.0, math.nan]), (BEFORE, []), (DECIDED, [1.0] * 3)]
)
def test_checkpoints_with_nan_in_their_state_are_read(old, metrics):
    schedule = EVERY["prdp"]
    state = schedule.init()
    for metric in metrics:
        state, _ = schedule.update(state, metric)
    checkpoint = 100.0 if not metrics else 1.0
    restored = schedule.restored(json.loads(json.dumps({**old, "checkpoint": checkpoint})))
    assert restored._replace(passed_over=0) == state._replace(passed_over=0)

    tolerances = EVERY["tolerance_prdp"]
    state = tolerances.init()
    for metric in metrics:
        state, _ = tolerances.update(state, metric)
    stored = {
        **old,
        "checkpoint": checkpoint,
        "iterations": 20,
        "tolerance": state.tolerance,
        "level": state.level,
    }
    assert tolerances.restored(stored)._replace(passed_over=0) == state._replace(passed_over=0)


def test_a_state_of_another_schedule_is_refused():
    with pytest.raises(ValueError, match="the checkpoint holds no FixedState"):
        EVERY["fixed"].restored(OLD)


@pytest.mark.slow
def test_a_negative_metric_ends_a_run_in_one_line_with_its_column(run_in, tmp_path, monkeypatch):
    made = MixedChain.validate

    def negative(self, *arguments):
        columns = made(self, *arguments)
        return {**columns, "val_error": -1.0 - columns["val_error"]}

    monkeypatch.setattr(MixedChain, "validate", negative)
    options = (
        "physics=heat1d",
        "epochs=2",
        "converged_iterations=25",
        "model.width=8",
        "data.train_samples=25",
    )
    with pytest.raises(
        UnsuitableMetric, match=r"^val_error=-\d\S* after epoch 0 does not suit the schedule PRDP: "
    ):
        run_in(tmp_path, *options)
    # A schedule that does not look at it is not disturbed.
    outcome = run_in(tmp_path, *options, "schedule=fixed")
    assert (pd.read_parquet(outcome.folder / "history.parquet")["val_error"] < 0).all()
