"""Several seeds in one program: the same records as single runs."""

import functools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import prdp
from prdp import group
from prdp import run as runs
from prdp.analysis import load_runs
from prdp.config import ConfigError, parse
from prdp.preparation import initialiser, prepare
from prdp.training import Lanes, Plan, RunResult, Training, compile_run
from tests.cases import some_fast
from tests.conftest import ROOT
from tests.folders import history

HEAT = ("physics=heat1d", "epochs=12", "precision=float64", "schedule.tau_step=0.95")
SEEDS = (1, 4, 50)


@pytest.fixture(scope="module")
def run_seeds_in(run_in):
    """`run_seeds_in(runs_dir, *overrides)`: the outcome of each seed of a run in this process."""
    return functools.partial(run_in, seeds=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, run_in):
    """Histories of single runs by seed."""
    folder = tmp_path_factory.mktemp("alone")
    return {seed: history(run_in(folder, *HEAT, f"seed={seed}")) for seed in SEEDS}


def assert_same(ours, theirs, tolerance=1e-9):
    pd.testing.assert_frame_equal(ours, theirs, rtol=tolerance, atol=0)


# -- solves in lanes ---------------------------------------------------------------------------------------------------

CASES = (
    (prdp.Implicit(), prdp.Jacobi()),
    (prdp.Implicit(), prdp.GMRES(restart=2)),
    (prdp.Unrolled(iterations_cap=20), prdp.Jacobi()),
    (prdp.Unrolled(iterations_cap=20), prdp.ConjugateGradient()),
    (prdp.Checkpointed(iterations_cap=20), prdp.Jacobi()),
    (prdp.Truncated(steps=4), prdp.Jacobi()),
)


