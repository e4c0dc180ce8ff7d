"""Arrays in a file that says how they were made and whether they are whole."""

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from prdp.atomic import write_bytes
from prdp.locks import lock

log = logging.getLogger(__name__)


def write(path: Path, recipe: str, arrays: dict[str, np.ndarray]) -> None:
    """Write `arrays`, made after `recipe`, atomically."""
    write_bytes(path, save(arrays, {"recipe": recipe, "sha256": _checksum(arrays)}))


def read(path: Path, recipe: str) -> dict[str, np.ndarray] | None:
    """Return what `path` holds if it is whole and made after `recipe`; say why not, and return `None`, otherwise."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        log.warning("cached data %s cannot be read (%s): generating it again", path, error)
        return None
    if metadata.get("recipe") != recipe or metadata.get("sha256") != _checksum(arrays):
        log.warning("cached data %s fails its check: generating it again", path)
        return None
    return arrays


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold `path`, which is to be made, alone; wait for who holds it already, be it on another node.

    Whoever comes second finds the file made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{path.stem}.lock")
    try:
        file = lock(place)
    except BlockingIOError:
        log.warning("another process is making %s: waiting for it", path)
        file = lock(place, wait=True)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        file.close()


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Parts:
    """The finished parts of data that is still being computed, so that an interruption loses only one.

    Args:
        folder: where they are kept.
        recipe: how the data is made.
    """

    folder: Path
    recipe: str

    def get(self, index: int) -> np.ndarray | None:
        """Return part `index`, if it is there and whole."""
        arrays = read(self._path(index), self.recipe)
        return None if arrays is None else arrays["part"]

    def put(self, index: int, part: np.ndarray) -> None:
        """Keep part `index`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self._path(index), self.recipe, {"part": part})

    def discard(self) -> None:
        """Remove all parts, once the whole is safe."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:04d}.safetensors"
