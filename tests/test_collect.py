"""From run folders to committed records: nothing is lost, nothing is changed, and damage is reported."""

import shutil

import hydra
import numpy as np
import pandas as pd
import pytest

from prdp.analysis import Records, load, load_runs, merge, save
from prdp.analysis.run_folders import settings
from prdp.records import RunFolder, provenance, summarise
from prdp.suite import Ledger, plan
from prdp.suite import collect as collecting
from tests.conftest import ROOT
from tests.test_records import IDENTITY, ROWS, row

JOBS = ["experiment", "overrides", "run"]
ORIGIN = provenance()
# Two physics with different columns, in the configuration and in the history.
CONFIGS = {
    "heat1d": {"seed": 0, "physics": {"name": "heat1d", "points": 30}, "schedule": {"iterations": None}},
    "poisson": {
        "seed": 0,
        "physics": {"name": "poisson", "parameters": 3},
        "task": {"reference": [0.62, 1.86]},
    },
}


def left(path, physics="heat1d", seed=0, status="finished", error=0.3, **config):
    """A run folder as a run leaves it."""
    rows = [*ROWS[:3], row(3, val_error=error)]
    if physics == "poisson":
        rows = [{k: v for k, v in r.items() if k != "val_error_step_1"} for r in rows]
    folder = RunFolder(path)
    folder.acquire()
    folder.begin({**CONFIGS[physics], "seed": seed, "runs_dir": str(path.parent), **config}, ORIGIN)
    identity = {**IDENTITY, "physics": physics, "seed": seed}
    folder.end(rows, summarise(rows, {}, identity, 12, 1, status))
    folder.release()
    return path


def jobs(*rows):
    return pd.DataFrame(rows, columns=JOBS)


def records(folders, *rows):
    found = load_runs(folders)
    return Records(found.summaries, found.histories, jobs(*rows)).with_own()


def in_order(frame, keys):
    """The frame without what `save` does not promise: the order of rows and columns, and columns without a value."""
    frame = frame.dropna(axis="columns", how="all")
    return frame[sorted(frame)].sort_values(keys).reset_index(drop=True)


def assert_equal(a, b):
    for table, keys in (("summaries", ["run"]), ("histories", ["run", "epoch"]), ("jobs", JOBS)):
        frames = [in_order(getattr(x, table), keys) for x in (a, b)]
        pd.testing.assert_frame_equal(*frames, check_exact=True, check_dtype=False)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_run_becomes_a_row_and_its_history(tmp_path):
    found = load_runs([left(tmp_path / "a"), left(tmp_path / "b", "poisson", seed=5, status="diverged")])
    a, b = found.summaries.to_dict("records")
    assert (a["run"], a["physics"], a["seed"], a["status"]) == ("a", "heat1d", 0, "finished")
    assert (b["run"], b["physics"], b["seed"], b["status"]) == ("b", "poisson", 5, "diverged")
    assert (a["physics.points"], b["physics.parameters"]) == (30, 3)
    assert b["task.reference"] == "[0.62, 1.86]"
    assert a["savings"] == pytest.approx(1 - 7 / 36)
    assert (a["commit"], a["jax"]) == (ORIGIN["commit"], ORIGIN["packages"]["jax"])
    assert a["recorded"] == pd.Timestamp(a["recorded"]).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert not {"runs_dir", "physics.name"} & set(found.summaries)
    expected = pd.read_parquet(tmp_path / "a" / "history.parquet")
    pd.testing.assert_frame_equal(found.history("a").drop(columns="run"), expected, check_exact=True)
    assert found.history("b")["val_error_step_1"].isna().all()


def test_unfinished_runs_are_left_out(tmp_path):
    folders = [left(tmp_path / name) for name in ("a", "running", "failed", "interrupted")]
    for folder in folders[1:]:
        RunFolder(folder).set_status(folder.name)
    (tmp_path / "empty").mkdir()
    found = load_runs([*folders, tmp_path / "empty", tmp_path / "nowhere"])
    assert list(found.summaries["run"]) == list(found.histories["run"].unique()) == ["a"]


@pytest.fixture
def both(tmp_path):
    """Records of two physics, three runs, and a job without one."""
    runs = tmp_path / "runs"
    folders = [left(runs / "a"), left(runs / "b", seed=1), left(runs / "c", "poisson")]
    return records(
        folders, ("fig", "x=1", "a"), ("fig", "x=2", "b"), ("other", "x=1", "a"), ("fig", "x=3", None)
    )


