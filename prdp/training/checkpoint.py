"""Atomic checkpoints: arrays in safetensors, everything else as JSON in its header."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from prdp.atomic import write_bytes

if TYPE_CHECKING:
    from prdp.training.loop import RunResult


class Checkpoint(NamedTuple):
    """A snapshot of a run: `tree`, the pytree of arrays, and `meta`, everything else as JSON values."""

    tree: Any
    meta: dict[str, Any]


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
    write_bytes(path, save(arrays, {"meta": json.dumps(meta)}))


def load_checkpoint(path: Path, like: Any) -> Checkpoint | None:
    """Return the checkpoint at `path` in the structure of `like`.

    The result is `None` if the file is missing or damaged, or if its arrays do not have the shapes and types of `like`.
    """
    if not path.exists():
        return None
    leaves, structure = jax.tree.flatten(like)
    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})["meta"])
            arrays = [file.get_tensor(name) for name in sorted(file.keys())]
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError):
        return None
    expected = [(np.shape(x), np.dtype(x.dtype)) for x in leaves]
    if [(a.shape, a.dtype) for a in arrays] != expected:
        return None
    return Checkpoint(jax.tree.unflatten(structure, [jax.numpy.asarray(a) for a in arrays]), meta)


class Saver:
    """Saves a run's progress, at most once per `least_seconds`.

    A checkpoint of Heat 2D takes 280 MB. Writing one every epoch would take a third of the run time.
    """

    def __init__(self, path: Path, least_seconds: float):
        self._path, self._least = path, least_seconds
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether at least `least_seconds` have passed since the last save."""
        return time.monotonic() - self._last >= self._least

    def maybe_save(self, result: "RunResult") -> None:
        """Save if a save is due."""
        if self.due:
            self.save(result)

    def save(self, result: "RunResult") -> None:
        """Save parameters, optimiser, schedule state and all rows in one file.

        Nothing is saved before the first row or in the middle of an epoch.
        """
        if not result.rows or result.in_epoch:
            return
        meta = {"rows": result.rows, "schedule_state": result.schedule_state._asdict()}
        save_checkpoint(self._path, result.state, meta)
        self._last = time.monotonic()
