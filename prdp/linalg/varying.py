"""Loop carries inside `jax.shard_map`."""

import jax.numpy as jnp
from jaxtyping import Array


def vary_like(x: Array, *others: Array) -> Array:
    """Return `x`, which then differs, to JAX, between devices along each axis along which one of `others` does.

    Inside `jax.shard_map` (with `check_vma`), a loop's carry must have the type of what its body returns. Constants
    such as zeros are the same on all devices; what depends on data is not. The choice made here is between `x` and
    `x`: XLA removes it.
    """
    for other in others:
        x = jnp.where(jnp.any(other != other), x, x)
    return x
