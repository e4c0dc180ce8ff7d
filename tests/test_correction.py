"""The correction task against plain NumPy computations, and its runs end to end."""

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx

import prdp
from prdp.config import Config
from prdp.data import TrajectoryData
from prdp.differentiation import AdjointStats, Controls, Implicit, Unrolled
from prdp.physics import FilteredNoise, FourierSeries, Heat, NavierStokes
from prdp.records import COLUMNS
from prdp.tasks import Correction, SolveSettings
from prdp.tracking import Sink
from tests.cases import some_fast
from tests.folders import assert_same_history

WEIGHTS = np.array([0.04, -0.07, 0.05])


def corrected(weights, u, xp):
    """A network of three parameters, which mixes neighbours."""
    return weights[0] * u + weights[1] * xp.roll(u, 1, -1) + weights[2] * xp.tanh(3 * u)


class Network(nnx.Module):
    """The same for the library."""

    def __init__(self, weights):
        self.weights = nnx.Param(jnp.asarray(weights))

    def __call__(self, u):
        return corrected(self.weights[...], u, jnp)


def gmres(matrix, rhs, cycles, restart=2):
    """Restarted GMRES by least squares over an explicit Krylov basis."""
    u = np.zeros_like(rhs)
    for _ in range(cycles):
        residual = rhs - matrix @ u
        basis = residual[:, None] / np.linalg.norm(residual)
        while basis.shape[1] < restart:
            basis = np.linalg.qr(np.column_stack([basis, matrix @ basis[:, -1]]))[0]
        u = u + basis @ np.linalg.lstsq(matrix @ basis, residual)[0]
    return u


def jacobi(matrix, rhs, sweeps):
    u = np.zeros_like(rhs)
    for _ in range(sweeps):
        u = u + (rhs - matrix @ u) / np.diag(matrix)
    return u


class Case(NamedTuple):
    """A physics, a solver for it, and both by hand."""

    physics: Any
    source: TrajectoryData
    solver: Any
    plain_solver: Callable
    plain_rhs: Callable


CASES = {
    "navier_stokes": Case(
        NavierStokes(4, diffusivity=0.02),
        TrajectoryData(FilteredNoise(), 3, 2, 0, 3, steps=5, reference_points=9),
        prdp.GMRES(2),
        gmres,
        lambda state: np.concatenate([state[:2] / 0.1, np.zeros((1, 4, 4))]),
    ),
    # Its operator does not depend on the state.
    "heat": Case(
        Heat(1, 6, diffusivity=0.01),
        TrajectoryData(FourierSeries(), 3, 2, steps=5, reference_points=13),
        prdp.Jacobi(),
        jacobi,
        lambda state: state,
    ),
}


@pytest.fixture(scope="module")
def datasets():
    """Reference trajectories in float64, by case."""
    return {name: case.source.generate(case.physics, np.float64) for name, case in CASES.items()}


def task_of(name, datasets, mode, tolerance, dense=False, **options):
    physics = CASES[name].physics
    operator = physics.operator() if physics.operator_is_constant else None
    settings = SolveSettings(CASES[name].solver, mode, tolerance, dense)
    return Correction(physics, operator, settings, datasets[name], **options)


def value_and_gradient(task, indices, iterations):
    """Loss, totals of the solves, gradient with respect to the three parameters, cost of the adjoint."""
    graph, parameters = nnx.split(Network(WEIGHTS))
    arrays = task.arrays()

    @jax.jit
    def evaluate(parameters, controls):
        def loss(parameters, cost):
            return task.loss(nnx.merge(graph, parameters), arrays, jnp.asarray(indices), controls, cost)

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(
            parameters, AdjointStats.zeros(task.solves_per_update)
        )

    (value, totals), (gradient, cost) = evaluate(
        parameters, Controls(jnp.int32(iterations), task.settings.tolerance)
    )
    return value, totals, gradient["weights"][...], jax.tree.map(jnp.sum, cost)


@cache
def matrix_of(name):
    return jax.jit(lambda state: CASES[name].physics.operator(state).as_dense())


