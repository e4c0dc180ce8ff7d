"""Figures show the numbers of the records, draw from whatever there is, and come out the same byte for byte."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from prdp.analysis import Records, account, load
from prdp.analysis import save as save_records
from prdp.analysis.claims import load_claims
from prdp.analysis.figures import (
    FIGURES,
    NothingToDraw,
    draw_strings,
    draw_trajectories,
    save,
    svg,
)
from prdp.analysis.figures.ablations import by_metric, by_schedule, compared, executed
from prdp.analysis.figures.base import of_common_seeds, percent, pick, seeds_of
from prdp.analysis.figures.curves import band, draw_gap, error_axis, table
from prdp.analysis.figures.decisions import decisions, known_ratio
from prdp.analysis.figures.expressiveness import by_size
from prdp.analysis.figures.fan import draw_fan, draw_levels, lines_of, write_excess
from prdp.analysis.figures.savings import count, draw_savings
from prdp.analysis.figures.style import HOVER, PRDP, hover, level_colour, plain_ticks
from prdp.analysis.figures.sufficiency import draw_final_errors
from prdp.analysis.figures.wall_clock import same_device, seconds, share_saved
from prdp.analysis.quantities import common_error, paper_account, parameters
from prdp.analysis.reference import Reference
from prdp.analysis.statistics import Statistic, describe
from prdp.models import MLP
from tests.made_up_records import CONVERGED, EPOCHS, UPDATES, everything, made_up, run
from tests.made_up_records import records as records_of

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def records():
    return everything((1, 2))


@pytest.fixture(scope="module")
def partial():
    """One seed, no converged runs, no level above 4."""
    records = everything((2,))
    runs = records.summaries
    kept = runs[(runs["schedule"] != "fixed") | (runs["iterations_final"] <= 4)]
    return Records(kept, records.histories[records.histories["run"].isin(kept["run"])], records.jobs)


# What a search found for one seed.
FRONT = pd.DataFrame(
    {
        "seed": 2,
        "iterations_total": [96, 192],
        "val_error": [0.5, 0.02],
        "levels": [[1, 1, 1], [1, 2, 3]],
        "block": 4,
    }
)
REFERENCE = Reference(
    {claim.id: claim for claim in load_claims(ROOT / "results" / "paper.yaml")}, {"heat1d": FRONT}
)
GRADIENTS = pd.DataFrame(
    {
        "problem": "heat1d",
        "mode": "jfb",
        "time": ["start", "middle", "end"],
        "prdp_iterations": 3,
        "converged_iterations": 8,
        "iterations": 1,
        "error": 0.5,
    }
)
REFERENCE = replace(REFERENCE, gradients=GRADIENTS)
# Rendering takes most of the time: the others are rendered by `make test-full`.
RENDERED = ("fig_3", "fig_8", "own")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in RENDERED else pytest.mark.slow) for n in FIGURES]
)
def test_every_figure_draws_and_keeps_its_text_as_text(name, records):
    drawn = svg(FIGURES[name].draw(records, REFERENCE))
    assert "<text" in drawn


@pytest.mark.parametrize("name", [n for n in FIGURES if n not in (*RENDERED, "savings_accuracy")])
def test_every_figure_draws_from_one_seed_without_the_converged_runs(name, partial):
    assert isinstance(FIGURES[name].draw(partial, REFERENCE), Figure)


@pytest.mark.parametrize("name", [n for n in FIGURES if FIGURES[n].experiments])
def test_without_runs_there_is_nothing_to_draw(name, records):
    with pytest.raises(NothingToDraw):
        FIGURES[name].draw(records_of(), REFERENCE)
    others = records.jobs[~records.jobs["experiment"].isin([*FIGURES[name].experiments, "own"])]
    with pytest.raises(NothingToDraw):
        FIGURES[name].draw(Records(records.summaries, records.histories, others), REFERENCE)


def test_every_figure_has_its_preset_and_says_what_it_shows():
    for name, spec in FIGURES.items():
        assert spec.name == name
        assert spec.caption.endswith(".")
        presets = [e for e in spec.experiments if e != "own"]
        missing = [e for e in presets if not (ROOT / "conf" / "experiment" / f"{e}.yaml").exists()]
        assert missing == []


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes_when_drawn_again(tmp_path, partial):
    for suffix in ("png", "pdf"):
        first, again = (save(FIGURES["fig_5"].draw(partial), tmp_path / name, suffix) for name in ("a", "b"))
        assert first.read_bytes() == again.read_bytes()


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(tmp_path, partial):
    save_records(partial, tmp_path / "records")
    command = [sys.executable, "scripts/figures.py", "fig_8", "--records", str(tmp_path / "records")]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    command += ["--out", str(tmp_path / "a")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.endswith("(5 of 20 runs of fig_8 missing)\n")
    again = save(FIGURES["fig_8"].draw(load(tmp_path / "records"), REFERENCE), tmp_path / "b" / "fig_8")
    assert again.name == "fig_8.png"
    assert again.read_bytes() == (tmp_path / "a" / again.name).read_bytes()


def axes():
    return Figure().subplots()


def test_savings_bars_add_up_to_the_converged_iterations():
    runs = records_of(*(made_up("heat1d", seed=s) for s in (1, 2)))
    ax = axes()
    draw_savings(ax, runs)
    converged, used, progressive, incomplete = (patch.get_height() for patch in ax.patches)
    summaries = runs.summaries
    assert converged == EPOCHS * UPDATES * CONVERGED["heat1d"]
    assert used + progressive + incomplete == pytest.approx(converged)
    assert used == pytest.approx(summaries["iterations_total"].mean())
    assert incomplete / converged == pytest.approx(summaries["savings_incomplete_convergence"].mean())
    assert progressive / converged == pytest.approx(summaries["savings_progressive_refinement"].mean())
    assert f"\u2212{summaries['savings'].mean():.0%}" in [t.get_text() for t in ax.texts]


def test_a_diverged_run_saves_nothing_and_is_marked():
    good, bad = made_up("heat1d", seed=1), made_up("heat1d", seed=2, status="diverged", end=5)
    assert count(records_of(good, bad)) == count(records_of(good))
    assert count(records_of(bad)) is None
    ax = axes()
    draw_savings(ax, records_of(good, bad))
    assert ax.get_xticklabels()[1].get_text() == "PRDP\nn = 1\n(1 of 2 diverged)"
    ax = axes()
    draw_fan(ax, records_of(good, bad))
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == [5]
    fixed = records_of(made_up("heat1d", "fixed", 1, 4, end=3, status="diverged"), made_up("heat1d", "fixed"))
    ax = axes()
    draw_final_errors(ax, fixed)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["25"]


def test_the_staircase_of_a_run_is_its_history():
    runs = records_of(made_up("heat1d", seed=2))
    ax = axes()
    draw_levels(ax, runs)
    stairs = ax.lines[0]
    assert stairs.get_drawstyle() == "steps-pre"
    np.testing.assert_array_equal(stairs.get_xdata(), runs.histories["epoch"])
    np.testing.assert_array_equal(stairs.get_ydata(), runs.histories["iterations"])
    assert to_hex(stairs.get_color()) == PRDP


def test_bands_are_the_mean_and_one_standard_deviation_above_the_lowest_seed():
    values = pd.DataFrame({"a": [1.0, 1.0], "b": [3.0, 1.1], "c": [2.0, 90.0]})
    drawn = band(values)
    np.testing.assert_allclose(drawn.centre, [2.0, 92.1 / 3])
    np.testing.assert_allclose(drawn.high[0], 3.0)
    np.testing.assert_allclose(drawn.low, [1.0, 1.0])
    assert np.isnan(band(values[["a"]]).low).all()
    ax = axes()
    draw_fan(ax, records_of(made_up("heat1d", seed=1)))
    assert not ax.collections


def test_errors_beyond_divergence_are_cut_off_and_said_to_be():
    ax, tame = axes(), pd.DataFrame({"a": [1.0, 0.1, 0.01]})
    error_axis(ax, [tame])
    assert ax.get_ylim()[1] < 2
    assert not ax.texts
    error_axis(ax, [tame.assign(b=[1.0, 1e10, np.nan])])
    assert 1e3 < ax.get_ylim()[1] < 2e3
    assert ax.texts[0].get_text() == "axis cut at 1,000 times the untrained\nerror; the largest is 1e10"


def test_colours_darken_with_the_level():
    brightness = [sum(level_colour(k, 25)[:3]) for k in (25, 10, 5, 2, 1)]
    assert brightness == sorted(set(brightness))


def test_decisions_are_where_the_level_rises_and_where_a_plateau_is_kept():
    history = made_up("heat1d", seed=2)[1]
    refined, kept = decisions(history, tau_step=0.98)
    rises = history["iterations"].diff().shift(-1) > 0
    assert refined["epoch"].tolist() == history.loc[rises, "epoch"].tolist() == [2, 5, 8, 11]
    assert kept["epoch"].tolist() == [9, 10, 12]


def test_wall_clock_compares_runs_of_one_device():
    runs = [made_up("heat1d", s, seed) for s in ("fixed", "prdp") for seed in (1, 2)]
    elsewhere = made_up("heat1d", "fixed", 3, device="gpu: A", cpu_count=8)
    chosen = same_device(records_of(*runs, elsewhere))
    assert set(chosen.summaries["device"]) == {"cpu: cpu"}
    means = seconds(chosen)
    assert means["converged"]["seconds_train"] == pytest.approx(0.1 * 25 * EPOCHS)
    prdp = chosen.where(schedule="prdp").summaries
    spent = (prdp["seconds_train"] + prdp["seconds_validate"]).mean()
    assert share_saved(chosen) == pytest.approx(1 - spent / (0.1 * 25 * EPOCHS + 0.05 * (EPOCHS + 1)))


def test_seconds_of_runs_that_shared_the_machine_are_hollow_and_compare_nothing():
    pair = [made_up("navier_stokes", s, experiments=("fig_2",)) for s in ("fixed", "prdp")]
    timed = FIGURES["fig_2"].draw(records_of(*pair), REFERENCE).axes[2]
    assert "PRDP saves" in timed.get_xlabel()
    assert "paper\n\u221262%" in [t.get_text() for t in timed.texts]
    beside = [(summary | {"busy_elsewhere": 0.4}, history, jobs) for summary, history, jobs in pair]
    shared = FIGURES["fig_2"].draw(records_of(*beside), REFERENCE).axes[2]
    assert shared.get_xlabel().startswith("not timed alone")
    assert not shared.texts
    assert len(shared.patches) == len(timed.patches) == 6
    assert {to_hex(p.get_facecolor()) for p in shared.patches[:2]} == {"#ffffff"}
    assert "#ffffff" not in {to_hex(p.get_facecolor()) for p in timed.patches[:2]}


def test_the_paper_s_savings_are_marked_where_they_would_be():
    runs, ax = records_of(*(made_up("heat1d", seed=s) for s in (1, 2, 3))), axes()
    draw_savings(ax, runs, reference=REFERENCE)
    whole = EPOCHS * UPDATES * CONVERGED["heat1d"]
    marks = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "<"]
    np.testing.assert_allclose(marks, [0.21 * whole, 0.4 * whole])
    used = describe(runs.summaries["iterations_total"])
    assert (count(runs).low, count(runs).high) == pytest.approx((used.low, used.high))
    ax = axes()
    draw_savings(ax, runs)
    assert not [line for line in ax.lines if line.get_marker() == "<"]


def test_a_panel_has_one_number_of_seeds():
    runs = [made_up("heat1d", seed=s) for s in (1, 2, 3)]
    runs += [made_up("heat1d", "fixed", s) for s in (1, 2, 3)] + [
        made_up("heat1d", "fixed", s, 4) for s in (2, 3)
    ]
    found = of_common_seeds(records_of(*runs))
    assert seeds_of(found) == "2 seeds"
    assert set(found.summaries["seed"]) == {2, 3}
    apart = records_of(made_up("heat1d", seed=1), made_up("heat1d", "fixed", 2))
    assert len(of_common_seeds(apart).summaries) == 2


def test_the_gap_is_the_ratio_of_mean_errors_and_ends_as_the_words_say():
    runs = records_of(
        *(made_up("heat1d", schedule, seed) for schedule in ("fixed", "prdp") for seed in (1, 2))
    )
    ax, base = axes(), runs.where(schedule="fixed")
    draw_gap(ax, lines_of(runs), base)
    means = [table(runs.where(schedule=s), "val_error").mean(axis=1) for s in ("fixed", "prdp")]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1.0)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), means[1] / means[0])
    write_excess(ax, runs)
    at_end = means[1].iloc[-1] / means[0].iloc[-1] - 1
    said = ax.texts[0].get_text()
    assert said.startswith(f"PRDP ends at +{100 * at_end:.0f} % (")
    assert said.endswith("), n = 2")
    ax = axes()
    draw_gap(ax, [], runs.where(schedule="none"))
    assert [t.get_text() for t in ax.texts] == ["no converged run"]


def test_percentages_have_their_interval_or_say_that_there_is_one_seed():
    assert percent(Statistic(3, 0.155, low=-0.02, high=0.3)) == "+16 % (\u22122 to +30)"
    assert percent(Statistic(3, 0.2, low=0.1, high=0.3), "-") == "20 % (10 to 30)"
    assert percent(Statistic(1, 0.72)) == "+72 % (1 seed)"


def test_there_is_no_ratio_to_a_refinement_before_the_first():
    history = made_up("heat1d", seed=2)[1]
    ratio = known_ratio(history)
    first = history.loc[history["refined"], "epoch"].iloc[0]
    assert ratio[history["epoch"] <= first].isna().all()
    np.testing.assert_array_equal(
        ratio[history["epoch"] > first], history.loc[history["epoch"] > first, "ratio_stop"]
    )


def test_sizes_have_their_median_and_a_point_for_each_seed():
    runs = [made_up("heat1d", seed=s, model__width=w) for w in (32, 128) for s in range(1, 8)]
    summaries = records_of(*runs).summaries
    found = by_size(summaries, "val_error_final")
    assert list(found) == sorted(found)
    for (values, statistic), (_, group) in zip(found.values(), summaries.groupby("model.width"), strict=True):
        assert dict(values) == dict(zip(group["seed"], group["val_error_final"], strict=True))
        assert statistic.median == group["val_error_final"].median()
        assert statistic.low <= statistic.median <= statistic.high


def test_an_axis_of_less_than_two_decades_has_more_than_one_label():
    ax = axes()
    ax.set(yscale="log", ylim=(0.02, 0.8))
    plain_ticks(ax.yaxis)
    ax.figure.draw_without_rendering()
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert {"0.02", "0.05", "0.1", "0.2", "0.5"} <= set(labels)


def test_the_search_stands_beside_the_runs_of_its_seed(records):
    figure = FIGURES["oracle"].draw(records, REFERENCE)
    (ax,) = figure.axes
    assert ax.get_title() == "Heat 1D, seed 2"
    step = ax.lines[0]
    np.testing.assert_allclose(step.get_xdata(), FRONT["iterations_total"] / 1e3)
    np.testing.assert_allclose(step.get_ydata(), FRONT["val_error"])
    shown = records.of("rivals").where(seed=2, schedule="prdp", diff="implicit").summaries.iloc[0]
    diamonds = [line for line in ax.lines if line.get_marker() == "D"]
    assert [tuple(np.ravel(line.get_xydata())) for line in diamonds] == [
        pytest.approx((shown["iterations_total"] / 1e3, shown["val_error_final"]))
    ]
    with pytest.raises(NothingToDraw):
        FIGURES["oracle"].draw(records)


def test_the_search_stands_beside_every_schedule_over_k_and_an_inverse_problem_has_no_seed():
    names = {
        "linear": "<",
        "matched": "X",
        "geometric": ">",
        "flatness": "P",
        "a_strangers": "h",
        "fixed": "s",
    }
    runs = [
        run(f"{p}-{name}", ["rivals"], levels=[10, 10], schedule=name, physics=p, seed=seed, jax="0")
        for p, seed in (("heat1d", 1), ("poisson", 0))
        for name in ("prdp", *names, "hoag", "tolerance_prdp")
    ]
    front = pd.DataFrame(
        {"iterations_total": [6], "val_error": [0.01], "levels": [[1]], "block": 1, "seed": 1}
    )
    figure = FIGURES["oracle"].draw(records_of(*runs), Reference(oracles={"poisson": front, "heat1d": front}))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Heat 1D, seed 1", "Poisson, error of the parameter"]
    for ax in figure.axes:
        markers = [line.get_marker() for line in ax.lines[2:]]
        assert sorted(markers) == sorted(["D", *names.values()])
    (legend,) = figure.legends
    assert "a strangers" in [text.get_text() for text in legend.get_texts()]


def test_gradients_have_a_panel_for_each_problem_and_time(records):
    rows = [
        {
            "problem": p,
            "mode": m,
            "time": t,
            "prdp_iterations": 3,
            "converged_iterations": 8,
            "iterations": k,
            "error": e / k,
        }
        for p in ("heat1d", "heat2d_small")
        for m, e in (("implicit", 1e-3), ("jfb", 1e9))
        for t in ("start", "middle", "end")
        for k in (1, 2, 8)
    ]
    rows.append({"problem": "heat1d", "mode": "neumann"})
    figure = FIGURES["gradients"].draw(records, Reference(gradients=pd.DataFrame(rows)))
    assert [ax.get_title() for ax in figure.axes[:4]] == [
        *(f"Heat 1D, {time}" for time in ("start", "middle", "end")),
        "Heat 2D (reduced), start",
    ]
    implicit, jfb = (line for line in figure.axes[0].lines if line.get_marker() in "oD")
    np.testing.assert_allclose(implicit.get_xydata(), [(1, 1e-3), (2, 5e-4), (8, 1.25e-4)])
    # Beyond the edge.
    assert set(jfb.get_ydata()) == {100}
    with pytest.raises(NothingToDraw):
        FIGURES["gradients"].draw(records)


def test_a_palette_changes_no_colour_by_much(tmp_path):
    ax = axes()
    ax.imshow(np.linspace(-1, 1, 4000).reshape(50, 80), cmap="PuOr")
    few = np.asarray(Image.open(save(ax.figure, tmp_path / "few")).convert("RGB"), dtype=int)
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, dpi=130)
    assert few.shape[:2] == Image.open(buffer).size[::-1]
    every = np.asarray(Image.open(buffer).convert("RGB"), dtype=int)
    assert np.abs(few - every).max() <= 8


def test_values_to_hover_are_ids_of_their_artists():
    ax = axes()
    hover(ax.plot(1, 2, "o"), "K = 1: <2>")
    assert f'id="{HOVER}K = 1: &lt;2&gt;"' in svg(ax.figure)


def test_strings_are_held_at_both_ends():
    grid = np.array([0.25, 0.5, 0.75])
    fields = (np.array([1.0, 2.0, 1.0]), np.array([0.1, 0.2, 0.1]))
    figure = draw_strings(grid, {"(a)": {"first guess": (np.zeros(3), np.zeros(3)), "reference": fields}})
    for ax, field in zip(figure.axes, fields, strict=True):
        line = next(line for line in ax.lines if line.get_label() == "reference")
        np.testing.assert_array_equal(line.get_xdata(), [0, 0.25, 0.5, 0.75, 1])
        np.testing.assert_array_equal(line.get_ydata(), [0, *field, 0])


def test_a_comparison_shows_problems_that_have_both_sides():
    both = records_of(made_up("heat1d"), made_up("heat1d", "tolerance_prdp"))
    one = records_of(made_up("burgers"))
    assert list(compared({"heat1d": both, "burgers": one}, by_schedule)) == ["heat1d"]
    assert list(compared({"burgers": one}, by_schedule)) == ["burgers"]


def test_parameters_are_counted_as_the_network_has_them():
    model = nnx.eval_shape(lambda: MLP((1, 30), 64, 3, rngs=nnx.Rngs(0)))
    sizes = [leaf.size for leaf in jax.tree.leaves(nnx.state(model))]
    assert parameters(records_of(made_up("heat1d")).summaries) == sum(sizes)


def test_poisson_is_compared_where_all_reach_one_error():
    histories = {"fixed": made_up("poisson", "fixed")[1], "prdp": made_up("poisson", "prdp")[1]}
    worst = min(histories["prdp"]["val_error"])
    target = common_error(histories.values())
    assert worst <= target < 2 * worst
    case = {"experiments": ("fig_3",), "physics__parameters": 1}
    figure = FIGURES["fig_3"].draw(records_of(*(made_up("poisson", s, **case) for s in histories)))
    texts = [t.get_text() for t in figure.axes[2].texts]
    common = account(histories["fixed"], histories["prdp"], error=target).savings
    paper = paper_account(histories["fixed"], histories["prdp"], parameters=1, name="prdp").savings
    assert texts[-3:] == ["PRDP", f"{common:.0%}", f"{paper:.0%}"]
    assert texts[1:3] == ["\u25cf to 3e-2", "| paper's account"]


def test_iterations_made_are_those_executed_by_a_solve():
    made = executed(records_of(made_up("heat1d", "fixed", level=10)))
    np.testing.assert_array_equal(made.iloc[1:], 5.0)


def test_runs_that_say_nothing_are_driven_by_the_validation_error():
    old, said, loss = (made_up("heat2d", seed=1, metric=m) for m in (None, "val_error", "train_loss"))
    driven = by_metric(records_of(old, said, loss))
    assert [len(part.summaries) for part in driven.values()] == [2, 1]
    assert [len(p.summaries) for p in by_metric(records_of(made_up("heat2d"))).values()] == [1, 0]


def test_reduced_and_fast_runs_stand_in_only_for_what_is_missing():
    small = made_up("heat3d", experiments=("fast",), scale="small")
    full = made_up("heat3d", seed=2, experiments=("fig_6",))
    assert pick(records_of(small), ("fig_6", "fast"), physics="heat3d").summaries["scale"].tolist() == [
        "small"
    ]
    assert pick(records_of(small), ("fig_6",), physics="heat3d").summaries.empty
    both = pick(records_of(small, full), ("fig_6", "fast"), physics="heat3d")
    assert both.summaries["scale"].tolist() == ["full"]
    figure = FIGURES["fig_7"].draw(records_of(small))
    assert figure.axes[0].get_title() == "Heat 3D (reduced), 1 seed"


def test_unequal_numbers_of_seeds_are_not_hidden():
    runs = [made_up("heat1d", seed=s) for s in (1, 2, 3)]
    assert seeds_of(records_of(*runs)) == "3 seeds"
    assert seeds_of(records_of(*runs, made_up("heat1d", "fixed", 1, 4))) == "1 to 3 seeds"


def test_means_in_the_fan_are_those_of_the_records():
    runs = records_of(*(made_up("heat1d", "fixed", s, 4) for s in (1, 2, 3)))
    ax = axes()
    draw_fan(ax, runs)
    means = runs.histories.groupby("epoch")["val_error"].mean()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), means)
    assert table(runs, "val_error").shape == (EPOCHS + 1, 3)


@pytest.mark.parametrize(("space", "channels"), [((9,), 1), ((9, 9), 1), ((9, 9, 9), 1), ((9, 9), 2)])
def test_trajectories_show_their_states(space, channels):
    states = np.random.default_rng(0).normal(size=(2, 3, channels, *space))
    grid = np.linspace(0, 1, 9)
    figure = draw_trajectories(states, grid, "x", channels=("u", "v")[:channels], times=(0, 2))
    if len(space) == 1:
        np.testing.assert_array_equal(figure.axes[1].lines[1].get_ydata(), states[1, 2, 0])
        return
    shown = states[..., 2] if len(space) == 3 else states
    images = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(images) == 2 * 2 * channels
    last = shown[1, :, -1][[0, 2]]
    np.testing.assert_allclose(images[-1], last[1].T / np.abs(last).max())
