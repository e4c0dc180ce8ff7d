"""Verdicts on claims, and what they rest on, in words."""

from dataclasses import dataclass
from enum import Enum

from prdp.analysis.paper import Claim
from prdp.analysis.rules import Place

# The remark on seconds of arms that did not run in turn.
BLOCKS = "All runs of one arm were timed before those of the other."


class Verdict(Enum):
    """What the records say of a claim."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    ONE_SEED = "one seed"
    NOT_TIMED_ALONE = "not timed alone"
    NOT_RUN = "not run"
    DEFINITION = "definition"

    @property
    def symbol(self) -> str:
        """A mark for tables."""
        return _SYMBOLS[self]


_SYMBOLS = dict(zip(Verdict, "✓✗?1○○≡", strict=True))


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim.

    Attributes:
        claim: the claim.
        ours: the quantity in the claim's unit; null without runs.
        uncertainty: its standard deviation over seeds; null with one run.
        runs: number of finished runs (of the smaller arm, if two are compared).
        verdict: what the interval says, or why there is none.
        remarks: caveats, or the reason why the claim is not judged.
        low: lower end of the 95 % interval; null without one.
        high: its upper end.
        place: where the interval lies, or the number if it has none; null without a number.
        needed: the number of seeds that would decide; null if no number up to 1000 would, or none is needed.
    """

    claim: Claim
    ours: float | None
    uncertainty: float | None
    runs: int
    verdict: Verdict
    remarks: str = ""
    low: float | None = None
    high: float | None = None
    place: Place | None = None
    needed: int | None = None

    @property
    def text(self) -> str:
        """The claim, both numbers, the interval, the margin, the verdict, and the reason of a contradiction."""
        claim = self.claim
        reading = f", {claim.read}" if claim.read else ""
        head = f"{claim.statement} ({claim.place}{reading}). Paper: {claim.printed}."
        if self.verdict in (Verdict.NOT_RUN, Verdict.NOT_TIMED_ALONE):
            return f"{head} {self.remarks}"
        here = f"Here: {self.printed}{f', 95 % interval {self.interval}' if self.interval else ''}."
        rule = f"Margin: {claim.rule.text}: {self.outcome}."
        why = f"Why: {claim.why}" if self.verdict is Verdict.CONTRADICTED and claim.why else ""
        return " ".join(filter(None, (head, here, rule, self.remarks, why)))

    @property
    def outcome(self) -> str:
        """The verdict in words, with what would decide, where a single seed lies, or how few seeds there are."""
        few = self.claim.seeds > self.runs > 1
        seeds = f" ({in_seeds(self.runs)} of the paper's {self.claim.seeds})" if few else ""
        if self.verdict is Verdict.UNDECIDED:
            needed = "no number of seeds up to 1000" if self.needed is None else f"about {self.needed} seeds"
            return f"undecided{seeds}; {needed} would decide"
        if self.verdict is Verdict.ONE_SEED and self.place:
            return f"one seed of the paper's {self.claim.seeds}, {self.place.value}"
        return self.verdict.value + seeds

    @property
    def interval(self) -> str:
        """The 95 % interval as text; empty without one."""
        return self.claim.interval(self.low, self.high)

    @property
    def measured(self) -> str:
        """Our number as text, with its standard deviation."""
        return self.claim.number(self.ours, self.uncertainty)

    @property
    def printed(self) -> str:
        """Our number as text, with its standard deviation and the number of runs."""
        one = self.ours is None or self.claim.seeds == 1
        return self.measured if one else f"{self.measured} ({in_seeds(self.runs)})"

    @property
    def seeds(self) -> str:
        """The number of runs and of the paper's seeds."""
        if self.claim.seeds == 1:
            return "no seed" if self.runs else "-"
        return f"{self.runs} of {self.claim.seeds}"


def in_seeds(*counts: int) -> str:
    """Return a number of seeds in words; several numbers that differ give a range."""
    least, most = min(counts), max(counts)
    if least < most:
        return f"{least} to {most} seeds"
    return "1 seed" if most == 1 else f"{most} seeds"
