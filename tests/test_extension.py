"""The recipes of docs/extend.md: options from a package outside the repository, which touch nothing below `prdp/`."""

import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

import prdp
from prdp.analysis import load_runs
from prdp.analysis.records import save
from prdp.config import parse
from prdp.data import reference_solution
from prdp.physics import TimeStepper
from tests.cases import random, some_fast
from tests.conftest import OPTIONS, ROOT

SECTION = (ROOT / "docs" / "extend.md").read_text()
# Each block begins with the place of its file.
FILES = dict(re.findall(r"```(?:python|yaml)\n# ((?:mine|conf)/[\w/.]+)\n(.*?)```", SECTION, re.DOTALL))

# What the page only describes: a task, a data source with initial conditions of its own, a sink.
FILES |= {
    "mine/more.py": """
import numpy as np
from prdp.data import TrajectoryData
from prdp.physics import InitialCondition
from prdp.tasks import MixedChain
from prdp.tracking import Sink
from dataclasses import dataclass


class Weighted(MixedChain):
    def __init__(self, *arguments, weight: float, **options):
        super().__init__(*arguments, **options)
        self.weight = weight

    @classmethod
    def check(cls, physics, data, model, *, weight, **options):
        if not weight > 0:
            raise ValueError(f"weight={weight}: allowed is a number > 0")
        super().check(physics, data, model, **options)

    def loss(self, *arguments):
        value, totals = super().loss(*arguments)
        return self.weight * value, totals


@dataclass(frozen=True)
class Bumps(InitialCondition):
    width: float

    def keys(self, key, count):
        return range(key, key + 1)

    def fields(self, dimensions):
        return 1

    def sample(self, sets, grid):
        (x,) = grid
        centres = [np.random.default_rng(key).random((n, 1, 1)) for key, n in sets.items()]
        return [np.exp(-(((x - c) / self.width) ** 2)) for c in centres]


def bumps(width: float, samples: int):
    return TrajectoryData(Bumps(width), train_samples=samples, validation_samples=2)


class File(Sink):
    def __init__(self, place: str):
        self.place = place

    def row(self, row):
        with open(self.place, "a") as file:
            print(row["epoch"], file=file)
""",
    "conf/task/weighted.yaml": (
        "name: weighted\n_target_: mine.more.Weighted\nweight: 0.5\n"
        "loss: mse\nvalidation_step: 2\nnormalisation: same_step\n"
    ),
    "conf/data/bumps.yaml": "name: bumps\n_target_: mine.more.bumps\nwidth: 0.2\nsamples: 50\n",
    "conf/tracking/file.yaml": "name: file\n_target_: mine.more.File\nplace: epochs.txt\n",
}


@pytest.fixture(scope="module")
def advection():
    names = {"__name__": "advection"}
    exec(FILES["mine/advection.py"], names)
    return names["Advection"]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A stranger's package and configuration, after the README."""
    folder = tmp_path_factory.mktemp("stranger")
    for place, text in {**FILES, "mine/__init__.py": ""}.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    return folder


@pytest.fixture
def compose_with(package, compose, monkeypatch):
    """`compose_with(*overrides)`: the configuration of the stranger's options, in this process."""
    monkeypatch.syspath_prepend(package)
    return lambda *overrides: compose(f"hydra.searchpath=[file://{package / 'conf'}]", *overrides)


@pytest.fixture(scope="module")
def command(package):
    """`command(*overrides)`: the finished `python train.py --config-dir=conf ...` in the stranger's folder."""

    def command(*overrides, check=True):
        done = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), "--config-dir=conf", "progress=false", *overrides],
            cwd=package,
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return command


@pytest.fixture(scope="module")
def trained(package, command):
    """The folders of a run with the stranger's physics, and of one with all of the stranger's other options."""
    command("physics=advection", "epochs=2", "runs_dir=runs")
    others = [
        "solver=landweber",
        "diff=diagonal",
        "schedule=doubling",
        "model=diffuser",
        "optimizer=adamw",
        "task=weighted",
        "data=bumps",
        "tracking=file",
        "converged_iterations=300",
    ]
    command("physics=heat1d", *others, "epochs=3", "runs_dir=runs")
    runs = package / "runs"
    return next(runs.glob("advection-*")), next(runs.glob("heat1d-landweber-diagonal-doubling-*"))


