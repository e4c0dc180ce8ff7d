"""The rivals: every mode, schedule, solver and warm start beside PRDP on one problem, each with a name and a cost."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from prdp.analysis.comparison import diverged, finished, tidy
from prdp.analysis.poisson import COMMON_ERROR, first_reach
from prdp.analysis.quantities import by_seed
from prdp.analysis.records import Records
from prdp.analysis.statistics import Statistic, describe, relative_difference

EXPERIMENT = "rivals"
COSTS = ("matvecs", "iterations_total", "iterations_executed_total", "seconds", "updates")
# A mean error by so much above another's, relative to it, is no worse: what the paper's claims are granted as well.
MARGIN = 0.1
CONVERGED, PRDP, SCHEDULE, MODE, SOLVER, WARM = (
    "converged",
    "PRDP",
    "schedule",
    "mode",
    "solver",
    "warm start",
)
KINDS = (CONVERGED, PRDP, SCHEDULE, MODE, SOLVER, WARM)
TWO_STAGES, DIRECT, CG = "two stages", "direct", "CG"

_PROBLEMS = ("heat1d", "heat2d", "heat3d", "burgers", "navier_stokes", "poisson")
_REFERENCE_MODE = "implicit"
_REFERENCE_SOLVER = {"burgers": "gmres", "navier_stokes": "gmres"}
_SOLVERS = {
    "conjugate_gradient": CG,
    "lbfgs": "L-BFGS",
    "gmres": "GMRES",
    "bicgstab": "BiCGStab",
}
_MODES = {"jfb": "JFB", "neumann": "Neumann", "reduced_cg": "reduced CG", "one_step": "one-step"}
_SCHEDULES = {
    "prdp": "PRDP",
    "tolerance_prdp": "PRDP by tolerance",
    "geometric": "geometric PRDP",
    "flatness": "PRDP by flatness",
    "two_stage": TWO_STAGES,
    "hoag": "HOAG",
}


@dataclass(frozen=True, eq=False)
class Rival:
    """One way to train on a problem: a solver, a mode, a start and a schedule.

    Attributes:
        name: what distinguishes it from converged implicit training with the problem's own solver.
        kind: one of `KINDS`.
        schedule: as in the configuration.
        runs: how many there are; of networks, one a seed.
        diverged: how many of them diverged.
        errors: final error by seed.
        iterations: K in force summed over the whole training, by seed.
        error: these over the seeds, with the interval of their median.
        costs: what it spent, by name (see `COSTS`): of networks in all; of Poisson until its parameter error first was
            at most `COMMON_ERROR`, without runs where it never was. Their intervals are of the median. Seconds are
            those of training and validation on the device that most runs of the problem have.
        attained: what a cost is weighed against: the median error; of Poisson `COMMON_ERROR`; null where the cost buys
            nothing (a run diverged, or that error was never reached).
    """

    name: str
    kind: str
    schedule: str
    runs: int
    diverged: int
    errors: dict[int, float]
    iterations: dict[int, float]
    error: Statistic
    costs: dict[str, Statistic]
    attained: float | None

    def cost(self, name: str) -> float:
        """Return the median of a cost; NaN without any."""
        return self.costs[name].median

    def excess(self, other: "Rival") -> Statistic:
        """Return by how much its error is above another's, by seed, relative to the mean of the other's."""
        return relative_difference(self.errors, other.errors, diverged=self.diverged)

    def share(self, other: "Rival", cost: str) -> float:
        """Return its cost as a share of another's; NaN if one of both has none."""
        theirs = other.cost(cost)
        return self.cost(cost) / theirs if theirs else math.nan


@dataclass(frozen=True, eq=False)
class Comparison:
    """The rivals of one problem.

    Attributes:
        physics: of the problem.
        reduced: whether it is smaller than the paper's.
        rivals: in the order of `KINDS`, each kind by schedule and name.
    """

    physics: str
    reduced: bool
    rivals: tuple[Rival, ...]

    @property
    def to_common_error(self) -> bool:
        """Whether costs are those until a common error, as the problem has neither network nor seed."""
        return self.physics == "poisson"

    @property
    def converged(self) -> Rival | None:
        """Converged implicit training with the problem's own solver."""
        return self._only(CONVERGED)

    @property
    def prdp(self) -> Rival | None:
        """PRDP in its place."""
        return self._only(PRDP)

    def no_worse(self, rival: Rival, other: Rival) -> bool:
        """Return whether a rival's error is at most by `MARGIN` above another's; of Poisson, whether it got as far."""
        if rival.attained is None:
            return False
        return self.to_common_error or rival.excess(other).mean <= MARGIN

    def _only(self, kind: str) -> Rival | None:
        return next((r for r in self.rivals if r.kind == kind), None)


def compare(records: Records) -> list[Comparison]:
    """Return the comparison of each problem that has runs of `rivals`, on the seeds that all of them have."""
    chosen = records.of(EXPERIMENT)
    if chosen.summaries.empty:
        return []
    runs = _named(tidy(chosen))
    found = []
    for (physics, scale), problem in runs.groupby(["physics", "scale"]):
        rivals = [_rival(arm, chosen) for _, arm in _of_common_seeds(problem).groupby("rival")]
        rivals.sort(key=lambda r: (KINDS.index(r.kind), r.name))
        found.append(Comparison(str(physics), scale != "full", tuple(rivals)))
    return sorted(found, key=lambda c: (_PROBLEMS.index(c.physics), c.reduced))


