"""The Arnoldi process: an orthonormal basis of a Krylov space, and the Hessenberg matrix of the operator in it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import Operator, power_of_two_scale, vary_alike
from prdp.solvers.base import safe_divide

# The process runs as several loops with bases of increasing capacity, because unused (zero) vectors cost time too.
ROOMS = (1, 8, 32, 128)


class Krylov(NamedTuple):
    """`s A v_j = sum_(i <= j+1) h_ij v_i` for `j = 1..m`.

    Attributes:
        basis: `v_1..v_m` with all `n` unknowns. Once the space is exhausted, the remaining vectors are zero.
        last: `v_(m+1)`.
        hessenberg: `h`, with `m + 1` rows.
        beta: the norm of the start vector.
        scale: `s`, a power of two near `1/||A v_1||`.
    """

    basis: Float[Array, "*batch m n"]
    last: Float[Array, "*batch n"]
    hessenberg: Float[Array, "*batch rows m"]
    beta: Float[Array, "*batch"]
    scale: Float[Array, "*batch"]


def arnoldi(operator: Operator, start: Float[Array, "..."], size: int) -> Krylov:
    """Return an orthonormal basis of the Krylov space of `A` and `start`.

    Each new image `w` is orthogonalised against all previous vectors `V` at once, with the coefficients
    `(2 I - G) V^T w`. Here `G = V^T V` is the computed Gram matrix, and `2 I - G` is its first-order inverse. As in
    modified Gram-Schmidt, this corrects for the rounding errors of earlier vectors. It takes three passes over the
    basis; classical Gram-Schmidt applied twice takes four. `s A V = V H` holds up to rounding even where
    orthogonality is lost.

    Systems whose start vector is zero or non-finite get a zero basis.

    Args:
        operator: `A`.
        start: the first vector before normalisation, `(*batch, *shape)`.
        size: `m >= 1`, the number of basis vectors.

    Source: Saad & Schultz 1986; Swirydowicz et al. 2021 (the inverse Gram matrix).
    """
    start = flatten(operator, start)
    beta = jnp.sqrt(jnp.sum(start * start, axis=-1))
    usable = (beta > 0) & (beta < jnp.inf)
    beta = jnp.where(usable, beta, 0)
    v = jnp.where(usable[..., None], start * _reciprocal(beta), 0)
    image = product(operator, v)
    # Inner products of images must neither overflow nor underflow, for any scale of the operator.
    scale = jax.lax.optimization_barrier(power_of_two_scale(flatten(operator, image), 1))
    state = _State.begin(v, image * scale.reshape(scale.shape[:-1] + (1,) * operator.rank), size)

    def step(j: Array, state: _State) -> _State:
        w, inverse, state = _orthogonalise(j, state)
        # Carry the image from one iteration to the next: otherwise XLA recomputes it for each use in one iteration.
        image = product(operator, w * inverse * scale)
        return state._replace(
            rest=w, inverse=inverse, image=image, products=project(state.basis, w) * inverse
        )

    begin = 0
    for room in (*ROOMS, size):
        end = min(room, size - 1)
        if begin < end:
            state = jax.lax.fori_loop(begin, end, step, state.widen(min(room, size)))
            begin = end
    w, inverse, state = _orthogonalise(size - 1, state.widen(size))
    return Krylov(state.basis, w * inverse, jnp.swapaxes(state.columns, -1, -2), beta, scale[..., 0])


class _State(NamedTuple):
    """The state before a step, which appends the vector `v = inverse * rest` to the basis.

    Attributes:
        basis: the previous vectors, padded with zeros.
        rest: `v` before normalisation.
        inverse: the reciprocal of the norm of `rest`.
        image: `s A v`.
        products: inner products of `v` with the previous vectors.
        gram: the Gram matrix of the previous vectors.
        columns: the columns of the Hessenberg matrix.
    """

    basis: Array
    rest: Array
    inverse: Array
    image: Array
    products: Array
    gram: Array
    columns: Array

    @classmethod
    def begin(cls, v: Array, image: Array, size: int) -> "_State":
        def zeros(*shape: int) -> Array:
            return vary_alike(jnp.zeros((*v.shape[:-1], *shape), v.dtype), image)

        basis = zeros(1, v.shape[-1])
        return cls(
            basis, vary_alike(v, image), zeros(1) + 1, image, zeros(1), zeros(1, 1), zeros(size, size + 1)
        )

    def widen(self, room: int) -> "_State":
        batch = [(0, 0)] * (self.products.ndim - 1)
        more = (0, room - self.products.shape[-1])
        basis = jnp.pad(self.basis, [*batch, more, (0, 0)])
        gram, products = jnp.pad(self.gram, [*batch, more, more]), jnp.pad(self.products, [*batch, more])
        return self._replace(basis=basis, gram=gram, products=products)


def _orthogonalise(j: Array | int, state: _State) -> tuple[Array, Array, _State]:
    """Return the orthogonalised image of `v_j`, its reciprocal norm, and the state with `v_j` appended."""
    put = jax.lax.dynamic_update_slice_in_dim
    # Write before any read: otherwise XLA copies the whole basis in every iteration of the loop.
    basis = put(state.basis, (state.rest * state.inverse)[..., None, :], j, axis=-2)
    own = jnp.where(_is(j, state.products), 1, state.products)[..., None, :]
    gram = put(put(state.gram, own, j, axis=-2), jnp.swapaxes(own, -1, -2), j, axis=-1)
    image = state.image.reshape(state.rest.shape)
    h = project(basis, image)
    h = 2 * h - jnp.sum(gram * h[..., None, :], axis=-1)
    w = jax.lax.optimization_barrier(image - combine(h, basis))
    length = jnp.sqrt(jnp.sum(w * w, axis=-1, keepdims=True))
    whole = jnp.sqrt(jnp.sum(h * h, axis=-1, keepdims=True) + length**2)
    # A remainder at rounding level is noise: the Krylov space is exhausted.
    length = jnp.where(length <= 10 * jnp.finfo(w.dtype).eps * whole, 0, length)
    column = jnp.pad(h, [(0, 0)] * (h.ndim - 1) + [(0, state.columns.shape[-1] - h.shape[-1])])
    column = jnp.where(_is(j + 1, column), length, column)[..., None, :]
    columns = put(state.columns, column, j, axis=-2)
    return w, _reciprocal(length[..., 0]), state._replace(basis=basis, gram=gram, columns=columns)


def _is(j: Array | int, x: Array) -> Array:
    """Return the mask of index `j` along the last axis of `x`."""
    return jnp.expand_dims(jnp.arange(x.shape[-1]) == j, range(x.ndim - 1))


def flatten(operator: Operator, u: Float[Array, "..."]) -> Float[Array, "*batch n"]:
    """Return fields of shape `(*batch, *shape)` as vectors of shape `(*batch, n)`."""
    return u.reshape(*u.shape[: u.ndim - operator.rank], operator.size)


def product(operator: Operator, v: Float[Array, "*batch n"]) -> Float[Array, "..."]:
    """Return `A v` for vectors `(*batch, n)`, as fields `(*batch, *shape)`."""
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
    """Return `1/length` (0 where `length` is 0), with a trailing axis to multiply vectors."""
    return safe_divide(jnp.ones_like(length), length)[..., None]
