"""The sweeper behind `python train.py -m`: it expands grids, checks the plan, launches the jobs and prints a table."""

import copy
import importlib
import sys
import types
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from prdp.atomic import exists
from prdp.config import ConfigError
from prdp.interrupts import install
from prdp.preparation import check_folder, check_folders
from prdp.suite.grids import GridError, Overrides, expand
from prdp.suite.launching import OUTCOME, at_once, check_installed, launch
from prdp.suite.ledger import Ledger
from prdp.suite.outcomes import Result
from prdp.suite.plan import Job, plan
from prdp.suite.presets import groups as group_options
from prdp.suite.seeds import grouped, join

_RECORDS = Path(__file__).resolve().parents[2] / "results" / "records"


class Grids(Sweeper):
    """Launches a union of grids (`hydra.sweeper.grids`) or the product of the command line. Failed jobs do not stop it.

    All configurations are checked before the first job starts. A headline then reports the finished jobs and the
    estimated duration of the rest. A table follows at the end, and the exit code is 1 if a job failed.

    Args:
        max_batch_size: the maximum number of concurrent jobs, or `None` for the limit of the launcher.
        grids: see `prdp.suite.grids.expand`.
        seeds: the list of seeds for presets.
        few_seeds: the list of seeds for presets with expensive runs.
        defaults: overrides (e.g. from a launcher) for every job that does not set their keys.
    """

    def __init__(
        self, max_batch_size: int | None, grids: Any, seeds: Any, few_seeds: Any, defaults: Any = ()
    ):
        self.max_batch_size = max_batch_size
        self.grids, self.defaults = grids or [{}], list(defaults)
        self.launcher: Launcher | None = None
        self.context: HydraContext | None = None
        self.folder = Path()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set up the launcher from the configuration. Called by Hydra.

        Raises:
            GridError: If the plugin of the launcher is not installed.
            ConfigError: If the folder of the sweep is not a valid path.
        """
        self.context = hydra_context
        check_installed(config.hydra.launcher._target_)
        config = _at_home(config)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.folder = Path(config.hydra.sweep.dir)

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all jobs and return their results.

        Raises:
            GridError: If no job is left.
            ConfigError: If the configuration of a job is invalid.
            SystemExit: If a job failed. All jobs are tried first.
        """
        assert self.context is not None
        assert self.launcher is not None
        # The jobs may run in other processes: this one must end them, and say what is missing.
        install()
        overrides = self._overrides(self.context, arguments)
        together = at_once(self.launcher, self.max_batch_size)
        if together != 1:
            # This process only plans and waits. Leave the devices and their memory to the jobs.
            jax.config.update("jax_platforms", "cpu")
        jobs = plan(overrides)
        for job in {(j.folder.parent, j.config["data_dir"]): j for j in jobs if not j.finished}.values():
            data = Path(job.config["data_dir"]).expanduser()
            check_folders(job.config, [job.folder.parent], data_is_there=exists(data))
        check_folder("hydra.sweep.dir", str(self.folder), self.folder)
        ledger = Ledger(jobs, _RECORDS, together=together)
        ledger.say(ledger.headline())
        if any(job.config["dry_run"] for job in jobs):
            for job in jobs:
                state = "finished before" if job.finished else "to run"
                ledger.say(f"{state}: {' '.join(job.overrides)} -> {job.folder}")
            return []
        groups = grouped(overrides, [_seeds_per_process(job) for job in jobs])

        def tell(results: list[Result], group: int) -> None:
            for job, result in zip(groups[group], results, strict=True):
                ledger.add(result, job)

        try:
            joined = [join([overrides[i] for i in group]) for group in groups]
            launch(self.launcher, joined, self.folder, together, tell, ledger.say)
        finally:
            ledger.close()
            _tidy(self.folder)
        if ledger.failed:
            raise SystemExit(1)
        return ledger.results

    def _overrides(self, context: HydraContext, arguments: list[str]) -> list[Overrides]:
        parser = OverridesParser.create(config_loader=context.config_loader)
        given = {}
        for override in parser.parse_overrides(arguments):
            if override.is_sweep_override():
                values = [str(v) for v in override.sweep_string_iterator()]
            else:
                values = [override.get_value_element_as_str()]
            given[override.get_key_element()] = values
        if len(given.get("experiment", [])) > 1:
            raise GridError(f"experiment={','.join(given['experiment'])}: allowed is one at a time")
        jobs = expand(self.grids, given, group_options())
        return [self._with_defaults(job) for job in jobs]

    def _with_defaults(self, job: Overrides) -> Overrides:
        keys = {override.partition("=")[0] for override in job}
        return (*job, *(x for x in self.defaults if x.partition("=")[0] not in keys))


def _tidy(folder: Path) -> None:
    """Remove what the jobs of a sweep left for this process, and the folders that are then empty."""
    for outcome in folder.glob(f"*/{OUTCOME}"):
        outcome.unlink(missing_ok=True)
    parents = [folder.parent] if folder.parent.name == ".sweeps" else []
    for path in [*folder.glob("*"), folder, *parents]:
        # Logs of a launcher stay, and so do other sweeps.
        with suppress(OSError):
            path.rmdir()


def _at_home(config: DictConfig) -> DictConfig:
    """Return the configuration with `~` expanded in the folder of the sweep, also for the jobs.

    Raises:
        ConfigError: If `~` cannot be expanded.
    """
    folder = str(config.hydra.sweep.dir)
    if not folder.startswith("~"):
        return config
    config = copy.deepcopy(config)
    OmegaConf.set_readonly(config, False)
    OmegaConf.set_readonly(config.hydra, False)
    try:
        config.hydra.sweep.dir = str(Path(folder).expanduser())
    except RuntimeError as error:
        raise ConfigError(f"hydra.sweep.dir={folder}: allowed is the path of a folder ({error})") from error
    quoted = config.hydra.sweep.dir.replace("\\", "\\\\").replace("'", "\\'")
    config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")
    return config


def _seeds_per_process(job: Job) -> int:
    # A finished job is skipped, so it must not take a place in a group.
    return 1 if job.finished else job.config["seeds_per_process"]


def register() -> None:
    """Register the sweeper with Hydra, which accepts plugins only from the namespace `hydra_plugins`."""
    try:
        namespace = importlib.import_module("hydra_plugins")
    except ImportError:
        # No plugin is installed.
        namespace = sys.modules["hydra_plugins"] = types.ModuleType("hydra_plugins")
        namespace.__path__ = []
    namespace.prdp = sys.modules["hydra_plugins.prdp"] = sys.modules[__name__]  # type: ignore[attr-defined]
    Grids.__module__ = "hydra_plugins.prdp"
    Plugins.instance().register(Grids)
    # Jobs in other processes import the plugin from its real module, without this registration.
    Grids.__module__ = __name__
