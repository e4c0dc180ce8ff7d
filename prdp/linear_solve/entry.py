"""`solve`, the entry point for every linear solve."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from prdp.differentiation import AdjointStats, Controls, Implicit, Mode, Problem, Solution
from prdp.linalg import as_system, promoting, vary_alike
from prdp.linear_solve.arguments import checked_iterations, checked_tolerance, like_rhs, same_precision
from prdp.linear_solve.null_space import NullSpace
from prdp.solvers import Jacobi, Solver

# These types are for type checkers only. At run time, the checks below raise more helpful messages.
if TYPE_CHECKING:
    _Operator = Any
    _Field = Any
    _Count = Int[Array, "..."] | int
    _Number = Float[Array, "..."] | float
    _Function = Callable[[Any], Any]
else:
    _Operator = _Field = _Count = _Number = _Function = Any


@promoting
def solve(
    operator: _Operator,
    rhs: _Field,
    *,
    solver: Solver = Jacobi(),
    differentiation: Mode = Implicit(),
    iterations: _Count | None = None,
    tolerance: _Number = 1e-5,
    atol: _Number | None = None,
    guess: _Field | None = None,
    adjoint_guess: _Field | None = None,
    adjoint_stats: AdjointStats | None = None,
    symmetric: bool | None = None,
    transpose: _Function | None = None,
    null_space: str | None = None,
) -> Solution:
    """Solve `A u = b` approximately, `u^[K] = P_K(A, b)`, differentiably.

    `A` may be given as

    - a `prdp.Operator`. Leading axes of `rhs` beyond `operator.shape` are batch axes;
    - a matrix: a JAX or NumPy array `(*batch, n, n)`, a SciPy sparse matrix, or a BCOO. `rhs` is `(*batch, n)`;
    - a lineax operator. Leading axes of `rhs` beyond its input are batch axes;
    - a function `u -> A u`, linear in `u`. Then `rhs` is *one* system: an array of any shape, or a pytree of arrays
      (also a list or a tuple). `u` and `A u` have the same structure and shapes. Use `jax.vmap` for a batch. Gradients
      flow to the arrays that the function closes over.

    Matrices, functions and right-hand sides may be complex (a `prdp.Operator` is real). Such a system is solved in its
    real form, `[[Re A, -Im A], [Im A, Re A]]`, which has twice as many unknowns and is symmetric if `A = A^H`.
    Gradients follow JAX's convention for complex numbers.

    Each system of the batch stops iterating as soon as it reaches the tolerance. The solve runs in float32 or float64:
    the highest precision of `rhs` and the operator's parameters.

    Derivatives are those of the `differentiation` mode. Forward and reverse mode (`jvp`, `vjp`, `jacfwd`, `linearize`)
    are defined for every mode. With `Implicit`, so are derivatives of any order (`hessian`, `grad` of `grad`); the
    other modes refuse them.

    Args:
        operator: `A`, square.
        rhs: `b`, shape `(*batch, *operator.shape)`, or a pytree.
        solver: the iterative or direct solver, e.g. `prdp.Jacobi()`.
        differentiation: a mode, e.g. `prdp.Implicit()` or `prdp.Unrolled()`.
        iterations: K, the maximum number of iterations, for all systems or per system, broadcastable to `(*batch,)`.
            May be traced: changing it does not recompile. `None` iterates until convergence, with a safety cap of
            `max(10_000, 10 n)` iterations for `n` unknowns, where the status is `BUDGET_SPENT`.
        tolerance: on the residual norm relative to `||b||_2` (paper, eq. 6), for all systems or per system; 0 runs all
            K iterations. Modes that differentiate through the iterations (such as `Unrolled`) always run all K.
        atol: on the residual norm itself, for all systems or per system: a system is converged at
            `||b - A u|| < max(tolerance ||b||, atol)`. Derivatives use `tolerance` only: their right-hand sides have
            other units.
        guess: initial guess, broadcastable to `rhs`, or a pytree like `rhs`; default zero, as in the paper.
        adjoint_guess: initial guess of the adjoint solve, like `guess`, only for `prdp.Implicit()`; default
            zero. Differentiate with respect to it as well: its "gradient" is the new `lambda`, which can serve as
            the next call's guess. With a guess, the VJP is affine in the cotangent instead of linear: until the
            adjoint solve has converged, gradients do not scale with the loss, and the gradient of a sum of losses is
            not the sum of their gradients.
        adjoint_stats: zeros whose "gradient" is the status and cost of the adjoint solve, see `AdjointStats`.
        symmetric: for plain inputs, whether `A = A^T`, or `A = A^H` if it is complex; default `False`, or what a
            lineax operator declares (complex: positive semidefinite). Not verified.
        transpose: for a function, `u -> A^T u`; default `jax.linear_transpose` of the function.
        null_space: `None`, or `constant` if `A 1 = 0` and `A^T 1 = 0`, as for periodic Laplacians; for a stencil,
            constants on the grid, one per channel. The result is then `A^+ b`, the solution of minimum norm: `b` is
            projected on fields of mean zero (so that an inconsistent `b` is solved in the least-squares sense), and
            so are the solution and, in reverse mode, its cotangent. Residuals are relative to the projected `b`.

    Returns:
        A `Solution`. Only `value` is differentiable; it has the structure of `rhs`.

    Raises:
        TypeError: If `operator` is none of the above.
        ValueError: If shapes do not match; if the system is in half precision; if K is not a
            positive integer; if a tolerance is not a finite number >= 0; if the solver does not support the operator;
            or if the mode is not defined for the solver or the operator. Raised while tracing, before anything is
            computed. Also if a second derivative is taken through a mode other than `Implicit`.

    Source: paper, section 2, P_K.
    """
    system = as_system(operator, rhs, symmetric, transpose)
    system.require_real(adjoint_guess=adjoint_guess, null_space=null_space)
    if adjoint_guess is not None and not differentiation.takes_adjoint_guess:
        raise ValueError(f"adjoint_guess: allowed with Implicit, not with {type(differentiation).__name__}")
    operator, rhs = same_precision(system.operator, system.rhs)
    rank = operator.rank
    controls = Controls(
        checked_iterations(iterations, rhs, operator, differentiation),
        checked_tolerance("tolerance", tolerance, rhs, rank),
        None if atol is None else checked_tolerance("atol", atol, rhs, rank),
    )
    solver.check(operator)
    differentiation.check(solver, operator)
    guess, adjoint_guess = (
        None if x is None else like_rhs(name, system.flatten(x), rhs)
        for name, x in (("guess", guess), ("adjoint_guess", adjoint_guess))
    )
    null = NullSpace.of(null_space, operator)
    mode = differentiation.prepare(controls.iterations)
    controls = controls._replace(iterations=jnp.asarray(controls.iterations, jnp.int32))
    problem = null.project(Problem(operator, rhs, guess, adjoint_guess), solver)
    stats = AdjointStats.zero() if adjoint_stats is None else adjoint_stats
    solution = _run(solver, mode, *vary_alike((problem, controls, stats), problem, controls, stats))
    solution = null.verify(solution, operator, problem.rhs, controls)
    return solution._replace(value=system.restore(solution.value))


# Jitted here so that an eager Python loop can change K without recompiling. Inside a jitted function this
# becomes part of the outer program.
@jax.jit(static_argnums=(0, 1))
def _run(solver: Solver, mode: Mode, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
    return mode.run(solver, problem, controls, stats)
