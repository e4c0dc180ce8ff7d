"""Refinement schedules: pure init/update pairs that turn a metric into a number of iterations.

The schedules import no third-party package, not even JAX or NumPy. With plain floats they compute in plain Python; with
JAX arrays they trace under `jit` and `vmap`.
"""

from prdp.schedules.base import Schedule, choose
from prdp.schedules.deadline import Deadline
from prdp.schedules.fixed import Fixed, FixedState
from prdp.schedules.flatness import Flatness
from prdp.schedules.geometric import Geometric
from prdp.schedules.hoag import HOAG, HOAGState
from prdp.schedules.linear import Linear, LinearState
from prdp.schedules.matched import Matched, MatchedState
from prdp.schedules.prdp import PRDP, PRDPState
from prdp.schedules.tolerance_prdp import TolerancePRDP, TolerancePRDPState
from prdp.schedules.two_stage import TwoStage, TwoStageState

__all__ = [
    "HOAG",
    "PRDP",
    "Deadline",
    "Fixed",
    "FixedState",
    "Flatness",
    "Geometric",
    "HOAGState",
    "Linear",
    "LinearState",
    "Matched",
    "MatchedState",
    "PRDPState",
    "Schedule",
    "TolerancePRDP",
    "TolerancePRDPState",
    "TwoStage",
    "TwoStageState",
    "choose",
]
