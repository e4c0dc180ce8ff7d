"""The provenance of results: code, versions and machine."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

import prdp
from prdp.records.cpu_contention import usable_processors

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "hydra-core", "omegaconf", "wandb", "pandas")


def provenance() -> dict[str, Any]:
    """Return commit, command, versions, platform and devices of this process."""
    device = jax.devices()[0]
    return {
        "prdp": prdp.__version__,
        **_git(),
        "command": sys.argv,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": f"{device.platform}: {_kind(device)}",
        "device_count": jax.device_count(),
        "cpu_count": _processors(),
    }


def _processors() -> int:
    """Return how many processors XLA uses: those that this process may, and at most `NPROC` of them if that is set."""
    given, usable = os.environ.get("NPROC", ""), usable_processors()
    return min(usable, int(given)) if given.isdigit() and int(given) else usable


def _kind(device: Any) -> str:
    """Return the model of the device. For CPUs it is read from the system, since JAX calls every CPU `cpu`."""
    if device.platform != "cpu":
        return str(device.device_kind)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    return next(named, platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any]:
    def ask(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=Path(prdp.__file__).parent,
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # Not of the results, which a campaign adds to between two runs and which no run reads.
    changes = ask("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)results")
    return {
        "commit": ask("rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else bool(changes),
    }
