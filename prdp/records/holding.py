"""Work on run folders: held by one process, and noted where it ends early."""

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from prdp.records.store import RunFolder

log = logging.getLogger(__name__)


@contextmanager
def working(folders: Sequence[RunFolder]) -> Iterator[None]:
    """Hold run folders, and note in the unfinished ones what ends the work on them early.

    Raises:
        RunIsHeld: If another process holds one of them.
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
    """Warn where a file cannot be written: a full disk must not hide why the run ends."""
    try:
        yield
    except OSError as error:
        log.warning("%s", error)
