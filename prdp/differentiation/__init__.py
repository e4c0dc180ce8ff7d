"""Differentiation modes: objects that receive the solver's loop and decide how gradients pass it."""

from prdp.differentiation.base import CONTROLS, AdjointCost, Mode, Problem, Solution
from prdp.differentiation.implicit import Implicit
from prdp.differentiation.unrolled import Unrolled

__all__ = ["CONTROLS", "AdjointCost", "Implicit", "Mode", "Problem", "Solution", "Unrolled"]
