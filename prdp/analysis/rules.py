"""When a number of ours reproduces one of the paper's."""

from collections.abc import Callable
from dataclasses import dataclass

from prdp.analysis.statistics import Statistic


@dataclass(frozen=True)
class Rule:
    """A rule, the same for every claim of a kind. Margins are in the unit of the claim.

    Attributes:
        name: the name by which claims refer to it.
        kind: the comparison, a key of `KINDS`.
        text: the rule in words.
        margin: for `within` the allowed absolute difference; for `at_most` the limit.
        relative: for `within` the allowed difference as a share of the paper's number.
        paper_text: the claim of the paper if it is not a number.
        interval: whether the remarks give the 95 % interval.
        or_std: for `within`, whether a difference of one standard deviation of ours is also allowed.
    """

    name: str
    kind: str
    text: str
    margin: float = 0.0
    relative: float = 0.0
    or_std: bool = False
    paper_text: str = ""
    interval: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"rule {self.name}: kind is {self.kind}, expected one of {', '.join(KINDS)}")

    def check(self, paper: float | None) -> None:
        """Raise a `TypeError` if a claim has no number but this rule needs one."""
        if paper is None and self.kind in ("within", "touching"):
            raise TypeError(f"rule {self.name} needs a number of the paper")

    def holds(self, paper: float | None, spread: float | None, ours: Statistic) -> bool:
        """Return whether `ours` (finished runs, in the claim's unit) reproduces `paper` ± `spread`."""
        return KINDS[self.kind](self, paper or 0.0, spread or 0.0, ours)


def _within(rule: Rule, paper: float, spread: float, ours: Statistic) -> bool:
    allowed = max(rule.margin, rule.relative * abs(paper), (ours.std or 0.0) if rule.or_std else 0.0)
    # A difference equal to the margin on paper must pass despite rounding.
    return abs(ours.mean - paper) <= allowed + 1e-9


def _touching(rule: Rule, paper: float, spread: float, ours: Statistic) -> bool:
    return abs(ours.mean - paper) <= spread + (ours.std or 0.0) + 1e-9


def _at_most(rule: Rule, paper: float, spread: float, ours: Statistic) -> bool:
    return ours.mean <= rule.margin


def _positive(rule: Rule, paper: float, spread: float, ours: Statistic) -> bool:
    return ours.mean > 0


KINDS: dict[str, Callable[[Rule, float, float, Statistic], bool]] = {
    "within": _within,
    "touching": _touching,
    "at_most": _at_most,
    "positive": _positive,
}