class Plain:
    """The task by hand: sample by sample, with dense matrices."""

    def __init__(self, name, data):
        self.case, self.data = CASES[name], data
        self.matrix = matrix_of(name)

    def step(self, state, iterations=None):
        """The physics' part of a step, with so many iterations or exactly, and its relative residual."""
        matrix, rhs = np.asarray(self.matrix(jnp.asarray(state))), self.case.plain_rhs(state).ravel()
        solve = self.case.plain_solver if iterations else np.linalg.solve
        after = solve(matrix, rhs, *([iterations] if iterations else []))
        residual = np.linalg.norm(rhs - matrix @ after) / np.linalg.norm(rhs)
        return after.reshape(state.shape), residual

    def loss(self, weights, indices, iterations=None, steps=2, weights_of_states=None):
        """The loss; with `weights_of_states`, every state that is stepped is corrected with those instead."""
        total = 0.0
        for i in indices:
            state = self.data.train[i, 0]
            for t in range(1, steps + 1):
                after, _ = self.step(state, iterations)
                error = after + corrected(weights, after, np) - self.data.train[i, t]
                total += np.mean(error**2) / len(indices)
                rolled = weights if weights_of_states is None else weights_of_states
                state = after + corrected(rolled, after, np)
        return total

    def validation(self, channel, steps, iterations=None):
        """Errors of the roll-out on one channel by step, and the worst residual."""
        errors, residuals = np.zeros(steps), []
        for reference in self.data.validation:
            state = reference[0]
            for t in range(1, steps + 1):
                after, residual = self.step(state, iterations)
                state = after + corrected(WEIGHTS, after, np)
                difference, target = state[channel] - reference[t, channel], reference[t, channel]
                errors[t - 1] += np.sum(difference**2) / np.sum(target**2) / len(self.data.validation)
                residuals.append(residual)
        return errors, max(residuals)


def difference_quotients(function, step=1e-4):
    """Central differences of fourth order along each parameter."""
    quotients = []
    for direction in np.eye(3):
        near, far = (
            function(WEIGHTS + s * direction) - function(WEIGHTS - s * direction) for s in (step, 2 * step)
        )
        quotients.append((8 * near - far) / (12 * step))
    return np.array(quotients)


@pytest.mark.fast("heat-converged_dense", "heat-three_iterations")
@pytest.mark.parametrize(
    ("name", "mode"),
    some_fast(
        itertools.product(CASES, ["converged", "converged_dense", "three_iterations"]),
        [
            *(("navier_stokes", mode) for mode in ("three_iterations",)),
            *(("heat", mode) for mode in ("converged_dense", "three_iterations")),
        ],
    ),
)
def test_loss_and_gradient_are_those_of_a_plain_computation(name, mode, datasets, x64):
    if mode == "three_iterations":
        task = task_of(name, datasets, Unrolled(5), 0.0)
        value, totals, gradient, _ = value_and_gradient(task, [2, 0], 3)
        assert totals.residual_max > 1e-3
        iterations = 3
    else:
        task = task_of(name, datasets, Implicit(), 1e-13, dense=mode == "converged_dense")
        value, totals, gradient, _ = value_and_gradient(task, [2, 0], 1000)
        assert totals.status == prdp.Status.CONVERGED
        iterations = None
    plain = Plain(name, datasets[name])
    np.testing.assert_allclose(value, plain.loss(WEIGHTS, [2, 0], iterations), rtol=1e-10)
    expected = difference_quotients(lambda weights: plain.loss(weights, [2, 0], iterations))
    np.testing.assert_allclose(gradient, expected, rtol=1e-8)


@pytest.mark.slow
def test_without_adjoint_iterations_the_gradient_stops_at_the_second_solve(datasets, x64):
    # The adjoint is converged before it begins, as in the released code: 0.5 ||b|| is above the cotangent.
    mode = Implicit(adjoint_tolerance=0.5, adjoint_tolerance_relative_to="primal")
    task = task_of("navier_stokes", datasets, mode, 1e-13)
    value, _, gradient, cost = value_and_gradient(task, [2, 0], 1000)
    assert cost.iterations == 0
    plain = Plain("navier_stokes", datasets["navier_stokes"])
    np.testing.assert_allclose(value, plain.loss(WEIGHTS, [2, 0]), rtol=1e-10)
    stopped = difference_quotients(lambda w: plain.loss(w, [2, 0], weights_of_states=WEIGHTS))
    np.testing.assert_allclose(gradient, stopped, rtol=1e-8)
    whole = difference_quotients(lambda w: plain.loss(w, [2, 0]))
    assert np.linalg.norm(stopped - whole) > 0.1 * np.linalg.norm(whole)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3])
