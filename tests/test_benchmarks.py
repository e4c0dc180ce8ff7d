"""The benchmarks of sizes: their bounds, their formula for the memory, and that they run."""

import sys
from importlib import import_module

import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from tests.cases import heat


@pytest.fixture
def sizes():
    return import_module("scripts.benchmark_sizes")


@pytest.fixture
def memory():
    return import_module("scripts.benchmark_memory")


def written(module, monkeypatch, path, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--quick", "--output", str(path), *arguments])
    module.main()
    return path.read_text()


def test_coefficient_fields_add_to_what_an_iteration_moves(sizes):
    rhs = jnp.ones((2, 1, 8, 8))
    constant = heat((1, 8, 8), "dirichlet")
    assert sizes.arrays_moved(prdp.Jacobi(), constant, rhs) == 5
    assert sizes.arrays_moved(prdp.ConjugateGradient(), constant, rhs) == 9
    varying = heat((1, 8, 8), "dirichlet", jnp.ones((2, 1, 8, 8)))
    assert sizes.arrays_moved(prdp.Jacobi(), varying, rhs) == 5 + len(varying.offsets)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["unrolled", "checkpointed"])
def test_memory_grows_by_two_arrays_a_state_kept(memory, mode):
    # A state of Jacobi is an iterate and its residual.
    formula = memory.Formula(2, 128, mode, prdp.Jacobi(), learned=True)
    assert formula.width == pytest.approx(2, abs=0.01)
    assert formula.error < 0.02


@pytest.mark.slow
def test_unrolling_keeps_nothing_where_only_the_right_hand_side_is_differentiated(memory):
    formula = memory.Formula(2, 128, "unrolled", prdp.Jacobi(), learned=False)
    assert formula.width == pytest.approx(0, abs=0.01)


def test_the_largest_size_is_the_last_that_fits(memory):
    n = memory.largest(24 * 2**30, 4 * 100, 3)
    assert n**3 * 400 <= 0.9 * 24 * 2**30 < (n + 1) ** 3 * 400


@pytest.mark.slow
def test_the_benchmark_of_sizes_runs(sizes, monkeypatch, tmp_path):
    monkeypatch.setattr(sizes, "RESTART", 2)  # quicker to compile
    arguments = ("--dimensions", "2", "--sizes", "8", "--batches", "1", "--iterations", "2")
    text = written(sizes, monkeypatch, tmp_path / "sizes.md", *arguments)
    for start in (
        "| Heat 8^2, Jacobi | 1 |",
        "| Heat 8^2, CG | 1 |",
        "| Burgers 8^2, GMRES(2) | 1 |",
        "| 8^2 |",
    ):
        assert f"\n{start}" in text


@pytest.mark.slow
def test_both_benchmarks_run_in_their_quick_form(sizes, memory, monkeypatch, tmp_path):
    assert "| Heat 8^3, CG | 25 |" in written(sizes, monkeypatch, tmp_path / "sizes.md")
    ballast = np.ones(2 * 10**8)  # what the parent holds must not count in the processes that it measures
    text = written(memory, monkeypatch, tmp_path / "memory.md")
    del ballast
    assert text.count("any K") == 2
    rows = [
        line.split("|")[2:4] for line in text.splitlines() if line.startswith(("| implicit", "| unrolled"))
    ]
    announced, seen = (sum(float(row[i]) for row in rows) for i in (0, 1))
    assert seen == pytest.approx(announced, rel=0.3)
