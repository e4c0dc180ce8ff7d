"""Savings of schedules: iterations and matrix-vector products (figures 6 to 10), seconds (figure 24)."""

import pandas as pd

from prdp.analysis.comparison import BUSY, finished, timed_alone
from prdp.analysis.problems import title
from prdp.analysis.quantities import matvecs_saved, time_saved, timed_in_blocks
from prdp.analysis.records import OWN, Records
from prdp.analysis.reference import Reference
from prdp.analysis.statistics import describe
from prdp.analysis.tables.cells import (
    EMPTY,
    HEAD,
    PARTS,
    Column,
    Group,
    extent,
    groups,
    interval,
    number,
    percent,
    printed,
    runs_of,
    spread,
    table,
)
from prdp.analysis.tables.table import Table


def savings(records: Records, reference: Reference) -> Table:
    """Return the savings of schedules in iterations and in matrix-vector products."""
    runs = runs_of(records, "fig_6", "fig_8", "fig_10", "table_1", "fast", OWN)
    runs = runs.assign(matvecs_saved=matvecs_saved(runs))
    final, levels = number("iterations_final"), extent("iterations_final")

    def claim(kind: str) -> Column:
        return lambda group: printed(reference, kind.format(group.first["physics"]), group)

    def parts(group: Group) -> str:
        found = [claim(f"savings.{{}}.{part}")(group) for part in ("incomplete", "progressive")]
        return EMPTY if EMPTY in found else " + ".join(found)

    columns = {
        **HEAD,
        "paper: total %": claim("savings.{}.total"),
        "paper: IC + PR": parts,
        "paper: K_eps": lambda group: _converged(reference, group),
        "paper: K_max": claim("level.{}.final"),
        "ours: total %": percent("savings"),
        "smallest to largest": extent("savings", 100, 1),
        **PARTS,
        "K_eps": extent("converged_iterations"),
        "final K": lambda group: f"{final(group)} ({levels(group)})",
        "products saved %": percent("matvecs_saved"),
    }
    notes = [
        "IC: incomplete convergence, 1 - K_max/K_eps with K_max the last level; PR: progressive refinement, the rest.",
        "Products: matrix-vector products, forward and adjoint. The baseline is the converged run of the same seed, or "
        "the mean over its seeds if that seed has none.",
    ]
    chosen = runs[runs["schedule"] != "fixed"]
    return table("Savings of schedules (figures 6 to 10)", chosen, columns, notes)


def wall_clock(records: Records, reference: Reference) -> Table:
    """Return the seconds of converged training and of schedules by device, and the share saved."""
    runs = runs_of(records, "fig_24", "fast", OWN)
    runs = runs[runs["is_converged"] | (runs["schedule"] != "fixed")]
    alone = timed_alone(runs)
    runs, left_out = runs[alone], runs[~alone]
    runs = runs.assign(seconds_all=runs["seconds"] + runs["seconds_compile"])
    for share, (ours, theirs) in _SHARES.items():
        runs[share] = time_saved(runs, ours, theirs)
    runs["solver_share"] = runs["saved_training"] / runs["executed_savings"]

    def seconds(column: str) -> Column:
        def cell(group: Group) -> str:
            same = (runs["case"] == group.first["case"]) & (runs["device"] == group.first["device"])
            converged = finished(runs[same & runs["is_converged"]])
            return " / ".join(spread(describe(x[column]), 1, 1) for x in (converged, group.done))

        return cell

    def claim(suffix: str) -> Column:
        return lambda group: printed(reference, f"wall_clock.{group.first['physics']}{suffix}", group)

    columns = {
        "problem": HEAD["problem"],
        "schedule": HEAD["schedule"],
        "device": lambda group: str(group.first["device"]),
        "seeds": HEAD["seeds"],
        "train, s": seconds("seconds_train"),
        "validate, s": seconds("seconds_validate"),
        "compile, s": seconds("seconds_compile"),
        "paper: saved %": claim(""),
        "ours: saved %": percent("saved"),
        "95 % interval": lambda group: interval(group.describe("saved"), 100, 1).strip(" ()") or EMPTY,
        "training only": percent("saved_training"),
        "with compilation": percent("saved_all"),
        "paper: no validation": claim(".no_validation"),
        "ours: no validation": percent("saved_unvalidated"),
        "paper: solver's share": lambda group: _implied(reference, group),
        "ours: solver's share": percent("solver_share"),
    }
    notes = [
        "Seconds: converged / schedule, means over seeds on one device. Compilation is not included. Shares saved "
        "compare runs of one seed, device, number of processors and commit.",
        "Saved: share of the seconds of training and validation, as in the paper. Also: of training only, with "
        "compilation, and against a baseline without validation.",
        "Solver's share: the percentage of an update with converged physics that the solver takes, as the savings "
        "imply it: time saved / iterations saved. Ours is of training only, by the iterations executed.",
        "Saved iterations save time only if the solver takes a large share of an update. Here one solver step "
        "applies a stencil (solver.operator=dense makes it a matrix, which the paper's times most likely need), and "
        "a change of K never recompiles.",
    ]
    blocks = [group.name for group in groups(runs[runs["schedule"] != "fixed"]) if _in_blocks(runs, group)]
    if blocks:
        notes.append(
            "All runs of one arm were timed before those of the other, so that a drift of the machine's speed is in "
            f"the difference: {', '.join(blocks)}."
        )
    if len(left_out):
        counts = ", ".join(f"{title(str(p))} {n}" for p, n in left_out.groupby("physics").size().items())
        notes.append(
            f"Runs left out because other processes took more than {BUSY:.0%} of CPU time, or because their share was "
            f"not recorded: {counts}."
        )
    return table("Wall-clock time (figure 24)", runs[runs["schedule"] != "fixed"], columns, notes)


def _implied(reference: Reference, group: Group) -> str:
    """Return the solver's share of an update, in %, that the paper's savings of time and of iterations imply."""
    physics = group.first["physics"]
    names = f"wall_clock.{physics}", f"savings.{physics}.total"
    if EMPTY in (printed(reference, name, group) for name in names):
        return EMPTY
    time, iterations = (reference.paper[name].paper for name in names)
    return f"{100 * time / iterations:.0f}" if time and iterations else EMPTY


def _in_blocks(runs: pd.DataFrame, group: Group) -> bool:
    own = runs["case"] == group.first["case"]
    return timed_in_blocks(group.runs, runs[own & runs["is_converged"]])


# Share saved -> the seconds of the schedule and of the baseline that it compares.
_SHARES = {
    "saved": ("seconds", "seconds"),
    "saved_training": ("seconds_train", "seconds_train"),
    "saved_all": ("seconds_all", "seconds_all"),
    "saved_unvalidated": ("seconds", "seconds_train"),
}


def _converged(reference: Reference, group: Group) -> str:
    # For a configured K_eps the claim is that it converges.
    claim = f"level.{group.first['physics']}.converged"
    known = printed(reference, claim, group)
    return known if known == EMPTY else str(reference.paper[claim].parameters.get("level", known))