def front(rivals: Iterable[Rival], cost: str) -> list[Rival]:
    """Return the rivals that no other beats in both a cost and the error (one of them, and equals in the other).

    They come cheapest first, by medians; one of which a run diverged is never among them.
    """
    usable = [(r.cost(cost), r.attained, r) for r in rivals if r.attained is not None]
    usable = [u for u in usable if not math.isnan(u[0])]
    kept = [
        (spent, error, rival)
        for spent, error, rival in usable
        if not any(s <= spent and e <= error and (s, e) != (spent, error) for s, e, _ in usable)
    ]
    return [rival for *_, rival in sorted(kept, key=lambda k: (k[0], k[1], k[2].name))]


def cheapest(rivals: Iterable[Rival], cost: str) -> Rival | None:
    """Return the rival with the smallest cost; null if none has one."""
    found = [r for r in rivals if not math.isnan(r.cost(cost))]
    return min(found, key=lambda r: (r.cost(cost), r.name), default=None)


def _named(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with the columns `rival` and `kind`; of a rival's runs of one seed, the last."""
    warm = runs["solver.warm_start"] if "solver.warm_start" in runs else pd.Series(False, runs.index)
    own = runs["physics"].map(_REFERENCE_SOLVER).fillna("jacobi")
    runs = runs.assign(
        _solver=runs["solver"].where(runs["solver"] != own, ""),
        _mode=runs["diff"].where(runs["diff"] != _REFERENCE_MODE, ""),
        _warm=warm.fillna(False).astype(bool),
    )
    rows = runs.to_dict("records")
    runs["rival"] = pd.Series([_name(row) for row in rows], runs.index, dtype=object)
    runs["kind"] = pd.Series([_kind(row) for row in rows], runs.index, dtype=object)
    if "recorded" in runs:
        runs = runs.sort_values("recorded", kind="stable")
    runs = runs.drop_duplicates(["physics", "scale", "rival", "seed"], keep="last")
    usual = runs.groupby(["physics", "scale"])["device"].transform(lambda devices: devices.mode()[0])
    return runs.assign(elsewhere=runs["device"] != usual)


def _of_common_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the seeds that all rivals have, so that medians are of the same; all if there is none."""
    common = set.intersection(*(set(arm["seed"]) for _, arm in runs.groupby("rival")))
    return runs[runs["seed"].isin(common)] if common else runs


def _name(row: dict) -> str:
    parts = [
        *([_SOLVERS.get(row["_solver"], _plain(row["_solver"]))] if row["_solver"] else []),
        *([_MODES.get(row["_mode"], _plain(row["_mode"]))] if row["_mode"] else []),
        *(["warm start"] if row["_warm"] else []),
    ]
    if row["is_converged"]:
        return ", ".join(parts) or "converged"
    between = ", " if row["schedule"] == "fixed" else " + "
    return between.join([", ".join(parts), _schedule(row)] if parts else [_schedule(row)])


def _schedule(row: dict) -> str:
    if row["schedule"] == "fixed":
        return f"K = {int(row['iterations_final'])}"
    name = _SCHEDULES.get(row["schedule"], _plain(row["schedule"]))
    sequence = row.get("schedule.sequence")
    return f"{name} {sequence}" if isinstance(sequence, str) else name


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _kind(row: dict) -> str:
    for kind, differs in ((WARM, row["_warm"]), (SOLVER, row["_solver"]), (MODE, row["_mode"])):
        if differs:
            return kind
    if row["is_converged"]:
        return CONVERGED
    return PRDP if row["schedule"] == "prdp" else SCHEDULE


def _rival(arm: pd.DataFrame, records: Records) -> Rival:
    first, done, lost = arm.iloc[0], finished(arm), diverged(arm)
    error = describe(done["val_error_final"], interval_of="median", diverged=lost)
    to_common_error = first["physics"] == "poisson"
    spent = (_until_common_error(done, records) if to_common_error else done[list(COSTS)]).astype(float)
    spent.loc[done["elsewhere"], "seconds"] = math.nan
    costs = {c: describe(spent[c], interval_of="median", diverged=lost) for c in COSTS}
    attained = error.median if not to_common_error else COMMON_ERROR
    usable = not lost and costs["matvecs"].runs > 0
    return Rival(
        name=first["rival"],
        kind=first["kind"],
        schedule=first["schedule"],
        runs=len(arm),
        diverged=lost,
        errors=by_seed(arm, "val_error_final"),
        iterations=by_seed(arm, "iterations_total"),
        error=error,
        costs=costs,
        attained=attained if usable else None,
    )


def _until_common_error(runs: pd.DataFrame, records: Records) -> pd.DataFrame:
    rows = [_spent(records.history(run)) for run in runs["run"]]
    return pd.DataFrame(rows, index=runs.index, columns=list(COSTS))


def _spent(history: pd.DataFrame) -> dict[str, float]:
    try:
        updates = first_reach(history, COMMON_ERROR)
    except ValueError:
        return dict.fromkeys(COSTS, math.nan)
    so_far = history[history["updates"] <= updates]
    last = so_far.iloc[-1]
    return {
        "matvecs": float(last["matvecs_total"] + last["adjoint_matvecs_total"]),
        "iterations_total": float(last["iterations_total"]),
        "iterations_executed_total": float(last["iterations_executed_total"]),
        "seconds": float(so_far[["seconds_train", "seconds_validate"]].to_numpy().sum()),
        "updates": float(updates),
    }