def test_saved_records_come_back_exactly(both, tmp_path):
    save(both, tmp_path / "records")
    days = both.summaries.set_index("physics")["recorded"].str[:10].to_dict()
    names = {f"{p}_{t}.parquet" for p in CONFIGS for t in ("summaries", f"histories_{days[p]}")}
    assert {p.name for p in (tmp_path / "records").iterdir()} == {*names, "jobs.parquet"}
    loaded = load(tmp_path / "records")
    assert_equal(loaded, both)
    before = contents(tmp_path / "records")
    save(loaded, tmp_path / "records")
    assert contents(tmp_path / "records") == before


def test_a_physics_has_only_its_columns_on_disk(both, tmp_path):
    save(both, tmp_path)
    heat, poisson = (pd.read_parquet(tmp_path / f"{p}_summaries.parquet") for p in CONFIGS)
    assert "physics.points" in heat
    assert "physics.points" not in poisson
    assert "physics.parameters" not in heat
    (histories,) = tmp_path.glob("poisson_histories*.parquet")
    assert "val_error_step_1" not in pd.read_parquet(histories)


def test_new_runs_leave_the_histories_of_earlier_days_as_they_are(both, tmp_path):
    def dated(**days):
        runs = both.summaries["run"]
        recorded = runs.map(days) + "T12:00:00+00:00"
        chosen = recorded.notna()
        jobs = both.jobs[both.jobs["run"].isin(days)]
        return Records(both.summaries.assign(recorded=recorded), both.histories, jobs).keep(chosen)

    def histories():
        return {p.name: p.read_bytes() for p in tmp_path.glob("heat1d_histories*")}

    save(dated(a="2026-01-01"), tmp_path)
    first = histories()
    assert list(first) == ["heat1d_histories_2026-01-01.parquet"]
    save(dated(a="2026-01-01", b="2026-01-02"), tmp_path)
    assert histories().items() > first.items()
    # Recorded again: only on the later day, and an empty file goes.
    again = dated(a="2026-01-02", b="2026-01-02").with_own()
    save(again, tmp_path)
    assert list(histories()) == ["heat1d_histories_2026-01-02.parquet"]
    assert_equal(load(tmp_path), again)
    # As after a crash: the run is in the files of both days, and the later one counts.
    (tmp_path / "heat1d_histories_2026-01-01.parquet").write_bytes(*first.values())
    assert_equal(load(tmp_path), again)


def test_nothing_is_saved_and_loaded_as_nothing(tmp_path):
    nothing = load(tmp_path / "records")
    assert (len(nothing.summaries), len(nothing.histories), len(nothing.jobs)) == (0, 0, 0)
    save(nothing, tmp_path / "records")
    again = load(tmp_path / "records")
    assert list(again.jobs.columns) == JOBS
    assert len(again.of("fig").summaries) == len(again.where(seed=1).summaries) == 0


def test_records_are_restricted_by_experiment_and_by_column(both):
    assert list(both.of("fig").summaries["run"]) == ["a", "b"]
    assert list(both.of("other").histories["run"].unique()) == ["a"]
    assert len(both.of("nothing").summaries) == 0
    assert list(both.where(physics="heat1d", seed=1).summaries["run"]) == ["b"]
    assert list(both.where(physics__points=30).summaries["run"]) == ["a", "b"]
    assert list(both.where(physics__points=None).summaries["run"]) == ["c"]
    assert list(both.where(no__such=None).summaries["run"]) == ["a", "b", "c"]
    assert len(both.where(no__such=1).summaries) == 0


def test_merging_keeps_every_run_and_the_newer_of_two(both, tmp_path):
    new = records([left(tmp_path / "new" / "b", seed=1, error=0.01), left(tmp_path / "new" / "d", "poisson")])
    merged = merge(both, new)
    assert sorted(merged.summaries["run"]) == sorted(merged.histories["run"].unique()) == ["a", "b", "c", "d"]
    errors = merged.summaries.set_index("run")["val_error_final"]
    assert (errors["a"], errors["b"]) == (0.3, 0.01)
    assert merged.history("b")["val_error"].iloc[-1] == 0.01
    for run in ("a", "c"):
        pd.testing.assert_frame_equal(
            in_order(merged.history(run), ["epoch"]),
            in_order(both.history(run), ["epoch"]),
            check_dtype=False,
        )
    assert set(merged.of("own").summaries["run"]) == {"c", "d"}
    nothing = load(tmp_path / "nowhere")
    for pair in ((both, nothing), (nothing, both), (both, both)):
        assert_equal(merge(*pair), both)


