"""The classic residual network, in 1D, 2D and 3D."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

PADDINGS = {"periodic": "CIRCULAR", "dirichlet": "SAME"}


class ResNet(nnx.Module):
    """Lifting (1x1), `blocks` residual blocks of two 3-wide convolutions, projection (1x1).

    A block is `relu(x + conv(relu(conv(x))))`: activation after the sum, no normalisation. Weights and biases
    start uniform in `(-1/sqrt(n), 1/sqrt(n))`, `n` the inputs of one output, as in the released code.

    Args:
        shape: shape of one field, `(channels, *space)`.
        channels: hidden channels.
        blocks: residual blocks.
        boundary: `periodic` (circular padding) or `dirichlet` (zero padding).
        rngs: key of the initialisation.
        dtype: of the parameters.

    Source: He et al. 2016; paper, appendices F.2 to F.4.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        blocks: int,
        boundary: str,
        *,
        rngs: nnx.Rngs,
        dtype: Any = None,
    ):
        self.shape = tuple(shape)
        dimensions = len(self.shape) - 1

        def convolution(n_in: int, n_out: int, width: int) -> nnx.Conv:
            bound = 1 / math.sqrt(n_in * width**dimensions)

            def uniform(key: Array, shape: Sequence[int], dtype: Any, **_: object) -> Array:
                return jax.random.uniform(key, shape, dtype, -bound, bound)

            return nnx.Conv(
                n_in,
                n_out,
                (width,) * dimensions,
                padding=PADDINGS[boundary],
                kernel_init=uniform,
                bias_init=uniform,
                param_dtype=dtype or jnp.float32,
                rngs=rngs,
            )

        self.lift = convolution(self.shape[0], channels, 1)
        self.blocks = nnx.List(
            nnx.List([convolution(channels, channels, 3) for _ in range(2)]) for _ in range(blocks)
        )
        self.project = convolution(channels, self.shape[0], 1)

    def __call__(self, u: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch_and_shape"]:
        """Return the network's prediction, a field of the shape of `u`."""
        axis = u.ndim - len(self.shape)
        # Convolutions are channels last.
        x = self.lift(jnp.moveaxis(u, axis, -1))
        for first, second in self.blocks:
            x = jax.nn.relu(x + second(jax.nn.relu(first(x))))
        return jnp.moveaxis(self.project(x), -1, axis)
