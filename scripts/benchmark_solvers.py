"""GMRES in prdp, JAX and lineax on the same systems: time per restart cycle, final residual, silent failures.

    python scripts/benchmark_solvers.py [--cycles 20] [--repeats 5] [--output results/solvers.md]

Ratios compare medians of interleaved runs in one process.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import lineax
import numpy as np

import prdp
from benchmarking import argument_parser, machine, publish, timed
from prdp.differentiation import Mode
from prdp.linalg import Dense, Operator
from prdp.physics import Burgers, FilteredNoise, NavierStokes

NAMES = ("prdp", "jax", "lineax")


def navier_stokes(points: int, samples: int) -> tuple[Operator, Any]:
    """Return the first systems of the paper's trajectories: states on 2 N + 1 points, subsampled to every second."""
    physics, fine = NavierStokes(points), NavierStokes(2 * points + 1)
    (fields,) = FilteredNoise().sample({0: samples}, fine.grid())
    state = jnp.asarray(fine.initial_state(fields)[..., 1::2, 1::2], jnp.float32)
    return jax.jit(physics.operator)(state), physics.rhs(state)


def burgers(samples: int) -> tuple[Operator, Any]:
    """Return systems of the paper's Burgers problem at smooth random states."""
    physics = Burgers(1, 256)
    (fields,) = FilteredNoise().sample({0: samples}, physics.grid())
    state = jnp.asarray(fields, jnp.float32)
    return jax.jit(physics.operator)(state), physics.rhs(state)


def solvers(restart: int) -> dict[str, Callable[..., Any]]:
    """Return one function `(operator, rhs, cycles, tolerance) -> value` per library, for a whole batch."""

    def ours(operator: Operator, rhs: Any, cycles: int, tolerance: float) -> Any:
        solver = prdp.GMRES(restart)
        return prdp.solve(operator, rhs, solver=solver, iterations=cycles, tolerance=tolerance).value

    def per_sample(solve: Callable[..., Any]) -> Callable[..., Any]:
        def batched(operator: Operator, rhs: Any, cycles: int, tolerance: float) -> Any:
            # Map over coefficients with a batch axis, but not over scalars.
            leaves, structure = jax.tree.flatten(operator)
            axes = [0 if jnp.ndim(x) else None for x in leaves]

            def one(leaves: Any, b: Any) -> Any:
                return solve(jax.tree.unflatten(structure, leaves), b, cycles, tolerance)

            return jax.vmap(one, (axes, 0))(leaves, rhs)

        return batched

    def of_jax(operator: Operator, rhs: Any, cycles: int, tolerance: float) -> Any:
        # The mode "batched" takes `restart` products per cycle and stops only between cycles, like prdp.
        gmres = jax.scipy.sparse.linalg.gmres
        value, _ = gmres(
            operator.mv, rhs, tol=tolerance, restart=restart, maxiter=cycles, solve_method="batched"
        )
        return value

    def of_lineax(operator: Operator, rhs: Any, cycles: int, tolerance: float) -> Any:
        linear = lineax.FunctionLinearOperator(operator.mv, jax.ShapeDtypeStruct(rhs.shape, rhs.dtype))
        # The first step of lineax does nothing, so K + 1 steps are K cycles.
        solver = lineax.GMRES(rtol=max(tolerance, 1e-30), atol=0.0, max_steps=cycles + 1, restart=restart)
        return lineax.linear_solve(linear, rhs, solver, throw=False).value

    return {"prdp": ours, "jax": per_sample(of_jax), "lineax": per_sample(of_lineax)}


def residual(operator: Operator, rhs: Any, value: Any) -> float:
    """Return the largest relative residual of the batch, in float64."""
    difference = np.asarray(rhs, float) - np.asarray(operator.mv(value), float)
    flat, right = (np.asarray(x, float).reshape(len(rhs), -1) for x in (difference, rhs))
    return float((np.linalg.norm(flat, axis=1) / np.linalg.norm(right, axis=1)).max())


def compare(name: str, operator: Operator, rhs: Any, restart: int, cycles: int, repeats: int) -> list[str]:
    """Return table rows with the time per cycle and the residual after `cycles` restart cycles, per library."""
    run = {n: jax.jit(f, static_argnums=(2, 3)) for n, f in solvers(restart).items()}
    left = {n: residual(operator, rhs, run[n](operator, rhs, cycles, 0.0)) for n in NAMES}
    calls = [partial(run[n], operator, rhs, cycles, 0.0) for n in NAMES]
    medians = {n: t / cycles for n, t in zip(NAMES, timed(calls, repeats), strict=True)}
    rows = []
    for n in NAMES:
        ratio = medians[n] / medians["prdp"]
        rows.append(f"| {name} | {n} | {medians[n] * 1e3:.2f} | {ratio:.1f} | {left[n]:.1e} |")
    return rows


