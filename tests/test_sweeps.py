"""Sweeps from the command line go on past jobs that fail; `scripts/reproduce.py` trains, collects and reports."""

import importlib
import json
import os
import signal
import sys
import types
from pathlib import Path

import hydra
import pandas as pd
import pytest
import yaml

from prdp.analysis import load
from prdp.records import RunFolder
from prdp.suite import plan
from tests.cases import some_fast
from tests.conftest import ROOT
from tests.fork_server import ForkServer, wait_for

PRESETS = sorted(p.stem for p in (ROOT / "conf" / "experiment").glob("*.yaml"))


@pytest.fixture
def conf():
    """Hydra, initialised."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def fork_server(tmp_path_factory, data_dir):
    with ForkServer(tmp_path_factory.mktemp("processes"), data_dir) as fork_server:
        yield fork_server


SMALL = ("physics=heat1d", "model.width=8", "model.depth=1", "data.train_samples=50", "checkpoint_seconds=0")


def counts(process):
    """The numbers of the table at the end."""
    lines = process.errors.splitlines()
    (at,) = [i for i, line in enumerate(lines) if "skipped" in line and "┃" in line]
    cells = [
        [x.strip() for x in lines[i].strip().strip("┃│").replace("│", "┃").split("┃")] for i in (at, at + 2)
    ]
    return {name: int(n) for name, n in zip(*cells, strict=True)}


def runs(folder):
    return sorted(p for p in folder.glob("*") if not p.name.startswith("."))


def status(folder):
    return json.loads((folder / "status.json").read_text())


@pytest.mark.slow
def test_a_sweep_goes_on_past_failures_and_repeats_only_these(fork_server, conf, tmp_path):
    sweep = (
        *SMALL,
        "epochs=3",
        "schedule=fixed",
        "optimizer.learning_rate=0.001,1e+30",
        "solver.tolerance=1e-05,0",
    )
    rates, tolerances = ("0.001", "1e+30"), ("1e-05", "0")
    jobs = [
        (*sweep[:-2], f"optimizer.learning_rate={r}", f"solver.tolerance={t}")
        for r in rates
        for t in tolerances
    ]
    planned = plan(jobs, [f"runs_dir={tmp_path}"])
    # A folder where the history should go: training comes to its end and cannot leave its record.
    blocked = planned[0].folder / "history.parquet"
    blocked.mkdir(parents=True)
    process, code = fork_server.run(tmp_path, "-m", *sweep)
    assert code == 1
    assert counts(process) == {"done": 0, "resumed": 0, "skipped": 0, "diverged": 1, "failed": 3}
    lines = process.errors.splitlines()
    assert [x.partition(":")[0] for x in lines if x.startswith("[")] == [
        f"[{i + 1}/4] {' '.join(job[-2:])}" for i, job in enumerate(jobs)
    ]
    assert "history.parquet" in next(x for x in lines if x.startswith("[1/4]"))
    assert "Jacobi does not reach solver.tolerance=0.0" in next(x for x in lines if x.startswith("[2/4]"))
    content = status(planned[0].folder)
    assert content["status"] == "failed"
    assert "Traceback" in content["traceback"]
    # What cannot converge was found out before it had a folder.
    assert runs(tmp_path) == sorted([planned[0].folder, planned[2].folder])
    diverged = planned[2].folder
    assert status(diverged)["status"] == "diverged"
    assert not pd.read_parquet(diverged / "history.parquet")["train_loss"][1:].notna().all()
    assert any(x.strip() == str(diverged) for x in lines)

    blocked.rmdir()
    before = {p: p.stat().st_mtime_ns for p in diverged.iterdir()}
    process, code = fork_server.run(tmp_path, "-m", *sweep[:-1], "solver.tolerance=1e-05")
    assert code == 0
    assert "2 jobs, 1 finished before; 1 to run" in process.errors
    assert counts(process) == {"done": 0, "resumed": 1, "skipped": 1, "diverged": 0, "failed": 0}
    assert {p: p.stat().st_mtime_ns for p in diverged.iterdir()} == before
    assert status(planned[0].folder)["status"] == "finished"


@pytest.mark.slow
def test_a_sweep_trains_seeds_together_and_tells_of_each(fork_server, tmp_path):
    sweep = ("-m", *SMALL, "epochs=3", "schedule=fixed", "seed=1,2,3", "seeds_per_process=2")
    _, code = fork_server.run(tmp_path, *sweep[:-2], "seed=2")
    assert code == 0
    process, code = fork_server.run(tmp_path, *sweep)
    assert code == 0, process.errors
    assert counts(process) == {"done": 2, "resumed": 0, "skipped": 1, "diverged": 0, "failed": 0}
    told = [x.partition("]")[2].split()[:2] for x in process.errors.splitlines() if x.startswith("[")]
    assert told == [["seed=1:", "done"], ["seed=3:", "done"], ["seed=2:", "finished"]]
    shared = [
        yaml.safe_load((run / "config.yaml").read_text())["seeds_per_process"] for run in runs(tmp_path)
    ]
    assert sorted(shared) == [1, 2, 2]


@pytest.mark.slow
def test_a_sweep_in_which_runs_only_diverge_succeeds(fork_server, tmp_path):
    process, code = fork_server.run(
        tmp_path, "-m", *SMALL, "epochs=3", "optimizer.learning_rate=1e30", "seed=1,2"
    )
    assert code == 0, process.errors
    assert counts(process) == {"done": 0, "resumed": 0, "skipped": 0, "diverged": 2, "failed": 0}
    assert [RunFolder(f).finished_summary()["status"] for f in runs(tmp_path)] == ["diverged"] * 2


@pytest.mark.slow
def test_ctrl_c_ends_a_sweep_with_its_table(fork_server, tmp_path):
    sweep = ("-m", *SMALL, "schedule=fixed", "epochs=60", "seed=1,2,3")
    process = fork_server.start(tmp_path, *sweep)
    wait_for(lambda: list(tmp_path.glob("*-seed2-*/checkpoint.safetensors")))
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert counts(process) == {
        "done": 1, "resumed": 0, "skipped": 0, "diverged": 0, "failed": 0, "not reached": 2
    }  # fmt: skip
    assert process.errors.endswith("interrupted: the same command (without overwrite=true) continues\n")
    assert [status(f)["status"] for f in runs(tmp_path)] == ["finished", "interrupted"]


WRONG = [
    (("-m", "physics=heat1d", "seed=1,2,-1"), "seed=-1: allowed is an integer from 0 to 2^32 - 1"),
    (("-m", "physics=heat1d,poisson", "epochs=1,0"), "epochs=0: allowed is an integer >= 1"),
    (("-m", "experiment=fig_4", "physics=poisson"), "physics=poisson: no job of the experiment has that"),
    (("-m", "experiment=fig_7", "physics=heat1d,het"), "physics=het: allowed are burgers, heat1d,"),
    (("-m", "experiment=fig_4,fig_7"), "experiment=fig_4,fig_7: allowed is one at a time"),
    (("-m", "experiment=fig_99"), "Could not find 'experiment/fig_99'"),
    (
        ("experiment=fig_4",),
        "experiment=fig_4: allowed with -m, since it is a sweep: python train.py -m experiment=fig_4",
    ),
    (("-m", "physics=heat1d", "seeds_per_process=0"), "seeds_per_process=0: allowed is an integer >= 1"),
    (
        ("physics=heat1d", "seeds_per_process=2"),
        "seeds_per_process=2: allowed with -m; for one group seed=",
    ),
    (("physics=heat1d", "seed=[1,1]"), "seed=[1, 1]: allowed is an integer, or a list of different ones"),
]


@pytest.mark.fast("arguments3")
@pytest.mark.parametrize(("arguments", "told"), some_fast(WRONG, WRONG[::3]))
def test_a_wrong_sweep_is_one_line_before_anything_is_computed(fork_server, tmp_path, arguments, told):
    process, code = fork_server.run(tmp_path / "runs", *arguments)
    assert (code, process.output) == (1, "")
    (line,) = process.errors.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_narrowed_preset_runs_as_a_sweep_under_the_names_of_single_runs(fork_server, conf, tmp_path):
    process, code = fork_server.run(tmp_path, "-m", "experiment=fig_13", *SMALL, "epochs=1", "seed=1")
    assert code == 0, process.errors
    assert counts(process)["done"] == 2
    schedules = ("prdp", "tolerance_prdp")
    jobs = [(*SMALL, f"schedule={s}", "epochs=1", "seed=1") for s in schedules]
    assert runs(tmp_path) == sorted(job.folder for job in plan(jobs, [f"runs_dir={tmp_path}"]))


@pytest.fixture
def reproduce(monkeypatch, tmp_path):
    """`reproduce(*arguments)`: scripts/reproduce.py with its results in an empty folder."""
    module = importlib.import_module("scripts.reproduce")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(module, "RECORDS", tmp_path / "results" / "records")

    def reproduce(*arguments):
        monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
        module.main()

    reproduce.module = module
    return reproduce


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fig_99",), f"error: fig_99: no such experiment; there are {', '.join(PRESETS)}"),
        (("fig_4", "--physics", "burgers"), "(physics is one of heat1d)"),
        (("fig_4", "--seeds", "0"), 2),
    ],
)
def test_reproduce_refuses_what_there_is_not(reproduce, tmp_path, arguments, told):
    with pytest.raises(SystemExit) as raised:
        reproduce(*arguments)
    assert raised.value.code == told or told in raised.value.code
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_reproduce_tells_what_it_would_cost_and_does_nothing(reproduce, tmp_path, capsys):
    reproduce("fig_3", "fig_4", "fig_5", "--seeds", "2", "--physics", "heat1d", "--dry-run")
    captured = capsys.readouterr()
    assert [line.split()[:2] for line in captured.out.splitlines()] == [["fig_4", "22"], ["fig_5", "1"]]
    assert "23 jobs, 0 finished before; 23 to run, for which there is no estimate" in captured.err
    assert not (tmp_path / "results").exists()


def test_reproduce_trains_collects_and_reports_and_fails_if_a_job_did(
    reproduce, tmp_path, monkeypatch, capsys
):
    jobs = [
        ("physics=poisson", "epochs=2", "converged_iterations=null", "solver.tolerance=0"),
        ("physics=poisson", "epochs=2"),
    ]
    started = []
    monkeypatch.setattr(reproduce.module, "preset_jobs", lambda *_: jobs)
    monkeypatch.setattr("prdp.suite.collect.preset_names", lambda: ["fig_3"])
    monkeypatch.setattr("prdp.suite.collect.preset_jobs", lambda *_: jobs)
    starting = types.SimpleNamespace(run=lambda command, check: started.append(Path(command[1]).stem))
    monkeypatch.setattr(reproduce.module, "subprocess", starting)
    with pytest.raises(SystemExit) as raised:
        reproduce("fig_3")
    assert raised.value.code == 1
    assert "does not reach solver.tolerance=0.0" in capsys.readouterr().err
    assert started == ["tables", "claims", "figures", "report"]
    records = load(tmp_path / "results" / "records")
    assert len(records.summaries) == 1
    assert records.jobs["run"].notna().tolist() == [
        o == "physics=poisson epochs=2" for o in records.jobs["overrides"]
    ]
