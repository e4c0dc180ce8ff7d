"""Compute a run again from the `config.yaml` in its folder, with overrides.

python scripts/rerun.py results/runs/heat1d-jacobi-implicit-prdp-seed0-ce835f8e seed=3 overwrite=true
"""

import argparse
import sys
from pathlib import Path

from omegaconf import OmegaConf

from prdp.config import ConfigError
from prdp.run import run


def main() -> None:
    """Read the configuration, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the run")
    parser.add_argument("overrides", nargs="*", help="key=value")
    arguments = parser.parse_args()
    try:
        recorded = OmegaConf.load(arguments.folder / "config.yaml")
    except FileNotFoundError:
        sys.exit(f"error: {arguments.folder} has no config.yaml")
    config = OmegaConf.merge({"dry_run": False}, recorded, OmegaConf.from_dotlist(arguments.overrides))
    try:
        outcomes = run(config)  # type: ignore[arg-type]
    except ConfigError as error:
        sys.exit(f"error: {error}")
    for outcome in outcomes:
        print(f"run folder: {outcome.folder}{' (finished before)' if outcome.skipped else ''}")
        print(f"  savings {outcome.summary['savings']:.1%}, error {outcome.summary['val_error_final']:.6g}")


if __name__ == "__main__":
    main()
