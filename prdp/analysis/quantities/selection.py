"""The runs that a number is about: cases and arms of some experiments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from prdp.analysis.comparison import differing, finished, tidy
from prdp.analysis.records import Records


class Ambiguous(ValueError):
    """The runs of an arm differ in more than their seed."""


class NotTimedAlone(ValueError):
    """The runs exist, but their seconds cannot be compared."""


@dataclass(frozen=True)
class Selection:
    """Runs to compute a quantity of.

    Attributes:
        runs: rows of `tidy`.
        records: records with their histories.
    """

    runs: pd.DataFrame
    records: Records

    @classmethod
    def of(cls, records: Records, *experiments: str) -> "Selection":
        """Return the runs of some experiments."""
        chosen = records.of(*experiments)
        return cls(tidy(chosen), chosen)

    def where(self, physics: str | None, values: Mapping[str, Any], scale: str = "full") -> "Selection":
        """Return the runs of one physics (null: all) and one scale whose columns have some values."""
        keep = pd.Series(True, index=self.runs.index)
        for column, value in {"physics": physics, "scale": scale, **values}.items():
            if value is not None:
                keep &= self.runs[column] == value if column in self.runs else False
        return Selection(self.runs[keep], self.records)

    def arm(self, name: str, only: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the runs of an arm, in the order of their seeds: prdp, train_loss, tolerance, linear or converged.

        Args:
            name: the name of the arm.
            only: values of columns that choose one of several arms of that name.

        Raises:
            Ambiguous: they differ in more than the seed.
        """
        chosen = self.where(None, only or {}).runs
        chosen = chosen[_ARMS[name](chosen)]
        if chosen["case"].nunique() > 1:
            raise Ambiguous(f"the runs of {name} differ in {', '.join(differing(chosen))}")
        if chosen["arm"].nunique() > 1:
            raise Ambiguous(f"{name} is more than one schedule: {', '.join(chosen['arm'].unique())}")
        return chosen.sort_values("seed")

    def history(self, name: str, only: Mapping[str, Any] | None = None) -> pd.DataFrame | None:
        """Return the history of an arm's first finished run; null if there is none."""
        runs = finished(self.arm(name, only))
        return None if runs.empty else self.records.history(runs["run"].iloc[0])

    def by(self, column: str) -> "list[tuple[Any, Selection]]":
        """Return the selection split by the values of a column, in ascending order."""
        return [(value, Selection(runs, self.records)) for value, runs in self.runs.groupby(column)]


_ARMS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "prdp": lambda runs: (runs["schedule"] == "prdp") & (runs["metric"] == "val_error"),
    "train_loss": lambda runs: (runs["schedule"] == "prdp") & (runs["metric"] == "train_loss"),
    "tolerance": lambda runs: runs["schedule"] == "tolerance_prdp",
    "linear": lambda runs: runs["schedule"] == "linear",
    "converged": lambda runs: runs["is_converged"],
}
