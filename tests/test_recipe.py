"""A new physics is what the README says and nothing else, and every physics keeps the contract that it names."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import prdp
from prdp.config import SCHEMA, parse
from prdp.data import reference_solution
from prdp.physics import TimeStepper
from tests.cases import random

ROOT = Path(__file__).resolve().parents[1]
RECIPE = (ROOT / "README.md").read_text().split("## Add your own physics\n")[1].split("\n## ")[0]
# The places that the recipe names, and what it puts there.
FILE, YAML, TABLE = re.findall(r"`((?:prdp|conf)/[a-z_/]+\.(?:py|yaml))`", RECIPE)
PYTHON, CONFIGURATION, ROW = re.findall(r"```(?:python|yaml)\n(.*?)```", RECIPE, re.DOTALL)


@pytest.fixture(scope="module")
def advection():
    names = {"__name__": "advection"}
    exec(PYTHON, names)
    return names["Advection"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project after the recipe."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "train.py", folder)
    for part in ("conf", "prdp"):
        shutil.copytree(ROOT / part, folder / part)
    for place, text in ((FILE, PYTHON), (YAML, CONFIGURATION)):
        assert not (folder / place).exists()
        (folder / place).write_text(text)
    table = folder / TABLE
    before, heading, after = table.read_text().partition('    "physics": {\n')
    table.write_text(before + heading + ROW + after)
    return folder


def test_the_recipe_is_one_file_one_yaml_and_one_row():
    assert (FILE, YAML, TABLE) == (
        "prdp/physics/advection.py",
        "conf/physics/advection.yaml",
        "prdp/config/options.py",
    )
    assert len(ROW.splitlines()) == 1
    assert max(len(PYTHON.splitlines()), len(CONFIGURATION.splitlines())) < 60


def test_the_recipe_trains(project):
    options = ["physics=advection", "epochs=2", "progress=false", "runs_dir=runs"]
    done = subprocess.run(
        [sys.executable, "train.py", *options], cwd=project, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (run,) = (project / "runs").glob("advection-*")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "finished"
    # The least K with rho^K < 1e-5 for a Jacobi iteration, whose slowest mode is the constant.
    centre = 1 + 0.02 * (1.0 * 32 + 1e-3 * 2 * 32**2)
    slowest = np.log(1e-5) / np.log(1 - 1 / centre)
    assert 0.8 * slowest < summary["converged_iterations"] <= np.ceil(slowest)
    assert f"measures K_eps ({summary['converged_iterations']})" in RECIPE
    assert summary["savings"] == pytest.approx(1 - 1 / summary["converged_iterations"])
    errors = pd.read_parquet(run / "history.parquet")["val_error"].to_numpy()
    assert np.isfinite(errors).all()
    assert errors[2] < errors[0]


def test_the_recipe_converges_at_the_order_that_it_claims(advection):
    def error(points, steps, speed=0.7, diffusivity=0.01, end=0.3):
        physics = advection(points, speed, diffusivity, end / steps)
        x = physics.grid()[0]
        u = np.sin(2 * np.pi * x)[None, None]
        for _ in range(steps):
            u = reference_solution(physics, u)
        exact = np.exp(-diffusivity * (2 * np.pi) ** 2 * end) * np.sin(2 * np.pi * (x - speed * end))
        return np.abs(u[0, 0] - exact).max()

    assert np.log2(error(64, 40) / error(128, 80)) == pytest.approx(1, abs=0.05)


def test_the_recipe_refuses_what_its_upwinding_cannot_do(advection):
    with pytest.raises(ValueError, match=r"speed=-1.0: allowed is a number > 0"):
        advection(32, -1.0, 1e-3, 0.02)


def test_the_recipe_keeps_the_contract(advection, x64):
    check(advection(7, 0.7, 0.01, 0.1))


@pytest.mark.parametrize("name", {kind: name for name, kind in SCHEMA["physics"].items()}.values())
def test_every_physics_keeps_the_contract(compose, name, x64):
    check(parse(compose(f"physics={name}", "physics.points=5")).physics)


def check(physics):
    """Its matrix is transposed and declared symmetric as it is, its references solve it, its gradients are those."""
    if isinstance(physics, TimeStepper):
        space = (physics.points,) * physics.dimensions
        assert [len(x) for x in physics.grid()] == list(space)
        prior = physics.initial_state(np.asarray(random(1, 2, physics.initial_channels, *space)))
    else:
        prior = np.asarray(random(1, 2, physics.parameters))
    u, v = random(2, 2, *physics.shape), random(3, 2, *physics.shape)

    @jax.jit
    def parts(prior):
        a = physics.operator(prior)
        return a, physics.rhs(prior), a.as_dense(), jnp.sum(a.mv(u) * v), jnp.sum(u * a.transpose().mv(v))

    operator, rhs, matrix, forth, back = parts(prior)
    assert operator.shape == physics.shape
    assert rhs.shape == (2, *physics.shape)
    assert float(forth) == pytest.approx(float(back), rel=1e-12)
    matrix = np.broadcast_to(matrix, (2, operator.size, operator.size))
    if operator.symmetric:
        np.testing.assert_array_equal(matrix, matrix.swapaxes(1, 2))
    solved = np.linalg.solve(matrix, np.asarray(rhs).reshape(2, -1, 1)).reshape(rhs.shape)
    np.testing.assert_allclose(reference_solution(physics, prior), solved, atol=1e-11)

    @jax.jit
    @jax.value_and_grad
    def value(prior):
        a, b = physics.operator(prior), physics.rhs(prior)
        return jnp.sum(jnp.sin(prdp.solve(a, b, solver=prdp.Direct("dense"), iterations=1).value))

    direction, step = np.asarray(random(4, *prior.shape)), 1e-4
    ahead, behind, ahead2, behind2 = (float(value(prior + s * step * direction)[0]) for s in (1, -1, 2, -2))
    difference = (8 * (ahead - behind) - (ahead2 - behind2)) / (12 * step)
    assert float(jnp.sum(value(prior)[1] * direction)) == pytest.approx(difference, rel=1e-7)
