"""How far training gradients are from those of exact physics (computed by `scripts/training_gradients.py`)."""

from pathlib import Path

import pandas as pd

TIMES = ("start", "middle", "end")


def load_gradients(folder: Path) -> pd.DataFrame:
    """Return the rows of `gradients.parquet`, one per problem, mode, time of training and K; empty if there is none.

    Columns: `problem` (a physics, `_small` if smaller than the paper's), `mode`, `time` (of `TIMES`), `epoch`,
    `prdp_iterations` (K of PRDP at that time), `converged_iterations`, `iterations` (K), `error` (the norm of the
    difference from the exact gradient relative to that of the exact one), `cosine` and `size` (the norm relative to
    that of the exact one). A mode that is not defined for a problem has one row without a time.
    """
    path = folder / "gradients.parquet"
    return pd.read_parquet(path) if path.exists() else pd.DataFrame({"problem": [], "mode": [], "time": []})