def failures() -> list[str]:
    """Return table rows with the status that each library reports for systems that it cannot solve."""
    shift = np.roll(np.eye(4), 1, axis=0)
    cases = {
        "stagnation: cyclic shift, restart 2": (shift, [1.0, 0, 0, 0]),
        "singular and inconsistent": (np.diag([1.0, 2.0, 3.0, 0.0]), [1.0, 1, 1, 1]),
        "NaN in the right-hand side": (np.eye(4) * 2, [1.0, np.nan, 1, 1]),
        "ill-conditioned: diag(i^6), i = 1..20": (np.diag(np.arange(1.0, 21) ** 6), np.ones(20)),
    }
    lines = []
    for name, (matrix, rhs) in cases.items():
        a, b = jnp.asarray(matrix, jnp.float32), jnp.asarray(rhs, jnp.float32)
        solution = prdp.solve(Dense(a, (len(b),)), b, solver=prdp.GMRES(2), iterations=50)
        value, info = jax.scipy.sparse.linalg.gmres(
            lambda v, a=a: a @ v, b, tol=1e-5, restart=2, maxiter=50, solve_method="batched"
        )
        outcome = lineax.linear_solve(
            lineax.MatrixLinearOperator(a),
            b,
            lineax.GMRES(rtol=1e-5, atol=0.0, max_steps=50, restart=2),
            throw=False,
        )
        told = str(lineax.RESULTS[outcome.result]).split(".")[0][:60] or "successful"
        lines.append(
            f"| {name} | {prdp.Status(int(solution.status)).name} | `info={info}`, residual "
            f"{_residual_of(a, b, value)} | {told}, residual {_residual_of(a, b, outcome.value)} |"
        )
    return lines


def _residual_of(a: Any, b: Any, value: Any) -> str:
    return f"{float(jnp.linalg.norm(b - a @ value) / jnp.linalg.norm(b)):.1e}"


def gradients(operator: Operator, rhs: Any) -> list[str]:
    """Return table rows with norm and error of the gradient of a mean squared error through a converged solve."""
    target = 0.97 * prdp.solve(operator, rhs, solver=prdp.GMRES(20), iterations=200, tolerance=1e-6).value

    def norm_of(solve: Callable[..., Any]) -> Any:
        def loss(b: Any) -> Any:
            return jnp.mean((solve(operator, b, 120, 1e-5) - target) ** 2)

        return jax.jit(jax.grad(loss))(rhs)

    found = {n: np.asarray(norm_of(f), float) for n, f in solvers(8).items() if n != "lineax"}
    exact = np.asarray(
        norm_of(
            lambda a, b, k, tol: prdp.solve(a, b, solver=prdp.GMRES(20), iterations=200, tolerance=1e-6).value
        )
    )
    size = np.linalg.norm(exact)
    return [
        f"| {n} | {np.linalg.norm(g) / size:.3f} | {np.linalg.norm(g - exact) / size:.1e} |"
        for n, g in found.items()
    ]


def compilation(operator: Operator, rhs: Any, restarts: Sequence[int]) -> list[str]:
    """Return table rows with the seconds to compile value and gradient, by restart (JAX's gradient is implicit)."""

    def seconds(solve: Callable[..., Any]) -> float:
        def loss(b: Any) -> Any:
            return jnp.sum(solve(operator, b, 5, 1e-5) ** 2)

        lowered = jax.jit(jax.value_and_grad(loss)).lower(rhs)
        began = time.perf_counter()
        lowered.compile()
        return time.perf_counter() - began

    def ours(restart: int, mode: Mode) -> Callable[..., Any]:
        def solve(operator: Operator, rhs: Any, cycles: int, tolerance: float) -> Any:
            options: dict[str, Any] = {"differentiation": mode, "iterations": cycles, "tolerance": tolerance}
            return prdp.solve(operator, rhs, solver=prdp.GMRES(restart), **options).value

        return solve

    rows = []
    for m in restarts:
        found = [
            seconds(ours(m, prdp.Implicit())),
            seconds(ours(m, prdp.Unrolled())),
            seconds(solvers(m)["jax"]),
        ]
        rows.append("| " + " | ".join([str(m), *(f"{s:.1f}" for s in found)]) + " |")
    return rows


def main() -> None:
    """Measure, print the tables and write them."""
    parser = argument_parser(__doc__)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    samples = 25
    system = navier_stokes(48, samples)
    lines = [
        "# GMRES: prdp, JAX and lineax",
        "",
        f"`scripts/benchmark_solvers.py`, {machine()}, "
        f"lineax {lineax.__version__}, float32, batches of {samples}, {arguments.cycles} cycles, medians of "
        f"{arguments.repeats} interleaved runs.",
        "",
        "| system | library | ms per cycle | relative to prdp | largest relative residual at the end |",
        "|---|---|---|---|---|",
        *compare("Navier-Stokes 48^2, restart 8", *system, 8, arguments.cycles, arguments.repeats),
        *compare("Burgers 256, restart 2", *burgers(samples), 2, arguments.cycles, arguments.repeats),
        "",
        "Reported status for systems that GMRES cannot solve (restart 2, 50 cycles, tolerance 1e-5):",
        "",
        "| system | prdp | jax | lineax |",
        "|---|---|---|---|",
        *failures(),
        "",
        "Gradient of a mean squared error of 3 % through the converged solve of Navier-Stokes, compared with a solve "
        "to 1e-6 (JAX's transposed solve stops at 1e-5 of the *primal* right-hand side):",
        "",
        "| library | norm of the gradient, exact = 1 | relative error |",
        "|---|---|---|",
        *gradients(*system),
        "",
        "Seconds to compile value and gradient of the Navier-Stokes solve:",
        "",
        "| restart | prdp, implicit | prdp, unrolled | jax |",
        "|---|---|---|---|",
        *compilation(*system, (2, 8, 20, 30)),
        "",
    ]
    publish(lines, arguments.output)


if __name__ == "__main__":
    main()
