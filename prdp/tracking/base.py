"""The sink interface."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunInfo:
    """The description of a run that a sink receives before training.

    Attributes:
        name: the name of the run folder.
        folder: the path of the run folder.
        identity: the options of physics, solver, diff and schedule, and the seed.
        config: the resolved configuration.
        epochs: the number of epochs of the whole run.
        done: the number of epochs that a resumed run has already finished.
        converged_iterations: K_epsilon.
        experiment: the preset that the run belongs to, or `None`.
        rows: the rows of the history that a resumed run already has, from epoch 0 on.
    """

    name: str
    folder: Path
    identity: dict[str, Any]
    config: dict[str, Any]
    epochs: int
    done: int
    converged_iterations: int
    experiment: str | None = None
    rows: tuple[dict[str, Any], ...] = ()


class Sink:
    """Receives the progress of a run. Subclasses override the methods they need."""

    def check(self) -> None:
        """Check before anything is computed that the sink can work.

        Raises:
            ValueError: If it cannot work as configured.
        """

    def lacks(self, folder: Path) -> bool:
        """Return whether a finished run in `folder` has never been shown to this sink, and can be now."""
        return False

    def start(self, info: RunInfo) -> None:
        """Called once, before the first row."""

    def row(self, row: dict[str, Any]) -> None:
        """Called after every epoch."""

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Called once at the end, with the summary, or with `None` if the run did not finish."""
