"""A bare parameter vector in a module's clothes, for inverse problems without a network."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from prdp.checks import is_number, shown


class Parameters(nnx.Module):
    """The vector `theta` that an inverse problem looks for.

    Args:
        initial: its initial guess; there is no randomness.
        dtype: of the vector.

    Raises:
        ValueError: If a component is not a finite number.
    """

    def __init__(self, initial: Sequence[float], dtype: Any = None):
        if not all(map(is_number, initial)):
            raise ValueError(f"initial={shown(list(initial))}: allowed are finite numbers")
        self.theta = nnx.Param(jnp.asarray(initial, dtype or jnp.result_type(float)))

    def __call__(self) -> Float[Array, "P"]:
        """Return `theta`."""
        return self.theta[...]
