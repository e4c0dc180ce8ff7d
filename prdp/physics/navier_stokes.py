"""Incompressible Navier-Stokes in 2D: staggered grid, velocity and pressure coupled in one saddle-point system."""

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

    Channels are `u_1, u_2, p`. On the staggered (MAC) grid of `N x N` cells, `p[i,j]` sits in the centre of cell
    `(i, j)`, `u_1[i,j]` on its lower face in x and `u_2[i,j]` on its lower face in y. One time step solves

        [ I/dt + Gamma_1(u[t]) - nu L           0              G_1 ] [u_1]   [u_1[t]/dt]
        [           0              I/dt + Gamma_2(u[t]) - nu L G_2 ] [u_2] = [u_2[t]/dt]
        [          D_1                         D_2              0  ] [ p ]   [    0    ]

    with forward differences D, backward differences `G = -D^T`, and Gamma_c the upwind convection by the velocity
    of the previous state, interpolated to the points of component c (means of four neighbours). The matrix depends on
    the previous state, so its gradient is part of the VJP; it is neither symmetric nor definite.

    A constant pressure is in the null space of the matrix and of its transpose. It is pinned by adding
    `mean(p)/dt` to the third row (see `CoupledStencil`): as the right-hand side has `sum(b_3) = 0`, the solution is
    that of zero mean pressure, `u` is unchanged, and the adjoint system is regular for every cotangent.

    Nondimensional: lengths in units of the domain, densities in units of the fluid's. Good values: the paper's
    nu = 1e-4, dt = 0.1 with 48 points, velocities of order 1.

    Args:
        points: N, cells per axis.
        diffusivity: nu > 0, the kinematic viscosity.
        time_step: dt > 0.
        winds: `pointwise`: upwind by the velocity at the point itself, as in the released code; `averaged`: by the
            mean with the neighbour on the upwind side (paper, eqs. 45 and 46).

    Raises:
        ValueError: an argument is outside its range.

    Source: paper, appendix D.7, eqs. 50-55, momentum rows divided by dt as in the released code (eq. 55 multiplies
    them by dt, but not G); Harlow & Welch 1965.
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
        """`(3, points, points)`: two velocities and the pressure."""
        return (3, self.points, self.points)

    @property
    def initial_channels(self) -> int:
        """Two velocities; the pressure follows."""
        return 2

    def grid(self) -> tuple[Any, ...]:
        """Return the coordinates of the cells' lower faces along each axis."""
        return (np.arange(self.points) / self.points,) * 2

    def operator(self, prior: Any = None) -> Operator:
        """Return the saddle-point matrix at states `u` of shape `(*batch, 3, N, N)`, one a state."""
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
        """Return both velocities at the points of `u_1`, then at those of `u_2`."""
        own = [prior[..., c, :, :] for c in (0, 1)]
        out = []
        for c in (0, 1):
            here, other = c - 2, -1 - c
            w = own[1 - c]
            # Towards the lower face of its own axis, and away from the lower face of the other's.
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
        """Return `(u_1/dt, u_2/dt, 0)`; the previous pressure plays no part."""
        weights = jnp.asarray([1 / self.time_step] * 2 + [0.0], prior.dtype)
        return prior * weights[:, None, None]

    def divergence(self, state: Any) -> Any:
        """Return `D u`, shape `(*batch, N, N)`; for NumPy and JAX arrays alike."""
        xp = np if isinstance(state, np.ndarray) else jnp
        u, v = state[..., 0, :, :], state[..., 1, :, :]
        return self.points * (xp.roll(u, -1, -2) - u + xp.roll(v, -1, -1) - v)

    def solve_pressure(self, divergence: np.ndarray) -> np.ndarray:
        """Return `p` of zero mean with `D G p = divergence` (zero mean too), float64, by fast Fourier transform."""
        half = np.pi * np.arange(self.points) / self.points
        one = -((2 * self.points * np.sin(half)) ** 2)
        eigenvalues = one[:, None] + one[None, :]
        eigenvalues[0, 0] = 1.0
        spectrum = np.fft.fft2(divergence) / eigenvalues
        spectrum[..., 0, 0] = 0.0
        return np.fft.ifft2(spectrum).real

    def initial_state(self, fields: np.ndarray) -> np.ndarray:
        """Return states from velocities `(samples, 2, N, N)`: their divergence-free part `u - G q`, no pressure."""
        pressure = np.zeros_like(fields[:, :1])
        potential = self.solve_pressure(self.divergence(np.concatenate([fields, pressure], axis=1)))
        gradient = [self.points * (potential - np.roll(potential, 1, axis)) for axis in (-2, -1)]
        return np.concatenate([fields - np.stack(gradient, axis=1), pressure], axis=1)
