"""Launching of the jobs of a sweep, with a report on each job as it ends, independent of the other jobs."""

import importlib.util
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher

from prdp.records import usable_processors
from prdp.suite.grids import GridError, Overrides
from prdp.suite.outcomes import Result, lost, read_results

Tell = Callable[[list[Result], int], None]
Say = Callable[[str], None]

OUTCOME = "outcome.json"
# The package of each plugin, and the extra of prdp that installs it.
_EXTRAS = {
    "hydra_submitit_launcher": "cluster",
    "hydra_joblib_launcher": "cluster",
    "hydra_ray_launcher": "ray",
}
# Give up after this number of broken worker pools in a row without a finished job in between.
_PATIENCE = 3
# Seconds that interrupted local jobs have to save and end.
_SAVING = 120.0
# Interval in seconds at which SLURM is polled for jobs that have not reported.
_ASK = 30.0


def check_installed(target: str) -> None:
    """Check that the plugin of a launcher is installed.

    Raises:
        GridError: If it is not. The message says what to install.
    """
    package = ".".join(target.split(".")[:2])
    extra = _EXTRAS.get(package.partition(".")[2])
    if extra and not _is_there(package):
        raise GridError(f"this launcher is not installed: pip install 'prdp[{extra}]'")


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        # The namespace package of Hydra's plugins does not exist: no plugin is installed.
        return False


