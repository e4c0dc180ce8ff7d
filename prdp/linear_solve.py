"""`solve`, the entry point for every linear solve."""

import operator as operators
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from prdp.differentiation import AdjointStats, Controls, Implicit, Mode, Problem, Solution
from prdp.linalg import FunctionOperator, Operator, promoting, vary_alike
from prdp.solvers import Jacobi, Solver

# These types are for type checkers only. At run time, the checks below raise more helpful messages.
if TYPE_CHECKING:
    _Operator = Operator
    _Field = Float[Array, "..."]
    _Count = Int[Array, ""] | int
    _Number = Float[Array, ""] | float
else:
    _Operator = _Field = _Count = _Number = Any

_LARGEST = 2**31 - 1


@promoting
def solve(
    operator: _Operator,
    rhs: _Field,
    *,
    solver: Solver = Jacobi(),
    differentiation: Mode = Implicit(),
    iterations: _Count,
    tolerance: _Number = 1e-5,
    guess: _Field | None = None,
    adjoint_guess: _Field | None = None,
    adjoint_stats: AdjointStats | None = None,
) -> Solution:
    """Solve `A u = b` approximately, `u^[K] = P_K(A, b)`, differentiably.

    Leading axes of `rhs` beyond `operator.shape` are batch axes. Each system of the batch stops iterating as soon as
    it reaches the tolerance. The solve runs in float32 or float64: the higher precision of `rhs` and the operator's
    parameters.

    Args:
        operator: `A`, a square linear operator on fields of shape `operator.shape`.
        rhs: `b`, shape `(*batch, *operator.shape)`.
        solver: the iterative or direct solver, e.g. `prdp.Jacobi()`.
        differentiation: a mode, e.g. `prdp.Implicit()` or `prdp.Unrolled()`.
        iterations: K, the maximum number of iterations. May be traced: changing it does not recompile.
        tolerance: on the residual norm relative to `||b||_2` (paper, eq. 6); 0 runs all K iterations. Modes that
            differentiate through the iterations (such as `Unrolled`) always run all K.
        guess: initial guess, broadcastable to `rhs`; default zero, as in the paper.
        adjoint_guess: initial guess of the adjoint solve, broadcastable to `rhs`, only for `prdp.Implicit()`; default
            zero. Differentiate with respect to it as well: its "gradient" is the new `lambda`, which can serve as
            the next call's guess. With a guess, the VJP is affine in the cotangent instead of linear: until the
            adjoint solve has converged, gradients do not scale with the loss, and the gradient of a sum of losses is
            not the sum of their gradients.
        adjoint_stats: zeros whose "gradient" is the status and cost of the adjoint solve, see `AdjointStats`.

    Returns:
        A `Solution`. Only `value` is differentiable.

    Raises:
        TypeError: If `operator` is not a `prdp.Operator`.
        ValueError: If shapes do not match; if the system is complex or in half precision; if K is not an integer
            >= 1; if the tolerance is not a finite number >= 0; if the solver does not support the operator; or if the
            mode is not defined for the solver or the operator. Raised while tracing, before anything is computed.

    Source: paper, section 2, P_K.
    """
    if not isinstance(operator, Operator):
        raise TypeError(
            f"operator is a {type(operator).__name__}: allowed is a prdp.Operator, such as prdp.Dense(matrix, "
            "shape), prdp.FunctionOperator, a stencil, or prdp.from_lineax(...)"
        )
    iterations = _checked_iterations(iterations)
    if adjoint_guess is not None and not differentiation.takes_adjoint_guess:
        raise ValueError(f"adjoint_guess: allowed with Implicit, not with {type(differentiation).__name__}")
    operator, rhs = _same_precision(operator, rhs)
    solver.check(operator)
    differentiation.check(solver, operator)
    guess, adjoint_guess = _like_rhs("guess", guess, rhs), _like_rhs("adjoint_guess", adjoint_guess, rhs)
    mode = differentiation.prepare(iterations)
    controls = Controls(jnp.asarray(iterations, jnp.int32), _checked_tolerance(tolerance, rhs.dtype))
    problem = Problem(operator, rhs, guess, adjoint_guess)
    stats = AdjointStats.zero() if adjoint_stats is None else adjoint_stats
    return _run(solver, mode, *vary_alike((problem, controls, stats), problem, controls, stats))


