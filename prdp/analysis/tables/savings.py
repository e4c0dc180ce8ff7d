"""Savings of schedules: iterations and matrix-vector products (figures 6 to 10), seconds (figure 24)."""

import pandas as pd

from prdp.analysis.comparison import BUSY, finished, timed_alone
from prdp.analysis.problems import title
from prdp.analysis.quantities import matvecs_saved, time_saved
from prdp.analysis.records import OWN, Records
from prdp.analysis.statistics import describe
from prdp.analysis.tables.cells import EMPTY, Group, Paper, groups, printed, runs_of, seeds_note, spread
from prdp.analysis.tables.table import NothingToShow, Table


def savings(records: Records, paper: Paper) -> Table:
    """Return the savings of schedules in iterations and in matrix-vector products."""
    runs = runs_of(records, "fig_6", "fig_8", "fig_10", "table_1", "fast", OWN)
    runs = runs.assign(matvecs_saved=matvecs_saved(runs))
    chosen = runs[runs["schedule"] != "fixed"]
    if chosen.empty:
        raise NothingToShow("no run of a schedule")
    rows = []
    for group in groups(chosen):
        name, known = group.first["physics"], paper if group.first["schedule"] == "prdp" else {}
        parts = [printed(known, f"savings.{name}.{part}", group) for part in ("incomplete", "progressive")]
        rows.append(
            {
                "problem": group.name,
                "schedule": group.first["arm"],
                "seeds": group.seeds,
                "paper: total %": printed(known, f"savings.{name}.total", group),
                "paper: IC + PR": EMPTY if EMPTY in parts else " + ".join(parts),
                "paper: K_eps": _converged(known, group),
                "paper: K_max": printed(known, f"level.{name}.final", group),
                "ours: total %": group.percent("savings"),
                "smallest to largest": _range(group),
                "IC %": group.percent("savings_incomplete_convergence"),
                "PR %": group.percent("savings_progressive_refinement"),
                "K_eps": group.range("converged_iterations"),
                "final K": f"{spread(group.describe('iterations_final'), 1, 1)} ({group.range()})",
                "products saved %": group.percent("matvecs_saved"),
            }
        )
    notes = [
        "IC: incomplete convergence, 1 - K_max/K_eps with K_max the last level; PR: progressive refinement, the rest.",
        "Products: matrix-vector products, forward and adjoint. The baseline is the converged run of the same seed, or "
        "the mean over its seeds if that seed has none.",
    ]
    return Table("Savings of schedules (figures 6 to 10)", pd.DataFrame(rows), [*notes, *seeds_note(chosen)])


def wall_clock(records: Records, paper: Paper) -> Table:
    """Return the seconds of converged training and of schedules by device, and the share saved."""
    runs = runs_of(records, "fig_24", "fast", OWN)
    runs = runs[runs["is_converged"] | (runs["schedule"] != "fixed")]
    alone = timed_alone(runs)
    runs, left_out = runs[alone], runs[~alone]
    runs = runs.assign(seconds_all=runs["seconds"] + runs["seconds_compile"])
    for share, (ours, theirs) in _SHARES.items():
        runs[share] = time_saved(runs, ours, theirs)
    rows = [_seconds(group, runs, paper) for group in groups(runs[runs["schedule"] != "fixed"])]
    if not rows:
        raise NothingToShow("no run of a schedule was timed alone")
    notes = [
        "Seconds: converged / schedule, means over seeds on one device. Compilation is not included.",
        "Saved: share of the seconds of training and validation, as in the paper. Also: of training only, with "
        "compilation, and against a baseline without validation.",
        "Saved iterations save time only if the solver takes a large share of an update. Here one solver step "
        "applies a stencil (solver.operator=dense makes it a matrix, which the paper's times most likely need), and "
        "a change of K never recompiles.",
    ]
    if len(left_out):
        counts = ", ".join(f"{title(str(p))} {n}" for p, n in left_out.groupby("physics").size().items())
        notes.append(
            f"Runs left out because other processes took more than {BUSY:.0%} of CPU time, or because their share was "
            f"not recorded: {counts}."
        )
    return Table("Wall-clock time (figure 24)", pd.DataFrame(rows), [*notes, *seeds_note(runs)])


# Share saved -> the seconds of the schedule and of the baseline that it compares.
_SHARES = {
    "saved": ("seconds", "seconds"),
    "saved_training": ("seconds_train", "seconds_train"),
    "saved_all": ("seconds_all", "seconds_all"),
    "saved_unvalidated": ("seconds", "seconds_train"),
}


def _seconds(group: Group, runs: pd.DataFrame, paper: Paper) -> dict[str, str]:
    physics = group.first["physics"]
    same = (runs["case"] == group.first["case"]) & (runs["device"] == group.first["device"])
    converged = finished(runs[same & runs["is_converged"]])
    rows = {
        "problem": group.name,
        "schedule": group.first["arm"],
        "device": str(group.first["device"]),
        "seeds": group.seeds,
    }
    known = paper if group.first["schedule"] == "prdp" else {}
    for header, column in (
        ("train, s", "seconds_train"),
        ("validate, s", "seconds_validate"),
        ("compile, s", "seconds_compile"),
    ):
        rows[header] = " / ".join(spread(describe(x[column]), 1, 1) for x in (converged, group.done))
    return {
        **rows,
        "paper: saved %": printed(known, f"wall_clock.{physics}", group),
        "ours: saved %": group.percent("saved"),
        "training only": group.percent("saved_training"),
        "with compilation": group.percent("saved_all"),
        "paper: no validation": printed(known, f"wall_clock.{physics}.no_validation", group),
        "ours: no validation": group.percent("saved_unvalidated"),
    }


def _converged(paper: Paper, group: Group) -> str:
    # For a configured K_eps the claim is that it converges.
    claim = f"level.{group.first['physics']}.converged"
    known = printed(paper, claim, group)
    return known if known == EMPTY else str(paper[claim].parameters.get("level", known))


def _range(group: Group) -> str:
    if group.done.empty:
        return EMPTY
    return f"{100 * group.done['savings'].min():.1f} to {100 * group.done['savings'].max():.1f}"
