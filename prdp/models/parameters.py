"""A bare parameter vector in a module's clothes, for inverse problems without a network."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Parameters(nnx.Module):
    """The vector `theta` that an inverse problem looks for.

    Args:
        initial: its initial guess; there is no randomness.
        dtype: of the vector.
    """

    def __init__(self, initial: Sequence[float], dtype: Any = None):
        self.theta = nnx.Param(jnp.asarray(initial, dtype or jnp.result_type(float)))

    def __call__(self) -> Float[Array, "P"]:
        """Return `theta`."""
        return self.theta[...]
