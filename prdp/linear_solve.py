"""`solve`: the one function through which every linear system goes."""

import operator as operators
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from prdp.differentiation import AdjointStats, Controls, Implicit, Mode, Problem, Solution
from prdp.linalg import FunctionOperator, Operator, promoting, vary_alike
from prdp.solvers import Jacobi, Solver

# What a type checker sees. At run time these arguments are checked below, with messages of their own.
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

    Leading axes of `rhs` beyond `operator.shape` are a batch; each of its systems leaves the iteration at its own
    tolerance. The computation has the precision of `rhs` and of the operator's parameters, whichever is higher:
    float32 or float64.

    Args:
        operator: `A`, square, on fields of shape `operator.shape`.
        rhs: `b`, shape `(*batch, *operator.shape)`.
        solver: the iteration, e.g. `prdp.Jacobi()`.
        differentiation: a mode, e.g. `prdp.Implicit()` or `prdp.Unrolled()`.
        iterations: K, at most so many iterations. May be traced: changing it does not recompile.
        tolerance: relative to `||b||_2` (paper, eq. 6); 0 runs all K iterations. Modes that differentiate the
            iterations themselves (`Unrolled` and its kin) run all K whatever it is.
        guess: initial guess, default zero as in the paper.
        adjoint_guess: initial guess of the adjoint solve, for `prdp.Implicit()`; default zero. Differentiate with
            respect to it too: its "gradient" is the new `lambda`, with which the next call can go on. It makes the
            VJP affine in the cotangent instead of linear: until the adjoint has converged, gradients do not scale
            with the loss, nor are they the sum of those of its terms.
        adjoint_stats: how the adjoint ended and what it cost, see `AdjointStats`.

    Returns:
        A `Solution`. Derivatives are those of `value`; the other fields have none.

    Raises:
        TypeError: `operator` is not a `prdp.Operator`.
        ValueError: shapes that do not fit; complex numbers or half precision; K that is no integer or below 1; a
            tolerance that is not a finite number >= 0; a solver that this operator does not suit, a mode that is not
            defined for them. Raised while tracing, before anything is computed.

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


# Compiled here, so that a plain Python loop may call `solve` with another K each time. Inside a jitted
# function it is part of that.
@jax.jit(static_argnums=(0, 1))
def _run(solver: Solver, mode: Mode, problem: Problem, controls: Controls, stats: AdjointStats) -> Solution:
    return mode.run(solver, problem, controls, stats)


def _checked_iterations(iterations: Any) -> Any:
    """Return K: a Python integer, or a traced one."""
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
    """Return the tolerance as an array of the precision of the solve."""
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
    """Return both in the higher of their precisions, `rhs` with the batch axes of the operator's parameters."""
    rhs = _as_array("rhs", rhs)
    rank = operator.rank
    if rhs.ndim < rank or rhs.shape[rhs.ndim - rank :] != operator.shape:
        raise ValueError(f"rhs has shape {rhs.shape}; it must end in the operator's {operator.shape}")
    # A function may have complex parameters (a Fourier multiplier) and still be real.
    given = [] if isinstance(operator, FunctionOperator) else jax.tree.leaves(operator)
    if any(map(_is_complex, given)) or _is_complex(jax.eval_shape(operator.mv, rhs)):
        raise ValueError(
            "the operator is complex: allowed are real operators; write it on real and imaginary parts"
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
        # A function may hold numbers of its own.
        operator, rhs = operator.astype(product.dtype), rhs.astype(product.dtype)
        product = jax.eval_shape(operator.mv, rhs)
    if product.dtype != rhs.dtype:
        kinds = f"{rhs.dtype} to {product.dtype}"
        raise ValueError(f"the operator takes {kinds}: allowed are maps from float32 or float64 to the same")
    batch = product.shape[: len(product.shape) - rank]
    if product.shape[len(batch) :] != operator.shape:
        raise ValueError(
            f"the operator takes shape {rhs.shape} to {product.shape}: it must end in {operator.shape}"
        )
    return operator, jnp.broadcast_to(rhs, product.shape)


def _is_complex(x: Any) -> bool:
    return jnp.issubdtype(getattr(x, "dtype", type(x)), jnp.complexfloating)


def _like_rhs(name: str, field: Any, rhs: Array) -> Array | None:
    """Return a guess in shape and precision of the right-hand side."""
    if field is None:
        return None
    field = _as_array(name, field)
    try:
        return jnp.broadcast_to(field, rhs.shape).astype(rhs.dtype)
    except ValueError as error:
        raise ValueError(
            f"{name} has shape {field.shape}; it must fit the right-hand side's {rhs.shape}"
        ) from error


def _as_array(name: str, x: Any) -> Array:
    """Return real numbers as an array, integers as floats of the precision in force."""
    try:
        array = x if isinstance(x, jax.Array) else jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={_shown(x)}: allowed is an array of real numbers") from error
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        raise ValueError(f"{name} has type {array.dtype}: allowed are real numbers (float32, float64)")
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.result_type(float))


def _shown(x: Any) -> str:
    """Return a value for a message of one line."""
    if isinstance(x, jax.Array | np.ndarray) and np.ndim(x):
        return f"<array of shape {np.shape(x)}>"
    if isinstance(x, jax.core.Tracer):
        return f"<traced {x.dtype}>"
    return " ".join(repr(x).split())[:80]
