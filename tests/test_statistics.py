"""Numbers over seeds, which runs are compared, and what it costs to aggregate many."""

import math
import time

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from prdp.analysis.comparison import baseline, diverged, finished, tidy
from prdp.analysis.quantities import QUANTITIES, Ambiguous, NotTimedAlone, Selection, parameters, sufficient
from prdp.analysis.records import Records
from prdp.analysis.statistics import (
    Statistic,
    describe,
    exponent,
    relative_difference,
    sufficient_level,
    welch,
)
from tests.made_up_records import pair, records, run


def test_mean_std_and_median_are_those_of_the_sample():
    found = describe([1.0, 2.0, 3.0, 6.0])
    assert (found.runs, found.mean, found.median, found.diverged) == (4, 3.0, 2.5, 0)
    # (4 + 1 + 0 + 9) / 3
    assert found.std == pytest.approx(math.sqrt(14 / 3))


def test_one_run_has_no_spread_and_none_has_no_number():
    assert describe([0.5]) == Statistic(1, 0.5, None, 0.5, None, None, 0)
    nothing = describe([], diverged=2)
    assert (nothing.runs, nothing.std, nothing.low, nothing.diverged) == (0, None, None, 2)
    assert math.isnan(nothing.mean)


def test_equal_values_have_an_interval_of_no_width():
    assert describe([3.0] * 5)[:6] == (5, 3.0, 0.0, 3.0, 3.0, 3.0)
    assert describe([3.0] * 6, interval_of="median").low == 3.0


@pytest.mark.parametrize("size", [2, 3, 10, 40])
def test_the_interval_of_a_mean_is_students(size):
    x = np.random.default_rng(size).normal(1.0, 2.0, size)
    expected = scipy.stats.ttest_1samp(x, 0.0).confidence_interval(0.95)
    found = describe(x)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("size", [6, 9, 10, 25])
def test_the_interval_of_a_median_covers_it_often_enough_and_no_wider_one_is_taken(size):
    def coverage(lost):
        # The median lies between the order statistics unless too many values are on one side of it.
        return 1 - 2 * scipy.stats.binom.cdf(lost - 1, size, 0.5)

    x = range(size)
    found = describe(x, interval_of="median")
    lost = int(found.low) + 1
    assert found.high == size - lost
    assert coverage(lost) >= 0.95 > coverage(lost + 1)


def test_five_values_are_too_few_for_an_interval_of_their_median():
    found = describe([1.0, 2.0, 3.0, 4.0, 9.0], interval_of="median")
    assert (found.median, found.low, found.high) == (3.0, None, None)


def test_welchs_interval_is_that_of_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(3.0, 1.5, 10), rng.normal(5.0, 0.5, 7)
    expected = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = welch((a.mean(), a.std(ddof=1), 10), (b.mean(), b.std(ddof=1), 7))
    assert found == pytest.approx((expected.low, expected.high))
    assert welch((3.0, 0.0, 10), (2.0, 0.0, 10)) == (1.0, 1.0)


def test_a_relative_difference_is_paired_by_seed():
    found = relative_difference({1: 3.0, 2: 2.0, 3: 9.0}, {1: 2.0, 2: 2.0, 4: 8.0})
    # Seeds 1 and 2: (1 + 0) / 2, relative to the mean of 2.
    assert (found.runs, found.mean) == (2, 0.25)
    assert found.std == pytest.approx(math.sqrt(0.125))
    # t of one degree of freedom is 12.7.
    assert (found.low, found.high) == pytest.approx((0.25 - 12.706 * 0.25, 0.25 + 12.706 * 0.25), rel=1e-3)
    assert relative_difference({1: 1.0}, {2: 1.0}).runs == 0


def by_seed(*excess):
    """Errors by seed that exceed those of K_eps, 1, by these shares."""
    return {seed: 1.0 + e for seed, e in enumerate(excess)}


