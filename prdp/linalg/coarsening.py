"""The stencil of a coarser grid: rediscretised where coefficients are constant, Galerkin's otherwise."""

import itertools
from dataclasses import replace

import jax.numpy as jnp
from jaxtyping import Array

from prdp.linalg.operators import Leaf
from prdp.linalg.stencils import Offset, Stencil, opposite, shift
from prdp.linalg.transfer import Transfer

# An axis with so few points is not coarsened further.
FEWEST = 4

Terms = dict[Offset, Leaf]


def coarsen(operator: Stencil) -> tuple[Stencil, tuple[Transfer, ...]]:
    """Return the operator on a grid with half as many points per axis, and the transfer along each coarsened axis.

    * A stencil of nearest neighbours with constant coefficients is rediscretised on the uniform coarser grid, see
      `_rediscretised`. Its coarser stencil has constant coefficients too, for any number of points.
    * Every other stencil gives `R A P` (Galerkin), with `P` the interpolation and `R` its scaled transpose, which has
      offsets from -1 to 1 along every axis again. If it is not symmetric, it is made an M-matrix, see `_upwinded`:
      `R A P` of an upwind difference is close to a central one. The result for `A^T` is the transpose of that for `A`.

    Args:
        operator: a stencil whose offsets are -1, 0 or 1 along every axis.

    Returns:
        The coarser stencil and the transfers; no transfers if no axis has more than four points.

    Source: Trottenberg, Oosterlee & Schüller, *Multigrid*, sections 2.3 (rediscretisation) and 7.7.4 (Galerkin);
    Kuzmin & Turek, *J. Comput. Phys.* 175 (2002), 525-558 (discrete upwinding).
    """
    grid, d = operator.grid, len(operator.grid)
    uniform = is_uniform(operator) and all(sum(map(abs, o)) <= 1 for o in operator.offsets)
    transfers = tuple(
        Transfer(axis - d, n, operator.boundary, uniform) for axis, n in enumerate(grid) if n > FEWEST
    )
    if not transfers:
        return operator, ()
    terms = dict(zip(operator.offsets, operator.coefficients, strict=True))
    points = {t.axis: t.coarse for t in transfers}
    rank = len(operator.shape)
    shape = tuple(points.get(axis - rank, n) for axis, n in enumerate(operator.shape))
    if uniform:
        terms = _rediscretised(terms, transfers)
    else:
        for transfer in transfers:
            terms = _galerkin(terms, transfer)
        if not operator.symmetric:
            terms = _upwinded(terms, shape[rank - d :], operator.boundary)
    return replace(operator, coefficients=tuple(terms.values()), offsets=tuple(terms), shape=shape), transfers


def is_uniform(operator: Stencil) -> bool:
    """Whether no coefficient depends on the grid point; coefficients may depend on sample and channel."""
    d = len(operator.grid)
    return all(all(n == 1 for n in jnp.shape(c)[-d:]) for c in operator.coefficients)


def _rediscretised(terms: Terms, transfers: tuple[Transfer, ...]) -> Terms:
    """Return the stencil of the same differential operator on a grid whose spacing is larger by `1/r`.

    Along each axis, `c_+` and `c_-` have a common part if they have the same sign, which is second-order (diffusion)
    and scales with `r^2`. The rest is a first-order upwind difference and scales with `r`, so that an M-matrix stays
    one. The sum of all coefficients (reaction) is kept.
    """
    d = len(next(iter(terms)))
    centre = (0,) * d
    total = sum(terms.values())
    coarser = dict(terms)
    for transfer in transfers:
        ahead, behind = (tuple(s if i == transfer.axis + d else 0 for i in range(d)) for s in (1, -1))
        if ahead not in terms and behind not in terms:
            continue
        plus, minus = (jnp.asarray(terms.get(o, 0.0)) for o in (ahead, behind))
        smaller = jnp.where(jnp.abs(plus) < jnp.abs(minus), plus, minus)
        common = jnp.where(plus * minus > 0, smaller, 0)
        r = transfer.ratio
        coarser[ahead] = r * (plus - common) + r * r * common
        coarser[behind] = r * (minus - common) + r * r * common
    coarser[centre] = 0.0
    coarser[centre] = total - sum(coarser.values())
    return coarser


