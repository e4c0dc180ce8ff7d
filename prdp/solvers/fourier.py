"""The Fourier preconditioner of periodic stencils."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from prdp.linalg import CoupledStencil, Inverse, Operator, Stencil, invert_each
from prdp.linalg.operators import static
from prdp.solvers.base import safe_divide
from prdp.solvers.preconditioner import Preconditioner


@dataclass(frozen=True)
class Fourier(Preconditioner):
    """The exact inverse of the operator with every coefficient replaced by its mean over the periodic grid.

    That operator is block diagonal in Fourier modes: one matrix over the channels per wave vector k,
    `M_ij(k) = sum_o mean(c_ijo) exp(i k.o)`, with the pins added at `k = 0`. For constant coefficients, GMRES
    converges after one product. For Navier-Stokes, the preconditioner inverts the saddle-point operator of diffusion
    and mean (upwind) convection, including the modes of mean velocity and mean pressure.
    """

    def check(self, operator: Operator) -> None:
        """Check that the operator is a periodic stencil.

        Raises:
            ValueError: If it is not.
        """
        if not (isinstance(operator, Stencil | CoupledStencil) and operator.boundary == "periodic"):
            raise ValueError("the Fourier preconditioner needs a periodic stencil")

    def inverse(self, operator: Operator) -> "Spectrum":
        """Return the inverse, with `M(k)^-1` per wave vector."""
        assert isinstance(operator, Stencil | CoupledStencil)
        grid = operator.grid
        if isinstance(operator, Stencil):
            # A coefficient is common to all channels, or differs by channel.
            symbol = sum(
                _mean(c, len(grid)) * _phase(o, grid)
                for c, o in zip(operator.coefficients, operator.offsets, strict=True)
            )
            symbol = jnp.asarray(symbol)
            # Modes in the null space (such as the mean, for a periodic Laplacian) are set to zero.
            inverse = safe_divide(jnp.ones_like(symbol), symbol)
            return Spectrum(inverse, grid, False, operator.shape, operator.symmetric)
        channels = operator.shape[0]
        rows: list[list[Any]] = [[jnp.zeros(())] * channels for _ in range(channels)]
        for coefficient, (i, j, offset) in zip(operator.coefficients, operator.terms, strict=True):
            rows[i][j] = rows[i][j] + _mean(coefficient, len(grid)) * _phase(offset, grid)
        for i, strength in operator.pins:
            rows[i][i] = rows[i][i] + strength * _is_origin(grid)
        shape = jnp.broadcast_shapes(*(jnp.shape(entry) for row in rows for entry in row))
        matrix = jnp.stack([jnp.stack([jnp.broadcast_to(e, shape) for e in row], -1) for row in rows], -2)
        return Spectrum(invert_each(matrix), grid, True, operator.shape, operator.symmetric)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Spectrum(Inverse):
    """The operator with `M(k)^-1` per wave vector of a real FFT (half the last axis).

    Args:
        inverse: `M(k)^-1`, a scalar, or a matrix on two trailing axes.
        grid: the number of points along each grid axis.
        coupled: whether it is a matrix over the channels.
        shape: the shape of one system.
        symmetric: whether the operator is symmetric.
    """

    inverse: Any
    grid: tuple[int, ...] = static()
    coupled: bool = static()
    shape: tuple[int, ...] = static()
    symmetric: bool = static()

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P u`, by fast Fourier transforms."""
        axes = tuple(range(-len(self.grid), 0))
        spectrum = jnp.fft.rfftn(u, axes=axes)
        if self.coupled:
            channel = axes[0] - 1
            spectrum = jnp.moveaxis(spectrum, channel, -1)[..., None, :]
            spectrum = jnp.moveaxis(jnp.sum(self.inverse * spectrum, -1), -1, channel)
        else:
            spectrum = self.inverse * spectrum
        return jnp.fft.irfftn(spectrum, s=self.grid, axes=axes).astype(u.dtype)

    def transpose(self) -> "Spectrum":
        """Return `P^T`: the conjugate transpose for every wave vector."""
        conjugate = jnp.conj(self.inverse)
        return replace(self, inverse=jnp.swapaxes(conjugate, -1, -2) if self.coupled else conjugate)


def _mean(coefficient: Any, dimensions: int) -> Array:
    if jnp.ndim(coefficient) == 0:
        return jnp.asarray(coefficient)
    return jnp.mean(coefficient, axis=tuple(range(-dimensions, 0)), keepdims=True)


def _wave_numbers(grid: tuple[int, ...]) -> list[np.ndarray]:
    """Return `2 pi k/N` along each axis, shaped to broadcast. On the last axis, `k = 0..N/2`."""
    d = len(grid)
    angles = [2 * np.pi * np.arange(n if i < d - 1 else n // 2 + 1) / n for i, n in enumerate(grid)]
    return [a.reshape([-1 if i == j else 1 for j in range(d)]) for i, a in enumerate(angles)]


def _phase(offset: tuple[int, ...], grid: tuple[int, ...]) -> Array:
    total = sum(o * angle for o, angle in zip(offset, _wave_numbers(grid), strict=True))
    return jnp.asarray(np.exp(1j * total))


def _is_origin(grid: tuple[int, ...]) -> Array:
    return jnp.asarray(np.prod([a == 0 for a in np.broadcast_arrays(*_wave_numbers(grid))], axis=0), float)