def test_a_job_whose_run_has_another_name_today_keeps_the_recorded_one(both, tmp_path):
    nothing = load(tmp_path / "nowhere")
    today = jobs(
        ("fig", "x=1", "a-renamed"),  # its record is of another name
        ("fig", "x=2", "b"),
        ("fig", "x=3", "never-run"),
        ("new", "x=1", "a"),  # a preset that names a recorded run
        ("new", "x=9", "never-run-either"),
    )
    merged = merge(both, Records(nothing.summaries, nothing.histories, today))
    assert filed(merged) == {
        ("fig", "x=1"): "a",
        ("fig", "x=2"): "b",
        ("fig", "x=3"): None,
        ("new", "x=1"): "a",
        ("new", "x=9"): None,
    }
    # As soon as the run of today's name is there, it counts.
    renamed = records([left(tmp_path / "a-renamed")], ("fig", "x=1", "a-renamed"))
    assert set(filed(merge(both, renamed)).values()) == {"a-renamed"}
    assert sorted(merge(both, renamed).summaries["run"]) == ["a-renamed", "b", "c"]


PRESETS = {
    "one": [("physics=poisson", "schedule=prdp", "epochs=3"), ("physics=heat1d", "epochs=3", "seed=1")],
    "two": [("physics=heat1d", "epochs=3", "seed=1"), ("physics=heat1d", "epochs=3", "seed=2")],
}


@pytest.fixture
def presets(monkeypatch):
    """Hydra, initialised, with the presets above."""
    monkeypatch.setattr(collecting, "preset_names", lambda: list(PRESETS))
    monkeypatch.setattr(collecting, "preset_jobs", lambda name, given: PRESETS[name])
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


def planned(runs):
    return {
        job.overrides: job.folder for name in PRESETS for job in plan(PRESETS[name], [f"runs_dir={runs}"])
    }


def filed(records):
    """The runs of the presets' jobs."""
    jobs = records.jobs[records.jobs["experiment"] != "own"]
    return {(e, o): r for e, o, r in jobs.replace({np.nan: None}).itertuples(index=False)}


def test_collecting_files_each_run_under_its_experiments(presets, tmp_path):
    runs, where = tmp_path / "runs", tmp_path / "records"
    folders = planned(runs)
    poisson, shared, unfinished = folders.values()
    left(poisson, "poisson")
    left(shared, seed=1)
    RunFolder(left(unfinished, seed=2)).set_status("running")
    # Of no preset, with a class of its own.
    left(runs / "heat1d-of-my-own", model={"name": "fourier", "_target_": "mine.Fourier", "width": 3})
    found = collecting.collect(runs, where)
    assert_equal(found, load(where))
    assert sorted(found.summaries["run"]) == sorted([poisson.name, shared.name, "heat1d-of-my-own"])
    (own,) = found.of("own").summaries.to_dict("records")
    assert (own["run"], own["model"], own["model._target_"]) == (
        "heat1d-of-my-own",
        "fourier",
        "mine.Fourier",
    )
    assert filed(found) == {
        ("one", " ".join(PRESETS["one"][0])): poisson.name,
        ("one", " ".join(PRESETS["one"][1])): shared.name,
        ("two", " ".join(PRESETS["two"][0])): shared.name,
        ("two", " ".join(PRESETS["two"][1])): None,
    }
    # The last one is finished; the others' folders are gone, as on another machine.
    shutil.rmtree(runs)
    left(unfinished, seed=2)
    again = collecting.collect(runs, where)
    assert sorted(again.summaries["run"]) == sorted(["heat1d-of-my-own", *(f.name for f in folders.values())])
    assert all(filed(again).values())


