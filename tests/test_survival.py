"""Killed, or two at a time: what has been computed stays, and the records end up the same."""

import contextlib
import json
import os
import random
import signal
import time

import pytest
from safetensors import safe_open

from prdp.analysis import load_runs
from prdp.interrupts import HandedOn, deferred
from prdp.records import RunFolder, RunIsHeld
from prdp.records.schema import TIMINGS
from prdp.suite import attempt
from prdp.training.checkpoint import Saver
from tests.folders import assert_same_history, history
from tests.fork_server import ForkServer, wait_for

# K rises in the runs with PRDP; a checkpoint is written after every epoch.
SMALL = (
    "physics=heat1d",
    "model.width=8",
    "model.depth=1",
    "epochs=20",
    "checkpoint_seconds=0",
    "paper.prdp.tau_step=0.5",
    "paper.prdp.smoothing_window=2",
)
SWEEP = ("-m", *SMALL, "schedule=prdp,fixed", "seed=1,2")
WHOLE = {"config.yaml", "history.parquet", "provenance.json", "status.json", "summary.json"}


@pytest.fixture(scope="module")
def fork_server(tmp_path_factory, data_dir):
    with ForkServer(tmp_path_factory.mktemp("processes"), data_dir) as fork_server:
        yield fork_server


@pytest.fixture(scope="module")
def uninterrupted(fork_server, tmp_path_factory):
    """The runs of SWEEP that nothing disturbed."""
    runs = tmp_path_factory.mktemp("uninterrupted")
    process, code = fork_server.run(runs, *SWEEP)
    assert code == 0, process.errors
    levels = {f.name.split("-")[3]: history(f)["iterations"].nunique() for f in folders(runs)}
    assert levels["prdp"] >= 4
    return runs


def folders(runs):
    return sorted(p for p in runs.iterdir() if not p.name.startswith("."))


def status(folder):
    try:
        return json.loads((folder / "status.json").read_text())
    except FileNotFoundError:
        return {}


def summary(folder):
    content = json.loads((folder / "summary.json").read_text())
    return {k: v for k, v in content.items() if k not in TIMINGS}


