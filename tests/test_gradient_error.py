"""`prdp.gradient_error` measures what it says, and the script that maps it runs."""

import sys
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp
from prdp.physics import Burgers
from tests.cases import heat, random

LEVELS = (1, 3, 8)


@pytest.mark.parametrize("mode", [prdp.Implicit(), pytest.param(prdp.Unrolled(), marks=pytest.mark.slow)])
def test_it_is_the_difference_to_dense_algebra(mode, x64):
    a, rhs = heat((1, 9), "dirichlet", 0.3), random(0, 2, 1, 9)
    found = prdp.gradient_error(a, rhs, iterations=LEVELS, differentiation=mode, loss=lambda u: jnp.sum(u**3))
    inverse = np.linalg.inv(np.asarray(a.as_dense()))
    exact = 3 * (np.asarray(rhs).reshape(2, 9) @ inverse.T) ** 2 @ inverse
    for i, k in enumerate(LEVELS):
        options = {"differentiation": mode, "iterations": k, "tolerance": 0.0}
        gradient = jax.grad(lambda b: jnp.sum(prdp.solve(a, b, **options).value ** 3))(rhs).reshape(2, 9)  # noqa: B023
        error = np.linalg.norm(gradient - exact) / np.linalg.norm(exact)
        np.testing.assert_allclose(found.rhs.error[i], error, rtol=1e-9)
        np.testing.assert_allclose(
            found.rhs.size[i], np.linalg.norm(gradient) / np.linalg.norm(exact), rtol=1e-9
        )
    one = prdp.gradient_error(a, rhs, iterations=8, differentiation=mode, loss=lambda u: jnp.sum(u**3))
    np.testing.assert_allclose(one.operator.error, found.operator.error[2], rtol=1e-9)
    assert one.rhs.error.shape == ()
    assert (np.diff(found.operator.error) < 0).all()


@pytest.mark.slow
def test_unrolled_gmres_is_rough_where_implicit_converges(x64):
    physics = Burgers(1, 256)
    x = np.arange(256) / 256
    state = jnp.asarray(np.sin(2 * np.pi * x) + 0.5 * np.cos(6 * np.pi * x))[None]
    options = {"iterations": (4, 12, 23), "solver": prdp.GMRES(2)}
    a = physics.operator(state)
    rough = prdp.gradient_error(a, state, differentiation=prdp.Unrolled(), **options)
    smooth = prdp.gradient_error(a, state, **options)
    assert rough.rhs.error.max() > 10
    assert smooth.rhs.error[2] < 0.05
    np.testing.assert_allclose(rough.solution, smooth.solution)


@pytest.mark.slow
def test_plain_inputs_and_pytrees(x64):
    matrix = np.diag(np.arange(2.0, 6.0)) + 0.1
    tree = {"a": np.ones(2), "b": np.ones(2)}

    def product(u):
        v = matrix @ jnp.concatenate([u["a"], u["b"]])
        return {"a": v[:2], "b": v[2:]}

    options = {"iterations": 6, "solver": prdp.GMRES(2)}
    plain = prdp.gradient_error(matrix, np.ones(4), **options)
    np.testing.assert_allclose(
        prdp.gradient_error(product, tree, **options).rhs.error, plain.rhs.error, rtol=1e-6
    )
    assert plain.rhs.error < 1e-3


def test_bad_arguments_are_refused():
    a = heat((1, 9), "dirichlet")
    for iterations in (0, 2.5, [], [[1]]):
        with pytest.raises(ValueError, match=r"iterations=.*allowed is an integer >= 1 or a sequence"):
            prdp.gradient_error(a, jnp.ones((1, 9)), iterations=iterations)
    with pytest.raises(ValueError, match="reference=None: allowed for at most 8192 unknowns"):
        prdp.gradient_error(lambda u: 2 * u, jnp.ones(9000), iterations=2)


@pytest.mark.slow
def test_the_script_runs(monkeypatch, tmp_path):
    script = import_module("scripts.gradient_error")
    output = tmp_path / "errors"
    monkeypatch.setattr(script, "MODES", {"implicit": prdp.Implicit(), "JFB": prdp.JFB()})
    monkeypatch.setattr(sys, "argv", ["x", "--quick", "--problems", "poisson", "--output", str(output)])
    before = jax.config.jax_enable_x64
    try:
        script.main()
    finally:
        jax.config.update("jax_enable_x64", before)
    rows = output.with_suffix(".csv").read_text().splitlines()
    assert rows[0].startswith("problem,solver,mode,iterations")
    assert any(row.startswith("poisson,CG,implicit,4,") for row in rows)
    assert "JFB with CG" in output.with_suffix(".md").read_text()
