"""Updates per second at several K, and the shares of the parts of an update.

    python scripts/benchmark_training.py                 all but heat3d and navier_stokes
    python scripts/benchmark_training.py heat2d --epochs 5
    python scripts/benchmark_training.py navier_stokes --override scale=small

All figures of a physics come from one process, excluding compile time. Run it on an otherwise idle machine. For the
shares, parts of the update are compiled and timed separately: physics (solve and its VJP), network (forward and
backward pass with the physics replaced by the identity) and optimiser. The remainder is reported as everything else.
For large networks, the bytes and operations required by optimiser and network are compared with the memory bandwidth
and the matrix-product speed, both measured here.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from hydra import compose, initialize_config_dir

from benchmarking import bandwidth, machine, timed
from prdp.config import parse
from prdp.differentiation import AdjointStats
from prdp.preparation import initialiser, prepare, scans_well
from prdp.training import compile_run, traced_controls

ROOT = Path(__file__).resolve().parents[1]
LEVELS = {
    "poisson": (25, 100, 300, 600),
    "heat1d": (1, 5, 10, 25),
    "heat2d": (1, 12, 43),
    "burgers": (4, 16, 23),
    "heat3d": (1, 10, 30),
    "navier_stokes": (1, 20, 42),
}
# The small problems, which take about one minute each on two cores.
DEFAULT = ("poisson", "heat1d", "heat2d", "burgers")


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Return the median wall time in seconds of a blocking call."""
    return timed([function], repeats)[0]


def benchmark(physics: str, epochs: int, extra: list[str]) -> None:
    """Print the results for one physics."""
    overrides = [
        f"physics={physics}",
        "schedule=fixed",
        f"schedule.iterations={max(LEVELS[physics])}",
        *extra,
    ]
    # Skip the measurement of the converged K, which an update does not use.
    overrides.append("converged_iterations=100000")
    config = parse(compose("config", overrides=[*overrides, f"data_dir={ROOT / 'results/data'}"]))
    task, _, _ = prepare(config)
    tolerance, transformation = config.solve_options.tolerance, config.optimizer
    graph, initial = initialiser(config)
    state = initial(config.general.seed)
    arrays, batch = task.arrays(), config.general.batch_size
    compiled = compile_run(task, graph, state, arrays, transformation, batch, scan=scans_well(config))
    updates = task.samples // batch
    order = np.arange(task.samples, dtype=np.int32).reshape(updates, batch)
    print(f"\n{physics}: {updates} updates per epoch, compiled in {compiled.seconds:.1f} s")

    holder = [state]

    def epoch(k: int) -> Any:
        holder[0], totals = compiled.train(holder[0], arrays, order, traced_controls(k, tolerance))
        return totals

    per_update = {k: seconds(lambda k=k: epoch(k), epochs) / updates for k in LEVELS[physics]}  # type: ignore[misc]
    for k, t in per_update.items():
        print(f"  K = {k:<4} {1 / t:10.1f} updates/s   {1e3 * t:9.3f} ms per update")
    if physics != "poisson":
        parts(config, task, graph, transformation, arrays, holder[0], per_update, epochs)
    print(f"  compilations of the update: {compiled.compilations}")


