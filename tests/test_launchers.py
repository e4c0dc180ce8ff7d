"""Sweeps in several processes: each job's outcome is told, whatever becomes of the others."""

import dataclasses
import errno
import fcntl
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import yaml
from hydra.core.config_store import ConfigStore
from hydra.errors import MissingConfigException

from prdp.config import explain
from prdp.data import cache
from prdp.records import RunFolder, RunIsHeld
from prdp.suite import GridError, Result, attempt
from prdp.suite import outcomes as outcomes_module
from prdp.suite.launching import check_installed
from prdp.suite.outcomes import read_results
from tests.conftest import ROOT
from tests.folders import assert_same_history

LAUNCHERS = {
    "processes": ("hydra_joblib_launcher", "joblib"),
    "local": ("hydra_submitit_launcher", "submitit_local"),
    "slurm_cpu": ("hydra_submitit_launcher", "submitit_slurm"),
    "slurm_gpu": ("hydra_submitit_launcher", "submitit_slurm"),
}
# Long enough to be met in the middle: a checkpoint after each of 400 epochs takes longer than the epochs.
SMALL = ("physics=heat1d", "model.width=8", "model.depth=1", "schedule=prdp")
MANY = (*SMALL, "epochs=400")


@pytest.fixture
def sweep(tmp_path, data_dir):
    """`sweep(*arguments)`: a `python train.py -m` that has been started, its runs in one folder."""
    started = []

    def sweep(*arguments):
        log = tmp_path / f"log{len(started)}"
        where = (f"runs_dir={tmp_path / 'runs'}", f"data_dir={data_dir}")
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), "-m", *arguments, *where],
                cwd=ROOT,
                env={**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "200"},
                stdout=stream,
                stderr=stream,
                # A group of its own, as a terminal gives to a command.
                start_new_session=True,
            )
        process.log = log
        started.append(process)
        return process

    yield sweep
    for process in started:
        process.kill()
        process.wait()


