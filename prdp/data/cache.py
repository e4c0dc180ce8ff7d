"""Arrays in files that also store the recipe that made them and a checksum."""

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
    """Write `arrays` and their `recipe` atomically."""
    write_bytes(path, save(arrays, {"recipe": recipe, "sha256": _checksum(arrays)}))


def read(path: Path, recipe: str) -> dict[str, np.ndarray] | None:
    """Return the arrays in `path` if it is intact and has this `recipe`; otherwise log the reason and return `None`."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        log.warning("the cached data %s cannot be read (%s): generating it again", path, error)
        return None
    if metadata.get("recipe") != recipe or metadata.get("sha256") != _checksum(arrays):
        log.warning("the cached data %s is damaged or was made differently: generating it again", path)
        return None
    return arrays


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold an exclusive lock while the file `path` is generated. Wait for another holder, even on another node.

    The second process then finds the finished file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{path.stem}.lock")
    try:
        file = lock(place)
    except BlockingIOError:
        log.warning("another process is generating %s: waiting for it", path)
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
    """The finished parts of a data set under computation, so that an interruption loses at most one part.

    Args:
        folder: the folder of the parts.
        recipe: the recipe of the data.
    """

    folder: Path
    recipe: str

    def get(self, index: int) -> np.ndarray | None:
        """Return part `index` if it exists and is intact, otherwise `None`."""
        arrays = read(self._path(index), self.recipe)
        return None if arrays is None else arrays["part"]

    def put(self, index: int, part: np.ndarray) -> None:
        """Store part `index`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self._path(index), self.recipe, {"part": part})

    def discard(self) -> None:
        """Remove all parts. Call this once the complete data is stored."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:04d}.safetensors"
