"""Atomic file writes: a reader sees either the old file or the new one, never a partial one."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

# An upper bound on the length of paths below a checked folder: a run's folder and a temporary file in it.
_LONGEST_FILE = 255


def exists(path: Path) -> bool:
    """Whether `path` exists. Invalid paths, such as paths that are too long, do not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def obstacle(path: Path) -> str | None:
    """Return the reason why files cannot be written below the folder `path`, or `None` if they can.

    The folder need not exist. The test creates files in the nearest existing folder, because permissions alone are
    not conclusive, and removes them again.
    """
    try:
        there = path
        while not there.exists():
            there = there.parent
        if not there.is_dir():
            return f"{there} is no folder"
        missing = path.relative_to(there).parts
        longest, whole = os.pathconf(there, "PC_NAME_MAX"), os.pathconf(there, "PC_PATH_MAX")
        if any(len(os.fsencode(part)) > longest for part in missing):
            return f"a name in it is longer than {longest} bytes"
        if len(os.fsencode(path.absolute())) + _LONGEST_FILE > whole:
            return f"it is longer than {whole - _LONGEST_FILE} bytes"
        # If `path` does not exist yet, also test that a folder can be created.
        with tempfile.TemporaryDirectory(dir=there, prefix=".try.") as folder:
            place = Path(folder) if missing else there
            with tempfile.NamedTemporaryFile(dir=place, prefix=".try."):
                return None
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically: write a temporary file beside it, fsync, rename, fsync the folder.

    Raises:
        OSError: If writing fails. The old file is unchanged, and the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, content: str) -> None:
    """Write text atomically, encoded as UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, with keys in the given order."""
    write_text(path, json.dumps(content, indent=2, allow_nan=True) + "\n")