def wait_for(condition, seconds=180.0):
    """Return once `condition()` holds, leaving the cores to the jobs meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def folder_of(tmp_path, seed):
    return next(iter((tmp_path / "runs").glob(f"*-seed{seed}-*")), None)


def training(tmp_path, seed):
    """The process that trains a seed, once there is a checkpoint."""
    wait_for(lambda: (f := folder_of(tmp_path, seed)) and RunFolder(f).checkpoint.exists())
    return json.loads((folder_of(tmp_path, seed) / "status.json").read_text())["process"]


@pytest.mark.slow
def test_a_killed_job_is_told_and_the_others_end_and_it_goes_on_the_next_time(sweep, run_in, tmp_path):
    first = sweep("hydra/launcher=local", *MANY, "seed=1,2,3", "hydra.sweeper.max_batch_size=2")
    os.kill(training(tmp_path, 1), signal.SIGKILL)
    # As before the end of its time: it saves, and submitit starts it again.
    os.kill(training(tmp_path, 2), signal.SIGUSR2)
    assert first.wait() == 1, first.log.read_text()
    text = first.log.read_text()
    assert "seed=1: killed (" in text
    assert "seed=2: resumed in" in text
    assert "seed=3: done in" in text
    again = sweep("hydra/launcher=local", *MANY, "seed=1,2,3")
    assert again.wait() == 0, again.log.read_text()
    assert "seed=1: resumed in" in again.log.read_text()
    for seed in (1, 2):
        alone = run_in(tmp_path / "alone", *MANY, f"seed={seed}")
        assert_same_history(folder_of(tmp_path, seed), alone)


@pytest.mark.slow
def test_a_killed_worker_of_a_pool_costs_no_job(sweep, run_in, tmp_path):
    process = sweep("hydra/launcher=processes", *MANY, "seed=1,2,3", "hydra.launcher.n_jobs=2")
    os.kill(training(tmp_path, 2), signal.SIGKILL)
    assert process.wait() == 0, process.log.read_text()
    text = process.log.read_text()
    assert "a worker was killed: " in text
    assert "seed=2: resumed in" in text
    assert "seed=3: done in" in text
    alone = run_in(tmp_path / "alone", *MANY, "seed=2")
    assert_same_history(folder_of(tmp_path, 2), alone)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["processes", "local"])
def test_an_interrupt_leaves_no_process_behind_and_loses_no_outcome(sweep, tmp_path, launcher):
    process = sweep(f"hydra/launcher={launcher}", *MANY, "seed=1,2,3")
    wait_for(lambda: "[1/3]" in process.log.read_text())
    wait_for(lambda: held(tmp_path))
    worker = training(tmp_path, held(tmp_path)[0])
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, process.log.read_text()
    assert "not reached" in process.log.read_text()
    wait_for(lambda: not alive(worker), 10)


@pytest.mark.slow
def test_ctrl_c_reaches_local_jobs_once_without_tracebacks(sweep, tmp_path):
    process = sweep("hydra/launcher=local", *MANY, "seed=1,2", "hydra.sweeper.max_batch_size=2")
    workers = [training(tmp_path, seed) for seed in (1, 2)]
    # As a terminal does: to all processes of the group.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130, process.log.read_text()
    assert not any(alive(worker) for worker in workers)
    text = process.log.read_text()
    assert "Traceback" not in text, text
    assert "KeyboardInterrupt" not in text, text
    for seed in (1, 2):
        assert json.loads((folder_of(tmp_path, seed) / "status.json").read_text())["status"] == "interrupted"


def held(tmp_path):
    return [s for s in (1, 2, 3) if (f := folder_of(tmp_path, s)) and RunFolder(f).checkpoint.exists()]


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_job_that_fails_does_so_alone(sweep, tmp_path):
    process = sweep(
        "hydra/launcher=processes",
        "physics=poisson",
        "epochs=2",
        "converged_iterations=null",
        "solver.tolerance=0,1e-5",
    )
    assert process.wait() == 1, process.log.read_text()
    text = process.log.read_text()
    assert "solver.tolerance=0: failed (converged_iterations=null: Jacobi does not reach" in text
    assert "solver.tolerance=1e-05: done in" in text
    # What the launcher's configuration brings, and no lines of many jobs at once.
    (folder,) = (tmp_path / "runs").glob("poisson-*")
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert (kept["checkpoint_seconds"], kept["progress"]) == (0, False)
    assert "epoch 1/2" not in text


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_key_of_a_launcher_is_one_of_its_plugin(name):
    package, plain = LAUNCHERS[name]
    importlib.import_module(f"hydra_plugins.{package}.config")
    known = ConfigStore.instance().load(f"hydra/launcher/{plain}.yaml").node
    ours = yaml.safe_load((ROOT / "conf" / "hydra" / "launcher" / f"{name}.yaml").read_text())["hydra"][
        "launcher"
    ]
    assert ours["_target_"] == known["_target_"]
    # submitit's local executor takes this as well.
    assert set(ours) - {"max_num_timeout"} <= set(known.keys())


def test_a_launcher_that_is_not_there_is_one_line():
    def said(name):
        return explain(MissingConfigException("", f"hydra/launcher/{name}", ["basic", "local"]))

    assert said("submitit_slurm").endswith("is not installed: pip install 'prdp[cluster]'")
    assert said("slrum") == "hydra/launcher=slrum: allowed are basic, local"
    with pytest.raises(GridError, match=r"pip install 'prdp\[ray\]'"):
        check_installed("hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher")
    check_installed("hydra._internal.core_plugins.basic_launcher.BasicLauncher")


def interrupted_by(handler):
    """A run that stops with a handled signal the first time."""
    from prdp.interrupts import HandedOn

    calls = []

    def run():
        calls.append(None)
        if len(calls) == 1:
            raise HandedOn(signal.SIGUSR2, handler)
        raise ValueError("came back")

    return run


def test_a_handled_signal_is_delivered_after_the_run_and_the_job_goes_on_if_its_handler_comes_back():
    heard = []
    (result,) = attempt(
        [], interrupted_by(lambda number, frame: heard.append(number)), lambda error: str(error)
    )
    assert heard == [signal.SIGUSR2]
    assert (result.state, result.error) == ("failed", "came back")


def test_a_job_that_may_not_be_requeued_again_is_told_as_killed(tmp_path):
    def refuses(number, frame):
        raise RuntimeError("Job not requeued because: timed-out too many times.")

    results = attempt(["seed=[1,2]", "a=3"], interrupted_by(refuses), lambda error: None, tmp_path / "x.json")
    assert [result.overrides for result in results] == [("seed=1", "a=3"), ("seed=2", "a=3")]
    for result in results:
        assert result.state == "killed"
        assert "timed-out too many times. Its checkpoint is saved." in result.error
    assert read_results(tmp_path / "x.json") == results
    assert read_results(tmp_path / "y.json") is None


def test_a_requeued_job_waits_for_the_lock_of_its_lost_node(monkeypatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    waited = []
    monkeypatch.setattr(outcomes_module.time, "sleep", waited.append)

    def run():
        if len(waited) < 3:
            raise RunIsHeld("held")
        raise ValueError("mine")

    (result,) = attempt([], run, lambda error: str(error))
    assert (result.error, result.requeued, len(waited)) == ("mine", 1, 3)
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    waited.clear()
    assert [result.error for result in attempt([], run, lambda error: str(error))] == ["held"]
    assert waited == []


def test_of_several_that_need_the_same_data_one_makes_it(tmp_path):
    path, made, started = tmp_path / "data.safetensors", [], threading.Barrier(8)

    def load():
        started.wait()
        with cache.held(path):
            if cache.read(path, "recipe") is None:
                made.append(None)
                time.sleep(0.05)
                cache.write(path, "recipe", {"x": np.ones(3)})

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_file_system_without_locks_is_told_as_such(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(OSError, match=r"No locks available: .* is on a file system without locks"):
        RunFolder(tmp_path / "run").acquire()


@pytest.mark.slow
def test_a_compiled_program_is_kept_whole_or_not_at_all(tmp_path):
    """A process that is killed while it writes leaves nothing that others would take for an entry."""
    program = f"""
