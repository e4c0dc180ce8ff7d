"""Error of the gradient against exact physics over K, for every pair of mode and solver on every problem's systems.

    python scripts/gradient_error.py [--problems heat1d burgers] [--quick] [--output results/gradient_errors]

Writes `<output>.csv` (one row per problem, solver, mode and K) and `<output>.md`. With `--problems`, the rows of the
others are kept from the file. Everything is computed in float64,
with zero guess and tolerance 0. The loss is `||u||^2 / 2`, summed over the samples; the exact gradient is that of the
same loss with a direct solve.

"""

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import prdp
from benchmarking import argument_parser, publish
from prdp.atomic import write_text
from prdp.differentiation import Mode
from prdp.linalg import Operator
from prdp.physics import Burgers, FilteredNoise, FourierSeries, Heat, NavierStokes, Poisson
from prdp.solvers import Solver

LEVELS = (1, 2, 4, 8, 12, 16, 20, 23, 32, 64, 128)
SHOWN = (1, 4, 12, 23, 64, 128)

MODES: dict[str, Mode] = {
    "implicit": prdp.Implicit(),
    "unrolled": prdp.Unrolled(),
    "truncated(5)": prdp.Truncated(5),
    "one step": prdp.OneStep(),
    "JFB": prdp.JFB(),
    "phantom(5)": prdp.Phantom(),
    "Neumann(5)": prdp.Neumann(),
    "reduced CG(5)": prdp.ReducedCG(),
}


class System(NamedTuple):
    """The systems of a problem and the solvers to judge on them; the first is the paper's."""

    operator: Operator
    rhs: Any
    solvers: dict[str, Solver]


DEFINITE: dict[str, Solver] = {
    "Jacobi": prdp.Jacobi(),
    "steepest descent": prdp.SteepestDescent(),
    "CG": prdp.ConjugateGradient(),
    "GMRES(2)": prdp.GMRES(2),
}


def noise(physics: Any, samples: int) -> Any:
    """Return smooth random states."""
    (fields,) = FilteredNoise().sample({0: samples}, physics.grid())
    return jnp.asarray(fields[:, : physics.shape[0]])


def heat(dimensions: int, points: int) -> System:
    """Return the first systems of heat conduction, with smooth random states."""
    physics = Heat(dimensions, points)
    return System(physics.operator(), physics.rhs(noise(physics, 3)), DEFINITE)


def poisson() -> System:
    """Return the systems of the three-parameter Poisson problem."""
    physics = Poisson(3, 30)
    theta = jnp.asarray(np.random.default_rng(0).standard_normal((3, 3)))
    return System(physics.operator(), physics.rhs(theta), DEFINITE)


def burgers(paper: bool) -> System:
    """Return systems of Burgers' equation: at the paper's states after one time step, or at noise, which is rougher."""
    physics = Burgers(1, 256)
    if paper:
        (fields,) = FourierSeries(modes=20).sample({1337: 3}, physics.grid())
        start = jnp.asarray(fields)
        state = prdp.solve(physics.operator(start), start, solver=prdp.Direct()).value
    else:
        state = noise(physics, 3)
    others: dict[str, Solver] = {"BiCGStab": prdp.BiCGStab(), "Jacobi": prdp.Jacobi()}
    return System(
        physics.operator(state), state, {"GMRES(2)": prdp.GMRES(2), "GMRES(8)": prdp.GMRES(8)} | others
    )


def navier_stokes() -> System:
    """Return systems of Navier-Stokes on 12 x 12 cells, a quarter of the paper's 48 along each axis."""
    physics = NavierStokes(12)
    (fields,) = FilteredNoise().sample({0: 2}, physics.grid())
    state = jnp.asarray(physics.initial_state(fields))
    solvers: dict[str, Solver] = {"GMRES(8)": prdp.GMRES(8), "BiCGStab": prdp.BiCGStab()}
    return System(physics.operator(state), physics.rhs(state), solvers)


PROBLEMS: dict[str, Callable[[], System]] = {
    "poisson": poisson,
    "heat1d": lambda: heat(1, 30),
    "heat2d": lambda: heat(2, 30),
    "heat3d": lambda: heat(3, 10),
    "burgers": lambda: burgers(paper=True),
    "burgers_noise": lambda: burgers(paper=False),
    "navier_stokes": navier_stokes,
}


def curves(problem: str, levels: tuple[int, ...]) -> Iterable[dict[str, Any]]:
    """Yield one row per solver, mode and K; a pair that is not defined has one row without K."""
    system = PROBLEMS[problem]()
    for solver_name, solver in system.solvers.items():
        for mode_name, mode in MODES.items():
            names = {"problem": problem, "solver": solver_name, "mode": mode_name}
            try:
                found = prdp.gradient_error(
                    system.operator, system.rhs, iterations=levels, solver=solver, differentiation=mode
                )
            except ValueError:
                yield names
                continue
            columns = {"solution_error": found.solution}
            for part in ("rhs", "operator"):
                columns |= {f"{part}_{key}": x for key, x in getattr(found, part)._asdict().items()}
            for i, k in enumerate(levels):
                yield names | {"iterations": k} | {key: float(x[i]) for key, x in columns.items()}


