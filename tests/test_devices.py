"""Solves on a grid or a batch that is divided over several devices equal the undivided ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import prdp

assert jax.device_count() == 4
boundary, how = sys.argv[1:]
n, shape = 16, (1, 16, 16)
spacing = 1 / (n if boundary == "periodic" else n + 1)
eye, diffusion = prdp.identity(shape, 2, boundary), prdp.laplacian(shape, 2, spacing, boundary)
field = jnp.asarray(1 + np.random.default_rng(1).uniform(size=shape), jnp.float32)
b = jnp.asarray(np.random.default_rng(0).standard_normal((4, *shape)), jnp.float32)
solvers = {"jacobi": prdp.Jacobi(), "cg": prdp.ConjugateGradient(), "gmres": prdp.GMRES(4), "mg": prdp.Multigrid()}


def solve_and_gradient(b, field, solver):
    def value(b, field):
        operator = field * eye - 1e-3 * diffusion
        operator = prdp.Stencil(operator.coefficients, operator.offsets, shape, boundary, True)
        return prdp.solve(operator, b, solver=solver, iterations=6, tolerance=0.0).value

    u, pull_back = jax.vjp(value, b, field)
    return u, *pull_back(u)


mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
for name, solver in solvers.items():
    run = jax.jit(lambda b, field: solve_and_gradient(b, field, solver))
    expected = run(b, field)
    if how == "grid":  # the compiler divides the grid
        halves = NamedSharding(mesh, P(None, None, "x", "y")), NamedSharding(mesh, P(None, "x", "y"))
        found = run(*(jax.device_put(x, s) for x, s in zip((b, field), halves)))
        assert not found[0].sharding.is_fully_replicated
    else:  # every device has some of the samples; parameters are shared, their gradients summed
        split = P(("x", "y"))
        part = lambda b, field: solve_and_gradient(b, field, solver)
        found = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=(split, P()), out_specs=(split, split, P())))(b, field)
    for x, y in zip(found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5 * float(jnp.abs(y).max()), err_msg=name)
print("equal")
"""
PERMUTES = """
import re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import prdp

devices = np.array(jax.devices())
for boundary in ("dirichlet", "periodic"):
    for parts, divided in (((4, 1), 1), ((2, 2), 2)):
        mesh = jax.sharding.Mesh(devices.reshape(parts), ("x", "y"))
        operator = prdp.laplacian((1, 32, 32), 2, 1 / 32, boundary)
        u = jax.device_put(jnp.ones((1, 32, 32)), NamedSharding(mesh, P(None, "x", "y")))
        text = jax.jit(operator.mv).lower(u).compile().as_text()
        count = {k: len(re.findall(rf"= .*\\b{k}(?:-start)?\\(", text)) for k in ("collective-permute", "all-gather")}
        print(boundary, divided, count["collective-permute"], count["all-gather"])
"""


def run_on_four_devices(program, *arguments):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
@pytest.mark.parametrize("how", ["grid", "batch"])
def test_a_divided_solve_and_its_gradients_equal_the_undivided_ones(boundary, how):
    assert run_on_four_devices(PROGRAM, boundary, how) == "equal\n"


def test_a_product_sends_two_halos_per_divided_axis():
    lines = [line.split() for line in run_on_four_devices(PERMUTES).splitlines()]
    assert len(lines) == 4
    for _, divided, permutes, gathers in lines:
        assert int(permutes) == 2 * int(divided)
        assert int(gathers) == 0