@pytest.mark.slow
def test_a_strangers_physics_trains(trained):
    run, _ = trained
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "finished"
    # The least K with rho^K < 1e-5 for a Jacobi iteration, whose slowest mode is the constant.
    centre = 1 + 0.02 * (1.0 * 32 + 1e-3 * 2 * 32**2)
    slowest = np.log(1e-5) / np.log(1 - 1 / centre)
    assert 0.8 * slowest < summary["converged_iterations"] <= np.ceil(slowest)
    assert f"measures K_eps ({summary['converged_iterations']})" in SECTION
    assert summary["savings"] == pytest.approx(1 - 1 / summary["converged_iterations"])
    errors = pd.read_parquet(run / "history.parquet")["val_error"].to_numpy()
    assert np.isfinite(errors).all()
    assert errors[2] < errors[0]


def test_a_strangers_options_train_and_are_recorded_whole(trained):
    _, run = trained
    history = pd.read_parquet(run / "history.parquet")
    assert list(history["iterations"]) == [1, 1, 2, 4]
    # Two products per iteration of the solver, none of the adjoint.
    np.testing.assert_array_equal(history["matvecs_total"], 2 * history["iterations_executed_total"])
    assert set(history["adjoint_matvecs_total"]) == {0}
    assert np.isfinite(history["val_error"]).all()
    assert (run.parents[1] / "epochs.txt").read_text().split() == ["0", "1", "2", "3"]
    config = OmegaConf.load(run / "config.yaml")
    assert (config.task.weight, config.data.samples) == (0.5, 50)
    assert config.model == {"name": "diffuser", "_target_": "mine.parts.Diffuser", "bias": False}
    # What a stranger's function leaves to its defaults is recorded too.
    assert config.optimizer._target_ == "optax.adamw"
    assert (config.optimizer.b1, config.optimizer.weight_decay) == (0.9, 1e-4)
    assert config.optimizer.learning_rate.decay_steps == 1000


@pytest.mark.parametrize(
    ("mistake", "answer"),
    [
        ("solver=landweber solver.relaxation=3", "solver.relaxation=3.0: allowed is 0 < relaxation < 2"),
        ("solver=landweber solver.relaxation=abc", "solver.relaxation='abc': allowed is a number"),
        ("schedule=doubling schedule.interval=1.5", "schedule.interval=1.5: allowed is an integer"),
        ("model=diffuser model.bias=2", "model.bias=2: allowed is true or false"),
        ("model=diffuser +model.width=2", "model.width: no such key; allowed are bias"),
        ("optimizer=adamw optimizer.weight_decay=abc", "optimizer"),
        (
            "optimizer=adamw +optimizer.weight_dekay=1",
            "optimizer.weight_dekay: no such key; allowed are learning_rate",
        ),
        (
            "physics=poisson model=diffuser",
            "model=diffuser does not go with task=inverse: allowed is a model that",
        ),
        ("task=weighted task.weight=-1", "task.weight=-1.0: allowed is a number > 0"),
        (
            "data=bumps data.samples=7",
            "batch_size=25: allowed are the divisors of the number of training samples (data.train_samples=7)",
        ),
        (
            "physics=navier_stokes data=bumps task.validation_step=2",
            "data=bumps does not go with physics=navier_stokes: it makes 1 field",
        ),
        ("physics=advection physics.speed=-1", "physics.speed=-1.0: allowed is a number > 0"),
    ],
)
def test_mistakes_in_a_strangers_options_end_in_one_line(package, compose_with, mistake, answer):
    with pytest.raises(prdp.config.ConfigError) as raised:
        parse(compose_with(*mistake.split()))
    assert answer in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


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


@pytest.mark.fast("heat2d", "burgers")
@pytest.mark.parametrize(
    "name",
    some_fast([n for g, n in OPTIONS if g == "physics"], ("poisson", "heat2d", "burgers", "navier_stokes")),
)
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


def test_a_strangers_runs_have_their_rows_and_lines(trained, tmp_path):
    save(load_runs(trained), tmp_path / "records")
    texts = {}
    for script, name in (("tables", "md"), ("figures", "png")):
        out = tmp_path / script
        command = [
            sys.executable,
            str(ROOT / "scripts" / f"{script}.py"),
            "--records",
            str(tmp_path / "records"),
        ]
        done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        texts[script] = done.stdout
        assert list(out.glob(f"*.{name}")), done.stdout
    tables = "\n".join(path.read_text() for path in (tmp_path / "tables").glob("*.md"))
    for name in ("advection", "landweber", "diagonal", "doubling"):
        assert name in tables, (name, texts["tables"])
    assert (tmp_path / "figures" / "own.png").exists()
