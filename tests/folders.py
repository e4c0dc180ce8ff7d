"""What tests read from run folders."""

from pathlib import Path

import pandas as pd

from prdp.records.schema import TIMINGS


def history(run):
    """Return the history of a folder or an outcome, without the columns that differ between runs of the same thing."""
    folder = Path(getattr(run, "folder", run))
    return pd.read_parquet(folder / "history.parquet").drop(columns=list(TIMINGS))


def assert_same_history(run, other):
    """Every value of both is the same to the bit."""
    pd.testing.assert_frame_equal(history(run), history(other), check_exact=True)
