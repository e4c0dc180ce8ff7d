"""What W&B was given is what the record says; its artifacts and its dashboard need no network."""

import base64
import hashlib
import importlib
import json
import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import wandb
from PIL import Image

from prdp.records import COLUMNS
from prdp.tracking import WeightsAndBiases
from prdp.tracking.wandb_settings import WeightsAndBiasesSettings
from tests.conftest import ROOT
from tests.test_records import IDENTITY, ROWS
from tests.test_tracking import no_account, warnings  # noqa: F401

THRESHOLDS = {"tau_step", "tau_stop"}


def inspect(log):
    """The records of an offline run, as W&B's own reader gives them."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(records, kind):
    return [r[kind] for r in records if r["type"] == kind]


def exit_codes(records):
    return [end["exit_code"] for end in of_type(records, "exit")]


def logs(folder):
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime_ns)


def numbers(values):
    """Without NaN; infinities as W&B writes them."""
    kept = {k: v for k, v in values.items() if not (isinstance(v, float) and math.isnan(v))}
    return {k: "Infinity" if v == math.inf else v for k, v in kept.items()}


def check_history(records, history):
    items = [item["item"] for item in of_type(records, "history")]
    assert len(items) == len(history)
    for item, row in zip(items, history.to_dict("records"), strict=True):
        logged = {k: v for k, v in item.items() if not k.startswith("_") and k not in THRESHOLDS}
        assert logged == numbers(row)


def check_summary(records, summary):
    final = {}
    for change in of_type(records, "summary"):
        final |= change["update"]
    assert {k: final.get(k) for k in numbers(summary)} == numbers(summary)


def test_an_offline_run_reads_back_as_its_record(run_in, tmp_path):
    outcome = run_in(tmp_path / "runs", "physics=heat1d", "epochs=5", "tracking=wandb")
    (log,) = logs(outcome.folder)
    records = inspect(log)
    history = pd.read_parquet(outcome.folder / "history.parquet")
    assert {"iterations", "val_error", "val_error_step_2", "ratio_step", "ratio_stop"} <= set(history.columns)
    assert history["ratio_step"].notna().any()
    check_history(records, history)
    check_summary(records, json.loads((outcome.folder / "summary.json").read_text()))
    assert exit_codes(records) == [0]
    (run,) = of_type(records, "run")
    assert str(tmp_path) not in json.dumps(run["config"])
    schedule = run["config"]["update"]["schedule"]
    for item in of_type(records, "history"):
        assert {k: item["item"][k] for k in THRESHOLDS} == {k: schedule[k] for k in THRESHOLDS}


@pytest.mark.slow
def test_a_resumed_run_reads_back_whole(run_in, tmp_path, monkeypatch):
    options = ("physics=poisson", "epochs=4", "tracking=wandb", "schedule=fixed")
    row = WeightsAndBiases.row

    def interrupt(self, values):
        if values["epoch"] == 2:
            raise KeyboardInterrupt
        row(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(WeightsAndBiases, "row", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path, *options)
    outcome = run_in(tmp_path, *options)
    first, second = map(inspect, logs(outcome.folder))
    assert exit_codes(first) == [1]
    assert len(of_type(first, "history")) == 2
    check_history(second, pd.read_parquet(outcome.folder / "history.parquet"))
    check_summary(second, outcome.summary)


@pytest.fixture
def results(tmp_path):
    """Figures and records, no tables."""
    for name in ("figures", "records/deep"):
        (tmp_path / name).mkdir(parents=True)
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "figures/fig_4.png")
    (tmp_path / "figures/fig_4.pdf").write_bytes(b"a figure")
    (tmp_path / "figures/.hidden").write_bytes(b"of an editor")
    (tmp_path / "records/deep/jobs.parquet").write_bytes(b"a record")
    return tmp_path


def program(monkeypatch, name, *arguments):
    """The module of a script, with its command line set."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    return importlib.import_module(f"scripts.{name}")


