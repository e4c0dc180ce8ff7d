"""What is cached belongs to what made it, and a run says when it was made by other source."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from prdp import preparation, source
from prdp import run as runs
from prdp.data import TrajectoryData, trajectories
from prdp.interrupts import Interrupts
from prdp.physics import FourierSeries, Heat
from prdp.source import source_digest
from tests.test_extension import command, package  # noqa: F401

RUN = ("physics=heat1d", "epochs=2", "converged_iterations=25", "model.width=8", "data.train_samples=25")

PACKAGE = {
    "__init__": "from mine.parts import Part\n",
    "constants": "SPEED = 1.0\nOTHER = 2.0\n",
    "parts": "from .constants import SPEED\n\n\nclass Part:\n    speed = SPEED\n",
    "physics": "from mine import Part\n\n\nclass Base:\n    pass\n\n\nclass Mine(Base, Part):\n    pass\n",
    "sub/__init__": "",
    "sub/late": "VALUE = 3.0\n",
    "apart": "from mine.physics import Mine\n",
    "lazy": "class Lazy:\n    def get(self):\n        from mine.sub import late\n        return late.VALUE\n",
}


@pytest.fixture
def digest_of(tmp_path):
    """`digest_of(module, name, **changes)`: the digest of a class of a package, in a process of its own."""

    def digest_of(module, name, place="package", **changes):
        for file, text in (PACKAGE | {k.replace("__", "/"): v for k, v in changes.items()}).items():
            path = tmp_path / place / "mine" / f"{file}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        program = (
            f"import sys; sys.path.insert(0, {str(tmp_path / place)!r})\n"
            f"from mine.{module} import {name}\nfrom prdp.source import source_digest\nprint(source_digest([{name}]))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return digest_of


def test_a_digest_covers_what_a_class_rests_on_and_nothing_else(digest_of):
    before = digest_of("physics", "Mine")
    assert len(before) == 16
    assert digest_of("physics", "Mine", place="elsewhere") == before
    assert digest_of("physics", "Mine", apart="# Changed.\n") == before
    for changes in (
        {"constants": "SPEED = 1.5\n"},
        {"parts": PACKAGE["parts"].replace("= SPEED", "= 2 * SPEED")},
        {"physics": PACKAGE["physics"].replace("pass", "x = 1", 1)},
    ):
        assert digest_of("physics", "Mine", **changes) != before
    lazy = digest_of("lazy", "Lazy")
    assert digest_of("lazy", "Lazy", sub__late="VALUE = 4.0\n") != lazy


def test_a_digest_costs_little_and_is_kept_while_a_file_is_edited(tmp_path, monkeypatch):
    code = (
        "import time, prdp.data; from prdp.physics import *; d = prdp.data.TrajectoryData(FourierSeries())\n"
    )
    code += "t = time.perf_counter(); s = d.source(Heat(1, 8)); print(s, time.perf_counter() - t)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    digest, seconds = done.stdout.split()
    data = TrajectoryData(FourierSeries())
    assert data.source(Heat(1, 8)) == digest
    # On a quiet machine six thousandths.
    assert float(seconds) < 0.1
    began = time.perf_counter()
    assert data.source(Heat(1, 8)) == digest
    assert time.perf_counter() - began < 0.02
    # A file that is edited now is not what runs.
    monkeypatch.setattr(source, "_read", lambda *arguments: "changed")
    assert data.source(Heat(1, 8)) == digest


def test_what_makes_data_is_its_source_and_the_rest_of_prdp_is_not():
    names = {type(x).__module__ for x in (Heat(1, 8), FourierSeries(), TrajectoryData(FourierSeries()))} | {
        "prdp.data.reference"
    }
    found = set(source._closure(names, {"prdp"}, frozenset(trajectories._WITHOUT)))
    assert {"prdp.physics.base", "prdp.physics.initial_conditions", "prdp.linalg.stencils"} <= found
    assert {"prdp.data.trajectories", "prdp.data.reference", "prdp.solvers.direct"} <= found
    parts = {name.split(".")[1] for name in found}
    assert parts == {"physics", "linalg", "data", "solvers"}
    assert not found & {"prdp.physics.burgers", "prdp.solvers.gmres", "prdp.data.cache"}


def test_data_of_changed_source_is_made_again(tmp_path, monkeypatch):
    data, physics = TrajectoryData(FourierSeries(), 3, 1), Heat(1, 8)
    data.load(physics, np.float32, tmp_path)
    made = []
    generate = TrajectoryData.generate

    def counted(self, *arguments):
        made.append(1)
        return generate(self, *arguments)

    monkeypatch.setattr(TrajectoryData, "generate", counted)
    data.load(physics, np.float32, tmp_path)
    assert not made
    monkeypatch.setattr(trajectories, "source_digest", lambda *arguments: "0" * 16)
    data.load(physics, np.float32, tmp_path)
    data.load(physics, np.float32, tmp_path)
    assert len(made) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_data_of_a_class_without_source_is_not_cached(tmp_path, caplog):
    names = {"__name__": "nowhere", "Heat": Heat}
    exec("class Typed(Heat):\n    pass", names)
    data = TrajectoryData(FourierSeries(), 3, 1)
    assert source_digest([names["Typed"]]) is None
    loaded = data.load(names["Typed"](1, 8), np.float32, tmp_path)
    np.testing.assert_array_equal(loaded.train, data.load(Heat(1, 8), np.float32, tmp_path).train)
    assert len(list(tmp_path.iterdir())) == 1
    assert "Typed has no source to tell its reference data by: the data is not cached" in caplog.text


@pytest.mark.slow
def test_a_run_of_other_source_is_skipped_and_says_so(run_in, tmp_path, monkeypatch, caplog):
    first = run_in(tmp_path, *RUN)
    noted = json.loads((first.folder / "provenance.json").read_text())
    assert len(noted["source"]) == 16
    assert noted["earlier_sources"] == []
    assert run_in(tmp_path, *RUN).skipped
    assert caplog.messages == []
    monkeypatch.setattr(preparation, "source_digest", lambda *arguments: "0" * 16)
    assert run_in(tmp_path, *RUN).skipped
    told = (
        "was finished by other source than the present one: the same command with overwrite=true repeats it"
    )
    assert caplog.messages == [f"{first.folder} {told}"]
    caplog.clear()
    assert not run_in(tmp_path, *RUN, "overwrite=true").skipped
    assert run_in(tmp_path, *RUN).skipped
    assert caplog.messages == []


@pytest.mark.slow
def test_a_run_that_does_not_know_its_source_says_nothing(run_in, tmp_path, caplog):
    first = run_in(tmp_path, *RUN)
    path = first.folder / "provenance.json"
    whole = json.loads(path.read_text())
    of_a_version_without = {k: v for k, v in whole.items() if k not in ("source", "earlier_sources")}
    # Neither had checksums.
    status = first.folder / "status.json"
    status.write_text(json.dumps({k: v for k, v in json.loads(status.read_text()).items() if k != "sha256"}))
    for noted in (json.dumps(of_a_version_without), json.dumps({**whole, "source": None})):
        path.write_text(noted)
        assert run_in(tmp_path, *RUN).skipped
        assert caplog.messages == []
    for noted in ("", "[]"):
        path.write_text(noted)
        assert runs.RunFolder(first.folder).sources() == []


@pytest.mark.slow
def test_a_checkpoint_of_other_source_warns_and_the_run_notes_both(run_in, tmp_path, monkeypatch, caplog):
    check = Interrupts.check
    monkeypatch.setattr(Interrupts, "check", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path, *RUN)
    monkeypatch.setattr(Interrupts, "check", check)
    (folder,) = tmp_path.iterdir()
    before = json.loads((folder / "provenance.json").read_text())["source"]
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "source_digest", lambda *arguments: "0" * 16)
        assert run_in(tmp_path, *RUN).resumed
        told = "goes on from a checkpoint that other source than the present one wrote: overwrite=true begins anew"
        assert caplog.messages == [f"{folder} {told}"]
        noted = json.loads((folder / "provenance.json").read_text())
        assert (noted["source"], noted["earlier_sources"]) == ("0" * 16, [before])
        caplog.clear()
        # It is of both.
        assert run_in(tmp_path, *RUN).skipped
        assert len(caplog.messages) == 1


@pytest.mark.slow
def test_a_physics_with_a_corrected_formula_trains_on_its_own_data(command, package):  # noqa: F811
    options = [
        "physics=advection",
        "epochs=1",
        "runs_dir=corrected",
        "data_dir=of_both",
        "converged_iterations=20",
    ]
    command(*options)
    file = package / "mine" / "advection.py"
    text = file.read_text()
    try:
        file.write_text(text.replace("self.speed * backward", "2 * self.speed * backward"))
        again = command(*options)
        assert "(finished before)" in again.stdout
        (line,) = [x for x in again.stderr.splitlines() if "other source" in x]
        assert line.endswith("the same command with overwrite=true repeats it")
        assert "other source" not in command(*options, "overwrite=true").stderr
        assert "other source" not in command(*options).stderr
    finally:
        file.write_text(text)
    assert len(list((package / "of_both").glob("advection-*.safetensors"))) == 2