def test_each_step_of_the_loss_is_a_solve_that_is_counted(steps, datasets, x64):
    task = task_of("heat", datasets, Implicit(), 0.0, unrolled_steps=steps)
    assert task.solves_per_update == steps
    value, totals, _, cost = value_and_gradient(task, [0, 1, 2], 2)
    plain = Plain("heat", datasets["heat"])
    np.testing.assert_allclose(value, plain.loss(WEIGHTS, [0, 1, 2], 2, steps), rtol=1e-10)
    assert (totals.executed, totals.matvecs) == (2 * steps, 2 * steps)
    # No parameter comes before the first solve, which therefore has no adjoint.
    assert (cost.iterations, cost.matvecs) == (2 * (steps - 1), 2 * (steps - 1))


def validate(task):
    graph, parameters = nnx.split(Network(WEIGHTS))
    return jax.jit(lambda p, arrays: task.validate(nnx.merge(graph, p), arrays))(parameters, task.arrays())


@pytest.mark.slow
def test_validation_rolls_out_with_the_converged_solver(datasets, x64):
    columns = validate(task_of("navier_stokes", datasets, Implicit(), 1e-9))
    errors, _ = Plain("navier_stokes", datasets["navier_stokes"]).validation(0, 5)
    steps = [f"val_error_step_{t}" for t in range(1, 6)]
    assert set(columns) == {"val_error", *steps, "val_residual_max"}
    np.testing.assert_allclose([columns[s] for s in steps], errors, rtol=1e-6)
    assert columns["val_error"] == columns["val_error_step_5"]
    assert 0 < columns["val_residual_max"] < 1e-9


def test_validation_of_a_constant_operator_ends_at_its_step(datasets, x64):
    columns = validate(task_of("heat", datasets, Implicit(), 1e-12, validation_step=3))
    errors, _ = Plain("heat", datasets["heat"]).validation(0, 3)
    assert set(columns) == {"val_error", *(f"val_error_step_{t}" for t in (1, 2, 3)), "val_residual_max"}
    np.testing.assert_allclose(columns["val_error"], errors[-1], rtol=1e-9)


def test_validation_does_not_depend_on_how_training_differentiates(datasets, x64):
    modes = (Implicit(adjoint_iterations=1), Unrolled(iterations_cap=1))
    few, unrolled = (validate(task_of("heat", datasets, mode, 1e-6, validation_step=2)) for mode in modes)
    assert few == unrolled


@pytest.mark.parametrize(("name", "channel"), [("navier_stokes", 2), ("heat", 0)])
def test_validation_with_too_few_iterations_says_so(name, channel, datasets, x64):
    options = {"validation_step": 2, "validation_channel": channel, "validation_iterations": 2}
    columns = validate(task_of(name, datasets, Implicit(), 1e-9, **options))
    errors, residual = Plain(name, datasets[name]).validation(channel, 2, iterations=2)
    np.testing.assert_allclose(columns["val_error"], errors[-1], rtol=1e-8)
    np.testing.assert_allclose(columns["val_residual_max"], residual, rtol=1e-8)
    assert residual > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_systems_to_probe_are_those_of_the_first_solves(name, datasets, x64):
    operator, rhs = task_of(name, datasets, Implicit(), 1e-9).probe_systems()
    plain, states = Plain(name, datasets[name]), datasets[name].train[:, 0]
    np.testing.assert_allclose(rhs, [plain.case.plain_rhs(state) for state in states], rtol=1e-14)
    after = jnp.asarray([plain.step(state)[0] for state in states])
    np.testing.assert_allclose(operator.mv(after), rhs, atol=1e-11)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("unrolled_steps", 0, "1 to 5"),
        ("unrolled_steps", 6, "1 to 5"),
        ("validation_step", 0, "1 to 5"),
        ("validation_step", 6, "1 to 5"),
        ("validation_channel", -1, "0 to 2"),
        ("validation_channel", 3, "0 to 2"),
    ],
)
def test_arguments_outside_their_range_are_refused(datasets, key, value, allowed):
    with pytest.raises(ValueError, match=f"^{key}={value}: allowed is {allowed}$"):
        task_of("navier_stokes", datasets, Implicit(), 1e-5, **{key: value})


NAVIER_STOKES = (
    "physics=navier_stokes",
    "physics.points=8",
    "data.reference_points=17",
    "data.train_samples=4",
    "data.validation_samples=2",
    "data.validation_key=4",
    "batch_size=2",
    "model.channels=4",
    "model.blocks=1",
    "model.convolution=direct",
    "solver.restart=2",
    "checkpoint_seconds=0",
)
# K rises once, after epoch 2.
REFINED = (*NAVIER_STOKES, "epochs=4", "schedule=prdp", "schedule.tau_step=0.01", "schedule.grace_window=2")


