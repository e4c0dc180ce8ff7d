"""The correction of one GMRES cycle and its closed-form derivative."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import Operator
from prdp.solvers.arnoldi import Krylov, arnoldi, combine, flatten, product, project
from prdp.solvers.base import safe_divide
from prdp.solvers.hessenberg import LeastSquares, least_squares

HIGHEST = jax.lax.Precision.HIGHEST


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def correction(size: int, operator: Operator, residual: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the `z` that minimises `||r - A z||_2` in the Krylov space of `A` and `r` of dimension `size`.

    Let `V` be a basis of that space and `W = s A V`. Then `z = s V y`, where `y` minimises `||r - W y||`. Since `z`
    depends only on the space and not on the choice of basis, its derivative may treat the scalars of the Arnoldi
    process (s, beta and h) as constants and differentiate the vectors alone. With `e = r - W y`, so that `W^T e = 0`,

        dv_1 = dr / beta,    h_(j+1,j) dv_(j+1) = s (dA v_j + A dv_j) - sum_(i <= j) h_ij dv_i,
        dW = s (dA V + A dV),    dy = (W^T W)^-1 (dW^T e + W^T (dr - dW y)),    dz = s (dV y + V dy).

    The recurrence is a block triangular system for `dV`. Reverse mode solves its transpose by back substitution with
    `A^T` and stores only the basis. Once the space is exhausted, the remaining `dv` are zero.

    Args:
        size: m, the dimension of the space, from 1 to the number of unknowns.
        operator: `A`.
        residual: `r`, `(*batch, *shape)`.
    """
    return _solve(size, operator, residual)[0]


