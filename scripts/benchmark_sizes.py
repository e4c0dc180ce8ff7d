"""Time of solves, gradients and training updates by grid size, with the shares of the memory bandwidth and the physics.

    python scripts/benchmark_sizes.py --output results/sizes.md     2D: 32 to 512, 3D: 16 to 128 per direction
    python scripts/benchmark_sizes.py --quick                       small sizes only
    python scripts/benchmark_sizes.py --dimensions 3 --sizes 16 32 --batches 1

All figures come from one process and are medians of interleaved runs, excluding compile time. Each row is printed as
soon as it is measured; all sizes take about 25 minutes on two cores. Run it on an otherwise idle machine. The bandwidth
is measured with a triad `a + s b -> a`. For memory, see benchmark_memory.py.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import prdp
from benchmark_multigrid import SIZES as MULTIGRID_SIZES
from benchmark_multigrid import tables as multigrid_tables
from benchmarking import MODES, argument_parser, bandwidth, machine, publish, timed
from prdp.differentiation import Mode
from prdp.linalg import Operator
from prdp.models import ResNet
from prdp.physics import Burgers, Heat
from prdp.physics.base import materialise
from prdp.solvers import Solver

SIZES = {2: (32, 64, 128, 256, 512), 3: (16, 32, 64, 128)}
QUICK = {2: (16, 32), 3: (8,)}
LARGEST_UPDATE = {
    2: 256,
    3: 48,
}  # points per direction; on larger grids, the network's convolutions take minutes on two cores
MOST_UNKNOWNS = 2**23  # per case; larger batches are reduced
MOST_DENSE = 2**30  # bytes of a dense matrix
RESTART, CYCLES = 8, 2
CHANNELS, BLOCKS = 32, 6  # the paper's network for Heat 3D
LOWER_BOUND = (
    "The lower bound is the number of bytes that an iteration must move if the cache holds scalars but no arrays. Each "
    "pass between two reductions reads and writes each array once, and a product reads its input once, for any number "
    "of neighbours. In arrays of the size of b, not counting coefficient fields: Jacobi 5 (u, r, b in; u, r out). CG 9 "
    "(p for p.Ap; u, p, r in, u, r out; r, p in, p out; A p computed twice). GMRES(m): 2 for its j-th product, "
    "3 (j + 1) + 1 for orthogonalising twice, 2 for normalising, and 2 m + 4 at the end of the cycle. If all arrays "
    "fit into a cache, they need not come from memory. Shares above 100 % are then possible and say nothing about "
    "the memory."
)


def heat(dimensions: int, points: int, batch: int) -> tuple[Operator, Any]:
    """Return the paper's heat problem at any size, with noise as right-hand sides."""
    physics = Heat(dimensions, points)
    return physics.operator(), noise(batch, *physics.shape)


def burgers(points: int, batch: int) -> tuple[Operator, Any]:
    """Return upwind convection-diffusion of two channels, one operator per state, with time step 2.56 h."""
    physics = Burgers(2, points, time_step=2.56 / points)
    state = noise(batch, *physics.shape)
    return jax.jit(physics.operator)(state), physics.rhs(state)


