"""Memory of gradients through a solve and of training updates: XLA's allocation, a fitted formula, the largest sizes.

    python scripts/benchmark_memory.py --output results/memory.md
    python scripts/benchmark_memory.py --quick --dimensions 2

Nothing is timed. Except for the last table, the programs are only compiled, because XLA's allocation is deterministic.
"""

import argparse
import math
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import prdp
from benchmarking import MODES, argument_parser, machine, publish
from prdp.models import ResNet
from prdp.physics import Heat
from prdp.solvers import Solver

DEVICES = {"24 GiB": 24 * 2**30, "80 GB": 80e9, "141 GB": 141e9}
USABLE = 0.9
FITTED, CHECKED = (9, 25), 49  # K of the fit, and K of the check
LEVELS = (25, 100)  # K of the tables
POINTS = {2: 128, 3: 32}  # points per direction of the fit; below about 10^4 unknowns XLA fuses differently
CHANNELS, BLOCKS = 32, 6  # the paper's network for Heat 3D
PEAK = (2, 256, 128, 25)  # dimensions, points, batch and K for the measurement of peak memory


def bytes_needed(compiled: Any) -> int:
    """Return the bytes of arguments, results and temporaries of an executable."""
    m = compiled.memory_analysis()
    return m.temp_size_in_bytes + m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes


def compiled_gradient(
    dimensions: int, points: int, batch: int, k: int, mode: str, solver: Solver, learned: bool
) -> Any:
    """Return the executable `(b, A) -> d/db mean(u^2)` of a heat step; if `learned`, also d/dA for the parameters."""
    physics = Heat(dimensions, points)

    def loss(b: Any, operator: Any) -> Any:
        solution = prdp.solve(
            operator, b, solver=solver, iterations=k, tolerance=0.0, differentiation=MODES[mode](k)
        )
        return jnp.mean(solution.value**2)

    rhs = jax.ShapeDtypeStruct((batch, *physics.shape), jnp.float32)
    return jax.jit(jax.grad(loss, (0, 1) if learned else 0)).lower(rhs, physics.operator()).compile()


def slots(mode: str, k: int) -> int:
    """Return the number of states that a mode stores."""
    root = math.ceil(math.sqrt(k))
    return {"implicit": 0, "unrolled": k, "checkpointed": root + math.ceil(k / root)}[mode]


class Formula:
    """Memory of a gradient in arrays of the size of b, `base + width * slots`, fitted at two K and checked at a third.

    Attributes:
        error: the relative error at the third K and twice the points per direction.
    """

    def __init__(self, dimensions: int, points: int, mode: str, solver: Solver, learned: bool):
        self.dimensions, self.mode, batch = dimensions, mode, 2

        def measured(points: int, k: int) -> float:
            compiled = compiled_gradient(dimensions, points, batch, k, mode, solver, learned)
            return bytes_needed(compiled) / (4 * batch * points**dimensions)

        first, second = (measured(points, k) for k in FITTED)
        steps = slots(mode, FITTED[1]) - slots(mode, FITTED[0])
        self.width = (second - first) / steps if steps else 0.0
        self.base = first - self.width * slots(mode, FITTED[0])
        self.error = abs(self.arrays(CHECKED) / measured(2 * points, CHECKED) - 1)

    def arrays(self, k: int) -> float:
        """Return the memory of the gradient, in arrays of the size of b."""
        return self.base + self.width * slots(self.mode, k)

    def __str__(self) -> str:
        return f"{self.base:.1f} + {self.width:.1f} s" if self.width > 0.01 else f"{self.base:.1f}"

    def largest(self, capacity: float, k: int, batch: int) -> int:
        """Return the largest number of points per direction for which the gradient fits."""
        return largest(capacity, 4 * batch * self.arrays(k), self.dimensions)


def largest(capacity: float, bytes_a_point: float, dimensions: int) -> int:
    """Return `(usable memory / bytes per point)^(1/d)`, rounded down."""
    return int((USABLE * capacity / bytes_a_point) ** (1 / dimensions))


def update_bytes(dimensions: int, points: int, channels: int, blocks: int) -> float:
    """Return the bytes per point of a training update of a ResNet through a heat step, batch 1, implicit gradient."""
    physics, optimizer = Heat(dimensions, points), optax.adam(1e-4)
    operator = physics.operator()
    model = ResNet(physics.shape, channels, blocks, "dirichlet", "direct", rngs=nnx.Rngs(0))
    graph, parameters = nnx.split(model)

    def update(p: Any, s: Any, state: Any, k: Any) -> Any:
        def loss(p: Any) -> Any:
            u = prdp.solve(operator, nnx.merge(graph, p)(state), iterations=k, tolerance=0.0).value
            return jnp.mean((u - state) ** 2)

        changes, s = optimizer.update(jax.grad(loss)(p), s, p)
        return optax.apply_updates(p, changes), s

    state = jax.ShapeDtypeStruct((1, *physics.shape), jnp.float32)
    compiled = jax.jit(update).lower(parameters, optimizer.init(parameters), state, jnp.int32(1)).compile()
    # Arrays of the parameters do not grow with the grid: p, m and v in and out, the gradient and the update.
    fixed = 8 * sum(x.nbytes for x in jax.tree.leaves(parameters))
    return max(0, bytes_needed(compiled) - fixed) / points**dimensions


