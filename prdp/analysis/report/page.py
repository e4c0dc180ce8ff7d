"""The report: one HTML page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from prdp.analysis import readme_table
from prdp.analysis.claims import Judgement, Verdict
from prdp.analysis.claims_report import by_setting, default, readings, tally
from prdp.analysis.figures import FigureSpec, NothingToDraw, svg
from prdp.analysis.figures.base import FAST
from prdp.analysis.problem_verdicts import sentences
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference
from prdp.analysis.report.differences import TITLE, Difference, explain, unexplained
from prdp.analysis.report.inline import inline
from prdp.analysis.report.pictures import Picture
from prdp.analysis.report.provenance import Coverage, Provenance, cover, describe, needed, trace
from prdp.analysis.rivals import EXPERIMENT
from prdp.analysis.tables import NothingToShow, Table, TableSpec

_SYMBOL = re.compile(r"\bK_(eps|epsilon|max)\b")
_POWER = re.compile(r"(\d*e-\d+)")
_STRONG = re.compile(r"\*\*(.+?)\*\*")
_INDEX = {"eps": "ε", "epsilon": "ε", "max": "max"}
# The figures that are open at first.
_OPENED = ("savings_accuracy",)
# Verdicts that need no reason.
_PLAIN = (Verdict.REPRODUCED, Verdict.DEFINITION)


@dataclass(frozen=True)
class Exhibit:
    """A figure or a table of the page.

    Attributes:
        spec: its specification.
        provenance: the origin of its runs.
        content: the drawing or the table; null without runs.
        reason: why it is null.
    """

    spec: FigureSpec | TableSpec
    provenance: Provenance
    content: Markup | Table | None
    reason: str = ""


def render(
    records: Records,
    judgements: Sequence[Judgement],
    tables: Mapping[str, TableSpec],
    figures: Mapping[str, FigureSpec],
    titles: Mapping[str, str],
    reference: Reference = Reference(),
    differences: Sequence[Difference] = (),
    pictures: Sequence[Picture] = (),
) -> str:
    """Return the report as one HTML page that loads nothing. The same records give the same text.

    Args:
        records: all records.
        judgements: the verdicts on the paper's claims.
        tables: the tables to show, by name.
        figures: the figures to show, by name.
        titles: titles of experiments by name. Experiments without title or job are left out.
        reference: what was computed beside the runs. Its paper is that of the judgements.
        differences: topics that explain claims that are not reproduced. Claims in no topic are shown with their reason.
        pictures: figures that need no records.
    """
    coverage = cover(records, titles)
    reference = replace(reference, paper={j.claim.id: j.claim for j in judgements})
    shown = [_table(spec, records, reference, coverage) for spec in tables.values()]
    drawn = [
        _figure(spec, records, reference, coverage, needed(records, spec.experiments, FAST))
        for spec in figures.values()
    ]
    topics = explain(differences, judgements)
    rest = unexplained(topics, judgements)
    template = _environment().get_template("page.html.j2")
    return template.render(
        everything=describe(records.summaries),
        incomplete=[c for c in coverage.values() if c.present < c.jobs or not c.jobs],
        complete=[c for c in coverage.values() if 0 < c.jobs == c.present],
        waiting={name: _waiting(judgements, name) for name in coverage},
        main=default(judgements),
        readings=readings(judgements),
        differences_title=TITLE,
        topics=topics,
        unexplained=rest,
        reasons={
            j.claim.id: f"difference-{t.difference.id}"
            for t in topics
            for j in t.judgements
            if j.verdict not in _PLAIN
        }
        | {j.claim.id: f"why-{j.claim.id}" for j in rest},
        answer=sentences(judgements),
        settings=by_setting(judgements),
        overview=_overview(judgements),
        opened=_OPENED,
        pictures=pictures,
        tally=tally,
        shown=[item.spec.name for item in drawn if item.content],
        filled={t.spec.name for t in shown if t.content},
        rivals=trace(records, coverage, (EXPERIMENT,)),
        tables=[t for t in shown if t.content],
        figures=[f for f in drawn if f.content],
        absent=[("Table", t) for t in shown if not t.content]
        + [("Figure", f) for f in drawn if not f.content],
        Verdict=Verdict,
        kinds={kind.value: kind for kind in Verdict},
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["typeset"] = _typeset
    return environment


def _typeset(text: str) -> Markup:
    """Return a text in HTML: the indices of K set as such, powers of ten in one piece, `**` as strong."""
    symbols = _SYMBOL.sub(lambda m: f"K<sub>{_INDEX[m[1]]}</sub>", str(escape(text)))
    powers = _POWER.sub(r'<span class="unbroken">\1</span>', symbols)
    return Markup(_STRONG.sub(r"<strong>\1</strong>", powers))


def _overview(judgements: Sequence[Judgement]) -> Table:
    frame = pd.DataFrame(
        readme_table.cells(list(judgements)), columns=["problem", *readme_table.COLUMNS], dtype=str
    )
    return Table("", frame, list(readme_table.NOTES))


def _figure(
    spec: FigureSpec,
    records: Records,
    reference: Reference,
    coverage: Mapping[str, Coverage],
    experiments: tuple[str, ...],
) -> Exhibit:
    provenance = trace(records, coverage, experiments)
    try:
        drawing = svg(spec.draw(records, reference))
    except NothingToDraw as reason:
        return Exhibit(spec, provenance, None, str(reason))
    return Exhibit(spec, provenance, inline(drawing, spec.name, spec.title))


def _table(
    spec: TableSpec, records: Records, reference: Reference, coverage: Mapping[str, Coverage]
) -> Exhibit:
    provenance = trace(records, coverage, spec.experiments)
    try:
        return Exhibit(spec, provenance, spec.build(records, reference))
    except NothingToShow as reason:
        return Exhibit(spec, provenance, None, str(reason))


def _waiting(judgements: Sequence[Judgement], experiment: str) -> int:
    return sum(j.verdict is Verdict.NOT_RUN and experiment in j.claim.experiments for j in judgements)
