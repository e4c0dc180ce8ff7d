"""Inner products and norms per system.

Fields have shape `(*batch, *shape)`, where `shape` is the shape of one linear system and has `rank` axes. Every
function reduces over the trailing `rank` axes only, so each system of a batch gets its own value.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num


def _axes(rank: int) -> tuple[int, ...]:
    return tuple(range(-rank, 0))


def inner(u: Float[Array, "..."], v: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return `<u, v>` per system, shape `(*batch,)`."""
    return jnp.sum(u * v, axis=_axes(rank))


def norm(u: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return the 2-norm `||u||_2` per system, shape `(*batch,)`."""
    return jnp.sqrt(inner(u, u, rank))


def relative_norm(
    residual: Float[Array, "..."], rhs_norm: Float[Array, "..."], rank: int
) -> Float[Array, "..."]:
    """Return `||r||_2 / ||b||_2` per system (paper, eq. 6), or `||r||_2` where `||b||_2 = 0`; shape `(*batch,)`."""
    size = norm(residual, rank)
    safe = jnp.where(rhs_norm == 0, 1.0, rhs_norm)
    return size / safe


def power_of_two_scale(u: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return `s = 2^-e` with `max|s u|` in `[1/2, 1)` per system, with `rank` trailing axes of length one.

    Multiplying by a power of two is exact. Solving for `s b` and dividing by `s` therefore reproduces the unscaled
    solve bitwise, unless the latter underflows. This keeps an adjoint solve linear in its cotangent, and keeps
    float32 inner products from underflowing, however small the loss. Systems that are zero or non-finite get
    `s = 1`. The exponent `e` is clipped to [-126, 126].
    """
    largest = jnp.max(jnp.abs(u), axis=_axes(rank), keepdims=True)
    usable = jnp.isfinite(largest) & (largest > 0)
    _, exponent = jnp.frexp(jnp.where(usable, largest, 0.5))
    # 2^126 is the largest power of two whose inverse is not subnormal in float32.
    exponent = jnp.clip(exponent, -126, 126)
    return jnp.ldexp(jnp.ones_like(largest), -exponent)


def scaled_norm(u: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """Return `||u||_2` per system, shape `(*batch,)`, scaled so that squares neither underflow nor overflow."""
    scale = power_of_two_scale(u, rank)
    return norm(u * scale, rank) / jnp.squeeze(scale, _axes(rank))


def expand(per_system: Num[Array, "..."] | Bool[Array, "..."], rank: int) -> Array:
    """Append `rank` axes of length one, so that one value per system broadcasts against a field."""
    return per_system.reshape(per_system.shape + (1,) * rank)
