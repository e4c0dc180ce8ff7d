"""Records made by hand, for the tests of the analysis."""

import pandas as pd

from prdp.analysis.records import Records

NAN = float("nan")
_SPENT = ("iterations_executed", "matvecs", "adjoint_matvecs")


def run(name, experiments, *, levels, converged=10, error=0.02, seed=1, updates=2, **changes):
    """A run that trained an interval at each of `levels`; returns its summary, its history and its jobs.

    Each interval has `updates` updates of one solve; the solver has one product an iteration, as has its adjoint.
    """
    total = updates * sum(levels)
    savings = 1 - sum(levels) / (converged * len(levels))
    incomplete = 1 - levels[-1] / converged
    summary = {
        "run": name,
        "physics": "heat1d",
        "solver": "jacobi",
        "diff": "implicit",
        "schedule": "prdp",
        "seed": seed,
        "epochs": len(levels),
        "updates": updates * len(levels),
        "iterations_final": levels[-1],
        "converged_iterations": converged,
        "iterations_total": total,
        "iterations_converged_total": updates * converged * len(levels),
        "iterations_executed_total": total,
        "matvecs_total": total,
        "adjoint_matvecs_total": total,
        "savings": savings,
        "savings_incomplete_convergence": incomplete,
        "savings_progressive_refinement": savings - incomplete,
        "val_error_final": error,
        "val_error_previous_step_final": error / 2,
        "seconds_train": 1.0,
        "seconds_validate": 0.5,
        "seconds_compile": 0.25,
        "status": "finished",
        "scale": "full",
        "precision": "float32",
        "batch_size": 25,
        "metric": "val_error",
        "device": "cpu",
        "busy_elsewhere": 0.0,
        "recorded": "2026-01-01T00:00:00Z",
        **changes,
    }
    history = pd.DataFrame(
        {
            "run": name,
            "epoch": range(len(levels) + 1),
            "updates": range(0, updates * len(levels) + 1, updates),
            "iterations": [levels[0], *levels],
            "iterations_total": [0, *(updates * pd.Series(levels).cumsum())],
            **{f"{c}_total": [0, *(updates * pd.Series(levels).cumsum())] for c in _SPENT},
            "seconds_train": [0.0] + [1 / len(levels)] * len(levels),
            "seconds_validate": 0.5 / (len(levels) + 1),
            "val_error": [1.0] * len(levels) + [error],
            "residual_mean": [NAN] + [1e-5] * len(levels),
        }
    )
    return summary, history, [(e, f"{e} {name}", name) for e in experiments]


def records(*runs):
    """The records of some runs."""
    summaries, histories, jobs = zip(*runs, strict=True) if runs else ((), (), ())
    return Records(
        pd.DataFrame(summaries) if runs else pd.DataFrame(columns=["run"]),
        pd.concat(histories, ignore_index=True) if runs else pd.DataFrame(columns=["run"]),
        pd.DataFrame([j for of_run in jobs for j in of_run], columns=["experiment", "overrides", "run"]),
    )


def pair(
    experiments,
    physics="heat1d",
    seeds=(1, 2, 3),
    ours=(0.02, 0.03, 0.04),
    theirs=(0.02, 0.02, 0.02),
    **changes,
):
    """PRDP (K = 2, 4, 4, of 10: 66 2/3 % saved, 60 % of them by incomplete convergence) and its baseline, by seed."""
    runs = []
    for seed, a, b in zip(seeds, ours, theirs, strict=True):
        common = {"physics": physics, "seed": seed, **changes}
        runs.append(run(f"{physics}-prdp-{seed}", experiments, levels=[2, 4, 4], error=a, **common))
        runs.append(
            run(f"{physics}-fixed-{seed}", experiments, levels=[10] * 3, error=b, schedule="fixed", **common)
        )
    return runs
