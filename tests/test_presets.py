"""The presets of `conf/experiment/`: right configurations, shared runs, shared seeds; and jobs planned as they run."""

import hydra
import pytest
from omegaconf import OmegaConf

from prdp import run as runs
from prdp.config import ConfigError, parse
from prdp.suite import GridError, plan, preset_jobs, preset_names
from prdp.suite.presets import preset_title
from tests.cases import some_fast
from tests.conftest import ROOT


@pytest.fixture
def conf():
    """Hydra, initialised."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


PRESETS = sorted(p.stem for p in (ROOT / "conf" / "experiment").glob("*.yaml"))
SWEEPER = OmegaConf.load(ROOT / "conf" / "hydra" / "sweeper" / "grids.yaml")


def test_the_presets_are_those_of_conf_and_say_what_they_are(conf):
    assert preset_names() == PRESETS
    assert len(SWEEPER.seeds) == len(set(SWEEPER.seeds)) == 10
    assert SWEEPER.few_seeds == SWEEPER.seeds[:3]
    for name in PRESETS:
        title = preset_title(name, ROOT / "conf")
        assert title.endswith("."), name
        number = name.removeprefix("fig_")
        assert number == name or title.startswith(f"Figure {number}:")


def by_overrides(jobs):
    """The seeds of all jobs, by what they have beside; `None` without a seed."""
    seeds = {}
    for job in jobs:
        rest = tuple(x for x in job if not x.startswith("seed="))
        seed = [int(x.removeprefix("seed=")) for x in job if x.startswith("seed=")]
        seeds.setdefault(rest, []).append(seed[0] if seed else None)
    return seeds


# The others are slow: composing a configuration takes a tenth of a second, and they have hundreds.
SAMPLE = ("fig_13", "table_4_1")


@pytest.mark.fast("table_4_1")
@pytest.mark.parametrize(
    "name", [p if p in SAMPLE else pytest.param(p, marks=pytest.mark.slow) for p in PRESETS]
)
def test_every_job_of_a_preset_is_a_right_configuration_and_a_run_of_its_own(conf, name):
    jobs = preset_jobs(name, {})
    planned = plan(jobs)
    assert [job.overrides for job in planned] == jobs
    assert len({job.folder for job in planned}) == len(jobs)


@pytest.mark.parametrize("name", some_fast(PRESETS, SAMPLE))
def test_a_preset_takes_its_seeds_from_the_shared_list(conf, name):
    shared = list(SWEEPER.seeds)
    for seeds in by_overrides(preset_jobs(name, {})).values():
        assert [s for s in seeds if s != 0] in ([None], [], shared[:1], shared[:3], shared)
    # What it refers to can be cut; what it names itself cannot, which is but the seed of the first recorded runs, 0.
    for seeds in by_overrides(preset_jobs(name, {}, seeds=2)).values():
        assert [s for s in seeds if s != 0] in ([None], [], shared[:1], shared[:2])


@pytest.mark.parametrize(("a", "b"), [("fig_15", "table_4_1")])
def test_presets_of_the_same_trainings_share_their_runs(conf, a, b):
    assert preset_jobs(a, {}) == preset_jobs(b, {})


@pytest.mark.parametrize(
    ("part", "of"),
    [
        ("fig_2", "fig_10"),
        ("fig_5", "fig_6"),
        ("fig_3", "fast"),
        ("fig_4", "fig_6"),
        ("fig_7", "fig_6"),
        ("table_1", "fig_24"),
    ],
)
@pytest.mark.slow
def test_a_preset_of_a_part_names_the_same_runs(conf, part, of):
    folders = [{job.folder for job in plan(preset_jobs(name, {}))} for name in (part, of)]
    assert folders[0] <= folders[1]


def test_a_preset_is_narrowed_from_the_command_line(conf):
    jobs = preset_jobs("fig_4", {"seed": ["7"]})
    assert [job[-2:] for job in jobs] == [
        (f"schedule.iterations={k}", "seed=7") for k in (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, "null")
    ]
    with pytest.raises(GridError, match=r"^physics=burgers: .* \(physics is one of heat1d\)$"):
        preset_jobs("fig_4", {"physics": ["burgers"]})


@pytest.mark.slow
def test_a_job_is_planned_as_it_will_run(conf, compose_here, run_in_here, tmp_path):
    common = (f"runs_dir={tmp_path}", "epochs=1", "physics=poisson")
    jobs = [("schedule=fixed", "seed=3"), ("seed=3", "schedule=prdp"), ("schedule=fixed",)]
    planned = plan(jobs, common)
    for job in planned:
        config = parse(compose_here(*job.overrides, *common))
        assert job.config == config.plain
        assert job.folder.parent == tmp_path
        assert not job.finished
    outcome = run_in_here(*jobs[0], *common)
    assert outcome.folder == planned[0].folder
    assert [job.finished for job in planned] == [True, False, False]
    assert not any(job.finished for job in plan(jobs, (*common, "overwrite=true")))


@pytest.fixture
def compose_here(conf):
    """`compose(*overrides)` with the Hydra of `conf`."""
    return lambda *overrides: hydra.compose("config", list(overrides))


@pytest.fixture
def run_in_here(compose_here, data_dir):
    return lambda *overrides: runs.run(compose_here(f"data_dir={data_dir}", "progress=false", *overrides))[0]


@pytest.mark.parametrize("seed", ["-1", "abc", "1.5", "null", "4294967296"])
def test_a_wrong_seed_is_told_as_such(conf, seed):
    with pytest.raises(ConfigError, match=r"seed=.*: allowed is an integer") as raised:
        plan([("physics=heat1d", "seed=1"), ("physics=heat1d", f"seed={seed}")])
    assert len(str(raised.value).splitlines()) == 1


def test_a_wrong_job_is_told_with_its_overrides(conf):
    with pytest.raises(ConfigError) as raised:
        plan([("physics=heat1d", "schedule.tau_step=0.5"), ("physics=heat1d", "schedule.tau_step=2")])
    assert str(raised.value) == (
        "physics=heat1d schedule.tau_step=2: schedule.tau_step=2.0: allowed is 0 < tau_step <= 1"
    )
