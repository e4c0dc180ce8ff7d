"""A parameter vector wrapped as a module, for inverse problems without a network."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from prdp.checks import is_number, shown


class Parameters(nnx.Module):
    """The unknown vector `theta` of an inverse problem.

    Args:
        initial: the initial guess, which is deterministic.
        dtype: the type of the vector, by default JAX's default float.

    Raises:
        ValueError: If a component is not a finite number.
    """

    def __init__(self, initial: Sequence[float], dtype: Any = None):
        if not all(map(is_number, initial)):
            raise ValueError(f"initial={shown(list(initial))}: allowed are finite numbers")
        self.theta = nnx.Param(jnp.asarray(initial, dtype or jnp.result_type(float)))

    def __call__(self) -> Float[Array, "P"]:
        """Return `theta`, shape `(P,)`."""
        return self.theta[...]
