"""The runs that the records still lack, in the order of what they decide."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from prdp.analysis.comparison import BUSY, timed_alone
from prdp.records import CPUContention, RunFolder
from prdp.suite.cost import estimate
from prdp.suite.grids import GridError, Overrides, expand
from prdp.suite.plan import Job, plan
from prdp.suite.presets import preset_jobs, preset_names


@dataclass(frozen=True)
class Stage:
    """A set of runs that decide a question together.

    Attributes:
        title: what it is.
        decides: which numbers rest on it.
        alone: whether the seconds of its runs are compared, so that they need the machine to themselves.
        jobs: the overrides of each run.
        since: an ISO date; runs recorded before it do not count and run again.
    """

    title: str
    decides: str
    alone: bool
    jobs: tuple[Overrides, ...]
    since: str | None = None


@dataclass(frozen=True)
class Entry:
    """One run of a stage, and how far it is.

    Attributes:
        stage: the stage that it belongs to.
        job: the run.
        state: `recorded`, `running`, `started` (a checkpoint waits) or `missing`.
        seconds: about how long the whole run takes, `None` if no run of its kind has been recorded.
    """

    stage: Stage
    job: Job
    state: str
    seconds: float | None


def stages(path: Path, groups: Mapping[str, Collection[str]]) -> list[Stage]:
    """Return the stages of a campaign file, most important first; Hydra must have been initialised.

    A stage has `grids`, or the name of a `preset` in `conf/experiment/`, of which it takes those jobs that have one of
    the values of each key in `only`, one seed after the other.

    Args:
        path: of the file, `conf/campaign.yaml`.
        groups: names of the configuration groups, and of the options of each.

    Raises:
        GridError: If a key is unknown or missing, there is no such preset, or a stage has no jobs.
    """
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(content, dict)
    return [_stage(node, groups) for node in content["stages"]]


def _stage(node: Mapping[str, Any], groups: Mapping[str, Collection[str]]) -> Stage:
    title = node.get("title", "a stage without a title")
    source = ["grids"] if "grids" in node else ["preset", "only"]
    needed = ["title", "decides", *source]
    known = [*needed, "alone", "since"]
    for key in node:
        if key not in known:
            raise GridError(f"{title}: {key}: no such key; allowed are {', '.join(known)}")
    for key in needed:
        if key not in node:
            raise GridError(f"{title}: {key}: this key is needed")
    alone, since = node.get("alone", False), node.get("since")
    return Stage(title, node["decides"], alone, tuple(_jobs(node, groups)), since)


def _jobs(node: Mapping[str, Any], groups: Mapping[str, Collection[str]]) -> list[Overrides]:
    if "grids" in node:
        return expand(node["grids"], {}, groups)
    preset, presets = node["preset"], preset_names()
    if preset not in presets:
        raise GridError(f"{node['title']}: preset={preset}: allowed are {', '.join(presets)}")
    only = expand([node["only"]], {}, groups)
    jobs = [job for job in preset_jobs(preset, {}) if any(set(part) <= set(job) for part in only)]
    if not jobs:
        raise GridError(f"{node['title']}: only={node['only']} leaves no job of preset {preset}")
    # What is compared runs in turn, because machines drift.
    seeds = list(dict.fromkeys(_seed(job) for job in jobs))
    return sorted(jobs, key=lambda job: seeds.index(_seed(job)))


def _seed(job: Overrides) -> str | None:
    return next((override for override in job if override.startswith("seed=")), None)


def survey(every: Sequence[Stage], summaries: pd.DataFrame, common: Sequence[str] = ()) -> list[Entry]:
    """Return all runs of a campaign with their states; Hydra must have been initialised.

    Args:
        every: the stages.
        summaries: of the recorded runs.
        common: overrides of all jobs that do not change a run's name, such as `runs_dir`.
    """
    recorded = summaries.assign(alone=timed_alone(summaries)).set_index("run")
    found = []
    for stage in every:
        jobs = plan(stage.jobs, common, feasible=False)
        for job, seconds in zip(jobs, estimate(jobs, summaries), strict=True):
            found.append(Entry(stage, job, _state(stage, job, recorded), seconds))
    return found


def _state(stage: Stage, job: Job, recorded: pd.DataFrame) -> str:
    """Return the state of a run; `recorded` has the recorded ones by name, and whether each was timed alone."""
    name = job.folder.name
    if name in recorded.index:
        run = recorded.loc[name]
        if (run["alone"] or not stage.alone) and (stage.since is None or run["recorded"] >= stage.since):
            return "recorded"
    folder = RunFolder(job.folder)
    if folder.is_held():
        return "running"
    return "started" if folder.has_checkpoint else "missing"


def choose(entries: Sequence[Entry], idle: bool, without: Collection[Overrides] = ()) -> Entry | None:
    """Return the next run: the first of the most important stage, a started one before others of its stage.

    Args:
        entries: of the campaign.
        idle: whether runs that must be alone may start.
        without: jobs that are not tried again, since they failed.
    """
    left = [
        entry
        for entry in entries
        if entry.state in ("started", "missing")
        and entry.job.overrides not in without
        and (idle or not entry.stage.alone)
    ]
    order = {stage: i for i, stage in enumerate(dict.fromkeys(entry.stage for entry in entries))}
    # A run that was interrupted cannot be timed as a whole.
    return min(left, key=lambda e: (order[e.stage], e.state != "started" or e.stage.alone), default=None)


def is_idle(seconds: float = 10.0) -> bool:
    """Return whether other processes leave the CPU alone for some time."""
    contention = CPUContention()
    time.sleep(seconds)
    share = contention.share()
    return share is not None and share <= BUSY


def status_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return one row per stage: its runs by state, the hours left, and what it decides."""
    rows = []
    for stage in dict.fromkeys(entry.stage for entry in entries):
        own = [entry for entry in entries if entry.stage == stage]
        left = [entry for entry in own if entry.state != "recorded"]
        known = [entry.seconds for entry in left if entry.seconds is not None]
        rows.append(
            {
                "stage": stage.title + (" *" if stage.alone else ""),
                "runs": len(own),
                "recorded": len(own) - len(left),
                "running": sum(entry.state == "running" for entry in own),
                "missing": sum(entry.state in ("started", "missing") for entry in own),
                "hours left": round(sum(known) / 3600, 1) if len(known) == len(left) else float("nan"),
                "decides": stage.decides,
            }
        )
    return pd.DataFrame(rows)