def tables(dimensions: Sequence[int], batch: int, channels: int, blocks: int) -> list[str]:
    """Return the tables of the formulas and of the largest sizes per device."""
    rows, fits = [], []
    for d in dimensions:
        for name, solver in (("Jacobi", prdp.Jacobi()), ("CG", prdp.ConjugateGradient())):
            for learned in (False, True):
                for mode in MODES:
                    formula = Formula(d, POINTS[d], mode, solver, learned)
                    by = "b and A" if learned else "b"
                    rows.append(f"| {d}D, {name} | {by} | {mode} | {formula} | {formula.error:.1%} |")
                    if name == "CG" or not learned:
                        continue
                    for k in LEVELS if formula.width else LEVELS[:1]:
                        label = f"{mode}, K = {k}" if formula.width else f"{mode}, any K"
                        cells = [
                            f"{formula.largest(c, k, 1)} / {formula.largest(c, k, batch)}"
                            for c in DEVICES.values()
                        ]
                        fits.append(
                            f"| {d}D, {label} | {formula.arrays(k):.0f} arrays | {' | '.join(cells)} |"
                        )
        sizes = POINTS[d], 2 * POINTS[d]
        small, large = (update_bytes(d, n, channels, blocks) for n in sizes)
        cells = [f"{largest(c, large, d)} / {largest(c, batch * large, d)}" for c in DEVICES.values()]
        fits.append(
            f"| {d}D, update with a network, implicit | {large / 4:.0f} arrays | {' | '.join(cells)} |"
        )
        rows.append(
            f"| {d}D, Jacobi | network | implicit | {small / 4:.0f} at {sizes[0]}^{d}, {large / 4:.0f} at "
            f"{sizes[1]}^{d} | |"
        )
    return [
        "**Measured**: memory of the gradient of a heat step, including arguments and results, in arrays of the size "
        "of b. s is the number of stored states: K unrolled, ceil(sqrt K) + ceil(K / ceil(sqrt K)) checkpointed. The "
        f"formula is fitted at K = {FITTED[0]} and {FITTED[1]}. The error is measured at K = {CHECKED} and twice the "
        "points per direction.",
        "",
        "| | gradient w.r.t. | mode | arrays | error |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "When differentiating only with respect to b, unrolled Jacobi stores no iterates: its step is linear in the "
        f"state, and XLA removes the buffer. The network is a ResNet of {channels} channels and {blocks} blocks with "
        "direct convolutions, trained with Adam. The memory of its parameters is not counted.",
        "",
        f"**Computed** from the formulas: the largest number of points per direction, batch 1 / batch {batch}, "
        "gradient with respect to b and A, float32, "
        f"{USABLE:.0%} of the memory: N = (memory / (4 batch arrays))^(1/d).",
        "",
        "| | | " + " | ".join(DEVICES) + " |",
        "|---|---|" + "---|" * len(DEVICES),
        *fits,
    ]


def print_peak(mode: str) -> None:
    """Print the bytes by which one gradient raises this process's peak memory (Linux), and XLA's own number."""
    dimensions, points, batch, k = PEAK
    physics = Heat(dimensions, points)
    compiled = compiled_gradient(dimensions, points, batch, k, mode, prdp.Jacobi(), True)
    arguments = jnp.ones((batch, *physics.shape), jnp.float32), physics.operator()
    jax.block_until_ready(arguments)
    # Compare with the resident memory, not with the peak so far, which compilation has already raised.
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    jax.block_until_ready(compiled(*arguments))
    # Not `ru_maxrss`: it begins at the peak of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    after = 1024 * int(status["VmHWM"].split()[0])
    print(after - before, bytes_needed(compiled) - arguments[0].nbytes)


def peaks() -> list[str]:
    """Return a table that compares the peak memory of real processes with XLA's allocation."""
    rows = []
    for mode in MODES:
        command = [sys.executable, str(Path(__file__).resolve()), "--peak", mode]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seen, announced = map(int, done.stdout.split())
        rows.append(f"| {mode} | {announced / 1e6:.0f} | {seen / 1e6:.0f} |")
    dimensions, points, batch, k = PEAK
    return [
        f"**Measured** in separate processes: Heat {points}^{dimensions}, batch {batch}, K = {k}, gradient with "
        "respect to b and A, excluding arguments:",
        "",
        "| mode | MB allocated according to XLA | increase of the peak RSS in MB |",
        "|---|---|---|",
        *rows,
    ]


def main() -> None:
    """Compile the programs, print the tables and write them."""
    parser = argument_parser(__doc__)
    parser.add_argument("--dimensions", type=int, nargs="+", choices=(2, 3), default=(2, 3))
    parser.add_argument("--batch", type=int, default=25, help="batch size (25 in the paper)")
    parser.add_argument("--quick", action="store_true", help="use a small network")
    parser.add_argument("--peak", choices=MODES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(options.peak)
        return
    network = (4, 1) if options.quick else (CHANNELS, BLOCKS)
    lines = [
        "# Memory",
        "",
        f"`scripts/benchmark_memory.py`, {machine()}, float32.",
        "",
        *tables(options.dimensions, options.batch, *network),
        "",
        *peaks(),
        "",
    ]
    publish(lines, options.output)


if __name__ == "__main__":
    main()
