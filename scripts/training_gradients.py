"""Error of the training gradient against exact physics over K, at the start, in the middle and at the end of training.

    python scripts/training_gradients.py [--problems heat1d burgers] [--out results/records]

Trains with PRDP, keeps the network at these three times, and differentiates the loss of one minibatch with every mode
and K. Writes <out>/gradients.parquet; rows of other problems are kept. Everything is computed in float64. The exact
gradient is that of `diff=implicit` with both solves to the precision of the numbers.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd

from prdp.analysis.gradients import TIMES
from prdp.config import ConfigError
from prdp.preparation import enter
from prdp.suite.training_gradients import LossGradient, errors, exact_gradient, snapshots
from prdp.training import Plan
from prdp.training.loop import shuffled
from problems import PROBLEMS, RECORDS, configured, keep

MODES = ("implicit", "unrolled", "truncated", "one_step", "jfb", "phantom", "neumann", "reduced_cg")
COMMON = ("seed=1", "precision=float64", "progress=false")


def levels(converged: int) -> list[int]:
    """Return 1, 2, 4, ... and K_epsilon."""
    return [*(2**i for i in range(20) if 2**i < converged), converged]


def curves(problem: str) -> Iterator[dict[str, Any]]:
    """Yield one row per mode, time and K; a mode that is not defined has one row without K."""
    config = configured(problem, *COMMON, "diff=implicit", "schedule=prdp")
    enter(config)
    general = config.general
    kept = snapshots(config, (0, general.epochs // 2, general.epochs))
    first = Plan(general.epochs, general.batch_size, general.seed)
    exact: dict[str, Any] = {}
    for mode in MODES:
        try:
            config = configured(problem, *COMMON, f"diff={mode}", "schedule=fixed")
            enter(config)
        except ConfigError as error:
            print(f"{problem}: {mode} is not defined ({error})", flush=True)
            yield {"problem": problem, "mode": mode}
            continue
        samples = config.data.train_samples if config.data is not None else general.batch_size
        gradient = LossGradient(config, jnp.asarray(shuffled(first, samples, 1)[0]))
        for time, snapshot in zip(TIMES, kept, strict=True):
            if mode == "implicit":
                exact[time] = exact_gradient(gradient, snapshot.parameters)
            for row in errors(gradient, exact[time], snapshot.parameters, levels(gradient.converged)):
                yield {
                    "problem": problem,
                    "mode": mode,
                    "time": time,
                    "epoch": snapshot.epoch,
                    "prdp_iterations": snapshot.iterations,
                    "converged_iterations": gradient.converged,
                    **row,
                }
        jax.clear_caches()


def main() -> None:
    """Compute the curves and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--out", type=Path, default=RECORDS)
    arguments = parser.parse_args()
    path = arguments.out / "gradients.parquet"
    for problem in arguments.problems:
        rows = pd.DataFrame(curves(problem))
        keep(path, rows, "problem")
        print(f"{problem}: {len(rows)} rows", flush=True)


if __name__ == "__main__":
    main()
