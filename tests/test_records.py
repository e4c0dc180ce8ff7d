"""What a run leaves behind: its numbers, its columns, its files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import prdp
from prdp import atomic
from prdp.records import COLUMNS, RunFolder, RunIsHeld, digest, history_frame, provenance, run_name, summarise
from prdp.records.schema import TIMINGS, savings

IDENTITY = {"physics": "heat1d", "solver": "jacobi", "diff": "implicit", "schedule": "prdp", "seed": 0}


def row(epoch, **changes):
    """A row of a run with two updates an epoch, K = 3 from the second epoch on and K = 1 before."""
    total = {0: 0, 1: 2, 2: 8, 3: 14}[epoch]
    return {
        "epoch": epoch,
        "updates": 2 * epoch,
        "iterations": 1 if epoch < 2 else 3,
        "tolerance": 1e-5,
        "iterations_total": total,
        "iterations_executed_total": total,
        "matvecs_total": total,
        "adjoint_matvecs_total": 2 * total,
        "train_loss": float("nan") if epoch == 0 else 1.0 / epoch,
        "val_error": [1.0, 0.5, 0.2, 0.3][epoch],
        "val_error_step_1": 0.1,
        "smoothed": float("nan"),
        "ratio_step": float("nan"),
        "ratio_stop": float("nan"),
        "refined": epoch == 1,
        "residual_mean": 0.0,
        "residual_max": 0.0,
        "solver_status": 0,
        "seconds_train": 0.5,
        "seconds_validate": 0.25,
        "seconds_compile": 2.0 if epoch == 0 else 0.0,
        **changes,
    }


ROWS = [row(e) for e in range(4)]


@pytest.mark.parametrize(
    ("levels", "converged", "total", "incomplete", "progressive"),
    [
        # Heat 1D: K ends at 9 of 25, after 20 epochs each of 1, 3, 5, 7 and 9. 500 of 2500 iterations.
        ([1] * 20 + [3] * 20 + [5] * 20 + [7] * 20 + [9] * 20, 25, 0.8, 0.64, 0.16),
        # Poisson: K reaches what converges, so that all of it is progressive refinement.
        ([100, 200, 300, 600], 600, 0.5, 0.0, 0.5),
        ([25] * 7, 25, 0.0, 0.0, 0.0),
        # A low K throughout saves by incomplete convergence alone.
        ([10] * 7, 25, 0.6, 0.6, 0.0),
        # K above what converges costs.
        ([50], 25, -1.0, -1.0, 0.0),
        # The last level counts, not the largest.
        ([4, 8, 2], 10, 1 - 14 / 30, 0.8, 0.2 - 14 / 30),
        ([], 25, 0.0, 0.0, 0.0),
    ],
)
def test_savings_are_those_of_the_formula(levels, converged, total, incomplete, progressive):
    got = savings(levels, converged)
    assert list(got) == ["savings", "savings_incomplete_convergence", "savings_progressive_refinement"]
    np.testing.assert_allclose(list(got.values()), [total, incomplete, progressive], atol=1e-12)


def test_the_summary_is_computed_from_the_rows():
    assert summarise(ROWS, {}, IDENTITY, 12, 1, "finished") == {
        **IDENTITY,
        "epochs": 3,
        "updates": 6,
        "iterations_final": 3,
        "converged_iterations": 12,
        "iterations_total": 14,
        "iterations_converged_total": 72,
        "iterations_executed_total": 14,
        "matvecs_total": 14,
        "adjoint_matvecs_total": 28,
        "savings": pytest.approx(1 - 7 / 36),
        "savings_incomplete_convergence": 0.75,
        "savings_progressive_refinement": pytest.approx(1 - 7 / 36 - 0.75),
        "val_error_final": 0.3,
        "val_error_best": 0.2,
        "val_error_step_1_final": 0.1,
        "seconds_train": 2.0,
        "seconds_validate": 1.0,
        "seconds_compile": 2.0,
        "compilations": 1,
        "solver_status": 0,
        "adjoint_status": 0,
        "status": "finished",
    }


def test_a_run_that_trained_nothing_has_a_summary():
    summary = summarise(ROWS[:1], {}, IDENTITY, 12, 1, "finished")
    assert (summary["epochs"], summary["iterations_final"], summary["savings"]) == (0, 1, 0.0)


def test_the_history_has_its_columns_in_order_with_their_types(tmp_path):
    frame = history_frame(ROWS)
    columns = list(COLUMNS)
    at = columns.index("val_error") + 1
    assert list(frame.columns) == [*columns[:at], "val_error_step_1", *columns[at:]]
    assert {c: str(t) for c, t in frame.dtypes.items()} == {**COLUMNS, "val_error_step_1": "float64"}
    frame.to_parquet(tmp_path / "h.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "h.parquet"), frame, check_exact=True)
    assert set(TIMINGS) == {c for c in COLUMNS if c.startswith("seconds_")}


def test_a_history_without_one_of_its_columns_is_refused():
    with pytest.raises(KeyError, match="matvecs_total"):
        history_frame([{k: v for k, v in r.items() if k != "matvecs_total"} for r in ROWS])


@pytest.mark.parametrize("existing", [None, b"old"])
@pytest.mark.parametrize("step", ["os.fsync", "os.fdopen", "pathlib.Path.replace"])
def test_a_crash_while_writing_leaves_the_old_file_alone(tmp_path, monkeypatch, step, existing):
    path = tmp_path / "folder" / "file"
    if existing is not None:
        atomic.write_bytes(path, existing)

    def crash(*arguments, **options):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(step, crash)
        with pytest.raises(OSError, match="no space left"):
            atomic.write_bytes(path, b"new")
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == ({"file": existing} if existing else {})
    atomic.write_bytes(path, b"new")
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == {"file": b"new"}


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "file"
    atomic.write_text(path, "old")
    program = """
