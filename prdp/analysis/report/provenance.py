"""The origin of the runs of a figure or table, and the runs that are missing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from prdp.analysis.problems import title
from prdp.analysis.records import OWN, Records

_SHORT = 7


@dataclass(frozen=True)
class Coverage:
    """How much of an experiment is recorded.

    Attributes:
        experiment: its name.
        title: its subject.
        jobs: number of its runs.
        present: number of recorded runs.
        missing: number of missing runs by problem, in words.
    """

    experiment: str
    title: str
    jobs: int
    present: int
    missing: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that runs it."""
        return f"python train.py -m experiment={self.experiment}"


@dataclass(frozen=True)
class Provenance:
    """The origin of some runs in words; empty without runs.

    Attributes:
        coverage: the coverage of their experiments.
        runs: number of runs.
        diverged: number of diverged runs.
        commits: commits of the code, most runs first.
        dates: the first and the last day.
        devices: the devices used.
        jax: the versions of JAX.
    """

    coverage: tuple[Coverage, ...]
    runs: int
    diverged: int
    commits: str
    dates: str
    devices: str
    jax: str


def cover(records: Records, titles: Mapping[str, str]) -> dict[str, Coverage]:
    """Return the coverage of every preset that has a title or a job."""
    names = sorted({*titles, *records.jobs["experiment"]} - {OWN}, key=_natural)
    recorded = set(records.summaries["run"])
    return {name: _cover(records.jobs, recorded, name, titles.get(name, "")) for name in names}


def trace(records: Records, coverage: Mapping[str, Coverage], experiments: Iterable[str]) -> Provenance:
    """Return the origin of the runs of some experiments."""
    experiments = tuple(experiments)
    covered = tuple(coverage[e] for e in experiments if e in coverage)
    return describe(records.of(*experiments).summaries, covered)


def needed(records: Records, experiments: tuple[str, ...], stand_in: str) -> tuple[str, ...]:
    """Return the experiments, `stand_in` only if it has runs of a problem for which the others have none."""
    own = tuple(e for e in experiments if e != stand_in)
    lacking = _problems(records, own) - _problems(records, own, recorded=True)
    return experiments if lacking & _problems(records, (stand_in,), recorded=True) else own


def _problems(records: Records, experiments: tuple[str, ...], *, recorded: bool = False) -> set[str]:
    jobs = records.of(*experiments).jobs
    jobs = jobs[jobs["run"].isin(records.summaries["run"])] if recorded else jobs
    return set(jobs["overrides"].map(_physics))


def describe(runs: pd.DataFrame, coverage: tuple[Coverage, ...] = ()) -> Provenance:
    """Return the origin of some rows of summaries."""
    if runs.empty:
        return Provenance(coverage, 0, 0, "", "", "", "")
    days = sorted(str(moment)[:10] for moment in runs["recorded"])
    return Provenance(
        coverage=coverage,
        runs=len(runs),
        diverged=int((runs["status"] == "diverged").sum()),
        commits=_counted(_commit(run) for run in runs.to_dict("records")),
        dates=days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}",
        devices=_counted(_device(run) for run in runs.to_dict("records")),
        jax=_counted(str(version) for version in runs["jax"]),
    )


def _cover(jobs: pd.DataFrame, recorded: set[str], name: str, title: str) -> Coverage:
    jobs = jobs[jobs["experiment"] == name]
    present = jobs["run"].isin(recorded)
    missing = Counter(_problem(overrides) for overrides in jobs.loc[~present, "overrides"])
    return Coverage(
        name, title, len(jobs), int(present.sum()), tuple(f"{n} of {p}" for p, n in missing.items())
    )


def _problem(overrides: str) -> str:
    physics = _physics(overrides)
    return title(physics, reduced="scale=small" in overrides.split())


def _physics(overrides: str) -> str:
    given = (override.partition("=") for override in overrides.split())
    return next((value for key, _, value in given if key == "physics"), "the default problem")


def _natural(name: str) -> tuple[str, int, str]:
    kind, _, rest = name.partition("_")
    number = rest.split("_")[0]
    return kind, int(number) if number.isdecimal() else 0, rest


def _commit(run: Mapping[Any, Any]) -> str:
    commit = run.get("commit")
    if not isinstance(commit, str):
        return "no commit recorded"
    return commit[:_SHORT] + (" with uncommitted changes" if run.get("uncommitted_changes") is True else "")


def _device(run: Mapping[Any, Any]) -> str:
    device, cores = str(run["device"]), run.get("cpu_count")
    if device.startswith("cpu"):
        return "CPU" if pd.isna(cores) else f"CPU, {int(cores)} cores"
    return device.split(": ", 1)[-1]


def _counted(values: Iterable[str]) -> str:
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    if len(counts) == 1:
        return counts[0][0]
    return "; ".join(f"{value} ({count})" for value, count in counts)