BASE = by_seed(0.0, 0.0, 0.0, 0.0)
WORSE, EQUAL = by_seed(0.08, 0.09, 0.1, 0.09), by_seed(0.01, -0.02, 0.03, 0.0)
# Its mean is the same as that of EQUAL, and its interval is wide.
OPEN = by_seed(0.4, -0.4, 0.3, -0.28)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({4: WORSE, 8: EQUAL, 16: BASE}, (8, 8)),
        # Worse by less than the margin is still worse.
        ({8: WORSE, 16: BASE}, (16, 16)),
        # Noise lets no level pass, but it may be the one.
        ({4: OPEN, 8: EQUAL, 16: BASE}, (8, 4)),
        ({4: OPEN, 16: BASE}, (16, 4)),
        # A better one suffices.
        ({4: by_seed(-0.3, -0.31, -0.32, -0.3), 16: BASE}, (4, 4)),
        # One seed says nothing.
        ({4: {0: 1.0}, 16: BASE}, (16, 16)),
        ({4: EQUAL, 16: {0: 1.0}}, None),
        ({4: EQUAL}, None),
    ],
)
def test_the_sufficient_level_is_the_lowest_that_more_iterations_do_not_improve(errors, expected):
    assert sufficient_level(errors, 16, 0.1) == expected


def test_the_exponent_of_a_power_law_is_found():
    sizes = [1000, 10_000, 100_000]
    assert exponent(sizes, [7 * n**-0.2 for n in sizes]) == pytest.approx(-0.2)


def test_cases_differ_in_configuration_and_arms_in_schedule():
    made = records(
        *pair(["e"]),
        run("small", ["e"], levels=[2, 4, 4], scale="small"),
        run("fan", ["e"], levels=[4] * 3, schedule="fixed"),
        run("loss", ["e"], levels=[2] * 3, metric="train_loss"),
    )
    frame = tidy(made).set_index("run")
    assert frame["case"].nunique() == 2
    assert frame.loc["small", "case"] != frame.loc["heat1d-prdp-1", "case"]
    arms = frame.groupby("arm").size().to_dict()
    assert arms == {"PRDP": 4, "converged, K = 10": 3, "K = 4": 1, "PRDP on the training loss": 1}


def test_arms_and_cases_are_told_apart_by_what_differs():
    made = records(
        run("a", ["e"], levels=[2], **{"schedule.tau_stop": 0.9, "data.form": "products"}),
        run("b", ["e"], levels=[2], **{"schedule.tau_stop": 0.98, "data.form": "products"}),
        run("c", ["e"], levels=[2], **{"schedule.tau_stop": 0.9, "data.form": "matched"}),
    )
    frame = tidy(made).set_index("run")
    assert frame["arm"].to_dict() == {
        "a": "PRDP (tau_stop = 0.9)",
        "b": "PRDP (tau_stop = 0.98)",
        "c": "PRDP",
    }
    assert frame["variant"].to_dict() == {
        "a": "form = products",
        "b": "form = products",
        "c": "form = matched",
    }


def test_of_two_records_of_one_run_the_last_counts():
    old = run("old", ["e"], levels=[2])
    new = run("new", ["e"], levels=[2], recorded="2026-02-01T00:00:00Z", seconds_train=9.0)
    assert list(tidy(records(new, old))["run"]) == ["new"]


