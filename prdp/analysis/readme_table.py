"""The table of verdicts in the README and at the head of the report: one row per problem."""

from collections.abc import Mapping

from prdp.analysis.claims import Judgement, in_seeds
from prdp.analysis.claims_report import summary

BEGIN = "<!-- verdicts: written by `make claims` -->"
END = "<!-- end of the verdicts -->"
COLUMNS = ("iterations saved", "error, converged", "error, PRDP", "training time saved")
# Problem -> the ids of its claims, column by column; null without a number in the paper.
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


def cells(judgements: list[Judgement]) -> list[list[str]]:
    """Return the cells of the table, one row per problem."""
    by_id = {j.claim.id: j for j in judgements}
    rows = []
    for problem, ids in ROWS.items():
        found = [by_id.get(i) for i in ids if i is not None]
        seeds = max((j.runs for j in found if j), default=0)
        one = any(j and j.claim.seeds == 1 for j in found)
        counted = problem if one else f"{problem}, {in_seeds(seeds)}"
        rows.append([counted, *(_cell(by_id.get(i), seeds) if i is not None else "" for i in ids)])
    return rows


def table(judgements: list[Judgement]) -> str:
    """Return the table in Markdown, with the number of all claims by verdict below it."""
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(row)} |" for row in cells(judgements)]
    return "\n".join([*lines, "", f"All of them: {summary(judgements)}"])


def _cell(judgement: Judgement | None, seeds: int) -> str:
    if judgement is None:
        return ""
    # The text above the table states that errors are x1e-2.
    printed = judgement.claim.printed.removesuffix(" x1e-2")
    if judgement.ours is None:
        return f"not run (paper {printed})"
    ours = judgement.measured.removesuffix(" x1e-2")
    fewer = f", {in_seeds(judgement.runs)}" if judgement.runs != seeds else ""
    return f"{ours}{fewer} (paper {printed}) {judgement.verdict.symbol}"


def placed(text: str, judgements: list[Judgement]) -> str:
    """Return a text with the table between its two marks.

    Raises:
        ValueError: a mark is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"there is no place for the verdicts: {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{table(judgements)}\n{END}{after}"
