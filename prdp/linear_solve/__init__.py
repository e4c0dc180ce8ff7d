"""`solve`, the entry point for every linear solve, and `gradient_error`, which judges its gradients."""

from prdp.linear_solve.entry import solve
from prdp.linear_solve.gradient_errors import Deviation, GradientError, gradient_error

__all__ = ["Deviation", "GradientError", "gradient_error", "solve"]