def test_records_of_one_configuration_and_seed_with_other_numbers_are_refused():
    old, new = (run(name, ["e"], levels=[2], error=error) for name, error in (("old", 0.5), ("new", 0.1)))
    with pytest.raises(
        ValueError, match=r"runs old and new have the same .* \(val_error_final: 0\.5 and 0\.1\)"
    ):
        tidy(records(old, new))


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("model", ("mlp", "fourier_operator")),
        ("optimizer", ("adam", "lion")),
        ("task", ("mixed_chain", "mine")),
        ("data", ("fourier", "mine")),
        ("diff", ("implicit", "mine")),
        ("metric", ("val_error", "val_error_step_2")),
        ("schedule", ("prdp", "mine")),
        ("physics", ("heat1d", "wave")),
        ("solver", ("jacobi", "sor")),
        ("precision", ("float32", "float64")),
        ("planned_epochs", (1, 2)),
        ("schedule._target_", (None, "mine.Schedule")),
        ("model._target_", ("mine.A", "mine.B")),
        ("config.noise", (0.1, 0.2)),
    ],
)
def test_whatever_setting_differs_tells_runs_apart(key, values):
    frame = tidy(records(*(run(str(v), ["e"], levels=[2], **{key: v}) for v in values)))
    assert len(frame) == 2
    label = frame["physics"] + frame["variant"] + frame["arm"]
    assert label.nunique() == 2
    assert any(str(v) in text for v in values for text in label) or key == "metric"


def test_runs_of_other_lengths_are_other_cases_and_a_diverged_run_is_of_its_own():
    made = records(
        run("long", ["e"], levels=[2] * 4),
        run("short", ["e"], levels=[2] * 2, seed=2),
        run("lost", ["e"], levels=[2], seed=3, status="diverged", planned_epochs=4),
    )
    frame = tidy(made).set_index("run")
    assert frame.loc["long", "case"] != frame.loc["short", "case"]
    assert frame.loc["lost", "case"] == frame.loc["long", "case"]
    assert (diverged(frame), len(finished(frame))) == (1, 2)


def test_the_baseline_is_of_the_same_seed_else_the_mean_of_its_case():
    made = pair(["e"], theirs=(0.2, 0.3, 0.7))
    extra = run("alone", ["e"], levels=[2, 4, 4], seed=9)
    frame = tidy(records(*made, extra)).assign(row=lambda f: baseline(f, "val_error_final")).set_index("run")
    assert frame["row"].filter(like="prdp").to_list() == [0.2, 0.3, 0.7]
    assert frame.loc["alone", "row"] == pytest.approx(0.4)
    other = tidy(records(*made, run("gpu", ["e"], levels=[2, 4, 4], seed=9, device="gpu"))).set_index("run")
    assert math.isnan(baseline(other, "seconds", same_conditions=True)["gpu"])
    later = tidy(records(*made, run("new", ["e"], levels=[2, 4, 4], seed=9, commit="b"))).set_index("run")
    assert math.isnan(baseline(later, "seconds", same_conditions=True)["new"])


def select(*runs, **where):
    return Selection.of(records(*runs), "e").where(None, where)


def test_quantities_of_seeds_have_the_numbers_of_the_records():
    selection = select(*pair(["e"]))
    mean = QUANTITIES["mean"](selection, "savings")
    assert (mean.runs, mean.mean, mean.std) == (3, pytest.approx(2 / 3), pytest.approx(0))
    error = QUANTITIES["mean"](selection, "val_error_final")
    assert (error.mean, error.std) == (pytest.approx(0.03), pytest.approx(0.01))
    # (0 + 0.01 + 0.02) / 3 of 0.02
    assert QUANTITIES["accuracy"](selection).mean == pytest.approx(0.5)
    assert QUANTITIES["final_residual"](selection, 10).mean == pytest.approx(1e-5)
    assert QUANTITIES["final_residual"](selection, 9).runs == 0
    assert QUANTITIES["difference"](selection, "iterations_final", "prdp", "converged").mean == -6


def test_what_diverged_is_counted_and_in_no_mean():
    selection = select(
        *pair(["e"]), run("x", ["e"], levels=[2] * 3, seed=4, error=math.inf, status="diverged")
    )
    found = QUANTITIES["mean"](selection, "val_error_final")
    assert (found.runs, found.mean, found.diverged) == (3, pytest.approx(0.03), 1)
    assert QUANTITIES["accuracy"](selection).diverged == 1


