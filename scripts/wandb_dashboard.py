"""The W&B workspace of a project's runs, defined in code. Requires the package `wandb-workspaces`.

    python scripts/wandb_dashboard.py --dry-run                     print the specification as JSON (no network)
    python scripts/wandb_dashboard.py --entity TEAM                 create the workspace and print its URL
    python scripts/wandb_dashboard.py --tags fig_4                  show only runs with one of these tags
    python scripts/wandb_dashboard.py --update URL                  update an existing workspace

Runs are grouped by physics, schedule and configuration. Each line or bar is the mean over the seeds of one
configuration, with a band of one standard deviation.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prdp.atomic import write_text
from prdp.tracking.wandb_settings import WeightsAndBiasesSettings
from prdp.tracking.weights_and_biases import obstacle

try:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr
except ModuleNotFoundError:
    sys.exit("wandb_dashboard: the package wandb-workspaces is missing: pip install 'prdp[dashboard]'")

NAME = "PRDP"
# Columns of the table of runs, taken from the run summaries.
COLUMNS = (
    "physics",
    "schedule",
    "seed",
    "converged_iterations",
    "iterations_final",
    "savings",
    "savings_incomplete_convergence",
    "savings_progressive_refinement",
    "val_error_final",
    "val_error_best",
    "status",
)
_SEEDS: dict[str, Any] = {"groupby": "Group", "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
_LINES = 40


def line(title: str, *metrics: str, x: str = "epoch", **options: Any) -> Any:
    """Return a panel of histories, with one line per configuration and metric."""
    return wr.LinePlot(
        title=title, x=x, y=list(metrics), title_x=x, max_runs_to_show=_LINES, **_SEEDS, **options
    )


def bar(title: str, metric: str) -> Any:
    """Return a panel of one summary value, with one bar per configuration."""
    return wr.BarPlot(title=title, metrics=[metric], max_bars_to_show=_LINES, **_SEEDS)


def sections() -> list[Any]:
    """Return the sections, from top to bottom."""
    contents = {
        "Refinement": [
            line("K", "iterations"),
            line("Tolerance", "tolerance", log_y=True),
            line("r and its threshold: a plateau if above", "ratio_step", "tau_step"),
            line("r_c and its threshold: a refinement helped if below", "ratio_stop", "tau_stop"),
        ],
        "Accuracy": [
            line("Validation error", "val_error", log_y=True),
            line("Validation error, smoothed", "smoothed", log_y=True),
            line("Validation error by time step", metric_regex="val_error_step_.*", log_y=True),
            line("Training loss", "train_loss", log_y=True),
            bar("Final validation error", "val_error_final"),
            wr.ScatterPlot(
                title="Final validation error over savings",
                x=wr.SummaryMetric("savings"),
                y=wr.SummaryMetric("val_error_final"),
                log_y=True,
            ),
        ],
        "Savings": [
            bar("Iterations saved (fraction)", "savings"),
            bar("Saved by incomplete convergence (IC)", "savings_incomplete_convergence"),
            bar("Saved by progressive refinement (PR)", "savings_progressive_refinement"),
            bar("Final K", "iterations_final"),
        ],
        "Cost": [
            line("Validation error over iterations", "val_error", x="iterations_total", log_y=True),
            line("Iterations, budget and executed", "iterations_total", "iterations_executed_total"),
            line("Matrix-vector products, forward", "matvecs_total"),
            line("Matrix-vector products, adjoint", "adjoint_matvecs_total"),
            line("Seconds per epoch: training", "seconds_train"),
            line("Seconds per epoch: validation", "seconds_validate"),
            bar("Seconds of training", "seconds_train"),
            bar("Seconds of compilation", "seconds_compile"),
        ],
        "Residuals": [
            line("Mean relative residual", "residual_mean", log_y=True),
            line("Largest relative residual", "residual_max", log_y=True),
            line("Solver status", "solver_status"),
            line("Mean relative residual of the adjoint", "adjoint_residual_mean", log_y=True),
            line("Largest relative residual of the adjoint", "adjoint_residual_max", log_y=True),
            line("Status of the adjoint", "adjoint_status"),
        ],
    }
    layout = ws.SectionLayoutSettings(columns=2, rows=2)
    axis = ws.SectionPanelSettings(x_axis="epoch")
    return [
        ws.Section(name=name, panels=panels, is_open=True, layout_settings=layout, panel_settings=axis)
        for name, panels in contents.items()
    ]


def runs(tags: Sequence[str] = ()) -> Any:
    """Return the selection and grouping of runs: those with one of the tags (a physics, a preset, ...), default all."""
    wanted = [expr.Metric("JobType").isin(["train"])]
    if tags:
        wanted.append(expr.Tags().isin(list(tags)))
    return ws.RunsetSettings(
        filters=expr.And(*wanted),
        groupby=[expr.Config("physics.name"), expr.Config("schedule.name"), expr.Metric("Group")],
        pinned_columns=[f"summary:{column}" for column in COLUMNS],
    )


def dashboard(entity: str, project: str, tags: Sequence[str] = ()) -> Any:
    """Return the workspace."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=" ".join([NAME, *tags]),
        sections=sections(),
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=_LINES),
        runset_settings=runs(tags),
    )


def specification(workspace: Any) -> str:
    """Return the JSON that `save` would send."""
    # The package has no public function for this.
    text: str = workspace._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=2)
    return text + "\n"


def save(workspace: Any, url: str | None) -> str:
    """Create the workspace, or overwrite the content of the one at `url`, and return its URL."""
    if url is not None:
        new, workspace = workspace, ws.Workspace.from_url(url)
        workspace.sections = new.sections
        workspace.settings = new.settings
        workspace.runset_settings = new.runset_settings
    address: str = workspace.save().url
    return address


def main() -> None:
    """Print, write or create the workspace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", help="default: WANDB_PROJECT, or prdp")
    parser.add_argument("--entity", help="team or user; default: the account's")
    parser.add_argument("--tags", nargs="+", default=[], help="show only runs with one of these")
    parser.add_argument("--dry-run", action="store_true", help="only print the specification")
    parser.add_argument("--output", type=Path, help="write the specification of --dry-run to this file")
    parser.add_argument("--update", metavar="URL", help="update this workspace instead of creating a new one")
    options = parser.parse_args()
    try:
        settings = WeightsAndBiasesSettings(project=options.project, tags=tuple(options.tags))
        project = settings.chosen_project()
    except ValueError as error:
        sys.exit(f"wandb_dashboard: {error}")
    if options.dry_run:
        text = specification(dashboard(options.entity or "", project, options.tags))
        if options.output is None:
            sys.stdout.write(text)
        else:
            write_text(options.output, text)
        return
    problem = obstacle()
    if problem is not None:
        sys.exit(f"wandb_dashboard: {problem}; --dry-run shows the workspace without an account")
    try:
        import wandb

        entity = options.entity or wandb.Api().default_entity or ""
        print(save(dashboard(entity, project, options.tags), options.update))
    except Exception as error:
        sys.exit(f"wandb_dashboard: {error}")


if __name__ == "__main__":
    main()
