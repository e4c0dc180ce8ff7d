"""The run folder: named after the configuration, written atomically, and held by one process at a time."""

import hashlib
import io
import json
import logging
import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from prdp.atomic import write_bytes, write_json, write_text
from prdp.locks import lock
from prdp.records.schema import history_table

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"
# The files of a finished run.
RECORD = ("config.yaml", "history.parquet", "provenance.json", "status.json", "summary.json")


log = logging.getLogger(__name__)


class RunIsHeld(RuntimeError):
    """Another process is computing the same run."""


def digest(determinants: dict[str, Any]) -> str:
    """Return the first eight hexadecimal digits of the SHA-256 of everything that can change a run's results."""
    text = json.dumps(determinants, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_name(identity: dict[str, Any], determinants: dict[str, Any]) -> str:
    """Return the name of the run folder: a readable part, then a unique digest."""
    parts = [str(identity[k]) for k in ("physics", "solver", "diff", "schedule")]
    return "-".join([*parts, f"seed{identity['seed']}", digest(determinants)])


class RunFolder:
    """The files of one run: `config.yaml`, `history.parquet`, `summary.json`, `status.json`, `provenance.json`.

    `status.json` says `running`, `finished`, `diverged`, `interrupted` or `failed` (with the traceback), and names
    process and host. A killed run stays `running`, but the kernel releases its lock with the process. Such a run does
    not count as finished, and another process can take it over.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock: Any = None
        self._started = time.time()
        self._begun: tuple[dict[str, Any], dict[str, Any]] | None = None

    @property
    def checkpoint(self) -> Path:
        """The path of the checkpoint of an unfinished run."""
        return self.path / CHECKPOINT

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """Where the checkpoints of an unfinished run are, the newest first."""
        return self.path / CHECKPOINT, self.path / PREVIOUS

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return any(path.exists() for path in self.checkpoints)

    def drop_checkpoints(self) -> None:
        """Remove the checkpoints, damaged ones too."""
        for path in self.path.glob("checkpoint.*safetensors*"):
            path.unlink(missing_ok=True)

    def is_held(self) -> bool:
        """Return whether a living process holds the folder."""
        path = self.path / ".lock"
        if not path.exists():
            return False
        try:
            lock(path).close()
        except BlockingIOError:
            return True
        return False

    def acquire(self) -> None:
        """Create the folder and hold it.

        Raises:
            RunIsHeld: If another living process holds it; the message says which.
            OSError: If the file system has no locks.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        path, holder = self.path / ".lock", "another process"
        try:
            self._lock = lock(path)
        except BlockingIOError as error:
            with suppress(FileNotFoundError):
                holder = path.read_text().strip() or holder
            raise RunIsHeld(f"{self.path} is being computed by {holder}") from error
        for leftover in self.path.glob(".*.tmp"):
            # A process was killed while writing this file.
            leftover.unlink()
        try:
            os.ftruncate(self._lock.fileno(), 0)
            os.write(self._lock.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Release the lock on the folder, if this process holds it."""
        if self._lock is not None:
            (self.path / ".lock").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def finished_summary(self) -> dict[str, Any] | None:
        """Return the summary of an ended run (`finished` or `diverged`) whose files are all intact, else `None`."""
        try:
            status, summary, provenance = (
                json.loads((self.path / f"{name}.json").read_text())
                for name in ("status", "summary", "provenance")
            )
            checksum = hashlib.sha256((self.path / "config.yaml").read_bytes()).hexdigest()
            epochs = pq.read_metadata(self.path / "history.parquet").num_rows - 1
            ended = status["status"] in ("finished", "diverged")
            # The earliest runs recorded no checksums.
            whole = epochs == summary["epochs"] and provenance.get("config_sha256", checksum) == checksum
            results = status.get("sha256")
            whole &= results is None or results == self._checksums()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # A file is missing, cut, or holds something else.
            return None
        return summary if ended and whole else None

    def _checksums(self) -> dict[str, str]:
        return {
            name: hashlib.sha256((self.path / name).read_bytes()).hexdigest()
            for name in ("history.parquet", "summary.json", "provenance.json")
        }

    def sources(self) -> list[str]:
        """Return the digests of the source versions that computed the run; empty if they were not recorded."""
        try:
            provenance = json.loads((self.path / "provenance.json").read_text())
            found = [*provenance.get("earlier_sources", []), provenance.get("source")]
        except (OSError, ValueError, AttributeError, TypeError):
            return []
        return [source for source in found if isinstance(source, str)]

    def is_of_other_source(self, source: str | None) -> bool:
        """Whether any part of the run was computed by source with another digest. False if either is unknown."""
        return source is not None and any(other != source for other in self.sources())

    def discard(self) -> None:
        """Remove the files of an earlier run, except the lock."""
        for item in self.path.iterdir():
            if item.name == ".lock":
                continue
            if item.is_dir():
                shutil.rmtree(item)
            else:
                item.unlink()

    def begin(self, config: dict[str, Any], provenance: dict[str, Any]) -> None:
        """Write what is known before training, with a checksum to detect a damaged configuration."""
        self._begun = config, provenance
        text = yaml.safe_dump(config, sort_keys=False)
        write_text(self.path / "config.yaml", text)
        checksum = hashlib.sha256(text.encode()).hexdigest()
        write_json(self.path / "provenance.json", {**provenance, "config_sha256": checksum})
        self.set_status("running")

    def end(self, rows: list[dict[str, Any]], summary: dict[str, Any], **details: Any) -> None:
        """Write the results, then the status that marks them as complete, then remove the checkpoints."""
        if self._begun is not None and not (self.path / "config.yaml").exists():
            log.warning("%s was removed while it was being computed: its record is written again", self.path)
            self.begin(*self._begun)
        buffer = io.BytesIO()
        pq.write_table(history_table(rows), buffer)
        write_bytes(self.path / "history.parquet", buffer.getvalue())
        write_json(self.path / "summary.json", summary)
        self.set_status(summary["status"], **details, sha256=self._checksums())
        self.drop_checkpoints()

    def set_status(self, status: str, **details: Any) -> None:
        """Write `status.json`: the status, process, host, UTC times, and `details`."""
        content = {
            "status": status,
            "process": os.getpid(),
            "host": socket.gethostname(),
            "started": _utc(self._started),
            "updated": _utc(time.time()),
            **details,
        }
        write_json(self.path / "status.json", content)


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
