"""The rivals: what each is called and costs, which no other beats, and the words that follow from the numbers."""

import itertools

import numpy as np
import pandas as pd
import pytest

from prdp.analysis.figures import FIGURES, svg
from prdp.analysis.figures.labels import Label, label_points
from prdp.analysis.figures.style import canvas
from prdp.analysis.problems import physics_of, title
from prdp.analysis.reference import Reference
from prdp.analysis.regret import load_oracles, regrets
from prdp.analysis.regret import searched as searched_name
from prdp.analysis.rival_sentence import hindsight, sentence
from prdp.analysis.rivals import compare, pareto_front
from prdp.analysis.tables import TABLES, NothingToShow
from prdp.analysis.tables.rivals import regret
from tests.made_up_records import records, run

SEEDS = (1, 2, 3)
NOISE = {1: -0.002, 2: 0.0, 3: 0.002}


def arm(
    schedule="fixed", *, cost=100, adjoint=None, error=0.02, seconds=1.0, seeds=SEEDS, level=10, **columns
):
    """The runs of a rival by seed; `error` is their mean and median."""
    name = "-".join(map(str, (schedule, level, *columns.values())))
    return [
        run(
            f"{name}-{seed}",
            ["rivals"],
            levels=[level] * 3,
            schedule=schedule,
            seed=seed,
            error=error + NOISE[seed],
            matvecs_total=cost,
            adjoint_matvecs_total=cost if adjoint is None else adjoint,
            seconds_train=seconds - 0.5,
            jax="0",
            commit="c",
            **columns,
        )
        for seed in seeds
    ]


def base(**prdp):
    """Converged training with 200 products in 1 second, PRDP with 80 in 0.8."""
    return [*arm(), *arm("prdp", **{"level": 4, "cost": 40, "seconds": 0.8, **prdp})]


def inverse(name, levels, error, *, reach=None, schedule="prdp", **columns):
    """A Poisson run whose error is `error` from update `reach` on."""
    summary, history, jobs = run(
        name,
        ["rivals"],
        levels=levels,
        converged=600,
        updates=1,
        error=error,
        schedule=schedule,
        seed=0,
        physics="poisson",
        jax="0",
        commit="c",
        **columns,
    )
    reach = len(levels) if reach is None else reach
    history["val_error"] = [1.0] * reach + [error] * (len(levels) + 1 - reach)
    return summary, history, jobs


def only(runs):
    problem = compare(records(*runs))
    assert len(problem) == 1
    return problem[0]


def named(problem, name):
    return next(r for r in problem.rivals if r.name == name)


@pytest.mark.parametrize(
    ("columns", "name", "kind"),
    [
        ({}, "converged", "converged"),
        ({"level": 5}, "K = 5", "schedule"),
        ({"schedule": "prdp"}, "PRDP", "PRDP"),
        ({"schedule": "two_stage"}, "two stages", "schedule"),
        ({"schedule": "hoag", "schedule.sequence": "cubic"}, "HOAG cubic", "schedule"),
        ({"diff": "jfb"}, "JFB", "mode"),
        ({"diff": "one_step", "schedule": "prdp"}, "one-step + PRDP", "mode"),
        ({"diff.adjoint_iterations": 5, "schedule": "prdp"}, "5 adjoint iterations + PRDP", "mode"),
        ({"diff.adjoint_iterations": 1}, "1 adjoint iteration", "mode"),
        ({"diff.adjoint_ratio": 0.5, "schedule": "prdp"}, "adjoint K x 0.5 + PRDP", "mode"),
        ({"solver": "conjugate_gradient"}, "CG", "solver"),
        ({"solver": "heavy_ball", "schedule": "prdp"}, "heavy ball + PRDP", "solver"),
        ({"solver.warm_start": True}, "warm start", "warm start"),
        ({"solver.warm_start": True, "level": 2}, "warm start, K = 2", "warm start"),
        ({"solver.warm_start": True, "schedule": "prdp"}, "warm start + PRDP", "warm start"),
        ({"physics": "burgers", "solver": "gmres"}, "converged", "converged"),
        ({"physics": "burgers", "solver": "jacobi"}, "jacobi", "solver"),
    ],
)
def test_a_rival_is_called_by_what_differs_from_converged_training(columns, name, kind):
    rival = only(arm(**columns)).rivals[0]
    assert (rival.name, rival.kind) == (name, kind)


