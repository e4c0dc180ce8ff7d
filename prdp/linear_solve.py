"""`solve`: the one function through which every linear system goes."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from prdp.differentiation import AdjointCost, Controls, Implicit, Mode, Problem, Solution
from prdp.linalg import Operator
from prdp.solvers import Jacobi, Solver


def solve(
    operator: Operator,
    rhs: Float[Array, "..."],
    *,
    solver: Solver = Jacobi(),
    differentiation: Mode = Implicit(),
    iterations: Int[Array, ""] | int,
    tolerance: Float[Array, ""] | float = 1e-5,
    guess: Float[Array, "..."] | None = None,
    adjoint_guess: Float[Array, "..."] | None = None,
    adjoint_cost: AdjointCost | None = None,
) -> Solution:
    """Solve `A u = b` approximately, `u^[K] = P_K(A, b)`, differentiably.

    Leading axes of `rhs` beyond `operator.shape` are a batch; each of its systems leaves the iteration at its own
    tolerance.

    Args:
        operator: `A`, square, on fields of shape `operator.shape`.
        rhs: `b`, shape `(*batch, *operator.shape)`.
        solver: the iteration, e.g. `prdp.Jacobi()`.
        differentiation: a mode, e.g. `prdp.Implicit()` or `prdp.Unrolled()`.
        iterations: K, at most so many iterations. May be traced: changing it does not recompile.
        tolerance: relative to `||b||_2` (paper, eq. 6); 0 runs all K iterations.
        guess: initial guess, default zero as in the paper.
        adjoint_guess: initial guess of the adjoint solve, for `prdp.Implicit()`; default zero. Differentiate with
            respect to it too: its "gradient" is the new `lambda`, with which the next call can go on. It makes the
            VJP affine in the cotangent instead of linear: until the adjoint has converged, gradients do not scale
            with the loss, nor are they the sum of those of its terms.
        adjoint_cost: see `AdjointCost`.

    Returns:
        A `Solution`. Derivatives are those of `value`; the other fields have none.

    Raises:
        ValueError: shapes that do not fit, K below 1, a negative tolerance, a solver that this operator does not
            suit, a mode that is not defined for them. Raised while tracing, before anything is computed.

    Source: paper, section 2, P_K.
    """
    rank = operator.rank
    rhs = jnp.asarray(rhs)
    if rhs.ndim < rank or rhs.shape[rhs.ndim - rank :] != operator.shape:
        raise ValueError(f"rhs has shape {rhs.shape}; it must end in the operator's {operator.shape}")
    if _is_known(iterations) and int(iterations) < 1:
        raise ValueError(f"iterations={iterations}: allowed is an integer >= 1")
    if _is_known(tolerance) and not float(tolerance) >= 0:
        raise ValueError(f"tolerance={tolerance}: allowed is a number >= 0")
    solver.check(operator)
    differentiation.check(solver, operator)
    if adjoint_guess is not None and not differentiation.takes_adjoint_guess:
        raise ValueError(f"adjoint_guess: allowed with Implicit, not with {type(differentiation).__name__}")
    # Parameters of the operator may carry more batch axes, or more precision, than the right-hand side.
    product = jax.eval_shape(operator.mv, rhs)
    rhs = jnp.broadcast_to(rhs, product.shape).astype(product.dtype)
    if guess is not None:
        guess = jnp.broadcast_to(guess, rhs.shape).astype(rhs.dtype)
    if adjoint_guess is not None:
        adjoint_guess = jnp.broadcast_to(adjoint_guess, rhs.shape).astype(rhs.dtype)
    problem = Problem(operator, rhs, guess, adjoint_guess)
    controls = Controls(iterations, tolerance)
    cost = AdjointCost.zero() if adjoint_cost is None else adjoint_cost
    return _run(solver, differentiation.prepare(iterations), problem, controls, cost)


# Compiled here, so that a plain Python loop may call `solve` with another K each time. Inside a jitted
# function it is part of that.
@jax.jit(static_argnums=(0, 1))
def _run(solver: Solver, mode: Mode, problem: Problem, controls: Controls, cost: AdjointCost) -> Solution:
    return mode.run(solver, problem, controls, cost)


def _is_known(x: Any) -> bool:
    return not isinstance(x, jax.core.Tracer)
