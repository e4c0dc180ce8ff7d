"""Tables of records made by hand: their numbers, and their Markdown and LaTeX."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tables as command
from prdp.analysis import save
from prdp.analysis.claims import load_claims
from prdp.analysis.reference import Reference
from prdp.analysis.tables import TABLES, NothingToShow, Table
from tests.made_up_records import SHAPE, pair, records, run

ROOT = Path(__file__).resolve().parents[1]
FRONT = pd.DataFrame(
    {
        "seed": range(10),
        "iterations_total": 1,
        "val_error": 1e-9,
        "test_error": 1e-9,
        "levels": [[1]] * 10,
        "block": 1,
    }
)
REFERENCE = Reference(
    {claim.id: claim for claim in load_claims(ROOT / "results" / "paper.yaml")}, {"heat1d": FRONT}
)
EXPERIMENTS = {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}


def build(name, *runs):
    table = TABLES[name].build(records(*runs), REFERENCE)
    assert all(isinstance(cell, str) for row in table.frame.to_numpy() for cell in row)
    assert table.frame.columns.is_unique
    return table


def cells(table, **where):
    """The one row whose columns have these values."""
    frame = table.frame
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0].to_dict()


@pytest.mark.parametrize("spec", TABLES.values(), ids=lambda spec: spec.name)
def test_a_table_without_runs_says_so(spec):
    assert set(spec.experiments) <= {*EXPERIMENTS, "own"}
    with pytest.raises(NothingToShow):
        spec.build(records(), REFERENCE)
    with pytest.raises(NothingToShow):
        spec.build(records(*pair(["another"])), REFERENCE)


def test_special_characters_are_escaped():
    frame = pd.DataFrame({"a_b": ["50 % & $1 ± 2", "x|y*z"], "c": [r"\d {e}", "<1 ~^#"]})
    table = Table("T & U_1", frame, ["100 %"])
    latex = table.to_latex()
    assert r"\caption{T \& U\_1}" in latex
    assert r"a\_b & c \\" in latex
    assert r"50 \% \& \$1 $\pm$ 2 & \textbackslash{}d \{e\} \\" in latex
    assert r"x$|$y*z & $<$1 \textasciitilde{}\textasciicircum{}\# \\" in latex
    assert latex.count(r"\begin{") == latex.count(r"\end{") == 2
    assert latex.isascii()
    markdown = table.to_markdown().splitlines()
    assert markdown[:4] == ["## T & U_1", "", "| a_b | c |", "| --- | --- |"]
    assert markdown[4:] == [r"| 50 % & $1 ± 2 | \\d {e} |", r"| x\|y\*z | \<1 ~^# |", "", "- 100 %"]


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_of_every_table_survives_both_forms(name):
    made = [
        *pair(["table_1", "fig_24", "fig_6", "fig_4", "fig_25", "fig_26", "readings", "rivals"], **SHAPE),
        *[poisson(s, d, p) for s in ("fixed", "prdp") for d in ("unrolled", "implicit") for p in (1, 3)],
        run("tolerance", ["fig_13"], levels=[10] * 3, schedule="tolerance_prdp", **SHAPE),
    ]
    table = build(name, *made)
    rows, columns = table.frame.shape
    lines = [line for line in table.to_markdown().splitlines() if line.startswith("|")]
    assert len(lines) == rows + 2
    assert {line.replace(r"\|", "").count("|") for line in lines} == {columns + 1}
    body = [line for line in table.to_latex().splitlines() if line.endswith(r"\\")]
    assert len(body) == rows + 1
    assert {line.replace(r"\&", "").count("&") for line in body} == {columns - 1}


def test_table_1_has_the_errors_of_the_records_and_of_the_paper():
    ours, theirs = (0.021, 0.024, 0.033), (0.02, 0.022, 0.03)
    table = build("table_1", *pair(["table_1"], ours=ours, theirs=theirs))
    row = cells(table, schedule="PRDP")
    assert row["problem"] == "Heat 1D"
    assert row["paper"] == "2.1 ± 0.38"
    assert row["eq. 56"] == f"{100 * np.mean(ours):.2f} ± {100 * np.std(ours, ddof=1):.2f}" == "2.60 ± 0.62"
    # Three seeds have no interval of their median.
    assert row["median"] == "2.40"
    assert row["divided by the previous step"] == "1.30 ± 0.31"
    # (0.001 + 0.002 + 0.003) / 3 of 0.024
    assert row["against converged, %"].startswith("+8.3 (")
    assert cells(table, schedule="converged, K = 10")["eq. 56"] == "2.40 ± 0.53"


def test_one_seed_has_no_spread_and_diverged_runs_are_counted():
    lost = run("lost", ["table_1"], levels=[2] * 3, seed=3, error=float("inf"), status="diverged")
    small = run("small", ["table_1"], levels=[2], scale="small", physics="heat3d", error=0.004)
    table = build("table_1", *pair(["table_1"], seeds=(1,), ours=(0.02,), theirs=(0.03,)), lost, small)
    row = cells(table, problem="Heat 1D", schedule="PRDP")
    assert (row["seeds"], row["eq. 56"], row["median"]) == ("2, 1 diverged", "2.00", "2.00")
    reduced = cells(table, problem="Heat 3D (reduced)")
    assert (reduced["paper"], reduced["eq. 56"]) == ("-", "0.40")
    assert "Diverged runs: 1. They are counted as seeds but enter no mean." in table.notes
    assert "A number without ± comes from one seed." in table.notes
    assert (
        "Reduced problems (scale=small) are not the paper's and are not compared with its numbers."
        in table.notes
    )
    only = build("table_1", lost)
    assert only.frame.iloc[0]["eq. 56"] == "diverged"


def test_savings_are_in_iterations_and_products():
    runs = pair(["fig_6"])
    # Baselines of 120 products, PRDP with 40: seed 1 from its own, of 60, seed 9 from the mean.
    for summary, _, _ in runs:
        if summary["schedule"] == "fixed":
            summary["matvecs_total"] = summary["adjoint_matvecs_total"] = 30 if summary["seed"] == 1 else 75
    alone = run("alone", ["fig_6"], levels=[2, 4, 4], seed=9)
    row = cells(build("savings", *runs, alone), schedule="PRDP")
    assert (row["seeds"], row["paper: total %"], row["paper: IC + PR"]) == ("4", "79", "60 + 19")
    assert (row["ours: total %"], row["IC %"], row["PR %"]) == ("66.7 ± 0.0", "60.0 ± 0.0", "6.7 ± 0.0")
    assert (row["K_eps"], row["final K"], row["paper: K_eps"]) == ("10", "4.0 ± 0.0 (4)", "25")
    saved = 1 - 40 / np.array([60, 150, 150, 120])
    assert row["products saved %"] == f"{100 * saved.mean():.1f} ± {100 * saved.std(ddof=1):.1f}"
    burgers = build("savings", *pair(["fig_8"], physics="burgers"))
    assert cells(burgers)["paper: K_eps"] == "23"


def test_wall_clock_is_split_and_shared():
    runs = pair(["fig_24"], physics="heat2d")
    for summary, _, _ in runs:
        if summary["schedule"] == "fixed":
            summary.update(seconds_train=3.0, seconds_validate=1.0, seconds_compile=1.0)
    row = cells(build("wall_clock", *runs))
    assert (row["train, s"], row["validate, s"]) == ("3.0 ± 0.0 / 1.0 ± 0.0", "1.0 ± 0.0 / 0.5 ± 0.0")
    # 1.5 of 4, 1 of 3, 1.75 of 5, 1.5 of 3.
    shares = ("ours: saved %", "training only", "with compilation", "ours: no validation")
    assert [row[s] for s in shares] == ["62.5 ± 0.0", "66.7 ± 0.0", "65.0 ± 0.0", "50.0 ± 0.0"]
    assert (row["paper: saved %"], row["95 % interval"]) == ("24", "62.5 to 62.5")
    # 24 % of the time by 86 % of the iterations; two thirds by two thirds.
    assert (row["paper: solver's share"], row["ours: solver's share"]) == ("28", "100.0 ± 0.0")
    assert not any("drift" in note for note in build("wall_clock", *runs).notes)
    for summary, _, _ in runs:
        summary["recorded"] = f"2026-01-0{1 + (summary['schedule'] == 'prdp')}T00:00:00Z"
    runs[0][0]["busy_elsewhere"] = 0.3
    table = build("wall_clock", *runs)
    assert any("is in the difference: Heat 2D." in note for note in table.notes)
    assert cells(table)["seeds"] == str(int(row["seeds"]) - (runs[0][0]["schedule"] == "prdp"))
    assert "not recorded: Heat 2D 1" in " ".join(table.notes)


def test_levels_mark_the_sufficient_one():
    # K = 2 is worse than K = 10, K = 4 the same, K = 3 by its mean the same, but it may be much worse.
    errors = {2: (0.5, 0.51, 0.52), 3: (0.04, 0.12, 0.2), 4: (0.11, 0.12, 0.13), 10: (0.11, 0.12, 0.13)}
    fan = [
        run(f"{k}-{s}", ["fig_4"], levels=[k] * 3, schedule="fixed", seed=s, error=error)
        for k, found in errors.items()
        for s, error in enumerate(found)
    ]
    assert list(build("levels", *fan).frame["schedule"]) == [
        *("K = 2", "K = 3 (perhaps K_max)", "K = 4 (K_max)", "converged, K = 10")
    ]


def poisson(schedule, diff, parameters, levels=None, **changes):
    experiments = (
        ["table_4_1", "fig_3"] if parameters == 1 and diff == "unrolled" else ["table_4_1", "rivals"]
    )
    levels = levels or ([600] * 170 if schedule == "fixed" else [300] * 170)
    summary, history, jobs = run(
        f"{schedule}-{diff}-{parameters}",
        experiments,
        levels=levels,
        converged=600,
        updates=1,
        physics="poisson",
        diff=diff,
        schedule=schedule,
        seed=0,
        **{"physics.parameters": parameters},
        **changes,
    )
    history["val_error"] = [10 ** (-0.04 * i) for i in range(len(history))]
    return summary, history, jobs


def test_poisson_is_charged_as_in_the_paper_and_to_a_common_tolerance():
    runs = [poisson(s, "unrolled", p) for s in ("fixed", "prdp") for p in (1, 3)]
    one, three = (cells(build("table_4_1", *runs), P=p) for p in "13")
    assert (one["ours: cost"], one["ours: saved"]) == ("75.0K", "24.0K")
    assert (one["ours: %, paper's account"], one["paper: %"], one["% of all updates"]) == (
        "32.0",
        "33",
        "50.0",
    )
    assert (three["ours: cost"], three["ours: saved"], three["ours: %, paper's account"]) == (
        "102.0K",
        "51.0K",
        "50.0",
    )
    # Both reach 2e-5 at the same update: 4.699/0.04 = 117.5.
    assert one["% to a common error (updates)"] == "50.0 (118 against 118)"
    schedules = build("fig_3", *runs, poisson("linear", "unrolled", 1, [372] * 170))
    by_hand = cells(schedules, schedule="linear")
    assert by_hand["ours: %, paper's account"] == f"{100 * (1 - 372 * 145 / 75000):.1f}"
    assert by_hand["% of all updates"] == "38.0"
    assert any("The summary of train.py" in note for note in schedules.notes)


def test_a_seed_that_ends_far_from_the_others_is_named():
    errors = (0.02, 0.021, 0.019, 2.0)
    runs = pair(["fig_25"], seeds=(1, 2, 3, 4), ours=errors, theirs=(0.02,) * 4, **SHAPE)
    table = build("fig_25", *runs)
    assert cells(table, schedule="PRDP")["smallest to largest"] == "1.90 to 200.00"
    named = [note for note in table.notes if "seed 4" in note]
    assert named == ["Width 64, PRDP: seed 4 ends at K = 4 with an error of 200.0, 98 times the median."]
    assert not any("times the median" in n for n in build("fig_25", *runs[:-2]).notes)


def test_figures_13_25_and_26_compare_arms_by_seed():
    runs = pair(["fig_13", "fig_25", "fig_26"], ours=(0.02,) * 3, **SHAPE)
    for seed in (1, 2, 3):
        other = {"levels": [10] * 3, "seed": seed, "error": 0.025, **SHAPE}
        tolerance = run(f"t{seed}", ["fig_13"], schedule="tolerance_prdp", **other)
        tolerance[0]["iterations_executed_total"] = 30
        runs += [tolerance, run(f"l{seed}", ["fig_26"], metric="train_loss", **other)]
    row = cells(build("fig_13", *runs), schedule="PRDP by tolerance")
    assert row["iterations executed, saved %"] == "50.0 ± 0.0"
    assert row["against PRDP by iterations, %"] == "+25.0 (25.0 to 25.0)"
    row = cells(build("fig_26", *runs), schedule="PRDP on the training loss")
    assert (row["mean K"], row["against the validation error, %"]) == ("10.0 ± 0.0", "+25.0 (25.0 to 25.0)")
    row = cells(build("fig_25", *runs), schedule="PRDP")
    assert (row["width"], row["parameters"], row["error x1e-2"]) == ("64", "12,254", "2.00 ± 0.00")


def test_readings_stand_beside_the_default():
    runs = [
        *pair(["readings"], physics="heat2d", **{"data.form": "matched"}),
        *[
            (dict(summary, run=f"d{i}"), history.assign(run=f"d{i}"), [("table_1", f"d{i}", f"d{i}")])
            for i, (summary, history, _) in enumerate(
                pair(["table_1"], physics="heat2d", ours=(0.2,) * 3, **{"data.form": "products"})
            )
        ],
    ]
    table = build("readings", *runs)
    assert cells(table, problem="Heat 2D (form = products)", schedule="PRDP")["eq. 56"] == "20.00 ± 0.00"
    assert cells(table, problem="Heat 2D (form = matched)", schedule="PRDP")["eq. 56"] == "3.00 ± 1.00"


def test_the_command_writes_both_forms(tmp_path, monkeypatch, capsys):
    save(records(*pair(["table_1"])), tmp_path / "records")
    options = ["--records", str(tmp_path / "records"), "--out", str(tmp_path / "tables")]
    monkeypatch.setattr(sys, "argv", ["tables.py", *options])
    command.main()
    assert "table_4_1: nothing to show" in capsys.readouterr().out
    written = {p.name for p in (tmp_path / "tables").iterdir()}
    assert {"table_1.md", "table_1.tex", "savings.md", "savings.tex"} <= written
    assert "table_4_1.md" not in written
