"""Work on run folders: one process holds them, and an early end is recorded in their status."""

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from prdp.records.store import RunFolder

log = logging.getLogger(__name__)


@contextmanager
def working(folders: Sequence[RunFolder]) -> Iterator[None]:
    """Hold run folders. If an exception ends the work early, write `interrupted` or `failed` to the unfinished ones.

    Raises:
        RunIsHeld: If another process holds one of them.
        OSError: If the file system has no locks.
    """
    with ExitStack() as held:
        for folder in folders:
            folder.acquire()
            held.callback(folder.release)
        try:
            yield
        except KeyboardInterrupt:
            _note(folders, "interrupted")
            raise
        except Exception:
            _note(folders, "failed", traceback=traceback.format_exc())
            raise


def _note(folders: Sequence[RunFolder], status: str, **details: Any) -> None:
    for folder in folders:
        with if_possible():
            if folder.finished_summary() is None:
                folder.set_status(status, **details)


@contextmanager
def if_possible() -> Iterator[None]:
    """Turn an `OSError` into a warning, so that a full disk does not hide why the run ends."""
    try:
        yield
    except OSError as error:
        log.warning("%s", error)
