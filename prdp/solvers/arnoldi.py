"""The Arnoldi process: an orthonormal basis of a Krylov space, and the operator's matrix in it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import Operator, power_of_two_scale
from prdp.linalg.varying import vary_like
from prdp.solvers.base import safe_divide

# A loop for each doubling of the number of vectors, from this: zeros in a basis take time as well.
SMALLEST_ROOM = 8


class Krylov(NamedTuple):
    """`s A v_j = sum_(i <= j+1) h_ij v_i` for `j = 1..m`.

    Attributes:
        basis: `v_1..v_m`, each of all `n` unknowns; zero from where the space is exhausted.
        last: `v_(m+1)`.
        hessenberg: `h`.
        beta: the norm of the vector that the basis begins with.
        scale: `s`, a power of two near `1/||A v_1||`.
    """

    basis: Float[Array, "*batch m n"]
    last: Float[Array, "*batch n"]
    hessenberg: Float[Array, "*batch rows m"]
    beta: Float[Array, "*batch"]
    scale: Float[Array, "*batch"]


def arnoldi(operator: Operator, start: Float[Array, "..."], size: int) -> Krylov:
    """Return an orthonormal basis of the Krylov space of `A` and `start`.

    Every image `w` is orthogonalised in one go against all vectors `V` before it, with the coefficients
    `(2 I - G) V^T w`, where `G = V^T V` is as measured: a first-order inverse of G. Rounding errors of earlier vectors
    are thus accounted for, as in modified Gram-Schmidt, in three passes over the basis instead of the four of doing
    the classical one twice. `s A V = V H` holds to rounding whatever the orthogonality.

    Non-finite systems get zeros.

    Args:
        operator: `A`.
        start: the first vector before normalisation, `(*batch, *shape)`.
        size: `m >= 1`.

    Source: Saad & Schultz 1986; Swirydowicz et al. 2021 (the inverse Gram matrix).
    """
    start = flatten(operator, start)
    beta = jnp.sqrt(jnp.sum(start * start, axis=-1))
    usable = (beta > 0) & (beta < jnp.inf)
    beta = jnp.where(usable, beta, 0)
    v = jnp.where(usable[..., None], start * _reciprocal(beta), 0)
    image = product(operator, v)
    # Products of images must neither overflow nor vanish, however the operator is scaled.
    scale = power_of_two_scale(flatten(operator, image), 1)
    state = _State.begin(v, image, size)

    def step(j: Array, state: _State) -> _State:
        state = _orthogonalise(scale, j, state)
        # Carried by the loop: XLA would compute an image again for each of its readers in the same turn.
        return state._replace(image=product(operator, state.next))

    begin, room = 0, SMALLEST_ROOM
    while begin < size - 1:
        end = min(room, size - 1)
        state = jax.lax.fori_loop(begin, end, step, state.widen(min(room, size)))
        begin, room = end, 2 * room
    state = _orthogonalise(scale, size - 1, state.widen(size))
    return Krylov(state.basis, state.next, jnp.swapaxes(state.columns, -1, -2), beta, scale[..., 0])


class _State(NamedTuple):
    """Vectors so far (zeros beyond), the next and its image, inner products, columns of the Hessenberg matrix."""

    basis: Array
    next: Array
    image: Array
    gram: Array
    columns: Array

    @classmethod
    def begin(cls, v: Array, image: Array, size: int) -> "_State":
        batch, n = v.shape[:-1], v.shape[-1]
        columns = vary_like(jnp.zeros((*batch, size, size + 1), v.dtype), image)
        nothing = jnp.zeros((*batch, 0, n), v.dtype), jnp.zeros((*batch, 0, 0), v.dtype)
        return cls(nothing[0], vary_like(v, image), image, nothing[1], columns)

    def widen(self, room: int) -> "_State":
        more = room - self.basis.shape[-2]
        batch = [(0, 0)] * (self.basis.ndim - 2)
        basis = jnp.pad(self.basis, [*batch, (0, more), (0, 0)])
        gram = jnp.pad(self.gram, [*batch, (0, more), (0, more)])
        return self._replace(basis=vary_like(basis, self.image), gram=vary_like(gram, self.image))


def _orthogonalise(scale: Array, j: Array | int, state: _State) -> _State:
    v = state.next
    basis = jax.lax.dynamic_update_slice_in_dim(state.basis, v[..., None, :], j, axis=-2)
    image = state.image.reshape(v.shape) * scale
    own, h = project(basis, v), project(basis, image)
    gram = jax.lax.dynamic_update_slice_in_dim(state.gram, own[..., None, :], j, axis=-2)
    gram = jax.lax.dynamic_update_slice_in_dim(gram, own[..., :, None], j, axis=-1)
    h = 2 * h - jnp.sum(gram * h[..., None, :], axis=-1)
    w = jax.lax.optimization_barrier(image - combine(h, basis))
    length = jnp.sqrt(jnp.sum(w * w, axis=-1, keepdims=True))
    whole = jnp.sqrt(jnp.sum(h * h, axis=-1, keepdims=True) + length**2)
    # What is left at rounding level has no direction of its own.
    length = jnp.where(length <= 10 * jnp.finfo(w.dtype).eps * whole, 0, length)
    column = jnp.pad(h, [(0, 0)] * (h.ndim - 1) + [(0, state.columns.shape[-1] - h.shape[-1])])
    below = jnp.arange(column.shape[-1]) == j + 1
    column = jnp.where(below.reshape((1,) * (h.ndim - 1) + below.shape), length, column)
    columns = jax.lax.dynamic_update_slice_in_dim(state.columns, column[..., None, :], j, axis=-2)
    return _State(basis, w * _reciprocal(length[..., 0]), state.image, gram, columns)


def flatten(operator: Operator, u: Float[Array, "..."]) -> Float[Array, "*batch n"]:
    """Return fields `(*batch, *shape)` as vectors."""
    return u.reshape(*u.shape[: u.ndim - operator.rank], operator.size)


def product(operator: Operator, v: Float[Array, "*batch n"]) -> Float[Array, "..."]:
    """Return `A v` of vectors, as fields."""
    return operator.mv(v.reshape(*v.shape[:-1], *operator.shape))


def project(vectors: Float[Array, "*batch m n"], w: Float[Array, "*batch n"]) -> Float[Array, "*batch m"]:
    """Return `<v_i, w>` for each `i`."""
    return jnp.einsum("...mn,...n->...m", vectors, w, precision=jax.lax.Precision.HIGHEST)


def combine(
    weights: Float[Array, "*batch m"], vectors: Float[Array, "*batch m n"]
) -> Float[Array, "*batch n"]:
    """Return `sum_i y_i v_i`."""
    return jnp.einsum("...mn,...m->...n", vectors, weights, precision=jax.lax.Precision.HIGHEST)


def _reciprocal(length: Array) -> Array:
    """Return `1/length` to multiply a vector with, and 0 for 0."""
    return safe_divide(jnp.ones_like(length), length)[..., None]
