"""Right preconditioning of Krylov solvers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from prdp.linalg import CoupledStencil, Operator, Stencil, invert_each
from prdp.linalg.operators import static
from prdp.solvers.base import Solver, safe_divide, start


class Preconditioner(ABC):
    """An approximate inverse `P` of an operator. Implementations are frozen dataclasses of their parameters."""

    @abstractmethod
    def prepare(self, operator: Operator) -> Any:
        """Return the data that `apply` needs, as a pytree. Called once per solve."""

    @abstractmethod
    def apply(self, prepared: Any, v: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P v`."""

    def check(self, operator: Operator) -> None:  # noqa: B027
        """Check that the preconditioner supports the operator.

        Raises:
            ValueError: If the operator is not supported.
        """


@dataclass(frozen=True)
class Diagonal(Preconditioner):
    """The Jacobi preconditioner `P = D^-1`. Unknowns with a zero diagonal entry are not scaled."""

    def prepare(self, operator: Operator) -> Array:
        """Return `D^-1`."""
        diagonal = operator.diagonal()
        return jnp.where(diagonal == 0, 1, safe_divide(jnp.ones_like(diagonal), diagonal))

    def apply(self, prepared: Array, v: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `D^-1 v`."""
        return prepared * v


@dataclass(frozen=True)
class Fourier(Preconditioner):
    """The exact inverse of the operator with every coefficient replaced by its mean over the periodic grid.

    That operator is block diagonal in Fourier modes: one matrix over the channels per wave vector k,
    `M_ij(k) = sum_o mean(c_ijo) exp(i k.o)`, with the pins added at `k = 0`. For constant coefficients, GMRES
    converges after one product. For Navier-Stokes, the preconditioner inverts the saddle-point operator of diffusion
    and mean (upwind) convection, including the modes of mean velocity and mean pressure.
    """

    def check(self, operator: Operator) -> None:
        """Check that the operator is a periodic stencil.

        Raises:
            ValueError: If it is not.
        """
        if not (isinstance(operator, Stencil | CoupledStencil) and operator.boundary == "periodic"):
            raise ValueError("the Fourier preconditioner needs a periodic stencil")

    def prepare(self, operator: Operator) -> "Spectrum":
        """Return `M(k)^-1`."""
        assert isinstance(operator, Stencil | CoupledStencil)
        grid = operator.grid
        if isinstance(operator, Stencil):
            # A coefficient is common to all channels, or differs by channel.
            symbol = sum(
                _mean(c, len(grid)) * _phase(o, grid)
                for c, o in zip(operator.coefficients, operator.offsets, strict=True)
            )
            symbol = jnp.asarray(symbol)
            # Modes in the null space (such as the mean, for a periodic Laplacian) are set to zero.
            return Spectrum(safe_divide(jnp.ones_like(symbol), symbol), grid, coupled=False)
        channels = operator.shape[0]
        rows: list[list[Any]] = [[jnp.zeros(())] * channels for _ in range(channels)]
        for coefficient, (i, j, offset) in zip(operator.coefficients, operator.terms, strict=True):
            rows[i][j] = rows[i][j] + _mean(coefficient, len(grid)) * _phase(offset, grid)
        for i, strength in operator.pins:
            rows[i][i] = rows[i][i] + strength * _is_origin(grid)
        shape = jnp.broadcast_shapes(*(jnp.shape(entry) for row in rows for entry in row))
        matrix = jnp.stack([jnp.stack([jnp.broadcast_to(e, shape) for e in row], -1) for row in rows], -2)
        return Spectrum(invert_each(matrix), grid, coupled=True)

    def apply(self, prepared: "Spectrum", v: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P v`, by fast Fourier transforms."""
        axes = tuple(range(-len(prepared.grid), 0))
        spectrum = jnp.fft.rfftn(v, axes=axes)
        if prepared.coupled:
            channel = axes[0] - 1
            spectrum = jnp.moveaxis(spectrum, channel, -1)[..., None, :]
            spectrum = jnp.moveaxis(jnp.sum(prepared.inverse * spectrum, -1), -1, channel)
        else:
            spectrum = prepared.inverse * spectrum
        return jnp.fft.irfftn(spectrum, s=prepared.grid, axes=axes).astype(v.dtype)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Spectrum:
    """`M(k)^-1` per wave vector of a real FFT (half the last axis): a scalar, or a matrix on two trailing axes."""

    inverse: Any
    grid: tuple[int, ...] = static()
    coupled: bool = static()


def _mean(coefficient: Any, dimensions: int) -> Array:
    if jnp.ndim(coefficient) == 0:
        return jnp.asarray(coefficient)
    return jnp.mean(coefficient, axis=tuple(range(-dimensions, 0)), keepdims=True)


def _wave_numbers(grid: tuple[int, ...]) -> list[np.ndarray]:
    """Return `2 pi k/N` along each axis, shaped to broadcast. On the last axis, `k = 0..N/2`."""
    d = len(grid)
    angles = [2 * np.pi * np.arange(n if i < d - 1 else n // 2 + 1) / n for i, n in enumerate(grid)]
    return [a.reshape([-1 if i == j else 1 for j in range(d)]) for i, a in enumerate(angles)]


def _phase(offset: tuple[int, ...], grid: tuple[int, ...]) -> Array:
    total = sum(o * angle for o, angle in zip(offset, _wave_numbers(grid), strict=True))
    return jnp.asarray(np.exp(1j * total))


def _is_origin(grid: tuple[int, ...]) -> Array:
    return jnp.asarray(np.prod([a == 0 for a in np.broadcast_arrays(*_wave_numbers(grid))], axis=0), float)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PreconditionedOperator(Operator):
    """The operator `A P`. If `A P y = b`, then `u = P y` solves `A u = b`."""

    original: Operator
    prepared: Any
    preconditioner: Preconditioner = static()

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The shape of one system."""
        return self.original.shape

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """False: `A P` is not symmetric in general."""
        return False

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A P u`."""
        return self.original.mv(self.inverse(u))

    def inverse(self, v: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P v`."""
        return self.preconditioner.apply(self.prepared, v)

    def transpose(self) -> Operator:
        """Not available: the adjoint solve transposes `A` and prepares a new preconditioner for `A^T`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("transpose the original operator")

    def diagonal(self) -> Float[Array, "..."]:
        """Not available: no preconditionable solver needs the diagonal.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a preconditioned operator has no cheap diagonal")


class PreconditionedState(NamedTuple):
    """The inner solver's state for `A P y = r_0`, the guess `u_0`, `r_0 = b - A u_0`, the residual, and the failure."""

    inner: Any
    guess: Array
    rhs: Array
    residual: Array
    failure: Array


@dataclass(frozen=True)
class Preconditioned(Solver):
    """Right preconditioning: `solver` solves `A P y = b - A u_0`, and `u = u_0 + P y`.

    The residual is that of the original system, so the tolerance has the same meaning as without preconditioning. The
    adjoint solve uses the preconditioner of `A^T`. A product with `A P` counts as one product.

    Args:
        solver: GMRES or BiCGStab.
        preconditioner: `Diagonal()` or `Fourier()`.

    Raises:
        ValueError: If the solver is not preconditionable.

    Source: Saad, *Iterative Methods for Sparse Linear Systems*, section 9.3.2.
    """

    solver: Solver
    preconditioner: Preconditioner

    def __post_init__(self) -> None:
        if not self.solver.preconditionable:
            raise ValueError(
                f"{type(self.solver).__name__} cannot be preconditioned: allowed are GMRES and BiCGStab"
            )

    @property
    def measures_residual(self) -> bool:
        """As for the inner solver."""
        return self.solver.measures_residual

    @property
    def matvecs_per_iteration(self) -> int:
        """As for the inner solver."""
        return self.solver.matvecs_per_iteration

    def check(self, operator: Operator) -> None:
        """Check that both the solver and the preconditioner support the operator.

        Raises:
            ValueError: If either does not.
        """
        self.solver.check(operator)
        self.preconditioner.check(operator)

    def prepare(self, operator: Operator) -> PreconditionedOperator:
        """Return `A P`."""
        return PreconditionedOperator(operator, self.preconditioner.prepare(operator), self.preconditioner)

    def system(self, prepared: Operator) -> Operator:
        """Return `A`."""
        assert isinstance(prepared, PreconditionedOperator)
        return prepared.original

    def init(
        self, operator: Operator, rhs: Float[Array, "..."], guess: Float[Array, "..."] | None
    ) -> PreconditionedState:
        """Return the state at `guess`."""
        assert isinstance(operator, PreconditionedOperator)
        value, residual, _ = start(operator.original, rhs, guess)
        inner = self.solver.init(operator, residual, None)
        return PreconditionedState(inner, value, residual, inner.residual, inner.failure)

    def step(
        self, operator: Operator, rhs: Float[Array, "..."], state: PreconditionedState
    ) -> PreconditionedState:
        """Return the state after one iteration of the inner solver."""
        inner = self.solver.step(operator, state.rhs, state.inner)
        return state._replace(inner=inner, residual=inner.residual, failure=inner.failure)

    def solution(self, operator: Operator, state: PreconditionedState) -> Float[Array, "..."]:
        """Return `u_0 + P y`."""
        assert isinstance(operator, PreconditionedOperator)
        return state.guess + operator.inverse(self.solver.solution(operator, state.inner))


# By the name that the key `solver.preconditioner` has.
PRECONDITIONERS: dict[str, type[Preconditioner] | None] = {
    "none": None,
    "jacobi": Diagonal,
    "fourier": Fourier,
}
