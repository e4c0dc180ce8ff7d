"""The plan of a sweep: each job with its run folder and its checked configuration."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose

from prdp.config import Config, ConfigError, parse
from prdp.memory import check_memory
from prdp.preparation import check_system
from prdp.records import RunFolder, run_name
from prdp.suite.grids import Overrides


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: the command-line overrides.
        folder: the folder of the run.
        config: the resolved configuration.
    """

    overrides: Overrides
    folder: Path
    config: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the run has a complete record and `overwrite` is false."""
        return not self.config["overwrite"] and RunFolder(self.folder).finished_summary() is not None


def plan(jobs: Iterable[Overrides], common: Iterable[str] = (), *, feasible: bool = True) -> list[Job]:
    """Return the planned jobs, after checking every configuration. Hydra must have been initialised.

    Args:
        jobs: the overrides of each job.
        common: further overrides for all jobs.
        feasible: whether to check also that each can run: its solver and mode support its operator, and it fits into
            memory. A survey leaves that to the run, because the solves are traced for it.

    Raises:
        ConfigError: If a configuration is invalid or not feasible.
    """
    common, planned = tuple(common), []
    for overrides in jobs:
        # Compose configurations that differ only in the seed just once, because composing dominates the run time.
        seeds = [x for x in overrides if re.fullmatch(r"seed=-?\d+", x)]
        rest = tuple(x for x in overrides if x not in seeds)
        config = _parse(rest, common, feasible)
        config = config.with_seed(int(seeds[-1].removeprefix("seed="))) if seeds else config
        folder = config.general.runs / run_name(config.identity(), config.determinants())
        planned.append(Job(overrides, folder, config.plain))
    return planned


@functools.cache
def _parse(overrides: Overrides, common: Overrides, feasible: bool) -> Config:
    try:
        config = parse(compose("config", overrides=[*overrides, *common]))
        if feasible:
            check_system(config)
            check_memory(config)
        return config
    except ConfigError as error:
        raise ConfigError(f"{' '.join(overrides)}: {error}") from error
