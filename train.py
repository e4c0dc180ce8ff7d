"""Train with differentiable physics in the loop: `python train.py physics=heat2d schedule=prdp`.

The configuration groups are physics, solver, diff, schedule, model, optimizer, task, data, tracking and experiment. The
presets of experiment are whole sweeps: `python train.py -m experiment=fig_4` (see `conf/`, or `--help`).
"""

import difflib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

# Not empty once a configuration has been composed. Later errors are not errors of the command line.
_started: list[bool] = []
_NOISE = ("full_key:", "object_type=", "reference_type=")

# Make Hydra pass exceptions on, so that this file decides how they are shown.
os.environ.setdefault("HYDRA_FULL_ERROR", "1")


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def experiment(config: DictConfig) -> Any:
    """Run one experiment, and print its folder and summary. In a sweep, return the outcome of the job instead."""
    from prdp.run import run

    _started.append(True)
    settings = HydraConfig.get()
    preset = settings.runtime.choices.get("experiment")
    if settings.mode == RunMode.MULTIRUN:
        # Sweeps read the records with pandas. A single run starts sooner without importing it.
        from prdp.suite import attempt
        from prdp.suite.launching import OUTCOME

        place = Path(settings.runtime.output_dir) / OUTCOME
        return attempt(settings.overrides.task, lambda: run(config, preset), one_line, place)
    if settings.sweeper.get("grids"):
        sys.exit(f"error: experiment={preset} is a sweep: python train.py -m experiment={preset}")
    if config.seeds_per_process != 1:
        sys.exit(
            f"error: seeds_per_process={config.seeds_per_process}: allowed with -m; for one group seed=[1,2,25]"
        )
    try:
        outcomes = run(config, preset)
    except Exception as error:
        # Exit here, since Hydra would print a line of its own before ours.
        line = one_line(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")
    for outcome in outcomes:
        print(f"run folder: {outcome.folder}{' (finished before)' if outcome.skipped else ''}")
        shown = outcome.summary
        if len(outcomes) > 1:
            shown = {key: shown[key] for key in ("status", "iterations_final", "savings", "val_error_final")}
        width = max(map(len, shown))
        for key, value in shown.items():
            print(f"  {key:<{width}}  {_show(value)}")
        for line in failed_solves(outcome.summary):
            print(line)
    return None


def failed_solves(summary: dict[str, Any]) -> list[str]:
    """Return a warning each for primal and adjoint solves, if one ended worse than by reaching its iteration limit."""
    from prdp.solvers import Status

    lines = []
    for key, what in (("solver_status", "solves of the physics"), ("adjoint_status", "adjoint solves")):
        status = Status(summary.get(key, 0))
        if status > Status.BUDGET_SPENT:
            lines.append(f"warning: {what} ended as {status.name}, see {key} in the history. {status.advice}")
    return lines


def _show(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Run from the command line. A wrong configuration ends with a one-line message and exit code 1."""
    # Treat the SIGTERM of a scheduler like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if any(x in ("-m", "--multirun") or x.startswith("hydra.mode=") for x in sys.argv):
        from prdp.suite.sweeper import register

        register()
    try:
        experiment()
    except KeyboardInterrupt:
        print("interrupted: the same command (without overwrite=true) continues", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        line = one_line(error)
        if line is None and not _started:
            # Hydra also raises plain ValueErrors if it cannot compose a configuration.
            line = " ".join(str(error).split())
        if not line:
            raise
        sys.exit(f"error: {line}")


def one_line(error: Exception) -> str | None:
    """Return a one-line message for a user's mistake, or `None` for any other error, which is then raised."""
    from prdp.config import ConfigError
    from prdp.records import RunIsHeld
    from prdp.suite import GridError
    from prdp.suite.launching import advice
    from prdp.training import UnsuitableMetric

    cause: Any = error.__cause__
    parent = getattr(cause, "parent_node", None)
    if isinstance(error, HydraException) and isinstance(parent, DictConfig):
        known = [str(key) for key in parent if key != "_target_"]
        close = difflib.get_close_matches(str(cause.key), known, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{cause.full_key}: no such key; allowed are {', '.join(known)}{hint}"
    if no_launcher := advice(str(error)):
        return no_launcher
    if isinstance(error, HydraException | OmegaConfBaseException):
        # Hydra's messages span several lines, and the text is sometimes in the cause.
        lines = f"{error}\n{error.__cause__ or ''}".splitlines()
        kept = [x.strip() for x in lines if x.strip() and not x.lstrip().startswith(_NOISE)]
        return "; ".join(dict.fromkeys(kept)) or type(error).__name__
    if isinstance(error, ConfigError | GridError | RunIsHeld | UnsuitableMetric):
        return str(error)
    return None


if __name__ == "__main__":
    main()
