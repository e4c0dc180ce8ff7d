"""The guide on what to pick: words written by hand, numbers from the records."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from prdp.analysis.marks import between
from prdp.analysis.regret import of_searched
from prdp.analysis.rival_sentence import in_words
from prdp.analysis.rivals import Comparison
from prdp.analysis.tables.cells import EMPTY, interval
from prdp.analysis.verdicts import Judgement, Verdict

BEGIN = "<!-- {}: written by `make claims` from results/guide.yaml -->"
END = "<!-- end of {} -->"
_NOT_RUN = Verdict.NOT_RUN.value
_PLACE = re.compile(r"\{([^{}]*)\}")
_PLACES = (
    "{rival | problem | its name}",
    "{products | problem | its name}",
    "{error | problem | its name}",
    "{regret | problem | its name}",
    "{seeds | problem}",
    "{claim | its id}",
)


@dataclass(frozen=True)
class Guide:
    """Words with places for numbers (see the head of `results/guide.yaml`).

    Attributes:
        choices: for each kind of problem what to pick, and the evidence.
        hindsight: how far schedules are from the best ones in hindsight.
    """

    choices: tuple[tuple[str, str, str], ...]
    hindsight: str


def load_guide(path: Path) -> Guide:
    """Return the words of a YAML file.

    Raises:
        ValueError: a key is unknown or missing.
    """
    given = yaml.safe_load(path.read_text())
    wanted = {"choices", "hindsight"}
    if set(given) != wanted:
        raise ValueError(f"{path.name}: keys are {sorted(given)}; needed are {sorted(wanted)}")
    rows = []
    for i, row in enumerate(given["choices"], 1):
        if set(row) != {"problem", "pick", "evidence"}:
            raise ValueError(
                f"{path.name}, choice {i}: needed are problem, pick and evidence, not {sorted(row)}"
            )
        rows.append((row["problem"], row["pick"], row["evidence"]))
    return Guide(tuple(rows), given["hindsight"].strip())


class Numbers:
    """The numbers that the guide may ask for.

    Args:
        compared: the rivals of each problem.
        oracles: the best schedules in hindsight, see `load_oracles`.
        judgements: the verdicts on the claims.
    """

    def __init__(
        self,
        compared: Sequence[Comparison],
        oracles: Mapping[str, pd.DataFrame],
        judgements: Iterable[Judgement],
    ):
        self.problems = {c.title: c for c in compared}
        self.regrets = {(p.title, r.rival.name): in_words(p, r) for p, r in of_searched(compared, oracles)}
        self.claims = {j.claim.id: _NOT_RUN if j.ours is None else j.claim.number(j.ours) for j in judgements}

    def of(self, asked: str) -> str:
        """Return what is asked for (see `_PLACES`), "not run" if the records do not have it.

        Raises:
            ValueError: no such place is known.
        """
        match [part.strip() for part in asked.split("|")]:
            case ["seeds", title]:
                return self.problems[title].seeds if title in self.problems else _NOT_RUN
            case ["claim", name] if name in self.claims:
                return self.claims[name]
            case ["regret", title, name]:
                return self.regrets.get((title, name), _NOT_RUN)
            case ["rival" | "products" | "error" as what, title, name]:
                return self._rival(what, title, name)
        raise ValueError(f"guide: {{{asked}}} is none of {', '.join(_PLACES)}")

    def _rival(self, what: str, title: str, name: str) -> str:
        problem = self.problems.get(title)
        rival = next((r for r in problem.rivals if r.name == name), None) if problem else None
        if problem is None or problem.prdp is None or rival is None:
            return _NOT_RUN
        share, excess = rival.share(problem.prdp, "matvecs"), rival.excess(problem.prdp)
        products = EMPTY if math.isnan(share) else f"{100 * share:.0f} %"
        error = f"{100 * excess.mean:+.1f} %{interval(excess, 100, 1)}"
        if what == "error":
            return error
        return products if what == "products" or problem.to_common_error else f"{products}, {error}"


def placed(text: str, guide: Guide, numbers: Numbers) -> str:
    """Return a page with the guide's words and numbers between their marks.

    Raises:
        ValueError: a mark is missing, or no number is known by the name of a place.
    """
    head = ["| your problem | pick | evidence |", "|---|---|---|"]
    table = "\n".join([*head, *(f"| {' | '.join(row)} |" for row in guide.choices)])
    for name, words in (("choices", table), ("hindsight", guide.hindsight)):
        numbered = _PLACE.sub(lambda found: numbers.of(found[1]), words)
        text = between(text, name, BEGIN.format(name), END.format(name), f"\n\n{numbered}\n\n")
    return text
