"""Incompressible Navier-Stokes in 2D on a staggered grid, as one saddle-point system for velocity and pressure."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from prdp.checks import one_of
from prdp.linalg import (
    Operator,
    Stencil,
    backward_difference,
    couple,
    forward_difference,
    identity,
    laplacian,
)
from prdp.physics.base import TimeStepper

WINDS = ("pointwise", "averaged")


@dataclass(frozen=True)
class NavierStokes(TimeStepper):
    """`du/dt + (u . grad) u = -grad p + nu Laplace(u)`, `div u = 0`, on the periodic unit square.

    Channels are `u_1, u_2, p`. On the staggered (MAC) grid of `N x N` cells, `p[i,j]` is located at the centre of cell
    `(i, j)`, `u_1[i,j]` on its lower face in x, and `u_2[i,j]` on its lower face in y. One time step solves

        [ I/dt + Gamma_1(u[t]) - nu L           0              G_1 ] [u_1]   [u_1[t]/dt]
        [           0              I/dt + Gamma_2(u[t]) - nu L G_2 ] [u_2] = [u_2[t]/dt]
        [          D_1                         D_2              0  ] [ p ]   [    0    ]

    with forward differences D, backward differences `G = -D^T` and the Laplacian L. Gamma_c is the upwind convection
    by the velocity of the previous state, interpolated to the points of component c (means of four neighbours). The
    matrix is neither symmetric nor definite. It depends on the previous state, so the VJP includes its gradient.

    A constant pressure is in the null space of the matrix and of its transpose. Adding `mean(p)/dt` to the third row
    pins it (see `CoupledStencil`). Since the right-hand side has `sum(b_3) = 0`, the solution has zero mean pressure
    and the same velocity `u`. The adjoint system is nonsingular for every cotangent.

    Nondimensional: lengths are in units of the domain, and densities in units of the density of the fluid. Good
    values are those of the paper: nu = 1e-4, dt = 0.1, 48 points and velocities of order 1.

    Args:
        points: N, cells per axis.
        diffusivity: nu > 0, the kinematic viscosity.
        time_step: dt > 0.
        winds: the velocity that determines the upwind direction. `pointwise` uses the velocity at the point, as in
            the released code; `averaged` uses its mean with the neighbour on the upwind side (paper, eqs. 45 and 46).

    Raises:
        ValueError: If an argument is outside its range.

    Source: paper, appendix D.7, eqs. 50-55; Harlow & Welch 1965. As in the released code, the momentum rows are
    divided by dt (eq. 55 multiplies them by dt, except for G).
    """

    points: int
    diffusivity: float = 1e-4
    time_step: float = 0.1
    winds: str = "pointwise"
    dimensions: ClassVar[int] = 2  # type: ignore[misc]
    operator_is_constant: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.check_parameters(dimensions=(2,))
        one_of("winds", self.winds, tuple(WINDS))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state, `(3, points, points)`: two velocity components and the pressure."""
        return (3, self.points, self.points)

    @property
    def initial_channels(self) -> int:
        """Two velocity components; the pressure is not part of the initial condition."""
        return 2

    def grid(self) -> tuple[Any, ...]:
        """Return the coordinates of the cells' lower faces along each axis."""
        return (np.arange(self.points) / self.points,) * 2

    def operator(self, prior: Any = None) -> Operator:
        """Return the saddle-point operator for states of shape `(*batch, 3, N, N)`, one operator per state."""
        args = (self.shape[1:], 2, 1 / self.points, "periodic")
        rest = (1 / self.time_step) * identity(self.shape[1:], 2, "periodic") - self.diffusivity * laplacian(
            *args
        )
        blocks: dict[tuple[int, int], Stencil] = {}
        for component, winds in enumerate(self._winds(prior)):
            blocks[component, component] = rest + self._convection(winds)
            blocks[component, 2] = backward_difference(*args, component)
            blocks[2, component] = forward_difference(*args, component)
        return couple(blocks, pins={2: 1 / self.time_step})

    def _winds(self, prior: Any) -> list[list[Any]]:
        """Return both velocity components at the points of `u_1`, then at the points of `u_2`."""
        own = [prior[..., c, :, :] for c in (0, 1)]
        out = []
        for c in (0, 1):
            here, other = c - 2, -1 - c
            w = own[1 - c]
            # Average along axis c towards the lower face, and along the other axis away from the lower face.
            w = (w + jnp.roll(w, 1, here)) / 2
            w = (w + jnp.roll(w, -1, other)) / 2
            out.append([own[0], w] if c == 0 else [w, own[1]])
        return out

    def _convection(self, winds: list[Any]) -> Stencil:
        args = (self.shape[1:], 2, 1 / self.points, "periodic")
        terms = []
        for axis, w in enumerate(winds):
            below, above = w, w
            if self.winds == "averaged":
                below = (jnp.roll(w, 1, axis - 2) + w) / 2
                above = (jnp.roll(w, -1, axis - 2) + w) / 2
            terms.append(jnp.maximum(below, 0) * backward_difference(*args, axis))
            terms.append(jnp.minimum(above, 0) * forward_difference(*args, axis))
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def rhs(self, prior: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `(u_1/dt, u_2/dt, 0)`. The previous pressure is not used."""
        weights = jnp.asarray([1 / self.time_step] * 2 + [0.0], prior.dtype)
        return prior * weights[:, None, None]

    def divergence(self, state: Any) -> Any:
        """Return `D u`, shape `(*batch, N, N)`, for NumPy or JAX arrays."""
        xp = np if isinstance(state, np.ndarray) else jnp
        u, v = state[..., 0, :, :], state[..., 1, :, :]
        return self.points * (xp.roll(u, -1, -2) - u + xp.roll(v, -1, -1) - v)

    def solve_pressure(self, divergence: np.ndarray) -> np.ndarray:
        """Return the zero-mean `p` with `D G p = divergence` (also of zero mean), in float64, by FFT."""
        half = np.pi * np.arange(self.points) / self.points
        one = -((2 * self.points * np.sin(half)) ** 2)
        eigenvalues = one[:, None] + one[None, :]
        eigenvalues[0, 0] = 1.0
        spectrum = np.fft.fft2(divergence) / eigenvalues
        spectrum[..., 0, 0] = 0.0
        return np.fft.ifft2(spectrum).real

    def initial_state(self, fields: np.ndarray) -> np.ndarray:
        """Return states `(samples, 3, N, N)` from velocities: their divergence-free part `u - G q`, zero pressure."""
        pressure = np.zeros_like(fields[:, :1])
        potential = self.solve_pressure(self.divergence(np.concatenate([fields, pressure], axis=1)))
        gradient = [self.points * (potential - np.roll(potential, 1, axis)) for axis in (-2, -1)]
        return np.concatenate([fields - np.stack(gradient, axis=1), pressure], axis=1)
