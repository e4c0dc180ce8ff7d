"""Run folders into committed records, each run filed under the experiments that it belongs to."""

import functools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from prdp.analysis.records import Records, load, merge, save
from prdp.analysis.run_folders import load_runs
from prdp.suite.plan import plan
from prdp.suite.presets import preset_jobs, preset_names


def collect(runs: Path, records: Path, common: Sequence[str] = ()) -> Records:
    """Add every finished run below `runs` to the records in `records`, and return all of them.

    Runs that no preset names belong to the experiment `own`. Hydra must have been initialised. `common` are overrides
    of all jobs that do not change a run's name: with those of an earlier `plan`, nothing is composed again.
    """
    jobs = pd.DataFrame(
        _jobs(tuple(common) or (f"runs_dir={runs}",)), columns=["experiment", "overrides", "run"]
    )
    found = load_runs(sorted(path.parent for path in runs.glob("*/status.json")))
    merged = merge(load(records), Records(found.summaries, found.histories, jobs))
    save(merged, records)
    return merged


@functools.cache
def _jobs(common: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (name, " ".join(job.overrides), job.folder.name)
        for name in preset_names()
        for job in plan(preset_jobs(name, {}), common, feasible=False)
    )