def test_artifacts_hold_every_file_and_outlive_the_originals(results, monkeypatch, capsys):
    # Set by `no_account`; a program that finds none keeps the copies beside the run.
    monkeypatch.delenv("WANDB_DATA_DIR")
    program(monkeypatch, "wandb_artifacts", "--results", results).main()
    assert capsys.readouterr().out.splitlines()[:3] == [
        "figures: 2 files",
        "tables: nothing there, left out",
        "records: 1 file",
    ]
    (log,) = logs(results)
    records = inspect(log)
    artifacts = {a["name"]: a for a in of_type(records, "artifact")}
    assert artifacts.keys() == {"figures", "records"}
    for name, paths in {"figures": ["fig_4.pdf", "fig_4.png"], "records": ["deep/jobs.parquet"]}.items():
        entries = {e["path"]: e for e in artifacts[name]["manifest"]["contents"]}
        assert sorted(entries) == paths
        for path, entry in entries.items():
            original = (results / name / path).read_bytes()
            assert base64.b64decode(entry["digest"]) == hashlib.md5(original).digest()
            assert entry["local_path"].startswith(str(results / "wandb"))
    (history,) = of_type(records, "history")
    picture = (results / "figures/fig_4.png").read_bytes()
    assert history["item"]["figures/fig_4.sha256"] == hashlib.sha256(picture).hexdigest()


def test_no_artifacts_without_files(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="no file in figures, tables, records"):
        program(monkeypatch, "wandb_artifacts", "--results", tmp_path).main()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_said_in_one_line():
    hide = "import runpy, sys; sys.modules['wandb_workspaces'] = None; "
    start = "sys.argv[1:] = ['--dry-run']; runpy.run_path('scripts/wandb_dashboard.py', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", hide + start], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "wandb-workspaces is missing: pip install 'prdp[dashboard]'" in line


@pytest.fixture
def dashboard(monkeypatch):
    """`dashboard(*arguments)`: the script with its command line set."""
    pytest.importorskip(
        "wandb_workspaces", reason="wandb-workspaces is not installed: pip install 'prdp[dashboard]'"
    )
    return lambda *arguments: program(monkeypatch, "wandb_dashboard", *arguments)


def panels(spec):
    sections = spec["section"]["panelBankConfig"]["sections"]
    return {section["name"]: [panel["config"] for panel in section["panels"]] for section in sections}


def test_the_dashboard_is_written_without_a_network(dashboard, tmp_path, capsys):
    dashboard("--dry-run", "--tags", "fig_4").main()
    printed = json.loads(capsys.readouterr().out)
    dashboard("--dry-run", "--tags", "fig_4", "--output", tmp_path / "w.json").main()
    assert capsys.readouterr().out == ""
    assert panels(json.loads((tmp_path / "w.json").read_text())["spec"]) == panels(printed["spec"])
    assert (printed["project"], printed["displayName"]) == ("prdp", "PRDP fig_4")
    assert list(panels(printed["spec"])) == ["Refinement", "Accuracy", "Savings", "Cost", "Residuals"]
    (runs,) = printed["spec"]["section"]["runSets"]
    assert [g["name"] for g in runs["grouping"]] == ["physics.value.name", "schedule.value.name", "group"]
    filters = {f["key"]["name"]: f["value"] for f in runs["filters"]["filters"]}
    assert filters == {"jobType": ["train"], "tags": ["fig_4"]}
    for panel in panels(printed["spec"])["Accuracy"][:4]:
        assert panel["yLogScale"]
        assert panel["groupBy"] == "group"