def noise(*shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


def arrays_moved(solver: Solver, operator: Operator, rhs: Any) -> float:
    """Return the `LOWER_BOUND` of one iteration, in arrays of the size of `rhs`."""
    fields = sum(c.size for c in jax.tree.leaves(operator) if jnp.ndim(c)) / rhs.size
    if isinstance(solver, prdp.Jacobi):
        return 5 + fields
    if isinstance(solver, prdp.ConjugateGradient):
        return 9 + 2 * fields
    products = sum(2 + fields + 3 * (j + 1) + 1 + 2 for j in range(1, RESTART + 1))
    return products + 2 * RESTART + 4


def solve(operator: Operator, rhs: Any, solver: Solver, k: Any, mode: Mode = prdp.Implicit()) -> Any:
    return prdp.solve(operator, rhs, solver=solver, iterations=k, tolerance=0.0, differentiation=mode).value


def solver_row(
    name: str, problem: tuple[Operator, Any], solver: Solver, k: int, stream: float, repeats: int
) -> str:
    """Return a row of the solver table."""
    operator, rhs = problem
    # A step that is linear in its state stores no states. For the memory of other solvers, see benchmark_memory.py.
    modes = list(MODES) if isinstance(solver, prdp.Jacobi) else ["implicit"]

    def loss(rhs: Any, operator: Operator, mode: str) -> Any:
        return jnp.mean(solve(operator, rhs, solver, k, MODES[mode](k)) ** 2)

    programs = [jax.jit(lambda b, a: solve(a, b, solver, k)).lower(rhs, operator).compile()]
    gradient = jax.jit(jax.grad(loss), static_argnums=2)
    programs += [gradient.lower(rhs, operator, mode).compile() for mode in modes]
    forward, *gradients = timed([lambda p=p: p(rhs, operator) for p in programs], repeats)  # type: ignore[misc]
    one, least = forward / k, 4 * rhs.size * arrays_moved(solver, operator, rhs)
    cells = [
        name,
        str(len(rhs)),
        f"{1e3 * one:.3g}",
        f"{1e9 * one / rhs.size:.2f}",
        f"{least / 1e6:.3g}",
        f"{least / one / stream:.0%}",
        *(f"{1e3 * t:.3g} ({t / forward:.1f})" for t in gradients),
        *["-"] * (len(MODES) - len(modes)),
    ]
    return "| " + " | ".join(cells) + " |"


def solver_table(
    sizes: dict[int, Sequence[int]], batches: Sequence[int], k: int, stream: float, repeats: int
) -> Iterator[str]:
    """Yield the table of times per iteration and per gradient, by system, size and batch."""
    yield from (
        f"K = {k}; for GMRES, {CYCLES} cycles of {RESTART} products. Gradients are with respect to the right-hand "
        "side; numbers in parentheses are relative to the forward solve. Batches are limited to "
        f"2^{MOST_UNKNOWNS.bit_length() - 1} unknowns.",
        "",
        "| system | batch | ms per iteration | ns per unknown | MB, lower bound | share of the bandwidth | "
        + " | ".join(f"{mode}, ms" for mode in MODES)
        + " |",
        "|" + "---|" * (6 + len(MODES)),
    )
    for d, points in sizes.items():
        for n in points:
            for batch in dict.fromkeys(min(b, max(1, MOST_UNKNOWNS // n**d)) for b in batches):
                problem = heat(d, n, batch)
                cases = [
                    (f"Heat {n}^{d}, Jacobi", problem, prdp.Jacobi(), k),
                    (f"Heat {n}^{d}, CG", problem, prdp.ConjugateGradient(), k),
                ]
                if d == 2:
                    oseen = burgers(n, min(batch, max(1, MOST_UNKNOWNS // (2 * n**d))))
                    cases.append((f"Burgers {n}^2, GMRES({RESTART})", oseen, prdp.GMRES(RESTART), CYCLES))
                for name, system, solver, iterations in cases:
                    yield solver_row(name, system, solver, iterations, stream, repeats)


def dense_table(sizes: dict[int, Sequence[int]], k: int, repeats: int) -> Iterator[str]:
    """Yield the table that compares Jacobi on the stencil and on its dense matrix, for sizes that fit."""
    yield from (
        "Milliseconds per Jacobi iteration, one sample.",
        "",
        "| Heat | stencil | dense | dense / stencil | matrix, MB |",
        "|---|---|---|---|---|",
    )
    for d, points in sizes.items():
        for n in (n for n in points if 4 * n ** (2 * d) <= MOST_DENSE):
            stencil, rhs = heat(d, n, 1)
            matrix = jax.block_until_ready(jax.jit(materialise)(stencil))
            run = jax.jit(lambda a, b: solve(a, b, prdp.Jacobi(), k))
            fast, slow = timed([lambda a=a: run(a, rhs) for a in (stencil, matrix)], repeats)  # type: ignore[misc] # noqa: B023
            size = f"{4 * n ** (2 * d) / 1e6:.3g}"
            yield f"| {n}^{d} | {1e3 * fast / k:.3g} | {1e3 * slow / k:.3g} | {slow / fast:.0f} | {size} |"


def update_times(dimensions: int, points: int, k: int, network: tuple[int, int], repeats: int) -> list[float]:
    """Return the seconds per update without physics, with K = 1 and with K = k (K traced, implicit gradients)."""
    (operator, state), optimizer = heat(dimensions, points, 1), optax.adam(1e-4)
    graph, parameters = nnx.split(ResNet(state.shape[1:], *network, "dirichlet", rngs=nnx.Rngs(0)))

    def update(p: Any, s: Any, k: Any) -> Any:
        def loss(p: Any) -> Any:
            u = nnx.merge(graph, p)(state)
            u = u if k is None else solve(operator, u, prdp.Jacobi(), k)
            return jnp.mean((u - state) ** 2)

        changes, s = optimizer.update(jax.grad(loss)(p), s, p)
        return optax.apply_updates(p, changes), s

    run, s = jax.jit(update), optimizer.init(parameters)
    return timed([lambda k=k: run(parameters, s, k) for k in (None, 1, k)], repeats)  # type: ignore[misc]


def update_table(
    sizes: dict[int, Sequence[int]], k: int, network: tuple[int, int], repeats: int
) -> Iterator[str]:
    """Yield the table of times per training update, with the share of the physics."""
    channels, blocks = network
    yield from (
        f"ResNet ({channels} channels, {blocks} blocks) and Adam, batch 1, through one heat step by Jacobi. The share "
        "of the physics is the extra time compared with an update without physics. Negative shares are noise.",
        "",
        f"| | no physics, ms | K = 1, ms | physics | K = {k}, ms | physics |",
        "|---|---|---|---|---|---|",
    )
    for d, points in sizes.items():
        for n in (n for n in points if n <= LARGEST_UPDATE[d]):
            bare, *others = update_times(d, n, k, network, repeats)
            cells = " | ".join(f"{1e3 * t:.3g} | {1 - bare / t:.0%}" for t in others)
            yield f"| {n}^{d} | {1e3 * bare:.3g} | {cells} |"


def tables(options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of all tables, each as soon as it is measured."""
    table, multigrid = (QUICK, QUICK) if options.quick else (SIZES, MULTIGRID_SIZES)
    sizes = {d: options.sizes or table[d] for d in options.dimensions}
    repeats, k = 1 if options.quick else options.repeats, options.iterations
    stream = bandwidth(2**20 if options.quick else 2**27)
    yield from (
        "# Sizes",
        "",
        f"`scripts/benchmark_sizes.py`, {machine()}, float32, "
        f"medians of {repeats} interleaved runs. This machine streams {stream / 1e9:.1f} GB/s.",
        "",
        LOWER_BOUND,
        "",
    )
    for part in (
        solver_table(sizes, options.batches, k, stream, repeats),
        dense_table(sizes, k, repeats),
        update_table(sizes, k, (4, 1) if options.quick else (CHANNELS, BLOCKS), repeats),
    ):
        yield from part
        yield ""
    yield from multigrid_tables({d: options.sizes or multigrid[d] for d in options.dimensions}, repeats)


def main() -> None:
    """Measure, print the tables and write them."""
    parser = argument_parser(__doc__)
    parser.add_argument("--dimensions", type=int, nargs="+", choices=(2, 3), default=(2, 3))
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="points per direction, for all chosen dimensions"
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", default=(1, 25), help="batch sizes (25 in the paper)"
    )
    parser.add_argument("--iterations", type=int, default=25, help="K of solves, gradients and updates")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes and one repeat, for testing only")
    options = parser.parse_args()
    publish(tables(options), options.output)


if __name__ == "__main__":
    main()
