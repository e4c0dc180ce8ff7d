"""Judgements as the page shows them: rows of a table, and what stands at the front."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from prdp.analysis.claims import Claim, Judgement, Verdict

SYMBOLS = {Verdict.REPRODUCED: "✓", Verdict.NOT_REPRODUCED: "✗", Verdict.NOT_RUN: "○"}


@dataclass(frozen=True)
class Headline:
    """What PRDP saves on one problem, and at what price.

    Attributes:
        label: the problem.
        saved: the share of iterations saved.
        parts: that by incomplete convergence and by progressive refinement; empty where the paper does not split.
        accuracy: the error against that of converged physics, if the paper claims something of it.
        time: the share of time saved, likewise.
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
    """Return how many judgements have which verdict."""
    counts = Counter(j.verdict for j in judgements)
    return {verdict: counts[verdict] for verdict in Verdict}


def measured(judgement: Judgement) -> str:
    """Return our number with its uncertainty, without the number of seeds."""
    return judgement.claim.number(judgement.ours, judgement.uncertainty)


def seeds(judgement: Judgement) -> str:
    """Return how many runs there are of how many in the paper."""
    if judgement.claim.seeds == 1:
        return "no seed" if judgement.runs else "-"
    return f"{judgement.runs} of {judgement.claim.seeds}"


def remarks(judgement: Judgement) -> str:
    """Return what the judgement's text says beyond the numbers, the rule and the reason."""
    claim, text = judgement.claim, judgement.text
    if judgement.verdict is Verdict.NOT_RUN:
        return text.partition(f"Paper: {claim.printed}. ")[2]
    after = text.partition(f"{claim.rule.text}: {judgement.verdict.value}.")[2]
    return (after.removesuffix(f"Why: {claim.why}") if claim.why else after).strip()


def headlines(judgements: Iterable[Judgement]) -> list[Headline]:
    """Return the savings of every problem, those with a network first."""
    main = main_claims(judgements)
    found = [_headline(j, main) for j in main if _is_savings(j.claim)]
    return sorted(found, key=lambda headline: headline.saved.claim.physics == "poisson")


def _is_savings(claim: Claim) -> bool:
    return (claim.quantity, claim.parameters) in (
        ("mean", {"column": "savings"}),
        ("poisson", {"part": "savings"}),
    )


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
        saved.claim.statement.partition(":")[0],
        saved,
        tuple(parts) if all(j.ours is not None for j in parts) else (),
        _plain(here, "accuracy"),
        _plain(here, "wall_clock"),
    )


def _plain(judgements: list[Judgement], quantity: str) -> Judgement | None:
    found = [j for j in judgements if j.claim.quantity == quantity and not j.claim.parameters]
    return found[0] if found else None
