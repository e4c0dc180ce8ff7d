"""Runs with warm starts: resumed like any other, cheaper for the same solution, and refused where they lead nowhere."""

import re

import numpy as np
import pytest
from safetensors import safe_open

from prdp.config import Config, ConfigError, parse
from prdp.records import run_name
from prdp.tracking import Sink
from tests.folders import assert_same_history, history

WARM = (
    "physics=heat1d",
    "model.depth=1",
    "epochs=8",
    "checkpoint_seconds=0",
    "schedule=fixed",
    "schedule.iterations=1",
    "converged_iterations=25",
    "solver.warm_start=true",
)


class OnRow(Sink):
    """Calls a function after every epoch."""

    def __init__(self, on_row):
        self.row = on_row


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, run_in):
    return run_in(tmp_path_factory.mktemp("whole"), *WARM)


@pytest.mark.slow
def test_a_resumed_warm_run_equals_an_uninterrupted_one(uninterrupted, run_in, tmp_path, monkeypatch):
    def interrupt(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Config, "new_sink", lambda config: OnRow(interrupt))
        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path, *WARM)
    (folder,) = tmp_path.iterdir()
    with safe_open(folder / "checkpoint.safetensors", framework="numpy") as file:
        shapes = [file.get_tensor(name).shape for name in file.keys()]  # noqa: SIM118
    # u and lambda of 200 samples.
    assert shapes.count((200, 1, 30)) == 2
    outcome = run_in(tmp_path, *WARM)
    assert outcome.resumed
    assert_same_history(outcome, uninterrupted)


@pytest.mark.slow
def test_a_warm_run_solves_better_with_the_same_iterations(uninterrupted, run_in, tmp_path):
    cold = run_in(tmp_path, *WARM[:-1])
    frames = history(cold), history(uninterrupted)
    # The first epoch starts from zero: the same products of the iteration, and one more for the guess.
    np.testing.assert_allclose(frames[1]["residual_mean"][1], frames[0]["residual_mean"][1], rtol=1e-5)
    assert frames[1]["residual_mean"].iloc[-1] < 0.5 * frames[0]["residual_mean"].iloc[-1]
    assert frames[1]["val_error"].iloc[-1] != frames[0]["val_error"].iloc[-1]
    for column in ("matvecs_total", "adjoint_matvecs_total"):
        np.testing.assert_array_equal(frames[1][column], 2 * frames[0][column])


def test_runs_without_warm_starts_keep_their_names(compose):
    cold, warm = parse(compose("physics=heat1d")), parse(compose("physics=heat1d", "solver.warm_start=true"))
    assert "warm_start" not in cold.determinants()["solver"]
    assert warm.determinants()["solver"]["warm_start"] is True
    names = {run_name(c.identity(), c.determinants()) for c in (cold, warm)}
    assert len(names) == 2


def test_a_warm_start_that_leads_nowhere_is_refused(compose):
    told = "solver.warm_start=true: solver=direct solves exactly from anywhere"
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}[^\n]*$"):
        parse(compose("physics=heat1d", "solver.warm_start=true", "solver=direct"))


@pytest.mark.parametrize("diff", ["unrolled", "one_step"])
def test_warm_starts_go_with_any_tolerance(compose, diff):
    # All K iterations run, so that a sample which begins within the tolerance has a gradient too.
    parse(compose("physics=heat1d", "solver.warm_start=true", f"diff={diff}"))


@pytest.mark.slow
def test_warm_starts_reach_the_error_of_converged_solves_with_a_fortieth_of_the_iterations(run_in, tmp_path):
    def cost(*overrides):
        frame = history(run_in(tmp_path, "physics=poisson", "schedule=fixed", *overrides))
        return int(frame["iterations_total"][frame["val_error"] <= 2e-5].iloc[0])

    converged = cost("epochs=125")
    warm = cost("epochs=125", "diff=implicit", "schedule.iterations=20", "solver.warm_start=true")
    assert converged == pytest.approx(72_600, rel=0.02)
    assert warm < converged / 40
