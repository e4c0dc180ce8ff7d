"""Linear operators, matrix-free stencils and per-system norms."""

from prdp.linalg.batches import invert_each, solve_each
from prdp.linalg.coarsening import coarsen
from prdp.linalg.coupled import CoupledStencil, couple
from prdp.linalg.cycle import VCycle, exact_inverse
from prdp.linalg.functional import FunctionOperator, from_lineax
from prdp.linalg.inputs import System, as_system
from prdp.linalg.inverses import (
    Inverse,
    Polynomial,
    Relaxation,
    Scaling,
    apart,
    inverse_diagonal,
    scaled_bound,
)
from prdp.linalg.norms import inner, norm, power_of_two_scale, relative_norm, scaled_norm
from prdp.linalg.operators import Dense, Operator
from prdp.linalg.promotion import promoting
from prdp.linalg.rounding import rounding_level
from prdp.linalg.sparse import Sparse, from_bcoo, from_scipy
from prdp.linalg.stencils import (
    BOUNDARIES,
    Stencil,
    backward_difference,
    forward_difference,
    identity,
    laplacian,
)
from prdp.linalg.transfer import Transfer
from prdp.linalg.varying import vary_alike

__all__ = [
    "BOUNDARIES",
    "CoupledStencil",
    "Dense",
    "FunctionOperator",
    "Inverse",
    "Operator",
    "Polynomial",
    "Relaxation",
    "Scaling",
    "Sparse",
    "Stencil",
    "System",
    "Transfer",
    "VCycle",
    "apart",
    "as_system",
    "backward_difference",
    "coarsen",
    "couple",
    "exact_inverse",
    "forward_difference",
    "from_bcoo",
    "from_lineax",
    "from_scipy",
    "identity",
    "inner",
    "inverse_diagonal",
    "invert_each",
    "laplacian",
    "norm",
    "power_of_two_scale",
    "promoting",
    "relative_norm",
    "rounding_level",
    "scaled_bound",
    "scaled_norm",
    "solve_each",
    "vary_alike",
]
