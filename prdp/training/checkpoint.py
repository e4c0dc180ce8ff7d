"""Atomic checkpoints with a checksum: arrays in safetensors, everything else as JSON in the header."""

import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from prdp.atomic import write_bytes

if TYPE_CHECKING:
    from prdp.training.loop import RunResult

log = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """A snapshot of a run: `tree`, the pytree of arrays, and `meta`, everything else as JSON values."""

    tree: Any
    meta: dict[str, Any]


class Damaged(ValueError):
    """A checkpoint that cannot be resumed from; the message says why."""


def save_checkpoint(path: Path, tree: Any, meta: dict[str, Any]) -> None:
    """Write a checkpoint atomically: a reader sees either the previous one or this one, complete.

    Args:
        path: the file.
        tree: a pytree of arrays, whose structure is not stored.
        meta: JSON values.

    Raises:
        OSError: If the file cannot be written.
    """
    leaves = jax.device_get(jax.tree.leaves(tree))
    arrays = {f"{i:05d}": np.asarray(x, order="C") for i, x in enumerate(leaves)}
    text = json.dumps(meta)
    write_bytes(path, save(arrays, {"meta": text, "crc32": _checksum(arrays, text)}))


def load_checkpoint(path: Path, like: Any) -> Checkpoint:
    """Return the checkpoint at `path` in the structure of `like`.

    Raises:
        FileNotFoundError: If there is none.
        Damaged: If the file is not whole, its checksum is wrong, or it holds other arrays than `like`.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    leaves, structure = jax.tree.flatten(like)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
        text = header["meta"]
        meta = json.loads(text)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise Damaged(f"it is not whole ({type(error).__name__}: {' '.join(str(error).split())})") from error
    # Those of earlier versions have no checksum.
    if "crc32" in header and header["crc32"] != _checksum(arrays, text):
        raise Damaged("its checksum is wrong")
    expected = [(np.shape(x), np.dtype(x.dtype)) for x in leaves]
    if [(a.shape, a.dtype) for a in arrays.values()] != expected:
        raise Damaged("it holds the state of another network or optimiser")
    return Checkpoint(jax.tree.unflatten(structure, [jax.numpy.asarray(a) for a in arrays.values()]), meta)


def _checksum(arrays: dict[str, np.ndarray], text: str) -> str:
    """Return the CRC-32 of all that a checkpoint holds: a flipped bit must not train on unnoticed."""
    value = zlib.crc32(text.encode())
    for name in sorted(arrays):
        value = zlib.crc32(arrays[name].tobytes(), value)
    return f"{value:08x}"


def newest(paths: Iterable[Path], like: Any) -> Checkpoint | None:
    """Return the first checkpoint of a run that is whole, `None` if there is none.

    A damaged one is reported and put aside, under a name of its own, and the next is tried.

    Args:
        paths: of the checkpoints, newest first.
        like: the state whose structure they must have.
    """
    for path in paths:
        try:
            checkpoint = load_checkpoint(path, like)
            _check_rows(checkpoint.meta)
        except FileNotFoundError:
            continue
        except Damaged as error:
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            log.warning("%s cannot be resumed from: %s. It is now %s.", path, error, aside.name)
        else:
            return checkpoint
    return None


def _check_rows(meta: dict[str, Any]) -> None:
    try:
        rows = [(row["epoch"], row["iterations"], row["seconds_compile"]) for row in meta["rows"]]
        state = meta["schedule_state"]
    except (KeyError, TypeError) as error:
        raise Damaged(f"its description is not that of a run ({type(error).__name__}: {error})") from error
    if not rows or [row[0] for row in rows] != list(range(len(rows))) or not isinstance(state, dict):
        raise Damaged("its description is not that of a run")


class Saver:
    """Saves a run's progress, at most every `least_seconds`, and keeps the checkpoint before the last.

    A checkpoint of Heat 2D holds 280 MB: written every epoch it would take a third of the run.

    Args:
        path: of the checkpoint.
        previous: of the one before.
        least_seconds: least time between two.
    """

    def __init__(self, path: Path, previous: Path, least_seconds: float):
        self._path, self._previous, self._least = path, previous, least_seconds
        self._last = time.monotonic()

    def maybe_save(self, result: Callable[[], "RunResult"]) -> None:
        """Save what `result` returns, if the last time was long enough ago.

        Where it cannot be written (a full disk), training goes on without: this only warns.
        """
        if time.monotonic() - self._last < self._least:
            return
        try:
            self.save(result())
        except OSError as error:
            self._last = time.monotonic()
            log.warning("no checkpoint was written, and training goes on: %s", error)

    def save(self, result: "RunResult") -> None:
        """Save parameters, optimiser, schedule state and all rows as one file; not in the middle of an epoch.

        Raises:
            OSError: If it cannot be written; the checkpoint before stays.
        """
        if not result.rows or result.in_epoch:
            return
        meta = {"rows": result.rows, "schedule_state": result.schedule_state._asdict()}
        if self._path.exists():
            _keep(self._path, self._previous)
        save_checkpoint(self._path, result.state, meta)
        self._last = time.monotonic()


def _keep(path: Path, previous: Path) -> None:
    """Let `previous` be the file at `path` too, without a moment at which either name is missing."""
    link = previous.with_name(f".{previous.name}.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        # A file system without hard links.
        path.replace(previous)
    else:
        link.replace(previous)
        # Renaming to another link of the same file does nothing, and leaves both.
        link.unlink(missing_ok=True)
