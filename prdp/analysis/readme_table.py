"""One verdict per problem: a short answer for the README, and a page with all numbers."""

from collections.abc import Mapping

from prdp.analysis.claims_report import summary
from prdp.analysis.marks import between
from prdp.analysis.paper import Setting
from prdp.analysis.problem_verdicts import ROWS, Row, brief, front, joined, seeds, sentences
from prdp.analysis.verdicts import Judgement

BEGIN = "<!-- verdicts: written by `make claims` -->"
END = "<!-- end of the verdicts -->"
COLUMNS = (
    "setting",
    "savings and accuracy",
    "iterations saved",
    "error of PRDP over converged",
    "table 1: converged",
    "table 1: PRDP",
    "training time saved",
)
NOTES = (
    "The first row of each problem has the settings that the paper prints; the others are those of the released "
    "code, which are the defaults here, and readings that were chosen after seeing results. The verdict joins savings "
    "and accuracy.",
    "Each number stands beside the paper's, with ± one standard deviation over seeds; errors over converged have their "
    "95 % interval. Reproduced: the 95 % interval lies inside the margin (3 points of the savings, 10 % above the "
    "converged error, 25 % of the errors of table 1, 10 points of the time). Contradicted: outside. Undecided: across "
    "its edge.",
    "Errors are multiplied by 100. Heat 1D and 2D with the released settings are divided by the reference of the "
    "previous step, as in the released code; all others are eq. 56 of the paper. Poisson's savings are by the paper's "
    "account. Measured on two CPU cores. In blocks: all runs of one arm were timed before those of the "
    "other, so that a drift of the machine's speed is in the difference.",
)


def cells(judgements: list[Judgement]) -> list[list[str]]:
    """Return the cells of the table, one row per problem and setting."""
    by_id = {j.claim.id: j for j in judgements}
    return [_cells(row, by_id) for row in ROWS]


def _cells(row: Row, by_id: Mapping[str, Judgement]) -> list[str]:
    verdict, most = joined(row, by_id), seeds(row, by_id)
    whose = "chosen after seeing results" if row.setting is Setting.CHOSEN else row.setting.value
    setting = ", ".join(filter(None, (f"{whose}: {row.what}" if row.what else whose, most)))
    numbers = [_cell(by_id.get(i), most) if i is not None else "" for i in row.claims]
    return [row.problem, setting, verdict.value if verdict else "", *numbers]


def _cell(judgement: Judgement | None, most: str) -> str:
    if judgement is None:
        return ""
    # The notes state that errors are x1e-2.
    printed = judgement.claim.printed.removesuffix(" x1e-2")
    paper = f" (paper {printed})" if judgement.claim.paper is not None else ""
    if judgement.ours is None:
        return f"{judgement.verdict.value}{paper}"
    ours = judgement.measured.removesuffix(" x1e-2")
    few = judgement.claim.seeds > 1 and f"{judgement.runs} seeds" != most and judgement.runs > 1
    fewer = f", {judgement.runs} seeds" if few else ""
    if judgement.claim.paper is None and judgement.interval:
        ours = f"{judgement.claim.number(judgement.ours)} ({judgement.interval})"
    return f"{ours}{fewer}{paper}, {judgement.verdict.value}"


def table(judgements: list[Judgement]) -> str:
    """Return the table in Markdown."""
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for problem, setting, verdict, *numbers in cells(judgements):
        shown = f"**{verdict}**" if verdict and not setting.startswith("chosen") else verdict
        lines.append(f"| {' | '.join([problem, setting, shown, *numbers])} |")
    return "\n".join(lines)


def page(judgements: list[Judgement]) -> str:
    """Return the page of verdicts: the sentences with numbers, the table, its notes, and all claims by outcome."""
    said = "\n".join(f"- {sentence}" for sentence in sentences(judgements))
    counted = "\n".join(f"- {line}" for line in summary(judgements).splitlines())
    head = "# Verdicts: one per problem and setting"
    return "\n\n".join([head, said, table(judgements), *NOTES, f"All claims by outcome:\n\n{counted}"]) + "\n"


def block(judgements: list[Judgement], *more: str) -> str:
    """Return the answer in short: sentences, and a table of the printed settings and the defaults.

    Args:
        judgements: the verdicts.
        more: further sentences, see `rival_sentence`; empty ones are left out.
    """
    by_id = {j.claim.id: j for j in judgements}
    lines = [
        "| problem | settings | iterations saved (paper) | error over converged physics | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in front():
        verdict = joined(row, by_id)
        savings, accuracy = (by_id.get(i) if i else None for i in (row.savings, row.accuracy))
        saved = f"{_short(savings)} ({savings.claim.printed})" if savings else ""
        shown = [
            row.name,
            row.setting.value,
            saved,
            _short(accuracy),
            f"**{verdict.value}**" if verdict else "",
        ]
        lines.append(f"| {' | '.join(shown)} |")
    said = "\n".join(f"- {sentence}" for sentence in (*brief(judgements), *filter(None, more)))
    return f"{said}\n\n" + "\n".join(lines)


def _short(judgement: Judgement | None) -> str:
    if judgement is None:
        return ""
    if judgement.ours is None:
        return judgement.verdict.value
    return judgement.claim.number(judgement.ours) + (
        f" ({judgement.interval})" if judgement.claim.paper is None and judgement.interval else ""
    )


def placed(text: str, judgements: list[Judgement], *more: str) -> str:
    """Return a text with the answer between its two marks.

    Raises:
        ValueError: a mark is missing.
    """
    return between(text, "the verdicts", BEGIN, END, f"\n{block(judgements, *more)}\n")
