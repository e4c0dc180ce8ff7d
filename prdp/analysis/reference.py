"""What tables and figures show beside the records of runs: the paper's numbers, and computations of other kinds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from prdp.analysis.gradients import load_gradients
from prdp.analysis.paper import Claim, load_claims
from prdp.analysis.regret import load_oracles


@dataclass(frozen=True)
class Reference:
    """What tables and figures show beside the records.

    Attributes:
        paper: the paper's numbers, as claims by id; tables and figures show those that they find.
        oracles: the best schedules in hindsight by problem (see `regret.load_oracles`).
        gradients: the errors of training gradients (see `gradients.load_gradients`).
    """

    paper: Mapping[str, Claim] = field(default_factory=dict)
    oracles: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    gradients: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"problem": [], "time": []}))

    def share(self, claim: str) -> float | None:
        """Return the paper's number of a claim in percent as a share; null if there is none."""
        found = self.paper.get(claim)
        return None if found is None or found.paper is None else found.paper / 100


def load_reference(records: Path, paper: Path) -> Reference:
    """Return the claims of a YAML file, and the oracles and gradients of a folder of records."""
    claims = {claim.id: claim for claim in load_claims(paper)}
    return Reference(claims, load_oracles(records), load_gradients(records))
