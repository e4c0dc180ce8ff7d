"""A full disk and truncated files: nothing finished is lost, nothing half-written is read as whole."""

import errno
import hashlib
import os
import shutil
import subprocess

import pandas as pd
import pytest

from prdp.analysis import load_runs
from prdp.config import Config
from prdp.records import RunFolder
from prdp.tracking import Sink
from tests.cases import some_fast
from tests.test_survival import ONE, WHOLE, assert_same_records, history, status


class OnRow(Sink):
    def __init__(self, on_row):
        self.row = on_row


@pytest.fixture(scope="module")
def whole(run_in, tmp_path_factory):
    """ONE, computed in this process."""
    return run_in(tmp_path_factory.mktemp("whole"), *ONE).folder


class Disk:
    """A file system of a few megabytes.

    Attributes:
        path: where it is mounted.
    """

    page = 4096

    def __init__(self, path):
        self.path = path

    def fill(self, pages):
        """Leave so many pages free."""
        space = os.statvfs(self.path)
        size = space.f_bavail * space.f_frsize - pages * self.page
        with (self.path / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def empty(self):
        """Make room again."""
        (self.path / "filler").unlink()


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(str(error))
    if done.returncode:
        pytest.skip(done.stderr)
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# When the disk fills up, for what there is room left then, and what `status.json` can still say.
FULL = {
    "start": (None, (), None),
    "checkpoint and status": (5, (), "running"),
    "history": (20, ("status.json",), "failed"),
    "summary": (20, ("history.parquet",), "running"),
    "last status": (20, ("history.parquet", "summary.json"), "running"),
}


@pytest.mark.fast("history")
@pytest.mark.parametrize("moment", some_fast(FULL, ("start", "checkpoint and status", "history")))
def test_a_full_disk_ends_a_run_and_with_room_it_goes_on(run_in, disk, whole, monkeypatch, caplog, moment):
    epoch, room, left = FULL[moment]
    pages = sum(-(-(whole / name).stat().st_size // disk.page) for name in room)
    before = run_in(disk.path / "runs", "physics=poisson", "epochs=2").folder
    contents = {p: hashlib.sha256(p.read_bytes()).digest() for p in before.iterdir()}

    def on_row(row):
        if row["epoch"] == epoch:
            disk.fill(pages)

    if epoch is None:
        disk.fill(pages)
    with monkeypatch.context() as patch:
        patch.setattr(Config, "new_sink", lambda config: OnRow(on_row))
        with pytest.raises(OSError, match="No space left on device") as raised:
            run_in(disk.path / "runs", *ONE)
    assert raised.value.errno == errno.ENOSPC
    folder = disk.path / "runs" / whole.name
    assert status(folder).get("status") == left
    if left == "failed":
        assert "No space left on device" in status(folder)["traceback"]
    assert (left == "running") == ("No space left on device" in caplog.text)
    assert not list(folder.glob(".*.tmp"))
    assert RunFolder(folder).finished_summary() is None
    assert list(load_runs([folder, before]).summaries["run"]) == [before.name]
    assert {p: hashlib.sha256(p.read_bytes()).digest() for p in before.iterdir()} == contents

    disk.empty()
    outcome = run_in(disk.path / "runs", *ONE)
    assert outcome.resumed == (epoch is not None)
    assert_same_records([outcome.folder], [whole])


@pytest.mark.slow
def test_ctrl_c_stops_a_run_on_a_full_disk(run_in, disk, whole, monkeypatch, caplog):
    def on_row(row):
        if row["epoch"] == 5:
            disk.fill(0)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Config, "new_sink", lambda config: OnRow(on_row))
        with pytest.raises(KeyboardInterrupt):
            run_in(disk.path / "runs", *ONE)
    assert "No space left on device" in caplog.text
    disk.empty()
    outcome = run_in(disk.path / "runs", *ONE)
    assert outcome.resumed
    assert_same_records([outcome.folder], [whole])


def test_what_a_killed_process_left_makes_room_for_the_next(run_in, disk, whole):
    folder = disk.path / "runs" / whole.name
    folder.mkdir(parents=True)
    (folder / ".checkpoint.safetensors.abc.tmp").write_bytes(bytes(2**20))
    disk.fill(0)
    assert_same_records([run_in(disk.path / "runs", *ONE).folder], [whole])


def cuts(content):
    """Return what may be left of a file, from nothing to all but its end."""
    lines = [i + 1 for i, c in enumerate(content[:-1]) if c == ord("\n")]
    return {content[:n] for n in (0, 1, len(content) // 2, len(content) - 2, *lines)} - {content}


@pytest.mark.fast("history.parquet")
@pytest.mark.parametrize("name", some_fast(sorted(WHOLE), ("config.yaml", "history.parquet")))
def test_a_run_with_a_truncated_file_is_not_read_as_whole(tmp_path, whole, name):
    folder, other = (shutil.copytree(whole, tmp_path / name) for name in ("folder", "other"))
    assert list(load_runs([folder, other]).summaries["run"]) == ["folder", "other"]
    content = (folder / name).read_bytes()
    for left in cuts(content):
        (folder / name).write_bytes(left)
        assert RunFolder(folder).finished_summary() is None, left
        assert load_runs([folder, other]).summaries["run"].to_list() == ["other"], left
    (folder / name).write_bytes(content)
    assert RunFolder(folder).finished_summary() is not None


@pytest.mark.fast("summary.json")
@pytest.mark.parametrize("name", some_fast(sorted(WHOLE), ("summary.json", "history.parquet")))
def test_a_run_with_a_truncated_file_is_computed_again(run_in, tmp_path, name):
    options = ("physics=poisson", "epochs=2")
    first = run_in(tmp_path, *options)
    expected = history(first.folder)
    path = first.folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = run_in(tmp_path, *options)
    assert not again.skipped
    pd.testing.assert_frame_equal(history(again.folder), expected, check_exact=True)
    assert run_in(tmp_path, *options).skipped


def test_what_is_left_of_a_checkpoint_goes_with_the_first_who_finds_its_run_finished(run_in, tmp_path):
    options = ("physics=poisson", "epochs=2")
    folder = RunFolder(run_in(tmp_path, *options).folder)
    folder.checkpoint.write_bytes(b"killed between the last status and this file's end")
    assert run_in(tmp_path, *options).skipped
    assert not folder.checkpoint.exists()
