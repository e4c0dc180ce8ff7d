"""Multilayer perceptron on flattened fields."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from prdp.checks import integer

# A layer of this width takes 17 GB, and building more layers takes minutes before anything is computed.
WIDEST = 2**16
DEEPEST = 100


class MLP(nnx.Module):
    """A perceptron with `depth` hidden ReLU layers of `width` units, from a flattened field to a field of its shape.

    Weights and biases are initialised uniformly in `(-1/sqrt(n), 1/sqrt(n))`, where `n` is the number of inputs of the
    layer, as in the released code.

    Args:
        shape: shape of one field, `(channels, *space)`.
        width: units per hidden layer.
        depth: the number of hidden layers.
        rngs: the random keys for the initialisation.
        dtype: the type of the parameters, by default float32.

    Raises:
        ValueError: If `width` or `depth` is not an integer in its range.

    Source: paper, appendix F.2.
    """

    # Fields go in, fields of the same shape come out: nobody needs to try.
    keeps_shape: ClassVar[bool] = True

    def __init__(self, shape: Sequence[int], width: int, depth: int, *, rngs: nnx.Rngs, dtype: Any = None):
        integer("width", width, 1, WIDEST)
        integer("depth", depth, 1, DEEPEST)
        self.shape = tuple(shape)
        size = math.prod(shape)
        sizes = [size, *[width] * depth, size]
        self.layers = nnx.List(_linear(n_in, n_out, rngs, dtype) for n_in, n_out in pairwise(sizes))

    def __call__(self, u: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch_and_shape"]:
        """Return the prediction for fields `(*batch, *shape)`, of the same shape."""
        batch = u.shape[: u.ndim - len(self.shape)]
        x = u.reshape(*batch, -1)
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x).reshape(u.shape)


def _linear(n_in: int, n_out: int, rngs: nnx.Rngs, dtype: Any) -> nnx.Linear:
    bound = 1 / math.sqrt(n_in)

    def uniform(key: Array, shape: Sequence[int], dtype: Any, **_: object) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return nnx.Linear(
        n_in, n_out, kernel_init=uniform, bias_init=uniform, rngs=rngs, param_dtype=dtype or jnp.float32
    )
