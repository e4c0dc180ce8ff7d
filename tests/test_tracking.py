"""Sinks show a run and never stop it."""

import dataclasses
import logging
import math
import time

import pytest
import wandb

from prdp.config import Config, ConfigError, parse
from prdp.tracking import Console, RunInfo, Sink, WeightsAndBiases
from prdp.tracking.wandb_settings import WeightsAndBiasesSettings
from prdp.tracking.weights_and_biases import described, group

POISSON = ("physics=poisson", "epochs=3")
# Nothing listens on the discard port.
NOWHERE = "http://127.0.0.1:9"


def info(folder, epochs=50, schedule="prdp", seed=0, resumed=(), experiment=None, **changes):
    identity = {
        "physics": "heat1d",
        "solver": "jacobi",
        "diff": "implicit",
        "schedule": schedule,
        "seed": seed,
    }
    options = {"prdp": {"iterations": 1, "tau_step": 0.98, "tau_stop": 0.9}, "fixed": {"iterations": None}}
    config = {
        "seed": seed,
        "scale": "full",
        "schedule": {"name": schedule, **options[schedule]},
        "runs_dir": str(folder),
        **changes,
    }
    return RunInfo("a-run", folder, identity, config, epochs, len(resumed), 25, experiment, tuple(resumed))


