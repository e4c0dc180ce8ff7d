"""Made-up records, whose numbers are known."""

import math
from itertools import product

import numpy as np
import pandas as pd

from prdp.analysis.records import Records

NAN = math.nan
# Of the runs of `made_up`: epochs, updates per epoch, and K_epsilon.
EPOCHS, UPDATES = 12, 8
CONVERGED = {"poisson": 600, "heat1d": 25, "heat2d": 43, "heat3d": 30, "burgers": 23, "navier_stokes": 42}
SOLVERS = {"jacobi": (1, 3), "steepest_descent": (3,)}
NETWORKS = tuple(p for p in CONVERGED if p != "poisson")
SHAPE = {"physics.points": 30, "physics.dimensions": 1, "model.width": 64, "model.depth": 3}
CONTROLLER = {"schedule.tau_step": 0.98, "schedule.tau_stop": 0.9, "schedule.grace_window": 3}


def run(
    name, experiments=(), *, levels, converged=10, error=0.02, seed=1, updates=2, history=None, **changes
):
    """A run with one epoch at each of `levels`; returns its summary, its history and its jobs.

    Each epoch has `updates` updates of one solve; the solver and its adjoint take one product per iteration. `history`
    replaces columns of the history, `changes` those of the summary.
    """
    epochs, total = len(levels), [0, *(updates * np.cumsum(levels)).tolist()]
    frame = {
        "run": name,
        "epoch": range(epochs + 1),
        "updates": range(0, updates * epochs + 1, updates),
        "iterations": [levels[0], *levels],
        "tolerance": 1e-5,
        **dict.fromkeys(
            ("iterations_total", "iterations_executed_total", "matvecs_total", "adjoint_matvecs_total"), total
        ),
        "train_loss": [0.9**e for e in range(epochs + 1)],
        "val_error": [1.0] * epochs + [error],
        "smoothed": 0.5,
        "ratio_step": NAN,
        "ratio_stop": NAN,
        "refined": False,
        "residual_mean": [NAN] + [1e-5] * epochs,
        "seconds_train": [0.0] + [1 / epochs] * epochs,
        "seconds_validate": 0.5 / (epochs + 1),
        "seconds_compile": 0.0,
        **(history or {}),
    }
    frame = pd.DataFrame(frame)
    saved, incomplete = 1 - sum(levels) / (converged * epochs), 1 - levels[-1] / converged
    given = frame[["seconds_train", "seconds_validate", "seconds_compile"]].sum().to_dict() if history else {}
    summary = {
        "run": name,
        "physics": "heat1d",
        "solver": "jacobi",
        "diff": "implicit",
        "schedule": "prdp",
        "model": "mlp",
        "optimizer": "adam",
        "task": "mixed_chain",
        "data": "fourier",
        "seed": seed,
        "epochs": epochs,
        "planned_epochs": epochs,
        "updates": updates * epochs,
        "iterations_final": levels[-1],
        "converged_iterations": converged,
        "iterations_total": total[-1],
        "iterations_converged_total": updates * converged * epochs,
        **{f"{c}_total": int(frame[f"{c}_total"].iloc[-1]) for c in ("iterations_executed", "matvecs")},
        "adjoint_matvecs_total": int(frame["adjoint_matvecs_total"].iloc[-1]),
        "savings": saved,
        "savings_incomplete_convergence": incomplete,
        "savings_progressive_refinement": saved - incomplete,
        "val_error_final": float(frame["val_error"].iloc[-1]),
        "val_error_previous_step_final": float(frame["val_error"].iloc[-1]) / 2,
        "seconds_train": 1.0,
        "seconds_validate": 0.5,
        "seconds_compile": 0.25,
        **given,
        "status": "finished",
        "scale": "full",
        "precision": "float32",
        "batch_size": 25,
        "metric": "val_error",
        "device": "cpu: cpu",
        "cpu_count": 2,
        "busy_elsewhere": 0.0,
        "commit": "0123456789abcdef",
        "jax": "0",
        "recorded": "2026-01-01T00:00:00Z",
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return summary, frame, [(e, f"physics={summary['physics']} {e} {name}", name) for e in experiments]


def records(*runs):
    """The records of some runs. Those without an experiment are own runs."""
    jobs = pd.DataFrame([j for r in runs for j in r[2]], columns=["experiment", "overrides", "run"])
    if not runs:
        return Records(pd.DataFrame(columns=["run"]), pd.DataFrame(columns=["run"]), jobs)
    return Records(
        pd.DataFrame([r[0] for r in runs]), pd.concat([r[1] for r in runs], ignore_index=True), jobs
    ).with_own()


def pair(
    experiments=(),
    physics="heat1d",
    seeds=(1, 2, 3),
    ours=(0.02, 0.03, 0.04),
    theirs=(0.02, 0.02, 0.02),
    **changes,
):
    """PRDP (K = 2, 4, 4, of 10: 66 2/3 % saved, 60 % of them by incomplete convergence) and its baseline, by seed."""
    runs, name = [], "-".join(map(str, (physics, *changes.values())))
    for seed, a, b in zip(seeds, ours, theirs, strict=True):
        common = {"physics": physics, "seed": seed, **changes}
        for levels, error, schedule in (([2, 4, 4], a, "prdp"), ([10] * 3, b, "fixed")):
            label, rest = f"{name}-{schedule}-{seed}", {"schedule": schedule, **common}
            runs.append(run(label, experiments, levels=levels, error=error, **rest))
    return runs


def made_up(physics, schedule="prdp", seed=1, level=None, experiments=(), end=EPOCHS, **columns):
    """A run whose numbers are simple functions of K, epoch and seed."""
    epoch = np.arange(end + 1)
    rising = schedule in ("prdp", "linear")
    converged = CONVERGED.get(physics, 25)
    k = 1 + (epoch + seed % 2) // 3 if rising else np.full(end + 1, level or converged)
    updates = 1 if physics == "poisson" else UPDATES
    history = {
        "iterations": k,
        "tolerance": 10.0 ** (-1 - epoch // 4) if schedule == "tolerance_prdp" else 1e-5,
        "iterations_executed_total": np.cumsum(updates * k * (epoch > 0)) // 2,
        "val_error": (1 + 0.05 * (seed % 3)) * (np.exp(-epoch) + 0.5 / k**2) + 1e-6,
        "ratio_step": np.where(epoch < 3, NAN, 0.9 + 0.01 * epoch),
        "ratio_stop": np.where(epoch < 3, NAN, 0.5),
        "refined": rising & ((epoch + seed % 2) % 3 == 2),
        "seconds_train": 0.1 * k * (epoch > 0),
        "seconds_validate": 0.05,
        "seconds_compile": 3.0 * (epoch == 0),
    }
    settings = {
        "diff": "unrolled",
        "solver.operator": "stencil",
        "planned_epochs": EPOCHS,
        **SHAPE,
        **CONTROLLER,
    }
    name = "-".join(map(str, (physics, schedule, seed, level, sorted(columns.items()))))
    return run(
        name,
        experiments,
        levels=k[1:].tolist(),
        converged=converged,
        seed=seed,
        updates=updates,
        history=history,
        **{**settings, "physics": physics, "schedule": schedule, **columns},
    )


def everything(seeds):
    """Records with which every figure can be drawn."""
    runs = []
    for solver, diff, schedule in product(SOLVERS, ("unrolled", "implicit"), ("fixed", "prdp")):
        for number in SOLVERS[solver]:
            case = {"physics__parameters": number, "solver": solver, "diff": diff, "seed": 0}
            both = ("fig_15", "fig_3") if (number, solver, diff) == (1, "jacobi", "unrolled") else ("fig_15",)
            runs.append(made_up("poisson", schedule, experiments=both, **case))
    runs.append(made_up("poisson", "linear", experiments=("fig_3",), physics__parameters=1, seed=0))
    both = ("fig_2", "fig_5", "fig_6", "fig_7", "fig_8", "fig_10", "fig_24")
    for physics, seed in product(NETWORKS, seeds):
        runs.append(made_up(physics, seed=seed, experiments=(*both, "fig_13", "fig_26")))
        runs += [made_up(physics, "fixed", seed, k, (*both, "fig_4")) for k in (1, 4, CONVERGED[physics])]
        runs.append(made_up(physics, seed=seed, metric="train_loss", experiments=("fig_26",)))
        runs.append(made_up(physics, "tolerance_prdp", seed, experiments=("fig_13",)))
    for diff, schedule, seed in product(("implicit", "jfb"), ("prdp", "fixed"), seeds):
        spent = {"matvecs_total": 900 + seed, "adjoint_matvecs_total": 90 if diff == "jfb" else 900}
        runs.append(made_up("heat1d", schedule, seed, diff=diff, experiments=("rivals",), **spent))
    for width, schedule, seed in product((32, 128), ("prdp", "fixed"), seeds):
        runs.append(made_up("heat1d", schedule, seed, experiments=("fig_25",), model__width=width))
    runs += [made_up("wave", schedule, seed) for schedule in ("prdp", "fixed") for seed in seeds]
    return records(*runs)