import os, sys, pathlib
import jax
from prdp import compilation_cache
compilation_cache.use(pathlib.Path({str(tmp_path)!r}))
if sys.argv[1] == "killed":
    pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)
jax.jit(lambda x: x + 1)(1.0)
"""
    codes, entries = [], []
    for how in ("killed", "whole"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, how], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
        codes.append(done.returncode)
        entries.append(len(list(tmp_path.glob("*/*-checked"))))
        assert "Error reading" not in done.stderr
    assert (codes, entries[0], entries[1] > 0) == ([-signal.SIGKILL, 0], 0, True)


def test_results_in_any_order_and_lost_jobs_have_their_place_in_the_table(tmp_path):
    from rich.console import Console

    from prdp.suite import Job, Ledger

    console = Console(file=(tmp_path / "out").open("w+"), width=200)
    jobs = [
        Job((f"seed={i}",), tmp_path / str(i), {"physics": {}, "schedule": {}, "overwrite": False})
        for i in range(3)
    ]
    ledger = Ledger(jobs, tmp_path / "records", console, together=None)
    ledger.add(Result(("seed=2",), "cancelled", error="CANCELLED by 0"), 2)
    assert ledger.failed
    ledger.add(Result(("seed=0",), "resumed", seconds=2.0, savings=0.5, val_error=0.1, requeued=2), 0)
    ledger.close()
    console.file.seek(0)
    text = console.file.read()
    assert "[1/3] seed=2: cancelled (CANCELLED by 0)" in text
    assert "[2/3] seed=0: resumed in 2.0 s after being requeued 2 times, saves 50.0%, error 0.1" in text
    assert "not reached" in text
    assert [r.overrides for r in ledger.results] == [("seed=0",), ("seed=2",)]
    assert dataclasses.asdict(ledger.results[0])["requeued"] == 2
