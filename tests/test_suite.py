"""What a sweep consists of, what it costs, and how it is told."""

import dataclasses
import io

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from rich.console import Console

from prdp.analysis import Records, load, save
from prdp.suite import GridError, Job, Ledger, Result, attempt, expand
from prdp.suite.cost import duration, estimate
from prdp.suite.seeds import grouped, join, split

GROUPS = {"physics": ("fluid", "heat", "wave"), "solver": ("fast", "slow")}
GRIDS = [
    {"physics": ["heat", "wave"], "seed": [1, 2]},
    {"physics": "heat", "solver": "slow", "seed": 1},
    {"physics": "heat", "seed": 2},
]


def test_a_sweep_is_the_union_of_its_grids_in_order_each_job_once():
    assert expand(GRIDS, {}, GROUPS) == [
        ("physics=heat", "seed=1"),
        ("physics=heat", "seed=2"),
        ("physics=wave", "seed=1"),
        ("physics=wave", "seed=2"),
        ("physics=heat", "solver=slow", "seed=1"),
    ]


def test_without_grids_it_is_the_product_of_the_command_line():
    given = {"physics": ["heat", "wave"], "seed": ["1", "2"]}
    assert expand([{}], given, GROUPS) == expand(GRIDS[:1], {}, GROUPS)
    assert expand([{}], {}, GROUPS) == [()]


@pytest.mark.parametrize(
    ("given", "jobs"),
    [
        # A group keeps what a grid has of it, and goes to the jobs of a grid that does not have it.
        ({"physics": ["wave"]}, ["physics=wave seed=1", "physics=wave seed=2"]),
        (
            {"solver": ["slow"], "physics": ["heat"]},
            [
                "physics=heat seed=1 solver=slow",
                "physics=heat seed=2 solver=slow",
                "physics=heat solver=slow seed=1",
            ],
        ),
        # An option that no grid has adds none.
        ({"physics": ["wave", "fluid"]}, ["physics=wave seed=1", "physics=wave seed=2"]),
        # Other keys replace ...
        ({"seed": ["7"]}, ["physics=heat seed=7", "physics=wave seed=7", "physics=heat solver=slow seed=7"]),
        # ... or go to every job.
        (
            {"physics": ["wave"], "epochs": ["3", "4"]},
            [f"physics=wave seed={s} epochs={e}" for s in (1, 2) for e in (3, 4)],
        ),
    ],
)
def test_the_command_line_narrows_and_replaces(given, jobs):
    assert [" ".join(job) for job in expand(GRIDS, given, GROUPS)] == jobs


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"physics": ["fluid"]},
            "physics=fluid: no job of the experiment has that (physics is one of heat, wave)",
        ),
        ({"physics": ["heat", "het"]}, "physics=het: allowed are fluid, heat, wave"),
    ],
)
def test_a_sweep_of_which_nothing_is_left_is_refused_with_what_is_allowed(given, told):
    with pytest.raises(GridError) as raised:
        expand(GRIDS, given, GROUPS)
    assert str(raised.value) == told


@pytest.mark.parametrize(
    "value", [None, True, False, 3, -2, 0.1, 1e-5, float("inf"), "text", [2.0], ["a", None, True, [1e-8]]]
)
def test_a_value_of_a_grid_arrives_as_it_is(value):
    ((override,),) = expand([{"key": [value]}], {}, {})
    parsed = OverridesParser.create().parse_override(override)
    assert not parsed.is_sweep_override()
    assert parsed.value() == value
    assert type(parsed.value()) is type(value)


def recorded(run, seconds, epochs=10, **columns):
    """A row of the recorded summaries."""
    defaults = {
        "physics": "heat1d",
        "scale": "full",
        "model.width": 64.0,
        "model.channels": None,
        "schedule": "fixed",
        "schedule.iterations": None,
    }
    times = {
        "seconds_train": 0.7 * seconds,
        "seconds_validate": 0.2 * seconds,
        "seconds_compile": 0.1 * seconds,
    }
    return {"run": run, "epochs": epochs, **times, **defaults, **columns}


