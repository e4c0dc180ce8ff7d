"""How far the gradient of a solve is from the exact one: is K large enough, and do mode and solver converge?"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prdp.differentiation import Implicit, Mode
from prdp.linalg import Operator, as_system, promoting
from prdp.linalg.operators import is_floating
from prdp.linear_solve.arguments import same_precision
from prdp.linear_solve.entry import solve
from prdp.solvers import Direct, Jacobi, Solver, Status
from prdp.solvers.direct import is_diagonal_in_modes

# Dense LU of more unknowns takes gigabytes.
_LARGEST_DENSE = 8192


class Deviation(NamedTuple):
    """How a gradient `g` differs from the exact gradient `g*`; one number per K.

    Attributes:
        error: `||g - g*|| / ||g*||`. Zero if both are zero.
        size: `||g|| / ||g*||`.
        cosine: `<g, g*> / (||g|| ||g*||)`: 1 if the direction is right.
    """

    error: Any
    size: Any
    cosine: Any


class GradientError(NamedTuple):
    """The error of a gradient, by what is differentiated.

    Attributes:
        rhs: of the gradient with respect to `b`, over all systems of the batch.
        operator: of the gradient with respect to all parameters of `A` together.
        solution: `||u^[K] - u|| / ||u||`, the error of the solution itself; one number per K.
    """

    rhs: Deviation
    operator: Deviation
    solution: Any


def half_square(u: Any) -> Any:
    """Return `||u||^2 / 2`, summed over the leaves of a pytree."""
    return sum(jnp.sum(jnp.real(x) ** 2 + jnp.imag(x) ** 2) for x in jax.tree.leaves(u)) / 2


@promoting
def gradient_error(
    operator: Any,
    rhs: Any,
    *,
    iterations: Any,
    loss: Callable[[Any], Any] = half_square,
    solver: Solver = Jacobi(),
    differentiation: Mode = Implicit(),
    tolerance: float = 0.0,
    symmetric: bool | None = None,
    transpose: Callable[[Any], Any] | None = None,
    null_space: str | None = None,
    reference: Solver | None = None,
) -> GradientError:
    """Compare the gradient of `loss(u^[K])` with the exact gradient of `loss(A^-1 b)`.

        error = prdp.gradient_error(A, b, iterations=[5, 10, 20], solver=prdp.GMRES(2))
        print(error.rhs.error, error.operator.error)  # three numbers each

    Both are computed in float64 if `jax_enable_x64` is set (recommended: in float32, errors below about 1e-5 are those
    of the reference). The program is compiled once for all K. Not for use inside `jax.jit`.

    Args:
        operator: `A`, as for `prdp.solve`.
        rhs: `b`, as for `prdp.solve`.
        iterations: K, an integer or a sequence of integers.
        loss: `u -> number`, for `u` with the structure of `rhs`; default `||u||^2 / 2`.
        solver: as for `prdp.solve`.
        differentiation: as for `prdp.solve`; the buffer of `Unrolled` is made large enough.
        tolerance: as for `prdp.solve`; default 0, so that all K iterations run.
        symmetric: as for `prdp.solve`.
        transpose: as for `prdp.solve`.
        null_space: as for `prdp.solve`.
        reference: the solver of the exact gradient, iterated to convergence; default `prdp.Direct()`.

    Returns:
        A `GradientError`, whose numbers have the shape of `iterations`. NaN where a solve failed, or where the
        reference does not converge.

    Raises:
        TypeError: As for `prdp.solve`.
        ValueError: As for `prdp.solve`; if `iterations` is not an integer or a sequence of them; or if the system is
            too large for dense LU (8192 unknowns) and has no `reference`.
    """
    levels = np.asarray(iterations)
    if levels.ndim > 1 or levels.size == 0 or not np.issubdtype(levels.dtype, np.integer) or levels.min() < 1:
        raise ValueError(f"iterations={iterations!r}: allowed is an integer >= 1 or a sequence of them")
    system = as_system(operator, rhs, symmetric, transpose)
    system.require_real(null_space=null_space)
    operator, rhs = same_precision(system.operator, system.rhs)
    if jnp.result_type(float) == jnp.float64:
        operator, rhs = operator.astype(jnp.float64), rhs.astype(jnp.float64)
    if reference is None:
        if operator.size > _LARGEST_DENSE and not is_diagonal_in_modes(operator):
            raise ValueError(
                f"reference=None: allowed for at most {_LARGEST_DENSE} unknowns, and A has {operator.size}; give a "
                "solver, such as prdp.GMRES(30)"
            )
        reference = Direct()
    parts = _Parts.of(operator)
    settings = parts.structure, loss, system.restore, null_space
    exact = _exact(settings, reference, parts.arrays, rhs)
    mode = differentiation.with_capacity(int(levels.max()))
    flat = jnp.atleast_1d(jnp.asarray(levels, jnp.int32))
    found = _compare(settings, solver, mode, parts.arrays, rhs, exact, flat, tolerance)
    return jax.tree.map(lambda x: x.reshape(levels.shape), found)


class _Parts(NamedTuple):
    """An operator, taken apart into its real arrays, which are differentiated, and its hashable structure."""

    arrays: tuple[Any, ...]
    structure: "_Structure"

    @classmethod
    def of(cls, operator: Operator) -> "_Parts":
        leaves, tree = jax.tree.flatten(operator)
        arrays = tuple(jnp.asarray(x) for x in leaves)
        return cls(arrays, _Structure(tree, tuple(map(is_floating, arrays))))


class _Structure(NamedTuple):
    tree: Any
    real: tuple[bool, ...]

    def differentiable(self, arrays: Any) -> list[Any]:
        return [x for x, real in zip(arrays, self.real, strict=True) if real]

    def operator(self, arrays: Any, moved: list[Any]) -> Operator:
        left = iter(moved)
        leaves = [next(left) if real else x for x, real in zip(arrays, self.real, strict=True)]
        return jax.tree.unflatten(self.tree, leaves)


def _gradient(
    settings: Any, solver: Solver, mode: Mode, arrays: Any, rhs: Any, iterations: Any, tolerance: Any
) -> Any:
    """Return `(solution, gradient)`; the gradient is a pair, of the operator's arrays and of `rhs`."""
    structure, loss, restore, null_space = settings

    def value(moved: list[Any], rhs: Any) -> Any:
        options = {"iterations": iterations, "tolerance": tolerance, "null_space": null_space}
        operator = structure.operator(arrays, moved)
        solution = solve(operator, rhs, solver=solver, differentiation=mode, **options)
        return loss(restore(solution.value)), solution

    gradient, solution = jax.grad(value, (0, 1), has_aux=True)(structure.differentiable(arrays), rhs)
    return solution, gradient