def test_where_no_run_is_implicit_unrolled_is_the_reference():
    unrolled = {"diff": "unrolled", "diff.steps": None}
    runs = [*arm(**unrolled), *arm("prdp", level=4, **unrolled), *arm("prdp", level=4, diff="jfb")]
    problem = only(runs)
    assert {r.name: r.kind for r in problem.rivals} == {
        "converged": "converged",
        "PRDP": "PRDP",
        "JFB + PRDP": "mode",
    }
    assert problem.prdp is not None


def test_a_cold_start_in_records_that_do_not_say_so():
    problem = only([*arm("prdp"), *arm("prdp", **{"solver.warm_start": True})])
    assert [(r.name, r.runs) for r in problem.rivals] == [("PRDP", 3), ("warm start + PRDP", 3)]


def test_products_are_forward_and_adjoint_and_errors_are_paired_by_seed():
    theirs = arm()
    ours = arm(diff="jfb", cost=70, adjoint=1, seeds=(3, 2))
    for summary, _, _ in ours:
        summary["val_error_final"] = {2: 0.021, 3: 0.024}[summary["seed"]]
    problem = only([*theirs, *ours])
    rival = named(problem, "JFB")
    assert rival.cost("matvecs") == 71
    assert rival.cost("seconds") == pytest.approx(1.0)
    assert rival.error.median == pytest.approx(0.0225)
    # (0.021 - 0.02, 0.024 - 0.022) of the mean of 0.02 and 0.022.
    excess = rival.excess(problem.converged)
    assert (excess.runs, excess.mean) == (2, pytest.approx(0.0015 / 0.021))
    assert rival.share(problem.converged, "matvecs") == pytest.approx(71 / 200)


def test_products_that_were_counted_by_an_older_rule_are_withdrawn_and_said_to_be():
    gmres = {"physics": "burgers", "solver": "gmres", "solver.restart": 2}
    # 60 cycles with K = 10, 24 with K = 4; a cycle takes three products, of which the last did not count.
    older = [*arm("linear", cost=120, seeds=(1,), **gmres), *arm("linear", cost=180, seeds=(2, 3), **gmres)]
    runs = [*arm(cost=180, **gmres), *arm("prdp", level=4, cost=72, error=0.021, **gmres), *older]
    problem = only(runs)
    rival = named(problem, "linear")
    assert (rival.costs["matvecs"].runs, rival.costs["iterations_total"].runs) == (0, 3)
    assert np.isnan(rival.share(problem.converged, "matvecs"))
    assert [r.name for r in pareto_front(problem.rivals, "matvecs")] == ["PRDP", "converged"]
    table = TABLES["rivals"].build(records(*runs), Reference()).frame.set_index("rival")
    assert table["products"].to_dict() == {"converged": "360 ± 0", "PRDP": "144 ± 0", "linear": "-"}
    assert FIGURES["rivals"].draw(records(*runs)).axes[0].get_xlabel().endswith("\nwithdrawn: linear")
    assert (
        FIGURES["ranking"].draw(records(*runs)).axes[0].get_xlabel().endswith("\nproducts withdrawn: linear")
    )


def test_the_last_of_two_runs_counts_and_seconds_of_other_devices_do_not():
    elsewhere = arm("prdp", seconds=9.0, device="gpu: A", seeds=(1,))
    again = arm("prdp", seconds=2.0, seeds=(2,), recorded="2026-02-01T00:00:00Z", note="again")
    problem = only([*arm(), *elsewhere, *arm("prdp", seconds=3.0, seeds=(2,)), *again])
    assert problem.prdp.runs == 2
    assert problem.prdp.costs["seconds"].runs == 1
    assert problem.prdp.cost("seconds") == pytest.approx(2.0)


