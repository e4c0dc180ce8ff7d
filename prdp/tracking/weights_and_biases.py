"""Weights & Biases: one log call an epoch, offline unless asked otherwise."""

import logging
import math
import netrc
import os
import socket
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from prdp.tracking.base import RunInfo, Sink

log = logging.getLogger(__name__)

MODES = ("offline", "online")
_REACHABLE_WITHIN_SECONDS = 2.0


@dataclass(frozen=True)
class WeightsAndBiasesSettings:
    """Where the runs appear.

    Args:
        mode: `offline` (upload later with `wandb sync`) or `online`. Without a key or a network an online run
            goes on offline, after a warning.
        project: its project.
        entity: its team or user, or `None` for the account's default.
        tags: further tags, beside physics, solver, diff and schedule.

    Raises:
        ValueError: `mode` is neither.
    """

    mode: str = "offline"
    project: str = "prdp"
    entity: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r}: allowed are {', '.join(MODES)}")


class WeightsAndBiases(Sink):
    """Mirrors the history to a W&B run in the run's folder; runs of a sweep group by physics and schedule.

    No failure of W&B reaches the run: it is reported once, and the run goes on without.
    """

    def __init__(self, settings: WeightsAndBiasesSettings):
        self._settings = settings
        self._run: Any = None

    def start(self, info: RunInfo) -> None:
        """Open the W&B run."""
        try:
            import wandb

            identity = info.identity
            self._run = wandb.init(
                mode=self._mode(wandb),
                project=self._settings.project,
                entity=self._settings.entity,
                name=info.name,
                group=f"{identity['physics']}-{identity['schedule']}",
                job_type=str(identity["schedule"]),
                tags=[
                    *(str(identity[k]) for k in ("physics", "solver", "diff", "schedule")),
                    *self._settings.tags,
                ],
                config=info.config,
                dir=str(info.folder),
                settings=wandb.Settings(console="off", silent=True, init_timeout=20),
            )
            self._run.define_metric("*", step_metric="epoch")
        except Exception as error:
            self._give_up(error)

    def row(self, row: dict[str, Any]) -> None:
        """Log one epoch; what is not a number is left out."""
        if self._run is None:
            return
        usable = {k: v for k, v in row.items() if not (isinstance(v, float) and math.isnan(v))}
        try:
            self._run.log(usable)
        except Exception as error:
            self._give_up(error)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Close the W&B run with the summary."""
        if self._run is None:
            return
        try:
            if summary is not None:
                self._run.summary.update(summary)
            self._run.finish(exit_code=0 if summary is not None else 1)
        except Exception as error:
            self._give_up(error)

    def _mode(self, wandb: Any) -> Literal["offline", "online"]:
        if self._settings.mode == "offline":
            return "offline"
        if not _has_key(wandb):
            log.warning("W&B: no API key is set, so the run is logged offline")
            return "offline"
        if not _is_reachable(wandb.setup().settings.base_url):
            log.warning("W&B: its server cannot be reached, so the run is logged offline")
            return "offline"
        return "online"

    def _give_up(self, error: Exception) -> None:
        log.warning("W&B: %s: the run goes on without it", error)
        self._run = None


def _has_key(wandb: Any) -> bool:
    settings = wandb.setup().settings
    if settings.api_key:
        return True
    # Where `wandb login` puts it.
    try:
        places = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return places.authenticators(urlsplit(settings.base_url).netloc) is not None


def _is_reachable(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname, port), _REACHABLE_WITHIN_SECONDS):
            return True
    except OSError:
        return False
