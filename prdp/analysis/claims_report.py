"""Judgements as text, Markdown and JSON."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from prdp.analysis.paper import Setting
from prdp.analysis.tables.table import Table
from prdp.analysis.verdicts import Judgement, Verdict

# What the interval of several seeds decides; other outcomes are counted apart.
JUDGED = (Verdict.REPRODUCED, Verdict.CONTRADICTED, Verdict.UNDECIDED)
_HEADINGS = {
    Setting.PRINTED: "Settings that the paper prints",
    Setting.RELEASED: "Settings of the released code",
    Setting.CHOSEN: "Readings chosen after seeing results",
}
_LISTED = (
    Verdict.CONTRADICTED,
    Verdict.UNDECIDED,
    Verdict.ONE_SEED,
    Verdict.NOT_TIMED_ALONE,
    Verdict.NOT_RUN,
)


def default(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return the judgements on the paper's numbers by the settings that it prints."""
    return [j for j in judgements if j.claim.setting is Setting.PRINTED]


def readings(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return the judgements by the released code's settings and by chosen readings."""
    return [j for j in judgements if j.claim.setting is not Setting.PRINTED]


def by_setting(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """Return the judgements by whose settings their runs have, with a heading for each."""
    every = list(judgements)
    return {text: [j for j in every if j.claim.setting is setting] for setting, text in _HEADINGS.items()}


def tally(judgements: Iterable[Judgement]) -> dict[Verdict, int]:
    """Return the number of judgements by verdict."""
    counts = Counter(j.verdict for j in judgements)
    return {verdict: counts[verdict] for verdict in Verdict}


def as_text(judgements: list[Judgement]) -> str:
    """Return two lines per claim: the verdict, then both numbers, the interval, the margin and the reason."""
    lines = [f"{j.verdict.value.upper():<15}  {j.claim.id}\n    {j.text}" for j in judgements]
    return "\n".join([*lines, "", summary(judgements)])


def summary(judgements: Iterable[Judgement]) -> str:
    """Return the number of claims by verdict, one line for each kind of setting."""
    return "\n".join(f"{heading}: {_count(own)}." for heading, own in by_setting(judgements).items())


def _count(judgements: list[Judgement]) -> str:
    counts = tally(judgements)
    judged = ", ".join(f"{counts[v]} {v.value}" for v in JUDGED)
    apart = ", ".join(f"{n} {v.value}" for v, n in counts.items() if n and v not in JUDGED)
    return f"{judged}" + (f"; apart from these {apart}" if apart else "")


def rows(judgements: Iterable[Judgement], *columns: str) -> pd.DataFrame:
    """Return some columns, one row per judgement.

    The columns are claim, place, setting, paper, ours, interval, margin, rule, outcome and verdict.
    """
    return pd.DataFrame(
        [
            {
                "claim": j.claim.statement + (f" ({j.claim.read})" if j.claim.read else ""),
                "place": j.claim.place,
                "setting": j.claim.setting.value,
                "paper": j.claim.printed,
                "ours": j.printed,
                "95 % interval": j.interval or "-",
                "margin": margin(j),
                "rule": j.claim.rule.name,
                "verdict": j.verdict.value,
            }
            for j in judgements
        ]
    )[list(columns)]


def margin(judgement: Judgement) -> str:
    """Return the numbers that the margin of a claim allows, as text."""
    claim = judgement.claim
    if claim.rule.kind == "definition":
        return "-"
    low, high = claim.rule.allowed(claim.paper)
    if math.isinf(low):
        return f"at most {claim.number(high, exact=True)}"
    if math.isinf(high):
        return f"above {claim.number(low, exact=True)}"
    return claim.interval(low, high)


def as_markdown(judgements: list[Judgement]) -> str:
    """Return a table of all claims for each kind of setting, and the claims by outcome with what they need."""
    columns = ("claim", "place", "paper", "ours", "95 % interval", "margin", "verdict")
    head = [
        "## The paper's numbers and ours",
        "",
        "The head of `results/paper.yaml` has the rules. ± is one standard deviation over seeds.",
        "",
        *(f"- {line}" for line in summary(judgements).splitlines()),
        "",
    ]
    parts = [
        Table(heading, rows(own, *columns)).to_markdown()
        for heading, own in by_setting(judgements).items()
        if own
    ]
    for verdict in _LISTED:
        own = [f"- {j.text}" for j in judgements if j.verdict is verdict]
        if own:
            parts.append("\n".join([f"## {verdict.value.capitalize()}", "", *own]) + "\n")
    return "\n".join(["\n".join(head), *parts])


def as_json(judgements: list[Judgement]) -> list[dict[str, Any]]:
    """Return plain values, one mapping per claim."""
    of_claim = ("id", "place", "statement", "reading", "unit", "paper", "spread")
    of_judgement = ("ours", "uncertainty", "low", "high", "runs", "needed")
    return [
        {
            **{key: getattr(j.claim, key) for key in of_claim},
            "setting": j.claim.setting.value,
            "chosen_after_results": j.claim.setting is Setting.CHOSEN,
            **{key: getattr(j, key) for key in of_judgement},
            "rule": j.claim.rule.text,
            "margin": margin(j),
            "verdict": j.verdict.value,
            "text": j.text,
        }
        for j in judgements
    ]
