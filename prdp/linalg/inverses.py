"""Approximate inverses of operators, as operators."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.norms import expand
from prdp.linalg.operators import Leaf, Operator, static
from prdp.linalg.stencils import Stencil


class Inverse(Operator):
    """An operator `P`, close to `A^-1`, that is only ever applied: its diagonal costs one product per unknown."""

    def diagonal(self) -> Float[Array, "..."]:
        """Return `diag(P)`."""
        matrix = self.as_dense()
        entries = jnp.diagonal(matrix, axis1=-2, axis2=-1)
        return entries.reshape(*entries.shape[:-1], *self.shape)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scaling(Inverse):
    """`(P u)_i = d_i u_i`.

    Args:
        factors: `d`, broadcastable to `(*batch, *shape)`.
        shape: the shape of one system.
    """

    factors: Leaf
    shape: tuple[int, ...] = static()
    symmetric: bool = static(default=True)

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `d u`, element by element."""
        return self.factors * u

    def transpose(self) -> "Scaling":
        """Return the operator itself."""
        return self


@dataclass(frozen=True)
class _OfOperator(Inverse):
    """A `P` made of products with `A` and a scaling by its diagonal; symmetric if `A` is."""

    operator: Operator
    scaling: Leaf

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The shape of one system."""
        return self.operator.shape

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Whether `A` is symmetric."""
        return self.operator.symmetric


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Polynomial(_OfOperator):
    """The Chebyshev polynomial `P = p(D^-1 A) D^-1` with `p` of degree `degree - 1`.

    If the eigenvalues of `D^-1 A` are real and within `[l, L]`, then `I - P A` has the eigenvalues
    `T_k(s (1 - lambda/c)) / T_k(s)` with `k = degree`, `c = (l + L)/2`, `s = (L + l)/(L - l)` and the Chebyshev
    polynomial `T_k`, the smallest maximum over the interval. `P` costs `degree - 1` products with `A`.

    Args:
        operator: `A`.
        scaling: `D^-1`, broadcastable to `(*batch, *shape)`.
        lower: `l > 0` per system, broadcastable to `(*batch, *shape)`.
        upper: `L > l`, likewise.
        degree: `k`, at least 1.

    Source: Saad, *Iterative Methods for Sparse Linear Systems*, algorithm 12.1.
    """

    lower: Leaf
    upper: Leaf
    degree: int = static()

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P u`."""
        centre = (self.upper + self.lower) / 2
        # An interval of one point would give a quotient of zeros.
        radius = jnp.maximum((self.upper - self.lower) / 2, 1e-3 * centre)
        sigma = centre / radius
        rho, residual = 1 / sigma, u
        change = self.scaling * u / centre
        value = change
        for _ in range(self.degree - 1):
            residual = apart(residual - self.operator.mv(change))
            following = 1 / (2 * sigma - rho)
            change = following * (rho * change + 2 / radius * (self.scaling * residual))
            value, rho = value + change, following
        return value

    def transpose(self) -> "Polynomial":
        """Return `P^T`, the same polynomial of `A^T`."""
        return replace(self, operator=self.operator.transpose())


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Relaxation(_OfOperator):
    """Damped Jacobi steps on all points, or on the points of one colour, in a palindromic order.

    `P u` is the result of `v <- v + omega M_c D^-1 (u - A v)` for every `c` in `colours`, from `v = 0`, where `M_c`
    keeps the points whose index sum is even (`c = 0`) or odd (`c = 1`), or all points (`c = None`). If `A` is
    symmetric, so is `P`. `P` costs one product with `A` less than it has steps.

    Args:
        operator: `A`.
        scaling: `omega D^-1`, broadcastable to `(*batch, *shape)`.
        colours: the colour of each step.
        axes: the number of grid axes, the last ones, whose indices are summed.
    """

    colours: tuple[int | None, ...] = static()
    axes: int = static()

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `P u`."""
        value = self._masked(self.colours[0], self.scaling * u)
        for colour in self.colours[1:]:
            value = apart(value + self._masked(colour, self.scaling * (u - self.operator.mv(value))))
        return value

    def _masked(self, colour: int | None, u: Array) -> Array:
        if colour is None:
            return u
        grid = self.shape[len(self.shape) - self.axes :]
        parity = sum(jnp.arange(n).reshape(-1, *(1,) * (self.axes - 1 - i)) for i, n in enumerate(grid))
        return jnp.where(parity % 2 == colour, u, 0)

    def transpose(self) -> "Relaxation":
        """Return `P^T`: the same steps with `A^T`."""
        return replace(self, operator=self.operator.transpose())


def apart(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `u` unchanged. Without the barrier, XLA fuses chained stencils and repeats their work per neighbour."""
    return jax.lax.optimization_barrier(u)


def scaled_bound(operator: Operator) -> Float[Array, "..."]:
    """Return `max_i sum_j |a_ij / a_ii|` per system, a bound of the eigenvalues of `D^-1 A`; one if a row is empty.

    The result is broadcastable to `(*batch, *shape)`. Other operators than stencils are made dense.
    """
    diagonal = jnp.abs(operator.diagonal())
    if isinstance(operator, Stencil):
        rows: Any = sum(jnp.abs(c) for c in operator.coefficients)
    else:
        sums = jnp.sum(jnp.abs(operator.as_dense()), axis=-1)
        rows = sums.reshape(*sums.shape[:-1], *operator.shape)
    relative = rows / jnp.where(diagonal == 0, jnp.inf, diagonal)
    rank = operator.rank
    bound = jnp.max(relative, axis=tuple(range(-min(rank, relative.ndim), 0)))
    return expand(jnp.where(bound == 0, 1, bound), rank)


def inverse_diagonal(operator: Operator) -> Float[Array, "..."]:
    """Return `D^-1`, with 1 where the diagonal is zero."""
    diagonal = operator.diagonal()
    zero = diagonal == 0
    return jnp.where(zero, 1, 1 / jnp.where(zero, 1, diagonal))
