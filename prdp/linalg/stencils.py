"""Matrix-free finite-difference operators on uniform Cartesian grids, in any dimension.

A stencil is the operator

    (A u)(x) = sum_o c_o(x) u(x + o),

with integer offsets `o` and coefficients `c_o` that are numbers or fields. Values outside the grid are zero
(`dirichlet`: homogeneous, no unknowns on the boundary, spacing 1/(N+1) on the unit interval) or wrap around
(`periodic`: spacing 1/N). Sums, multiples and transposes of stencils are stencils.
"""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.operators import Leaf, Operator, finite, static

BOUNDARIES = ("dirichlet", "periodic")

Offset = tuple[int, ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Stencil(Operator):
    """`(A u)(x) = sum_o c_o(x) u(x + o)` on the trailing axes of a field.

    Args:
        coefficients: one per offset; a scalar, or a field broadcastable to `(*batch, *shape)`.
        offsets: integer offsets, one component per grid axis (the last axes of `shape`).
        shape: the shape of one system, grid axes last. The axes before them (channels) are not coupled.
        boundary: `dirichlet` (zero outside) or `periodic`.
        symmetric: whether `A = A^T`.
    """

    coefficients: tuple[Leaf, ...]
    offsets: tuple[Offset, ...] = static()
    shape: tuple[int, ...] = static()
    boundary: str = static()
    symmetric: bool = static(default=False)

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of points along each grid axis."""
        return self.shape[len(self.shape) - len(self.offsets[0]) :]

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u`, a sum of shifted copies of `u`."""
        # Dirichlet shifts are pads and slices. XLA fuses them into the sum, and their VJPs are pads and slices again:
        # unrolled gradients take about 0.6 times as long as with one padded copy. Periodic shifts are rolls: on a
        # grid that is divided over devices, XLA sends each halo once, two permutes per axis (11 with wrapped copies).
        one_cpu = jax.default_backend() == "cpu" and jax.device_count() == 1
        if self.boundary == "periodic" and one_cpu:
            moved = _wrapped(u, self.offsets, self.grid)
        else:
            moved = [shift(u, o, self.grid, self.boundary) for o in self.offsets]
        return functools.reduce(operator.add, (c * v for c, v in zip(self.coefficients, moved, strict=True)))

    def transpose(self) -> "Stencil":
        """Return `A^T`: offsets negated, and coefficient fields shifted accordingly."""
        offsets = tuple(map(opposite, self.offsets))
        coefficients = tuple(
            shift(c, o, self.grid, self.boundary) for c, o in zip(self.coefficients, offsets, strict=True)
        )
        return Stencil(coefficients, offsets, self.shape, self.boundary, self.symmetric)

    def diagonal(self) -> Float[Array, "..."]:
        """Return `diag(A)`: the sum of the coefficients at offset zero and at offsets that wrap around to zero."""
        total = jnp.zeros((1,) * self.rank, jnp.result_type(*self.coefficients))
        for coefficient, offset in zip(self.coefficients, self.offsets, strict=True):
            if returns_home(offset, self.grid, self.boundary):
                total = total + coefficient
        return total

    def row_sum_bound(self) -> Float[Array, ""]:
        """Return `max_x sum_o |c_o(x)|`, an upper bound of the spectral radius."""
        return jnp.max(sum(jnp.abs(c) for c in self.coefficients))

    def astype(self, dtype: Any) -> "Stencil":
        """Return the operator with its coefficients cast to arrays of `dtype`."""
        return replace(self, coefficients=tuple(jnp.asarray(c, dtype) for c in self.coefficients))

    def without_non_finite(self) -> "Stencil":
        """Return the operator with non-finite entries set to 0 in coefficients that have a batch axis."""
        return replace(self, coefficients=finite_of_batch(self.coefficients, len(self.grid)))

    def is_constant(self) -> bool:
        """Whether every coefficient is a scalar, as fast sine or Fourier transforms require."""
        return all(jnp.ndim(c) == 0 for c in self.coefficients)

    def __add__(self, other: "Stencil") -> "Stencil":
        """Return `A + B`.

        Raises:
            ValueError: If the two stencils differ in shape or boundary.
        """
        if (self.shape, self.boundary) != (other.shape, other.boundary):
            raise ValueError(
                f"cannot add stencils on {self.shape} ({self.boundary}) and {other.shape} ({other.boundary})"
            )
        terms: dict[Offset, Leaf] = dict(zip(self.offsets, self.coefficients, strict=True))
        for offset, coefficient in zip(other.offsets, other.coefficients, strict=True):
            terms[offset] = terms[offset] + coefficient if offset in terms else coefficient
        symmetric = self.symmetric and other.symmetric
        return Stencil(tuple(terms.values()), tuple(terms), self.shape, self.boundary, symmetric)

    def __rmul__(self, factor: Leaf) -> "Stencil":
        """Return `diag(factor) A` for a number or field. Only a number preserves symmetry."""
        symmetric = self.symmetric and jnp.ndim(factor) == 0
        coefficients = tuple(factor * c for c in self.coefficients)
        return Stencil(coefficients, self.offsets, self.shape, self.boundary, symmetric)

    def __sub__(self, other: "Stencil") -> "Stencil":
        """Return `A - B`."""
        return self + (-1.0) * other


def finite_of_batch(coefficients: tuple[Leaf, ...], dimensions: int) -> tuple[Leaf, ...]:
    """Return the coefficients with non-finite entries set to 0 where they have a batch axis."""
    return tuple(finite(c) if jnp.ndim(c) > dimensions else c for c in coefficients)


def opposite(offset: Offset) -> Offset:
    """Return the offset of the way back."""
    return tuple(-o for o in offset)


def returns_home(offset: Offset, grid: tuple[int, ...], boundary: str) -> bool:
    """Whether `x + offset` is `x`, including multiples of the period on a periodic grid."""
    if boundary == "periodic":
        return all(o % n == 0 for o, n in zip(offset, grid, strict=True))
    return all(o == 0 for o in offset)


def shift(coefficient: Leaf, offset: Offset, grid: tuple[int, ...], boundary: str) -> Leaf:
    """Return `x -> c(x + offset)` with the given boundary condition. Scalars are returned unchanged."""
    if jnp.ndim(coefficient) == 0:
        return coefficient
    axes = range(-len(grid), 0)
    batch = jnp.shape(coefficient)[: max(0, jnp.ndim(coefficient) - len(grid))]
    coefficient = jnp.broadcast_to(coefficient, (*batch, *grid))
    if boundary == "periodic":
        return jnp.roll(coefficient, opposite(offset), tuple(axes))
    for axis, o in zip(axes, offset, strict=True):
        n = coefficient.shape[axis]
        pad = [(0, 0)] * coefficient.ndim
        pad[axis] = (max(0, -o), max(0, o))
        start = max(0, o)
        coefficient = jax.lax.slice_in_dim(
            jnp.pad(coefficient, pad), start, start + n, axis=coefficient.ndim + axis
        )
    return coefficient


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _wrapped(u: Array, offsets: tuple[Offset, ...], grid: tuple[int, ...]) -> list[Array]:
    """Return the periodic shifts of `u`: along the last axis slices of one wrapped copy, along the others rolls.

    XLA vectorises no roll along the last axis of a CPU: a product takes 0.3 to 0.8 times as long. Derivatives use
    rolls, since the VJP of the copy is slow.
    """
    n = grid[-1]
    nearest = [(o[-1] + n // 2) % n - n // 2 for o in offsets]
    below, above = max(0, -min(nearest)), max(0, *nearest)
    # Without the barrier, XLA turns the slices into rolls.
    copy = jax.lax.optimization_barrier(jnp.concatenate([u[..., n - below :], u, u[..., :above]], axis=-1))
    return [
        shift(copy[..., below + step : below + step + n], (*o[:-1], 0), grid, "periodic")
        for o, step in zip(offsets, nearest, strict=True)
    ]


@_wrapped.defjvp
def _wrapped_jvp(
    offsets: tuple[Offset, ...], grid: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[list[Array], list[Array]]:
    (u,), (du,) = primals, tangents
    return _wrapped(u, offsets, grid), [shift(du, o, grid, "periodic") for o in offsets]


def _check(shape: Sequence[int], dimensions: int, boundary: str) -> tuple[int, ...]:
    shape = tuple(int(n) for n in shape)
    if boundary not in BOUNDARIES:
        raise ValueError(f"boundary={boundary!r}: allowed are {', '.join(BOUNDARIES)}")
    if not 1 <= dimensions <= len(shape) or min(shape) < 1:
        raise ValueError(f"shape={shape} cannot hold a grid of {dimensions} dimension(s)")
    return shape


def _unit(dimensions: int, axis: int, step: int) -> Offset:
    return tuple(step if i == axis else 0 for i in range(dimensions))


def identity(shape: Sequence[int], dimensions: int, boundary: str) -> Stencil:
    """Return the identity on fields of `shape` as a stencil.

    Args:
        shape: the shape of one system, grid axes last.
        dimensions: the number of grid axes.
        boundary: `dirichlet` or `periodic`.

    Raises:
        ValueError: If `boundary` is unknown, or if `shape` cannot hold a grid of `dimensions` axes.
    """
    shape = _check(shape, dimensions, boundary)
    return Stencil((jnp.asarray(1.0),), ((0,) * dimensions,), shape, boundary, True)


def laplacian(shape: Sequence[int], dimensions: int, spacing: float, boundary: str) -> Stencil:
    """Return the second-order Laplacian `sum_i (u(x-e_i) - 2 u(x) + u(x+e_i)) / spacing^2`.

    Args:
        shape: the shape of one system, grid axes last.
        dimensions: the number of grid axes.
        spacing: the grid spacing, in units of length, the same along every axis.
        boundary: `dirichlet` or `periodic`.

    Raises:
        ValueError: If `boundary` is unknown, or if `shape` cannot hold a grid of `dimensions` axes.

    Source: paper, eqs. 22 (Dirichlet) and 25, 31, 35 (periodic).
    """
    shape = _check(shape, dimensions, boundary)
    scale = jnp.asarray(1.0 / spacing**2)
    offsets: list[Offset] = [(0,) * dimensions]
    coefficients = [-2.0 * dimensions * scale]
    for axis in range(dimensions):
        for step in (-1, 1):
            offsets.append(_unit(dimensions, axis, step))
            coefficients.append(scale)
    return Stencil(tuple(coefficients), tuple(offsets), shape, boundary, True)


def forward_difference(
    shape: Sequence[int], dimensions: int, spacing: float, boundary: str, axis: int = 0
) -> Stencil:
    """Return `(u(x + e_axis) - u(x)) / spacing`, minus the transpose of `backward_difference`.

    Args and errors as for `laplacian`; `axis` counts grid axes.

    Source: paper, eq. 38 left.
    """
    shape = _check(shape, dimensions, boundary)
    scale = jnp.asarray(1.0 / spacing)
    offsets = ((0,) * dimensions, _unit(dimensions, axis, 1))
    return Stencil((-scale, scale), offsets, shape, boundary, False)


def backward_difference(
    shape: Sequence[int], dimensions: int, spacing: float, boundary: str, axis: int = 0
) -> Stencil:
    """Return `(u(x) - u(x - e_axis)) / spacing`, minus the transpose of `forward_difference`.

    Args and errors as for `laplacian`; `axis` counts grid axes.

    Source: paper, eq. 38 right (whose corner entry should read -1).
    """
    shape = _check(shape, dimensions, boundary)
    scale = jnp.asarray(1.0 / spacing)
    offsets = ((0,) * dimensions, _unit(dimensions, axis, -1))
    return Stencil((scale, -scale), offsets, shape, boundary, False)
