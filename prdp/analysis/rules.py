"""When a number of ours reproduces one of the paper's: margins, and the intervals that are held against them."""

import math
from dataclasses import dataclass
from enum import Enum

from prdp.analysis.statistics import Statistic, of_mean, welch

# kind -> whether it needs a number of the paper
KINDS = {"within": True, "at_most": False, "positive": False, "definition": False}
# A difference equal to the margin on paper must pass despite rounding.
_SLACK = 1e-9
# Beyond this number of seeds nobody would go.
_MOST_SEEDS = 1000


class Place(Enum):
    """Where an interval lies."""

    INSIDE = "inside the margin"
    OUTSIDE = "outside the margin"
    ACROSS = "across an edge of the margin"


@dataclass(frozen=True)
class Rule:
    """A rule, the same for every claim of a kind. Margins are in the unit of the claim.

    Attributes:
        name: the name by which claims refer to it.
        kind: a key of `KINDS`: `within` a distance of the paper's number, `at_most` the margin, `positive`, or a
            `definition`, which decides nothing.
        text: the margin in words.
        margin: for `within` the allowed distance; for `at_most` the limit.
        relative: for `within` the allowed distance as a share of the paper's number.
        paper_text: the claim of the paper if it is not a number.
    """

    name: str
    kind: str
    text: str
    margin: float = 0.0
    relative: float = 0.0
    paper_text: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"rule {self.name}: kind is {self.kind}, expected one of {', '.join(KINDS)}")

    def check(self, paper: float | None) -> None:
        """Raise a `TypeError` if a claim has no number but this rule needs one."""
        if paper is None and KINDS[self.kind]:
            raise TypeError(f"rule {self.name} needs a number of the paper")

    def allowed(self, paper: float | None) -> tuple[float, float]:
        """Return the lowest and the highest number that the margin allows."""
        if self.kind == "within":
            assert paper is not None
            margin = max(self.margin, self.relative * abs(paper))
            return paper - margin, paper + margin
        return (-math.inf, self.margin) if self.kind == "at_most" else (0.0, math.inf)

    def place(self, low: float, high: float, paper: float | None) -> Place:
        """Return where the interval from `low` to `high` lies. A positive number must be above 0."""
        least, most = self.allowed(paper)
        inside = least - _SLACK <= low and high <= most + _SLACK
        outside = high < least - _SLACK or low > most + _SLACK
        if self.kind == "positive":
            inside, outside = low > 0, high <= 0
        return Place.INSIDE if inside else Place.OUTSIDE if outside else Place.ACROSS


@dataclass(frozen=True)
class Published:
    """A number of the paper.

    Attributes:
        mean: the number; null if only a sign is claimed.
        std: its standard deviation over seeds; null if none is given.
        runs: its seeds.
    """

    mean: float | None
    std: float | None
    runs: int


def interval(ours: Statistic, paper: Published, runs: int | None = None) -> tuple[float, float] | None:
    """Return the 95 % interval of our number: Welch's if the paper gives a spread, else that of our seeds alone.

    Welch's is of the difference of both means; it is returned around the paper's mean, so that it lies around ours.

    Args:
        ours: our number, of finished runs.
        paper: the paper's.
        runs: a number of seeds to suppose, with the mean and the spread of ours; null for those that ran.

    Returns:
        Null with one run. A number without a spread over seeds keeps the interval that it has.
    """
    if ours.std is None:
        return None if ours.low is None or ours.high is None else (ours.low, ours.high)
    n = ours.runs if runs is None else runs
    if paper.mean is not None and paper.std is not None:
        low, high = welch((ours.mean, ours.std, n), (paper.mean, paper.std, paper.runs))
        return paper.mean + low, paper.mean + high
    if runs is None and ours.low is not None and ours.high is not None:
        return ours.low, ours.high
    return of_mean(ours.mean, ours.std, n)


def seeds_to_decide(rule: Rule, ours: Statistic, paper: Published) -> int | None:
    """Return the smallest number of seeds that decides, if mean and spread stay as they are; null beyond 1000."""
    if ours.std is None:
        return None

    def decides(runs: int) -> bool:
        supposed = interval(ours, paper, runs)
        return supposed is not None and rule.place(*supposed, paper.mean) is not Place.ACROSS

    # More seeds only narrow the interval.
    few, many = ours.runs, _MOST_SEEDS
    if not decides(many):
        return None
    while many - few > 1:
        between = (few + many) // 2
        few, many = (few, between) if decides(between) else (between, many)
    return many
