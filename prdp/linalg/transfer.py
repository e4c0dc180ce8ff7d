"""Linear interpolation between a grid and one with half as many points, along one axis, and its transpose."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclass(frozen=True)
class Transfer:
    """Interpolation along one axis from `coarse` to `points` points.

    Fine point `f` lies between the coarse points `m` and `m + 1`, `m = floor(f/2)`, and has the value

        u_f = (1 - t_f) c_m + t_f c_(m+1).

    On a `dirichlet` axis, points count from 1, and 0 and `coarse + 1` are boundary points with the value zero. On a
    `periodic` axis they count from 0 and wrap around.

    * `uniform=True`: both grids are uniform, `t_f = r f - m` with the ratio `r` of fine to coarse spacing.
    * `uniform=False`: the coarse points are every second fine point, `t_f` is 0 or 1/2. If the number of points is
      even (Dirichlet) or odd (periodic), the last coarse interval is shorter than the others.

    Both are the same if the number of points is odd (Dirichlet) or even (periodic).

    Args:
        axis: the axis of fields, negative.
        points: the number of fine points, at least 2.
        boundary: `dirichlet` or `periodic`.
        uniform: see above.

    Source: Trottenberg, Oosterlee & Schüller, *Multigrid*, sections 2.3.3 and 2.3.4.
    """

    axis: int
    points: int
    boundary: str
    uniform: bool

    @property
    def coarse(self) -> int:
        """The number of coarse points."""
        return self.points // 2 if self.boundary == "dirichlet" else (self.points + 1) // 2

    @property
    def ratio(self) -> float:
        """`r`, the fine spacing divided by the coarse one."""
        if self.boundary == "dirichlet":
            return (self.coarse + 1) / (self.points + 1)
        return self.coarse / self.points

    def interpolate(self, coarse: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the values at the fine points."""
        axis, shape = self.axis, coarse.shape
        if self.boundary == "dirichlet":
            left, right = _pad(coarse, axis, 1, 0), _pad(coarse, axis, 0, 1)
        else:
            left, right = coarse, jnp.roll(coarse, -1, axis)
        even, odd = self._weights(coarse.dtype)
        change = right - left
        pairs = jnp.stack([left + even * change, left + odd * change], coarse.ndim + axis + 1)
        flat = pairs.reshape(*shape[: coarse.ndim + axis], -1, *shape[coarse.ndim + axis + 1 :])
        first = 1 if self.boundary == "dirichlet" else 0
        return jax.lax.slice_in_dim(flat, first, first + self.points, axis=coarse.ndim + axis)

    def restrict(self, fine: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `r` times the transposed interpolation, which keeps constants away from a Dirichlet boundary."""
        axis = fine.ndim + self.axis
        dirichlet = self.boundary == "dirichlet"
        pairs = self.coarse + 1 if dirichlet else self.coarse
        first = 1 if dirichlet else 0
        f = _pad(fine, self.axis, first, 2 * pairs - first - self.points)
        even, odd = (jax.lax.slice_in_dim(f, start, None, 2, axis) for start in (0, 1))
        t, s = self._weights(fine.dtype)
        right = t * even + s * odd
        left = even + odd - right
        if dirichlet:
            total = jax.lax.slice_in_dim(left, 1, pairs, axis=axis) + jax.lax.slice_in_dim(
                right, 0, pairs - 1, axis=axis
            )
        else:
            total = left + jnp.roll(right, 1, axis)
        return self.ratio * total

    def _weights(self, dtype: np.dtype) -> tuple[Array | float, Array | float]:
        """Return `t_f` of the even and the odd fine points, as numbers if they are all the same."""
        if not self.uniform or abs(self.ratio - 0.5) < 1e-12:
            return 0.0, 0.5
        pairs = self.coarse + 1 if self.boundary == "dirichlet" else self.coarse
        m = np.arange(pairs)
        even, odd = 2 * m * self.ratio - m, (2 * m + 1) * self.ratio - m
        shape = (-1, *(1,) * (-self.axis - 1))
        return jnp.asarray(even, dtype).reshape(shape), jnp.asarray(odd, dtype).reshape(shape)


def _pad(x: Array, axis: int, before: int, after: int) -> Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return jnp.pad(x, widths)
