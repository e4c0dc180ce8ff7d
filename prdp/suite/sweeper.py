"""The sweeper behind `python train.py -m`: grids of presets, a plan before, a table after."""

import importlib
import sys
import types
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from prdp.suite.grids import GridError, Overrides, expand
from prdp.suite.ledger import Ledger
from prdp.suite.plan import plan
from prdp.suite.presets import groups

_RECORDS = Path(__file__).resolve().parents[2] / "results" / "records"


class Grids(Sweeper):
    """Launches a union of grids (`hydra.sweeper.grids`), or the product of the command line, past jobs that fail.

    Every job's configuration is checked before the first one starts; then it is told what is finished and about how
    long the rest takes; at the end there is a table, and the exit code is 1 if a job failed.

    Args:
        max_batch_size: the most jobs that are launched together, or `None`.
        grids: see `prdp.suite.grids.expand`.
        seeds: the list that presets refer to.
        few_seeds: the list that they refer to where runs are expensive.
    """

    def __init__(self, max_batch_size: int | None, grids: Any, seeds: Any, few_seeds: Any):
        self.max_batch_size = max_batch_size
        self.grids = grids or [{}]
        self.launcher: Launcher | None = None
        self.context: HydraContext | None = None
        self.one_by_one = False

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Receive the launcher and the configuration, as Hydra calls it."""
        self.context = hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        # Where jobs run in this process, progress can be told between them.
        self.one_by_one = config.hydra.launcher._target_.endswith(".BasicLauncher")

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all jobs and return their results.

        Raises:
            GridError: no job is left.
            ConfigError: the configuration of a job is wrong.
            SystemExit: a job failed; all have been tried.
        """
        assert self.context is not None
        assert self.launcher is not None
        overrides = self._overrides(self.context, arguments)
        ledger = Ledger(plan(overrides), _RECORDS)
        ledger.say(ledger.headline())
        size = 1 if self.one_by_one else self.max_batch_size or len(overrides)
        try:
            for start in range(0, len(overrides), size):
                batch = [list(x) for x in overrides[start : start + size]]
                for returned in self.launcher.launch(batch, initial_job_idx=start):
                    ledger.add(returned.return_value)
        finally:
            ledger.close()
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
        return expand(self.grids, given, groups())


def register() -> None:
    """Make the sweeper known to Hydra, which takes plugins only from the namespace `hydra_plugins`."""
    try:
        namespace = importlib.import_module("hydra_plugins")
    except ImportError:
        # No plugin is installed.
        namespace = sys.modules["hydra_plugins"] = types.ModuleType("hydra_plugins")
        namespace.__path__ = []
    namespace.prdp = sys.modules["hydra_plugins.prdp"] = sys.modules[__name__]  # type: ignore[attr-defined]
    Grids.__module__ = "hydra_plugins.prdp"
    Plugins.instance().register(Grids)


def is_sweep(settings: Any) -> bool:
    """Whether Hydra's own settings name grids: such a preset needs `-m`."""
    return bool(settings.sweeper.get("grids"))
