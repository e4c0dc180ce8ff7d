"""A sweep as a union of grids, and how the command line narrows it."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

# A grid: for each key of the command line a value or a list of values; its jobs are all combinations.
Grid = Mapping[str, Any]
# The overrides of one job, as on the command line.
Overrides = tuple[str, ...]


class GridError(ValueError):
    """No job is left of a sweep; its text is one line."""


def expand(
    grids: Sequence[Grid], given: Mapping[str, Sequence[str]], groups: Mapping[str, Collection[str]]
) -> list[Overrides]:
    """Return the jobs of all grids, each once, in order.

    Args:
        grids: their union is the sweep.
        given: what the command line says beside: by key, one value or several. A key that a grid has too narrows that
            grid if it is a group (`physics=heat1d` keeps only the jobs of that physics) and replaces the grid's values
            otherwise (`seed=1,2`, `epochs=10`). Other keys go to every job.
        groups: names of the configuration groups, and of the options of each.

    Raises:
        GridError: nothing is left, or a value that should narrow is no option of its group.
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
