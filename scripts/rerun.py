"""Compute a run again from the `config.yaml` in its folder, with overrides. Keys that it lacks have their defaults.

python scripts/rerun.py results/runs/heat1d-jacobi-implicit-prdp-seed0-ce835f8e seed=3 overwrite=true
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from prdp.config import ConfigError
from prdp.run import run

CONF = Path(__file__).resolve().parents[1] / "conf"


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
    config = OmegaConf.merge(completed(recorded), OmegaConf.from_dotlist(arguments.overrides))
    try:
        outcomes = run(config)  # type: ignore[arg-type]
    except ConfigError as error:
        sys.exit(f"error: {error}")
    for outcome in outcomes:
        print(f"run folder: {outcome.folder}{' (finished before)' if outcome.skipped else ''}")
        print(f"  savings {outcome.summary['savings']:.1%}, error {outcome.summary['val_error_final']:.6g}")


def completed(recorded: Any) -> Any:
    """Return a recorded configuration with the keys that were added to the suite since, at their defaults."""
    defaults = plain(CONF / "config.yaml")
    for group, node in recorded.items():
        option = CONF / str(group) / f"{node.get('name')}.yaml" if OmegaConf.is_dict(node) else None
        if option is not None and option.exists():
            defaults[group] = plain(option, str(group))
    return OmegaConf.merge(defaults, recorded)


def plain(path: Path, group: str = "") -> dict[str, Any]:
    """Return the values of a file of the configuration that depend on no other key.

    The option of a physics sets keys of other groups too; its own are below `physics`.
    """
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    own = content[group] if isinstance(content.get(group), dict) else content
    known = {key: value for key, value in own.items() if key not in ("defaults", "hydra")}
    return {key: value for key, value in known.items() if not (isinstance(value, str) and "${" in value)}


if __name__ == "__main__":
    main()
