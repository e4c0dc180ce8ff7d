"""The claims of the paper, and whether the records reproduce them."""

import inspect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from prdp.analysis.quantities import QUANTITIES, Ambiguous, Selection
from prdp.analysis.records import Records
from prdp.analysis.rules import Rule
from prdp.analysis.statistics import Statistic

# Unit -> factor on recorded values, decimals in print, suffix in print.
_UNITS = {
    "%": (100.0, 1, " %"),
    "1e-2": (100.0, 2, " x1e-2"),
    "1e-5": (1e5, 2, " x1e-5"),
    "iterations": (1.0, 1, ""),
    "1000 iterations": (1e-3, 2, "K"),
    "updates": (1.0, 0, ""),
    "exponent": (1.0, 3, ""),
}


class Verdict(Enum):
    """Whether the records reproduce a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    NOT_RUN = "not run"

    @property
    def symbol(self) -> str:
        """A mark for tables."""
        return {Verdict.REPRODUCED: "✓", Verdict.NOT_REPRODUCED: "✗", Verdict.NOT_RUN: "○"}[self]


@dataclass(frozen=True)
class Claim:
    """A number of the paper.

    Attributes:
        id: its name.
        place: section, figure or table of the paper.
        statement: what the number measures.
        paper: the number in `unit`; null if only its sign is claimed.
        spread: its standard deviation in the paper in `unit`; null if none is given.
        unit: a key of `_UNITS`.
        rule: when it is reproduced.
        quantity: name in `QUANTITIES`.
        parameters: arguments of the quantity.
        experiments: the experiments whose runs are judged.
        physics: which of their runs; null for all.
        where: values that columns of these runs must have.
        seeds: number of seeds in the paper.
        reading: how the paper is read, if not by the suite's defaults and eq. 56; else null.
        why: the reason for the difference, given if the verdict is "not reproduced".
    """

    id: str
    place: str
    statement: str
    unit: str
    rule: Rule
    quantity: str
    experiments: tuple[str, ...]
    paper: float | None = None
    spread: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    physics: str | None = None
    where: dict[str, Any] = field(default_factory=dict)
    seeds: int = 10
    reading: str | None = None
    why: str | None = None

    def number(self, value: float | None, spread: float | None = None, *, exact: bool = False) -> str:
        """Return a value in the claim's unit as text, with a spread if there is one.

        Args:
            value: null if there is none.
            spread: null if there is none.
            exact: print all digits of the value (the paper's numbers); otherwise those of the unit.
        """
        if value is None:
            return "-"
        _, decimals, unit = _UNITS[self.unit]
        texts = [f"{v:g}" if exact else f"{v:.{decimals}f}" for v in (value, spread) if v is not None]
        return " ± ".join(texts) + unit

    @property
    def printed(self) -> str:
        """The paper's number as text."""
        return (
            self.rule.paper_text if self.paper is None else self.number(self.paper, self.spread, exact=True)
        )


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim.

    Attributes:
        claim: the claim.
        ours: the quantity in the claim's unit; null without runs.
        uncertainty: its standard deviation over seeds; null with one run.
        runs: number of finished runs (of the smaller arm, if two are compared).
        verdict: whether `ours` is within the rule.
        remarks: caveats, or the reason why the claim is not judged.
    """

    claim: Claim
    ours: float | None
    uncertainty: float | None
    runs: int
    verdict: Verdict
    remarks: str = ""

    @property
    def text(self) -> str:
        """The claim, both numbers, the rule, the verdict, the remarks and the reason of a difference."""
        claim = self.claim
        reading = f", read as: {claim.reading}" if claim.reading else ""
        head = f"{claim.statement} ({claim.place}{reading}). Paper: {claim.printed}."
        if self.verdict is Verdict.NOT_RUN:
            return f"{head} {self.remarks}"
        judged = f"Here: {self.printed}. Rule: {claim.rule.text}: {self.verdict.value}."
        why = f"Why: {claim.why}" if self.verdict is Verdict.NOT_REPRODUCED and claim.why else ""
        return " ".join(filter(None, (head, judged, self.remarks, why)))

    @property
    def measured(self) -> str:
        """Our number as text, with its uncertainty."""
        return self.claim.number(self.ours, self.uncertainty)

    @property
    def printed(self) -> str:
        """Our number as text, with its uncertainty and the number of runs."""
        one = self.ours is None or self.claim.seeds == 1
        return self.measured if one else f"{self.measured} ({in_seeds(self.runs)})"

    @property
    def seeds(self) -> str:
        """The number of runs and of the paper's seeds."""
        if self.claim.seeds == 1:
            return "no seed" if self.runs else "-"
        return f"{self.runs} of {self.claim.seeds}"


def load_claims(path: Path) -> list[Claim]:
    """Return the claims of a YAML file, each with its rule.

    Raises:
        ValueError: a claim has an unknown key, quantity, parameter, rule or unit, or an id that is taken.
    """
    document = yaml.safe_load(path.read_text())
    rules = {name: Rule(name=name, **_floats(values)) for name, values in document["rules"].items()}
    claims: list[Claim] = []
    for entry in document["claims"]:
        try:
            claims.append(_claim(entry, rules))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path.name}, claim {entry.get('id')}: {error}") from error
    ids = [claim.id for claim in claims]
    repeated = sorted({i for i in ids if ids.count(i) > 1})
    if repeated:
        raise ValueError(f"{path.name}: more than one claim is called {', '.join(repeated)}")
    return claims


