"""`solve`, the entry point for every linear solve, and `gradient_error`, which judges its gradients."""

from prdp.linear_solve.entry import solve

__all__ = ["solve"]
