"""The terminal output of a sweep: a headline, one line per finished job, and a summary table."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prdp.analysis.records import load
from prdp.suite.cost import duration, estimate
from prdp.suite.outcomes import LOST, STATES, Result
from prdp.suite.plan import Job

# Rows of the table of results.
_SHOWN = 40


class Ledger:
    """Reports the progress of a sweep and the estimated remaining time.

    Estimates come from recorded runs of the same kind. They are scaled by the measured durations of the jobs so far.

    Args:
        jobs: the jobs of the sweep.
        records: the folder of recorded runs.
        console: the output, by default stderr.
        together: the number of concurrent jobs, or `None` if a scheduler decides; then there are no forecasts.
    """

    def __init__(
        self, jobs: Sequence[Job], records: Path, console: Console | None = None, together: int | None = 1
    ):
        self.jobs, self.console, self.together = jobs, console or Console(stderr=True), together
        self.estimates = estimate(jobs, load(records).summaries)
        self.to_run = [not job.finished for job in jobs]
        self.labels = _labels(jobs)
        self.by_job: dict[int, Result] = {}
        self._spent = self._expected = 0.0
        self._began = time.perf_counter()

    def headline(self) -> str:
        """Return the number of jobs, the number of finished jobs, and the estimated duration of the rest."""
        left = [t for t, wanted in zip(self.estimates, self.to_run, strict=True) if wanted]
        known = [t for t in left if t is not None]
        text = f"{len(self.jobs)} jobs, {len(self.jobs) - len(left)} finished before"
        if left:
            text += f"; {len(left)} to run"
            text += (
                f", about {duration(sum(known) / (self.together or 1))} by recorded runs"
                f"{' if run sequentially' if self.together is None else ''}"
                if known
                else ", for which there is no estimate"
            )
            text += (
                f" ({len(left) - len(known)} more of unknown length)"
                if known and len(known) < len(left)
                else ""
            )
        return text

    @property
    def results(self) -> list[Result]:
        """The results so far, in the order of the jobs."""
        return [self.by_job[i] for i in sorted(self.by_job)]

    def add(self, result: Result, job: int | None = None) -> None:
        """Record the result of a job (given by its position, by default the next one) and print it."""
        job = len(self.by_job) if job is None else job
        estimated = self.estimates[job]
        self.by_job[job] = result
        if result.state != "skipped" and estimated is not None:
            self._spent += result.seconds
            self._expected += estimated
        told = f"[{len(self.by_job)}/{len(self.jobs)}] {self.labels[job]}: {_told(result)}"
        self.say(f"{told}{self._left()}")

    def _left(self) -> str:
        ahead = [t for i, t in enumerate(self.estimates) if i not in self.by_job and self.to_run[i]]
        known = sum(t for t in ahead if t is not None)
        pace = self._spent / self._expected if self._expected else 1.0
        return f"; about {duration(pace * known / self.together)} left" if known and self.together else ""

    def say(self, text: str) -> None:
        """Print a line verbatim, without markup."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Print a table of job outcomes, and the reason for each job that failed, was lost or diverged."""
        counts = Counter(result.state for result in self.results)
        counts["not reached"] = len(self.jobs) - len(self.by_job)
        states = [*STATES, *(state for state in (*LOST, "not reached") if counts[state])]
        table = Table(title=f"{len(self.jobs)} jobs in {duration(time.perf_counter() - self._began)}")
        for state in states:
            table.add_column(state, justify="right")
        table.add_row(*(str(counts[state]) for state in states))
        self.console.print(table)
        self._compare()
        for job, result in sorted(self.by_job.items()):
            if result.state in ("failed", "diverged", *LOST):
                self.say(f"{result.state}: {self.labels[job]}\n  {result.error or result.folder}")

    def _compare(self) -> None:
        """Print the results of several jobs, the smallest error first."""
        ended = [(job, result) for job, result in self.by_job.items() if result.val_error is not None]
        if len(ended) < 2:
            return
        ended.sort(key=lambda pair: (math.isnan(pair[1].val_error), pair[1].val_error))  # type: ignore[arg-type]
        title = "results, smallest error first"
        table = Table(title=title if len(ended) <= _SHOWN else f"{title} ({_SHOWN} of {len(ended)})")
        for column in ("error", "saved", "state"):
            table.add_column(column, justify="right")
        table.add_column("job", overflow="fold")
        for job, result in ended[:_SHOWN]:
            saved = "" if result.savings is None else f"{result.savings:.1%}"
            table.add_row(f"{result.val_error:.4g}", saved, result.state, escape(self.labels[job]))
        self.console.print(table)

    @property
    def failed(self) -> bool:
        """Whether a job failed or was lost."""
        return any(result.state in ("failed", *LOST) for result in self.results)


def _labels(jobs: Sequence[Job]) -> list[str]:
    """Return a label per job: the overrides that are not common to all jobs."""
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    return [" ".join(x for x in job.overrides if x not in shared) for job in jobs]


def _told(result: Result) -> str:
    if result.state == "skipped":
        return "finished before"
    if result.state in ("failed", *LOST):
        return f"{result.state} ({result.error})"
    told = f"{result.state} in {result.seconds:.1f} s"
    if result.requeued:
        told += f" after being requeued {'once' if result.requeued == 1 else f'{result.requeued} times'}"
    return f"{told}, saves {result.savings:.1%}, error {result.val_error:.3g}"
