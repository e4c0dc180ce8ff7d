"""Multigrid by grid size against conjugate gradient, and by cell Péclet number against GMRES.

Iterations and time to a relative residual of 1e-5. Part of `benchmark_sizes.py`, which writes its tables. On its own:

    python scripts/benchmark_multigrid.py --sizes 32 256 --dimensions 2
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import prdp
from benchmarking import argument_parser, publish, timed
from prdp.linalg import Operator
from prdp.physics import Heat
from prdp.solvers import Solver

SIZES = {2: (32, 64, 128, 256, 512, 1024), 3: (16, 32, 64, 128)}
# Not every system reaches the tolerance: those of 1024^2 in float32, and GMRES alone in a vortex.
PRODUCTS = 5_000
CYCLES = 100
PECLET = (0.1, 1.0, 10.0, 100.0)
SOLVERS: tuple[Solver, ...] = (prdp.Multigrid(), prdp.PCG(prdp.Multigrid()), prdp.ConjugateGradient())
OF_ADVECTION: tuple[Solver, ...] = (
    prdp.Multigrid(),
    prdp.Multigrid("gauss_seidel"),
    prdp.Preconditioned(prdp.GMRES(8), prdp.Multigrid()),
    prdp.GMRES(8),
)


def problems(dimensions: int, points: int) -> dict[str, Operator]:
    """Return the paper's heat operator and the Poisson operator, with `u = 0` on the boundary."""
    physics = Heat(dimensions, points)
    laplacian = prdp.laplacian(physics.shape, dimensions, physics.spacing, "dirichlet")
    return {"Heat": physics.operator(), "Poisson": -1.0 * laplacian}


def multigrid_table(sizes: dict[int, Sequence[int]], repeats: int) -> Iterator[str]:
    """Yield the table: per solver the iterations and the milliseconds of a solve, set-up included."""
    yield from (
        "Multigrid to a relative residual of 1e-5 from a zero guess, one sample of white noise. The time is that of a "
        "whole solve, including the set-up of the coarser levels.",
        "",
        "| system | cycles | ms | CG with cycles | ms | CG | ms | CG / cycles, time |",
        "|---|---|---|---|---|---|---|---|",
    )
    for d, points in sizes.items():
        for n in points:
            for name, operator in problems(d, n).items():
                cells, (cycles, _, cg) = measured(operator, SOLVERS, repeats)
                ratio = cg / cycles
                cells.append("-" if math.isnan(ratio) else f"{ratio:.1f}")
                yield f"| {name} {n}^{d} | {' | '.join(cells)} |"


def convection(points: int, peclet: float, *, vortex: bool) -> Operator:
    """Return `p . grad - laplacian` on the unit square with `u = 0` on its boundary, upwind.

    Args:
        points: per direction.
        peclet: the largest of `|p_i| h`, the cell Péclet number.
        vortex: whether `p` is `(sin(pi x) cos(pi y), -cos(pi x) sin(pi y))`, a closed flow, not `(1, 1)` everywhere.
    """
    h = 1 / (points + 1)
    x = np.pi * h * np.arange(1, points + 1)
    shape = (1, points, points)
    flow: tuple[Any, ...] = (np.outer(np.sin(x), np.cos(x)), -np.outer(np.cos(x), np.sin(x)))
    total: Any = -1.0 * prdp.laplacian(shape, 2, h, "dirichlet")
    for axis, p in enumerate(flow if vortex else (1.0, 1.0)):
        scaled = peclet / h * np.asarray(p, np.float32)
        forth, back = (jnp.asarray(f(scaled, 0)) for f in (np.maximum, np.minimum))
        total = total + forth * prdp.backward_difference(shape, 2, h, "dirichlet", axis)
        total = total + back * prdp.forward_difference(shape, 2, h, "dirichlet", axis)
    return total


def advection_table(sizes: Sequence[int], repeats: int) -> Iterator[str]:
    """Yield the table of iterations and milliseconds where advection dominates."""
    yield from (
        "Advection, upwind, in two dimensions: the same to a relative residual of 1e-5, by the cell Péclet number "
        "max |p_i| h. A vortex has closed streamlines, so that no boundary determines its solution.",
        "",
        "| flow | cell Péclet | cycles | ms | cycles, Gauss-Seidel | ms | GMRES(8) with cycles | ms | GMRES(8) | ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )
    for n in sizes:
        for vortex in (False, True):
            for peclet in PECLET:
                cells, _ = measured(convection(n, peclet, vortex=vortex), OF_ADVECTION, repeats)
                yield f"| {'vortex' if vortex else 'diagonal'} {n}^2 | {peclet:g} | {' | '.join(cells)} |"


def measured(
    operator: Operator, solvers: Sequence[Solver], repeats: int
) -> tuple[list[str], tuple[float, ...]]:
    """Return iterations and milliseconds of each solver as cells, and the seconds to the tolerance, or NaN."""

    def solve(b: Any, a: Operator, solver: Solver) -> Any:
        has_cycles = isinstance(getattr(solver, "preconditioner", solver), prdp.Multigrid)
        limit = CYCLES if has_cycles else PRODUCTS // solver.matvecs_per_iteration
        return prdp.solve(a, b, solver=solver, iterations=limit)

    rhs = jnp.asarray(np.random.default_rng(0).standard_normal((1, *operator.shape), np.float32))
    programs = [jax.jit(partial(solve, solver=solver)).lower(rhs, operator).compile() for solver in solvers]
    seconds = timed([lambda p=p: p(rhs, operator) for p in programs], repeats)  # type: ignore[misc]
    cells, reached = [], []
    for program, taken in zip(programs, seconds, strict=True):
        solution = program(rhs, operator)
        status = prdp.Status(int(solution.status[0]))
        converged = status == prdp.Status.CONVERGED
        remark = "" if converged else f" ({status.name.lower().replace('_', ' ')})"
        cells += [f"{int(solution.iterations[0])}{remark}", f"{1e3 * taken:.3g}"]
        reached.append(taken if converged else math.nan)
    return cells, tuple(reached)


def tables(sizes: dict[int, Sequence[int]], repeats: int) -> Iterator[str]:
    """Yield the lines of both tables; advection only in two dimensions, up to 256^2."""
    yield from multigrid_table(sizes, repeats)
    if planes := [n for n in sizes.get(2, ()) if n in (64, 256)]:
        yield ""
        yield from advection_table(planes, repeats)
    yield ""


def main() -> None:
    """Measure, print the tables and write them."""
    parser = argument_parser(__doc__)
    parser.add_argument("--dimensions", type=int, nargs="+", choices=(2, 3), default=(2, 3))
    parser.add_argument("--sizes", type=int, nargs="+", help="points per direction")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    sizes = {d: options.sizes or SIZES[d] for d in options.dimensions}
    publish(tables(sizes, options.repeats), options.output)


if __name__ == "__main__":
    main()
