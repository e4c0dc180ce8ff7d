"""The smallest residual that the working precision allows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.norms import norm
from prdp.linalg.operators import Operator


def rounding_level(operator: Operator, value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `||A w||_2` per system with `w_i = +-(eps/2) |u_i|`: the effect of rounding `u` on the residual.

    Near the solution, no floating-point `u` has a residual much smaller than this, and evaluating `A u` incurs
    rounding errors of the same size. The signs come from a fixed hash of the index, which makes `w` as rough as
    actual rounding errors. Costs one product with `A`.

    Args:
        operator: `A`.
        value: `u`, shape `(*batch, *shape)`.

    Returns:
        The norms, shape `(*batch,)`.

    Source: Higham, *Accuracy and Stability of Numerical Algorithms*, section 7.1.
    """
    index = jax.lax.iota(jnp.uint32, operator.size) * jnp.uint32(2654435761)
    odd = ((index >> jnp.uint32(16)) & jnp.uint32(1)).reshape(operator.shape) == 1
    size = jnp.abs(value) * jnp.asarray(jnp.finfo(value.dtype).eps / 2, value.dtype)
    odd = odd.reshape((1,) * (value.ndim - odd.ndim) + odd.shape)
    return norm(operator.mv(jnp.where(odd, -size, size)), operator.rank)
