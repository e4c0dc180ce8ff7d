"""A sweep as a union of grids, which the command line can narrow."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from prdp.config import ConfigError

# A grid maps command-line keys to a value or a list of values. Its jobs are all combinations.
Grid = Mapping[str, Any]
# The command-line overrides of one job.
Overrides = tuple[str, ...]


class GridError(ConfigError):
    """A sweep cannot be run, e.g. because no job is left. The message is one line."""


def expand(
    grids: Sequence[Grid], given: Mapping[str, Sequence[str]], groups: Mapping[str, Collection[str]]
) -> list[Overrides]:
    """Return the jobs of all grids in order, without duplicates.

    Args:
        grids: the grids whose union is the sweep.
        given: additional values from the command line, one or several per key. If a grid has the key, a configuration
            group narrows the grid (`physics=heat1d` keeps only the jobs of that physics), and any other key replaces
            the values of the grid (`seed=1,2`, `epochs=10`). If a grid does not have the key, it applies to every job.
        groups: the names of the configuration groups, and the options of each.

    Raises:
        GridError: If no job is left, or if a narrowing value is not an option of its group.
    """
    for key, values in given.items():
        unknown = [v for v in values if key in groups and _allowed(grids, key) and v not in groups[key]]
        if unknown:
            raise GridError(f"{key}={','.join(unknown)}: allowed are {', '.join(groups[key])}")
    jobs: dict[Overrides, None] = {}
    for grid in grids:
        axes = {key: _texts(values) for key, values in grid.items()}
        for key, values in given.items():
            narrows = key in groups and key in axes
            axes[key] = [v for v in axes[key] if v in values] if narrows else list(values)
        for combination in itertools.product(*axes.values()):
            jobs[tuple(f"{key}={value}" for key, value in zip(axes, combination, strict=True))] = None
    if not jobs:
        narrowing = [key for key in given if key in groups and _allowed(grids, key)]
        told = ", ".join(f"{key}={','.join(given[key])}" for key in narrowing)
        allowed = {key: _allowed(grids, key) for key in narrowing}
        hints = "; ".join(f"{key} is one of {', '.join(values)}" for key, values in allowed.items() if values)
        raise GridError(f"{told}: no job of the experiment has that{f' ({hints})' if hints else ''}")
    return list(jobs)


def _allowed(grids: Sequence[Grid], key: str) -> list[str]:
    return list(dict.fromkeys(v for grid in grids for v in _texts(grid.get(key, []))))


def _texts(values: Any) -> list[str]:
    values = values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    return [_text(v) for v in values]


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_text, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
