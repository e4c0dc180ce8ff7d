"""Differentiation modes: objects that receive the solver's loop and define its derivative."""

from prdp.differentiation.adjoint import AdjointMode
from prdp.differentiation.base import AdjointStats, Controls, Mode, Problem, Solution
from prdp.differentiation.checkpointed import Checkpointed
from prdp.differentiation.implicit import Implicit
from prdp.differentiation.jfb import JFB
from prdp.differentiation.neumann import Neumann
from prdp.differentiation.phantom import Phantom
from prdp.differentiation.reduced_cg import ReducedCG
from prdp.differentiation.truncated import OneStep, Truncated
from prdp.differentiation.unrolled import Unrolled

__all__ = [
    "JFB",
    "AdjointMode",
    "AdjointStats",
    "Checkpointed",
    "Controls",
    "Implicit",
    "Mode",
    "Neumann",
    "OneStep",
    "Phantom",
    "Problem",
    "ReducedCG",
    "Solution",
    "Truncated",
    "Unrolled",
]