def test_seconds_count_only_if_timed_alone_on_the_processors_and_of_the_commit_that_most_have():
    beside = arm("linear", seconds=3.0)
    for summary, _, _ in beside:
        summary["busy_elsewhere"] = 0.2
    other = arm("matched", seconds=4.0)
    for summary, _, _ in other:
        summary["commit"] = "another"
    fewer = arm("two_stage", seconds=5.0, cpu_count=1)
    problem = only([*base(), *beside, *other, *fewer])
    seconds = {r.name: r.costs["seconds"].runs for r in problem.rivals}
    assert seconds == {"converged": 3, "PRDP": 3, "linear": 0, "matched": 0, "two stages": 0}
    frame = TABLES["rivals"].build(records(*base(), *beside, *other), Reference()).frame.set_index("rival")
    assert frame.loc[["linear", "matched"], "seconds"].tolist() == ["-", "-"]


TEN = tuple(range(10))


def timed(schedule, seconds, error=0.02):
    """A rival with ten seeds, whose seconds spread by two tenths of one."""
    return [
        run(
            f"{schedule}-{seed}",
            ["rivals"],
            levels=[10 if schedule == "fixed" else 4] * 3,
            schedule=schedule,
            seed=seed,
            error=error,
            seconds_train=seconds + 0.02 * seed,
            commit="c",
            jax="0",
        )
        for seed in TEN
    ]


def test_the_front_in_seconds_needs_intervals_that_are_apart():
    # The intervals of 1.00 and 1.05 overlap, that of 2.0 lies above both.
    runs = [*timed("fixed", 2.0), *timed("prdp", 1.0), *timed("linear", 1.05)]
    assert {r.name for r in pareto_front(only(runs).rivals, "seconds")} == {"PRDP", "linear"}
    # More expensive, but more accurate.
    better = [*timed("fixed", 2.0, 0.01), *timed("prdp", 1.0)]
    assert {r.name for r in pareto_front(only(better).rivals, "seconds")} == {"PRDP", "converged"}
    # One of them was not timed alone: nobody is on it.
    runs[0][0]["busy_elsewhere"] = 0.5
    assert {r.name for r in pareto_front(only(runs).rivals, "seconds")} == {"PRDP", "linear"}
    for summary, _, _ in runs[:6]:
        summary["busy_elsewhere"] = 0.5
    assert pareto_front(only(runs).rivals, "seconds") == []
    assert pareto_front(only(runs).rivals, "matvecs") != []


def test_only_seeds_that_all_rivals_have_count():
    problem = only([*base(), *arm("matched", seeds=(2, 3))])
    assert [r.runs for r in problem.rivals] == [2, 2, 2]
    assert problem.converged.errors == {2: 0.02, 3: 0.022}
    assert [r.runs for r in only([*arm(seeds=(1,)), *arm("matched", seeds=(2, 3))]).rivals] == [1, 2]


def test_the_front_is_what_no_other_beats():
    rng = np.random.default_rng(2)
    numbers = {level: (int(rng.integers(1, 12)), 0.01 * int(rng.integers(3, 12))) for level in range(1, 10)}
    runs = [r for k, (cost, error) in numbers.items() for r in arm(level=k, cost=cost, error=error)]
    problem = only(runs)
    expected = {
        f"K = {k}"
        for k, (cost, error) in numbers.items()
        if all((c, e) == (cost, error) or c > cost or e > error for c, e in numbers.values())
    }
    found = pareto_front(problem.rivals, "matvecs")
    assert {r.name for r in found} == expected
    assert 1 < len(expected) < len(numbers)
    costs = [r.cost("matvecs") for r in found]
    assert costs == sorted(costs)


def test_equals_are_both_on_the_front_and_what_diverged_is_not():
    lost = arm("matched", cost=1, error=0.001)
    lost[0][0]["status"] = "diverged"
    problem = only([*arm(), *arm(diff="unrolled"), *lost, *arm("linear", cost=100, error=0.03)])
    assert {r.name for r in pareto_front(problem.rivals, "matvecs")} == {"converged", "unrolled"}
    assert not problem.no_worse(named(problem, "matched"), problem.converged)


