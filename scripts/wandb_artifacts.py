"""Log figures, tables and records as W&B artifacts of one run, offline by default.

    python scripts/wandb_artifacts.py                           results/figures, results/tables, results/records
    python scripts/wandb_artifacts.py --mode online             the same, uploaded to the account
    python scripts/wandb_artifacts.py --results FOLDER

Each artifact has the name of its folder. PNG figures are also logged as images, which the run's page shows. The run is
stored in FOLDER/wandb; `wandb sync` uploads it later.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import wandb

from prdp.tracking.wandb_settings import WeightsAndBiasesSettings
from prdp.tracking.weights_and_biases import choose_mode

NAMES = ("figures", "tables", "records")


def content(folder: Path) -> list[Path]:
    """Return the files below a folder, excluding hidden files."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def log_folders(results: Path, settings: WeightsAndBiasesSettings) -> tuple[Path, dict[str, int]]:
    """Log the existing folders among `NAMES` below `results`.

    Returns:
        The folder of the W&B run, and the number of files of each artifact.

    Raises:
        FileNotFoundError: If none of the folders contains a file.
        ValueError: If WANDB_MODE disables logging, or is not a mode of W&B.
    """
    mode = settings.chosen_mode()
    if mode == "disabled":
        raise ValueError("WANDB_MODE=disabled: nothing is logged (--mode offline logs)")
    files = {name: content(results / name) for name in NAMES}
    files = {name: found for name, found in files.items() if found}
    if not files:
        raise FileNotFoundError(f"{results}: no file in {', '.join(NAMES)}")
    # An offline run refers to copies of the files, which must outlive it. Keep them beside the run, not in the home
    # folder.
    os.environ.setdefault("WANDB_DATA_DIR", str((results / "wandb").resolve()))
    run = wandb.init(
        mode=choose_mode(mode),
        project=settings.chosen_project(),
        entity=settings.entity,
        name="results",
        group="results",
        job_type="results",
        tags=["results", *settings.tags],
        dir=str(results),
        settings=wandb.Settings(console="off", silent=True, init_timeout=20),
    )
    for name, found in files.items():
        artifact = wandb.Artifact(name, type=name)
        for path in found:
            artifact.add_file(str(path), name=path.relative_to(results / name).as_posix())
        run.log_artifact(artifact)
    pictures = [p for p in files.get("figures", []) if p.suffix == ".png"]
    images: dict[str, Any] = {f"figures/{p.stem}": wandb.Image(str(p)) for p in pictures}
    if images:
        run.log(images)
    run.finish()
    return Path(run.dir).parent, {name: len(found) for name, found in files.items()}


def main() -> None:
    """Log the folders and print what was logged."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = WeightsAndBiasesSettings()
    parser.add_argument("--results", type=Path, default=Path(__file__).resolve().parents[1] / "results")
    parser.add_argument("--mode", choices=("offline", "online"), default=defaults.mode)
    parser.add_argument("--project", default=defaults.project)
    parser.add_argument("--entity", help="team or user; default: the account's")
    options = parser.parse_args()
    try:
        settings = WeightsAndBiasesSettings(options.mode, options.project, options.entity)
        folder, counts = log_folders(options.results, settings)
    except Exception as error:
        sys.exit(f"wandb_artifacts: {error}")
    for name in NAMES:
        count = counts.get(name, 0)
        print(
            f"{name}: {count} file{'s' if count > 1 else ''}" if count else f"{name}: nothing there, left out"
        )
    print(f"run folder: {folder}")


if __name__ == "__main__":
    main()