def test_collecting_where_nothing_was_run_keeps_the_records(presets, tmp_path):
    runs, where = tmp_path / "runs", tmp_path / "records"
    for folder in planned(runs).values():
        left(folder, "poisson" if folder.name.startswith("poisson") else "heat1d")
    before = collecting.collect(runs, where)
    files = contents(where)
    assert_equal(collecting.collect(tmp_path / "nowhere", where), before)
    assert contents(where) == files


def test_collecting_nothing_at_all_leaves_the_jobs(presets, tmp_path):
    found = collecting.collect(tmp_path / "nowhere", tmp_path / "records")
    assert len(found.summaries) == 0
    assert not any(filed(load(tmp_path / "records")).values())


@pytest.mark.parametrize("stop", range(1, 6))
def test_a_crash_while_saving_leaves_records_that_load(both, tmp_path, monkeypatch, stop):
    save(both, tmp_path / "records")
    new = records(
        [left(tmp_path / "d", seed=7), left(tmp_path / "e", "poisson", seed=7)], ("fig", "x=4", "d")
    )
    from prdp.analysis import records as module

    write, written = module.write_bytes, []

    def crash(path, content):
        written.append(path)
        if len(written) == stop:
            raise OSError("no space left")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bytes", crash)
        with pytest.raises(OSError, match="no space left"):
            save(merge(both, new), tmp_path / "records")
    found = load(tmp_path / "records")
    assert set(found.summaries["run"]) >= {"a", "b", "c"}
    assert set(found.summaries["run"]) <= set(found.histories["run"])
    assert set(found.jobs["run"].dropna()) <= set(found.summaries["run"])
    save(merge(found, new), tmp_path / "records")
    assert_equal(load(tmp_path / "records"), merge(both, new))


@pytest.mark.parametrize(
    ("name", "size"),
    [("heat1d_summaries", 0), ("heat1d_summaries", 0.5), ("poisson_histories", -1), ("jobs", 0.5)],
)
def test_a_truncated_record_is_told_and_not_written_over(both, presets, tmp_path, name, size):
    where = tmp_path / "records"
    save(both, where)
    (path,) = where.glob(f"{name}*.parquet")
    content = path.read_bytes()
    path.write_bytes(content[: size if isinstance(size, int) else int(size * len(content))])
    files = contents(where)
    for use in (
        load,
        lambda where: Ledger([], where),
        lambda where: collecting.collect(tmp_path / "runs", where),
    ):
        with pytest.raises(ValueError, match="is damaged") as raised:
            use(where)
        assert str(raised.value).startswith(f"{path} is damaged: ")
        assert len(str(raised.value).splitlines()) == 1
    assert contents(where) == files


def test_a_key_of_later_days_is_filled_in_for_runs_of_before(tmp_path):
    before = pd.DataFrame(
        {"run": ["a"], "physics": ["heat1d"], "seed": [1], "model.width": [64], "epochs": [7]}
    )
    after = pd.DataFrame({"run": ["b"], "physics": ["burgers"], "seed": [1], "solver.warm_start": [True]})
    after = after.assign(model="mine", planned_epochs=9, epochs=8)
    histories = pd.DataFrame({"run": ["a", "b"], "epoch": [0, 0]})
    save(Records(pd.concat([before, after], ignore_index=True), histories, jobs()), tmp_path)
    found = load(tmp_path).summaries.set_index("run")
    assert found["solver.warm_start"].to_dict() == {"a": False, "b": True}
    assert found["model"].to_dict() == {"a": "mlp", "b": "mine"}
    assert found["planned_epochs"].to_dict() == {"a": 7, "b": 9}


def test_every_setting_that_can_change_numbers_is_a_column():
    config = {
        "seed": 1,
        "epochs": 5,
        "precision": "float64",
        "runs_dir": "here",
        "progress": False,
        "tracking": {"name": "wandb", "project": "x"},
        "noise": 0.1,
        "model": {
            "name": "mine",
            "_target_": "mine.Net",
            "inner": {"_target_": "prdp.models.MLP", "width": 3},
        },
        "solver": {"name": "jacobi", "_target_": "prdp.solvers.Jacobi", "relaxation": 0.5},
    }
    assert settings(config) == {
        "planned_epochs": 5,
        "precision": "float64",
        "config.noise": 0.1,
        "model": "mine",
        "model._target_": "mine.Net",
        "model.inner.width": 3,
        "solver": "jacobi",
        "solver.relaxation": 0.5,
    }
