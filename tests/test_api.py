"""`import prdp`: every name is where type checkers are told that it is, and none brings what it does not need."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import import_module
from pathlib import Path

import pytest

import prdp
from prdp.linalg import Inverse

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ast.parse((ROOT / "prdp" / "__init__.py").read_text())
DECLARED = {
    alias.name: node.module
    for node in ast.walk(SOURCE)
    if isinstance(node, ast.ImportFrom) and str(node.module).startswith("prdp.")
    for alias in node.names
}
HEAVY = [
    *(
        "hydra",
        "omegaconf",
        "wandb",
        "pandas",
        "seaborn",
        "matplotlib",
        "pyarrow",
        "pydantic",
        "optax",
        "scipy",
    ),
    *(
        "lineax",
        "equinox",
        "yaml",
        "safetensors",
        "jinja2",
        "flax",
        "prdp.config",
        "prdp.training",
        "prdp.records",
    ),
]


def test_every_public_name_is_declared_to_type_checkers_where_it_lives():
    assert {*DECLARED, "__version__"} == set(prdp.__all__) == set(dir(prdp))
    assert len(prdp.__all__) == len(set(prdp.__all__))
    for name, module in DECLARED.items():
        assert getattr(prdp, name) is getattr(import_module(module), name), name


@pytest.mark.parametrize(
    ("base", "package"),
    [
        ("Schedule", "prdp.schedules"),
        ("Solver", "prdp.solvers"),
        ("Mode", "prdp.differentiation"),
        ("Operator", "prdp.linalg"),
    ],
)
def test_nothing_of_a_kind_is_forgotten(base, package):
    kind, module = getattr(prdp, base), import_module(package)
    found = {
        name
        for name, x in vars(module).items()
        if isinstance(x, type)
        and issubclass(x, kind)
        and not getattr(x, "__abstractmethods__", None)
        # What a preconditioner returns is not for users to build.
        and not issubclass(x, Inverse)
    }
    assert len(found) >= 4
    assert found <= set(prdp.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'prdp' has no attribute 'Jacobbi'"):
        _ = prdp.Jacobbi


@pytest.mark.slow
def test_the_library_brings_nothing_that_it_does_not_need():
    # Traced, not computed: that runs all of its Python, late imports too.
    program = f"""
import sys
import jax, jax.numpy as jnp
import prdp

for name in prdp.__all__:
    getattr(prdp, name)
A = prdp.identity((1, 5), 1, "periodic") - 0.1 * prdp.laplacian((1, 5), 1, 0.5, "periodic")
b = jnp.ones((2, 1, 5))
solvers = [prdp.Preconditioned(prdp.GMRES(), prdp.Fourier()), prdp.Preconditioned(prdp.BiCGStab(), prdp.Diagonal())]
solvers += [s() for s in vars(prdp).values() if isinstance(s, type) and issubclass(s, prdp.Solver)
            and s not in (prdp.Solver, prdp.Preconditioned, prdp.GradientDescent, prdp.HeavyBall)]
solvers += [prdp.GradientDescent(smallest_eigenvalue=1.0), prdp.HeavyBall(smallest_eigenvalue=1.0)]
modes = [prdp.Implicit(), prdp.Unrolled(iterations_cap=3), prdp.Checkpointed(iterations_cap=3), prdp.Truncated(2)]
modes += [prdp.OneStep(), prdp.JFB(), prdp.Phantom(), prdp.Neumann(), prdp.ReducedCG()]
cases = [(s, modes[0]) for s in solvers] + [(prdp.Jacobi(), m) for m in modes]
for solver, mode in cases:
    def loss(b):
        return jnp.sum(prdp.solve(A, b, solver=solver, differentiation=mode, iterations=3).value)
    jax.eval_shape(jax.grad(loss), b)
schedules = [prdp.PRDP(), prdp.Fixed(3), prdp.Flatness(), prdp.Linear(1, 1, 3), prdp.TwoStage(1, 3, 2)]
for schedule in schedules:
    schedule.update(schedule.init(), 1.0)
print(len(cases), *(m for m in {HEAVY} if m in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["23"]


@pytest.mark.slow
def test_type_checkers_see_the_real_types(tmp_path):
    # A stranger's project, where prdp is an installed package: only its py.typed says that it has types.
    venv.create(tmp_path / "venv")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    shutil.copytree(ROOT / "prdp", site / "prdp")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    (tmp_path / "user.py").write_text(USER)
    # JAX's own types would take a minute.
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-jax.*,numpy.*]\nfollow_imports = skip\n")
    executable = f"--python-executable={tmp_path / 'venv' / 'bin' / 'python'}"
    command = [sys.executable, "-m", "mypy", executable, "--no-error-summary", "user.py"]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.stderr == ""
    said = [line.split(": ", 1) for line in done.stdout.splitlines() if ": error: " in line]
    marked = [n for n, line in enumerate(USER.splitlines(), 1) if "# wrong" in line]
    assert [place for place, _ in said] == [f"user.py:{n}" for n in marked], done.stdout
    revealed = [line for line in done.stdout.splitlines() if "Revealed" in line]
    assert "prdp.differentiation.base.Solution" in revealed[0]
    assert "prdp.schedules.prdp.PRDPState" in revealed[1]


USER = """
import jax.numpy as jnp
import prdp

A = prdp.identity((8,), 1, "dirichlet") - 0.1 * prdp.laplacian((8,), 1, 0.5, "dirichlet")
b = jnp.ones(8)
reveal_type(prdp.solve(A, b, solver=prdp.Jacobi(), differentiation=prdp.Unrolled(), iterations=5))
reveal_type(prdp.PRDP(tau_step=0.9).init())
advice: str = prdp.Status(0).advice
number: int = prdp.solve(A, b, iterations=5)  # wrong
prdp.solve(A, b, solver=prdp.PRDP(), iterations=5)  # wrong
prdp.solve(A, iterations=5)  # wrong
prdp.Jacobi(relaxation="1")  # wrong
prdp.Jacobbi()  # wrong
"""
