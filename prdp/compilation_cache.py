"""Setup of JAX's persistent compilation cache, so that only the first run of a kind compiles."""

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import jax

try:
    from jax._src.lru_cache import LRUCache
except ImportError:
    # This module is private to JAX. If it has moved, JAX's own writing is kept.
    LRUCache = None  # type: ignore[assignment, misc]


def use(folder: Path | None) -> None:
    """Cache compiled programs below `folder`, or not at all if it is `None`.

    A folder named by the environment variable JAX_COMPILATION_CACHE_DIR takes precedence.

    All programs are cached, because JAX's default threshold of one second would exclude most of what a run compiles.
    Programs for one processor may not run on another, so each kind of processor gets its own subfolder. Several
    processes may share it.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    if LRUCache is not None and LRUCache.put is not _put:
        LRUCache.put = _put  # type: ignore[assignment, method-assign]
    place = None if folder is None else str((folder / _processor()).resolve())
    jax.config.update("jax_compilation_cache_dir", place)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


_in_place = None if LRUCache is None else LRUCache.put


def _put(cache: Any, key: str, value: bytes) -> None:
    """Add an entry atomically.

    JAX writes entries in place and never replaces them. If a process is killed while writing, every later process finds
    the truncated entry, warns about it and compiles again. Caches of limited size use locks and are left to JAX.
    """
    if cache.eviction_enabled:
        assert _in_place is not None
        _in_place(cache, key, value)
        return
    path = Path(str(cache.path)) / f"{key}-cache"
    if path.exists():
        return
    temporary = path.with_name(f".{os.getpid()}.{key[-16:]}")
    temporary.write_bytes(value)
    temporary.replace(path)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        description = "".join(sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))}))
    except OSError:
        description = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {description}".encode()).hexdigest()[:12]
