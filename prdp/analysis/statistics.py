"""Numbers over seeds: mean, spread, intervals, and the sufficient level."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import scipy.stats

_RESAMPLES = 2000
_CENTRES: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "median": np.median}


class Statistic(NamedTuple):
    """A number over seeds.

    Attributes:
        runs: finished runs behind it.
        mean: over them; NaN without any.
        std: sample standard deviation, the paper's spread; null with one run.
        median: over them.
        low: lower end of a 95 % bootstrap interval; null with one run, or if none was asked for.
        high: its upper end.
        diverged: runs that are in none of these numbers because they diverged.
    """

    runs: int
    mean: float
    std: float | None = None
    median: float = math.nan
    low: float | None = None
    high: float | None = None
    diverged: int = 0


def describe(
    values: Iterable[float | int], *, interval_of: Literal["mean", "median"] | None = None, diverged: int = 0
) -> Statistic:
    """Return the statistics of a value a run; null values count for nothing.

    The interval is the percentile bootstrap's, with a fixed seed. (BCa is undefined for the median of a few values, and
    for equal ones.)

    Args:
        values: one of each finished run.
        interval_of: what the interval is of; null for none, which costs much less.
        diverged: how many runs have no value.
    """
    x = np.asarray([v for v in values if not math.isnan(v)], dtype=float)
    if x.size == 0:
        return Statistic(0, math.nan, diverged=diverged)
    mean, median = float(x.mean()), float(np.median(x))
    if x.size == 1:
        return Statistic(1, mean, median=median, diverged=diverged)
    low, high = (None, None) if interval_of is None else _interval(x, interval_of)
    return Statistic(x.size, mean, float(x.std(ddof=1)), median, low, high, diverged)


def _interval(x: np.ndarray, of: str) -> tuple[float, float]:
    found = scipy.stats.bootstrap(
        (x,), _CENTRES[of], method="percentile", n_resamples=_RESAMPLES, random_state=np.random.default_rng(0)
    ).confidence_interval
    return float(found.low), float(found.high)


def relative_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], *, diverged: int = 0
) -> Statistic:
    """Return (ours - theirs) by seed, relative to the mean of theirs over the same seeds.

    The interval is that of the mean.
    """
    seeds = sorted(set(ours) & set(theirs))
    scale = float(np.mean([theirs[s] for s in seeds])) if seeds else math.nan
    return describe([(ours[s] - theirs[s]) / scale for s in seeds], interval_of="mean", diverged=diverged)


def sufficient_level(errors: Mapping[int, Statistic], converged: int) -> int | None:
    """Return K_max: the lowest K whose mean error exceeds that of K_eps by at most one standard deviation of K_eps's.

    Args:
        errors: final error by K, K_eps among them.
        converged: K_eps.

    Returns:
        Null if K_eps has fewer than two seeds or a diverged run. A level with a diverged run is not sufficient.
    """
    baseline = errors.get(converged)
    if baseline is None or baseline.std is None or baseline.diverged:
        return None
    limit = baseline.mean + baseline.std
    return min(k for k, error in errors.items() if error.mean <= limit and not error.diverged)


def exponent(sizes: Iterable[int], errors: Iterable[float]) -> float:
    """Return p of the least-squares fit `error ~ size^p`."""
    slope, _ = np.polyfit(np.log(list(sizes)), np.log(list(errors)), 1)
    return float(slope)