def test_the_share_of_seconds_saved_is_against_the_same_seed():
    runs = pair(["e"])
    for summary, _, _ in runs:
        slow = 2 if summary["schedule"] == "fixed" else 1
        summary["seconds_train"] = slow * summary["seed"]
    found = QUANTITIES["wall_clock"](select(*runs))
    # (train + validate): 1.5/2.5, 2.5/4.5, 3.5/6.5 were paid.
    assert found.mean == pytest.approx(1 - (0.6 + 5 / 9 + 7 / 13) / 3)
    # Those that were timed beside other work say nothing.
    runs[-2][0]["busy_elsewhere"] = 0.3
    assert QUANTITIES["wall_clock"](select(*runs)).runs == 2
    for summary, _, _ in runs:
        summary["busy_elsewhere"] = None
    with pytest.raises(NotTimedAlone, match="3 runs and 3 baselines"):
        QUANTITIES["wall_clock"](select(*runs))
    assert QUANTITIES["wall_clock"](select(*(r for r in runs if r[0]["schedule"] == "prdp"))) is None
    for summary, _, _ in runs:
        summary["busy_elsewhere"] = 0.0
    without = QUANTITIES["wall_clock"](select(*runs), against="seconds_train")
    assert without.mean == pytest.approx(1 - (1.5 / 2 + 2.5 / 4 + 3.5 / 6) / 3)


def fan(*levels):
    """Fixed levels with three seeds, each with a mean error."""
    return [
        run(f"{k}-{s}", ["e"], levels=[k] * 3, schedule="fixed", seed=s, error=error + 0.01 * s)
        for k, error in levels
        for s in (1, 2, 3)
    ]


def test_the_sufficient_level_of_a_fan():
    made = fan((2, 0.5), (4, 0.1), (10, 0.1))
    assert QUANTITIES["level_sufficient"](select(*made)) == Statistic(3, 4.0, low=4.0, high=4.0)
    assert QUANTITIES["savings_sufficient"](select(*made)).mean == pytest.approx(0.6)
    assert QUANTITIES["level_sufficient"](select(*made[:6])) is None
    # A diverged run disqualifies its level.
    made[4][0]["status"] = "diverged"
    assert QUANTITIES["level_sufficient"](select(*made)).mean == 10


def test_a_level_that_noise_hides_widens_the_interval_of_the_sufficient_one():
    made = fan((2, 0.5), (4, 0.1), (10, 0.1))
    for (summary, _, _), error in zip(made[3:6], (0.2, 0.12, 0.04), strict=True):
        summary["val_error_final"] = error
    found = sufficient(tidy(records(*made)))
    assert (found.level, found.lowest, found.savings) == (10, 4, 0.0)
    level, saved = (QUANTITIES[q](select(*made)) for q in ("level_sufficient", "savings_sufficient"))
    assert (level.low, level.mean, level.high) == (4, 10, 10)
    assert (saved.low, saved.mean, saved.high) == pytest.approx((0.0, 0.0, 0.6))


def test_a_network_can_end_worse_than_untrained():
    made = fan((1, 2.99), (4, 0.09))
    # Untrained the error is 1; K = 1 ends at 3.00, 3.01, 3.02.
    found = QUANTITIES["worse_than_untrained"](select(*made), 1)
    assert (found.runs, found.mean) == (3, pytest.approx(2.01))
    assert QUANTITIES["worse_than_untrained"](select(*made), 4).mean == pytest.approx(-0.89)
    assert QUANTITIES["worse_than_untrained"](select(*made), 7).runs == 0


def test_roughness_is_the_mean_second_difference_of_the_logarithm():
    def curve(name, values, **changes):
        history = {"train_loss": [math.nan, *values]}
        return run(name, ["e"], levels=[4] * 4, history=history, **changes)

    steady = np.exp(-0.5 * np.arange(4))
    bent = np.exp([0.0, 0.5, -0.5, 0.5])
    made = [curve("a", steady), curve("b", bent, metric="train_loss")]
    found = QUANTITIES["roughness"](select(*made), "train_loss", "train_loss", "prdp")
    # Differences of 0.5, -1, 1: second differences of 1.5 and 2.
    assert (found.runs, found.mean) == (1, pytest.approx(1.75))