def at_once(launcher: Launcher, most: int | None) -> int | None:
    """Return the number of concurrent jobs (at most `most` with submitit), or `None` if a scheduler decides."""
    kind = type(launcher).__name__
    if kind == "BasicLauncher":
        return 1
    if kind == "JoblibLauncher":
        workers = launcher.joblib["n_jobs"]  # type: ignore[attr-defined]
        return workers if workers > 0 else max(1, usable_processors() + 1 + workers)
    if kind == "LocalLauncher":
        cores = launcher.params["cpus_per_task"] or 1  # type: ignore[attr-defined]
        return most or max(1, usable_processors() // cores)
    return most


def launch(
    launcher: Launcher, jobs: Sequence[Overrides], folder: Path, together: int | None, tell: Tell, say: Say
) -> None:
    """Run all jobs and report on each as it ends.

    Args:
        launcher: a Hydra launcher.
        jobs: the overrides of each job.
        folder: the folder of the sweep. Each job writes its outcome to the subfolder with its number.
        together: the number of concurrent jobs, see `at_once`.
        tell: called with the results of a job (one per seed) and the position of the job in `jobs`.
        say: called with a line of text for the user.
    """
    if type(launcher).__name__ == "BasicLauncher":
        for number, job in enumerate(jobs):
            for returned in launcher.launch([list(job)], initial_job_idx=number):
                tell(returned.return_value, number)
    elif hasattr(launcher, "_EXECUTOR"):
        _submit(launcher, jobs, together or len(jobs), tell, say)
    else:
        _hand_over(launcher, jobs, folder, tell, say)


def _hand_over(launcher: Launcher, jobs: Sequence[Overrides], folder: Path, tell: Tell, say: Say) -> None:
    """Launch all jobs at once, and relaunch those that were lost when a pool of workers broke.

    When one worker is killed, the pool ends all of its workers. The relaunched jobs resume from their checkpoints.
    """
    left = dict(enumerate(jobs))
    first = fruitless = 0
    while left:
        numbers = {first + i: job for i, job in enumerate(left)}
        first, before = first + len(left), len(left)
        try:
            with _watching(folder, numbers, left, tell):
                returned = launcher.launch([list(x) for x in left.values()], initial_job_idx=min(numbers))
        except BrokenExecutor as error:
            fruitless = 0 if len(left) < before else fruitless + 1
            if fruitless == _PATIENCE:
                for job, overrides in left.items():
                    tell(lost(overrides, "killed", str(error).splitlines()[0]), job)
                return
            say(f"a worker was killed: continuing with the {len(left)} remaining jobs")
        else:
            for job, one in zip(numbers.values(), returned, strict=True):
                if left.pop(job, None) is not None:
                    tell(one.return_value, job)


@contextmanager
def _watching(
    folder: Path, numbers: Mapping[int, int], left: dict[int, Overrides], tell: Tell
) -> Iterator[None]:
    """Report, in a background thread, the jobs that have written an outcome, and remove them from `left`."""
    stop = threading.Event()

    def look() -> None:
        for number, job in numbers.items():
            results = read_results(folder / str(number) / OUTCOME) if job in left else None
            if results is not None:
                del left[job]
                tell(results, job)

    def watch() -> None:
        while not stop.wait(0.5):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()


def _submit(launcher: Launcher, jobs: Sequence[Overrides], together: int, tell: Tell, say: Say) -> None:
    """Keep `together` jobs submitted, and report on each as it ends."""
    waiting = deque(range(len(jobs)))
    running: dict[int, Any] = {}
    asked = time.monotonic()
    try:
        while waiting or running:
            taken = [waiting.popleft() for _ in range(min(len(waiting), together - len(running)))]
            if taken:
                running |= zip(taken, _handles(launcher, [jobs[i] for i in taken], taken[0]), strict=True)
            time.sleep(1)
            ask = time.monotonic() > asked + _ASK
            asked = time.monotonic() if ask else asked
            for number, handle in list(running.items()):
                if handle.done(force_check=ask):
                    tell(_outcome(handle, jobs[number]), number)
                    del running[number]
                    ask = False
    except BaseException:
        if launcher._EXECUTOR == "local":  # type: ignore[attr-defined]
            _stop(running.values())
        elif running:
            names = " ".join(dict.fromkeys(handle.job_id.split("_")[0] for handle in running.values()))
            say(f"{len(running)} jobs remain with the scheduler; `scancel {names}` cancels them")
        raise


def _stop(handles: Collection[Any]) -> None:
    """Ask local jobs to save and end, and wait until they have."""
    for handle in handles:
        # The number of a local job is that of the process that watches it, which forwards SIGTERM.
        with suppress(ProcessLookupError):
            os.kill(int(handle.job_id), signal.SIGTERM)
    end = time.monotonic() + _SAVING
    while time.monotonic() < end and not all(handle.done() for handle in handles):
        time.sleep(0.1)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Start processes that a Ctrl-C in the terminal does not reach; one that comes meanwhile arrives afterwards.

    The processes that watch local jobs would answer it with a traceback, and kill their jobs a second later.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handles(launcher: Launcher, jobs: Sequence[Overrides], first: int) -> Sequence[Any]:
    """Submit jobs and return submitit's handles. The launcher itself would wait, and raise at the first lost job."""
    import submitit

    plain = submitit.AutoExecutor

    class Executor(plain):  # type: ignore[misc, valid-type]
        def map_array(self, *arguments: Any) -> Any:
            return [_Unread(handle) for handle in super().map_array(*arguments)]

    submitit.AutoExecutor = Executor  # type: ignore[misc]
    try:
        with _no_interrupts():
            return launcher.launch([list(job) for job in jobs], initial_job_idx=first)
    finally:
        submitit.AutoExecutor = plain  # type: ignore[misc]


@dataclass(frozen=True)
class _Unread:
    """A stand-in for a job that returns the handle when the launcher asks for the results."""

    handle: Any

    def results(self) -> list[Any]:
        return [self.handle]


def _outcome(handle: Any, overrides: Overrides) -> list[Result]:
    """Return the results of a job that has ended in any way."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return handle.result().return_value
    except UncompletedJobError:
        state = handle.state
        ending = "cancelled" if state.startswith("CANCELLED") else "killed"
        return lost(overrides, ending, f"{state}; its checkpoint is kept; log: {handle.paths.stderr}")
    except FailedJobError as error:
        line = str(error).strip().splitlines()
        trace = [x for x in line if x and not x.startswith(("-", " ", "You can"))]
        return lost(overrides, "failed", f"{trace[-1] if trace else error}; see {handle.paths.stderr}")
    except Exception as error:
        return lost(overrides, "failed", f"{type(error).__name__}: {error}")
