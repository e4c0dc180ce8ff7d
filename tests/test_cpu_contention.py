"""Whose work the processors did while a run was timed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from prdp.analysis.comparison import timed_alone
from prdp.records import CPUContention, cpu_contention, provenance

TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """Two processors, of which this process may use the second."""

    def __init__(self, monkeypatch, path):
        self.path, self.worked, self.own, self.clock = path, 0.0, 0.0, 0.0
        monkeypatch.setattr(cpu_contention, "_STAT", path)
        monkeypatch.setattr(cpu_contention.os, "sched_getaffinity", lambda _: {1})
        monkeypatch.setattr(cpu_contention.time, "process_time", lambda: self.own)
        monkeypatch.setattr(cpu_contention.time, "monotonic", lambda: self.clock)
        self.write()

    def passes(self, seconds, worked, own):
        self.clock, self.worked, self.own = self.clock + seconds, self.worked + worked, self.own + own
        self.write()

    def write(self):
        ticks = round(self.worked * TICKS)
        # user nice system idle iowait irq softirq steal guest guest_nice; guest is part of user.
        parts = [ticks // 2, 0, ticks - ticks // 2 - ticks // 4, 777, 888, 0, 0, ticks // 4, ticks // 2, 0]
        mine = " ".join(map(str, parts))
        self.path.write_text(f"cpu  9 9 9 9\ncpu0 99999 0 0 0 0 0 0 0 0 0\ncpu1 {mine}\nintr 1 2 3\n")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, tmp_path / "stat")


@pytest.mark.parametrize(
    ("worked", "own", "share"), [(10, 10, 0.0), (10, 7, 0.3), (4, 0, 0.4), (0, 0, 0.0), (5, 5.02, 0.0)]
)
def test_what_this_process_did_not_do_others_did(machine, worked, own, share):
    machine.passes(100, 50, 20)
    measured = CPUContention()
    machine.passes(10, worked, own)
    assert measured.share() == pytest.approx(share, abs=1e-3)


def test_a_system_that_does_not_say_gives_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu_contention, "_STAT", tmp_path / "missing")
    assert CPUContention().share() is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="not Linux")
def test_a_busy_process_is_seen():
    measured = CPUContention()
    spinning = "import time; end = time.monotonic() + 2\nwhile time.monotonic() < end: pass"
    others = [subprocess.Popen([sys.executable, "-c", spinning]) for _ in os.sched_getaffinity(0)]
    time.sleep(1.8)
    share = measured.share()
    for other in others:
        other.wait()
    assert share > 0.4


def test_seconds_count_only_if_taken_alone():
    runs = pd.DataFrame({"busy_elsewhere": [0.0, 0.05, 0.06, None]})
    assert list(timed_alone(runs)) == [True, True, False, False]
    # Records of before it was measured.
    assert list(timed_alone(pd.DataFrame({"seed": [1, 2]}))) == [False, False]


def test_a_run_bound_to_one_processor_does_not_pass_for_one_with_two(monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setattr(cpu_contention.os, "sched_getaffinity", lambda _: {1})
    assert provenance()["cpu_count"] == 1
    monkeypatch.setattr(cpu_contention.os, "sched_getaffinity", lambda _: {*range(8)})
    for threads, processors in (("3", 3), ("9", 8), ("0", 8), ("many", 8)):
        monkeypatch.setenv("NPROC", threads)
        assert provenance()["cpu_count"] == processors
    monkeypatch.delenv("NPROC")
    monkeypatch.delattr(cpu_contention.os, "sched_getaffinity")
    assert provenance()["cpu_count"] == os.cpu_count()
