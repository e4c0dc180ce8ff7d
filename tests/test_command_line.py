"""What the command line does beside training: refusals, dry runs, signals, exit codes, other sweepers."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from prdp.records import RunFolder
from prdp.tracking import Sink
from tests.cases import some_fast
from tests.conftest import OPTIONS, ROOT

SMALL = (
    "physics=heat1d",
    "model.width=8",
    "model.depth=1",
    "data.train_samples=50",
    "converged_iterations=25",
)


def only_run(folder):
    (run,) = (p for p in folder.glob("*-*") if not p.name.startswith("."))
    return run


@pytest.fixture(scope="module")
def finished(run_in, tmp_path_factory):
    """The folder of a finished run of SMALL."""
    return run_in(tmp_path_factory.mktemp("finished"), *SMALL, "epochs=2").folder


@pytest.mark.slow
def test_a_dry_run_says_what_there_would_be_and_computes_nothing(train, tmp_path, finished):
    shutil.copytree(finished, tmp_path / "runs" / finished.name)
    before = sorted(tmp_path.rglob("*"))
    done = train(*SMALL, "epochs=2", "seed=[0,1]", "dry_run=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"finished before: {tmp_path / 'runs' / finished.name}"
    assert done.stdout.splitlines()[1].startswith(
        f"to run: {tmp_path / 'runs' / 'heat1d-jacobi-implicit-prdp-seed1-'}"
    )
    assert [p for p in sorted(tmp_path.rglob("*")) if p not in before] == [tmp_path / "cwd"]


@pytest.mark.slow
@pytest.mark.parametrize("preview", [(), ("dry_run=true",)])
def test_a_folder_that_cannot_be_made_is_refused_in_a_dry_run_too(train, preview):
    done = train(*SMALL, "epochs=2", f"runs_dir={'x' * 300}", *preview)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: runs_dir='xxx")


@pytest.mark.slow
def test_a_dry_run_says_how_long_recorded_runs_of_its_kind_took(train):
    assert re.search(r", about \d+ s by recorded runs$", train("physics=heat1d", "dry_run=true").stdout)
    # Nothing of this size was recorded.
    assert "about" not in train(*SMALL, "dry_run=true").stdout


@pytest.mark.slow
def test_a_dry_sweep_lists_its_jobs(train, tmp_path):
    done = train("-m", *SMALL, "seed=1,2", "dry_run=true")
    assert done.returncode == 0
    # A narrow terminal breaks lines anywhere.
    text = "".join(done.stderr.split())
    assert text.count(f"->{tmp_path / 'runs' / 'heat1d-'}") == 2
    assert not list((tmp_path / "runs").glob("heat1d-*"))


@pytest.mark.slow
def test_a_diverged_run_says_so_and_has_an_exit_code_of_its_own(train, tmp_path):
    done = train(*SMALL, "epochs=3", "optimizer.learning_rate=1e30")
    assert done.returncode == 3
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("diverged: ")]
    assert "after epoch" in line
    assert json.loads((only_run(tmp_path / "runs") / "status.json").read_text())["status"] == "diverged"


@pytest.mark.fast("arguments0")
@pytest.mark.parametrize(
    ("arguments", "environment", "answer"),
    [
        (["hydra/launcher=processes"], {}, "hydra/launcher=processes: allowed with -m"),
        (
            ["epochs=1"],
            {"JAX_PLATFORMS": "cuda"},
            "JAX_PLATFORMS=cuda: allowed is a platform that this machine has",
        ),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(train, tmp_path, arguments, environment, answer):
    done = train(*SMALL, *arguments, **environment)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {answer}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_folder_is_no_configuration_directory_and_can_be_run_again(finished, tmp_path):
    command = [sys.executable, str(ROOT / "train.py"), f"--config-dir={finished}", "--config-name=config"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert f"make rerun RUN={finished}" in done.stderr
    again = [sys.executable, str(ROOT / "scripts" / "rerun.py"), str(finished), f"runs_dir={tmp_path}"]
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert only_run(tmp_path).name == finished.name


@pytest.mark.slow
def test_a_run_of_an_earlier_version_can_be_run_again(finished, tmp_path):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    # Keys that came later.
    for key in ("test_sets", "test_key"):
        del config["data"][key]
    del config["dry_run"]
    old = tmp_path / "old"
    old.mkdir()
    (old / "config.yaml").write_text(yaml.safe_dump(config))
    again = [sys.executable, str(ROOT / "scripts" / "rerun.py"), str(old), f"runs_dir={tmp_path / 'runs'}"]
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert only_run(tmp_path / "runs").name == finished.name


@pytest.mark.slow
def test_a_signal_while_libraries_clean_up_is_answered_without_a_traceback(data_dir, tmp_path):
    """JAX's cleaning is held up until the signal has come."""
    held = "import atexit, runpy, sys, time; import jax; atexit.register(time.sleep, 20); sys.argv[:] = sys.argv[1:]; "
    command = f"{held}print('imported', flush=True); runpy.run_path(sys.argv[0], run_name='__main__')"
    options = (*SMALL, "epochs=2", f"runs_dir={tmp_path}", f"data_dir={data_dir}", "progress=false")
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(ROOT / "train.py"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (list(tmp_path.glob("*/status.json")) and RunFolder(only_run(tmp_path)).finished_summary()):
        assert process.poll() is None
        time.sleep(0.1)
    # It prints, and leaves the main module.
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", some_fast([signal.SIGTERM, signal.SIGHUP, signal.SIGINT], [signal.SIGHUP]))
def test_a_signal_saves_and_has_its_own_exit_code(data_dir, tmp_path, number):
    options = (
        *SMALL,
        "epochs=100000",
        "checkpoint_seconds=0",
        f"runs_dir={tmp_path}",
        f"data_dir={data_dir}",
    )
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *options, "progress=false"],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("*/checkpoint.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.decode().startswith("interrupted: the same command")
    assert json.loads((only_run(tmp_path) / "status.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_signals_while_it_starts_end_it_cleanly(tmp_path):
    for i in range(40):
        process = subprocess.Popen(
            [
                sys.executable,
                str(ROOT / "train.py"),
                *SMALL,
                "epochs=100000",
                f"runs_dir={tmp_path / str(i)}",
            ],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(0.05 + 0.1 * i)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        # Python itself dies of the signal before it reads the script.
        assert process.returncode in (130, -signal.SIGINT), (i, process.returncode)


@pytest.mark.slow
def test_a_sweeper_of_hydras_own_ends_with_an_error_when_a_job_fails(train, tmp_path):
    done = train("-m", "hydra/sweeper=basic", *SMALL, "epochs=1", "solver.tolerance=2")
    assert done.returncode == 1
    assert "solver.tolerance=2.0: allowed is 0 <= tolerance < 1" in done.stderr


def test_a_folder_that_is_removed_while_it_runs_is_written_again(run_in, tmp_path, monkeypatch, caplog):
    class Remove(Sink):
        def row(self, row):
            if row["epoch"] == 1:
                shutil.rmtree(only_run(tmp_path))

    monkeypatch.setattr("prdp.config.Config.new_sink", lambda config: Remove())
    outcome = run_in(tmp_path, *SMALL, "epochs=2")
    assert RunFolder(outcome.folder).finished_summary() is not None
    assert "was removed while it was being computed" in caplog.text


@pytest.mark.slow
def test_a_finished_run_is_shown_to_a_sink_that_it_did_not_have(run_in, tmp_path, monkeypatch):
    run_in(tmp_path, *SMALL, "epochs=2")
    shown = []

    class Late(Sink):
        def lacks(self, folder):
            return not shown

        def start(self, info):
            shown.append([row["epoch"] for row in info.rows])

        def finish(self, summary):
            shown.append(summary["status"])

    monkeypatch.setattr("prdp.config.Config.new_sink", lambda config: Late())
    for _ in range(2):
        assert run_in(tmp_path, *SMALL, "epochs=2").skipped
    assert shown == [[0, 1, 2], "finished"]


@pytest.mark.slow
def test_tracking_is_added_to_a_finished_run_once(run_in, tmp_path):
    pytest.importorskip("wandb")
    folder = run_in(tmp_path, *SMALL, "epochs=2").folder
    for _ in range(2):
        assert run_in(tmp_path, *SMALL, "epochs=2", "tracking=wandb").skipped
        assert len([p for p in (folder / "wandb").glob("*run-*") if p.is_dir()]) == 1


@pytest.mark.slow
def test_help_shows_the_keys_of_every_option():
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "--help"], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Powered by Hydra" in done.stdout
    words = done.stdout.split()
    for group, name in OPTIONS:
        assert f"{group}={name}" in words
        content = yaml.safe_load((ROOT / "conf" / group / f"{name}.yaml").read_text())
        keys = content["physics"] if group == "physics" else content
        for key in set(keys) - {"name", "_target_"}:
            assert any(word.startswith(f"{group}.{key}=") for word in words), (group, name, key)


@pytest.mark.slow
def test_an_environment_variable_that_is_a_number_gets_a_hint(train):
    done = train("seed=${oc.env:NO_SUCH_VARIABLE,5}", "dry_run=true")
    assert done.stderr.strip() == (
        "error: seed='5': allowed is an integer (environment variables are texts: "
        "'${oc.decode:${oc.env:NO_SUCH_VARIABLE,5}}' with these quotes is a number)"
    )
    assert train("seed='${oc.decode:${oc.env:NO_SUCH_VARIABLE,5}}'", "dry_run=true").returncode == 0


@pytest.mark.slow
def test_poisson_shows_the_savings_of_the_tables_too(train):
    done = train("physics=poisson")
    # Rounding decides the last levels of K: 31.9 % with all of the compiler's optimisations.
    found = re.search(r"savings in the tables: (.*)%; converged physics is charged 125 updates", done.stdout)
    assert 30 < float(found[1]) < 34