RECORDED = [
    recorded("a", 10.0),
    recorded("b", 50.0),
    recorded("c", 20.0),
    recorded("k", 5.0, **{"schedule.iterations": 2.0}),
    recorded("p", 8.0, schedule="prdp", **{"schedule.iterations": 1.0}),
    recorded("w", 300.0, **{"model.width": 128.0}),
    recorded("n", 1000.0, epochs=100, physics="burgers", **{"model.width": None, "model.channels": 30.0}),
]


def job(
    tmp_path, name="x", epochs=10, physics="heat1d", schedule="fixed", iterations=None, width=64, **scale
):
    config = {
        "physics": {"name": physics},
        "schedule": {"name": schedule, "iterations": iterations},
        "model": {"name": "mlp", "width": width},
        "scale": "full",
        "epochs": epochs,
        "overwrite": False,
        **scale,
    }
    return Job((f"physics={physics}", f"job={name}"), tmp_path / name, config)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        # The same schedule and level: the median, by epochs.
        ({}, 20.0),
        ({"epochs": 100}, 200.0),
        ({"iterations": 2}, 5.0),
        # Another level: of all with this schedule; another schedule: of all of this network.
        ({"iterations": 9}, 15.0),
        ({"schedule": "linear"}, 10.0),
        # Another network: of all of this physics.
        ({"width": 32}, 15.0),
        ({"width": 128}, 300.0),
        ({"physics": "burgers", "width": None}, 100.0),
        # Nothing of its kind.
        ({"physics": "poisson"}, None),
        ({"scale": "small"}, None),
    ],
)
def test_a_job_takes_as_long_as_the_median_of_its_kind(tmp_path, options, seconds):
    (found,) = estimate([job(tmp_path, **options)], pd.DataFrame(RECORDED))
    assert found == pytest.approx(seconds)


def test_without_records_there_is_no_estimate(tmp_path):
    jobs = [job(tmp_path), job(tmp_path)]
    assert estimate(jobs, load(tmp_path).summaries) == [None, None]
    # A column that no record has is met by none of its values.
    frame = pd.DataFrame(RECORDED[:3]).drop(columns=["schedule.iterations", "model.channels"])
    assert estimate([job(tmp_path), job(tmp_path, iterations=2)], frame) == [pytest.approx(20.0)] * 2


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (5399.0, "90 min"), (5400.0, "1.5 h"), (4e5, "111.1 h")],
)
def test_durations_are_told_as_people_do(seconds, told):
    assert duration(seconds) == told


@pytest.fixture
def ledger(tmp_path):
    """`ledger(*jobs)`: with the records above; what it prints is in its `console.file`."""
    frame = pd.DataFrame(RECORDED)
    history = pd.DataFrame({"run": frame["run"], "epoch": 0})
    save(
        Records(frame, history, pd.DataFrame(columns=["experiment", "overrides", "run"])),
        tmp_path / "records",
    )

    def ledger(*jobs):
        console = Console(file=io.StringIO(), width=120)
        return Ledger(jobs, tmp_path / "records", console)

    return ledger


def printed(ledger):
    lines = ledger.console.file.getvalue().splitlines()
    ledger.console.file.truncate(0)
    ledger.console.file.seek(0)
    return lines


@dataclasses.dataclass(frozen=True)
class Finished(Job):
    finished: bool = True  # type: ignore[misc]


def as_finished(job):
    return Finished(job.overrides, job.folder, job.config)


def test_the_headline_tells_what_is_left_and_how_long_it_takes(ledger, tmp_path):
    known, unknown = job(tmp_path, "a"), job(tmp_path, "b", physics="poisson")
    before = as_finished(job(tmp_path, "c"))
    assert ledger(before).headline() == "1 jobs, 1 finished before"
    assert ledger(before, known).headline() == (
        "2 jobs, 1 finished before; 1 to run, about 20 s by recorded runs"
    )
    assert ledger(known, unknown, known).headline() == (
        "3 jobs, 0 finished before; 3 to run, about 40 s by recorded runs (1 more of unknown length)"
    )
    assert ledger(unknown).headline() == "1 jobs, 0 finished before; 1 to run, for which there is no estimate"