@pytest.mark.fast("Unrolled-Jacobi")
@pytest.mark.parametrize(("mode", "solver"), some_fast(CASES, CASES[1:3]), ids=lambda x: type(x).__name__)
def test_each_lane_of_a_vmap_does_its_own_number_of_iterations(mode, solver, x64):
    operator = prdp.identity((16,), 1, "dirichlet") - 0.1 * prdp.laplacian((16,), 1, 1 / 17, "dirichlet")
    rhs = jax.random.normal(jax.random.key(0), (4, 5, *operator.shape))
    iterations = jnp.array([1, 7, 3, 20])

    def solve(rhs, iterations):
        def loss(theta, cost):
            solution = prdp.solve(
                operator,
                theta * rhs,
                solver=solver,
                differentiation=mode,
                iterations=iterations,
                tolerance=1e-6,
                adjoint_stats=cost,
            )
            return jnp.sum(jnp.sin(solution.value)), solution

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(2.0, prdp.AdjointStats.zero())

    lanes = jax.jit(jax.vmap(solve))(rhs, iterations)
    single = jax.jit(solve)
    for i in range(4):
        own = jax.tree.map(lambda x, i=i: x[i], lanes)
        for ours, theirs in zip(*map(jax.tree.leaves, (own, single(rhs[i], iterations[i]))), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


def test_lanes_in_lockstep_do_not_copy_the_history_of_the_backward_pass():
    room = 37
    operator = prdp.identity((16,), 1, "dirichlet") - 0.1 * prdp.laplacian((16,), 1, 1 / 17, "dirichlet")
    rhs = jnp.ones((4, 5, *operator.shape))

    def value(rhs, iterations):
        mode = prdp.Unrolled(iterations_cap=room)
        solve = prdp.solve(operator, rhs, solver=prdp.Jacobi(), differentiation=mode, iterations=iterations)
        return jnp.sum(solve.value)

    text = str(jax.make_jaxpr(jax.vmap(jax.grad(value)))(rhs, jnp.arange(1, 5)))
    assert f"[{room}," in text or f",{room}," in text
    selected = [line for line in text.splitlines() if "select_n" in line]
    assert selected
    assert not any(str(room) in line.split("=")[0] for line in selected)


# -- runs in lanes -----------------------------------------------------------------------------------------------------


def test_together_each_seed_has_the_record_of_a_single_run(tmp_path, run_seeds_in, alone):
    outcomes = run_seeds_in(tmp_path, *HEAT, "seed=[1,4,50]")
    assert len({tuple(history(outcome)["iterations"]) for outcome in outcomes}) > 1
    for seed, outcome in zip(SEEDS, outcomes, strict=True):
        assert outcome.summary["seed"] == seed
        assert outcome.summary["compilations"] == 1
        assert_same(history(outcome), alone[seed])
    # Their seconds are shares, which no comparison may mix with those of single runs.
    recorded = load_runs(outcome.folder for outcome in outcomes)
    assert recorded.summaries["device"].str.endswith(", 3 seeds together").all()


@pytest.mark.parametrize(
    ("overrides", "lockstep"),
    [
        ("physics=heat1d solver.warm_start=true", True),
        ("physics=heat1d diff=unrolled", False),
        ("physics=poisson solver=steepest_descent physics.parameters=3", True),
        ("physics=heat1d schedule=tolerance_prdp", True),
        ("physics=burgers data.train_samples=50", True),
        ("physics=burgers data.train_samples=50", False),
    ],
)
@pytest.mark.slow
def test_lanes_in_lockstep_and_in_turn(tmp_path, run_in, run_seeds_in, monkeypatch, overrides, lockstep):
    monkeypatch.setattr(group, "Lanes", lambda n, devices, **_: Lanes(n, devices, lockstep))
    options = (*overrides.split(), "epochs=4", "precision=float64")
    outcomes = run_seeds_in(tmp_path / "together", *options, "seed=[3,4]")
    for seed, outcome in zip((3, 4), outcomes, strict=True):
        single = run_in(tmp_path / "alone", *options, f"seed={seed}")
        assert_same(history(outcome), history(single), 1e-8)
        if "physics=poisson" not in options:
            assert outcome.summary["test_error_final"] == pytest.approx(
                single.summary["test_error_final"], rel=1e-8
            )


@pytest.mark.slow
def test_what_is_finished_is_skipped_and_the_rest_goes_on(tmp_path, run_in, run_seeds_in, alone):
    first = run_in(tmp_path, *HEAT, "seed=4")
    outcomes = run_seeds_in(tmp_path, *HEAT, "seed=[1,4,50]")
    assert [outcome.skipped for outcome in outcomes] == [False, True, False]
    assert outcomes[1].summary == first.summary
    for seed, outcome in zip(SEEDS, outcomes, strict=True):
        assert_same(history(outcome), alone[seed])
    assert all(outcome.skipped for outcome in run_seeds_in(tmp_path, *HEAT, "seed=[50,1]"))


@pytest.mark.slow
def test_what_another_process_finished_meanwhile_is_not_trained_again(
    tmp_path, run_in, run_seeds_in, monkeypatch, alone
):
    def prepare_slowly(config):
        # The data are made; another process comes first.
        monkeypatch.setattr(runs, "prepare", prepare)
        run_in(tmp_path, *HEAT, "seed=4")
        return prepare(config)

    monkeypatch.setattr(runs, "prepare", prepare_slowly)
    outcomes = run_seeds_in(tmp_path, *HEAT, "seed=[1,4]")
    assert [outcome.skipped for outcome in outcomes] == [False, True]
    for seed, outcome in zip((1, 4), outcomes, strict=True):
        assert_same(history(outcome), alone[seed])
    assert json.loads((outcomes[0].folder / "status.json").read_text())["busy_elsewhere"] is not None


@pytest.mark.slow
def test_lanes_that_were_interrupted_at_different_epochs_go_on(
    tmp_path, run_in, run_seeds_in, monkeypatch, alone
):
    def stop_after(passes):
        left = [passes]

        class Interrupts:
            def check(self):
                left[0] -= 1
                if not left[0]:
                    raise KeyboardInterrupt

        class Deferred:
            def __enter__(self):
                return Interrupts()

            def __exit__(self, *_):
                return False

        return Deferred

    for overrides, passes in (("seed=[1,50]", 8), ("seed=[4,1]", 3)):
        monkeypatch.setattr(group, "deferred", stop_after(passes))
        with pytest.raises(KeyboardInterrupt):
            run_seeds_in(tmp_path, *HEAT, overrides)
    monkeypatch.undo()
    states = [json.loads(path.read_text())["status"] for path in sorted(tmp_path.glob("*/status.json"))]
    assert states == ["interrupted"] * 3
    # Seed 4 has three rows, the others more; one goes on alone, two together.
    resumed = run_in(tmp_path, *HEAT, "seed=50")
    assert resumed.resumed
    outcomes = run_seeds_in(tmp_path, *HEAT, "seed=[1,4]")
    assert all(outcome.resumed for outcome in outcomes)
    for seed, outcome in zip(SEEDS, (*outcomes, resumed), strict=True):
        assert_same(history(outcome), alone[seed])
        assert not (outcome.folder / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_a_lane_that_diverges_does_not_touch_the_others(compose, data_dir):
    config = parse(compose("physics=heat1d", "epochs=5", f"data_dir={data_dir}", "progress=false"))
    task, schedule, _ = prepare(config)
    transformation = config.optimizer
    graph, initial = initialiser(config)
    good = initial(1)._replace(cache=task.cold_cache())
    bad = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan) if x.dtype == jnp.float32 else x, good)
    plans = [Plan(5, 25, seed) for seed in (1, 2, 1)]

    def rows(states, plans):
        axis = Lanes(len(states), (jax.devices()[0],))
        arrays = axis.share(task.arrays())
        compiled = compile_run(task, graph, axis.stack(states), arrays, transformation, 25, lanes=axis)
        results = [RunResult(state, schedule.init()) for state in states]
        training = Training(task, compiled, arrays, schedule, plans, results, axis)
        for _ in training.advance():
            pass
        return training.lanes

    lanes = rows([good, bad, good], plans)
    assert [lane.ended for lane in lanes] == ["finished", "diverged", "finished"]
    assert len(lanes[1].rows) == 2
    assert "nan" in lanes[1].reason
    errors = [[row["val_error"] for row in lane.rows] for lane in lanes]
    assert errors[0] == errors[2]
    assert np.isfinite(errors[0]).all()


