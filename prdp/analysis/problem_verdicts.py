"""One verdict per problem and setting, which joins savings and accuracy; and what holds, in three sentences."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prdp.analysis.paper import Setting
from prdp.analysis.verdicts import BLOCKS, Judgement, Verdict, in_seeds


@dataclass(frozen=True)
class Row:
    """A problem in one setting, and its claims by id; null without one.

    Attributes:
        problem: its title.
        setting: whose settings these are.
        what: what tells them from the other settings of the problem; may be empty.
        savings: iterations saved.
        accuracy: the error of PRDP against that of converged physics.
        converged: the error of table 1 with converged physics.
        prdp: that with PRDP.
        time: training time saved.
    """

    problem: str
    setting: Setting
    what: str = ""
    savings: str | None = None
    accuracy: str | None = None
    converged: str | None = None
    prdp: str | None = None
    time: str | None = None

    @property
    def name(self) -> str:
        """The problem with what tells the row from others of it."""
        return f"{self.problem} ({self.what})" if self.what else self.problem

    @property
    def claims(self) -> tuple[str | None, ...]:
        """The ids in the order of the columns."""
        return self.savings, self.accuracy, self.converged, self.prdp, self.time


def _row(problem: str, physics: str, setting: Setting, what: str, suffix: str = "", norm: str = "") -> Row:
    return Row(
        problem,
        setting,
        what,
        f"savings.{physics}.total{suffix}",
        f"accuracy.{physics}{suffix}",
        f"error.{physics}.converged{norm}",
        f"error.{physics}.prdp{norm}",
        f"wall_clock.{physics}{suffix}",
    )


_P, _R, _C = Setting.PRINTED, Setting.RELEASED, Setting.CHOSEN
_NARROW, _NS = ".narrow", "navier_stokes"
# The paper's printed setting is the first row of each problem.
ROWS: tuple[Row, ...] = (
    Row("Poisson", _P, "1 parameter, tau_stop 0.98", "table_4_1.1.jacobi.unrolled.printed"),
    Row("Poisson", _R, "1 parameter, tau_stop 0.9", "table_4_1.1.jacobi.unrolled.savings"),
    Row("Poisson", _P, "3 parameters", "table_4_1.3.jacobi.unrolled.savings"),
    _row("Heat 1D", "heat1d", _P, "70 epochs", ".printed", ".printed"),
    _row("Heat 1D", "heat1d", _R, "100 epochs", "", ".previous_step"),
    _row("Heat 2D", "heat2d", _P, "100 epochs", ".printed", ".printed"),
    _row("Heat 2D", "heat2d", _R, "70 epochs", "", ".previous_step"),
    Row("Heat 2D", _C, "width 300", f"savings.heat2d.total{_NARROW}", f"accuracy.heat2d{_NARROW}"),
    Row("Heat 2D", _C, "dense matrix", time="wall_clock.heat2d.dense"),
    _row("Heat 3D", "heat3d", _P, ""),
    Row("Heat 3D", _C, "dense matrix", time="wall_clock.heat3d.dense"),
    _row("Burgers", "burgers", _P, ""),
    Row(
        "Navier-Stokes",
        _P,
        "tau_step 0.98",
        f"savings.{_NS}.total.printed",
        f"accuracy.{_NS}.printed",
        f"error.{_NS}.converged",
        f"error.{_NS}.prdp.printed",
        f"wall_clock.{_NS}.printed",
    ),
    _row("Navier-Stokes", _NS, _R, "tau_step 0.95"),
    Row(
        "Navier-Stokes",
        _R,
        "zero gradient",
        f"savings.{_NS}.total.zero_adjoint",
        f"accuracy.{_NS}.zero_adjoint",
        f"error.{_NS}.converged.zero_adjoint",
        f"error.{_NS}.prdp.zero_adjoint",
    ),
    Row(
        "Navier-Stokes",
        _C,
        "t = 1",
        converged=f"error.{_NS}.converged.step_1",
        prdp=f"error.{_NS}.prdp.step_1",
    ),
)
# The first of them that either claim has is the verdict on both.
_WORST_FIRST = (
    Verdict.CONTRADICTED,
    Verdict.NOT_RUN,
    Verdict.ONE_SEED,
    Verdict.UNDECIDED,
    Verdict.REPRODUCED,
)


def joined(row: Row, by_id: Mapping[str, Judgement]) -> Verdict | None:
    """Return the verdict that joins savings and accuracy; null if the row has neither."""
    found = {by_id[i].verdict for i in (row.savings, row.accuracy) if i is not None and i in by_id}
    return next((verdict for verdict in _WORST_FIRST if verdict in found), None)


def front() -> tuple[Row, ...]:
    """Return the rows of the short table: the printed settings, and the first of the released code, the default."""
    first = {row.problem: row for row in reversed(ROWS) if row.setting is Setting.RELEASED}
    return tuple(row for row in ROWS if row.setting is Setting.PRINTED or row is first.get(row.problem))


def brief(judgements: Iterable[Judgement]) -> list[str]:
    """Return what `sentences` says of the rows of the short table, with numbers for the time alone."""
    by_id = {j.claim.id: j for j in judgements}
    timed = _found(front(), "time", by_id)
    faster = [(r, j) for r, j in timed if j.low is not None and j.low > 0]
    shorter = ", ".join(f"{r.name} ({j.claim.number(j.ours)})" for r, j in faster if j.ours is not None)
    open_ = ", ".join(r.name for r, j in timed if (r, j) not in faster)
    return [
        f"**Iterations saved**: the paper's share {_grouped(_found(front(), 'savings', by_id), _name)}.",
        "**Equal accuracy** (PRDP ends at most 10 % above the error of converged physics) "
        f"{_grouped(_found(front(), 'accuracy', by_id), _name)}.",
        f"**Training time**: a saving is shown on {shorter or 'no problem'}"
        + (f"; it is not shown, or not measured, on {open_}." if open_ else "."),
    ]


def sentences(judgements: Iterable[Judgement]) -> list[str]:
    """Return where the savings are reproduced, where accuracy is equal, and where time is saved."""
    by_id = {j.claim.id: j for j in judgements}
    honest = [row for row in ROWS if row.setting is not Setting.CHOSEN]
    timed = [row for row in ROWS if row.time in by_id]
    return [
        "**Iterations saved** [95 % interval]: the paper's share "
        f"{_grouped(_found(honest, 'savings', by_id), _with_number)}.",
        "**Equal accuracy**: that PRDP ends at most 10 % above the error of converged physics "
        f"{_grouped(_found(honest, 'accuracy', by_id), _with_number)}.",
        "**Saved iterations are saved seconds** only where the solver takes a large share of an update: PRDP "
        f"{_times([(row, by_id[row.time]) for row in timed if row.time])}.",
    ]


_Found = list[tuple[Row, Judgement]]


def _found(rows: Iterable[Row], column: str, by_id: Mapping[str, Judgement]) -> _Found:
    named = ((row, getattr(row, column)) for row in rows)
    return [(row, by_id[name]) for row, name in named if name in by_id]


_SAID = {
    Verdict.REPRODUCED: "is reproduced on",
    Verdict.CONTRADICTED: "is contradicted on",
    Verdict.UNDECIDED: "is undecided on",
    Verdict.ONE_SEED: "rests on one seed on",
    Verdict.NOT_TIMED_ALONE: "is not timed alone on",
    Verdict.NOT_RUN: "is not run on",
}


def _grouped(found: _Found, shown: Callable[[Row, Judgement], str]) -> str:
    parts = []
    for verdict, words in _SAID.items():
        names = [shown(row, j) for row, j in found if j.verdict is verdict]
        if names:
            parts.append(f"{words} {', '.join(names)}")
    return "; ".join(parts)


def _name(row: Row, judgement: Judgement) -> str:
    return row.name


def _with_number(row: Row, judgement: Judgement) -> str:
    if judgement.ours is None:
        return row.name
    number = judgement.claim.number(judgement.ours)
    interval = f" [{judgement.interval}]" if judgement.interval else ""
    return f"{row.name} {number}{interval}" + (" (in blocks)" if BLOCKS in judgement.remarks else "")


def _times(found: _Found) -> str:
    measured = [(row, j) for row, j in found if j.low is not None and j.high is not None]
    faster = [(r, j) for r, j in measured if j.low is not None and j.low > 0]
    slower = [(r, j) for r, j in measured if j.high is not None and j.high < 0]
    groups = {
        "took less time on": faster,
        "took more time on": slower,
        "is not shown to take less time on": [x for x in measured if x not in faster and x not in slower],
        "has one seed on": [(r, j) for r, j in found if j.verdict is Verdict.ONE_SEED],
        "is not timed alone on": [(r, j) for r, j in found if j.verdict is Verdict.NOT_TIMED_ALONE],
        "is not run on": [(r, j) for r, j in found if j.verdict is Verdict.NOT_RUN],
    }
    return "; ".join(
        f"{words} {', '.join(_with_number(*x) for x in group)}" for words, group in groups.items() if group
    )


def seeds(row: Row, by_id: Mapping[str, Judgement]) -> str:
    """Return the largest number of seeds behind a row in words; empty where no seed changes a number."""
    found = [by_id[i] for i in row.claims if i is not None and i in by_id]
    if any(j.claim.seeds == 1 for j in found):
        return ""
    return in_seeds(max((j.runs for j in found), default=0))
