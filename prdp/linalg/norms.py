"""Inner products and norms of one system at a time.

Fields have shape `(*batch, *shape)`, where `shape` (of rank `rank`) is that of one linear system. Every
function here reduces over the trailing `rank` axes only, so that each system of a batch has its own number.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num


def _axes(rank: int) -> tuple[int, ...]:
    return tuple(range(-rank, 0))


def inner(u: Float[Array, "..."], v: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return `<u, v>` of each system, shape `(*batch,)`."""
    return jnp.sum(u * v, axis=_axes(rank))


def norm(u: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return the 2-norm `||u||_2` of each system, shape `(*batch,)`."""
    return jnp.sqrt(inner(u, u, rank))


def relative_norm(
    residual: Float[Array, "..."], rhs_norm: Float[Array, "..."], rank: int
) -> Float[Array, "..."]:
    """Return `||r||_2 / ||b||_2` (paper, eq. 6), and 0 where `||b||_2 = 0 = ||r||_2`."""
    size = norm(residual, rank)
    safe = jnp.where(rhs_norm == 0, 1.0, rhs_norm)
    return size / safe


def power_of_two_scale(u: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return `s = 2^-e` with `max|s u|` in `[1/2, 1)` for each system, shaped to multiply `u`.

    A multiplication by a power of two is exact, so solving for `s b` and dividing by `s` gives the bits of the
    unscaled solve wherever that one does not underflow. This is what keeps an adjoint solve linear in its
    cotangent, and float32 inner products away from zero, however small the loss. Zero or non-finite
    systems get `s = 1`; above 2^126, `s` is its inverse.
    """
    largest = jnp.max(jnp.abs(u), axis=_axes(rank), keepdims=True)
    usable = jnp.isfinite(largest) & (largest > 0)
    _, exponent = jnp.frexp(jnp.where(usable, largest, 0.5))
    # 2^126 is the largest power of two that float32 can both hold and divide by without a subnormal.
    exponent = jnp.clip(exponent, -126, 126)
    return jnp.ldexp(jnp.ones_like(largest), -exponent)


def scaled_norm(u: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return `||u||_2` of each system without squares that underflow or overflow."""
    scale = power_of_two_scale(u, rank)
    return norm(u * scale, rank) / jnp.squeeze(scale, _axes(rank))


def expand(per_system: Num[Array, "..."] | Bool[Array, "..."], rank: int) -> Array:
    """Append `rank` axes of length one, so that a number per system multiplies a field."""
    return per_system.reshape(per_system.shape + (1,) * rank)
