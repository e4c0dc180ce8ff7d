"""How the jobs of a sweep went; one that fails does not stop the others."""

import dataclasses
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prdp.atomic import write_json
from prdp.interrupts import HandedOn
from prdp.records import RunIsHeld
from prdp.run import Outcome
from prdp.suite.grids import Overrides
from prdp.suite.seeds import split

STATES = ("done", "resumed", "skipped", "diverged", "failed")
# What becomes of jobs in other processes, beside.
LOST = ("killed", "cancelled")
# A file server keeps the locks of a lost node for some time (NFSv4: 90 s), and SLURM requeues its jobs sooner.
_LEASE = 180.0


@dataclass(frozen=True)
class Result:
    """What became of one job; it survives pickling to another process, and a file.

    Attributes:
        overrides: of the job.
        state: done, resumed, skipped (finished before), diverged, failed, killed or cancelled.
        folder: of the run, empty if there is none.
        seconds: wall time.
        savings: of its summary.
        val_error: final, of its summary.
        error: one line, if it failed, was killed or was cancelled.
        requeued: how often the scheduler started it again.
    """

    overrides: tuple[str, ...]
    state: str
    folder: str = ""
    seconds: float = 0.0
    savings: float | None = None
    val_error: float | None = None
    error: str | None = None
    requeued: int = 0


def read_results(path: Path) -> list[Result] | None:
    """Return what `attempt` left at `path`, or `None`."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return [Result(**{**result, "overrides": tuple(result["overrides"])}) for result in content]


def lost(overrides: Sequence[str], state: str, error: str) -> list[Result]:
    """Return the results of the single runs of a job that none of them came out of."""
    return [Result(single, state, error=_line(error)) for single in split(overrides)]


def attempt(
    overrides: Sequence[str],
    run: Callable[[], list[Outcome]],
    explain: Callable[[Exception], str | None],
    place: Path | None = None,
) -> list[Result]:
    """Run a job and tell what became of each of its seeds; only what ends the process comes through as an exception.

    Args:
        overrides: of the job, for the table.
        run: does it.
        explain: turns an exception into one line, or `None` where it has no better one than the exception's own.
        place: a file that is told as well, for who cannot be told directly.
    """
    began = time.perf_counter()
    results = _attempt(overrides, run, explain)
    # A seed's share, where several are trained together.
    seconds = (time.perf_counter() - began) / len(results)
    results = [dataclasses.replace(r, seconds=seconds, requeued=_restarts()) for r in results]
    if place is not None:
        write_json(place, [dataclasses.asdict(result) for result in results])
    return results


def _attempt(
    overrides: Sequence[str], run: Callable[[], list[Outcome]], explain: Callable[[Exception], str | None]
) -> list[Result]:
    deadline = time.monotonic() + (_LEASE if _restarts() else 0)
    while True:
        try:
            outcomes = run()
        except HandedOn as signal:
            try:
                signal.deliver()
            except Exception as reason:
                return lost(overrides, "killed", f"{reason} Its checkpoint is saved.")
        except KeyboardInterrupt:
            if multiprocessing.parent_process() is None:
                raise
            # In a pool of workers this one was told to stop; the others go on.
            return lost(overrides, "killed", "stopped by a signal; its checkpoint is saved")
        except RunIsHeld as error:
            if time.monotonic() > deadline:
                return lost(overrides, "failed", str(error))
            time.sleep(5)
        except Exception as error:
            return lost(overrides, "failed", explain(error) or f"{type(error).__name__}: {error}")
        else:
            return [_result(*each) for each in zip(split(overrides), outcomes, strict=True)]


def _result(overrides: Overrides, outcome: Outcome) -> Result:
    summary = outcome.summary
    ended = "diverged" if summary["status"] == "diverged" else "resumed" if outcome.resumed else "done"
    return Result(
        overrides,
        "skipped" if outcome.skipped else ended,
        str(outcome.folder),
        savings=summary["savings"],
        val_error=summary["val_error_final"],
    )


def _restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT", 0))


def _line(text: str) -> str:
    return " ".join(text.split())
