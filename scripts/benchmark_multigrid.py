"""Multigrid against conjugate gradient: cycles, iterations and time to a relative residual of 1e-5, by grid size.

Part of `benchmark_sizes.py`, which writes its table. On its own:

    python scripts/benchmark_multigrid.py --sizes 32 256 --dimensions 2
"""

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
LIMIT = 20_000  # iterations
SOLVERS: tuple[Solver, ...] = (prdp.Multigrid(), prdp.PCG(prdp.Multigrid()), prdp.ConjugateGradient())


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
                yield f"| {name} {n}^{d} | {' | '.join(multigrid_cells(operator, repeats))} |"


def multigrid_cells(operator: Operator, repeats: int) -> list[str]:
    """Return iterations and milliseconds of each solver, and the ratio of the times of CG and cycles."""

    def solve(b: Any, a: Operator, solver: Solver) -> Any:
        return prdp.solve(a, b, solver=solver, iterations=LIMIT)

    rhs = jnp.asarray(np.random.default_rng(0).standard_normal((1, *operator.shape), np.float32))
    programs = [jax.jit(partial(solve, solver=solver)).lower(rhs, operator).compile() for solver in SOLVERS]
    seconds = timed([lambda p=p: p(rhs, operator) for p in programs], repeats)  # type: ignore[misc]
    cells = []
    for program, taken in zip(programs, seconds, strict=True):
        solution = program(rhs, operator)
        reached = int(solution.status[0]) == prdp.Status.CONVERGED
        cells += [f"{int(solution.iterations[0])}{'' if reached else ' (not reached)'}", f"{1e3 * taken:.3g}"]
    return [*cells, f"{seconds[2] / seconds[0]:.1f}"]


def main() -> None:
    """Measure, print the table and write it."""
    parser = argument_parser(__doc__)
    parser.add_argument("--dimensions", type=int, nargs="+", choices=(2, 3), default=(2, 3))
    parser.add_argument("--sizes", type=int, nargs="+", help="points per direction")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    sizes = {d: options.sizes or SIZES[d] for d in options.dimensions}
    publish([*multigrid_table(sizes, options.repeats), ""], options.output)


if __name__ == "__main__":
    main()
