"""The claims of the paper, and whether the records reproduce them."""

import math
from collections.abc import Iterable
from functools import cache

from prdp.analysis.paper import UNITS, Claim, Setting, load_claims
from prdp.analysis.quantities import QUANTITIES, Ambiguous, NotTimedAlone, Selection, timed_in_blocks
from prdp.analysis.records import Records
from prdp.analysis.rules import Place, interval, seeds_to_decide
from prdp.analysis.statistics import Statistic
from prdp.analysis.verdicts import BLOCKS, Judgement, Verdict, in_seeds

__all__ = ["Claim", "Judgement", "Setting", "Verdict", "in_seeds", "judge", "load_claims"]

_VERDICTS = {
    Place.INSIDE: Verdict.REPRODUCED,
    Place.OUTSIDE: Verdict.CONTRADICTED,
    Place.ACROSS: Verdict.UNDECIDED,
}


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
        return _without_number(claim, Verdict.NOT_RUN, f"Cannot be judged: {error}.")
    except NotTimedAlone as error:
        return _without_number(claim, Verdict.NOT_TIMED_ALONE, f"Not timed alone: {error}.")
    if found is None or (found.runs == 0 and not found.diverged) or (found.runs and math.isnan(found.mean)):
        return _without_number(claim, Verdict.NOT_RUN, _missing(claim, selection, runs))
    return _verdict(claim, _in_unit(found, claim.unit), _in_blocks(claim, selection))


def _in_blocks(claim: Claim, selection: Selection) -> str:
    if claim.quantity != "wall_clock":
        return ""
    arms = (selection.arm("prdp", claim.parameters.get("only")), selection.arm("converged"))
    return f"{BLOCKS} A drift of the machine's speed is in the difference." if timed_in_blocks(*arms) else ""


def _verdict(claim: Claim, found: Statistic, remark: str) -> Judgement:
    remarks = " ".join(filter(None, (_lost(found), remark)))
    if not found.runs:
        return Judgement(claim, None, None, 0, Verdict.CONTRADICTED, remarks)
    within = (found.mean, found.mean) if claim.seeds == 1 else interval(found, claim.published)
    # The place of a single seed is told, and decides nothing.
    place = claim.rule.place(*(within or (found.mean, found.mean)), claim.paper)
    needed = None
    if claim.rule.kind == "definition":
        verdict = Verdict.DEFINITION
    elif found.diverged:
        verdict = Verdict.CONTRADICTED
    elif within is None:
        verdict = Verdict.ONE_SEED
    else:
        verdict = _VERDICTS[place]
        needed = seeds_to_decide(claim.rule, found, claim.published) if place is Place.ACROSS else None
    low, high = within if within and claim.seeds > 1 else (None, None)
    return Judgement(
        claim, found.mean, found.std, found.runs, verdict, remarks, low, high, place=place, needed=needed
    )


def _lost(found: Statistic) -> str:
    if not found.diverged:
        return ""
    return f"{found.diverged} of {found.runs + found.diverged} runs diverged and have no number."


def _without_number(claim: Claim, verdict: Verdict, reason: str) -> Judgement:
    return Judgement(claim, None, None, 0, verdict, reason)


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
    factor = UNITS[unit][0]

    def scaled(value: float | None) -> float | None:
        return None if value is None else factor * value

    return found._replace(
        mean=factor * found.mean,
        median=factor * found.median,
        std=scaled(found.std),
        low=scaled(found.low),
        high=scaled(found.high),
    )