def _galerkin(terms: Terms, transfer: Transfer) -> Terms:
    """Return the terms of `R A P`, with `R` and `P` along one axis.

    Coarse point `I` is fine point `i_I`. With the hat function `h = (1/2, 1, 1/2)`,

        c'_O(I) = r sum_(q,o) h(q) h(q + o - 2 O) c_o(i_I + q),   q, o = -1, 0, 1,

    where the sum leaves out fine points that do not exist. At the seam of a periodic axis with an odd number of
    points, the last and the first coarse point are neighbours on the fine grid.
    """
    axis, n, coarse = transfer.axis, transfer.points, transfer.coarse
    d = len(next(iter(terms)))
    dirichlet = transfer.boundary == "dirichlet"
    cut = n % 2 == (0 if dirichlet else 1)
    hat = {-1: 0.5, 0: 1.0, 1: 0.5}
    found: dict[Offset, list[Array]] = {}
    for offset, coefficient in terms.items():
        o = offset[axis + d]
        varies = jnp.ndim(coefficient) >= -axis and jnp.shape(coefficient)[axis] > 1
        if not varies and not cut:
            sampled = {q: jnp.asarray(coefficient) for q in hat}
        else:
            line = _line(coefficient, transfer, d)
            kept = line if not cut else _without_edge(line, transfer, o)
            sampled = {q: _sample(kept, q, transfer) for q in hat}
        for q, coarser in itertools.product(hat, (-1, 0, 1)):
            p = q + o - 2 * coarser
            if p in hat:
                to = (*offset[: axis + d], coarser, *offset[axis + d + 1 :])
                found.setdefault(to, []).append(hat[q] * hat[p] * sampled[q])
        if cut and not dirichlet and o != 0:
            at = coarse - 1 if o > 0 else 0
            seam = jnp.where(
                _index(coarse, axis) == at, jnp.take(line, jnp.array([n - 1 if o > 0 else 0]), axis), 0
            )
            found.setdefault(offset, []).append(seam)
    return {offset: transfer.ratio * sum(parts) for offset, parts in found.items()}


def _upwinded(terms: Terms, grid: tuple[int, ...], boundary: str) -> Terms:
    """Return the terms with the smallest symmetric diffusion added that leaves no positive off-diagonal entry.

    For every pair of neighbours `i` and `j`, with a diagonal that is positive (else with the opposite signs),

        d_ij = max(0, a_ij, a_ji),   a_ij <- a_ij - d_ij,   a_ji <- a_ji - d_ij,   a_ii <- a_ii + d_ij,   a_jj likewise.

    Row and column sums are kept. An M-matrix has positive diagonal and no positive off-diagonal entries: its solutions
    do not oscillate, and Jacobi smooths them.
    """
    d = len(grid)
    centre = (0,) * d
    diagonal = jnp.asarray(terms[centre])
    over = tuple(range(-min(d, diagonal.ndim), 0))
    sign = jnp.where(jnp.mean(diagonal, over, keepdims=True) < 0, -1, 1).astype(diagonal.dtype)
    changed = dict(terms)
    for forth in sorted({max(o, opposite(o)) for o in terms} - {centre}):
        back = opposite(forth)
        entry, partner = (jnp.asarray(terms.get(o, 0.0)) for o in (forth, back))
        added = jnp.maximum(0, jnp.maximum(sign * entry, sign * shift(partner, forth, grid, boundary)))
        if boundary == "dirichlet":
            added = added * shift(jnp.ones(grid, added.dtype), forth, grid, boundary)
        of_partner = shift(added, back, grid, boundary)
        changed[forth] = entry - sign * added
        changed[back] = partner - sign * of_partner
        changed[centre] = changed[centre] + sign * (added + of_partner)
    return changed


def _line(coefficient: Leaf, transfer: Transfer, dimensions: int) -> Array:
    """Return a coefficient with all its values along the axis and all grid axes."""
    shape = jnp.shape(coefficient)
    shape = (1,) * (dimensions - len(shape)) + shape
    full = list(shape)
    full[transfer.axis] = transfer.points
    return jnp.broadcast_to(jnp.reshape(coefficient, shape), full)


def _index(n: int, axis: int) -> Array:
    return jnp.arange(n).reshape(-1, *(1,) * (-axis - 1))


def _without_edge(line: Array, transfer: Transfer, offset: int) -> Array:
    """Return a coefficient with zeros at the points whose neighbour at its offset is beyond the edge."""
    index = _index(transfer.points, transfer.axis) + offset
    return jnp.where((index >= 0) & (index < transfer.points), line, 0)


def _sample(line: Array, q: int, transfer: Transfer) -> Array:
    """Return `c(i_I + q)` for every coarse point, zero (or wrapped, on an even periodic axis) beyond the edge."""
    axis, n = transfer.axis, transfer.points
    wraps = transfer.boundary == "periodic" and n % 2 == 0
    widths = [(0, 0)] * line.ndim
    widths[axis] = (1, 1)
    padded = jnp.pad(line, widths, mode="wrap") if wraps else jnp.pad(line, widths)
    first = 1 + q + (1 if transfer.boundary == "dirichlet" else 0)
    index = [slice(None)] * line.ndim
    index[axis] = slice(first, first + 2 * transfer.coarse - 1, 2)
    return padded[tuple(index)]