def assert_same_records(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.name == b.name
        # A lock file that nobody holds is in nobody's way.
        assert {p.name for p in a.iterdir()} - {".lock"} == WHOLE
        assert_same_history(a, b)
        assert summary(a) == summary(b)


def kill_at(moment, rng, fork_server, runs):
    """Start the sweep, kill it at a moment, and return where it was: `nowhere`, `between`, `training` or `writing`."""
    writes = {"killed_at_write": rng.randrange(1, 12)} if moment == "writing" else {}
    process = fork_server.start(runs, *SWEEP, **writes)

    def checkpoints():
        return {p: p.stat().st_mtime_ns for p in runs.glob("*/checkpoint.safetensors")}

    if moment == "writing":
        assert process.wait() == -signal.SIGKILL
    else:
        if moment == "training":
            before = checkpoints()
            wait_for(lambda: checkpoints().items() - before.items())
        time.sleep(rng.uniform(0.1, 1.0) if moment == "nowhere" else rng.uniform(0, 0.02))
        process.kill()
    mine = [f for f in folders(runs) if status(f).get("process") == process.pid]
    if list(runs.glob("*/.*.tmp")):
        return "writing"
    if not mine:
        return "nowhere"
    running = [f for f in mine if status(f)["status"] == "running"]
    return "training" if any(RunFolder(f).checkpoint.exists() for f in running) else "between"


@pytest.mark.parametrize("kills", [("nowhere", "training", "writing"), pytest.param(20, id="20 at random")])
@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again_ends_with_the_same_records(
    fork_server, uninterrupted, tmp_path, kills
):
    rng = random.Random(0)
    moments = ("nowhere", "training", "writing")
    kills = [rng.choice(moments) for _ in range(kills)] if isinstance(kills, int) else kills
    places = []
    for moment in kills:
        before = {f.name for f in folders(tmp_path) if RunFolder(f).finished_summary()}
        places.append(kill_at(moment, rng, fork_server, tmp_path))
        assert before <= {f.name for f in folders(tmp_path) if RunFolder(f).finished_summary()}
    assert set(places) >= set(moments), places
    process, code = fork_server.run(tmp_path, *SWEEP)
    assert code == 0, process.errors
    assert "resumed in" in process.errors
    assert_same_records(folders(tmp_path), folders(uninterrupted))


ONE = (*SMALL, "schedule=prdp", "seed=1")
# What ONE writes with two epochs, each in two steps: its content, its name.
FILES = ("config.yaml", "provenance.json", "status.json", *["checkpoint"] * 2, "history", "summary", "status")


@pytest.mark.slow
@pytest.mark.parametrize("step", range(1, 2 * len(FILES) + 1))
def test_a_run_can_be_killed_at_any_write(fork_server, run_in, tmp_path, step):
    # A compiled program that is kept is one more file.
    options = (*ONE, "epochs=2", "compilation_cache=false")
    _, code = fork_server.run(tmp_path / "killed", *options, killed_at_write=step)
    assert code == -signal.SIGKILL
    (folder,) = folders(tmp_path / "killed")
    last = step == 2 * len(FILES)
    assert (RunFolder(folder).finished_summary() is not None) == last
    assert len(load_runs([folder]).summaries) == last
    # Within a file it has no name yet: between a run's end and its checkpoint's there is nothing more to write.
    assert len(list(folder.glob(".*.tmp"))) == step % 2
    again, fresh = run_in(tmp_path / "killed", *options), run_in(tmp_path / "fresh", *options)
    assert (again.skipped, again.resumed) == (last, not last and step >= 8)
    assert_same_records([again.folder], [fresh.folder])


def one_of(runs):
    (folder,) = [f for f in folders(runs) if "-prdp-seed1-" in f.name]
    return folder


@pytest.fixture
def stopped(fork_server, tmp_path):
    """A process that stands still in the middle of ONE."""
    process = fork_server.start(tmp_path, *ONE)
    try:
        wait_for(lambda: list(tmp_path.glob("*/checkpoint.safetensors")))
        os.kill(process.pid, signal.SIGSTOP)
        assert status(one_of(tmp_path))["status"] == "running"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_sweep_leaves_alone_what_another_process_computes(fork_server, stopped, uninterrupted, tmp_path):
    process, code = fork_server.run(tmp_path, "-m", *SMALL, "schedule=prdp", "seed=1,2")
    assert code == 1
    told = f"failed ({one_of(tmp_path)} is being computed by process {stopped.pid} on "
    assert f"[1/2] seed=1: {told}" in process.errors
    assert "[2/2] seed=2: done in" in process.errors
    assert status(one_of(tmp_path))["process"] == stopped.pid
    os.kill(stopped.pid, signal.SIGCONT)
    wait_for(lambda: RunFolder(one_of(tmp_path)).finished_summary())
    wait_for(lambda: not (one_of(tmp_path) / ".lock").exists())
    assert status(one_of(tmp_path))["process"] == stopped.pid
    assert_same_records(folders(tmp_path), [f for f in folders(uninterrupted) if "-prdp-" in f.name])


@pytest.mark.slow
def test_the_lock_ends_with_its_process(stopped, tmp_path):
    folder = RunFolder(one_of(tmp_path))
    with pytest.raises(RunIsHeld):
        folder.acquire()
    stopped.kill()
    assert (folder.path / ".lock").exists()
    folder.acquire()
    folder.release()


@pytest.mark.slow
def test_a_sweep_says_which_jobs_could_not_write(fork_server, uninterrupted, tmp_path):
    sweep = ("-m", *SMALL, "schedule=prdp", "seed=1,2")
    expected = [f for f in folders(uninterrupted) if "-prdp-" in f.name]
    # All but the history fits.
    smallest = min((f / "history.parquet").stat().st_size for f in expected)
    process, code = fork_server.run(tmp_path, *sweep, largest_file=smallest - 1)
    assert code == 1
    assert process.errors.count("failed (OSError: [Errno 27] File too large)") == 2
    assert [f.name for f in folders(tmp_path)] == [f.name for f in expected]
    for folder in folders(tmp_path):
        assert status(folder)["status"] == "failed"
        assert "File too large" in status(folder)["traceback"]
    process, code = fork_server.run(tmp_path, *sweep)
    assert code == 0, process.errors
    assert_same_records(folders(tmp_path), expected)


def signalled(monkeypatch, number, epoch):
    """Send this process a signal when an epoch has ended."""
    maybe_save = Saver.maybe_save
    seen = []

    def signalling(self, *results):
        seen.append(None)
        if len(seen) == epoch + 1:
            signal.raise_signal(number)
        maybe_save(self, *results)

    monkeypatch.setattr(Saver, "maybe_save", signalling)


@pytest.fixture
def handler():
    """`handler(number, function)`: handle a signal, for this test only."""
    before = {}

    def handler(number, function):
        before[number] = signal.signal(number, function)

    yield handler
    for number, function in before.items():
        signal.signal(number, function)


LONG = (*ONE, "checkpoint_seconds=3600")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.slow
def test_a_signal_of_somebody_else_comes_to_its_handler_once_the_run_is_saved_and_free(
    uninterrupted, run_in, tmp_path, monkeypatch, handler, number
):
    found = []

    def requeue(given, frame):
        folder = RunFolder(one_of(tmp_path))
        folder.acquire()
        folder.release()
        found.append((given, status(folder.path)["status"], folder.checkpoint.exists()))

    handler(number, requeue)
    signalled(monkeypatch, number, 7)
    outcomes = []

    def run():
        outcomes.append(run_in(tmp_path, *LONG))
        return outcomes[-1:]

    # The handler comes back: the job goes on at once.
    assert [result.state for result in attempt([], run, lambda error: None)] == ["resumed"]
    assert found == [(number, "interrupted", True)]
    assert signal.getsignal(number) is requeue
    assert_same_records(folders(tmp_path), [f for f in folders(uninterrupted) if "-prdp-seed1-" in f.name])


def test_a_second_signal_does_not_wait_for_the_epoch_but_still_comes_to_the_handler(handler):
    handler(signal.SIGUSR2, lambda number, frame: None)
    with deferred() as interrupts:
        signal.raise_signal(signal.SIGUSR2)
        assert interrupts.requested
        with pytest.raises(HandedOn):
            # SLURM's, when the time is over.
            signal.raise_signal(signal.SIGTERM)
    # A warning after the SIGTERM of a preemption is no second one: the epoch may end, and the handler hears of it.
    with deferred() as interrupts:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR2)
        with pytest.raises(HandedOn):
            interrupts.check()


