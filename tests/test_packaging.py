"""The wheel is a library that works without the clone and without the packages of the suite."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import prdp

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
BLOCKER = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}: it is blocked")

sys.meta_path.insert(0, Missing())
import prdp
for name in prdp.__all__:
    getattr(prdp, name)
{example}
print(prdp.__file__, iterations)
"""


def names(requirements):
    return {re.split(r"[\[<>=~! ]", requirement)[0].lower() for requirement in requirements}


def modules_of_the_suite():
    """What the suite installs, except for what JAX itself brings."""
    suite = names(PROJECT["optional-dependencies"]["suite"]) - {"scipy"}
    return {
        module for module, owners in packages_distributions().items() if {o.lower() for o in owners} & suite
    }


def library(place, cwd):
    """Run README's example with the package at a place and without the suite."""
    program = BLOCKER.format(missing=sorted(modules_of_the_suite()), example=EXAMPLE)
    environment = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_library_needs_no_package_of_the_suite(tmp_path):
    assert {"flax", "hydra", "wandb", "pandas", "optax", "yaml"} <= modules_of_the_suite()
    done = library(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    file, iterations = done.stdout.split()
    assert Path(file).is_relative_to(ROOT)
    assert int(iterations) > 5


@pytest.mark.slow
def test_the_wheel_works_without_the_clone(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, "wheel", *options, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("prdp-*.whl")
    assert wheel.name.startswith(f"prdp-{prdp.__version__}-")
    content = zipfile.ZipFile(wheel).namelist()
    assert "prdp/py.typed" in content
    assert all(name.startswith(("prdp/", f"prdp-{prdp.__version__}.dist-info/")) for name in content)
    place = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(place), str(wheel)], check=True)
    done = library(place, tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[0]).is_relative_to(place)


def test_the_version_stands_once():
    assert PROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == prdp.__version__


def test_every_requirement_is_pinned():
    def pinned(name):
        return set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / name).read_text(), re.MULTILINE))

    extras = PROJECT["optional-dependencies"]
    suite = names([*PROJECT["dependencies"], *extras["suite"], *extras["dev"]])
    assert suite <= pinned("requirements.txt")
    assert names(extras["docs"]) <= pinned("requirements-docs.txt")
    shared = re.compile(r"^(\S+==\S+) ", re.MULTILINE)
    versions = {
        file: dict(x.split("==") for x in shared.findall((ROOT / file).read_text()))
        for file in ("requirements.txt", "requirements-docs.txt")
    }
    both = versions["requirements.txt"].keys() & versions["requirements-docs.txt"].keys()
    assert both
    # `make docs` changes no package of the suite.
    assert {x for x in both if len({v[x] for v in versions.values()}) > 1} == set()
