"""Progressively refined differentiable physics.

    solution = prdp.solve(operator, rhs, solver=prdp.Jacobi(), iterations=5)
    schedule = prdp.PRDP(tau_step=0.95, tau_stop=0.9)

Public names are imported on first use, so `prdp.schedules` works without JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prdp.differentiation import (
        JFB,
        AdjointStats,
        Checkpointed,
        Implicit,
        Mode,
        Neumann,
        OneStep,
        Phantom,
        ReducedCG,
        Solution,
        Truncated,
        Unrolled,
    )
    from prdp.linalg import (
        CoupledStencil,
        Dense,
        FunctionOperator,
        Operator,
        Sparse,
        Stencil,
        backward_difference,
        couple,
        forward_difference,
        from_bcoo,
        from_lineax,
        from_scipy,
        identity,
        laplacian,
    )
    from prdp.linear_solve import GradientError, gradient_error, solve
    from prdp.schedules import (
        HOAG,
        PRDP,
        Deadline,
        Fixed,
        Flatness,
        Geometric,
        Linear,
        Matched,
        Schedule,
        TolerancePRDP,
        TwoStage,
    )
    from prdp.solvers import (
        GMRES,
        LBFGS,
        PCG,
        SSOR,
        Approximate,
        BiCGStab,
        Chebyshev,
        ConjugateGradient,
        Diagonal,
        Direct,
        Fourier,
        GradientDescent,
        HeavyBall,
        Jacobi,
        Multigrid,
        Preconditioned,
        Preconditioner,
        Richardson,
        Solver,
        Status,
        SteepestDescent,
    )

__version__ = "0.1.0"

__all__ = [
    "GMRES",
    "HOAG",
    "JFB",
    "LBFGS",
    "PCG",
    "PRDP",
    "SSOR",
    "AdjointStats",
    "Approximate",
    "BiCGStab",
    "Chebyshev",
    "Checkpointed",
    "ConjugateGradient",
    "CoupledStencil",
    "Deadline",
    "Dense",
    "Diagonal",
    "Direct",
    "Fixed",
    "Flatness",
    "Fourier",
    "FunctionOperator",
    "Geometric",
    "GradientDescent",
    "GradientError",
    "HeavyBall",
    "Implicit",
    "Jacobi",
    "Linear",
    "Matched",
    "Mode",
    "Multigrid",
    "Neumann",
    "OneStep",
    "Operator",
    "Phantom",
    "Preconditioned",
    "Preconditioner",
    "ReducedCG",
    "Richardson",
    "Schedule",
    "Solution",
    "Solver",
    "Sparse",
    "Status",
    "SteepestDescent",
    "Stencil",
    "TolerancePRDP",
    "Truncated",
    "TwoStage",
    "Unrolled",
    "__version__",
    "backward_difference",
    "couple",
    "forward_difference",
    "from_bcoo",
    "from_lineax",
    "from_scipy",
    "gradient_error",
    "identity",
    "laplacian",
    "solve",
]

# Ordered by dependencies: looking up a schedule must not import JAX, nor an operator import the solvers.
_HOMES = ("schedules", "linalg", "solvers", "differentiation", "linear_solve")

# Type checkers use the imports above. Hiding `__getattr__` from them lets them report undefined names.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            for home in _HOMES:
                module = import_module(f"prdp.{home}")
                if hasattr(module, name):
                    globals()[name] = getattr(module, name)
                    return globals()[name]
        raise AttributeError(f"module 'prdp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
