"""How small a residual can become in the arithmetic at hand."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.norms import norm
from prdp.linalg.operators import Operator


def rounding_level(operator: Operator, value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `||A w||_2` of each system with `w_i = +-(eps/2) |u_i|`: how far rounding `u` moves the residual.

    No stored `u` near the solution has a residual much below this, and the product `A u` has rounding errors of the
    same size. The signs are those of a fixed hash of the index, so that `w` is as rough as rounding errors are. Costs
    one product.

    Source: Higham, *Accuracy and Stability of Numerical Algorithms*, section 7.1.
    """
    index = jax.lax.iota(jnp.uint32, operator.size) * jnp.uint32(2654435761)
    odd = ((index >> jnp.uint32(16)) & jnp.uint32(1)).reshape(operator.shape) == 1
    size = jnp.abs(value) * jnp.asarray(jnp.finfo(value.dtype).eps / 2, value.dtype)
    odd = odd.reshape((1,) * (value.ndim - odd.ndim) + odd.shape)
    return norm(operator.mv(jnp.where(odd, -size, size)), operator.rank)
