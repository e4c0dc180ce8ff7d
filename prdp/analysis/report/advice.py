"""What to pick in which case: fixed sentences, chosen by what the records of the rivals say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prdp.analysis.poisson import COMMON_ERROR
from prdp.analysis.report.wording import UNITS, excess_of, listed, spent
from prdp.analysis.rivals import (
    CG,
    CONVERGED,
    DIRECT,
    MODE,
    PRDP,
    SCHEDULE,
    TWO_STAGES,
    WARM,
    Comparison,
    Rival,
    cheapest,
)
from prdp.analysis.tables.rivals import problem_name

# A rival is cheaper if it takes at most this share.
CHEAPER = 0.95
# What needs neither another solver or mode nor memory, and of it the schedules that must know the number of epochs.
_PLAIN = (CONVERGED, PRDP, SCHEDULE)
_NEED_EPOCHS = (TWO_STAGES, "linear")


@dataclass(frozen=True)
class Condition:
    """A case in which something else may be picked than PRDP.

    Attributes:
        text: when.
        pick: what.
        meets: which rivals are meant.
    """

    text: str
    pick: str
    meets: Callable[[Rival], bool]


@dataclass(frozen=True)
class Answer:
    """What to pick under a condition.

    Attributes:
        condition: when.
        picks: what, a sentence for each verdict that a problem has.
        details: the numbers behind it, a sentence a problem.
    """

    condition: str
    picks: tuple[str, ...]
    details: tuple[str, ...]


CONDITIONS = (
    Condition(
        "Constant coefficients or a symmetric matrix",
        "a fast direct solver or conjugate gradients, converged",
        lambda r: r.name in (DIRECT, CG),
    ),
    Condition(
        "The number of epochs is known beforehand",
        "two stages, a small K for nine tenths of the training, then the converged one",
        lambda r: r.name == TWO_STAGES,
    ),
    Condition(
        "The last solution of each sample can be kept",
        "warm starts",
        lambda r: r.kind == WARM,
    ),
    Condition(
        "Another differentiation mode will do",
        "a cheaper mode, alone or with PRDP",
        lambda r: r.kind == MODE,
    ),
)


def answers(problems: Sequence[Comparison]) -> list[Answer]:
    """Return what to pick in each case; those of which no problem has runs are left out."""
    with_prdp = [(p, p.prdp) for p in problems if p.prdp is not None]
    found = []
    for condition in CONDITIONS:
        judged = [
            (problem_name(p), *_against(p, prdp, [r for r in p.rivals if condition.meets(r)]))
            for p, prdp in with_prdp
            if any(condition.meets(r) for r in p.rivals)
        ]
        if judged:
            found.append(
                Answer(
                    condition.text,
                    _conclusions(condition.pick, {name: wins for name, wins, _ in judged}),
                    tuple(f"{name}: {text}" for name, _, text in judged),
                )
            )
    return [*found, *_otherwise(problems)]


def _against(problem: Comparison, prdp: Rival, rivals: Sequence[Rival]) -> tuple[tuple[str, ...], str]:
    """Return in which costs one of the rivals is cheaper than PRDP and no worse, and the numbers in words."""
    able = [r for r in rivals if problem.no_worse(r, prdp)]
    if not able:
        return (), _none_able(problem, prdp, rivals)
    # A single run, of less than a second, says nothing of seconds.
    weighed = [c for c in UNITS if c == "matvecs" or not problem.to_common_error]
    best = {cost: cheapest(able, cost) for cost in weighed}
    # A PRDP that does not get there is beaten by whatever does.
    wins = [c for c, r in best.items() if r and (prdp.attained is None or r.share(prdp, c) <= CHEAPER)]
    named = dict.fromkeys(r for r in best.values() if r)
    text = "; ".join(f"{r.name} takes {spent(r, prdp, problem)}" for r in named)
    count = f" Of {len(rivals)} such rivals {len(able)} are no worse." if len(rivals) > 1 else ""
    return tuple(UNITS) if wins == weighed else tuple(wins), f"against PRDP, {text}.{count}"


def _none_able(problem: Comparison, prdp: Rival, rivals: Sequence[Rival]) -> str:
    if problem.to_common_error:
        return f"{listed([r.name for r in rivals])} does not reach {COMMON_ERROR:.0e}."
    known = [r for r in rivals if not r.diverged and r.excess(prdp).runs]
    if not known:
        return "no run to be compared by seed."
    closest = min(known, key=lambda r: r.excess(prdp).mean)
    return (
        f"the most accurate, {closest.name}, has an error of {excess_of(closest.excess(prdp))} against PRDP."
    )


def _conclusions(pick: str, wins: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    both = [name for name, costs in wins.items() if len(costs) == len(UNITS)]
    one = {unit: [name for name, costs in wins.items() if costs == (cost,)] for cost, unit in UNITS.items()}
    none = [name for name, costs in wins.items() if not costs]
    return (
        *([f"On {listed(both)}: {pick}. PRDP alone is not the answer."] if both else []),
        *(
            f"On {listed(names)}: cheaper than PRDP in {unit} only, so measure first."
            for unit, names in one.items()
            if names
        ),
        *([f"On {listed(none)}: no reason to leave PRDP for it."] if none else []),
    )


def _otherwise(problems: Sequence[Comparison]) -> list[Answer]:
    """Return what is left where none of the conditions holds: implicit schedules that need no number of epochs."""
    picks: dict[str, list[str]] = {}
    details = []
    for problem in problems:
        base, prdp, name = problem.converged, problem.prdp, problem_name(problem)
        if base is None or prdp is None:
            continue
        plain = [r for r in problem.rivals if r.kind in _PLAIN and r.name not in _NEED_EPOCHS]
        best = cheapest([r for r in plain if problem.no_worse(r, base)], "matvecs")
        if best is None:
            continue
        if problem.no_worse(prdp, base) and best.share(prdp, "matvecs") > CHEAPER:
            best = prdp
        picks.setdefault(best.name, []).append(name)
        details.append(f"{name}: {_reason(problem, best, base, prdp)}")
    sentences = tuple(f"On {listed(names)}: {pick}." for pick, names in picks.items())
    return [Answer("None of these holds", sentences, tuple(details))] if picks else []


def _reason(problem: Comparison, best: Rival, base: Rival, prdp: Rival) -> str:
    if best is base:
        return "no schedule that needs nothing more is both cheaper than converged training and no worse."
    text = f"against converged training, {best.name} takes {spent(best, base, problem)}"
    return f"{text}." if best is prdp else f"{text}; PRDP takes {spent(prdp, base, problem)}."
