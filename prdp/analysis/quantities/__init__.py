"""Every number that claims, tables and figures show, each computed in one function."""

from prdp.analysis.quantities.errors import MARGIN, Level, excess, fan, parameters, sufficient
from prdp.analysis.quantities.means import by_seed
from prdp.analysis.quantities.poisson import (
    COMMON_ERROR,
    account,
    common_account,
    common_error,
    first_reach,
    paper_account,
)
from prdp.analysis.quantities.registry import QUANTITIES
from prdp.analysis.quantities.savings import matvecs_saved, savings, time_saved, timed_in_blocks
from prdp.analysis.quantities.selection import Ambiguous, NotTimedAlone, Selection

__all__ = [
    "COMMON_ERROR",
    "MARGIN",
    "QUANTITIES",
    "Ambiguous",
    "Level",
    "NotTimedAlone",
    "Selection",
    "account",
    "by_seed",
    "common_account",
    "common_error",
    "excess",
    "fan",
    "first_reach",
    "matvecs_saved",
    "paper_account",
    "parameters",
    "savings",
    "sufficient",
    "time_saved",
    "timed_in_blocks",
]
