"""Setup of JAX's persistent compilation cache, so that only the first run of a kind compiles."""

import hashlib
import os
import platform
import zlib
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
        LRUCache.get, LRUCache.put = _get, _put  # type: ignore[assignment, method-assign]
    place = None if folder is None else str((folder / _processor()).resolve())
    jax.config.update("jax_compilation_cache_dir", place)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


_plain = None if LRUCache is None else (LRUCache.get, LRUCache.put)
_CHECKSUM = 4


def _get(cache: Any, key: str) -> bytes | None:
    """Return an entry, or `None` if there is none or it is damaged; a damaged one is removed, so that it is replaced.

    JAX never replaces an entry: it would warn of a damaged one in every later process, and a flipped bit in a program
    need not even be noticed. Caches of limited size use locks and are left to JAX.
    """
    if cache.eviction_enabled:
        assert _plain is not None
        return _plain[0](cache, key)
    path = _path(cache, key)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    value = content[_CHECKSUM:]
    if content[:_CHECKSUM] != _checksum(value):
        path.unlink(missing_ok=True)
        return None
    return value


def _put(cache: Any, key: str, value: bytes) -> None:
    """Add an entry atomically: JAX writes in place, and a process that is killed meanwhile leaves a part of it."""
    if cache.eviction_enabled:
        assert _plain is not None
        _plain[1](cache, key, value)
        return
    path = _path(cache, key)
    temporary = path.with_name(f".{os.getpid()}.{key[-16:]}")
    temporary.write_bytes(_checksum(value) + value)
    temporary.replace(path)


def _path(cache: Any, key: str) -> Path:
    return Path(str(cache.path)) / f"{key}-checked"


def _checksum(value: bytes) -> bytes:
    return zlib.crc32(value).to_bytes(_CHECKSUM)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        description = "".join(sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))}))
    except OSError:
        description = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {description}".encode()).hexdigest()[:12]
