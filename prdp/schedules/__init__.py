"""Refinement schedules: pure init/update pairs that turn a metric into a number of iterations.

Nothing here imports JAX, NumPy or any other package: with plain floats the schedules compute in plain Python;
with JAX arrays they trace under `jit` and `vmap`.
"""

from prdp.schedules.base import Schedule
from prdp.schedules.fixed import Fixed, FixedState
from prdp.schedules.linear import Linear, LinearState
from prdp.schedules.prdp import PRDP, PRDPState
from prdp.schedules.tolerance_prdp import TolerancePRDP, TolerancePRDPState

__all__ = [
    "PRDP",
    "Fixed",
    "FixedState",
    "Linear",
    "LinearState",
    "PRDPState",
    "Schedule",
    "TolerancePRDP",
    "TolerancePRDPState",
]
