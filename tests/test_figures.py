"""Figures show the numbers of the records, draw from whatever there is, and come out the same byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from prdp.analysis import Records, account, load
from prdp.analysis import save as save_records
from prdp.analysis.figures import FIGURES, NothingToDraw, draw_trajectories, save, svg
from prdp.analysis.figures.ablations import by_metric, by_schedule, compared, executed
from prdp.analysis.figures.base import pick, seeds_of
from prdp.analysis.figures.curves import band, error_axis, table
from prdp.analysis.figures.decisions import decisions
from prdp.analysis.figures.fan import draw_fan, draw_final_errors, draw_levels
from prdp.analysis.figures.savings import count, draw_savings
from prdp.analysis.figures.style import PRDP, level_colour
from prdp.analysis.figures.wall_clock import same_device, seconds, share_saved
from prdp.analysis.quantities import common_error, parameters
from prdp.models import MLP
from tests.made_up_records import CONVERGED, EPOCHS, UPDATES, everything, made_up
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


# Rendering takes most of the time: the others are rendered by `make test-full`.
RENDERED = ("fig_3", "fig_8", "rivals", "own")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in RENDERED else pytest.mark.slow) for n in FIGURES]
)
def test_every_figure_draws_and_keeps_its_text_as_text(name, records):
    drawn = svg(FIGURES[name].draw(records))
    assert "<text" in drawn


@pytest.mark.parametrize("name", [n for n in FIGURES if n not in (*RENDERED, "savings_accuracy")])
def test_every_figure_draws_from_one_seed_without_the_converged_runs(name, partial):
    assert isinstance(FIGURES[name].draw(partial), Figure)


@pytest.mark.parametrize("name", FIGURES)
def test_without_runs_there_is_nothing_to_draw(name, records):
    with pytest.raises(NothingToDraw):
        FIGURES[name].draw(records_of())
    others = records.jobs[~records.jobs["experiment"].isin([*FIGURES[name].experiments, "own"])]
    with pytest.raises(NothingToDraw):
        FIGURES[name].draw(Records(records.summaries, records.histories, others))


def test_every_figure_has_its_preset_and_says_what_it_shows():
    for name, spec in FIGURES.items():
        assert spec.name == name
        assert spec.caption.endswith(".")
        presets = [e for e in spec.experiments if e != "own"]
        missing = [e for e in presets if not (ROOT / "conf" / "experiment" / f"{e}.yaml").exists()]
        assert missing == []


def test_the_same_records_give_the_same_bytes_when_drawn_again(tmp_path, partial):
    paths = [save(FIGURES["fig_5"].draw(partial), tmp_path / name) for name in ("a", "b")]
    assert all(first.read_bytes() == again.read_bytes() for first, again in zip(*paths, strict=True))


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(tmp_path, partial):
    save_records(partial, tmp_path / "records")
    command = [sys.executable, "scripts/figures.py", "fig_8", "--records", str(tmp_path / "records")]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    command += ["--out", str(tmp_path / "a")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.endswith("(5 of 20 runs of fig_8 missing)\n")
    again = save(FIGURES["fig_8"].draw(load(tmp_path / "records")), tmp_path / "b" / "fig_8")
    assert [path.name for path in again] == ["fig_8.png", "fig_8.pdf"]
    for path in again:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


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
    assert ax.get_xticklabels()[1].get_text() == "PRDP\n(1 of 2 diverged)"
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
    assert ax.get_ylim()[1] < 1e3
    assert ax.texts[0].get_text() == "cut off: up to 1e+10"


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


def test_time_is_left_out_where_no_run_was_timed_alone():
    pair = [made_up("navier_stokes", s, experiments=("fig_2",)) for s in ("fixed", "prdp")]
    assert len(FIGURES["fig_2"].draw(records_of(*pair)).axes) == 3
    beside = [(summary | {"busy_elsewhere": 0.4}, history, jobs) for summary, history, jobs in pair]
    assert len(FIGURES["fig_2"].draw(records_of(*beside)).axes) == 2


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
    texts = [t.get_text() for t in figure.axes[2].get_legend().get_texts()]
    saved = account(histories["fixed"], histories["prdp"], error=target).savings
    assert texts == ["converged", f"PRDP (\u2212{saved:.0%})"]


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