def _claim(entry: dict[str, Any], rules: dict[str, Rule]) -> Claim:
    entry, runs = _floats(entry), dict(entry["runs"])
    quantity = dict(entry.pop("quantity"))
    name = quantity.pop("name")
    del entry["runs"]
    inspect.signature(QUANTITIES[name]).bind(None, **quantity)
    rule = rules[entry.pop("rule")]
    experiments = runs.pop("experiment")
    experiments = (experiments,) if isinstance(experiments, str) else tuple(experiments)
    claim = Claim(rule=rule, quantity=name, parameters=quantity, experiments=experiments, **entry, **runs)
    if claim.unit not in _UNITS:
        raise KeyError(f"unit {claim.unit}")
    rule.check(claim.paper)
    return claim


def _floats(entry: dict[str, Any]) -> dict[str, Any]:
    # 3 is an integer to YAML.
    numbers = {
        k: float(entry[k]) for k in ("paper", "spread", "margin", "relative") if entry.get(k) is not None
    }
    return {**entry, **numbers}


def judge(claims: Iterable[Claim], records: Records) -> list[Judgement]:
    """Return the verdict on each claim. Only runs of the paper's size count."""

    @cache
    def of(experiments: tuple[str, ...]) -> Selection:
        return Selection.of(records, *experiments)

    return [_judge(claim, of(claim.experiments)) for claim in claims]


def _judge(claim: Claim, runs: Selection) -> Judgement:
    selection = runs.where(claim.physics, claim.where)
    try:
        found = None if selection.runs.empty else QUANTITIES[claim.quantity](selection, **claim.parameters)
    except Ambiguous as error:
        return _not_run(claim, f"Cannot be judged: {error}.")
    if found is None or (found.runs == 0 and not found.diverged) or (found.runs and math.isnan(found.mean)):
        return _not_run(claim, _missing(claim, selection, runs))
    return _verdict(claim, _in_unit(found, claim.unit))


def _verdict(claim: Claim, found: Statistic) -> Judgement:
    # A claim with a diverged run is not reproduced.
    fits = found.runs > 0 and not found.diverged and claim.rule.holds(claim.paper, claim.spread, found)
    verdict = Verdict.REPRODUCED if fits else Verdict.NOT_REPRODUCED
    ours = found.mean if found.runs else None
    return Judgement(claim, ours, found.std, found.runs, verdict, " ".join(_caveats(claim, found)))


def _caveats(claim: Claim, found: Statistic) -> list[str]:
    caveats = []
    if found.diverged:
        caveats.append(f"{found.diverged} of {found.runs + found.diverged} runs diverged and have no number.")
    if claim.seeds > 1 and found.runs == 1:
        caveats.append(f"One seed of the paper's {claim.seeds}: no spread.")
    elif found.runs < claim.seeds:
        caveats.append(f"{in_seeds(found.runs)} of the paper's {claim.seeds}.")
    if claim.rule.interval and found.low is not None and found.high is not None:
        excluded = "" if found.high <= claim.rule.margin else "; a larger difference is not excluded"
        caveats.append(f"95 % interval: {claim.number(found.low)} to {claim.number(found.high)}{excluded}.")
    return caveats


def _not_run(claim: Claim, reason: str) -> Judgement:
    return Judgement(claim, None, None, 0, Verdict.NOT_RUN, reason)


def _missing(claim: Claim, selection: Selection, runs: Selection) -> str:
    reduced = runs.where(claim.physics, {}, scale="small").runs
    name = " and ".join(claim.experiments)
    text = f"Not run: experiment {name}."
    if not selection.runs.empty:
        text = f"Not run: experiment {name} has only {len(selection.runs)} of the runs that it needs."
    if len(reduced):
        text += f" Its {len(reduced)} runs of the reduced problem (scale=small) do not count."
    return text


def _in_unit(found: Statistic, unit: str) -> Statistic:
    factor = _UNITS[unit][0]

    def scaled(value: float | None) -> float | None:
        return None if value is None else factor * value

    return found._replace(
        mean=factor * found.mean,
        median=factor * found.median,
        std=scaled(found.std),
        low=scaled(found.low),
        high=scaled(found.high),
    )


def in_seeds(count: int) -> str:
    """Return a number of seeds in words."""
    return "1 seed" if count == 1 else f"{count} seeds"
