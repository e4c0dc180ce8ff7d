"""Grouping of jobs that differ only in the seed, so that one program can train them together."""

import re
from collections.abc import Sequence

from prdp.suite.grids import Overrides

_SEED = re.compile(r"seed=(-?\d+)")
_SEEDS = re.compile(r"seed=\[([-\d, ]*)\]")


def grouped(jobs: Sequence[Overrides], sizes: Sequence[int]) -> list[list[int]]:
    """Return groups of job indices, ordered by their first members.

    Args:
        jobs: the overrides of each job.
        sizes: for each job, the maximum size of its group.
    """
    groups: list[list[int]] = []
    filling: dict[tuple[Overrides, int], list[int]] = {}
    for i, (job, size) in enumerate(zip(jobs, sizes, strict=True)):
        rest = tuple(x for x in job if not _SEED.fullmatch(x))
        alone = size == 1 or len(rest) != len(job) - 1
        group = None if alone else filling.get((rest, size))
        if group is None or len(group) == size:
            group = []
            groups.append(group)
            filling[rest, size] = group
        group.append(i)
    return groups


def join(jobs: Sequence[Overrides]) -> Overrides:
    """Return the overrides of one job that trains all given jobs, which must differ only in the seed."""
    if len(jobs) == 1:
        return jobs[0]
    seeds = [next(m[1] for x in job if (m := _SEED.fullmatch(x))) for job in jobs]
    return tuple(f"seed=[{','.join(seeds)}]" if _SEED.fullmatch(x) else x for x in jobs[0])


def split(job: Sequence[str]) -> list[Overrides]:
    """Return the overrides of each single run of a job: the inverse of `join`."""
    lists = [m[1] for x in job if (m := _SEEDS.fullmatch(x))]
    if not lists:
        return [tuple(job)]
    seeds = [seed.strip() for seed in lists[-1].split(",")]
    return [tuple(f"seed={seed}" if _SEEDS.fullmatch(x) else x for x in job) for seed in seeds]
