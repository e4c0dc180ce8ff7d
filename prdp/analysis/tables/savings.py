"""What PRDP saves: iterations and products (figures 6 to 10), seconds (figure 24)."""

import pandas as pd

from prdp.analysis.comparison import BUSY, baseline, finished, timed_alone
from prdp.analysis.records import Records
from prdp.analysis.statistics import describe
from prdp.analysis.tables.cells import (
    EMPTY,
    TITLES,
    Group,
    Paper,
    groups,
    printed,
    runs_of,
    seeds_note,
    spread,
)
from prdp.analysis.tables.table import NothingToShow, Table


def savings(records: Records, paper: Paper) -> Table:
    """Return what schedules save, in iterations and in matrix-vector products."""
    runs = runs_of(records, "fig_6", "fig_8", "fig_10", "table_1", "fast")
    runs = runs.assign(matvecs_saved=1 - runs["matvecs"] / baseline(runs, "matvecs"))
    chosen = runs[runs["schedule"] != "fixed"]
    if chosen.empty:
        raise NothingToShow("no run of PRDP")
    rows = []
    for group in groups(chosen):
        name = group.first["physics"]
        parts = [printed(paper, f"savings.{name}.{part}", group) for part in ("incomplete", "progressive")]
        rows.append(
            {
                "problem": group.name,
                "schedule": group.first["arm"],
                "seeds": group.seeds,
                "paper: total %": printed(paper, f"savings.{name}.total", group),
                "paper: IC + PR": EMPTY if EMPTY in parts else " + ".join(parts),
                "paper: K_eps": _converged(paper, group),
                "paper: K_max": printed(paper, f"level.{name}.final", group),
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
        "Products: matrix-vector products, forward and adjoint, against the converged baseline of the same seed, or "
        "the mean of its seeds where that seed has none.",
    ]
    return Table("Savings of PRDP (figures 6 to 10)", pd.DataFrame(rows), [*notes, *seeds_note(chosen)])


def wall_clock(records: Records, paper: Paper) -> Table:
    """Return seconds of converged and PRDP trainings, by device, and the share saved, of runs that were timed alone."""
    runs = runs_of(records, "fig_24", "fast")
    runs = runs[runs["is_converged"] | (runs["schedule"] == "prdp")]
    alone = timed_alone(runs)
    runs, left_out = runs[alone], runs[~alone]
    runs = runs.assign(seconds_all=runs["seconds"] + runs["seconds_compile"])
    for share, (ours, theirs) in _SHARES.items():
        runs[share] = 1 - runs[ours] / baseline(runs, theirs, same_device=True)
    rows = [_seconds(group, runs, paper) for group in groups(runs[runs["schedule"] == "prdp"])]
    if not rows:
        raise NothingToShow("no run of PRDP that was timed alone")
    notes = [
        "Seconds are converged / PRDP, means over seeds, on one device; compilation is apart.",
        "The share saved is of training and validation, as in the paper; of training alone; of all with "
        "compilation; and against a baseline that does not validate.",
        "Iterations saved are seconds saved only where the solver is a large share of an update. Here a "
        "solver's step is a stencil (solver.operator=dense makes it a matrix, which the paper's times most "
        "likely need), and K never recompiles.",
    ]
    if len(left_out):
        counts = ", ".join(f"{n} of {TITLES[str(p)]}" for p, n in left_out.groupby("physics").size().items())
        notes.append(
            f"Left out, because other processes took more than {BUSY:.0%} of the processors' time, or because "
            f"nothing is known of that: runs {counts}."
        )
    return Table("Wall-clock time (figure 24)", pd.DataFrame(rows), [*notes, *seeds_note(runs)])


# Share saved -> the seconds of PRDP and of the baseline that it compares.
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
    rows = {"problem": group.name, "device": str(group.first["device"]), "seeds": group.seeds}
    for header, column in (
        ("train, s", "seconds_train"),
        ("validate, s", "seconds_validate"),
        ("compile, s", "seconds_compile"),
    ):
        rows[header] = " / ".join(spread(describe(x[column]), 1, 1) for x in (converged, group.done))
    return {
        **rows,
        "paper: saved %": printed(paper, f"wall_clock.{physics}", group),
        "ours: saved %": group.percent("saved"),
        "training only": group.percent("saved_training"),
        "with compilation": group.percent("saved_all"),
        "paper: no validation": printed(paper, f"wall_clock.{physics}.no_validation", group),
        "ours: no validation": group.percent("saved_unvalidated"),
    }


def _converged(paper: Paper, group: Group) -> str:
    # Where K_eps is configured, the claim is that it converges.
    claim = f"level.{group.first['physics']}.converged"
    known = printed(paper, claim, group)
    return known if known == EMPTY else str(paper[claim].parameters.get("level", known))


def _range(group: Group) -> str:
    if group.done.empty:
        return EMPTY
    return f"{100 * group.done['savings'].min():.1f} to {100 * group.done['savings'].max():.1f}"