def test_no_worse_is_a_mean_within_ten_percent_by_seed():
    problem = only([*arm(), *arm("linear", error=0.0219), *arm("matched", error=0.0221)])
    assert [problem.no_worse(named(problem, n), problem.converged) for n in ("linear", "matched")] == [
        True,
        False,
    ]


def test_one_sentence_has_the_cheapest_rival_that_is_shown_to_be_no_worse():
    assert sentence(compare(records(*base()))) == ""
    cheap, worse, dear = (
        arm("prdp", level=4, diff=d, cost=c, error=e)
        for d, c, e in (("jfb", 20, 0.0202), ("phantom", 5, 0.0225), ("neumann", 60, 0.02))
    )
    other = arm(solver="conjugate_gradient", cost=1)
    said = sentence(compare(records(*base(), *cheap, *worse, *dear, *other)))
    assert "on Heat 1D JFB + PRDP (50 %, error +1.0 (1.0 to 1.0) %)" in said
    said = sentence(compare(records(*base(), *worse, *dear, *other)))
    assert said.endswith("on Heat 1D none is shown to be.")


def test_one_sentence_has_the_regret_of_each_problem_that_was_searched():
    front = oracle([(seed, 6, 0.01, [1]) for seed in SEEDS])
    problems = compare(records(*base()))
    assert hindsight(problems, {}) == hindsight([], {"heat1d": front}) == ""
    said = hindsight(problems, {"heat1d": front, "burgers": front})
    assert said.endswith(": 4.0 (3 seeds) on Heat 1D.")
    front.loc[front["seed"] == SEEDS[0], "val_error"] = 1.0
    # Nothing found is as accurate with this seed: it counts as 1.
    assert "3.0 (-1.3 to 7.3; 3 seeds) on Heat 1D." in hindsight(problems, {"heat1d": front})


def test_poisson_is_charged_until_the_common_error():
    late = inverse("late", [600] * 20, 1e-5, reach=12, schedule="fixed")
    early = inverse("early", [100] * 20, 2e-5, reach=15)
    never = inverse("never", [50] * 20, 3e-5, diff="jfb")
    problem = only([late, early, never])
    assert [problem.prdp.cost(c) for c in ("matvecs", "iterations_total", "updates")] == [3000, 1500, 15]
    assert problem.prdp.cost("seconds") == pytest.approx(15 / 20 + 16 * 0.5 / 21)
    assert problem.converged.cost("matvecs") == 2 * 12 * 600
    assert named(problem, "JFB + PRDP").attained is None
    assert [r.name for r in pareto_front(problem.rivals, "matvecs")] == ["PRDP"]
    assert not problem.no_worse(named(problem, "JFB + PRDP"), problem.prdp)


def oracle(rows, block=5):
    return pd.DataFrame(
        [
            {"seed": s, "iterations_total": c, "val_error": e, "levels": levels, "block": block}
            for s, c, e, levels in rows
        ]
    )


def test_regret_is_against_the_best_as_accurate_and_the_best_as_cheap():
    # PRDP: K = 4 for 3 intervals of 2 updates, 24 iterations; errors of 0.018, 0.02, 0.022.
    problem = only(base())
    searched = oracle(
        [
            (1, 12, 0.019, [1, 3]),
            (1, 16, 0.018, [2, 2]),
            (1, 30, 0.01, [5, 5]),
            (2, 20, 0.016, [1, 1]),
            (3, 24, 0.03, [4, 4]),
            (7, 1, 0.0, [1, 1]),
        ]
    )
    found = {r.rival.name: r for r in regrets(problem, searched)}
    ours = found["PRDP"]
    # Nothing found is as accurate as PRDP with seed 3, where it is the best schedule known itself.
    assert ours.unbeaten == 1
    assert ours.iterations.mean == pytest.approx((24 / 16 + 24 / 20 + 1) / 3)
    assert ours.error.mean == pytest.approx((0.018 / 0.018 + 0.02 / 0.016 + 1) / 3)
    assert found["converged"].error.mean == pytest.approx((0.018 / 0.01 + 0.02 / 0.016 + 1) / 3)
    table = regret(records(*base()), Reference(oracles={"heat1d": searched})).frame.set_index("schedule")
    shown = ["problem", "iterations", "seeds", "unbeaten"]
    # Three seeds: 1.23 ± 4.30 * 0.25 / sqrt(3).
    assert table.loc["PRDP", shown].tolist() == ["Heat 1D", "1.23 ± 0.25 (0.61 to 1.86)", "3", "1"]


