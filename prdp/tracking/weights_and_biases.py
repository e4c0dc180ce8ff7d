"""Weights & Biases: one log call per epoch, offline by default."""

import hashlib
import json
import logging
import math
import netrc
import os
import socket
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from prdp.records import HOUSEKEEPING, RECORD
from prdp.tracking.base import RunInfo, Sink
from prdp.tracking.wandb_settings import LONGEST_TAG, WeightsAndBiasesSettings

log = logging.getLogger(__name__)

_REACHABLE_WITHIN_SECONDS = 2.0
_THRESHOLDS = ("tau_step", "tau_stop")


def wandb_sink(
    mode: str | None, project: str | None, entity: str | None, tags: tuple[str, ...], notes: str | None
) -> "WeightsAndBiases":
    """Return the sink of the option `tracking=wandb`, see `WeightsAndBiasesSettings`.

    Raises:
        ValueError: If W&B does not accept an argument.
    """
    return WeightsAndBiases(WeightsAndBiasesSettings(mode, project, entity, tags, notes))


class WeightsAndBiases(Sink):
    """Mirrors the history to a W&B run, whose files are in the run folder.

    The seeds of one configuration form one group. Each epoch logs the columns of the history and, if the schedule has
    them, the thresholds `tau_step` and `tau_stop` of r and r_c. The W&B configuration has K_epsilon as measured and the
    provenance. A finished run logs its record (the files of the run folder) as an artifact.

    The W&B run has an id that is always the same for a run folder. Online, a resumed run continues its W&B run. Offline
    it writes all epochs again, and `wandb sync` replaces what the interrupted part has uploaded.

    A failure of W&B does not stop the run. It is reported once, and the run continues without W&B.
    """

    def __init__(self, settings: WeightsAndBiasesSettings):
        self._settings = settings
        self._run: Any = None

    def lacks(self, folder: Path) -> bool:
        """Return whether the run folder has no W&B run yet."""
        tracked = self._settings.chosen_mode() != "disabled"
        return tracked and not any((folder / "wandb").glob("*run-*"))

    def check(self) -> None:
        """Check the environment variables that the settings leave room for.

        Raises:
            ValueError: If W&B does not accept the value of one.
        """
        self._settings.chosen_mode()
        self._settings.chosen_project()
        self._settings.chosen_tags()

    def start(self, info: RunInfo) -> None:
        """Open the W&B run, and log the epochs that a resumed run already has."""
        mode = self._settings.chosen_mode()
        if mode == "disabled":
            return
        schedule = info.config["schedule"]
        self._info, rows = info, info.rows
        self._thresholds = {k: schedule[k] for k in _THRESHOLDS if k in schedule}
        try:
            import wandb

            mode = choose_mode(mode)
            self._run = wandb.init(
                mode=mode,
                id=run_id(info),
                # Without it, W&B replaces a run of the same id: this one begins anew. It means nothing offline.
                resume="allow" if rows and mode == "online" else None,
                project=self._settings.chosen_project(),
                entity=self._settings.entity,
                name=info.name,
                group=group(info),
                job_type="train",
                tags=_tags(info, self._settings.chosen_tags()),
                notes=self._settings.notes,
                config=described(info.config)
                | {"converged_iterations": info.converged_iterations}
                | {"provenance": _provenance(info.folder)},
                dir=str(info.folder),
                # Seeds that train together have several open W&B runs in one process.
                reinit="create_new",
                settings=wandb.Settings(console="off", silent=True, init_timeout=20),
            )
            self._run.define_metric("epoch", hidden=True)
            self._run.define_metric("*", step_metric="epoch")
            # With its full name, the order in which W&B tries the patterns does not matter.
            self._run.define_metric("val_error", step_metric="epoch", summary="min,last")
            # Each epoch is one step of W&B.
            rows = rows[self._run.step :] if self._run.resumed else rows
        except Exception as error:
            self._give_up(error)
        for row in rows:
            self.row(row)

    def row(self, row: dict[str, Any]) -> None:
        """Log one epoch without the columns that are NaN."""
        if self._run is None:
            return
        try:
            self._run.log(_without_nan(row) | self._thresholds)
        except Exception as error:
            self._give_up(error)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Close the W&B run with the summary."""
        if self._run is None:
            return
        try:
            if summary is not None:
                self._run.summary.update(_without_nan(summary))
                self._run.log_artifact(_record(self._info))
            self._run.finish(exit_code=0 if summary is not None else 1)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        log.warning("W&B: %s: the run goes on without it", error)
        self._run = None


def run_id(info: RunInfo) -> str:
    """Return the id of the W&B run: always the same for a run folder, whose name tells the configuration."""
    return hashlib.sha256(info.name.encode()).hexdigest()[:16]


def _record(info: RunInfo) -> Any:
    """Return the files of a finished run as an artifact."""
    import wandb

    artifact = wandb.Artifact(f"record-{run_id(info)}", type="record", metadata={"run": info.name})
    for path in (info.folder / name for name in RECORD):
        if path.exists():
            # It does not change any more, so that W&B needs no copy.
            artifact.add_file(str(path), policy="immutable")
    return artifact


def _provenance(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "provenance.json").read_text())
    except FileNotFoundError:
        return {}


def described(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that says what a run computes, without paths and housekeeping keys."""
    return {k: v for k, v in config.items() if k not in HOUSEKEEPING}


def group(info: RunInfo) -> str:
    """Return the name that all seeds of a configuration share, and that differs between configurations.

    It consists of physics, solver, mode, schedule (with K if it is constant), `small` at the reduced size, and a digest
    of the configuration without its seed.
    """
    config = {k: v for k, v in described(info.config).items() if k != "seed"}
    parts = [str(info.identity[k]) for k in ("physics", "solver", "diff", "schedule")]
    if parts[-1] == "fixed":
        parts[-1] += str(config["schedule"]["iterations"] or info.converged_iterations)
    if config["scale"] != "full":
        parts.append(config["scale"])
    text = json.dumps(config, sort_keys=True)
    return "-".join([*parts, hashlib.sha256(text.encode()).hexdigest()[:8]])


def _tags(info: RunInfo, further: tuple[str, ...]) -> list[str]:
    tags = [str(info.identity[k]) for k in ("physics", "solver", "diff", "schedule")]
    if info.config["scale"] != "full":
        tags.append(info.config["scale"])
    if info.experiment is not None:
        tags.append(info.experiment)
    return list(dict.fromkeys([*(tag[:LONGEST_TAG] for tag in tags), *further]))


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if not (isinstance(v, float) and math.isnan(v))}


def choose_mode(wanted: str) -> Literal["offline", "online"]:
    """Return `online` if that is wanted and possible, else `offline`. Warn if `online` was wanted but not possible."""
    if wanted == "offline":
        return "offline"
    problem = obstacle()
    if problem is None:
        return "online"
    log.warning("W&B: %s, so the run is logged offline", problem)
    return "offline"


def obstacle() -> str | None:
    """Return a text that says why W&B cannot be used online, or `None` if it can. Takes at most two seconds."""
    import wandb

    if not _has_key(wandb):
        return "no API key is set"
    if not _is_reachable(wandb.setup().settings.base_url):
        return "its server cannot be reached"
    return None


def _has_key(wandb: Any) -> bool:
    settings = wandb.setup().settings
    if settings.api_key:
        return True
    # `wandb login` stores the key in the netrc file.
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