@correction.defjvp
def _correction_jvp(size: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    (operator, residual), (d_operator, d_residual) = primals, tangents
    z, krylov, fit = _solve(size, operator, residual)
    r, dr = flatten(operator, residual), flatten(operator, d_residual)
    scale, y, h = krylov.scale[..., None], fit.weights, krylov.hessenberg

    def scaled(a: Operator, v: Array) -> Array:
        return flatten(a, product(a, v)) * scale

    def images_of(v: Array) -> Array:
        """Return `W^T v`, computed from the Hessenberg matrix."""
        last = jnp.sum(krylov.last * v, axis=-1, keepdims=True)
        inside = jnp.concatenate([project(krylov.basis, v), last], axis=-1)
        return jnp.sum(h * inside[..., :, None], axis=-2)

    fitted = jnp.sum(h * y[..., None, :], axis=-1)
    e = r - combine(fitted[..., :-1], krylov.basis) - fitted[..., -1:] * krylov.last

    def images(a: Operator) -> tuple[Array, Array]:
        """Return `W` and `W^T e`."""

        def one(v: Array) -> tuple[Array, Array]:
            w = scaled(a, v)
            return w, jnp.sum(w * e, axis=-1)

        # Sequentially: XLA takes ten times as long to sum the cotangents of `a` over all vectors at once.
        w, inside = jax.lax.map(one, jnp.moveaxis(krylov.basis, -2, 0))
        return jnp.moveaxis(w, 0, -2), jnp.moveaxis(inside, 0, -1)

    _, (moved, moved_e) = jax.jvp(images, (operator,), (d_operator,))
    d_basis = _basis_tangent(partial(scaled, operator), krylov, dr, moved)
    # Elementwise products and sums instead of einsum: XLA fuses their transposes into one pass.
    dv_y = jnp.sum(y[..., :, None] * d_basis, axis=-2)
    (pulled,) = jax.vjp(partial(scaled, operator), e)[1](e)
    pulled = jnp.sum(d_basis * pulled[..., None, :], axis=-1)
    _, dw_y = jax.jvp(scaled, (operator, combine(y, krylov.basis)), (d_operator, dv_y))
    right = moved_e + pulled + images_of(dr - dw_y)
    # (W^T W)^-1 = R^-1 R^-T
    right = jnp.sum(fit.inverse * right[..., :, None], axis=-2)
    dy = jnp.sum(fit.inverse * right[..., None, :], axis=-1)
    dz = (dv_y + combine(dy, krylov.basis)) * scale
    return z, dz.reshape(residual.shape)


def _solve(size: int, operator: Operator, residual: Array) -> tuple[Array, Krylov, LeastSquares]:
    krylov = arnoldi(operator, residual, size)
    fit = least_squares(krylov.hessenberg, krylov.beta)
    z = combine(fit.weights, krylov.basis) * krylov.scale[..., None]
    return z.reshape(residual.shape), krylov, fit


def _basis_tangent(scaled: Any, krylov: Krylov, dr: Array, moved: Array) -> Array:
    """Return the tangents `dv_1..dv_m` from the recurrence, a block triangular system; `scaled` is `s A`.

    Let `t` be the triangular matrix with the column `beta e_1` and all columns of the Hessenberg matrix except the
    last, and let `P_j = I - sum_(i <= j) v_i v_i^T`. Then

        t_jj dv_j = s dA v_(j-1) + P_j (s A dv_(j-1) - sum_(i < j) t_ij dv_i),    with right-hand side dr for j = 1.

    `P_j` removes components within the Krylov space. They do not change z, but they would grow from vector to vector.
    """
    basis = krylov.basis
    m = basis.shape[-2]
    beta = krylov.beta[..., None, None]
    first = jnp.concatenate([beta, jnp.zeros_like(krylov.hessenberg[..., : m - 1, :1])], axis=-2)
    triangle = jnp.concatenate([first, krylov.hessenberg[..., :m, : m - 1]], axis=-1)
    pivots = jnp.diagonal(triangle, axis1=-2, axis2=-1)
    above = jnp.triu(triangle, 1)
    right = jnp.concatenate([dr[..., None, :], moved[..., : m - 1, :]], axis=-2)

    def pull_back(v: Array) -> Array:
        # Not `linear_transpose`, which ignores how a product differentiates itself (see `Stencil.mv`).
        return jax.vjp(scaled, v)[1](v)[0]

    def outside(w: Array, j: Any) -> Array:
        """Return `P_j w`."""
        inside = project(basis, w)
        within = jnp.expand_dims(jnp.arange(m) <= j, range(inside.ndim - 1))
        return w - combine(jnp.where(within, inside, 0), basis)

    def divided(x: Array, j: Any) -> Array:
        return safe_divide(x, _slice(pivots, j, -1)[..., None])

    def system(x: Array) -> Array:
        before = jnp.concatenate([jnp.zeros_like(x[..., :1, :]), x[..., : m - 1, :]], axis=-2)
        known = jax.vmap(scaled, -2, -2)(before) - jnp.einsum(
            "...ij,...in->...jn", above, x, precision=HIGHEST
        )
        known = jax.vmap(outside, (-2, 0), -2)(known, jnp.arange(m))
        return x * pivots[..., None] - known

    def forward(_: Any, b: Array) -> Array:
        def step(j: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            x, last = carry
            known = outside(scaled(last) - combine(_slice(above, j, -1), x), j)
            last = divided(_slice(b, j, -2) + known, j)
            return _set(x, last, j), last

        last = divided(b[..., 0, :], 0)
        return jax.lax.fori_loop(1, m, step, (_set(jnp.zeros_like(b), last, 0), last))[0]

    def backward(_: Any, c: Array) -> Array:
        def step(k: Any, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            j = m - 1 - k
            x, projected, last = carry
            x_j = divided(_slice(c, j, -2) + pull_back(last) - combine(_slice(above, j, -2), projected), j)
            last = outside(x_j, j)
            return _set(x, x_j, j), _set(projected, last, j), last

        x = divided(c[..., m - 1, :], m - 1)
        last, zeros = outside(x, m - 1), jnp.zeros_like(c)
        return jax.lax.fori_loop(1, m, step, (_set(zeros, x, m - 1), _set(zeros, last, m - 1), last))[0]

    return jax.lax.custom_linear_solve(system, right, forward, backward)


def _slice(x: Array, j: Any, axis: int) -> Array:
    return jax.lax.dynamic_index_in_dim(x, j, axis=x.ndim + axis, keepdims=False)


def _set(x: Array, new: Array, j: Any) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(x, new[..., None, :], j, axis=-2)
