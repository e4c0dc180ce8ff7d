"""What each job of a sweep is called, whether it is finished, and about how long it will take."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose

from prdp.config import Config, ConfigError, parse
from prdp.preparation import check_system
from prdp.records import RunFolder, run_name
from prdp.suite.grids import Overrides


@dataclass(frozen=True)
class Job:
    """A run that a sweep consists of.

    Attributes:
        overrides: as on the command line.
        folder: of the run.
        config: resolved configuration.
    """

    overrides: Overrides
    folder: Path
    config: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the run has a whole record, which is not to be overwritten."""
        return not self.config["overwrite"] and RunFolder(self.folder).finished_summary() is not None


def plan(jobs: Iterable[Overrides], common: Iterable[str] = ()) -> list[Job]:
    """Return the jobs with their names, every configuration checked; Hydra must have been initialised.

    Args:
        jobs: overrides of each.
        common: further overrides of all.

    Raises:
        ConfigError: the configuration of a job is wrong, or its solver or mode does not suit its operator.
    """
    common, planned = tuple(common), []
    for overrides in jobs:
        # Configurations that differ in the seed alone are composed once: composing takes longer than all the rest.
        seeds = [x for x in overrides if re.fullmatch(r"seed=-?\d+", x)]
        rest = tuple(x for x in overrides if x not in seeds)
        config = _parse(rest, common)
        config = config.with_seed(int(seeds[-1].removeprefix("seed="))) if seeds else config
        folder = config.general.runs / run_name(config.identity(), config.determinants())
        planned.append(Job(overrides, folder, config.plain))
    return planned


@functools.cache
def _parse(overrides: Overrides, common: Overrides) -> Config:
    try:
        config = parse(compose("config", overrides=[*overrides, *common]))
        check_system(config)
        return config
    except ConfigError as error:
        raise ConfigError(f"{' '.join(overrides)}: {error}") from error
