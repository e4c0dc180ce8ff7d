"""Checks of the arguments of `prdp.solve`, made while tracing: one line for every mistake."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from prdp.differentiation import Mode
from prdp.linalg import FunctionOperator, Operator
from prdp.linalg.real_form import is_complex

_LARGEST = 2**31 - 1
# Without K, a solve ends after this many iterations, or after so many per unknown.
_CAP, _CAP_PER_UNKNOWN = 10_000, 10


def checked_iterations(iterations: Any, rhs: Array, operator: Operator, mode: Mode) -> Any:
    """Return K as a Python integer, or as an integer array that broadcasts to the batch; the cap for `None`.

    Raises:
        ValueError: If it is not an integer >= 1, or `None` with a mode that always runs all K iterations.
    """
    if iterations is None:
        if not mode.leaves_early:
            raise ValueError(
                f"iterations=None: {type(mode).__name__} always runs all K iterations; give a number, or use Implicit"
            )
        return min(max(_CAP, _CAP_PER_UNKNOWN * operator.size), _LARGEST)
    wanted = f"allowed is an integer >= 1 (at most {_LARGEST}), one per system, or None"
    kind = getattr(iterations, "dtype", None)
    if kind is None:
        whole = hasattr(type(iterations), "__index__") and not isinstance(iterations, bool)
    else:
        whole = jnp.issubdtype(kind, jnp.integer) and broadcasts(iterations, rhs, operator.rank)
    known = whole and not isinstance(iterations, jax.core.Tracer)
    if not whole or (known and not all(1 <= int(k) <= _LARGEST for k in np.ravel(iterations))):
        value = iterations if known else _shown(iterations)
        raise ValueError(f"iterations={value if np.ndim(value) == 0 else _shown(value)}: {wanted}")
    return int(iterations) if known and np.ndim(iterations) == 0 else iterations


def checked_tolerance(name: str, tolerance: Any, rhs: Array, rank: int) -> Array:
    """Return a tolerance as an array in the precision of the solve that broadcasts to the batch.

    Raises:
        ValueError: If it is not a finite number >= 0.
    """
    kind = getattr(tolerance, "dtype", None)
    real = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if kind is not None:
        real = jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)
        real = real and broadcasts(tolerance, rhs, rank)
    known = real and not isinstance(tolerance, jax.core.Tracer)
    if not real or (known and not all(0 <= float(x) < float("inf") for x in np.ravel(tolerance))):
        raise ValueError(f"{name}={_shown(tolerance)}: allowed is a finite number >= 0, or one per system")
    return jnp.asarray(tolerance, rhs.dtype)


def broadcasts(x: Any, rhs: Array, rank: int) -> bool:
    """Whether one value per system broadcasts to the batch axes of the right-hand side."""
    batch = rhs.shape[: rhs.ndim - rank]
    try:
        return jnp.broadcast_shapes(jnp.shape(x), batch) == batch
    except ValueError:
        return False


def same_precision(operator: Operator, rhs: Any) -> tuple[Operator, Array]:
    """Return both in the higher of their precisions; `rhs` gets the batch axes of the operator's parameters."""
    rhs = _as_array("rhs", rhs)
    rank = operator.rank
    if rhs.ndim < rank or rhs.shape[rhs.ndim - rank :] != operator.shape:
        raise ValueError(f"rhs has shape {rhs.shape}; it must end in the operator's shape {operator.shape}")
    # A function may have complex parameters (e.g. a Fourier multiplier) and still map real to real.
    given = [] if isinstance(operator, FunctionOperator) else jax.tree.leaves(operator)
    if is_complex(given) or is_complex(jax.eval_shape(operator.mv, rhs)):
        raise ValueError(
            "the operator is complex: allowed are real operators; give a complex system as a matrix or a function"
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


def like_rhs(name: str, field: Any, rhs: Array) -> Array:
    """Return a guess with the shape and precision of the right-hand side."""
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
        raise ValueError(
            f"{name} has type {array.dtype}: allowed are real numbers (float32, float64); for a complex system, give "
            "the operator as a matrix or a function"
        )
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.result_type(float))


def _shown(x: Any) -> str:
    """Return a one-line representation of a value for an error message."""
    if isinstance(x, jax.Array | np.ndarray) and np.ndim(x):
        return f"<array of shape {np.shape(x)}>"
    if isinstance(x, jax.core.Tracer):
        return f"<traced {x.dtype}>"
    return " ".join(repr(x).split())[:80]
