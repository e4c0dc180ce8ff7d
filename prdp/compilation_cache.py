"""JAX's persistent compilation cache, so that only the first run of its kind compiles."""

import hashlib
import os
import platform
from pathlib import Path

import jax


def use(folder: Path | None) -> None:
    """Keep compiled programs below `folder`, or nowhere; a place that JAX_COMPILATION_CACHE_DIR names goes first.

    JAX's own threshold of one second would leave out most of what a run compiles. Programs for one processor may
    not run on another, so each kind of processor has a folder of its own.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    place = None if folder is None else str((folder / _processor()).resolve())
    jax.config.update("jax_compilation_cache_dir", place)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        description = "".join(sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))}))
    except OSError:
        description = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {description}".encode()).hexdigest()[:12]