def test_the_farthest_is_the_one_whose_interval_reaches_farthest():
    made = [
        run(f"{w}-{s}", ["e"], levels=[4], seed=s, savings=saved, **{"model.width": w})
        for w, saving in ((32, (0.82, 0.82, 0.82)), (64, (0.7, 0.8, 0.9)))
        for s, saved in enumerate(saving)
    ]
    assert QUANTITIES["farthest"](select(*made), "savings", "model.width", 0.8).mean == pytest.approx(0.8)


def test_network_sizes_give_an_exponent_by_seed():
    shape = {"physics.points": 30, "physics.dimensions": 1, "model.depth": 3}
    # 30 -> 64 -> 64 -> 64 -> 30: 1984 + 2 * 4160 + 1950.
    sizes = {64: 12254, 128: 40862}
    runs = [
        run(f"{w}-{s}", ["e"], levels=[4], seed=s, error=s * n**-0.2, **shape, **{"model.width": w})
        for w, n in sizes.items()
        for s in (1, 2)
    ]
    selection = select(*runs)
    assert [parameters(part.runs) for _, part in selection.by("model.width")] == list(sizes.values())
    found = QUANTITIES["size_exponent"](selection)
    assert (found.runs, found.mean, found.std) == (2, pytest.approx(-0.2), pytest.approx(0, abs=1e-12))
    assert QUANTITIES["farthest"](selection, "savings", "model.width", 0.8).mean == pytest.approx(0.6)
    assert QUANTITIES["farthest"](select(*runs[:2]), "savings", "model.width", 0.8) is None


def test_runs_that_differ_in_more_than_the_seed_are_never_averaged():
    selection = select(
        run("a", ["e"], levels=[2], **{"data.form": "x"}), run("b", ["e"], levels=[2], **{"data.form": "y"})
    )
    with pytest.raises(Ambiguous, match=r"data\.form"):
        QUANTITIES["mean"](selection, "savings")
    selection = select(
        run("a", ["e"], levels=[2], **{"schedule.tau_stop": 0.9}),
        run("b", ["e"], levels=[2], **{"schedule.tau_stop": 0.98}),
    )
    with pytest.raises(Ambiguous, match=r"tau_stop = 0\.98"):
        QUANTITIES["mean"](selection, "savings")


def many(runs, epochs):
    """Synthetic records: 10 seeds, half of the arms PRDP, over cases that differ in a width."""
    summary, history, _ = run("x", ["e"], levels=[4] * epochs)
    index = np.arange(runs)
    converged = index // 10 % 2 == 0
    names = [f"run{i}" for i in index]
    summaries = pd.DataFrame([summary] * runs).assign(
        run=names,
        seed=index % 10,
        schedule=np.where(converged, "fixed", "prdp"),
        iterations_final=np.where(converged, 10, 4),
        val_error_final=np.random.default_rng(0).uniform(0.02, 0.03, runs),
        **{f"data.key{i}": i for i in range(60)},
        **{"model.width": 1 + index // 20},
    )
    histories = pd.concat([history] * runs, ignore_index=True).assign(run=np.repeat(names, epochs + 1))
    jobs = pd.DataFrame({"experiment": "table_1", "overrides": names, "run": names})
    return Records(summaries, histories, jobs)


def test_aggregation_is_fast_enough_for_thousands_of_runs():
    # A quarter of the 2,000 runs that are to take 10 s.
    made = many(500, 100)
    began = time.perf_counter()
    frame = tidy(made.of("table_1"))
    groups = [
        describe(finished(group)["val_error_final"], interval_of="median")
        for _, group in frame.groupby(["case", "arm"])
    ]
    paid = frame["matvecs"] / baseline(frame, "matvecs")
    assert time.perf_counter() - began < 2.5
    assert [g.runs for g in groups] == [10] * 50
    assert paid.notna().all()
