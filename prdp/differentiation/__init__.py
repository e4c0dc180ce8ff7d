"""Differentiation modes: objects that receive the solver's loop and decide how gradients pass it."""

from prdp.differentiation.base import AdjointCost, Controls, Mode, Problem, Solution
from prdp.differentiation.implicit import Implicit
from prdp.differentiation.unrolled import Unrolled

__all__ = ["AdjointCost", "Controls", "Implicit", "Mode", "Problem", "Solution", "Unrolled"]