@partial(jax.jit, static_argnums=(0, 1))
@promoting
def _exact(settings: Any, reference: Solver, arrays: Any, rhs: Any) -> Any:
    """Return the exact solution and gradient, NaN unless the reference has converged."""
    tolerance = 1000 * float(jnp.finfo(rhs.dtype).eps)
    solution, gradient = _gradient(settings, reference, Implicit(), arrays, rhs, None, tolerance)
    sound = jnp.all(solution.status <= Status.PRECISION_LIMIT) & jnp.all(
        solution.status != Status.BUDGET_SPENT
    )
    return jax.tree.map(lambda x: jnp.where(sound, x, jnp.nan), (solution.value, gradient))


@partial(jax.jit, static_argnums=(0, 1, 2))
@promoting
def _compare(
    settings: Any,
    solver: Solver,
    mode: Mode,
    arrays: Any,
    rhs: Any,
    exact: Any,
    levels: Any,
    tolerance: Any,
) -> GradientError:
    def compare(iterations: Any) -> GradientError:
        solution, (operator_bar, rhs_bar) = _gradient(
            settings, solver, mode, arrays, rhs, iterations, tolerance
        )
        value, (exact_operator_bar, exact_rhs_bar) = exact
        return GradientError(
            _deviation([rhs_bar], [exact_rhs_bar]),
            _deviation(operator_bar, exact_operator_bar),
            _deviation([solution.value], [value]).error,
        )

    return jax.lax.map(compare, levels)


def _deviation(found: list[Any], exact: list[Any]) -> Deviation:
    def inner(a: list[Any], b: list[Any]) -> Any:
        return sum((jnp.sum(x * y) for x, y in zip(a, b, strict=True)), jnp.zeros(()))

    difference = [x - y for x, y in zip(found, exact, strict=True)]
    size, scale = (jnp.sqrt(inner(x, x)) for x in (found, exact))
    one = jnp.where(scale == 0, 1, scale)
    product = jnp.where(size * scale == 0, 1, size * scale)
    return Deviation(jnp.sqrt(inner(difference, difference)) / one, size / one, inner(found, exact) / product)