@pytest.mark.parametrize(
    ("count", "devices", "each", "used"),
    [(1, 4, 1, 1), (5, 4, 2, 3), (8, 4, 2, 4), (10, 8, 2, 5), (3, 1, 3, 1)],
)
def test_lanes_use_as_many_devices_as_shorten_the_queue(count, devices, each, used):
    axis = Lanes(count, tuple(jax.devices()) * devices)
    assert (axis.each, -(-count // axis.each)) == (each, used)


SHARDED = """
import sys, hydra, jax
from prdp.run import run
from tests.cases import some_fast
assert jax.device_count() == 4
with hydra.initialize_config_dir(sys.argv[1], version_base="1.3"):
    outcomes = run(hydra.compose("config", sys.argv[2:]))
print(*(outcome.folder for outcome in outcomes), sep="\\n")
"""


@pytest.mark.slow
def test_lanes_spread_over_several_devices(tmp_path, data_dir, alone):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SHARDED,
            str(ROOT / "conf"),
            f"runs_dir={tmp_path}",
            f"data_dir={data_dir}",
            "progress=false",
            *HEAT,
            # Five on four devices: pairs, of which the last has a copy.
            "seed=[1,2,3,4,50]",
        ],
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    folders = dict(zip((1, 2, 3, 4, 50), done.stdout.split(), strict=True))
    for seed in SEEDS:
        assert_same(history(folders[seed]), alone[seed])
    provenance = json.loads((tmp_path / folders[1] / "provenance.json").read_text())
    assert provenance["device_count"] == 4


@pytest.mark.parametrize("seeds", ["[]", "[1,1]", "[1,-2]", "[1,x]", "[1,[2]]"])
def test_wrong_lists_of_seeds_are_refused(tmp_path, run_seeds_in, seeds):
    with pytest.raises(ConfigError, match="seed="):
        run_seeds_in(tmp_path, "physics=heat1d", f"seed={seeds}")
    assert not list(tmp_path.iterdir())
