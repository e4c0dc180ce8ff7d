"""A sweep in the terminal: what there is to do, each job as it ends, and a table of how they went."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prdp.analysis.records import load
from prdp.suite.cost import duration, estimate
from prdp.suite.outcomes import STATES, Result
from prdp.suite.plan import Job


class Ledger:
    """Tells how far a sweep has come and about how long the rest takes.

    Estimates come from recorded runs of the same kind and are scaled by how long the jobs so far took.

    Args:
        jobs: of the sweep, in the order in which their results will come.
        records: the folder of recorded runs.
        console: where to write, default stderr.
    """

    def __init__(self, jobs: Sequence[Job], records: Path, console: Console | None = None):
        self.jobs, self.console = jobs, console or Console(stderr=True)
        self.estimates = estimate(jobs, load(records).summaries)
        self.to_run = [not job.finished for job in jobs]
        self.labels = _labels(jobs)
        self.results: list[Result] = []
        self._spent = self._expected = 0.0
        self._began = time.perf_counter()

    def headline(self) -> str:
        """Return how many jobs there are, how many are finished, and about how long the rest takes."""
        left = [t for t, wanted in zip(self.estimates, self.to_run, strict=True) if wanted]
        known = [t for t in left if t is not None]
        text = f"{len(self.jobs)} jobs, {len(self.jobs) - len(left)} finished before"
        if left:
            text += f"; {len(left)} to run"
            text += (
                f", about {duration(sum(known))} by recorded runs"
                if known
                else ", for which there is no estimate"
            )
            text += (
                f" ({len(left) - len(known)} more of unknown length)"
                if known and len(known) < len(left)
                else ""
            )
        return text

    def add(self, result: Result) -> None:
        """Note the next job's result, and print it."""
        estimated = self.estimates[len(self.results)]
        self.results.append(result)
        if result.state != "skipped" and estimated is not None:
            self._spent += result.seconds
            self._expected += estimated
        n, total = len(self.results), len(self.jobs)
        self.say(f"[{n}/{total}] {self.labels[n - 1]}: {_told(result)}{self._left()}")

    def _left(self) -> str:
        n = len(self.results)
        ahead = [t for t, wanted in zip(self.estimates[n:], self.to_run[n:], strict=True) if wanted]
        known = sum(t for t in ahead if t is not None)
        pace = self._spent / self._expected if self._expected else 1.0
        return f"; about {duration(pace * known)} left" if known else ""

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Print how many jobs went how, and each that failed or diverged with its reason."""
        counts = Counter(result.state for result in self.results)
        counts["not reached"] = len(self.jobs) - len(self.results)
        states = [*STATES, *(["not reached"] if counts["not reached"] else [])]
        table = Table(title=f"{len(self.jobs)} jobs in {duration(time.perf_counter() - self._began)}")
        for state in states:
            table.add_column(state, justify="right")
        table.add_row(*(str(counts[state]) for state in states))
        self.console.print(table)
        for label, result in zip(self.labels, self.results, strict=False):
            if result.state in ("failed", "diverged"):
                self.say(f"{result.state}: {label}\n  {result.error or result.folder}")

    @property
    def failed(self) -> bool:
        """Whether a job failed."""
        return any(result.state == "failed" for result in self.results)


def _labels(jobs: Sequence[Job]) -> list[str]:
    """Return what tells each job from the others: the overrides that not all of them have."""
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    return [" ".join(x for x in job.overrides if x not in shared) for job in jobs]


def _told(result: Result) -> str:
    if result.state in ("skipped", "failed"):
        return {"skipped": "finished before", "failed": f"failed ({result.error})"}[result.state]
    return (
        f"{result.state} in {result.seconds:.1f} s, saves {result.savings:.1%}, error {result.val_error:.3g}"
    )
