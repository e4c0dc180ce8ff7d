"""A sweep through a real SLURM: killed, cancelled, requeued and overdue jobs end with the records of a plain sweep.

It starts a SLURM with accounting on this machine (up.sh), and stops it and removes its state afterwards.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from prdp.records import RunFolder
from tests.folders import assert_same_history, history

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EPOCHS, SEEDS = 18, 10
# An epoch takes about 0.2 s, and every one is a line in the log.
SWEEP = (
    "physics=heat1d",
    "schedule=prdp",
    "paper.prdp.tau_step=0.9",
    "paper.prdp.smoothing_window=2",
    "model.width=512",
    "batch_size=2",
    f"epochs={EPOCHS}",
    f"seed=range(0,{SEEDS})",
)
# Two jobs at a time on two cores, of which each has one. The warning comes 90 s after a job's start.
SLURM = (
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=1",
    "hydra.launcher.timeout_min=2",
    "hydra.launcher.signal_delay_s=30",
)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm") / "one"
    try:
        subprocess.run([HERE / "up.sh", folder], check=True, timeout=200, stdin=subprocess.DEVNULL)
        yield {"SLURM_CONF": str(folder / "slurm.conf")}
    finally:
        subprocess.run([HERE / "down.sh", folder], check=True, timeout=200, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def command(slurm, tmp_path_factory):
    """`command(name, *arguments)`: `python train.py -m` on its way, its output in a file, its runs below `name`."""
    place = tmp_path_factory.mktemp("sweeps")
    environment = {**os.environ, **slurm, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "COLUMNS": "200"}

    class Sweep:
        def __init__(self, name, *arguments):
            self.runs, self.log = place / name / "runs", place / f"{name}-{time.monotonic_ns()}.log"
            where = (f"runs_dir={self.runs}", f"data_dir={place / name / 'data'}")
            with self.log.open("w") as log:
                self.process = subprocess.Popen(
                    [sys.executable, str(ROOT / "train.py"), "-m", *arguments, *where],
                    env=environment, cwd=ROOT, stdout=log, stderr=log,
                )  # fmt: skip

        def wait(self, seconds=600):
            try:
                code = self.process.wait(seconds)
            finally:
                self.process.kill()
            self.text = self.log.read_text()
            return code

        def folder(self, seed):
            return next(iter(self.runs.glob(f"*-seed{seed}-*")), None)

        def logs(self, seed, stream="err"):
            """What the job of a seed has printed, in all sweeps, the oldest first."""
            paths = self.runs.glob(f".sweeps/*/.submitit/*_{seed}/*_log.{stream}")
            return [path.read_text() for path in sorted(paths)]

        def job(self, seed):
            (path,) = self.runs.glob(f".sweeps/*/.submitit/*_{seed}")
            return path.name

    return Sweep


@pytest.fixture(scope="module")
def tool(slurm):
    """`tool("squeue", ...)`: the output of one of SLURM's commands."""

    def tool(*arguments):
        done = subprocess.run(
            arguments, env={**os.environ, **slurm}, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    return tool


def wait_for(condition, seconds=240.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def saved(folder):
    """The last epoch in a run's checkpoint, 0 without one."""
    if folder is None:
        return 0
    with (
        contextlib.suppress(FileNotFoundError),
        safe_open(RunFolder(folder).checkpoint, framework="numpy") as file,
    ):
        return json.loads(file.metadata()["meta"])["rows"][-1]["epoch"]
    return 0


def process_of(folder):
    return json.loads((folder / "status.json").read_text())["process"]


def told(log):
    """The epochs that a log tells of."""
    return [int(x) for x in re.findall(r"^epoch (\d+)/", log, re.M)]


def counts(text):
    """The numbers of the table at the end."""
    lines = text.splitlines()
    (at,) = [i for i, line in enumerate(lines) if "skipped" in line and "┃" in line]
    cells = [
        [x.strip() for x in lines[i].strip().strip("┃│").replace("│", "┃").split("┃")] for i in (at, at + 2)
    ]
    return {name: int(n) for name, n in zip(*cells, strict=True) if int(n)}


def start_at_once(tool, job):
    """A requeued job waits two minutes: not here."""
    wait_for(lambda: tool("squeue", "-h", "-j", job, "-o", "%T") == "PENDING")
    tool("scontrol", "update", f"JobId={job}", "StartTime=now")


def assert_same_records(sweep, plain):
    for seed in range(SEEDS):
        found, expected = sweep.folder(seed), plain.folder(seed)
        assert found.name == expected.name
        assert len(history(found)) == EPOCHS + 1
        assert_same_history(found, expected)
        assert {p.name for p in found.iterdir()} == {p.name for p in expected.iterdir()}


OVERDUE, KILLED, CANCELLED, REQUEUED = range(4)


def test_a_sweep_survives_what_a_cluster_does_to_its_jobs(command, tool):
    # Nothing is cached: whoever comes first makes the data, and the others wait or find it.
    sweep = command("slurm", "hydra/launcher=slurm_cpu", *SWEEP, *SLURM)

    # It stands still until SLURM, half a minute before its time is over, wakes it with the warning.
    wait_for(lambda: saved(sweep.folder(OVERDUE)) >= 3)
    os.kill(process_of(sweep.folder(OVERDUE)), signal.SIGSTOP)

    wait_for(lambda: saved(sweep.folder(KILLED)) >= 3)
    os.kill(process_of(sweep.folder(KILLED)), signal.SIGKILL)
    wait_for(lambda: tool("squeue", "-h", "-j", sweep.job(KILLED), "-o", "%T", "-t", "all") == "FAILED")
    at_kill = told(sweep.logs(KILLED)[0])[-1]
    left_by_kill = saved(sweep.folder(KILLED))
    assert at_kill - left_by_kill <= 1

    wait_for(lambda: saved(sweep.folder(CANCELLED)) >= 3)
    tool("scancel", sweep.job(CANCELLED))

    wait_for(lambda: saved(sweep.folder(REQUEUED)) >= 3)
    tool("scontrol", "requeue", sweep.job(REQUEUED))
    start_at_once(tool, sweep.job(REQUEUED))

    start_at_once(tool, sweep.job(OVERDUE))
    assert sweep.wait() == 1, sweep.text
    assert counts(sweep.text) == {"done": 6, "resumed": 2, "killed": 1, "cancelled": 1}, sweep.text
    for seed, words in (
        (OVERDUE, "resumed in .* after being requeued once"),
        (KILLED, "killed .FAILED"),
        (CANCELLED, "cancelled .CANCELLED"),
        (REQUEUED, "resumed in .* after being requeued once"),
    ):
        assert re.search(rf"\] seed={seed}: {words}", sweep.text), (seed, sweep.text)
    # Saved at the end of the epoch in which the warning came, then handed to submitit, which had it requeued.
    assert "this job is timed-out" in sweep.logs(OVERDUE, "out")[0]
    assert told(sweep.logs(OVERDUE)[0]) == list(range(1, EPOCHS + 1))
    logs = "".join(log for seed in range(SEEDS) for log in sweep.logs(seed))
    assert not re.search("generating it again|Error reading persistent compilation cache", logs), logs

    again = command("slurm", "hydra/launcher=slurm_cpu", *SWEEP, *SLURM)
    assert again.wait() == 0, again.text
    assert counts(again.text) == {"skipped": 8, "resumed": 2}
    # It went on from the checkpoint that it had at the kill.
    assert told(again.logs(KILLED)[-1])[0] == left_by_kill + 1

    plain = command("plain", *SWEEP, "progress=false")
    assert plain.wait() == 0, plain.text
    assert counts(plain.text) == {"done": SEEDS}
    assert_same_records(again, plain)
    assert not list(again.runs.glob("*/.*.tmp"))


def test_the_plugins_own_launcher_and_jobs_that_ask_for_a_gpu(command):
    one = ("physics=poisson", "epochs=3", "hydra.launcher.mem_gb=1")
    for name, options in (
        ("submitit_slurm", ()),
        ("slurm_gpu", ("hydra.launcher.cpus_per_task=1", "hydra.launcher.setup=[env]")),
    ):
        sweep = command(name, f"hydra/launcher={name}", *one, *options, "schedule=prdp,fixed")
        assert sweep.wait() == 0, sweep.text
        assert counts(sweep.text) == {"done": 2}
    assert "CUDA_VISIBLE_DEVICES=0" in sweep.logs(0, "out")[0]
