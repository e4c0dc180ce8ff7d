"""Random command lines: each is accepted, or refused in one line that says what is allowed; none hangs."""

import random
import re
import signal
import subprocess
import sys

import hydra
import jax
import pytest

import train as program
from prdp.run import preview
from tests.fuzz import OPTIONS, ROOT, Fuzz, keys

# Of processor time, of which a busy machine takes no more.
SECONDS = 30
KEYS = set(keys())
SAYS_WHAT_IS_ALLOWED = re.compile(r"allowed|this key is needed|does not go with|give a ")


class Hangs(BaseException):
    """A command line took too long."""


def hang(number, frame):
    raise Hangs


def answer(line):
    """Return what `python train.py LINE dry_run=true` says in place of a traceback, `None` if it accepts the line."""
    composed = None
    try:
        composed = hydra.compose("config", line)
        preview(composed)
    except Exception as error:
        told = program.one_line(error)
        if told is None and composed is None:
            told = program.unclear(error)
        if told is None:
            raise
        return told
    return None


def complaint(line, told):
    """Return what is wrong with a refusal, or `None`."""
    named = {*OPTIONS, *line, *map(repr, line)}
    named |= {x for override in line for x in re.split(r"[.=@+~/]", override)[:3] if x}
    if len(told.splitlines()) != 1 or not told.isprintable():
        return "not one printable line"
    if len(told) > 700:
        return "too long"
    # A key may get its value from another one.
    begins = re.split("[=:]", told.removeprefix("error: "), maxsplit=1)[0]
    if begins not in KEYS and not any(name and name in told for name in named):
        return "names no key"
    return None if SAYS_WHAT_IS_ALLOWED.search(told) else "does not say what is allowed"


def wrong(count, seed, monkeypatch):
    """Return the complaints about some random lines."""
    fuzz, found, accepted = Fuzz(seed), [], 0
    before = signal.signal(signal.SIGPROF, hang)
    x64, cache = jax.config.jax_enable_x64, jax.config.jax_compilation_cache_dir
    try:
        with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            for _ in range(count):
                line = next(fuzz)
                monkeypatch.setattr(sys, "argv", ["train.py", *line])
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                try:
                    told = answer(line)
                except (Exception, Hangs) as error:
                    found.append(f"{line}: {type(error).__name__}: {error}")
                else:
                    accepted += told is None
                    if told is not None and (reason := complaint(line, told)):
                        found.append(f"{line}: {reason}: {told}")
                finally:
                    signal.setitimer(signal.ITIMER_PROF, 0)
    finally:
        signal.signal(signal.SIGPROF, before)
        jax.config.update("jax_enable_x64", x64)
        jax.config.update("jax_compilation_cache_dir", cache)
    return found, accepted


@pytest.mark.parametrize("count", [15, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_random_command_line_ends_in_a_traceback_or_hangs(count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, accepted = wrong(count, 0, monkeypatch)
    assert not found, "\n".join(found)
    # The lines reach the checks behind Hydra's grammar.
    assert accepted > count / 50
    # Nothing was written.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_program_itself_answers_likewise(tmp_path):
    fuzz, rng = Fuzz(1), random.Random(1)
    for _ in range(300):
        line = next(fuzz)
        line.insert(rng.randrange(len(line) + 1), "dry_run=true")
        if any("\0" in x or x.startswith("-") for x in line):
            continue
        done = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *line],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert "Traceback" not in done.stderr, (line, done.stderr)
        if done.returncode:
            assert done.returncode == 1, (line, done.stderr)
            (told,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
            assert complaint(line, told) is None, (line, told)
        else:
            assert done.stdout.startswith(("to run: ", "finished before: ")), (line, done.stdout)