def history(outcome):
    return pd.read_parquet(outcome.folder / "history.parquet")


class OnRow(Sink):
    """Calls a function after every epoch."""

    def __init__(self, on_row):
        self.row = on_row


@pytest.fixture(scope="module")
def refined(run_in, tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("refined"), *REFINED)


def assert_complete(outcome, validation_step):
    """The columns, and twice K counted at every update."""
    frame, summary = history(outcome), outcome.summary
    at = list(COLUMNS).index("val_error") + 1
    steps = [f"val_error_step_{t}" for t in range(1, validation_step + 1)]
    columns = list(COLUMNS)
    assert list(frame.columns) == [*columns[:at], *steps, "val_residual_max", *columns[at:]]
    assert (summary["status"], summary["compilations"]) == ("finished", 1)
    updates = frame["updates"].diff().fillna(0)
    np.testing.assert_array_equal(frame["iterations_total"], (2 * frame["iterations"] * updates).cumsum())
    assert summary["iterations_total"] == frame["iterations_total"].iloc[-1]
    assert summary["iterations_converged_total"] == 2 * summary["converged_iterations"] * summary["updates"]
    assert (frame["iterations_executed_total"] <= frame["iterations_total"]).all()
    np.testing.assert_array_equal(frame["val_error"], frame[steps[-1]])
    assert frame["val_residual_max"].between(0, 1e-5, inclusive="neither").all()
    assert np.isfinite(frame["train_loss"][1:]).all()


@pytest.mark.slow
def test_a_navier_stokes_run_leaves_a_complete_record(refined):
    assert_complete(refined, 5)
    frame = history(refined)
    assert list(frame["updates"]) == [0, 2, 4, 6, 8]
    # Below convergence every solve runs all its K cycles of three products; the second of each update has an adjoint.
    np.testing.assert_array_equal(frame["iterations_executed_total"], frame["iterations_total"])
    np.testing.assert_array_equal(frame["matvecs_total"], 3 * frame["iterations_total"])
    np.testing.assert_array_equal(frame["adjoint_matvecs_total"], 1.5 * frame["iterations_total"])
    assert frame["train_loss"].iloc[-1] < frame["train_loss"][1]


@pytest.mark.slow
def test_a_navier_stokes_run_whose_k_rises_compiles_once(refined):
    assert list(history(refined)["iterations"]) == [1, 1, 1, 2, 2]
    assert refined.summary["compilations"] == 1
    assert refined.summary["converged_iterations"] > 2


@pytest.mark.slow
def test_the_validation_of_a_run_does_not_depend_on_its_k(refined, run_in, tmp_path):
    few = history(refined).iloc[0]
    fixed = (*NAVIER_STOKES, "epochs=1", "schedule=fixed")
    outcome = run_in(tmp_path, *fixed, "schedule.iterations=7")
    assert_complete(outcome, 5)
    many = history(outcome)
    assert many["iterations"][0] == 7
    for column in ("val_error", "val_error_step_1", "val_residual_max"):
        assert many[column][0] == few[column]
    assert many["residual_max"][1] < history(refined)["residual_max"][1]


@pytest.mark.slow
def test_a_finished_navier_stokes_run_is_skipped(refined, run_in):
    again = run_in(refined.folder.parent, *REFINED)
    assert (again.skipped, again.folder, again.summary) == (True, refined.folder, refined.summary)


@pytest.mark.slow
def test_an_interrupted_navier_stokes_run_continues_to_the_same_history(
    refined, run_in, tmp_path, monkeypatch
):
    epochs = []

    def row(row):
        epochs.append(row["epoch"])
        if epochs == [0, 1, 2, 3]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Config, "new_sink", lambda config: OnRow(row))
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path, *REFINED)
    outcome = run_in(tmp_path, *REFINED)
    assert epochs == [0, 1, 2, 3, 4]
    assert_complete(outcome, 5)
    assert_same_history(outcome, refined)


@pytest.mark.slow
def test_a_heat_run_that_corrects_its_solver_leaves_a_complete_record(run_in, tmp_path):
    options = (
        *("physics=heat1d", "physics.points=8", "task=correction", "diff=unrolled", "model.width=8"),
        *("model.depth=1", "data.train_samples=4", "batch_size=2", "epochs=2", "schedule=fixed"),
        "schedule.iterations=3",
    )
    outcome = run_in(tmp_path, *options)
    assert_complete(outcome, 2)
    assert list(history(outcome)["iterations"]) == [3, 3, 3]
