"""The classic residual network, in 1D, 2D and 3D."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from prdp.checks import integer, one_of
from prdp.models.convolution import METHODS, PADDINGS, Convolution, use_winograd
from prdp.models.mlp import DEEPEST, WIDEST


class ResNet(nnx.Module):
    """Lifting (1x1), `blocks` residual blocks of two 3-wide convolutions, projection (1x1).

    A block is `relu(x + conv(relu(conv(x))))`: activation after the sum, no normalisation. Weights and biases
    start uniform in `(-1/sqrt(n), 1/sqrt(n))`, `n` the inputs of one output, as in the released code.

    Args:
        shape: shape of one field, `(channels, *space)`.
        channels: hidden channels.
        blocks: residual blocks.
        boundary: `periodic` (circular padding) or `dirichlet` (zero padding).
        convolution: `auto`, `direct` or `winograd`, see `Convolution`.
        rngs: key of the initialisation.
        dtype: of the parameters.

    Raises:
        ValueError: If an argument is outside its range, or `winograd` does not suit the grid.

    Source: He et al. 2016; paper, appendices F.2 to F.4.
    """

    # Fields go in, fields of the same shape come out: nobody needs to try.
    keeps_shape: ClassVar[bool] = True

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        blocks: int,
        boundary: str,
        convolution: str = "auto",
        *,
        rngs: nnx.Rngs,
        dtype: Any = None,
    ):
        one_of("convolution", convolution, METHODS)
        integer("channels", channels, 1, WIDEST)
        integer("blocks", blocks, 1, DEEPEST)
        one_of("boundary", boundary, tuple(PADDINGS))
        use_winograd(convolution, tuple(shape)[1:])
        self.shape, self.convolution = tuple(shape), convolution
        dimensions = len(self.shape) - 1

        def convolution_of(n_in: int, n_out: int, width: int) -> Convolution:
            return Convolution(n_in, n_out, width, dimensions, boundary, convolution, rngs=rngs, dtype=dtype)

        self.lift = convolution_of(self.shape[0], channels, 1)
        self.blocks = nnx.List(
            nnx.List([convolution_of(channels, channels, 3) for _ in range(2)]) for _ in range(blocks)
        )
        self.project = convolution_of(channels, self.shape[0], 1)

    @property
    def loops_well(self) -> bool:
        """Whether the network is as fast inside a compiled loop as outside: XLA's convolutions on CPUs are not."""
        return jax.default_backend() != "cpu" or use_winograd(self.convolution, self.shape[1:])

    def __call__(self, u: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch_and_shape"]:
        """Return the network's prediction, a field of the shape of `u`."""
        # Convolutions are channels last, with one batch axis.
        batch = u.shape[: u.ndim - len(self.shape)]
        x = self.lift(jnp.moveaxis(u.reshape(-1, *self.shape), 1, -1))
        for first, second in self.blocks:
            x = jax.nn.relu(x + second(jax.nn.relu(first(x))))
        return jnp.moveaxis(self.project(x), -1, 1).reshape(*batch, *self.shape)
