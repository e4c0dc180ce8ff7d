"""A table of strings, written as Markdown or LaTeX."""

from dataclasses import dataclass, field

import pandas as pd

_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
}
_MARKDOWN = {c: f"\\{c}" for c in "\\|*`<>["} | {"\n": " "}


class NothingToShow(LookupError):
    """No run of the table's experiments has been recorded."""


@dataclass(frozen=True)
class Table:
    """Strings in rows and columns.

    Attributes:
        title: the heading.
        frame: the strings; its index is not shown.
        notes: sentences below the table.
    """

    title: str
    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def to_markdown(self) -> str:
        """Return a GitHub table, with the title above and the notes below."""
        rows = [list(self.frame.columns), ["---"] * self.frame.shape[1], *self.frame.to_numpy().tolist()]
        lines = [
            "| " + " | ".join(cell if cell == "---" else _escape(cell, _MARKDOWN) for cell in row) + " |"
            for row in rows
        ]
        notes = [f"- {_escape(note, _MARKDOWN)}" for note in self.notes]
        return "\n".join([f"## {self.title}", "", *lines, *(["", *notes] if notes else [])]) + "\n"

    def to_latex(self) -> str:
        """Return a `table` environment as wide as the text (packages booktabs and graphicx), notes below."""
        header, *rows = (
            " & ".join(_escape(cell, _LATEX) for cell in row) + r" \\"
            for row in [list(self.frame.columns), *self.frame.to_numpy().tolist()]
        )
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escape(self.title, _LATEX)}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * self.frame.shape[1]}}}",
            *(r"\toprule", header, r"\midrule", *rows, r"\bottomrule"),
            r"\end{tabular}}",
            *(rf"\par {{\footnotesize {_escape(note, _LATEX)}}}" for note in self.notes),
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def _escape(text: str, characters: dict[str, str]) -> str:
    return "".join(characters.get(c, c) for c in str(text))
