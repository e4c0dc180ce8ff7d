"""Iterative and direct linear solvers, one per file, and the loop that runs them."""

from prdp.solvers.base import Solver, start
from prdp.solvers.bicgstab import BiCGStab
from prdp.solvers.conjugate_gradient import ConjugateGradient
from prdp.solvers.direct import Direct, solve_directly
from prdp.solvers.gmres import GMRES
from prdp.solvers.gradient_descent import GradientDescent
from prdp.solvers.heavy_ball import HeavyBall
from prdp.solvers.iterate import Iterated, Record, iterate
from prdp.solvers.jacobi import Jacobi
from prdp.solvers.lbfgs import LBFGS
from prdp.solvers.preconditioned import PRECONDITIONERS, Diagonal, Fourier, Preconditioned, Preconditioner
from prdp.solvers.richardson import Richardson
from prdp.solvers.status import Status
from prdp.solvers.steepest_descent import SteepestDescent

__all__ = [
    "GMRES",
    "LBFGS",
    "PRECONDITIONERS",
    "BiCGStab",
    "ConjugateGradient",
    "Diagonal",
    "Direct",
    "Fourier",
    "GradientDescent",
    "HeavyBall",
    "Iterated",
    "Jacobi",
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
