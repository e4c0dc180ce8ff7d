"""The sink contract."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunInfo:
    """What a sink is told before training.

    Attributes:
        name: the run folder's name.
        folder: the run folder.
        identity: physics, solver, diff, schedule, seed.
        config: resolved configuration.
        epochs: how many there will be.
        done: how many a resumed run already has.
        converged_iterations: K_epsilon.
        experiment: the preset that the run belongs to, if any.
        rows: of the epochs that a resumed run already has.
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
    """Receives a run's progress; every method may be left out."""

    def check(self) -> None:
        """Refuse to track, before anything is computed.

        Raises:
            ValueError: If this cannot work as it is configured.
        """

    def lacks(self, folder: Path) -> bool:
        """Return whether a finished run in `folder` has never been shown to this sink, and can be now."""
        return False

    def start(self, info: RunInfo) -> None:
        """Called once, before the first row."""

    def row(self, row: dict[str, Any]) -> None:
        """Called after every epoch."""

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Called once, with the summary, or `None` where the run did not come to its end."""