def test_regret_is_on_the_test_set_if_all_have_one():
    ours = arm("prdp", level=4, cost=40, test_error_final=0.05)
    problem = only([*arm(test_error_final=0.05), *ours])
    searched = oracle([(1, 12, 0.019, [1, 3]), (1, 20, 0.016, [2, 2]), (2, 20, 0.016, [1, 1])])
    # The best by validation counts, although another has the smaller test error.
    searched["test_error"] = [0.01, 0.025, 0.04]
    found = {r.rival.name: r for r in regrets(problem, searched)}["PRDP"]
    assert found.held_out
    # With seed 1 the cheaper schedule is as accurate on the test set, not on the validation samples.
    assert found.iterations.mean == pytest.approx((24 / 12 + 24 / 20) / 2)
    assert found.error.mean == pytest.approx((0.05 / 0.025 + 0.05 / 0.04) / 2)
    assert not regrets(problem, searched.assign(test_error=[0.01, float("nan"), 0.04]))[0].held_out


def test_the_oracle_of_a_smaller_problem_has_its_own_name():
    small = [*arm(scale="small"), *arm("prdp", level=4, cost=40, scale="small")]
    assert searched_name(only(small)) == "heat1d_small"
    assert (physics_of("heat1d_small"), title("heat1d_small")) == ("heat1d", "Heat 1D (reduced)")
    assert (physics_of("navier_stokes"), title("navier_stokes")) == ("navier_stokes", "Navier-Stokes")
    table = regret(records(*small), Reference(oracles={"heat1d_small": oracle([(1, 12, 0.01, [1])])}))
    assert set(table.frame["problem"]) == {"Heat 1D (reduced)"}


def test_schedules_over_tolerances_have_no_regret_and_poisson_has_no_seed():
    problem = only([*base(), *arm("hoag"), *arm("tolerance_prdp"), *arm("matched"), *arm(diff="jfb")])
    searched = oracle([(1, 12, 0.01, [1])])
    assert {r.rival.name for r in regrets(problem, searched)} == {"converged", "PRDP", "matched"}
    poisson = only([inverse("a", [600] * 4, 1e-5, schedule="fixed"), inverse("b", [300] * 4, 1e-5)])
    found = {r.rival.name: r.iterations.mean for r in regrets(poisson, oracle([(5, 1000, 1e-5, [1])]))}
    assert found == {"converged": 2.4, "PRDP": 1.2}


def test_oracles_are_read_by_their_physics(tmp_path):
    oracle([(1, 12, 0.01, [1, 2])]).to_parquet(tmp_path / "oracle_navier_stokes.parquet")
    found = load_oracles(tmp_path)
    assert list(found) == ["navier_stokes"]
    assert list(found["navier_stokes"]["levels"][0]) == [1, 2]
    assert load_oracles(tmp_path / "none") == {}


def test_the_tables_have_every_rival_and_say_what_is_not_reached():
    runs = [*base(), inverse("a", [600] * 9, 1e-5, schedule="fixed"), inverse("b", [9] * 9, 1e-3, diff="jfb")]
    frame = TABLES["rivals"].build(records(*runs), Reference()).frame.set_index("rival")
    assert list(frame.index) == ["converged", "PRDP"]
    assert frame.loc["PRDP", ["products", "seconds", "error x1e-2", "Pareto front"]].tolist() == [
        "80 ± 0",
        "0.80 ± 0.00",
        "2.00 ± 0.20",
        "products",
    ]
    assert frame.loc["PRDP", "against converged, %"] == "+0.0 (0.0 to 0.0)"
    assert frame.loc["converged", "Pareto front"] == "-"
    poisson = TABLES["rivals_poisson"].build(records(*runs), Reference()).frame.set_index("rival")
    assert poisson.loc["JFB + PRDP", ["products", "final error"]].tolist() == ["not reached", "1.0e-03"]
    assert poisson.loc["converged", ["products", "updates"]].tolist() == ["10,800", "9"]
    with pytest.raises(NothingToShow):
        TABLES["rivals_poisson"].build(records(*base()), Reference())


