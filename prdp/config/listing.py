"""The options of all groups with their keys, as `--help` shows them."""

from pathlib import Path
from typing import Any

import yaml


def listing(conf: Path) -> str:
    """Return each option of each group of a folder of configurations: what it is, and its keys with their defaults."""
    lines = [
        "Options of each group, with their keys and defaults (`paper.*`: the paper's settings for the physics):"
    ]
    for group in sorted(
        path for path in conf.iterdir() if path.is_dir() and path.name not in ("hydra", "experiment")
    ):
        lines.append(f"\n{group.name}:")
        for path in sorted(group.glob("*.yaml")):
            text = path.read_text()
            comments = [x for x in text.splitlines() if x.startswith("# ") and "@package" not in x]
            about = comments[0].removeprefix("# ") if comments else ""
            lines.append(f"  {group.name}={path.stem}  {about}")
            options = yaml.safe_load(text)
            # The file of a physics also chooses options of the other groups.
            options = options.get(group.name, {}) if group.name == "physics" else options
            shown = (
                f"{group.name}.{k}={_shown(v)}" for k, v in options.items() if k not in ("name", "_target_")
            )
            lines += [f"      {line}" for line in shown]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