def parts(
    config: Any, task: Any, graph: Any, optimizer: Any, arrays: Any, state: Any, per_update: Any, epochs: int
) -> None:
    """Print the separate times of physics, network and optimiser, each in a loop like that of the training."""
    updates = task.samples // config.general.batch_size

    def controls(k: int) -> Any:
        return traced_controls(k, config.solve_options.tolerance)

    indices = jnp.arange(config.general.batch_size)
    parameters = state.parameters
    if "train" in arrays:
        inputs, targets = arrays["train"][indices, 0], arrays["train"][indices, 1]
        prior = inputs
    else:
        inputs, targets = arrays["inputs"][indices], arrays["targets"][indices]
        prior = nnx.merge(graph, parameters)(inputs)
    steps = task.solves_per_update

    def looped(body: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return jax.jit(lambda x: jax.lax.fori_loop(0, updates, lambda i, c: body(c), x), donate_argnums=0)

    def step_of(u: Any, k: Any) -> Any:
        zero = AdjointStats.zero()
        return task.settings.time_step(task.physics, arrays["operator"], u, k, zero).value

    def physics_body(k: Any) -> Callable[[Any], Any]:
        def loss(u: Any) -> Any:
            return jnp.mean((step_of(u, k) - targets) ** 2)

        return lambda u: u - 1e-3 * jax.grad(loss)(u)

    def network_gradient(p: Any) -> Any:
        def loss(p: Any) -> Any:
            u = inputs
            for _ in range(steps):
                u = nnx.merge(graph, p)(u)
            return jnp.mean((u - targets) ** 2)

        return jax.grad(loss)(p)

    def descend(p: Any, g: Any) -> Any:
        return jax.tree.map(lambda x, y: x - 1e-9 * y, p, g)

    def timed(body: Callable[[Any], Any], start: Any) -> float:
        run, box = looped(body), [jax.tree.map(jnp.copy, start)]

        def step() -> Any:
            box[0] = run(box[0])
            return jax.tree.leaves(box[0])[0]

        return seconds(step, epochs) / updates

    solver = {k: timed(physics_body(controls(k)), prior) for k in per_update}
    if steps > 1:
        # The first solve has no backward pass.
        for k in per_update:
            forward = timed(lambda u, k=k: prior + 1e-9 * step_of(u, controls(k)), prior)  # type: ignore[misc]
            solver[k] = forward + (steps - 1) * solver[k]
    # XLA would remove an unused gradient. So apply it in a plain descent step, and subtract the time of that step.
    network = timed(lambda p: descend(p, network_gradient(p)), parameters)
    network -= timed(lambda p: descend(p, p), parameters)

    def adam(carry: Any) -> Any:
        p, s = carry
        # The first moments stand in for the gradient: only the number of bytes read matters.
        changes, s = optimizer.update(jax.tree.map(lambda x: 1e-3 * x, s[0].mu), s, p)
        return optax.apply_updates(p, changes), s

    optimiser = timed(adam, (state.parameters, state.optimizer))
    print("  share of update:  physics     network   optimiser   everything else")
    for k, t in per_update.items():
        rest = t - solver[k] - network - optimiser
        shares = "  ".join(f"{1e3 * x:6.2f} {x / t:4.0%}" for x in (solver[k], network, optimiser, rest))
        print(f"    K = {k:<4}   {shares}   (ms, share)")
    count = sum(x.size for x in jax.tree.leaves(parameters))
    if config.names["model"] == "mlp" and count > 10**6:
        memory_bound(count, config.general.batch_size, network, optimiser, per_update)


def memory_bound(
    count: int, batch: int, network: float, optimiser: float, per_update: dict[int, float]
) -> None:
    """Print the times of network, optimiser and update next to the limits of this machine's memory and cores."""
    stream, flops = bandwidth(), matmul_speed()
    array = 4 * count
    work = 6 * count * batch
    print(
        f"  this machine streams {stream / 1e9:.0f} GB/s and multiplies {flops / 1e9:.0f} GFLOP/s (large matrices)"
    )
    print(
        f"  optimiser: {count / 1e6:.1f}M parameters; Adam must move 7 arrays (p, m, v in and out, g in) = "
        f"{7 * array / 1e6:.0f} MB: {7 * array / stream * 1e3:.0f} ms at full bandwidth, "
        f"{optimiser * 1e3:.0f} ms measured ({7 * array / stream / optimiser:.0%})"
    )
    least = max(3 * array / stream, work / flops)
    print(
        f"  network: 3 arrays (weights twice, g out) and {work / 1e9:.1f} GFLOP: {least * 1e3:.0f} ms at best, "
        f"{network * 1e3:.0f} ms measured ({least / network:.0%})"
    )
    k = min(per_update)
    bound = 10 * array / stream
    print(f"  update: {bound * 1e3:.0f} ms at full bandwidth; K = {k} takes {per_update[k] * 1e3:.0f} ms")


def matmul_speed() -> float:
    """Return the floating-point operations per second of a large float32 matrix product."""
    n = 3000
    a = jnp.ones((n, n), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    return 2 * n**3 / seconds(lambda: product(a), 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("physics", nargs="*", choices=[*LEVELS, []])
    parser.add_argument("--epochs", type=int, default=5, help="number of timed epochs")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        help="an override of train.py, e.g. scale=small (repeatable)",
    )
    arguments = parser.parse_args()
    print(f"device: {machine()}")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for physics in arguments.physics or DEFAULT:
            benchmark(physics, arguments.epochs, arguments.override)


if __name__ == "__main__":
    main()
