"""Finished run folders as records."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from prdp.analysis.records import GENERAL, GROUPS, Records, complete, empty, flatten
from prdp.records import HOUSEKEEPING, RunFolder

# The keys of provenance.json that become columns.
_PROVENANCE = ("prdp", "commit", "uncommitted_changes", "device", "cpu_count")


def load_runs(folders: Iterable[Path]) -> Records:
    """Return the records of finished or diverged run folders. Unfinished and damaged ones are left out."""
    summaries, histories = [], []
    for folder in folders:
        try:
            row = _summary(folder)
            history = pd.read_parquet(folder / "history.parquet")
        except (OSError, ValueError, yaml.YAMLError):
            # A file is missing or incomplete: the run is not finished.
            continue
        summaries.append(row)
        histories.append(history.assign(run=folder.name))
    if not summaries:
        return empty()
    return Records(
        complete(pd.DataFrame(summaries)), pd.concat(histories, ignore_index=True), empty().jobs
    ).with_own()


def _summary(folder: Path) -> dict[str, Any]:
    summary = RunFolder(folder).finished_summary()
    if summary is None:
        raise ValueError(f"{folder} is not finished, or damaged")
    status, provenance = (json.loads((folder / f"{x}.json").read_text()) for x in ("status", "provenance"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return {
        "run": folder.name,
        **summary,
        **{k: v for k, v in settings(config).items() if k not in summary},
        **{k: provenance.get(k) for k in _PROVENANCE},
        "device": _device(provenance.get("device"), config.get("seeds_per_process", 1)),
        "seeds_per_process": config.get("seeds_per_process", 1),
        "jax": provenance["packages"]["jax"],
        "recorded": status["updated"],
        "busy_elsewhere": status.get("busy_elsewhere"),
    }


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return every setting that can change numbers, by its column.

    The name chosen in a group is the column of the group. Its class (`_target_`) is kept only if it is not one of
    prdp's, which the name already identifies.
    """
    kept = {k: v for k, v in config.items() if k not in HOUSEKEEPING and k != "seed"}
    found: dict[str, Any] = {}
    for key, value in flatten(kept).items():
        group, _, rest = key.partition(".")
        if key.endswith("_target_") and str(value).partition(".")[0] in ("prdp", "None"):
            continue
        if group in GROUPS and rest in ("", "name"):
            found[group] = value
        elif rest or key in GENERAL:
            found[key] = value
        elif key == "epochs":
            found["planned_epochs"] = value
        else:
            found[f"config.{key}"] = value
    return found


def _device(name: str | None, seeds: int) -> str | None:
    """Return the device that seconds were measured on. A share of a device counts as another device."""
    return f"{name}, {seeds} seeds together" if name and seeds > 1 else name
