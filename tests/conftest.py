"""Fixtures that every test file shares."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import hydra
import jax
import pytest

ROOT = Path(__file__).resolve().parents[1]
# The options of the configuration, (group, name): the YAML files of conf/.
OPTIONS = sorted(
    (path.parent.name, path.stem)
    for path in (ROOT / "conf").glob("*/*.yaml")
    if path.parent.name != "experiment"
)

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling is most of what the tests do. Processes that they start take this from the environment.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
jax.config.update("jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1")
jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])

# XLA's older emitters, in one piece, compile such small programs three times as fast as those that it uses by default.
# Flags that are given win: XLA_FLAGS=--xla_cpu_use_fusion_emitters=true tests what runs outside the tests.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
        os.environ.get("XLA_FLAGS", ""),
    )
).strip()

# Tracing makes many objects that live long: looking for cycles among them takes a twentieth of the time.
gc.set_threshold(100_000, 50, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the cases of a test as slow, except those that `@pytest.mark.fast("case", ...)` names."""
    for item in items:
        fast = item.get_closest_marker("fast")
        if fast is not None and not any(item.callspec.id.startswith(case) for case in fast.args):
            item.add_marker(pytest.mark.slow)


# `prdp` is imported in the fixtures only: earlier, jaxtyping's import hook would miss it.


@pytest.fixture(autouse=True, scope="module")
def programs():
    """Forget what a module compiled: a worker would keep gigabytes of it."""
    yield
    jax.clear_caches()


@pytest.fixture
def x64():
    """Compute in float64, for this test only."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Reference data that all runs of the session share."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def compose():
    """`compose(*overrides)`: the configuration that the command line would give."""

    def compose(*overrides):
        with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return hydra.compose("config", list(overrides))

    return compose


@pytest.fixture(scope="session")
def run_in(compose, data_dir):
    """`run_in(runs_dir, *overrides)`: the outcome of a run in this process; with `seeds=True`, of each of its seeds."""
    from prdp.run import run

    def run_in(runs_dir, *overrides, seeds=False):
        composed = compose(f"runs_dir={runs_dir}", f"data_dir={data_dir}", "progress=false", *overrides)
        before = jax.config.jax_enable_x64
        try:
            outcomes = run(composed)
            return outcomes if seeds else outcomes[0]
        finally:
            # A run chooses its precision for the whole process.
            jax.config.update("jax_enable_x64", before)

    return run_in


@pytest.fixture(scope="session")
def committed():
    """The committed records, and the judgements of the paper's claims by them."""
    from prdp.analysis import load
    from prdp.analysis.claims import judge, load_claims

    records = load(ROOT / "results" / "records")
    return records, judge(load_claims(ROOT / "results" / "paper.yaml"), records)


@pytest.fixture
def train(tmp_path, data_dir):
    """`train(*overrides)`: the finished process of `python train.py ...`, started in an empty folder."""

    def train(*overrides, **environment):
        folder = tmp_path / "cwd"
        folder.mkdir(exist_ok=True)
        flags = [x for x in overrides if x.startswith("-")]
        options = [f"runs_dir={tmp_path / 'runs'}", f"data_dir={data_dir}", "progress=false"]
        options += [x for x in overrides if x not in flags]
        return subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *flags, *options],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return train