def row(epoch, **changes):
    return {"epoch": epoch, "iterations": 5, "val_error": 0.25, "train_loss": 0.5, **changes}


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    """W&B as on a machine that has never seen it."""
    for key in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(key, raising=False)
    for key in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(key, str(tmp_path / "account"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    # Its settings are read once a process.
    wandb.teardown()
    yield
    wandb.teardown()


class Fake:
    """Stands in for `wandb.init` and for the run that it returns."""

    def __init__(self):
        self.options, self.metrics, self.logged, self.summary, self.exit_code = {}, {}, [], {}, None
        self.resumed, self.step, self.artifacts = False, 0, []

    def __call__(self, **options):
        self.options = options
        return self

    def define_metric(self, name, **options):
        self.metrics[name] = options

    def log(self, row):
        self.logged.append(row)

    def log_artifact(self, artifact):
        self.artifacts.append(artifact)

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def fake(monkeypatch):
    fake = Fake()
    monkeypatch.setattr(wandb, "init", fake)
    return fake


def test_an_offline_run_needs_no_account_and_stays_in_its_folder(run_in, tmp_path, monkeypatch, caplog):
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    monkeypatch.chdir(cwd)
    outcome = run_in(tmp_path / "runs", *POISSON, "tracking=wandb")
    assert outcome.summary["status"] == "finished"
    assert warnings(caplog) == []
    # Its service writes the rest when it stops.
    wandb.teardown()
    (log,) = outcome.folder.glob("wandb/offline-run-*/*.wandb")
    content = log.read_bytes()
    for expected in (b"val_error", b"poisson-jacobi-unrolled-prdp-", outcome.folder.name.encode()):
        assert expected in content
    assert list(cwd.iterdir()) == []
    assert run_in(tmp_path / "runs", *POISSON, "tracking=wandb").skipped


def test_every_epoch_is_logged_without_what_is_not_a_number(fake, tmp_path):
    sink = WeightsAndBiases(WeightsAndBiasesSettings(project="p", entity="e", tags=("t", "prdp")))
    sink.start(info(tmp_path, experiment="fig_4"))
    sink.row(row(0, train_loss=math.nan))
    sink.row(row(1))
    sink.finish({"savings": 0.8, "val_error_final": math.nan})
    thresholds = {"tau_step": 0.98, "tau_stop": 0.9}
    assert fake.logged == [
        {"epoch": 0, "iterations": 5, "val_error": 0.25, **thresholds},
        row(1, **thresholds),
    ]
    assert fake.summary == {"savings": 0.8}
    assert fake.exit_code == 0
    chosen = {k: fake.options[k] for k in ("mode", "project", "entity", "name", "job_type", "dir")}
    assert chosen == {
        "mode": "offline",
        "project": "p",
        "entity": "e",
        "name": "a-run",
        "job_type": "train",
        "dir": str(tmp_path),
    }
    assert fake.options["tags"] == ["heat1d", "jacobi", "implicit", "prdp", "fig_4", "t"]
    assert fake.options["group"].startswith("heat1d-jacobi-implicit-prdp-")


def test_epochs_are_the_axis_and_the_least_error_is_kept(fake, tmp_path):
    WeightsAndBiases(WeightsAndBiasesSettings()).start(info(tmp_path))
    assert fake.metrics["*"] == {"step_metric": "epoch"}
    assert fake.metrics["val_error"] == {"step_metric": "epoch", "summary": "min,last"}


@pytest.fixture
def online(monkeypatch):
    """W&B as if it could be reached."""
    monkeypatch.setattr("prdp.tracking.weights_and_biases.obstacle", lambda: None)


def test_a_run_folder_has_one_id_and_a_resumed_run_continues_online(fake, online, tmp_path):
    sink = WeightsAndBiases(WeightsAndBiasesSettings(mode="online"))
    sink.start(info(tmp_path))
    first = fake.options
    # What begins anew replaces what is there under its id.
    assert first["resume"] is None
    fake.resumed, fake.step = True, 1
    sink.start(info(tmp_path, schedule="fixed", resumed=[row(0), row(1)]))
    assert (fake.options["id"], fake.options["resume"]) == (first["id"], "allow")
    # The server has epoch 0.
    assert fake.logged == [row(1)]
    sink.start(dataclasses.replace(info(tmp_path), name="another-run"))
    assert fake.options["id"] != first["id"]


def test_the_configuration_has_k_epsilon_and_provenance(fake, tmp_path, monkeypatch):
    (tmp_path / "provenance.json").write_text('{"commit": "abc"}')
    monkeypatch.setenv("WANDB_TAGS", "one, two")
    monkeypatch.setenv("WANDB_PROJECT", "of-the-environment")
    WeightsAndBiases(WeightsAndBiasesSettings(notes="a note")).start(
        info(tmp_path, converged_iterations=None)
    )
    assert fake.options["config"]["converged_iterations"] == 25
    assert fake.options["config"]["provenance"] == {"commit": "abc"}
    assert (fake.options["notes"], fake.options["project"]) == ("a note", "of-the-environment")
    assert fake.options["tags"][-2:] == ["one", "two"]


@pytest.mark.parametrize(("name", "value"), [("WANDB_PROJECT", "a/b"), ("WANDB_TAGS", "x" * 65)])
def test_a_variable_that_wandb_refuses_is_refused_before_anything_is_computed(
    run_in, tmp_path, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^tracking=wandb: {name}.*allowed is"):
        run_in(tmp_path, *POISSON, "tracking=wandb")
    assert list(tmp_path.iterdir()) == []


def test_the_record_is_an_artifact_and_disabled_leaves_nothing(run_in, tmp_path):
    outcome = run_in(tmp_path, *POISSON, "tracking=wandb", "tracking.mode=disabled")
    assert not (outcome.folder / "wandb").exists()
    assert run_in(tmp_path, *POISSON, "tracking=wandb").skipped
    # Its process may still be writing.
    wandb.teardown()
    (log,) = outcome.folder.glob("wandb/offline-run-*/*.wandb")
    content = log.read_bytes()
    for name in (b"record-", b"history.parquet", b"summary.json", b"config.yaml", b"provenance.json"):
        assert name in content


def test_a_resumed_run_has_all_its_epochs(fake, tmp_path):
    sink = WeightsAndBiases(WeightsAndBiasesSettings())
    sink.start(info(tmp_path, schedule="fixed", resumed=[row(0), row(1)]))
    sink.row(row(2))
    assert fake.logged == [row(0), row(1), row(2)]


def test_seeds_share_a_group_and_configurations_do_not(tmp_path):
    def name(**changes):
        return group(info(tmp_path, **changes))

    assert name(seed=1) == name(seed=2, runs_dir="elsewhere", progress=True, tracking={"mode": "online"})
    different = [
        {},
        {"batch_size": 5},
        {"metric": "train_loss"},
        {"scale": "small"},
        {"schedule": "fixed"},
        {"model": {"width": 64}},
        {"model": {"width": 128}},
    ]
    assert len({name(**changes) for changes in different}) == len(different)
    assert "-fixed25-" in name(schedule="fixed")
    assert "-prdp-small-" in name(scale="small")


def test_what_is_described_is_what_determines_a_run(compose, tmp_path):
    config = parse(compose("physics=heat1d", f"runs_dir={tmp_path}"))
    assert str(tmp_path) not in str(described(config.plain))
    # `metric` is left out of a run's name where it has its old value.
    assert described(config.plain).keys() - {"metric"} == config.determinants().keys() - {"metric"}


def test_a_run_that_did_not_end_is_marked(fake, tmp_path):
    sink = WeightsAndBiases(WeightsAndBiasesSettings())
    sink.start(info(tmp_path))
    sink.finish(None)
    assert fake.exit_code == 1


def start_online(folder):
    began = time.monotonic()
    sink = WeightsAndBiases(WeightsAndBiasesSettings(mode="online"))
    sink.start(info(folder))
    assert time.monotonic() - began < 8
    return sink


def test_online_without_a_key_goes_on_offline(fake, tmp_path, caplog):
    start_online(tmp_path)
    assert fake.options["mode"] == "offline"
    assert warnings(caplog) == ["W&B: no API key is set, so the run is logged offline"]


@pytest.mark.parametrize("place", ["environment", "netrc"])
def test_online_without_a_network_goes_on_offline(fake, tmp_path, monkeypatch, caplog, place):
    monkeypatch.setenv("WANDB_BASE_URL", NOWHERE)
    if place == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    else:
        # Where `wandb login` puts it.
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1:9\n  login user\n  password {'0' * 40}\n")
        (tmp_path / "netrc").chmod(0o600)
    start_online(tmp_path)
    assert fake.options["mode"] == "offline"
    assert warnings(caplog) == ["W&B: its server cannot be reached, so the run is logged offline"]


@pytest.mark.parametrize(
    ("mode", "variable", "chosen"),
    [
        (None, None, "offline"),
        (None, "", "offline"),
        (None, "offline", "offline"),
        (None, "dryrun", "offline"),
        (None, "online", "online"),
        (None, "run", "online"),
        (None, "disabled", "disabled"),
        ("offline", "disabled", "offline"),
        ("offline", "online", "offline"),
        ("online", "offline", "online"),
    ],
)
def test_a_mode_that_is_given_wins_over_the_variable_and_that_over_the_default(
    compose, monkeypatch, mode, variable, chosen
):
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    given = [f"tracking.mode={mode}"] if mode else []
    config = parse(compose("physics=poisson", "tracking=wandb", *given))
    assert config.tracking()._settings.chosen_mode() == chosen


def test_a_disabled_run_is_not_tracked(run_in, fake, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    outcome = run_in(tmp_path / "runs", *POISSON, "tracking=wandb")
    assert outcome.summary["status"] == "finished"
    assert (fake.options, fake.logged, warnings(caplog)) == ({}, [], [])
    assert run_in(tmp_path / "others", *POISSON, "tracking=wandb", "tracking.mode=offline").folder
    assert fake.options["mode"] == "offline"


MISTAKES = {
    "tracking.tags=[good,%s]" % ("x" * 65): "tracking.tags: 'xxxx",
    "tracking.tags=['']": "tracking.tags: '': allowed is each of 1 to 64 characters",
    "tracking.tags=[' ']": "tracking.tags: ' ': allowed is each of 1 to 64 characters",
    "tracking.project=''": "tracking.project='': allowed is 1 to 128 characters",
    "tracking.project=a/b": "tracking.project='a/b': allowed is 1 to 128 characters without any of",
    "tracking.project='a#b'": "tracking.project='a#b': allowed is",
    "tracking.project=%s" % ("x" * 129): "tracking.project='xxx",
    "tracking.entity=''": "tracking.entity='': allowed is a name, or null",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_wandb_refuses_is_refused_before_a_run_begins(run_in, tmp_path, mistake):
    with pytest.raises(ConfigError) as raised:
        run_in(tmp_path / "runs", *POISSON, "tracking=wandb", mistake)
    assert MISTAKES[mistake] in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_mode_that_wandb_does_not_know_is_refused(run_in, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "never")
    told = "tracking=wandb: WANDB_MODE='never': allowed are offline, online, disabled, dryrun, run"
    with pytest.raises(ConfigError, match=told):
        run_in(tmp_path / "runs", *POISSON, "tracking=wandb")
    assert run_in(tmp_path / "runs", *POISSON).summary["status"] == "finished"


def test_the_limits_are_those_of_wandb():
    allowed = wandb.Settings(run_tags=("x" * 64,), project="x" * 128)
    assert allowed.project
    WeightsAndBiasesSettings(tags=("x" * 64,), project="x" * 128)
    for options in (
        {"run_tags": ("x" * 65,)},
        {"run_tags": ("",)},
        {"project": "x" * 129},
        {"project": "a:b"},
    ):
        with pytest.raises(Exception, match="characters"):
            wandb.Settings(**options)


def fail(*arguments, **options):
    raise RuntimeError("no luck")


def test_a_failing_start_is_reported_once_and_the_run_goes_on(run_in, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(wandb, "init", fail)
    outcome = run_in(tmp_path / "runs", *POISSON, "tracking=wandb")
    assert outcome.summary["status"] == "finished"
    assert warnings(caplog) == ["W&B: no luck: the run goes on without it"]


@pytest.mark.parametrize("method", ["define_metric", "log", "finish"])
def test_a_later_failure_is_reported_once(fake, tmp_path, monkeypatch, caplog, method):
    monkeypatch.setattr(fake, method, fail)
    sink = WeightsAndBiases(WeightsAndBiasesSettings())
    sink.start(info(tmp_path))
    for epoch in range(3):
        sink.row(row(epoch))
    sink.finish({})
    assert warnings(caplog) == ["W&B: no luck: the run goes on without it"]


class Recorder(Sink):
    def __init__(self, fails=False):
        self.calls, self._fails = [], fails

    def start(self, info):
        self.calls.append(("start", info.epochs, info.done))

    def row(self, row):
        self.calls.append(("row", row["epoch"]))
        if self._fails:
            raise RuntimeError("no luck")

    def finish(self, summary):
        self.calls.append(("finish", summary and summary["status"]))


def test_sinks_are_told_of_start_rows_and_end(run_in, tmp_path, monkeypatch):
    sinks = Recorder(), Recorder(fails=True)
    monkeypatch.setattr(Config, "new_sink", lambda config: sinks[1])
    with pytest.raises(RuntimeError, match="no luck"):
        run_in(tmp_path, *POISSON)
    assert sinks[1].calls == [("start", 3, 0), ("row", 0), ("finish", None)]
    monkeypatch.setattr(Config, "new_sink", lambda config: sinks[0])
    run_in(tmp_path, *POISSON)
    rows = [("row", epoch) for epoch in range(4)]
    assert sinks[0].calls == [("start", 3, 0), *rows, ("finish", "finished")]


def show(sink, folder, epochs):
    sink.start(info(folder, epochs=epochs))
    for epoch in range(epochs + 1):
        sink.row(row(epoch))
    sink.finish(None)


def test_a_log_gets_ten_lines(tmp_path, capsys):
    show(Console(), tmp_path, 50)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [line.split("  ")[0] for line in lines] == [f"epoch {e}/50" for e in range(5, 51, 5)]
    assert all("K 5  error 2.500e-01  saved 80.0%" in line for line in lines)
    assert lines[-1].endswith("0 s left")


def test_a_short_run_gets_a_line_an_epoch(tmp_path, capsys):
    show(Console(), tmp_path, 3)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_terminal_gets_a_bar(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    show(Console(), tmp_path, 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
    assert "K 5  error 2.500e-01  saved 80.0%" in err


@pytest.mark.slow
def test_progress_goes_to_stderr_and_results_to_stdout(train):
    done = train("physics=poisson", "epochs=20", "progress=true")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    # A slow machine says that it compiles.
    lines = [line for line in lines if line != "compiling ..."]
    assert [line.split()[1] for line in lines] == [f"{e}/20" for e in range(2, 21, 2)]
    assert done.stdout.splitlines()[0].startswith("run folder: ")
    assert ["status", "finished"] in [line.split() for line in done.stdout.splitlines()]
