"""How the jobs of a sweep went; one that fails does not stop the others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prdp.experiment import Outcome

STATES = ("done", "resumed", "skipped", "diverged", "failed")


@dataclass(frozen=True)
class Result:
    """What became of one job; it survives pickling to another process.

    Attributes:
        overrides: of the job.
        state: done, resumed, skipped (finished before), diverged or failed.
        folder: of the run, empty if there is none.
        seconds: wall time.
        savings: of its summary.
        val_error: final, of its summary.
        error: one line, if it failed.
    """

    overrides: tuple[str, ...]
    state: str
    folder: str = ""
    seconds: float = 0.0
    savings: float | None = None
    val_error: float | None = None
    error: str | None = None


def attempt(
    overrides: Sequence[str], run: Callable[[], Outcome], explain: Callable[[Exception], str | None]
) -> Result:
    """Run a job and tell what became of it; only an interrupt comes through as an exception.

    Args:
        overrides: of the job, for the table.
        run: does it.
        explain: turns an exception into one line, or `None` where it has no better one than the exception's own.
    """
    began = time.perf_counter()
    try:
        outcome = run()
    except Exception as error:
        text = explain(error) or f"{type(error).__name__}: {error}"
        line = " ".join(text.split())
        return Result(tuple(overrides), "failed", seconds=time.perf_counter() - began, error=line)
    summary = outcome.summary
    ended = "diverged" if summary["status"] == "diverged" else "resumed" if outcome.resumed else "done"
    return Result(
        tuple(overrides),
        "skipped" if outcome.skipped else ended,
        str(outcome.folder),
        time.perf_counter() - began,
        summary["savings"],
        summary["val_error_final"],
    )
