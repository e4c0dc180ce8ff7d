"""Progress as a bar in the terminal, or as occasional lines in a log."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prdp.tracking.base import RunInfo, Sink

_LINES = 10


def data_progress() -> Callable[[int, int], None]:
    """Return a function `(done, total)` that shows the progress of reference data, in the terminal or as ten lines."""
    terminal = Terminal(stderr=True)
    shown = [0]

    def report(done: int, total: int) -> None:
        if done != total and done < shown[0] + total / _LINES and not terminal.is_terminal:
            return
        shown[0] = done
        end = "\n" if done == total or not terminal.is_terminal else "\r"
        print(f"reference data: {done}/{total} trajectories", end=end, file=sys.stderr, flush=True)

    return report


@contextmanager
def announced(what: str, after: float = 2.0) -> Iterator[None]:
    """Print what is going on if it takes longer than `after` seconds."""
    timer = threading.Timer(after, lambda: print(f"{what} ...", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Console(Sink):
    """A progress bar with K, error and savings. If the output is not a terminal, it prints ten lines per run."""

    def __init__(self) -> None:
        self._terminal = Terminal(stderr=True)
        self._progress: Progress | None = None
        self._spent = self._intervals = 0

    def start(self, info: RunInfo) -> None:
        """Begin the display."""
        self._info, self._began = info, time.monotonic()
        self._every = max(1, info.epochs // _LINES)
        if self._terminal.is_terminal:
            self._progress = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
                console=self._terminal,
                refresh_per_second=4,
            )
            self._task = self._progress.add_task("epoch", total=info.epochs, completed=info.done, state="")
            self._progress.start()

    def row(self, row: dict[str, Any]) -> None:
        """Show one epoch."""
        if row["epoch"] == 0:
            return
        self._spent += row["iterations"]
        self._intervals += 1
        saved = 1 - self._spent / (self._info.converged_iterations * self._intervals)
        state = f"K {row['iterations']:.4g}  error {row['val_error']:.3e}  saved {saved:.1%}"
        if self._progress is not None:
            self._progress.update(self._task, completed=row["epoch"], state=state)
        elif row["epoch"] % self._every == 0:
            elapsed = time.monotonic() - self._began
            left = elapsed / self._intervals * (self._info.epochs - row["epoch"])
            left_text = f"{left:.0f} s left" if math.isfinite(left) else ""
            print(f"epoch {row['epoch']}/{self._info.epochs}  {state}  {left_text}", file=sys.stderr)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """End the display."""
        if self._progress is not None:
            self._progress.stop()
