"""Convolutions of width three on uniform grids, in the fastest form for the device."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from prdp.models.winograd import PADDINGS, TILE, winograd

METHODS = ("auto", "direct", "winograd")


class Convolution(nnx.Module):
    """`y(x) = b + sum_o w_o u(x + o)` over `o` in `{-h..h}^d`, channels last, on a periodic or zero-padded grid.

    Weights and biases are initialised uniformly in `(-1/sqrt(n), 1/sqrt(n))`, where `n` is the fan-in.

    Args:
        inputs: input channels.
        outputs: output channels.
        width: `2 h + 1`, 1 or 3.
        dimensions: d.
        boundary: `periodic` (circular padding) or `dirichlet` (zero padding).
        method: `direct` (XLA's convolution), `winograd`, or `auto` (`winograd` on CPUs if the grid allows it, otherwise
            `direct`).
        rngs: the random keys for the initialisation.
        dtype: the type of the parameters, by default float32.

    Raises:
        ValueError: If `method` is not one of these.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        dimensions: int,
        boundary: str,
        method: str = "auto",
        *,
        rngs: nnx.Rngs,
        dtype: Any = None,
    ):
        if method not in METHODS:
            raise ValueError(f"convolution={method!r}: allowed are {', '.join(METHODS)}")
        bound = 1 / math.sqrt(inputs * width**dimensions)
        dtype = dtype or jnp.float32

        def uniform(*shape: int) -> nnx.Param:
            return nnx.Param(jax.random.uniform(rngs.params(), shape, dtype, -bound, bound))

        self.kernel = uniform(*(width,) * dimensions, inputs, outputs)
        self.bias = uniform(outputs)
        self.boundary, self.method = boundary, method

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the convolution of `(batch, *grid, inputs)`, shape `(batch, *grid, outputs)`.

        Raises:
            ValueError: If the method is `winograd` and the grid does not allow it, see `use_winograd`.
        """
        kernel = self.kernel[...]
        if kernel.shape[0] == 1:
            return x @ kernel.reshape(kernel.shape[-2:]) + self.bias[...]
        convolve = winograd if use_winograd(self.method, x.shape[1:-1]) else direct
        return convolve(x, kernel, self.boundary) + self.bias[...]


def use_winograd(method: str, grid: Sequence[int]) -> bool:
    """Whether to convolve on `grid` by Winograd's method, which requires multiples of 4 points along each axis.

    Raises:
        ValueError: If `method` is `winograd` and the grid does not satisfy this.
    """
    fits = all(n % TILE == 0 for n in grid)
    if method == "winograd" and not fits:
        raise ValueError(
            f"convolution='winograd' on a grid of {tuple(grid)}: allowed are multiples of {TILE} along each axis"
        )
    return fits and (method == "winograd" or (method == "auto" and jax.default_backend() == "cpu"))


def direct(x: Array, kernel: Array, boundary: str) -> Array:
    """Return the convolution of `(batch, *grid, inputs)` with `(*width, inputs, outputs)`, computed by XLA."""
    padded = jnp.pad(x, [(0, 0), *[(1, 1)] * (x.ndim - 2), (0, 0)], mode=PADDINGS[boundary])
    space = "".join("xyz"[: x.ndim - 2])
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")
    return jax.lax.conv_general_dilated(padded, kernel, (1,) * len(space), "VALID", dimension_numbers=layout)
