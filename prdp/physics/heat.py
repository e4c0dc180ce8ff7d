"""Heat diffusion in any dimension, by backward Euler in time and central differences in space."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from prdp.checks import one_of
from prdp.linalg import BOUNDARIES, Operator, identity, laplacian
from prdp.physics.base import TimeStepper


@dataclass(frozen=True)
class Heat(TimeStepper):
    """`du/dt = nu Laplace(u)` on the unit interval, square or cube.

    One time step solves `(I - nu dt L) u[t+1] = u[t]` (BTCS) with the Laplacian `L`. The system is symmetric positive
    definite. A time step multiplies a discrete sine mode with `k_i` half waves along axis `i` exactly by

        1 / (1 + nu dt sum_i (4/h^2) sin^2(k_i pi h / 2)).

    Nondimensional: lengths are in units of the domain, and `nu dt` in units of its square. Good values are those of
    the paper: nu = 1e-3, dt = 1, with 30 points per axis (1D, 2D) or 20 points per axis (3D).

    Args:
        dimensions: 1, 2 or 3.
        points: unknowns per axis.
        diffusivity: nu > 0.
        time_step: dt > 0.
        boundary: `dirichlet` (u = 0 on the boundary, h = 1/(points+1)) or `periodic` (h = 1/points). The paper says
            periodic in appendix D and Dirichlet in F.2. Dirichlet reproduces its K_epsilon of 25, 43 and 30.

    Raises:
        ValueError: If an argument is outside its range.

    Source: paper, eqs. 24-36.
    """

    dimensions: int
    points: int
    diffusivity: float = 1e-3
    time_step: float = 1.0
    boundary: str = "dirichlet"

    def __post_init__(self) -> None:
        self.check_parameters(dimensions=(1, 2, 3))
        one_of("boundary", self.boundary, tuple(BOUNDARIES))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state, `(1, points, ...)`."""
        return (1,) + (self.points,) * self.dimensions

    @property
    def spacing(self) -> float:
        """The grid spacing h."""
        return 1.0 / (self.points + 1 if self.boundary == "dirichlet" else self.points)

    def grid(self) -> tuple[Any, ...]:
        """Return the coordinates of the points along each axis."""
        first = self.spacing if self.boundary == "dirichlet" else 0.0
        return (first + self.spacing * np.arange(self.points),) * self.dimensions

    def operator(self, prior: Any = None) -> Operator:
        """Return `I - nu dt L`."""
        args = (self.shape, self.dimensions)
        diffusion = laplacian(*args, self.spacing, self.boundary)
        return identity(*args, self.boundary) - self.diffusivity * self.time_step * diffusion

    def rhs(self, prior: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the previous state unchanged."""
        return prior
