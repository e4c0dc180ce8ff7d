"""Gradients of the training loss at K iterations against those of exact physics."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from prdp.config import parse
from prdp.suite.training_gradients import LossGradient, errors, exact_gradient, snapshots

SMALL = ("physics=heat1d", "epochs=4", "model.width=8", "data.train_samples=50", "precision=float64")
INDICES = jnp.arange(10)


@pytest.fixture(scope="module", autouse=True)
def double_precision():
    # Not by JAX's context: runs in this process restore the global setting, and would make its value global.
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def configured(compose, data_dir):
    return lambda *overrides: parse(compose(*SMALL, f"data_dir={data_dir}", *overrides))


@pytest.fixture(scope="module")
def kept(configured):
    return snapshots(configured("diff=implicit", "schedule=prdp"), (0, 2, 4))


@pytest.fixture(scope="module")
def exact(configured, kept):
    gradient = LossGradient(configured("diff=implicit", "schedule=fixed"), INDICES)
    return exact_gradient(gradient, kept[-1].parameters)


@pytest.mark.slow
def test_snapshots_are_networks_of_an_ordinary_run(kept, run_in, tmp_path):
    folder = run_in(tmp_path, *SMALL, "diff=implicit", "schedule=prdp").folder
    history = pd.read_parquet(folder / "history.parquet")
    assert [snapshot.epoch for snapshot in kept] == [0, 2, 4]
    assert [snapshot.error for snapshot in kept] == history["val_error"].iloc[[0, 2, 4]].tolist()


@pytest.mark.slow
def test_the_exact_gradient_is_that_of_a_direct_solver(configured, kept, exact):
    direct = LossGradient(configured("diff=implicit", "schedule=fixed", "solver=direct"), INDICES)
    np.testing.assert_allclose(
        direct(kept[-1].parameters, 1, 0.0), exact, rtol=0, atol=1e-12 * np.abs(exact).max()
    )


@pytest.mark.slow
def test_implicit_and_unrolled_gradients_converge_and_jfb_does_not(configured, kept, exact):
    found = {}
    for mode in ("implicit", "unrolled", "jfb"):
        gradient = LossGradient(configured(f"diff={mode}", "schedule=fixed"), INDICES)
        found[mode] = list(errors(gradient, exact, kept[-1].parameters, (1, 10, gradient.converged)))
    for mode in ("implicit", "unrolled"):
        first, middle, last = (row["error"] for row in found[mode])
        assert first > 0.3
        assert first > middle > last
        assert last < 1e-3
        assert found[mode][-1]["cosine"] == pytest.approx(1, abs=1e-5)
        assert found[mode][-1]["size"] == pytest.approx(1, abs=1e-3)
    assert found["jfb"][-1]["error"] > 0.1


def test_only_the_implicit_mode_gives_the_exact_gradient(configured, kept):
    gradient = LossGradient(configured("diff=jfb", "schedule=fixed"), INDICES)
    with pytest.raises(ValueError, match="implicit"):
        exact_gradient(gradient, kept[0].parameters)
