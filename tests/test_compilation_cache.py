"""Compiled programs that are kept: damaged ones are replaced without a word, whole ones are read."""

import random
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PROGRAM = """
import pathlib, sys
import jax
from prdp import compilation_cache
compilation_cache.use(pathlib.Path(sys.argv[1]))
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name.rpartition("/")[2]))
print(float(jax.jit(lambda x: x * 3 + 1)(2.0)), "cache_hits" in events)
"""


def compiled(folder):
    """What a process that compiles says, its warnings, and whether it found the program."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, check=True)
    value, hit = done.stdout.split()
    assert value == "7.0"
    return done.stderr, hit == "True"


def damages(content):
    """Return what may become of a file: nothing left, cut, one bit flipped at some place, another's content."""
    rng = random.Random(0)
    yield from (b"", content[:3], content[: len(content) // 2], content[:-1], content + b"x", b"other" * 100)
    for at in (0, 5, rng.randrange(len(content)), len(content) - 1):
        yield content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize("few", [True, False])
def test_a_damaged_entry_is_replaced(tmp_path, few):
    assert compiled(tmp_path) == ("", False)
    entries = sorted(tmp_path.glob("*/*-checked"))
    whole = [path.read_bytes() for path in entries]
    for left in list(zip(*map(damages, whole), strict=True))[2 : 3 if few else None]:
        for path, content in zip(entries, left, strict=True):
            path.write_bytes(content)
        assert compiled(tmp_path) == ("", False)
        # It is whole again, and the next process finds it.
        assert compiled(tmp_path) == ("", True)
    assert [path for path in tmp_path.glob("*/*") if path not in entries] == []
