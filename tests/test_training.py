"""Runs end to end: their record, one compilation, determinism, and what survives interruptions."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors import safe_open

import train as program
from prdp import group as groups
from prdp.config import Config, parse
from prdp.data import Trajectories, TrajectoryData
from prdp.physics import FourierSeries, Heat
from prdp.records import COLUMNS, RunFolder, RunIsHeld
from prdp.tracking import Sink
from prdp.training import load_checkpoint, save_checkpoint
from prdp.training.checkpoint import Damaged
from tests import folders
from tests.cases import some_fast
from tests.folders import assert_same_history

ROOT = Path(__file__).resolve().parents[1]

# K rises six times in 25 epochs.
EPOCHS = 25
HEAT = (
    "physics=heat1d",
    "model.depth=1",
    f"epochs={EPOCHS}",
    "checkpoint_seconds=0",
    "schedule.tau_step=0.9",
    "schedule.smoothing_window=2",
    "schedule.grace_window=2",
)
POISSON = ("physics=poisson", "epochs=4")
CASES = {
    "poisson_1": ("physics=poisson", "epochs=2"),
    "poisson_3": (
        "physics=poisson",
        "physics.parameters=3",
        "solver=steepest_descent",
        "diff=implicit",
        "epochs=2",
    ),
    "heat2d": ("physics=heat2d", "epochs=2", "model.width=64", "model.depth=1", "data.train_samples=50"),
    "heat3d": (
        "physics=heat3d",
        "physics.points=6",
        "model.channels=4",
        "model.blocks=1",
        "data.train_samples=25",
        "epochs=2",
    ),
    "burgers": (
        "physics=burgers",
        "physics.points=32",
        "model.channels=4",
        "model.blocks=1",
        "data.train_samples=50",
        "epochs=2",
    ),
    "burgers_paper": ("physics=burgers", "epochs=2"),
    "heat1d_paper": ("physics=heat1d", "epochs=2", "schedule=fixed"),
    "heat2d_paper": ("physics=heat2d", "epochs=2"),
}
SUMMARY = {
    *("physics", "solver", "diff", "schedule", "seed", "epochs", "updates", "iterations_final"),
    *("converged_iterations", "iterations_total", "iterations_converged_total"),
    *("savings", "savings_incomplete_convergence", "savings_progressive_refinement"),
    *("val_error_final", "val_error_best", "seconds_train", "seconds_validate", "seconds_compile"),
    *("compilations", "status"),
}


class OnRow(Sink):
    """Calls a function after every epoch."""

    def __init__(self, on_row):
        self.row = on_row


def on_row(patch, action):
    patch.setattr(Config, "new_sink", lambda config: OnRow(action))


def history(outcome):
    return pd.read_parquet(outcome.folder / "history.parquet")


def status(folder):
    return json.loads((folder / "status.json").read_text())


def only_folder(runs_dir):
    (folder,) = runs_dir.iterdir()
    return folder


class Reference(NamedTuple):
    """An uninterrupted run of HEAT.

    Attributes:
        outcome: of the run.
        counts: how often XLA had compiled by the end of each epoch.
        compiled: its executables, and `initial` the model before training: with them a run starts at once.
    """

    outcome: Any
    counts: list
    compiled: Any
    initial: Any


@pytest.fixture(scope="module")
def reference(tmp_path_factory, run_in):
    events, counts, kept = [], [], {}
    initialiser, compile_run = groups.initialiser, groups.compile_run

    def keep_initial(config):
        graph, initial = initialiser(config)
        kept["initial"] = graph, jax.device_get(initial(config.general.seed))
        return graph, initial

    def keep_compiled(*arguments):
        kept["compiled"] = compile_run(*arguments)
        return kept["compiled"]

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        with pytest.MonkeyPatch.context() as patch:
            on_row(patch, lambda row: counts.append(len(events)))
            patch.setattr(groups, "initialiser", keep_initial)
            patch.setattr(groups, "compile_run", keep_compiled)
            outcome = run_in(tmp_path_factory.mktemp("reference"), *HEAT)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return Reference(outcome, counts, **kept)


@pytest.fixture
def warm(monkeypatch, reference):
    """Runs of HEAT with its seed take what the reference compiled."""

    def initialiser(config):
        graph, state = reference.initial
        return graph, lambda seed: jax.tree.map(jax.numpy.array, state)

    monkeypatch.setattr(groups, "initialiser", initialiser)
    monkeypatch.setattr(groups, "compile_run", lambda *arguments: reference.compiled)


def assert_complete(outcome, epochs):
    frame, summary = history(outcome), outcome.summary
    extra = [c for c in frame.columns if c.startswith("val_error_")]
    assert set(frame.columns) == {*COLUMNS, *extra}
    assert [str(frame[c].dtype) for c in COLUMNS] == list(COLUMNS.values())
    assert list(frame["epoch"]) == list(range(epochs + 1))
    assert set(np.diff(frame["updates"])) == {summary["updates"] // epochs}
    expected = (frame["iterations"] * frame["updates"].diff()).fillna(0).cumsum()
    assert list(frame["iterations_total"]) == list(expected)
    for column in ("iterations_executed_total", "matvecs_total", "adjoint_matvecs_total"):
        assert frame[column][0] == 0
        assert (frame[column].diff()[1:] > 0).all()
    assert (frame["iterations_executed_total"] <= frame["iterations_total"]).all()
    assert np.isnan(frame["train_loss"][0])
    assert np.isfinite(frame["train_loss"][1:]).all()
    assert np.isfinite(frame["val_error"]).all()

    assert set(summary) >= SUMMARY
    assert (summary["status"], summary["compilations"], summary["epochs"]) == ("finished", 1, epochs)
    trained = frame["iterations"][1:]
    assert summary["iterations_final"] == trained.iloc[-1]
    assert summary["iterations_total"] == frame["iterations_total"].iloc[-1]
    assert summary["iterations_converged_total"] == summary["converged_iterations"] * summary["updates"]
    assert summary["savings"] == pytest.approx(1 - trained.mean() / summary["converged_iterations"])
    assert summary["val_error_final"] == frame["val_error"].iloc[-1]
    assert summary["val_error_best"] == frame["val_error"].min()

    folder = outcome.folder
    files = {"config.yaml", "history.parquet", "summary.json", "status.json", "provenance.json"}
    assert {p.name for p in folder.iterdir()} == files
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert status(folder)["status"] == "finished"
    assert yaml.safe_load((folder / "config.yaml").read_text())["epochs"] == epochs


@pytest.mark.parametrize("case", some_fast(CASES, ("poisson_1",)))
def test_two_epochs_leave_a_complete_record(run_in, tmp_path, case):
    assert_complete(run_in(tmp_path, *CASES[case]), 2)


def test_the_reference_leaves_a_complete_record(reference):
    assert_complete(reference.outcome, EPOCHS)
    assert reference.outcome.summary["converged_iterations"] == 25


def test_epochs_on_the_host_and_on_the_device_agree(run_in, tmp_path, monkeypatch):
    options = ("physics=heat1d", "epochs=3", "schedule=fixed", "schedule.iterations=5")
    frames = []
    for scan in (True, False):
        monkeypatch.setattr(groups, "scans_well", lambda config, scan=scan: scan)
        outcome = run_in(tmp_path / str(scan), *options)
        assert outcome.summary["compilations"] == 1
        frames.append(folders.history(outcome))
    pd.testing.assert_frame_equal(*frames, rtol=1e-4)


def test_a_run_whose_k_changes_compiles_its_update_once(reference):
    outcome, counts = reference.outcome, reference.counts
    levels = history(outcome)["iterations"]
    assert levels[2:].nunique() >= 4
    assert outcome.summary["compilations"] == 1
    # The listener hears compilations, and none after the first epoch.
    assert counts[0] > 0
    assert set(counts[1:]) == {counts[1]}


def test_the_history_holds_what_the_schedule_decided(reference, compose):
    outcome = reference.outcome
    config = parse(compose(*HEAT))
    schedule = config.resolved_schedule(outcome.summary["converged_iterations"])
    state = schedule.init()
    for row in history(outcome).itertuples():
        assert row.iterations == state.iterations
        state, _ = schedule.update(state, row.val_error)
        assert row.refined == state.refined
        np.testing.assert_array_equal(
            [row.smoothed, row.ratio_step, row.ratio_stop],
            [state.smoothed, state.ratio_step, state.ratio_stop],
        )


def test_the_same_seed_gives_the_same_history_bit_by_bit(reference, run_in, tmp_path):
    assert_same_history(run_in(tmp_path, *HEAT), reference.outcome)


def test_another_seed_gives_another_history_on_the_same_data(reference, run_in, compose, tmp_path, data_dir):
    before = {p: p.stat().st_mtime_ns for p in data_dir.glob("*.safetensors")}
    other = run_in(tmp_path, *HEAT, "seed=1", "epochs=2")
    assert {p: p.stat().st_mtime_ns for p in data_dir.glob("*.safetensors")} == before
    a, b = history(reference.outcome), history(other)
    assert a["val_error"][0] != b["val_error"][0]
    assert (a["train_loss"][1:3] != b["train_loss"][1:3]).all()
    sources = [parse(compose(*HEAT, f"seed={s}")).data for s in (0, 1)]
    assert sources[0] == sources[1]


def test_precision_is_that_of_the_run(run_in, tmp_path):
    single = history(run_in(tmp_path, *POISSON))["val_error"]
    double = history(run_in(tmp_path, *POISSON, "precision=float64"))["val_error"]
    assert (single == single.astype("float32")).all()
    assert (double[1:] != double[1:].astype("float32")).all()
    np.testing.assert_allclose(single, double, rtol=1e-5)


def interrupt_at(epoch):
    def action(row):
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return action


@pytest.fixture
def interrupted(monkeypatch, warm, run_in, tmp_path):
    """The folder of a HEAT run that Ctrl-C ended after epoch 10."""
    with monkeypatch.context() as patch:
        on_row(patch, interrupt_at(10))
        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path, *HEAT)
    return only_folder(tmp_path)


def test_an_interrupted_run_continues_where_it_stopped(interrupted, reference, run_in, tmp_path, monkeypatch):
    assert status(interrupted)["status"] == "interrupted"
    assert RunFolder(interrupted).finished_summary() is None
    epochs = []
    on_row(monkeypatch, lambda row: epochs.append(row["epoch"]))
    outcome = run_in(tmp_path, *HEAT)
    assert epochs == list(range(11, EPOCHS + 1))
    assert_same_history(outcome, reference.outcome)
    assert_complete(outcome, EPOCHS)


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    elif how == "a flipped bit":
        content[-100] ^= 1
    else:
        content = bytearray(os.urandom(1000))
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["truncated", "a flipped bit", "garbage"])
@pytest.mark.parametrize("both", some_fast([False, True], [False]))
def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(
    interrupted, reference, run_in, tmp_path, monkeypatch, caplog, how, both
):
    newest, before = RunFolder(interrupted).checkpoints
    assert newest.exists()
    # Ctrl-C came after epoch 10; the run's own checkpoint of then is the newest.
    shutil.copy(newest, before)
    for path in (newest, before) if both else (newest,):
        damage(path, how)
    epochs = []
    on_row(monkeypatch, lambda row: epochs.append(row["epoch"]))
    assert_same_history(run_in(tmp_path, *HEAT), reference.outcome)
    assert epochs[0] == (0 if both else 11)
    assert f"{newest} cannot be resumed from: " in caplog.text
    # A finished run leaves no checkpoint behind, be it a damaged one.
    assert not list(interrupted.glob("checkpoint*"))


@pytest.mark.parametrize("moment", ["train", "validate"])
def test_ctrl_c_in_the_middle_of_an_epoch_loses_no_more_than_that(
    reference, warm, run_in, tmp_path, monkeypatch, moment
):
    compile_run = groups.compile_run

    def compile_interrupted(*arguments):
        compiled, calls = compile_run(*arguments), []

        def called(*operands):
            calls.append(1)
            result = getattr(compiled, moment)(*operands)
            if len(calls) == 10:
                signal.raise_signal(signal.SIGINT)
            return result

        return dataclasses.replace(compiled, **{moment: called})

    with monkeypatch.context() as patch:
        patch.setattr(groups, "compile_run", compile_interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path, *HEAT)
    assert status(only_folder(tmp_path))["status"] == "interrupted"
    epochs = []
    on_row(monkeypatch, lambda row: epochs.append(row["epoch"]))
    assert_same_history(run_in(tmp_path, *HEAT), reference.outcome)
    # The epoch under way was finished and saved.
    assert epochs[0] == {"train": 11, "validate": 10}[moment]


# Computes an experiment up to epoch 10, says so, and waits there.
WAITING = """
import sys, threading
import hydra
from prdp.config import Config
from prdp.run import run
from prdp.tracking import Sink
from tests.cases import some_fast

