"""Judgements as the page shows them: rows of a table, and the summary."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from prdp.analysis.claims import Judgement, Verdict
from prdp.analysis.problems import problem

SYMBOLS = {Verdict.REPRODUCED: "✓", Verdict.NOT_REPRODUCED: "✗", Verdict.NOT_RUN: "○"}


@dataclass(frozen=True)
class Headline:
    """The savings of PRDP on one problem, with error and time.

    Attributes:
        label: the problem.
        saved: the share of iterations saved.
        parts: the shares by incomplete convergence and by progressive refinement; empty if the paper does not split.
        accuracy: the error relative to converged physics, if the paper has a claim about it.
        time: the share of time saved, if the paper has a claim about it.
    """

    label: str
    saved: Judgement
    parts: tuple[Judgement, ...] = ()
    accuracy: Judgement | None = None
    time: Judgement | None = None


def main_claims(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return the judgements on the paper's numbers as the suite reads them by default."""
    return [j for j in judgements if j.claim.reading is None]


def readings(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return the judgements on other readings."""
    return [j for j in judgements if j.claim.reading is not None]


def tally(judgements: Iterable[Judgement]) -> dict[Verdict, int]:
    """Return the number of judgements by verdict."""
    counts = Counter(j.verdict for j in judgements)
    return {verdict: counts[verdict] for verdict in Verdict}


def measured(judgement: Judgement) -> str:
    """Return our number with its uncertainty, without the number of seeds."""
    return judgement.claim.number(judgement.ours, judgement.uncertainty)


def seeds(judgement: Judgement) -> str:
    """Return the number of runs and of the paper's seeds."""
    if judgement.claim.seeds == 1:
        return "no seed" if judgement.runs else "-"
    return f"{judgement.runs} of {judgement.claim.seeds}"


def headlines(judgements: Iterable[Judgement]) -> list[Headline]:
    """Return the savings of every problem, networks first."""
    main = main_claims(judgements)
    found = [_headline(j, main) for j in main if j.claim.headline]
    return sorted(found, key=lambda headline: problem(str(headline.saved.claim.physics)).kind == "inverse")


def _headline(saved: Judgement, judgements: list[Judgement]) -> Headline:
    physics = saved.claim.physics
    here = [j for j in judgements if j.claim.physics == physics]
    parts = [
        j
        for column in ("savings_incomplete_convergence", "savings_progressive_refinement")
        for j in here
        if (j.claim.quantity, j.claim.parameters) == ("mean", {"column": column})
    ]
    return Headline(
        saved.claim.headline or "",
        saved,
        tuple(parts) if all(j.ours is not None for j in parts) else (),
        _plain(here, "accuracy"),
        _plain(here, "wall_clock"),
    )


def _plain(judgements: list[Judgement], quantity: str) -> Judgement | None:
    found = [j for j in judgements if j.claim.quantity == quantity and not j.claim.parameters]
    return found[0] if found else None
