"""Kills, signals and damaged files at random moments: in the end the record is that of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from prdp.records import RunFolder
from tests.conftest import ROOT
from tests.folders import assert_same_history

OPTIONS = ("physics=heat1d", "model.width=8", "model.depth=1", "epochs=150", "converged_iterations=25")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
REPEATS = int(os.environ.get("PRDP_TEST_CHAOS", 200))


def start(runs, data, *further):
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        *OPTIONS,
        "progress=false",
        "checkpoint_seconds=0",
        *further,
    ]
    return subprocess.Popen(
        [*command, f"runs_dir={runs}", f"data_dir={data}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def damage(rng, folders):
    """Cut a random file, or flip a bit in it; return its name."""
    files = [p for folder in folders for p in sorted(folder.rglob("*")) if p.is_file() and p.stat().st_size]
    if not files:
        return None
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    if rng.random() < 0.5:
        del content[at:]
    else:
        content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return path.name


@pytest.mark.slow
def test_nothing_is_lost_whatever_happens(tmp_path):
    rng, seen = random.Random(0), Counter()
    data, runs = tmp_path / "data", tmp_path / "runs"
    process = start(tmp_path / "undisturbed", data)
    process.communicate()
    (expected,) = (tmp_path / "undisturbed").glob("heat1d-*")
    began = time.monotonic()
    assert start(tmp_path / "undisturbed", data, "overwrite=true").wait() == 0
    lasts = time.monotonic() - began
    for _ in range(REPEATS):
        folder = RunFolder(runs / expected.name)
        if folder.finished_summary() is not None and rng.random() < 0.5:
            folder.discard()
        if rng.random() < 0.4:
            seen[f"damaged {damage(rng, [runs, data])}"] += 1
        process = start(runs, data)
        number = rng.choice(SIGNALS)
        # The first second and a half is where a process starts.
        moment = rng.uniform(0, 1.5) if rng.random() < 0.4 else rng.uniform(0, 1.1 * lasts)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        _, errors = process.communicate(timeout=300)
        # A shell's code for the signal, or the signal itself before Python handles it.
        assert process.returncode in (0, 128 + number, -number), (process.returncode, errors)
        assert "Traceback" not in errors, errors
        seen[
            f"{signal.Signals(number).name} {'ended first' if process.returncode == 0 else 'stopped it'}"
        ] += 1
    process = start(runs, data)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert_same_history(runs / expected.name, expected)
    print(dict(seen))
