"""Direct solution: fast transforms if sine or Fourier modes diagonalise the operator, dense LU otherwise."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.checks import one_of
from prdp.linalg import Operator, Stencil, solve_each
from prdp.linalg.shifted import Shifted
from prdp.solvers.base import Solver, flag, start
from prdp.solvers.status import Status

FACTORISATIONS = ("auto", "dense", "spectral")


class DirectState(NamedTuple):
    """The current value, its residual `b - A u`, and the failure code per system."""

    value: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class Direct(Solver):
    """Solve exactly in one iteration.

    A constant-coefficient stencil of the form `c_0 + sum_i c_i (S_i + S_i^-1)`, where `S_i` shifts along axis `i`, is
    diagonal in sine modes (Dirichlet, type-I sine transform) or Fourier modes (periodic). Its eigenvalues are
    `c_0 + sum_i 2 c_i cos(theta_i)` with `theta_i = pi k/(N+1)` or `2 pi k/N`, respectively. Other operators are
    solved by dense LU.

    Args:
        factorisation: `dense`; `spectral`, which requires such a stencil; or `auto`, spectral where possible.

    Raises:
        ValueError: If `factorisation` is not one of these.
    """

    factorisation: str = "auto"
    is_iterative: ClassVar[bool] = False
    is_linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("factorisation", self.factorisation, FACTORISATIONS)

    @property
    def measures_residual(self) -> bool:
        """True: every step computes `b - A u`."""
        return True

    def check(self, operator: Operator) -> None:
        """Check that the factorisation supports the operator.

        Raises:
            ValueError: If `factorisation` is `spectral` and neither sine nor Fourier modes diagonalise the operator.
        """
        if self.factorisation == "spectral" and not is_diagonal_in_modes(operator):
            raise ValueError(
                "factorisation='spectral' needs a symmetric constant-coefficient stencil of nearest "
                "neighbours: use 'dense' or 'auto'"
            )

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> DirectState:
        """Return the state at `guess`."""
        return DirectState(*start(operator, rhs, guess))

    def step(self, operator: Operator, rhs: Float[Array, "..."], state: DirectState) -> DirectState:
        """Return the exact solution. A singular operator sets the failure `SINGULAR`."""
        value = solve_directly(operator, rhs, self.factorisation)
        axes = tuple(range(-operator.rank, 0))
        singular = ~jnp.all(jnp.isfinite(value), axis=axes) & jnp.all(jnp.isfinite(rhs), axis=axes)
        return DirectState(value, rhs - operator.mv(value), flag(state.failure, singular, Status.SINGULAR))


def solve_directly(operator: Operator, rhs: Array, factorisation: str = "auto") -> Array:
    """Return `A^-1 b` without a loop or a status, e.g. for reference solutions; non-finite where `A` is singular.

    Args:
        operator: `A`.
        rhs: `b`, shape `(*batch, *operator.shape)`.
        factorisation: as for `Direct`, except that `spectral` falls back to dense LU.
    """
    shift = None
    if factorisation != "dense" and isinstance(operator, Shifted) and is_diagonal_in_modes(operator.original):
        shift, operator = operator.shift(), operator.original
    if factorisation != "dense" and isinstance(operator, Stencil) and is_diagonal_in_modes(operator):
        return _solve_in_modes(operator, rhs, shift)
    return _solve_dense(operator, rhs)


def _solve_dense(operator: Operator, rhs: Array) -> Array:
    matrix = operator.as_dense()
    flat = rhs.reshape(*rhs.shape[: rhs.ndim - operator.rank], operator.size)
    if matrix.ndim == 2:
        # One factorisation for all systems of the batch.
        columns = flat.reshape(-1, operator.size).T
        return jnp.linalg.solve(matrix, columns).T.reshape(rhs.shape)
    return solve_each(matrix, flat).reshape(rhs.shape)


def is_diagonal_in_modes(operator: Operator) -> bool:
    """Whether the operator's structure shows that sine or Fourier modes diagonalise it. Values are not inspected."""
    if not (isinstance(operator, Stencil) and operator.symmetric and operator.is_constant()):
        return False
    return all(sum(abs(i) for i in o) <= 1 for o in operator.offsets)


def _solve_in_modes(operator: Stencil, rhs: Array, shift: Array | None = None) -> Array:
    grid = operator.grid
    axes = tuple(range(-len(grid), 0))
    dirichlet = operator.boundary == "dirichlet"
    eigenvalues = jnp.zeros(grid, rhs.dtype)
    for coefficient, offset in zip(operator.coefficients, operator.offsets, strict=True):
        factor = jnp.ones((1,) * len(grid), rhs.dtype)
        for axis, o, n in zip(axes, offset, grid, strict=True):
            if o == 0:
                continue
            k = jnp.arange(1, n + 1) if dirichlet else jnp.arange(n)
            theta = jnp.pi * k / (n + 1) if dirichlet else 2 * jnp.pi * k / n
            factor = jnp.expand_dims(
                jnp.cos(theta).astype(rhs.dtype), tuple(i for i in range(len(grid)) if i != axis + len(grid))
            )
        eigenvalues = eigenvalues + coefficient * factor
    if shift is not None:
        # Constants are the first Fourier mode. (On Dirichlet grids no constant is in the null space.)
        eigenvalues = eigenvalues.at[(0,) * len(grid)].add(0 if dirichlet else jnp.squeeze(shift))
    if dirichlet:
        return _sine_transform(_sine_transform(rhs, axes) / eigenvalues, axes)
    spectrum = jnp.fft.fftn(rhs, axes=axes) / eigenvalues
    return jnp.real(jnp.fft.ifftn(spectrum, axes=axes)).astype(rhs.dtype)


def _sine_transform(u: Array, axes: tuple[int, ...]) -> Array:
    """Return the orthonormal type-I sine transform along `axes`; it is its own inverse."""
    for axis in axes:
        n = u.shape[axis]
        zero = jnp.zeros_like(jnp.take(u, jnp.array([0]), axis=axis))
        odd = jnp.concatenate([zero, u, zero, -jnp.flip(u, axis)], axis=axis)
        spectrum = jnp.imag(jnp.fft.fft(odd, axis=axis))
        modes = jnp.take(spectrum, jnp.arange(1, n + 1), axis=axis)
        u = (-modes / jnp.sqrt(2.0 * (n + 1)).astype(u.dtype)).astype(u.dtype)
    return u
