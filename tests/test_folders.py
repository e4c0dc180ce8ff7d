"""Folders that cannot be written are refused in one line, before anything is computed for them."""

import hydra
import pytest

from prdp import preparation
from prdp import run as runs
from prdp.atomic import obstacle
from prdp.config import ConfigError, parse
from prdp.suite import plan, sweeper
from tests.cases import some_fast
from tests.conftest import ROOT

RUN = ("physics=heat1d", "epochs=1", "converged_iterations=25", "model.width=8", "progress=false")


@pytest.fixture
def places(tmp_path):
    """Places where no folder can be."""
    (tmp_path / "file").write_text("in the way")
    return {
        "a file in the way": tmp_path / "file",
        "below a file": tmp_path / "file" / "below" / "it",
        "a long name": tmp_path / ("x" * 300),
        "a long name below": tmp_path / "new" / ("x" * 300) / "runs",
        "a long path": tmp_path.joinpath(*["x" * 200] * 25),
        "of the kernel": "/proc/x",
        "empty": "''",
        "blank": "' '",
        "of nobody": "'~nobody-has-this-name/x'",
    }


WHERE = ["a file in the way", "below a file", "a long name", "a long name below", "a long path", "of the kernel",
         "empty", "blank", "of nobody"]  # fmt: skip


@pytest.mark.parametrize("seeds", some_fast(["seed=0", "seed=[0,1]"], ["seed=0"]))
@pytest.mark.parametrize("key", ["runs_dir", "data_dir"])
@pytest.mark.parametrize("where", WHERE)
def test_a_folder_that_cannot_be_written_is_refused_first(
    compose, tmp_path, places, monkeypatch, key, where, seeds
):
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(runs, "prepare", lambda config: pytest.fail("data was made"))
    folders = {"runs_dir": tmp_path / "r", "data_dir": tmp_path / "d"} | {key: places[where]}
    with pytest.raises(ConfigError) as raised:
        runs.run(compose(*RUN, seeds, *(f"{k}={v}" for k, v in folders.items())))
    assert str(raised.value).startswith(f"{key}=")
    assert ": allowed is " in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_in_place_of_the_run_is_refused(compose, tmp_path):
    composed = compose(*RUN, f"runs_dir={tmp_path}", f"data_dir={tmp_path / 'd'}")
    runs.folder_of(parse(composed)).path.write_text("in the way")
    with pytest.raises(ConfigError, match=f"^runs_dir='{tmp_path}': allowed is a folder .* is no folder"):
        runs.run(composed)


@pytest.mark.slow
def test_home_is_expanded(compose, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (outcome,) = runs.run(compose(*RUN, "runs_dir='~/runs'", "data_dir='~/data'"))
    assert outcome.folder.parent == tmp_path / "runs"
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "data"}
    assert list((tmp_path / "data").glob("heat-*.safetensors"))
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        (job,) = plan([(*RUN, "runs_dir='~/runs'", "data_dir='~/data'")])
    assert job.finished


@pytest.mark.slow
def test_data_that_is_there_may_be_where_nothing_can_be_written(compose, tmp_path, monkeypatch):
    given = (*RUN, "compilation_cache=false", f"data_dir={tmp_path / 'data'}")
    runs.run(compose(*given, f"runs_dir={tmp_path / 'a'}"))
    # Root may write anywhere.
    refuse = lambda path: "Read-only file system" if path == tmp_path / "data" else None  # noqa: E731
    monkeypatch.setattr(preparation, "obstacle", refuse)
    runs.run(compose(*given, f"runs_dir={tmp_path / 'b'}"))
    for other in ("data.amplitude=2", "compilation_cache=true"):
        with pytest.raises(ConfigError, match=r"^data_dir=.*Read-only file system"):
            runs.run(compose(*given, f"runs_dir={tmp_path / 'b'}", "seed=1", other))
    assert sweeper.check_folder is preparation.check_folder


def test_trying_leaves_nothing_behind(tmp_path):
    assert obstacle(tmp_path) is None
    assert obstacle(tmp_path / "a" / "b") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["a file in the way", "a long name", "of the kernel", "empty"])
@pytest.mark.slow
def test_a_sweep_is_refused_in_one_line(train, places, where):
    done = train("-m", *RUN, "seed=1,2", f"runs_dir={places[where]}")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "runs_dir=" in line


@pytest.mark.slow
def test_a_sweep_expands_home(train, tmp_path):
    done = train("-m", *RUN, "seed=1,2", "runs_dir='~/runs'", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "cwd").iterdir()) == []
    assert len(list((tmp_path / "runs").glob("heat1d-*"))) == 2
    # The sweep leaves no folder of its own behind.
    assert not (tmp_path / "runs" / ".sweeps").exists()
