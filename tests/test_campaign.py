"""The campaign picks what is missing, most important first, and starts no timed run on a busy machine."""

from pathlib import Path

import pandas as pd
import pytest

from prdp.suite import campaign
from prdp.suite.campaign import Stage, choose, stages, status_table, survey
from prdp.suite.grids import GridError
from prdp.suite.plan import Job

TIMED = Stage("timed", "a clock", True, (("a",), ("b",)))
PLAIN = Stage("plain", "an error", False, (("a",), ("c",)))


@pytest.fixture
def entries(tmp_path, monkeypatch):
    """Run `a` is recorded, but not alone; `c` has a checkpoint."""
    monkeypatch.setattr(
        campaign, "plan", lambda jobs, common, feasible: [Job(x, Path(tmp_path / x[0]), {}) for x in jobs]
    )
    monkeypatch.setattr(campaign, "estimate", lambda jobs, summaries: [3600.0] * len(jobs))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "checkpoint.previous.safetensors").touch()
    return survey([TIMED, PLAIN], pd.DataFrame({"run": ["a"], "busy_elsewhere": [0.5]}))


def test_a_run_counts_as_timed_only_if_it_was_alone(entries):
    assert [(e.stage.title, e.job.overrides, e.state) for e in entries] == [
        ("timed", ("a",), "missing"),
        ("timed", ("b",), "missing"),
        ("plain", ("a",), "recorded"),
        ("plain", ("c",), "started"),
    ]


def test_runs_of_before_a_date_run_again(entries):
    a, _, _, c = (entry.job for entry in entries)
    recorded = pd.DataFrame(
        {"run": ["a", "c"], "recorded": ["2026-11-26T23:59:00+00:00", "2026-11-27T00:01:00+00:00"]}
    )
    dated = Stage("dated", "a clock", False, (a.overrides, c.overrides), since="2026-11-27")
    assert [entry.state for entry in survey([dated], recorded)] == ["missing", "recorded"]


def test_a_run_of_uncommitted_code_does_not_count_as_timed(entries):
    recorded = pd.DataFrame(
        {"run": ["a", "b"], "busy_elsewhere": [0.0, 0.0], "uncommitted_changes": [True, False]}
    )
    assert [entry.state for entry in survey([TIMED], recorded)] == ["missing", "recorded"]


def test_a_stage_takes_a_part_of_a_preset_one_seed_after_the_other(tmp_path, monkeypatch):
    jobs = [(f"physics={p}", f"schedule={s}", f"seed={n}") for p in "ab" for s in "xy" for n in (2, 1)]
    monkeypatch.setattr(campaign, "preset_names", lambda: ["rivals"])
    monkeypatch.setattr(campaign, "preset_jobs", lambda name, given: jobs if name == "rivals" else [])
    path = tmp_path / "campaign.yaml"
    path.write_text(
        "stages: [{title: t, decides: d, preset: rivals, only: {physics: [b], schedule: [x, y]}}]"
    )
    (stage,) = stages(path, {})
    assert stage.jobs == tuple(
        ("physics=b", f"schedule={s}", f"seed={n}") for n in (2, 1) for s in ("x", "y")
    )


def test_a_stage_without_jobs_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "preset_names", lambda: ["rivals"])
    monkeypatch.setattr(campaign, "preset_jobs", lambda name, given: [("physics=a",)])
    path = tmp_path / "campaign.yaml"
    path.write_text("stages: [{title: t, decides: d, preset: rivals, only: {scale: full}}]")
    with pytest.raises(GridError, match="leaves no job of preset rivals"):
        stages(path, {})


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            "{title: t, decides: d, alne: true, grids: [{seed: 1}]}",
            "t: alne: no such key; allowed are .*alone",
        ),
        ("{title: t, decides: d, grids: [{seed: 1}], only: {seed: 1}}", "t: only: no such key"),
        ("{title: t, grids: [{seed: 1}]}", "t: decides: this key is needed"),
        ("{title: t, decides: d, preset: rivals}", "t: only: this key is needed"),
        (
            "{title: t, decides: d, preset: rivalz, only: {seed: 1}}",
            "t: preset=rivalz: allowed are fig_4, rivals",
        ),
        ("{decides: d, grids: [{seed: 1}]}", "without a title: title: this key is needed"),
    ],
)
def test_a_stage_with_wrong_keys_is_refused(tmp_path, monkeypatch, stage, message):
    monkeypatch.setattr(campaign, "preset_names", lambda: ["fig_4", "rivals"])
    path = tmp_path / "campaign.yaml"
    path.write_text(f"stages: [{stage}]")
    with pytest.raises(GridError, match=message):
        stages(path, {})


def test_the_next_run_is_of_the_most_important_stage_that_may_start(entries):
    assert choose(entries, idle=True).job.overrides == ("a",)
    assert choose(entries, idle=True, without=[("a",)]).job.overrides == ("b",)
    assert choose(entries, idle=False).job.overrides == ("c",)
    assert choose(entries, idle=False, without=[("c",)]) is None


def test_the_status_counts_runs_and_hours(entries):
    table = status_table(entries)
    assert table["recorded"].to_list() == [0, 1]
    assert table["missing"].to_list() == [2, 1]
    assert table["hours left"].to_list() == [2.0, 1.0]