def test_an_ignored_signal_is_left_alone(handler):
    handler(signal.SIGUSR1, signal.SIG_IGN)
    with deferred() as interrupts:
        signal.raise_signal(signal.SIGUSR1)
    assert not interrupts.requested


@pytest.mark.slow
def test_a_warning_that_nobody_handles_saves_and_stops_like_ctrl_c(fork_server, uninterrupted, tmp_path):
    process = fork_server.start(tmp_path, *ONE, "epochs=400")
    wait_for(lambda: list(tmp_path.glob("*/checkpoint.safetensors")))
    os.kill(process.pid, signal.SIGUSR1)
    assert process.wait() == 128 + signal.SIGUSR1
    assert status(one_of(tmp_path))["status"] == "interrupted"


def epochs_saved(folder):
    # A kill while one is written leaves the one before.
    newest = next(path for path in RunFolder(folder).checkpoints if path.exists())
    with safe_open(newest, framework="numpy") as file:
        return json.loads(file.metadata()["meta"])["rows"][-1]["epoch"]


def test_a_kill_loses_at_most_one_epoch(run_in, tmp_path, monkeypatch):
    """With `checkpoint_seconds=0`, as the launchers for clusters have it, whichever epoch it is."""
    reached = []
    after = Saver.maybe_save

    def noting(self, *results):
        # The epoch that ends here is not saved yet, and all before are.
        if reached:
            assert epochs_saved(one_of(tmp_path)) == reached[-1]
        after(self, *results)
        reached.append(epochs_saved(one_of(tmp_path)))

    monkeypatch.setattr(Saver, "maybe_save", noting)
    run_in(tmp_path, *ONE)
    assert reached == list(range(20))
