"""Train with differentiable physics in the loop: `python train.py physics=heat2d schedule=prdp`.

The configuration groups are physics, solver, diff, schedule, model, optimizer, task, data, tracking and experiment. The
presets of experiment are whole sweeps: `python train.py -m experiment=fig_4` (see `conf/`, or `--help`).
"""

import atexit
import os
import signal
import sys

if __name__ == "__main__":
    # A signal while modules load ends the process at once: nothing has begun, and half-loaded libraries would crash.
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, lambda number, frame: os._exit(128 + number))

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from prdp.interrupts import install, uninstall

# The exit code of a run that diverged: it has a record, and nothing is wrong with the command.
DIVERGED = 3
# Whether a configuration was composed, so that an error is no longer one of the command line.
_started: list[bool] = []

# Make Hydra pass exceptions on, so that this file decides how they are shown.
os.environ.setdefault("HYDRA_FULL_ERROR", "1")


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def experiment(config: DictConfig) -> Any:
    """Run one experiment and print where it is and what came out; in a sweep, return what became of it."""
    from prdp.run import preview, run

    # All is loaded: from here on a signal ends the run in order.
    install()
    # At the end all is saved: a signal while libraries clean up ends the process without a word. Registered after their
    # functions, so that it is called before them.
    atexit.register(uninstall)
    _started.append(True)
    settings = HydraConfig.get()
    preset = settings.runtime.choices.get("experiment")
    if settings.mode == RunMode.MULTIRUN:
        if settings.sweeper._target_ != "hydra_plugins.prdp.Grids":
            # Another sweeper takes the objective, and an exception for a failure.
            outcomes = run(config, preset)
            return sum(outcome.summary["val_error_final"] for outcome in outcomes) / len(outcomes)
        # Sweeps read the records, with pandas: a single run starts sooner without.
        from prdp.suite import attempt
        from prdp.suite.launching import OUTCOME

        place = Path(settings.runtime.output_dir) / OUTCOME
        return attempt(settings.overrides.task, lambda: run(config, preset), one_line, place)
    refuse_what_needs_a_sweep(config, settings, preset)
    try:
        if config.dry_run:
            found = preview(config)
            took = expected(config) if any(state == "to run" for _, state in found) else ""
            for folder, state in found:
                print(f"{state}: {folder}{took if state == 'to run' else ''}")
            return None
        outcomes = run(config, preset)
    except Exception as error:
        # Exit here, since Hydra would print a line of its own before ours.
        line = one_line(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")
    for outcome in outcomes:
        report(outcome, whole=len(outcomes) == 1)
    if any(outcome.summary["status"] == "diverged" for outcome in outcomes):
        sys.exit(DIVERGED)
    return None


def refuse_what_needs_a_sweep(config: DictConfig, settings: Any, preset: str | None) -> None:
    """End with one line where the command line lacks `-m`."""
    if settings.sweeper.get("grids"):
        sys.exit(
            f"error: experiment={preset}: allowed with -m, since it is a sweep: python train.py -m experiment={preset}"
        )
    launcher = settings.runtime.choices.get("hydra/launcher")
    if launcher not in (None, "basic"):
        sys.exit(
            f"error: hydra/launcher={launcher}: allowed with -m, which launches a sweep (of one job, if need be)"
        )
    if config.seeds_per_process != 1:
        sys.exit(
            f"error: seeds_per_process={config.seeds_per_process}: allowed with -m; for one group seed=[1,2,25]"
        )


def report(outcome: Any, whole: bool) -> None:
    """Print where a run is and what came out; of one among several, the main numbers."""
    print(f"run folder: {outcome.folder}{' (finished before)' if outcome.skipped else ''}")
    shown = outcome.summary
    if not whole:
        shown = {key: shown[key] for key in ("status", "iterations_final", "savings", "val_error_final")}
    width = max(map(len, shown))
    for key, value in shown.items():
        print(f"  {key:<{width}}  {_show(value)}")
    for line in [*(as_in_the_tables(outcome) if whole else []), *failed_solves(outcome.summary)]:
        print(line)
    if outcome.summary["status"] == "diverged":
        reason = json.loads((outcome.folder / "status.json").read_text()).get("reason", "")
        print(f"diverged: {reason} (exit code {DIVERGED})", file=sys.stderr)


def expected(config: DictConfig) -> str:
    """Return in words how long a run took that was recorded and is of the same kind; empty if there is none."""
    from prdp.analysis import load
    from prdp.config import parse
    from prdp.suite.cost import duration, estimate
    from prdp.suite.plan import Job

    recorded = load(Path(__file__).parent / "results" / "records").summaries
    # `seed` may be a list.
    plain = parse(DictConfig({**config, "seed": 0})).plain
    (seconds,) = estimate([Job((), Path(), plain)], recorded)
    return "" if seconds is None else f", about {duration(seconds)} by recorded runs"


def as_in_the_tables(outcome: Any) -> list[str]:
    """Return what the tables of the README show of a run: the account of its savings, and its errors in their norms."""
    from prdp.records import read_rows

    summary, rows = outcome.summary, read_rows(outcome.folder / "history.parquet")
    lines = [
        "savings: 1 - (iterations of all updates) / (converged_iterations x updates x solves), as in the tables"
    ]
    if summary["physics"] == "poisson":
        from prdp.analysis.quantities.poisson import CHARGED, COMMON_ERROR

        reached = next((row for row in rows if row["val_error"] <= COMMON_ERROR), None)
        converged, spent = summary["converged_iterations"], summary["iterations_total"]
        parameters = len(yaml.safe_load((outcome.folder / "config.yaml").read_text())["model"]["initial"])
        lines = [f"{lines[0].removesuffix(', as in the tables')}: {summary['savings']:.1%}"]
        if parameters == 1 and summary["updates"] == CHARGED["prdp"]:
            saved = 1 - spent / (converged * CHARGED["fixed"])
            lines.append(
                f"savings in the tables: {saved:.1%}; converged physics is charged {CHARGED['fixed']} updates"
            )
        if reached is not None:
            cost = f"{reached['updates']} updates, {reached['iterations_total']} iterations"
            lines.append(f"to an error of {COMMON_ERROR}: {cost}")
    else:
        errors = {k: 100 * v for k, v in rows[-1].items() if k.startswith("val_error_") and v is not None}
        shown = ", ".join(f"{key.removeprefix('val_error_')} {value:.4g}" for key, value in errors.items())
        lines.append(f"errors x 100, squared and relative, as in the tables: {shown}")
    return lines


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
    """Run from the command line; a wrong configuration ends in one line and exit code 1."""
    if any(x in ("-m", "--multirun") or x.startswith("hydra.mode=") for x in sys.argv):
        from prdp.suite.sweeper import register

        register()
    if {"--help", "-h"} & set(sys.argv):
        from prdp.config import listing

        print(listing(Path(__file__).parent / "conf"), end="\n\n")
    if (folder := run_folder_as_configuration(sys.argv)) is not None:
        sys.exit(
            f"error: --config-dir={folder}: a run's config.yaml is not read from here: make rerun RUN={folder}"
        )
    try:
        experiment()
    except KeyboardInterrupt as signalled:
        print("interrupted: the same command (without overwrite=true) continues", file=sys.stderr)
        leave(getattr(signalled, "exit_code", 130))
    except Exception as error:
        # Hydra also raises plain ValueErrors if it cannot compose a configuration.
        line = one_line(error) or (None if _started else unclear(error))
        if line is None:
            raise
        sys.exit(f"error: {line}")


def leave(code: int) -> None:
    """End the process at once: tearing down a compilation or a thread under way may crash instead."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_folder_as_configuration(arguments: list[str]) -> str | None:
    """Return the run folder that is given as a configuration directory, if one is: its config.yaml is shadowed."""
    given = [x.partition("=")[2] for x in arguments if x.startswith("--config-dir=")]
    given += [y for x, y in pairwise(arguments) if x in ("--config-dir", "-cd")]
    folders = [x for x in given if (Path(x) / "status.json").exists() and (Path(x) / "config.yaml").exists()]
    return folders[0] if folders else None


def one_line(error: Exception) -> str | None:
    """Return a one-line message for a user's mistake, or `None` for any other error, which is then raised."""
    from prdp.config import ConfigError, explain
    from prdp.records import RunIsHeld
    from prdp.training import UnsuitableMetric

    if isinstance(error, ConfigError | RunIsHeld | UnsuitableMetric):
        return str(error)
    return explain(error, overrides())


def unclear(error: Exception) -> str:
    """Return one line for any error while Hydra composes the configuration."""
    from prdp.config import unclear

    return unclear(error, overrides())


def overrides() -> list[str]:
    """Return the command line without its flags."""
    return [x for x in sys.argv[1:] if not x.startswith("-")]


if __name__ == "__main__":
    main()
