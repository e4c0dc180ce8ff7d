"""What cannot fit into memory is refused before anything is computed, by a lower bound of what it needs."""

import dataclasses

import jax
import numpy as np
import pytest

from prdp import memory
from prdp.config import ConfigError, parse
from prdp.suite import plan
from tests.test_presets import conf  # noqa: F401


def part(config, what):
    (need,) = [need for need in memory.needs(config) if what in need.what]
    return need.size


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["physics=heat2d", "model.width=65536"], "model.width=65536"),
        (["diff=unrolled", "schedule=fixed", "schedule.iterations=1000000000"], "schedule.iterations="),
        (["physics=heat2d", "diff=unrolled", "converged_iterations=1000000000"], "converged_iterations="),
        (["physics=heat1d", "diff=truncated", "diff.steps=1000000000"], "diff.steps=1000000000"),
        (["physics=heat1d", "solver=gmres", "solver.restart=10000", "physics.points=3000000"], "solver.restart=10000"),
        (["physics=heat1d", "solver.operator=dense", "physics.points=3000000"], "solver.operator=dense"),
        (["physics=heat1d", "data.train_samples=2000000000", "batch_size=25"], "data.train_samples=2000000000"),
        (["physics=heat1d", "diff=unrolled", "converged_iterations=1000000000", "batch_size=200"], "batch_size=200"),
        (["physics=navier_stokes", "data.reference_points=480001"], "data.reference_points=480001"),
        (["epochs=2147483647"], "epochs=2147483647"),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_refused(compose, overrides, what):
    with pytest.raises(
        ConfigError, match=r"allowed is what fits into .*B of memory; this needs at least"
    ) as raised:
        memory.check_memory(parse(compose(*overrides)))
    assert what in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_the_network_counts_with_its_gradient_and_adams_moments(compose):
    config = parse(compose("physics=heat1d", "model.width=7", "model.depth=1"))
    numbers = 30 * 7 + 7 + 7 * 30 + 30
    # Two moments, and the counters of steps.
    assert 4 * 4 * numbers <= part(config, "network") <= 4 * 4 * numbers + 20
    assert memory.needs(config, seeds=3)[0].size == 3 * memory.needs(config)[0].size


@pytest.mark.parametrize("room", [17, 40])
def test_the_buffer_of_iterates_is_found_in_the_trace(compose, room):
    config = parse(
        compose("physics=heat1d", "diff=unrolled", f"diff.iterations_cap={room}", "converged_iterations=5")
    )
    assert part(config, "solve") == room * 25 * 30 * 4


def test_a_dense_operator_is_found_in_the_trace(compose):
    config = parse(compose("physics=heat1d", "solver.operator=dense", "physics.points=500"))
    assert 500 * 500 * 4 <= part(config, "solve") < 1.01 * 500 * 500 * 4


def test_the_reference_data_is_what_is_loaded(compose, data_dir):
    config = parse(compose("physics=heat1d"))
    loaded = config.data.load(config.physics, "float32", data_dir)
    assert part(config, "reference") == sum(np.asarray(x).nbytes for x in loaded)


@pytest.mark.slow
def test_a_program_that_cannot_fit_is_refused_when_it_is_compiled(run_in, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1_000_000)
    monkeypatch.setattr("prdp.preparation.check_memory", lambda *arguments: None)
    small = ("physics=heat1d", "model.depth=2", "epochs=1", "converged_iterations=25")
    with pytest.raises(ConfigError, match=r"model.width=300.*: allowed is what fits into 1 MB of memory"):
        run_in(tmp_path, *small, "model.width=300")


def test_a_sweep_is_refused_as_a_whole(conf):  # noqa: F811
    with pytest.raises(ConfigError, match=r"model.width=65536"):
        plan([("physics=heat1d", "epochs=1"), ("physics=heat1d", "model.width=65536")])


def test_a_survey_lists_what_cannot_fit(conf):  # noqa: F811
    assert len(plan([("physics=heat1d", "model.width=65536")], feasible=False)) == 1


def test_memory_is_that_of_the_machine_or_of_its_group(monkeypatch, tmp_path):
    whole = memory.available()
    assert whole > 2**28
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (limit,))
    limit.write_text("max\n")
    assert memory.available() >= whole
    limit.write_text("1000000\n")
    assert memory.available() == 1_000_000


def test_an_accelerator_has_its_own_memory(monkeypatch):
    @dataclasses.dataclass
    class Accelerator:
        platform: str = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 123}

    monkeypatch.setattr(jax, "devices", lambda: [Accelerator()])
    assert memory.available() == 123