# Jitted here so that an eager Python loop can change K without recompiling. Inside a jitted function this
# becomes part of the outer program.
@jax.jit(static_argnums=(0, 1))
def _run(solver: Solver, mode: Mode, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
    return mode.run(solver, problem, controls, stats)


def _checked_iterations(iterations: Any) -> Any:
    """Return K as a Python integer or a traced integer."""
    wanted = f"allowed is an integer >= 1 (at most {_LARGEST})"
    kind = getattr(iterations, "dtype", None)
    if kind is not None and jnp.ndim(iterations) == 0 and jnp.issubdtype(kind, jnp.integer):
        if isinstance(iterations, jax.core.Tracer):
            return iterations
        iterations, kind = int(iterations), None
    if isinstance(iterations, bool) or not hasattr(type(iterations), "__index__") or kind is not None:
        raise ValueError(f"iterations={_shown(iterations)}: {wanted}")
    iterations = operators.index(iterations)
    if not 1 <= iterations <= _LARGEST:
        raise ValueError(f"iterations={iterations}: {wanted}")
    return iterations


def _checked_tolerance(tolerance: Any, dtype: Any) -> Array:
    """Return the tolerance as an array in the precision of the solve."""
    kind = getattr(tolerance, "dtype", None)
    number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if kind is not None:
        real = jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)
        number = jnp.ndim(tolerance) == 0 and real
    known = number and not isinstance(tolerance, jax.core.Tracer)
    if not number or (known and not 0 <= float(tolerance) < float("inf")):
        raise ValueError(f"tolerance={_shown(tolerance)}: allowed is a finite number >= 0")
    return jnp.asarray(tolerance, dtype)


def _same_precision(operator: Operator, rhs: Any) -> tuple[Operator, Array]:
    """Return both in the higher of their precisions; `rhs` gets the batch axes of the operator's parameters."""
    rhs = _as_array("rhs", rhs)
    rank = operator.rank
    if rhs.ndim < rank or rhs.shape[rhs.ndim - rank :] != operator.shape:
        raise ValueError(f"rhs has shape {rhs.shape}; it must end in the operator's shape {operator.shape}")
    # A function may have complex parameters (e.g. a Fourier multiplier) and still map real to real.
    given = [] if isinstance(operator, FunctionOperator) else jax.tree.leaves(operator)
    if any(map(_is_complex, given)) or _is_complex(jax.eval_shape(operator.mv, rhs)):
        raise ValueError(
            "the operator is complex: allowed are real operators; write the system for real and imaginary parts"
        )
    leaves = [
        x for x in jax.tree.leaves(operator) if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)
    ]
    dtype = jnp.result_type(rhs, *leaves)
    if dtype not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"the system has type {dtype}: allowed are float32 and float64; convert it with astype"
        )
    operator, rhs = operator.astype(dtype), rhs.astype(dtype)
    product = jax.eval_shape(operator.mv, rhs)
    if product.dtype != dtype and product.dtype == jnp.float64:
        # The function may close over float64 arrays that are not among its parameters.
        operator, rhs = operator.astype(product.dtype), rhs.astype(product.dtype)
        product = jax.eval_shape(operator.mv, rhs)
    if product.dtype != rhs.dtype:
        kinds = f"{rhs.dtype} to {product.dtype}"
        raise ValueError(f"the operator maps {kinds}: allowed are maps from float32 or float64 to the same")
    batch = product.shape[: len(product.shape) - rank]
    if product.shape[len(batch) :] != operator.shape:
        raise ValueError(
            f"the operator maps shape {rhs.shape} to {product.shape}; the latter must end in {operator.shape}"
        )
    return operator, jnp.broadcast_to(rhs, product.shape)


def _is_complex(x: Any) -> bool:
    return jnp.issubdtype(getattr(x, "dtype", type(x)), jnp.complexfloating)


def _like_rhs(name: str, field: Any, rhs: Array) -> Array | None:
    """Return a guess with the shape and precision of the right-hand side."""
    if field is None:
        return None
    field = _as_array(name, field)
    try:
        return jnp.broadcast_to(field, rhs.shape).astype(rhs.dtype)
    except ValueError as error:
        raise ValueError(
            f"{name} has shape {field.shape}; it must broadcast to the right-hand side's shape {rhs.shape}"
        ) from error


def _as_array(name: str, x: Any) -> Array:
    """Return real numbers as an array; integers become floats of JAX's default precision."""
    try:
        array = x if isinstance(x, jax.Array) else jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={_shown(x)}: allowed is an array of real numbers") from error
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        raise ValueError(f"{name} has type {array.dtype}: allowed are real numbers (float32, float64)")
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.result_type(float))


def _shown(x: Any) -> str:
    """Return a one-line representation of a value for an error message."""
    if isinstance(x, jax.Array | np.ndarray) and np.ndim(x):
        return f"<array of shape {np.shape(x)}>"
    if isinstance(x, jax.core.Tracer):
        return f"<traced {x.dtype}>"
    return " ".join(repr(x).split())[:80]