import os, pathlib, sys
from prdp import atomic
os.fsync = lambda handle: os.kill(os.getpid(), 9)
atomic.write_text(pathlib.Path(sys.argv[1]), "new")
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(prdp.__file__).parents[1])
    assert done.returncode == -9
    assert path.read_text() == "old"


def test_written_files_can_be_read_by_others(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"b": 1, "a": [float("nan")]})
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644
    text = (tmp_path / "a.json").read_text()
    assert text.endswith("\n")
    assert list(json.loads(text)) == ["b", "a"]


def test_provenance_says_which_code_ran_where():
    found = provenance()
    assert set(found) == {
        *("prdp", "commit", "uncommitted_changes", "command", "python", "packages"),
        *("platform", "device", "device_count", "cpu_count"),
    }
    assert json.loads(json.dumps(found)) == found
    assert found["prdp"] == prdp.__version__
    assert found["command"] == sys.argv
    assert all(found["packages"][name] for name in ("jax", "jaxlib", "flax", "optax", "numpy", "hydra-core"))
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(prdp.__file__).parent, capture_output=True, text=True
    )
    assert found["commit"] == (git.stdout.strip() if git.returncode == 0 else None)
    assert (found["uncommitted_changes"] is None) == (found["commit"] is None)


def test_provenance_does_not_need_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = provenance()
    assert (found["commit"], found["uncommitted_changes"]) == (None, None)


def test_changes_of_results_are_not_changes_of_code(monkeypatch, tmp_path):
    code, result = tmp_path / "prdp" / "__init__.py", tmp_path / "results" / "records" / "a.json"
    for path in (code, result):
        path.parent.mkdir(parents=True)
        path.write_text("1")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(prdp, "__file__", str(code))
    result.write_text("2")
    assert provenance()["uncommitted_changes"] is False
    code.write_text("2")
    assert provenance()["uncommitted_changes"] is True


def test_the_digest_is_that_of_the_content():
    a, b = {"x": 1, "y": {"z": 0.1, "w": None}}, {"y": {"w": None, "z": 0.1}, "x": 1}
    assert digest(a) == digest(b)
    assert digest(a) != digest({**a, "x": 2})
    assert len(digest(a)) == 8
    # It names folders that exist: another one would lose them.
    assert run_name(IDENTITY, a) == f"heat1d-jacobi-implicit-prdp-seed0-{digest(a)}"
    assert digest({"seed": 0}) == "de7d7744"


def finished(path):
    folder = RunFolder(path)
    folder.acquire()
    folder.begin({"seed": 0}, {})
    folder.end(ROWS, summarise(ROWS, {}, IDENTITY, 12, 1, "finished"))
    folder.release()
    return folder


def test_a_finished_run_is_one_with_all_of_its_files_whole(tmp_path):
    folder = finished(tmp_path / "run")
    assert folder.finished_summary()["status"] == "finished"
    names = {"config.yaml", "history.parquet", "provenance.json", "status.json", "summary.json"}
    assert {p.name for p in folder.path.iterdir()} == names
    for name in ("status.json", "summary.json", "history.parquet"):
        path = folder.path / name
        content = path.read_bytes()
        path.unlink()
        assert folder.finished_summary() is None, name
        if name.endswith(".json"):
            path.write_bytes(content[: len(content) // 2])
            assert folder.finished_summary() is None, name
        path.write_bytes(content)
    assert folder.finished_summary() is not None


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_an_unfinished_run_has_no_summary(tmp_path, status):
    folder = finished(tmp_path / "run")
    folder.set_status(status)
    assert folder.finished_summary() is None


def test_a_discarded_run_leaves_nothing_but_the_lock(tmp_path):
    finished(tmp_path / "run")
    (tmp_path / "run" / "wandb").mkdir()
    (tmp_path / "run" / "wandb" / "file").write_text("x")
    folder = RunFolder(tmp_path / "run")
    folder.acquire()
    folder.discard()
    assert [p.name for p in folder.path.iterdir()] == [".lock"]
    folder.release()


def test_one_holder_at_a_time(tmp_path):
    first, second, third = (RunFolder(tmp_path / "run") for _ in range(3))
    first.acquire()
    for other in (second, third):
        with pytest.raises(RunIsHeld, match=f"process {os.getpid()} on "):
            other.acquire()
        # The refused one lets go of nothing that is not its own.
        other.release()
    first.release()
    third.acquire()
    third.release()
