"""The verdicts of the README's first page: a row a problem, a column a thing that the paper promises."""

from collections.abc import Mapping

from prdp.analysis.claims import Judgement, Verdict, in_seeds
from prdp.analysis.claims_report import summary

BEGIN = "<!-- verdicts: written by `make claims` -->"
END = "<!-- end of the verdicts -->"
COLUMNS = ("iterations saved", "error, converged", "error, PRDP", "training time saved")
_MARKS = {Verdict.REPRODUCED: "✓", Verdict.NOT_REPRODUCED: "✗"}
# Problem -> the ids of its claims, column by column; no claim of ours where the paper says nothing.
ROWS: Mapping[str, tuple[str | None, ...]] = {
    "Poisson, 1 parameter": ("table_4_1.1.jacobi.unrolled.savings", None, None, None),
    "Poisson, 3 parameters": ("table_4_1.3.jacobi.unrolled.savings", None, None, None),
    "Heat 1D": (
        "savings.heat1d.total",
        "error.heat1d.converged.previous_step",
        "error.heat1d.prdp.previous_step",
        "wall_clock.heat1d",
    ),
    "Heat 2D": (
        "savings.heat2d.total",
        "error.heat2d.converged.previous_step",
        "error.heat2d.prdp.previous_step",
        "wall_clock.heat2d",
    ),
    "Heat 2D, dense matrix": (None, None, None, "wall_clock.heat2d.dense"),
    "Heat 2D, width 300": ("savings.heat2d.total.narrow", None, None, None),
    "Heat 3D": ("savings.heat3d.total", "error.heat3d.converged", "error.heat3d.prdp", "wall_clock.heat3d"),
    "Burgers 1D": (
        "savings.burgers.total",
        "error.burgers.converged",
        "error.burgers.prdp",
        "wall_clock.burgers",
    ),
    "Navier-Stokes 2D": (
        "savings.navier_stokes.total",
        "error.navier_stokes.converged.step_1",
        "error.navier_stokes.prdp.step_1",
        "wall_clock.navier_stokes",
    ),
}


def table(judgements: list[Judgement]) -> str:
    """Return the verdicts as a Markdown table, with the count of all claims below it."""
    by_id = {j.claim.id: j for j in judgements}
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for problem, ids in ROWS.items():
        found = [by_id[i] for i in ids if i is not None]
        seeds = max(j.runs for j in found)
        counted = problem if found[0].claim.seeds == 1 else f"{problem}, {in_seeds(seeds)}"
        cells = [_cell(by_id[i], seeds) if i is not None else "" for i in ids]
        lines.append(f"| {counted} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"All of them: {summary(judgements)}"])


def _cell(judgement: Judgement, seeds: int) -> str:
    claim = judgement.claim
    # The README says that errors are x1e-2.
    printed = claim.printed.removesuffix(" x1e-2")
    if judgement.ours is None:
        return f"not run (paper {printed})"
    ours = claim.number(judgement.ours, judgement.uncertainty).removesuffix(" x1e-2")
    fewer = f", {in_seeds(judgement.runs)}" if judgement.runs != seeds else ""
    return f"{ours}{fewer} (paper {printed}) {_MARKS[judgement.verdict]}"


def placed(text: str, judgements: list[Judgement]) -> str:
    """Return a text with the table between its two marks.

    Raises:
        ValueError: it does not have both.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"there is no place for the verdicts: {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{table(judgements)}\n{END}{after}"