@pytest.mark.slow
def test_no_panel_of_the_dashboard_is_empty(dashboard, run_in, tmp_path):
    script = dashboard()
    # Long enough for ratios, and for a refinement.
    outcome = run_in(tmp_path, "physics=heat1d", "epochs=8", "tracking=wandb", "tracking.tags=[mine]")
    records = inspect(*logs(outcome.folder))
    history = {k for item in of_type(records, "history") for k, v in item["item"].items() if v is not None}
    summary = {k for change in of_type(records, "summary") for k in change["update"]}
    (run,) = of_type(records, "run")

    spec = json.loads(script.specification(script.dashboard("e", "p")))["spec"]
    for panel in (panel for section in panels(spec).values() for panel in section):
        title = panel.get("chartTitle")
        if "barLimit" in panel:
            assert set(panel["metrics"]) <= summary, title
        elif "yAxis" in panel:
            assert {panel[axis].removeprefix("summary:") for axis in ("xAxis", "yAxis")} <= summary, title
        elif "metricRegex" in panel:
            assert any(re.fullmatch(panel["metricRegex"], key) for key in history), title
        else:
            assert {panel["xAxis"], *panel["metrics"]} <= history, title
    assert set(script.COLUMNS) <= summary
    (selected,) = spec["section"]["runSets"]
    filters = {f["key"]["name"]: f["value"] for f in selected["filters"]["filters"]}
    assert run["job_type"] in filters["jobType"]
    for key in (g["name"] for g in selected["grouping"]):
        group, _, name = key.partition(".value.")
        assert run["run_group"] if key == "group" else run["config"]["update"][group][name], key
    assert {"heat1d", "jacobi", "implicit", "prdp", "mine"} <= set(run["tags"])


def test_the_dashboard_shows_only_what_a_run_logs(dashboard):
    script = dashboard()
    summary = wandb_summary()
    logged = {*COLUMNS, *THRESHOLDS, "val_error_step_1"}
    spec = json.loads(script.specification(script.dashboard("e", "p")))["spec"]
    shown = [panel for section in panels(spec).values() for panel in section]
    bars = [p for p in shown if "barLimit" in p]
    lines = [p for p in shown if "limit" in p]
    assert {m for p in bars for m in p["metrics"]} <= summary
    assert {m for p in lines for m in [p["xAxis"], *p["metrics"]]} <= logged
    assert all(any(re.fullmatch(p["metricRegex"], m) for m in logged) for p in lines if "metricRegex" in p)
    assert set(script.COLUMNS) <= summary
    for scatter in (p for p in shown if "yAxis" in p):
        assert {scatter[axis].removeprefix("summary:") for axis in ("xAxis", "yAxis")} <= summary


def wandb_summary():
    from prdp.records import summarise

    return set(summarise(ROWS, {}, IDENTITY, 12, 1, "finished"))


class Server:
    """Stands in for W&B's: keeps the last workspace that was sent."""

    def __init__(self):
        self.sent = []

    def __call__(self, api, query, variables):
        if "upsertView" in query:
            self.sent.append(variables)
            return {"upsertView": {"view": {"name": "nw-abc-v", "id": "its-id"}}}
        node = {"id": "its-id", "displayName": "mine", "spec": self.sent[-1]["spec"]}
        return {"project": {"allViews": {"edges": [{"node": node}]}}}


def test_a_workspace_is_made_and_then_updated_in_place(dashboard, monkeypatch):
    script, server = dashboard(), Server()
    monkeypatch.setattr(wandb, "Api", lambda: None)
    monkeypatch.setattr("wandb_workspaces.workspaces.internal.execute_graphql", server)
    monkeypatch.setattr("wandb_workspaces.workspaces.interface.get_app_url", lambda api: "https://wandb.ai")
    url = script.save(script.dashboard("e", "p"), None)
    assert url == "https://wandb.ai/e/p?nw=abc"
    assert script.save(script.dashboard("e", "p", ["fig_4"]), url) == url
    made, updated = server.sent
    assert "id" not in made
    assert (updated["id"], updated["entityName"], updated["projectName"]) == ("its-id", "e", "p")
    assert panels(json.loads(updated["spec"])) == panels(json.loads(made["spec"]))
    assert "fig_4" in updated["spec"]
    assert "fig_4" not in made["spec"]


def test_without_a_key_the_dashboard_says_so_in_one_line(dashboard):
    with pytest.raises(SystemExit, match="wandb_dashboard: no API key is set; --dry-run shows"):
        dashboard().main()


def test_artifacts_go_offline_without_a_key(results, monkeypatch, caplog):
    script = program(monkeypatch, "wandb_artifacts")
    folder, _ = script.log_folders(results, WeightsAndBiasesSettings(mode="online"))
    assert folder.name.startswith("offline-run-")
    assert warnings(caplog) == ["W&B: no API key is set, so the run is logged offline"]