def cycles(solver: Solver, system: System, count: int) -> list[tuple[float, float]]:
    """Return, per cycle on the first system, the reduction of the residual and the norm of its Jacobian."""
    operator = jax.tree.map(lambda x: x[0] if jnp.ndim(x) > system.operator.rank else x, system.operator)
    rhs = system.rhs[0]

    def cycle(residual: Any) -> Any:
        state = solver.init(operator, residual, None)
        return solver.step(operator, residual, state).residual

    jacobian = jax.jit(jax.jacfwd(cycle))
    found = []
    for _ in range(count):
        matrix = np.asarray(jacobian(rhs)).reshape(rhs.size, rhs.size)
        new = jax.jit(cycle)(rhs)
        found.append((float(jnp.linalg.norm(new) / jnp.linalg.norm(rhs)), float(np.linalg.norm(matrix, 2))))
        rhs = new
    return found


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the Markdown table: the larger of the two relative errors, per pair and K."""
    shown = [k for k in SHOWN if any(row.get("iterations") == k for row in rows)]
    lines = ["| problem | solver | mode |" + "".join(f" K = {k} |" for k in shown) + " solution, last K |"]
    lines.append("|---|---|---|" + "---:|" * (len(shown) + 1))
    for pair in dict.fromkeys((row["problem"], row["solver"], row["mode"]) for row in rows):
        mine = {r.get("iterations"): r for r in rows if (r["problem"], r["solver"], r["mode"]) == pair}
        if None in mine:
            continue
        cells = [f"{max(mine[k]['rhs_error'], mine[k]['operator_error']):.2g}" for k in shown]
        cells.append(f"{mine[shown[-1]]['solution_error']:.2g}")
        lines.append("| " + " | ".join((*pair, *cells)) + " |")
    return lines


def written_csv(rows: list[dict[str, Any]]) -> str:
    """Return the rows as CSV, numbers with four digits."""
    fields = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{x:.4g}" if isinstance(x, float) else x for key, x in row.items()})
    return text.getvalue()


def kept(output: Path | None, problems: list[str]) -> list[dict[str, Any]]:
    """Return the rows of other problems in an existing CSV file, numbers as numbers."""
    path = None if output is None else output.with_suffix(".csv")
    if path is None or not path.exists():
        return []
    rows = []
    for row in csv.DictReader(path.read_text().splitlines()):
        if row["problem"] in PROBLEMS and row["problem"] not in problems:
            names = {key: row.pop(key) for key in ("problem", "solver", "mode")}
            numbers = {key: int(x) if key == "iterations" else float(x) for key, x in row.items() if x}
            rows.append(names | numbers)
    return rows


def explanation() -> list[str]:
    """Return the part of the text on GMRES(2), with its table."""
    lines = ["## Why the unrolled gradient of a Krylov method can be rough", "", *EXPLANATION.split("\n"), ""]
    lines += ["| cycle | GMRES(2) | Jacobian | Jacobi | Jacobian |", "|---:|---:|---:|---:|---:|"]
    system = burgers(paper=True)
    pairs = zip(*(cycles(solver, system, 8) for solver in (prdp.GMRES(2), prdp.Jacobi())), strict=True)
    for i, numbers in enumerate(pairs, 1):
        lines.append(f"| {i} | " + " | ".join(f"{x:.2g}" for pair in numbers for x in pair) + " |")
    return lines


EXPLANATION = """\
With `u^[K] = A^-1 (b - r_K(b))`, the error of the unrolled gradient with respect to `b` is `-(dr_K/db)^T A^-T ubar`,
beside that of `ubar`. It vanishes only if the *derivative* of the residual map does, which a small residual does not
imply. A Krylov method multiplies `r` by a polynomial of `A` whose coefficients depend on `r`. If `r` consists of few
modes (Poisson: three sines; Burgers: smooth states, and `A` close to the identity), then `r`, `A r` and `A^2 r` are
nearly parallel: the coefficients fit these modes, and react to any other component of `b` by the inverse of a small
angle. The table shows one cycle on the first Burgers system: by how much it reduces the residual, and the 2-norm of its
Jacobian `dr'/dr`. Where the second is far above the first, the K-step map is rougher than the solution that it
approximates. Rough states (`burgers_noise`) have all modes, so that the coefficients hardly change. The Jacobian of
Jacobi is its iteration matrix: residual and derivative decay together. The implicit gradient differentiates the
equation instead of the iteration, and has only the errors of the two solves."""


def main() -> None:
    """Compute the curves and write both tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--quick", action="store_true", help="K = 1 and 4 only")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    levels = LEVELS[:3:2] if arguments.quick else LEVELS
    rows = kept(arguments.output, arguments.problems)
    for problem in arguments.problems:
        rows += curves(problem, levels)
        print(f"{problem}: {len(rows)} rows", flush=True)
    rows.sort(key=lambda row: list(PROBLEMS).index(row["problem"]))
    lines = [
        "# Gradient errors",
        "",
        "Written by `scripts/gradient_error.py`, in float64: zero guess, tolerance 0.",
    ]
    lines += [
        "The larger of the relative errors of the gradients with respect to `b` and to the parameters of `A`.",
        "",
    ]
    lines += table(rows)
    undefined = [(row["solver"], row["mode"]) for row in rows if "iterations" not in row]
    lines += ["", "Not defined: " + "; ".join(f"{m} with {s}" for s, m in dict.fromkeys(undefined)) + "."]
    if any(row["problem"] == "burgers" for row in rows):
        lines += ["", *explanation()]
    publish(lines, None if arguments.output is None else arguments.output.with_suffix(".md"))
    if arguments.output is not None:
        write_text(arguments.output.with_suffix(".csv"), written_csv(rows))


if __name__ == "__main__":
    main()
