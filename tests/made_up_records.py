"""Records of runs that never ran, whose numbers are known."""

import math
from itertools import product

import numpy as np
import pandas as pd

from prdp.analysis import Records
from prdp.records import history_frame, summarise

EPOCHS, UPDATES = 12, 8
# K_epsilon of the made-up runs.
CONVERGED = {"poisson": 600, "heat1d": 25, "heat2d": 43, "heat3d": 30, "burgers": 23, "navier_stokes": 42}
SOLVERS = {"jacobi": (1, 3), "steepest_descent": (3,)}
NETWORKS = tuple(p for p in CONVERGED if p != "poisson")
NOTHING = Records(*(pd.DataFrame(columns=["run", "experiment"]) for _ in range(3)))
ZEROS = ("matvecs_total", "adjoint_matvecs_total", "residual_mean", "residual_max", "solver_status")
SETTINGS = {
    "scale": "full",
    "device": "cpu: cpu",
    "cpu_count": 2,
    "busy_elsewhere": 0.01,
    "solver.operator": "stencil",
    "schedule.tau_step": 0.98,
    "schedule.tau_stop": 0.9,
    "schedule.grace_window": 3,
    "physics.points": 30,
    "physics.dimensions": 1,
    "model.width": 64,
    "model.depth": 3,
}


def made_up(physics, schedule="prdp", seed=1, level=None, experiments=(), end=EPOCHS, **columns):
    """Return summary, history and jobs of a run whose numbers are simple functions of K, epoch and seed."""
    epoch, updates = np.arange(end + 1), 1 if physics == "poisson" else UPDATES
    rising = schedule in ("prdp", "linear")
    k = 1 + (epoch + seed % 2) // 3 if rising else np.full(end + 1, level or CONVERGED[physics])
    error = (1 + 0.05 * (seed % 3)) * (np.exp(-epoch) + 0.5 / k**2) + 1e-6
    total = np.cumsum(updates * k * (epoch > 0))
    history = pd.DataFrame(
        {
            "epoch": epoch,
            "updates": updates * epoch,
            "iterations": k,
            "tolerance": 10.0 ** (-1 - epoch // 4) if schedule == "tolerance_prdp" else 1e-5,
            "iterations_total": total,
            "iterations_executed_total": total // 2,
            "train_loss": np.exp(-epoch),
            "val_error": error,
            "smoothed": error,
            "ratio_step": np.where(epoch < 3, math.nan, 0.9 + 0.01 * epoch),
            "ratio_stop": np.where(epoch < 3, math.nan, 0.5),
            "refined": rising & ((epoch + seed % 2) % 3 == 2),
            "seconds_train": 0.1 * k * (epoch > 0),
            "seconds_validate": 0.05,
            "seconds_compile": 3.0 * (epoch == 0),
            **dict.fromkeys(ZEROS, 0),
        }
    )
    solver, diff = columns.pop("solver", "jacobi"), columns.pop("diff", "unrolled")
    identity = {"physics": physics, "solver": solver, "diff": diff, "schedule": schedule, "seed": seed}
    status = columns.pop("status", "finished")
    run = "-".join(map(str, (*identity.values(), level, sorted(columns.items()))))
    rows = history.to_dict("records")
    summary = {"run": run, **summarise(rows, identity, CONVERGED[physics], 1, status), **SETTINGS}
    summary |= {key.replace("__", "."): value for key, value in columns.items()}
    jobs = [{"experiment": e, "overrides": f"{e} {run}", "run": run} for e in experiments]
    return summary, history_frame(rows).assign(run=run), jobs


def gather(*runs):
    """Return the records of some runs."""
    jobs = [job for run in runs for job in run[2]]
    return Records(
        pd.DataFrame([run[0] for run in runs]),
        pd.concat([run[1] for run in runs], ignore_index=True),
        pd.DataFrame(jobs, columns=["experiment", "overrides", "run"]),
    )


def everything(seeds):
    """Return records with which every figure can be drawn."""
    runs = []
    for solver, diff, schedule in product(SOLVERS, ("unrolled", "implicit"), ("fixed", "prdp")):
        for number in SOLVERS[solver]:
            case = {"physics__parameters": number, "solver": solver, "diff": diff, "seed": 0}
            runs.append(made_up("poisson", schedule, experiments=("fig_15",), **case))
    case = {"physics__parameters": 1, "seed": 0, "experiments": ("fig_3",), "note": "again"}
    runs += [made_up("poisson", s, **case) for s in ("fixed", "linear", "prdp")]
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
    return gather(*runs)
