"""Locks that end with their process, on files that their holder removes."""

import fcntl
import os
from pathlib import Path
from typing import IO


def lock(path: Path, wait: bool = False) -> IO[str]:
    """Return the file at `path`, made if need be, open and locked; closing it lets go, and removing it before is right.

    It is `flock`: the kernel drops it with the process, and a file server (NFSv4, or NFSv3 with lockd; Lustre and
    BeeGFS if mounted with it) with its node, once that has been silent for as long as the server waits.

    Args:
        path: of the file.
        wait: for who holds it.

    Raises:
        BlockingIOError: another living process holds it, and `wait` is false.
        OSError: the file system has no locks.
    """
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            raise
        except OSError as error:
            file.close()
            told = f"{error.strerror}: {path.parent} is on a file system without locks (flock)"
            raise OSError(error.errno, told) from error
        try:
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except FileNotFoundError:
            pass
        # Its holder removed it between our opening and locking it: this lock guards nothing.
        file.close()
