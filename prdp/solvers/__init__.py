"""Iterative and direct linear solvers, one per file, and the loop that runs them."""

from prdp.solvers.base import Solver, start
from prdp.solvers.bicgstab import BiCGStab
from prdp.solvers.chebyshev import Chebyshev
from prdp.solvers.conjugate_gradient import ConjugateGradient
from prdp.solvers.direct import Direct, solve_directly
from prdp.solvers.fourier import Fourier
from prdp.solvers.gmres import GMRES
from prdp.solvers.gradient_descent import GradientDescent
from prdp.solvers.heavy_ball import HeavyBall
from prdp.solvers.iterate import Iterated, Record, iterate
from prdp.solvers.jacobi import Jacobi
from prdp.solvers.lbfgs import LBFGS
from prdp.solvers.multigrid import Multigrid
from prdp.solvers.pcg import PCG
from prdp.solvers.preconditioned import PRECONDITIONERS, Preconditioned
from prdp.solvers.preconditioner import Approximate, Diagonal, Preconditioner
from prdp.solvers.richardson import Richardson
from prdp.solvers.ssor import SSOR
from prdp.solvers.status import Status
from prdp.solvers.steepest_descent import SteepestDescent

__all__ = [
    "GMRES",
    "LBFGS",
    "PCG",
    "PRECONDITIONERS",
    "SSOR",
    "Approximate",
    "BiCGStab",
    "Chebyshev",
    "ConjugateGradient",
    "Diagonal",
    "Direct",
    "Fourier",
    "GradientDescent",
    "HeavyBall",
    "Iterated",
    "Jacobi",
    "Multigrid",
    "Preconditioned",
    "Preconditioner",
    "Record",
    "Richardson",
    "Solver",
    "Status",
    "SteepestDescent",
    "iterate",
    "solve_directly",
    "start",
]
