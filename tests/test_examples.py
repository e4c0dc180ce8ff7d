"""The examples run as they stand: short, quick, right, and PRDP saves what they say without losing accuracy."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import prdp

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "scripts" / "examples").glob("*.py"))
# In place of installed packages.
WITHOUT = """
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Missing())
runpy.run_path({path!r}, run_name="__main__")
"""


def run(name, missing=()):
    program = WITHOUT.format(missing=set(missing) or "()", path=str(ROOT / "scripts" / "examples" / name))
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def numbers(done):
    """The iterations and the error of K_eps and of PRDP, and the share that is saved."""
    assert done.stderr == ""
    assert done.returncode == 0
    found = re.findall(r"(\d+) iterations, error ([\d.]+)%(?:: saved (\d+)%)?", done.stdout)
    (baseline, reached, _), (spent, left, saved) = found
    assert int(saved) == pytest.approx(100 * (1 - int(spent) / int(baseline)), abs=0.51)
    return float(reached), float(left), int(saved)


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_shorter_than_sixty_lines(path):
    assert len(path.read_text().splitlines()) < 60


@pytest.mark.slow
def test_conductivities_are_found_with_a_quarter_of_the_iterations():
    reached, left, saved = numbers(run("anisotropic_diffusion.py"))
    # 40 measured solutions with 2 % noise.
    assert reached < 0.6
    assert left < 1.05 * reached
    assert saved >= 65


@pytest.mark.slow
def test_gradients_pass_through_the_matrix_of_conductivities(x64):
    example = load("anisotropic_diffusion")
    rng = np.random.default_rng(0)
    n = example.N = 6
    log_d, direction = ([jnp.asarray(rng.standard_normal(s)) for s in ((n + 1, n), (n, n + 1))] for _ in "ab")
    log_d = [x - 6 for x in log_d]
    f, u = jnp.asarray(rng.standard_normal((2, 3, n, n)))

    # The matrix itself: symmetric, and what the divergence theorem says of its row sums without walls.
    matrix = np.asarray(example.matrix(log_d).as_dense())
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    inner = matrix.reshape(n, n, -1)[1:-1, 1:-1].sum(-1)
    np.testing.assert_allclose(inner, 1, atol=1e-12)

    @jax.jit
    def error(log_d):
        return example.error(log_d, f, u, prdp.Direct("dense"), 1)

    def moved(step):
        return float(error([x + step * d for x, d in zip(log_d, direction, strict=True)]))

    step = 1e-4
    expected = (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step)
    gradient = jax.jit(jax.grad(lambda log_d: example.error(log_d, f, u, prdp.Jacobi(), 1000)))(log_d)
    found = sum(float(jnp.sum(g * d)) for g, d in zip(gradient, direction, strict=True))
    # Jacobi leaves at a relative residual of 1e-5.
    assert found == pytest.approx(expected, rel=1e-4)


def test_constant_conductivities_are_a_laplacian(x64):
    example = load("anisotropic_diffusion")
    n = example.N
    log_d = [jnp.full((n + 1, n), -5.0), jnp.full((n, n + 1), -5.0)]
    expected = prdp.identity((n, n), 2, "dirichlet") - np.exp(-5.0) * prdp.laplacian(
        (n, n), 2, 1 / (n + 1), "dirichlet"
    )
    found = example.matrix(log_d)
    np.testing.assert_allclose(found.as_dense(), expected.as_dense(), rtol=1e-12)


def test_a_loop_without_jax_saves_without_losing():
    reached, left, saved = numbers(
        run("without_jax.py", missing=["jax", "jaxlib", "flax", "jaxtyping", "optax"])
    )
    assert reached < 0.3
    assert left < 1.05 * reached
    assert saved >= 65


def test_the_hand_written_adjoint_is_that_of_the_iteration():
    example = load("without_jax")
    rng = np.random.default_rng(0)
    matrix = 3 * np.eye(6) + rng.uniform(-0.4, 0.4, (6, 6))
    b, c = rng.standard_normal((2, 2, 6))
    for iterations in (1, 4, 200):
        forth = np.sum(c * example.jacobi(matrix, b, iterations))
        back = np.sum(example.jacobi(matrix.T, c, iterations) * b)
        assert forth == pytest.approx(back, rel=1e-12)
    np.testing.assert_allclose(example.jacobi(matrix, b, 200) @ matrix.T, b, atol=1e-12)
    ours = prdp.solve(
        prdp.Dense(jnp.asarray(matrix), (6,)),
        jnp.asarray(b),
        solver=prdp.Jacobi(),
        iterations=4,
        tolerance=0.0,
    )
    np.testing.assert_allclose(example.jacobi(matrix, b, 4), ours.value, atol=1e-6)


@pytest.mark.slow
def test_a_lineax_operator_is_learned_and_has_the_gradients_of_lineax():
    pytest.importorskip("lineax")
    done = run("lineax_operator.py")
    reached, left, saved = numbers(done)
    assert reached < 0.6
    assert left < 1.05 * reached
    assert saved >= 50
    assert float(re.findall(r"gradients differ by (.*)", done.stdout)[0]) < 1e-3


def test_the_lineax_example_discretises_what_it_says(x64):
    pytest.importorskip("lineax")
    example = load("lineax_operator")
    theta = jnp.concatenate([jnp.log(jnp.array([0.03, 0.7])), jnp.linspace(0, 1, example.N)])
    h, n = 1 / (example.N + 1), example.N
    args = ((n,), 1, h, "dirichlet")
    expected = np.diag(np.exp(np.linspace(0, 1, n))) + np.asarray(
        (0.7 * prdp.backward_difference(*args) - 0.03 * prdp.laplacian(*args)).as_dense()
    )
    np.testing.assert_allclose(example.matrix(theta).as_matrix(), expected, rtol=1e-12)
    assert not prdp.from_lineax(example.matrix(theta)).symmetric


def test_without_lineax_its_example_says_what_to_install():
    done = run("lineax_operator.py", missing=["lineax"])
    assert done.returncode == 1
    assert done.stderr == "this example needs lineax: pip install lineax\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "best", "most", "least"),
    # The error of converged physics, how much worse PRDP's may be, and the iterations that it saves.
    [("helmholtz_function", 0.5, 1.1, 45), ("scipy_matrix", 1.0, 1.15, 55), ("other_solver", 0.6, 1.1, 50)],
)
def test_examples_save_what_they_say(name, best, most, least):
    reached, left, saved = numbers(run(f"{name}.py"))
    assert reached < best
    assert left < most * reached
    assert saved >= least


def test_the_helmholtz_function_is_the_damped_equation(x64):
    example = load("helmholtz_function")
    n, log_k = example.N, jnp.linspace(1, 2, example.N)
    laplacian = np.asarray(prdp.laplacian((n,), 1, 1 / (n + 1), "dirichlet").as_dense())
    complex_ = laplacian + np.diag(np.exp(2 * log_k)) * (1 + 1j * example.DAMPING)
    found = prdp.FunctionOperator(log_k, example.product, (2, n)).as_dense()
    np.testing.assert_allclose(
        found, np.block([[complex_.real, -complex_.imag], [complex_.imag, complex_.real]])
    )


def test_the_other_solvers_gradient_is_that_of_dense_algebra(x64):
    example = load("other_solver")
    n = example.N = 8
    log_d, b = jnp.linspace(0, 1, n), jnp.asarray(np.random.default_rng(0).standard_normal(n))
    coupling = 4 * (2 * jnp.eye(n) - jnp.roll(jnp.eye(n), 1, 0) - jnp.roll(jnp.eye(n), -1, 0))
    exact = jax.grad(lambda d: jnp.sum(jnp.linalg.solve(jnp.diag(jnp.exp(d)) + coupling, b) ** 3))(log_d)
    found = jax.grad(lambda d: jnp.sum(example.solve(d, b, 300) ** 3))(log_d)
    np.testing.assert_allclose(found, exact, rtol=1e-8)


def test_a_torch_loop_saves_without_losing():
    pytest.importorskip("torch", reason="torch is not installed")
    reached, left, saved = numbers(run("torch_loop.py"))
    assert reached < 0.3
    assert left < 1.05 * reached
    assert saved >= 65


def test_without_torch_its_example_says_what_to_install():
    done = run("torch_loop.py", missing=["torch"])
    assert done.returncode == 1
    assert done.stderr == "this example needs torch: pip install torch\n"