def test_each_job_is_a_line_with_what_is_left_at_the_pace_so_far(ledger, tmp_path):
    jobs = [job(tmp_path, n) for n in "abcd"]
    jobs[1] = as_finished(jobs[1])
    told = ledger(*jobs)
    # Twice as slow as recorded.
    told.add(Result(jobs[0].overrides, "done", "folder", 40.0, 0.25, 0.0123456))
    told.add(Result(jobs[1].overrides, "skipped", "folder", 0.0, 0.1, 0.1))
    told.add(Result(jobs[2].overrides, "failed", seconds=1.0, error="OSError: full [disk]"))
    told.add(Result(jobs[3].overrides, "diverged", "folder", 1.5, -0.5, float("nan")))
    assert printed(told) == [
        "[1/4] job=a: done in 40.0 s, saves 25.0%, error 0.0123; about 80 s left",
        "[2/4] job=b: finished before; about 80 s left",
        "[3/4] job=c: failed (OSError: full [disk]); about 20 s left",
        "[4/4] job=d: diverged in 1.5 s, saves -50.0%, error nan",
    ]


def test_the_table_counts_and_the_reasons_follow(ledger, tmp_path):
    jobs = [job(tmp_path, n) for n in "abcdef"]
    told = ledger(*jobs)
    states = ["done", "resumed", "failed", "diverged", "done"]
    errors = [0.3, 0.1, None, float("nan"), 0.2]
    for one, state, error in zip(jobs, states, errors, strict=False):
        reason = "no luck" if state == "failed" else None
        told.add(Result(one.overrides, state, str(one.folder), 1.0, 0.5, error, reason))
    printed(told)
    assert told.failed
    told.close()
    lines = printed(told)
    assert "6 jobs in 0 s" in lines[0]
    cells = [
        [x.strip() for x in line.strip("┃│").replace("│", "┃").split("┃")] for line in (lines[2], lines[4])
    ]
    names = ["done", "resumed", "skipped", "diverged", "failed", "not reached"]
    assert cells == [names, ["2", "1", "0", "1", "1", "1"]]
    results = [line.strip("│").split("│") for line in lines if "│" in line][1:]
    assert [row[-1].strip() for row in results][-4:] == ["job=b", "job=e", "job=a", "job=d"]
    assert lines[-4:] == ["failed: job=c", "  no luck", "diverged: job=d", f"  {tmp_path / 'd'}"]


def test_a_sweep_without_failures_has_not_failed(ledger, tmp_path):
    told = ledger(job(tmp_path))
    told.add(Result(("a",), "diverged", "folder", 1.0, 0.5, 0.1))
    assert not told.failed


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (KeyError("key"), "explained in two lines"),
        (RuntimeError(), "RuntimeError: "),
    ],
)
def test_a_failure_becomes_one_line(error, line):
    def fail():
        raise error

    (explained,) = attempt(
        ("a=1",), fail, lambda e: "explained\nin two lines" if isinstance(e, KeyError) else None
    )
    assert (explained.state, explained.overrides, explained.folder) == ("failed", ("a=1",), "")
    assert explained.error == line.strip()


def test_an_interrupt_is_no_failure():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt((), interrupt, lambda e: None)


# -- seeds together ----------------------------------------------------------------------------------------------------


def test_jobs_that_differ_in_the_seed_alone_are_grouped():
    jobs = [
        ("physics=heat1d", "seed=1"),
        ("physics=heat2d", "seed=1"),
        ("physics=heat1d", "seed=2"),
        ("physics=heat1d", "seed=3"),
        ("physics=heat1d",),
    ]
    assert grouped(jobs, [2] * 5) == [[0, 2], [1], [3], [4]]
    assert grouped(jobs, [1] * 5) == [[0], [1], [2], [3], [4]]
    # One that is finished takes no place.
    assert grouped(jobs, [2, 2, 1, 2, 2]) == [[0, 3], [1], [2], [4]]


def test_a_group_becomes_one_job_and_its_runs_again():
    jobs = [("physics=heat1d", "seed=1", "epochs=3"), ("physics=heat1d", "seed=25", "epochs=3")]
    assert join(jobs) == ("physics=heat1d", "seed=[1,25]", "epochs=3")
    assert split(join(jobs)) == jobs
    assert join(jobs[:1]) == jobs[0]
    assert split(jobs[0]) == [jobs[0]]
    assert split(("seed=[1, 2]",)) == [("seed=1",), ("seed=2",)]
