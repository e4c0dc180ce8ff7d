"""File locks that are released when their process ends, on files that their holder removes."""

import fcntl
import os
from pathlib import Path
from typing import IO


def lock(path: Path, wait: bool = False) -> IO[str]:
    """Return the file at `path`, created if necessary, open and locked.

    Closing the file releases the lock. The holder should remove the file before closing it. The lock uses `flock`. The
    kernel releases it when the process ends. A file server (NFSv4, or NFSv3 with lockd; Lustre and BeeGFS if mounted
    with flock) releases it when the node has not responded for the lease time of the server.

    Args:
        path: the path of the lock file.
        wait: whether to wait until the current holder releases the lock.

    Raises:
        BlockingIOError: If another live process holds the lock and `wait` is false.
        OSError: If the file system does not support locks.
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
        # The holder removed the file between our open and our lock, so this lock protects nothing: try again.
        file.close()
