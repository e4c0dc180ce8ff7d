"""Progressively refined differentiable physics.

    solution = prdp.solve(operator, rhs, solver=prdp.Jacobi(), iterations=5)
    schedule = prdp.PRDP(tau_step=0.95, tau_stop=0.9)

Names load on first use, so that `prdp.schedules` works where JAX is not installed.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "solve": "prdp.linear_solve",
    **dict.fromkeys(
        (
            "AdjointCost",
            "Checkpointed",
            "Implicit",
            "JFB",
            "Neumann",
            "OneStep",
            "Phantom",
            "ReducedCG",
            "Solution",
            "Truncated",
            "Unrolled",
        ),
        "prdp.differentiation",
    ),
    **dict.fromkeys(
        (
            "BiCGStab",
            "ConjugateGradient",
            "Diagonal",
            "Direct",
            "Fourier",
            "GMRES",
            "GradientDescent",
            "HeavyBall",
            "Jacobi",
            "LBFGS",
            "Preconditioned",
            "Richardson",
            "Solver",
            "Status",
            "SteepestDescent",
        ),
        "prdp.solvers",
    ),
    **dict.fromkeys(
        (
            "CoupledStencil",
            "Dense",
            "FunctionOperator",
            "Operator",
            "Stencil",
            "backward_difference",
            "couple",
            "forward_difference",
            "from_lineax",
            "identity",
            "laplacian",
        ),
        "prdp.linalg",
    ),
    **dict.fromkeys(
        (
            "Fixed",
            "Flatness",
            "Geometric",
            "HOAG",
            "Linear",
            "Matched",
            "PRDP",
            "Schedule",
            "TolerancePRDP",
        ),
        "prdp.schedules",
    ),
}

__all__ = ["__version__", *sorted(_EXPORTS)]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'prdp' has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