def test_the_figures_have_a_panel_for_each_problem_and_cost():
    runs = [*base(), *arm("linear", cost=60, error=0.5), inverse("a", [600] * 9, 1e-5, schedule="fixed")]
    figure = FIGURES["rivals"].draw(records(*runs))
    assert [ax.get_xlabel().partition(",")[0] for ax in figure.axes] == ["matrix-vector products", "seconds"]
    marks = {tuple(np.ravel(line.get_xydata())) for line in figure.axes[0].lines if line.get_marker() == "D"}
    assert marks == {(80.0, 0.02)}
    names = [text.get_text() for text in figure.axes[0].texts]
    assert {"PRDP", "converged", "linear (0.5 \u2191)"} <= set(names)
    assert "<text" in svg(figure)
    rows = FIGURES["ranking"].draw(records(*runs))
    assert len(rows.axes) == 6
    labels = [[t.get_text() for t in ax.get_yticklabels()] for ax in rows.axes[::3]]
    assert labels == [["\u2605 PRDP", "linear", "converged"], ["\u2605 converged"]]
    costs = [line for line in rows.axes[0].lines if line.get_marker() == "D"]
    assert [tuple(np.ravel(line.get_xydata())) for line in costs] == [(80.0, 0.0)]
    errors = [line for line in rows.axes[1].lines if line.get_marker() == "D"]
    assert [tuple(np.ravel(line.get_xydata())) for line in errors] == [(0.02, 0.0)]
    assert "0.5 \u2192" in [t.get_text() for t in rows.axes[1].texts]


def test_the_figures_stand_what_diverged_and_fold_what_does_not_reach_the_error():
    lost = arm()
    for summary, _, _ in lost:
        summary["status"] = "diverged"
    usual = [inverse(f"{k}", [k] * 9, 1e-5) for k in (5, 6)]
    usual[1][0]["schedule"] = "linear"
    missed = inverse("a", [600] * 9, 1e-3, diff="jfb")
    runs = records(*lost, *arm("prdp", error=0.03), *usual, missed)
    (panel,) = FIGURES["rivals"].draw(runs).axes
    assert panel.get_xlabel().endswith("\ndiverged: converged")
    assert [t.get_text() for t in panel.texts] == ["PRDP"]
    rows = FIGURES["ranking"].draw(runs)
    assert rows.axes[0].get_xlabel().endswith("\ndiverged: converged")
    assert [t.get_text() for t in rows.axes[2].get_yticklabels()] == ["\u2605 PRDP", "linear"]
    assert [t.get_text() for t in rows.axes[3].texts] == [
        "not reached by 1 (they end at): JFB + PRDP (0.001)"
    ]


def test_names_cover_neither_names_nor_points():
    figure = canvas(4.0, 3.0)
    ax = figure.subplots()
    rng = np.random.default_rng(1)
    ax.set(xscale="log", yscale="log", xlim=(0.5, 20), ylim=(0.5, 20))
    labels = [Label(*rng.uniform(1, 4, 2), f"a long name {i}") for i in range(30)]
    figure.draw_without_rendering()
    left_out = label_points(ax, labels, curve=[(0.6, 3.0), (15.0, 3.0)])
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) + len(left_out) == 30
    assert len(boxes) > 10
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    points = ax.transData.transform([label[:2] for label in labels])
    assert not any(box.contains(*point) for box in boxes for point in points)
    row = ax.transData.transform((1, 3))[1]
    assert not any(box.y0 < row < box.y1 for box in boxes)
