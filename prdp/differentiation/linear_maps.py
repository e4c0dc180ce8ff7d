"""Linear maps with a transpose of their own, of which the derivatives of solves are made.

Reverse mode is forward mode transposed. A solve has a tangent map (forward) and a backward pass (its transpose), which
are two different loops. JAX has one public primitive with both that supports `vmap`: `jax.lax.custom_linear_solve`.
Its right-hand side is one array here, because JAX cannot differentiate it for several of which only some vary.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero, zero_from_primal

from prdp.differentiation.base import AdjointStats
from prdp.linalg import Operator

Pull = Callable[[Any], tuple[Any, AdjointStats]]


def is_zero(tangent: Any) -> bool:
    """Whether a tangent is known to be zero while tracing; those of integers are."""
    return isinstance(tangent, SymbolicZero) or getattr(tangent, "dtype", None) == jax.dtypes.float0


def all_zero(tangents: Any) -> bool:
    """Whether all tangents of a pytree are known to be zero."""
    return all(map(is_zero, jax.tree.leaves(tangents)))


def filled(tangents: Any, primals: Any) -> Any:
    """Return the tangents with arrays in place of known zeros."""

    def fill(primal: Any, tangent: Any) -> Any:
        return zero_from_primal(primal) if is_zero(tangent) else tangent

    return jax.tree.map(fill, primals, tangents)


def zero_tangent(primal: Any) -> Any:
    """Return the zero tangents of a pytree."""
    return jax.tree.map(partial(zero_from_primal, symbolic_zeros=True), primal)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def once_differentiable(mode: str, tree: Any) -> Any:
    """Return `tree`, whose derivative is an error. The inputs of a first derivative pass through here.

    Raises:
        ValueError: If the result is differentiated, that is, if a second derivative is taken.
    """
    return tree


@once_differentiable.defjvp
def _(mode: str, primals: Any, tangents: Any) -> Any:
    raise ValueError(
        f"{mode} has no second derivative: it defines a first derivative of the solve, in forward and reverse mode; "
        "use prdp.Implicit()"
    )


def inverse_map(
    operator: Operator, solve: Callable[[Any], Any], pull: Pull, rhs: Any, stats: AdjointStats
) -> Any:
    """Return `solve(rhs)`, an approximation of `A^-1 r` whose transpose is `pull` and that can be differentiated.

    Derivatives of it are those of the inverse, `d(A^-1 r) = A^-1 (dr - dA A^-1 r)`, with `solve` for `A^-1` and `pull`
    for `A^-T`, at any order.

    Args:
        operator: `A`.
        solve: `r -> u`, linear.
        pull: `ubar -> (lambda, stats)`.
        rhs: `r`, `(*batch, *operator.shape)`.
        stats: tangents of the adjoint's stats, which have no effect. Their cotangents are the stats from `pull`.
    """
    # The array holds r, a field for the transposed system, and the stats. On the first two,
    # [[0, A], [A^T, 0]] (lambda, u) = (r, ubar)
    # is symmetric, so JAX never has to transpose a product.
    numbers = jnp.stack([jnp.asarray(x, rhs.dtype) for x in stats])
    nothing = jnp.zeros_like(rhs)

    def joined(first: Any, second: Any, numbers: Any) -> Any:
        slots = math.ceil(numbers.size / rhs.size) if rhs.size else 0
        last = jnp.pad(numbers, (0, slots * rhs.size - numbers.size)) if slots else numbers[:0]
        return jnp.concatenate([first[None], second[None], last.reshape(slots, *rhs.shape)])

    def product(x: Any) -> Any:
        return jnp.concatenate([operator.mv(x[1])[None], operator.transpose().mv(x[0])[None], x[2:]])

    def forward(_: Any, b: Any) -> Any:
        return joined(nothing, solve(b[0]), jnp.zeros_like(numbers))

    def backward(_: Any, b: Any) -> Any:
        multiplier, stats = pull(b[1])
        return joined(multiplier, nothing, jnp.stack([jnp.asarray(x, rhs.dtype) for x in stats]))

    b = joined(rhs, nothing, numbers)
    return jax.lax.custom_linear_solve(product, b, forward, backward, symmetric=True)[1]


def tangent_map(
    push: Callable[[Any], Any], pull: Callable[[Any], Any], tangents: Any, primals: Any, value: Any
) -> Any:
    """Return `push(tangents)`, a linear map whose transpose is `pull`. It must not be differentiated again.

    Args:
        push: takes tangents of `primals` and returns those of `value`.
        pull: takes the cotangent of `value` and returns those of `primals`.
        tangents: of `primals`; known zeros stay out of the map.
        primals: a pytree of arrays.
        value: an array.
    """
    leaves, tree = jax.tree.flatten(tangents)
    live = [i for i, x in enumerate(leaves) if not is_zero(x)]

    def forward(_: Any, b: Any) -> Any:
        varying, _ = b
        given = list(leaves)
        for i, x in zip(live, varying, strict=True):
            given[i] = x
        image = push(filled(jax.tree.unflatten(tree, given), primals))
        return [jnp.zeros_like(x) for x in varying], image

    def backward(_: Any, b: Any) -> Any:
        cotangents = jax.tree.leaves(pull(b[1]))
        return [cotangents[i] for i in live], jnp.zeros_like(b[1])

    # JAX demands that every part of the right-hand side is linear in the tangents, the empty place of the image too.
    varying = [leaves[i] for i in live]
    place = jnp.zeros_like(value) + 0 * jnp.sum(varying[0]).real.astype(value.dtype)
    b = (varying, place)
    return jax.lax.custom_linear_solve(lambda x: x, b, forward, backward, symmetric=True)[1]
