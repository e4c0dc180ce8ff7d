"""Numbers over seeds: mean, spread, intervals, and the sufficient level."""

import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import scipy.stats

LEVEL = 0.95
# Fewer values than this have no 95 % interval of their median.
_LEAST_FOR_MEDIAN = 6


class Statistic(NamedTuple):
    """A number over seeds.

    Attributes:
        runs: finished runs behind it.
        mean: over them; NaN without any.
        std: sample standard deviation, the paper's spread; null with one run.
        median: over them.
        low: lower end of a 95 % interval of the mean or the median; null if the runs are too few for one.
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
    values: Iterable[float | int], *, interval_of: Literal["mean", "median"] = "mean", diverged: int = 0
) -> Statistic:
    """Return the statistics of a value per run; NaN counts for nothing.

    The interval of the mean is Student's, `mean ± t s / sqrt(n)` with n - 1 degrees of freedom. That of the median is
    between two order statistics, with a coverage of at least 95 % whatever the distribution; it needs six values.

    Args:
        values: one of each finished run.
        interval_of: what the interval is of.
        diverged: how many runs have no value.
    """
    x = np.sort([v for v in values if not math.isnan(v)]).astype(float)
    if x.size == 0:
        return Statistic(0, math.nan, diverged=diverged)
    mean, median = float(x.mean()), float(np.median(x))
    if x.size == 1:
        return Statistic(1, mean, median=median, diverged=diverged)
    std = float(x.std(ddof=1))
    low, high = _of_median(x) if interval_of == "median" else of_mean(mean, std, x.size)
    return Statistic(x.size, mean, std, median, low, high, diverged)


def of_mean(mean: float, std: float, runs: int) -> tuple[float, float]:
    """Return the 95 % interval of a mean by Student's t, from at least two runs with a standard deviation."""
    half = _t(float(runs - 1)) * std / math.sqrt(runs)
    return mean - half, mean + half


def welch(ours: tuple[float, float, int], theirs: tuple[float, float, int]) -> tuple[float, float]:
    """Return Welch's 95 % interval of our mean less theirs; each is mean, standard deviation and number of runs."""
    (a, s, n), (b, r, m) = ours, theirs
    u, v = s**2 / n, r**2 / m
    if u + v == 0:
        return a - b, a - b
    half = _t((u + v) ** 2 / (u**2 / (n - 1) + v**2 / (m - 1))) * math.sqrt(u + v)
    return a - b - half, a - b + half


@cache
def _t(freedom: float) -> float:
    return float(scipy.stats.t.ppf((1 + LEVEL) / 2, freedom))


def _of_median(x: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    if x.size < _LEAST_FOR_MEDIAN:
        return None, None
    # The most ranks that each tail can lose.
    lost = int(scipy.stats.binom.ppf((1 - LEVEL) / 2, x.size, 0.5))
    return float(x[lost - 1]), float(x[-lost])


def relative_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], *, diverged: int = 0
) -> Statistic:
    """Return (ours - theirs) by seed, relative to the mean of theirs over the same seeds.

    The interval takes that mean as exact.
    """
    seeds = sorted(set(ours) & set(theirs))
    scale = float(np.mean([theirs[s] for s in seeds])) if seeds else math.nan
    return describe([(ours[s] - theirs[s]) / scale for s in seeds], diverged=diverged)


def sufficient_level(
    errors: Mapping[int, Mapping[int, float]], converged: int, margin: float
) -> tuple[int, int] | None:
    """Return K_max, the lowest K beyond which the error does not improve, and the lowest level that it may be.

    K_eps is better than K if the 95 % interval of `(error at K - error at K_eps) / error at K_eps`, by seed, lies above
    0. K suffices if K_eps is not better and the interval ends at `margin` or less. A level where it ends above is open.

    Args:
        errors: final errors by seed, by K. K_eps is among them; levels with a diverged run must not be.
        converged: K_eps.
        margin: how much better K_eps may be, as a share.

    Returns:
        The lowest K that suffices and the lowest that suffices or is open; null if K_eps has fewer than two seeds.
    """
    baseline = errors.get(converged, {})
    if len(baseline) < 2:
        return None
    sufficient, candidates = [converged], [converged]
    for level, found in errors.items():
        excess = relative_difference(found, baseline)
        if level == converged or excess.low is None or excess.high is None:
            continue
        if excess.low <= 0:
            candidates.append(level)
            sufficient += [level] if excess.high <= margin else []
    return min(sufficient), min(candidates)


def exponent(sizes: Iterable[int], errors: Iterable[float]) -> float:
    """Return p of the least-squares fit `error ~ size^p`."""
    slope, _ = np.polyfit(np.log(list(sizes)), np.log(list(errors)), 1)
    return float(slope)
