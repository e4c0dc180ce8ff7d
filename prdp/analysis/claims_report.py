"""Judgements as text, Markdown and JSON."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from prdp.analysis.claims import Judgement, Verdict
from prdp.analysis.tables.table import Table


def default(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return the judgements on the paper's numbers by the suite's default reading."""
    return [j for j in judgements if j.claim.reading is None]


def readings(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return the judgements on other readings of the paper."""
    return [j for j in judgements if j.claim.reading is not None]


def tally(judgements: Iterable[Judgement]) -> dict[Verdict, int]:
    """Return the number of judgements by verdict."""
    counts = Counter(j.verdict for j in judgements)
    return {verdict: counts[verdict] for verdict in Verdict}


def as_text(judgements: list[Judgement]) -> str:
    """Return two lines per claim: the verdict, then both numbers, the rule and the reason."""
    lines = [f"{j.verdict.value.upper():<14}  {j.claim.id}\n    {j.text}" for j in judgements]
    return "\n".join([*lines, "", summary(judgements)])


def summary(judgements: list[Judgement]) -> str:
    """Return the number of claims by verdict, alternative readings apart."""
    return f"{_count(default(judgements))}. Alternative readings: {_count(readings(judgements))}."


def _count(judgements: list[Judgement]) -> str:
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in tally(judgements).items())
    return f"{len(judgements)} claims: {counts}"


def rows(judgements: Iterable[Judgement], *columns: str) -> pd.DataFrame:
    """Return some columns of claim, place, paper, ours, rule and verdict, one row per judgement."""
    return pd.DataFrame(
        [
            {
                "claim": j.claim.statement + (f" (read as: {j.claim.reading})" if j.claim.reading else ""),
                "place": j.claim.place,
                "paper": j.claim.printed,
                "ours": j.printed,
                "rule": j.claim.rule.name,
                "verdict": j.verdict.value,
            }
            for j in judgements
        ]
    )[list(columns)]


def as_markdown(judgements: list[Judgement]) -> str:
    """Return a table of all claims, and the text of each claim that is not reproduced."""
    rules = {j.claim.rule.name: j.claim.rule.text for j in judgements}
    notes = [summary(judgements), *(f"{name}: {text}" for name, text in rules.items())]
    differing = [f"- {j.text}" for j in judgements if j.verdict is Verdict.NOT_REPRODUCED]
    frame = rows(judgements, "claim", "place", "paper", "ours", "rule", "verdict")
    table = Table("The paper's numbers and ours", frame, notes).to_markdown()
    rest = differing or ["Every claim that was run is reproduced."]
    return "\n".join([table, "## Not reproduced", "", *rest]) + "\n"


def as_json(judgements: list[Judgement]) -> list[dict[str, Any]]:
    """Return plain values, one mapping per claim."""
    of_claim = ("id", "place", "statement", "reading", "unit", "paper", "spread")
    of_judgement = ("ours", "uncertainty", "runs")
    return [
        {
            **{key: getattr(j.claim, key) for key in of_claim},
            **{key: getattr(j, key) for key in of_judgement},
            "rule": j.claim.rule.text,
            "verdict": j.verdict.value,
            "text": j.text,
        }
        for j in judgements
    ]
