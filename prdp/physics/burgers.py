"""Burgers' equation in 1D and 2D: upwind in space, implicit in time, linearised about the previous state."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from prdp.linalg import Operator, Stencil, backward_difference, forward_difference, identity, laplacian
from prdp.physics.base import TimeStepper


@dataclass(frozen=True)
class Burgers(TimeStepper):
    """`du/dt + (u . grad) u = nu Laplace(u)` on the periodic unit interval or square, one channel per axis.

    One time step solves the Oseen problem

        (I + dt Gamma(u[t]) - nu dt L) u[t+1] = u[t],
        Gamma(w) = sum_i diag(max((w_i(x - e_i) + w_i(x))/2, 0)) B_i + diag(min((w_i(x + e_i) + w_i(x))/2, 0)) F_i,

    with backward and forward differences B and F and the Laplacian L. `A` is not symmetric. It depends on the previous
    state, so the VJP includes its gradient.

    Nondimensional: lengths are in units of the domain. Good values are those of the paper: nu = 1e-3, dt = 0.01 and
    256 points (1D).

    Args:
        dimensions: 1 or 2.
        points: unknowns per axis and channel.
        diffusivity: nu > 0.
        time_step: dt > 0.

    Raises:
        ValueError: If an argument is outside its range.

    Source: paper, eqs. 37-49, with corrections. Eq. 39 has max(., 0) with the forward difference where min(., 0) is
    meant, and eqs. 41 and 48 misplace dt and a channel. Eq. 42, applied to every channel, is correct.
    """

    dimensions: int
    points: int
    diffusivity: float = 1e-3
    time_step: float = 0.01
    operator_is_constant: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.check_parameters(dimensions=(1, 2))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state, `(dimensions, points, ...)`."""
        return (self.dimensions,) + (self.points,) * self.dimensions

    def grid(self) -> tuple[Any, ...]:
        """Return the coordinates of the points along each axis."""
        return (np.arange(self.points) / self.points,) * self.dimensions

    def operator(self, prior: Any = None) -> Operator:
        """Return `I + dt Gamma(u) - nu dt L` for states `u` of shape `(*batch, *shape)`, one operator per state."""
        args = (self.shape, self.dimensions)
        spacing = 1 / self.points
        diffusion = laplacian(*args, spacing, "periodic")
        implicit = identity(*args, "periodic") - self.diffusivity * self.time_step * diffusion
        return implicit + self.time_step * self._advection(prior, spacing)

    def _advection(self, winds: Float[Array, "..."], spacing: float) -> Stencil:
        args = (self.shape, self.dimensions, spacing, "periodic")
        terms = []
        for i in range(self.dimensions):
            axis = i - self.dimensions
            # All channels are advected by the same wind.
            w = jnp.expand_dims(jnp.take(winds, i, axis=-1 - self.dimensions), -1 - self.dimensions)
            from_below = jnp.maximum((jnp.roll(w, 1, axis) + w) / 2, 0)
            from_above = jnp.minimum((jnp.roll(w, -1, axis) + w) / 2, 0)
            terms.append(
                from_below * backward_difference(*args, i) + from_above * forward_difference(*args, i)
            )
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def rhs(self, prior: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the previous state unchanged."""
        return prior
