"""Judgements as text, Markdown and JSON."""

from collections import Counter
from typing import Any

import pandas as pd

from prdp.analysis.claims import Judgement, Verdict
from prdp.analysis.tables.table import Table


def as_text(judgements: list[Judgement]) -> str:
    """Return a line or two a claim: the verdict, then the paper's number, ours, the rule and the reason."""
    lines = [f"{j.verdict.value.upper():<14}  {j.claim.id}\n    {j.text}" for j in judgements]
    return "\n".join([*lines, "", summary(judgements)])


def summary(judgements: list[Judgement]) -> str:
    """Return how many claims have which verdict, the alternative readings apart."""
    main = [j for j in judgements if j.claim.reading is None]
    other = [j for j in judgements if j.claim.reading is not None]
    return f"{_count(main)}. Alternative readings: {_count(other)}."


def _count(judgements: list[Judgement]) -> str:
    found = Counter(j.verdict for j in judgements)
    return f"{len(judgements)} claims: " + ", ".join(f"{found[v]} {v.value}" for v in Verdict)


def as_markdown(judgements: list[Judgement]) -> str:
    """Return a table, and below it what is to be said of each claim that is not reproduced."""
    rows = [
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
    rules = {j.claim.rule.name: j.claim.rule.text for j in judgements}
    notes = [summary(judgements), *(f"{name}: {text}" for name, text in rules.items())]
    differing = [f"- {j.text}" for j in judgements if j.verdict is Verdict.NOT_REPRODUCED]
    table = Table("The paper's numbers and ours", pd.DataFrame(rows), notes).to_markdown()
    return (
        "\n".join([table, "## What is not reproduced", "", *(differing or ["Nothing that has been run."])])
        + "\n"
    )


def as_json(judgements: list[Judgement]) -> list[dict[str, Any]]:
    """Return plain values, a mapping a claim."""
    return [
        {
            "id": j.claim.id,
            "place": j.claim.place,
            "statement": j.claim.statement,
            "reading": j.claim.reading,
            "unit": j.claim.unit,
            "paper": j.claim.paper,
            "spread": j.claim.spread,
            "ours": j.ours,
            "uncertainty": j.uncertainty,
            "runs": j.runs,
            "rule": j.claim.rule.text,
            "verdict": j.verdict.value,
            "text": j.text,
        }
        for j in judgements
    ]
