"""Conversion of stencils to SciPy matrices, and their sparse factorisation on the host."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from scipy.sparse.linalg import splu

from prdp.linalg import CoupledStencil, Stencil
from prdp.physics.base import Physics

AnyStencil = Stencil | CoupledStencil


@functools.partial(jax.jit, static_argnums=0)
def _assemble(physics: Physics, prior: Any) -> Any:
    return physics.operator(prior), physics.rhs(prior)


def assemble(physics: Physics, prior: np.ndarray) -> tuple[list[AnyStencil], np.ndarray]:
    """Return `A(g)` for each prior `g` of a batch, with NumPy float64 coefficients, and all `b(g)` as one array."""
    with jax.enable_x64(True):
        operator, rhs = jax.device_get(_assemble(physics, jnp.asarray(prior, jnp.float64)))
    rank = len(physics.shape) - isinstance(operator, CoupledStencil)

    def of(sample: int) -> AnyStencil:
        return jax.tree.map(lambda c: c[sample] if np.ndim(c) > rank else c, operator)

    return [of(i) for i in range(len(prior))], rhs


def as_sparse(operator: AnyStencil) -> scipy.sparse.csr_matrix:
    """Return the stencil of one system as a SciPy matrix of shape `(size, size)`, without its (dense) pins."""
    grid, size = operator.grid, operator.size
    cells = np.arange(size).reshape(operator.shape)
    values, rows, columns = [], [], []
    for coefficient, selected, source, offset in _terms(operator, cells):
        axes = tuple(range(-len(grid), 0))
        neighbours = np.roll(source, tuple(-o for o in offset), axis=axes)
        inside = np.ones(selected.shape, bool)
        if operator.boundary == "dirichlet":
            for axis, o, n in zip(axes, offset, grid, strict=True):
                position = np.arange(n) + o
                usable = (position >= 0) & (position < n)
                inside &= usable.reshape([-1 if i == axis + len(grid) else 1 for i in range(len(grid))])
        values.append(np.broadcast_to(np.asarray(coefficient, np.float64), selected.shape)[inside])
        rows.append(selected[inside])
        columns.append(neighbours[inside])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.coo_matrix(entries, shape=(size, size)).tocsr()


def _terms(operator: AnyStencil, cells: np.ndarray) -> Any:
    """Yield each coefficient with the indices of its row channel and of its column channel, and its offset."""
    if isinstance(operator, CoupledStencil):
        for coefficient, (i, j, offset) in zip(operator.coefficients, operator.terms, strict=True):
            yield coefficient, cells[i], cells[j], offset
    else:
        for coefficient, offset in zip(operator.coefficients, operator.offsets, strict=True):
            yield coefficient, cells, cells, offset


def solve_sparse(physics: Physics, prior: np.ndarray) -> np.ndarray:
    """Return `A(g)^-1 b(g)` in float64, shape `(samples, *shape)`, by one sparse LU factorisation per sample."""
    operators, rhs = assemble(physics, prior)
    solutions = [splu(as_sparse(a).tocsc()).solve(b.ravel()) for a, b in zip(operators, rhs, strict=True)]
    return np.stack(solutions).reshape(rhs.shape)