class Wait(Sink):
    def row(self, row):
        if row["epoch"] == 10:
            print("waiting", flush=True)
            threading.Event().wait()

Config.new_sink = lambda config: Wait()
with hydra.initialize_config_dir(sys.argv[1], version_base="1.3"):
    composed = hydra.compose("config", sys.argv[2:])
run(composed)
"""


@pytest.fixture
def waiting(tmp_path, data_dir):
    """`waiting(*overrides)`: a process in the middle of its run."""
    processes = []

    def waiting(*overrides):
        options = (f"runs_dir={tmp_path}", f"data_dir={data_dir}", "progress=false")
        command = [sys.executable, "-c", WAITING, str(ROOT / "conf"), *options, *overrides]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "waiting\n"
        return process

    yield waiting
    for process in processes:
        process.kill()
        process.communicate()


def test_a_killed_run_continues_to_the_same_history(waiting, reference, warm, run_in, tmp_path, monkeypatch):
    # Compiled on its own: what the same programs compute does not depend on who compiled them.
    process = waiting(*HEAT, "compilation_cache=false")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    folder = RunFolder(only_folder(tmp_path))
    assert status(folder.path)["status"] == "running"
    assert folder.finished_summary() is None
    epochs = []
    on_row(monkeypatch, lambda row: epochs.append(row["epoch"]))
    outcome = run_in(tmp_path, *HEAT)
    assert not outcome.skipped
    assert epochs[0] == 10
    assert_same_history(outcome, reference.outcome)
    assert_complete(outcome, EPOCHS)


@pytest.mark.slow
def test_a_second_process_is_told_who_computes_the_run(waiting, run_in, tmp_path):
    overrides = ("physics=poisson", "epochs=12")
    process = waiting(*overrides)
    with pytest.raises(RunIsHeld, match=f"is being computed by process {process.pid} on ") as raised:
        run_in(tmp_path, *overrides)
    assert len(program.one_line(raised.value).splitlines()) == 1
    assert status(only_folder(tmp_path))["process"] == process.pid
    with pytest.raises(RunIsHeld):
        run_in(tmp_path, *overrides)


def test_sigterm_ends_like_ctrl_c_with_a_checkpoint(tmp_path):
    options = ("physics=poisson", "epochs=100000", "checkpoint_seconds=0", "progress=false")
    command = [sys.executable, str(ROOT / "train.py"), f"runs_dir={tmp_path / 'runs'}", *options]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("runs/*/checkpoint.safetensors")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (143, "")
    assert err.splitlines() == ["interrupted: the same command (without overwrite=true) continues"]
    folder = only_folder(tmp_path / "runs")
    assert status(folder)["status"] == "interrupted"
    with safe_open(folder / "checkpoint.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["meta"])["rows"]


def test_a_finished_run_is_skipped_unless_asked_otherwise(run_in, tmp_path):
    first = run_in(tmp_path, *POISSON)
    kept, written = folders.history(first), (first.folder / "history.parquet").stat().st_mtime_ns
    again = run_in(tmp_path, *POISSON)
    assert (first.skipped, again.skipped, again.summary) == (False, True, first.summary)
    assert (again.folder / "history.parquet").stat().st_mtime_ns == written
    anew = run_in(tmp_path, *POISSON, "overwrite=true")
    assert (anew.skipped, anew.folder) == (False, first.folder)
    assert (anew.folder / "history.parquet").stat().st_mtime_ns > written
    pd.testing.assert_frame_equal(folders.history(anew), kept, check_exact=True)


def test_a_diverging_run_ends_as_such_and_keeps_its_history(run_in, tmp_path):
    overrides = ("physics=poisson", "optimizer.learning_rate=1e9", "epochs=50")
    outcome = run_in(tmp_path, *overrides)
    frame = history(outcome)
    finite = np.isfinite(frame["train_loss"]) & np.isfinite(frame["val_error"])
    assert len(frame) < 51
    assert finite[1:-1].all()
    assert not finite.iloc[-1]
    assert outcome.summary["status"] == "diverged"
    assert np.isfinite(outcome.summary["val_error_best"])
    assert status(outcome.folder)["status"] == "diverged"
    assert f"after epoch {len(frame) - 1}" in status(outcome.folder)["reason"]
    assert run_in(tmp_path, *overrides).skipped


def test_a_failing_run_leaves_its_traceback_and_can_be_repeated(run_in, tmp_path, monkeypatch):
    def fail(row):
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        on_row(patch, fail)
        with pytest.raises(RuntimeError, match="out of luck"):
            run_in(tmp_path, *POISSON)
    content = status(only_folder(tmp_path))
    assert content["status"] == "failed"
    assert "Traceback" in content["traceback"]
    assert "RuntimeError: out of luck" in content["traceback"]
    assert_complete(run_in(tmp_path, *POISSON), 4)


@pytest.mark.parametrize("damage", ["none", "truncated", "flipped", "empty"])
def test_damaged_data_is_generated_again(tmp_path, monkeypatch, caplog, damage):
    made = []

    def generate(self, physics, dtype, *progress):
        made.append(1)
        fields = np.random.default_rng(0).random((5, 3, 1, 8)).astype(dtype)
        return Trajectories(fields[:3], fields[3:4], fields[4:])

    monkeypatch.setattr(TrajectoryData, "generate", generate)
    source, physics = TrajectoryData(FourierSeries(), 3, 2), Heat(dimensions=1, points=8)
    good = source.load(physics, "float32", tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    left = {
        "none": content,
        "truncated": content[: len(content) // 2],
        "flipped": content[:-1] + bytes([content[-1] ^ 1]),
        "empty": b"",
    }
    path.write_bytes(left[damage])
    again = source.load(physics, "float32", tmp_path)
    expected = 1 if damage == "none" else 2
    assert len(made) == expected
    assert ("generating it again" in caplog.text) == (damage != "none")
    cached = source.load(physics, "float32", tmp_path)
    assert len(made) == expected
    for arrays in zip(good, again, cached, strict=True):
        assert len({a.tobytes() for a in arrays}) == 1


def test_a_checkpoint_comes_back_as_it_was_or_not_at_all(tmp_path):
    tree = {"a": np.arange(3.0), "count": np.int32(4)}
    save_checkpoint(tmp_path / "c", tree, {"k": 1})
    loaded = load_checkpoint(tmp_path / "c", tree)
    assert loaded.meta == {"k": 1}
    assert {k: (np.shape(v), float(np.sum(v))) for k, v in loaded.tree.items()} == {
        "a": ((3,), 3.0),
        "count": ((), 4.0),
    }
    with pytest.raises(Damaged, match="another network"):
        load_checkpoint(tmp_path / "c", {"a": np.arange(4.0), "count": np.int32(4)})
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "d", tree)


def test_no_flipped_bit_of_a_checkpoint_is_read(tmp_path):
    tree = {"a": np.arange(3.0), "count": np.int32(4)}
    path = tmp_path / "c"
    save_checkpoint(path, tree, {"rows": [{"epoch": 0, "val_error": 0.125}]})
    content = path.read_bytes()
    read = 0
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        try:
            loaded = load_checkpoint(path, tree)
        except Damaged:
            continue
        # Padding is not read, and names only give the order.
        read += 1
        assert loaded.meta == {"rows": [{"epoch": 0, "val_error": 0.125}]}
        np.testing.assert_array_equal(loaded.tree["a"], tree["a"])
    assert read < 40
