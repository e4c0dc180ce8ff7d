"""Why numbers of the paper are not reproduced here: prose written by hand, numbers from the records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prdp.analysis.claims import Claim, Judgement, Verdict
from prdp.analysis.claims_report import rows
from prdp.analysis.tables import Table

TITLE = "Numbers of the paper that are not reproduced"
_CALLING = (Verdict.CONTRADICTED, Verdict.UNDECIDED, Verdict.ONE_SEED)
_WAITING = (Verdict.NOT_RUN, Verdict.NOT_TIMED_ALONE)


@dataclass(frozen=True)
class Difference:
    """A topic: claims that are contradicted, undecided or on one seed, for one reason.

    Attributes:
        id: its name and anchor.
        title: its heading.
        claims: ids of its claims, in the order of the claims.
        paragraphs: what was tried, the evidence, the most likely reason, and open questions.
        not_run: whether it also covers claims that are not run or not timed alone.
    """

    id: str
    title: str
    claims: tuple[str, ...]
    paragraphs: tuple[str, ...]
    not_run: bool = False


@dataclass(frozen=True)
class Explained:
    """A topic with the verdicts on its claims.

    Attributes:
        difference: the topic.
        judgements: one for each of its claims.
    """

    difference: Difference
    judgements: tuple[Judgement, ...]


def load_differences(path: Path, claims: Iterable[Claim]) -> list[Difference]:
    """Return the topics of a YAML file.

    Args:
        path: the file; its head describes the format.
        claims: all claims.

    Raises:
        ValueError: a topic has an unknown key, lacks one, or names a claim that does not exist or is in another topic.
    """
    ids = [claim.id for claim in claims]
    found: list[Difference] = []
    for entry in yaml.safe_load(path.read_text())["differences"]:
        place = f"{path.name}, difference {entry.get('id')}"
        difference = _difference(entry, ids, place)
        for other in found:
            if other.id == difference.id:
                raise ValueError(f"{place}: the id is taken")
            for claim in difference.claims:
                if claim in other.claims:
                    raise ValueError(f"{place}: claim {claim} is in difference {other.id}")
        found.append(difference)
    return found


def _difference(entry: dict[str, Any], ids: Sequence[str], place: str) -> Difference:
    try:
        entry = dict(entry)
        paragraphs = tuple(entry.pop("text").strip().split("\n"))
        named = entry.pop("claims")
        difference = Difference(claims=(), paragraphs=paragraphs, **entry)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{place}: {error}") from error
    for name in named:
        if not any(_meant(name, claim) for claim in ids):
            raise ValueError(f"{place}: claim {name} does not exist")
    claims = tuple(claim for claim in ids if any(_meant(name, claim) for name in named))
    return Difference(difference.id, difference.title, claims, paragraphs, difference.not_run)


def _meant(name: str, claim: str) -> bool:
    return claim == name or claim.startswith(f"{name}.")


def explain(differences: Iterable[Difference], judgements: Sequence[Judgement]) -> list[Explained]:
    """Return the topics with a claim that calls for them, each with its judgements."""
    found = []
    for difference in differences:
        own = tuple(j for j in judgements if j.claim.id in difference.claims)
        if any(j.verdict in _CALLING or (difference.not_run and j.verdict in _WAITING) for j in own):
            found.append(Explained(difference, own))
    return found


def unexplained(topics: Iterable[Explained], judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return the judgements that are contradicted and in no topic."""
    known = {j.claim.id for topic in topics for j in topic.judgements}
    return [j for j in judgements if j.verdict is Verdict.CONTRADICTED and j.claim.id not in known]


def as_markdown(topics: Sequence[Explained], judgements: Iterable[Judgement]) -> str:
    """Return all topics, each with a table of its claims, and the claims that no topic explains."""
    rest = [f"- {j.text}" for j in unexplained(topics, judgements)]
    others = ["\n".join(["## Without a topic", "", *rest]) + "\n"] if rest else []
    return "\n".join([f"# {TITLE}\n", *map(_section, topics), *others])


def _section(topic: Explained) -> str:
    columns = ("claim", "verdict", "paper", "ours", "95 % interval")
    frame = rows(topic.judgements, *columns).rename(columns={"ours": "here"})
    head = "\n\n".join([topic.difference.title, *topic.difference.paragraphs])
    return Table(head, frame).to_markdown()
