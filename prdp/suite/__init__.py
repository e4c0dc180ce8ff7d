"""Sweeps and presets: what a whole experiment consists of, what of it is left to do, and how it went."""

from prdp.suite.grids import GridError, expand
from prdp.suite.ledger import Ledger
from prdp.suite.outcomes import Result, attempt
from prdp.suite.plan import Job, plan
from prdp.suite.presets import groups as preset_groups
from prdp.suite.presets import preset_jobs, preset_names

__all__ = [
    "GridError",
    "Job",
    "Ledger",
    "Result",
    "attempt",
    "expand",
    "plan",
    "preset_groups",
    "preset_jobs",
    "preset_names",
]
