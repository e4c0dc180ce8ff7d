"""The outcomes of the jobs of a sweep. A failed job does not stop the others."""

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
# Additional states of jobs in other processes.
LOST = ("killed", "cancelled")
# Seconds to wait for a run's lock after a requeue: a file server keeps the locks of a lost node for some time
# (NFSv4: 90 s), and SLURM may requeue its jobs sooner.
_LEASE = 180.0


@dataclass(frozen=True)
class Result:
    """The outcome of one job. It can be pickled and stored as JSON.

    Attributes:
        overrides: the overrides of the job.
        state: done, resumed, skipped (finished before), diverged, failed, killed or cancelled.
        folder: the folder of the run, empty if there is none.
        seconds: wall time in seconds.
        savings: the fraction of iterations saved, from the summary.
        val_error: the final validation error, from the summary.
        error: the reason on one line, if the job failed, was killed or was cancelled.
        requeued: the number of times that the scheduler restarted the job.
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
    """Return the results that `attempt` wrote to `path`, or `None` if there is no such file."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return [Result(**{**result, "overrides": tuple(result["overrides"])}) for result in content]


def lost(overrides: Sequence[str], state: str, error: str) -> list[Result]:
    """Return one result per seed of a job that ended without results."""
    return [Result(single, state, error=_line(error)) for single in split(overrides)]


def attempt(
    overrides: Sequence[str],
    run: Callable[[], list[Outcome]],
    explain: Callable[[Exception], str | None],
    place: Path | None = None,
) -> list[Result]:
    """Run a job and return one result per seed. Only exceptions that end the process are passed on.

    Args:
        overrides: the overrides of the job, for the table.
        run: runs the job.
        explain: returns a one-line message for an exception, or `None` to use the exception's type and message.
        place: a file to write the results to, for a process that cannot receive them directly, or `None`.
    """
    began = time.perf_counter()
    results = _attempt(overrides, run, explain)
    # The average per seed, if several are trained together.
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
            # In a pool of workers, only this worker was asked to stop; the others continue.
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
