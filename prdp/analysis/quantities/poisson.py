"""Savings on the Poisson inverse problems, by the paper's account and up to a common error."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from prdp.analysis.quantities.selection import Selection
from prdp.analysis.statistics import Statistic

# The smallest round parameter error that every run of the paper's table reaches in float32.
COMMON_ERROR = 2e-5
# With one parameter, the paper charges the baseline and each schedule up to these updates. With three, it charges all.
CHARGED = {"fixed": 125, "linear": 145, "prdp": 170}


class PoissonAccount(NamedTuple):
    """Inner iterations of a schedule against those of a converged baseline.

    Attributes:
        baseline_updates: updates charged to the baseline.
        baseline_cost: its inner iterations.
        updates: updates charged to the schedule.
        cost: its inner iterations.
        savings: `1 - cost / baseline_cost`.
    """

    baseline_updates: int
    baseline_cost: int
    updates: int
    cost: int
    savings: float


def account(
    baseline: pd.DataFrame,
    schedule: pd.DataFrame,
    *,
    baseline_updates: int | None = None,
    updates: int | None = None,
    error: float | None = None,
) -> PoissonAccount:
    """Return the inner iterations (K summed over updates) of both histories, and the savings.

    Each history is charged up to a given number of updates (default: all), as in the paper, or, with `error`, up to its
    first update with a parameter error of at most `error`.

    Raises:
        ValueError: a history never reaches `error`.
    """
    if error is not None:
        baseline_updates, updates = first_reach(baseline, error), first_reach(schedule, error)
    baseline_updates = int(baseline["updates"].max()) if baseline_updates is None else baseline_updates
    updates = int(schedule["updates"].max()) if updates is None else updates
    baseline_cost = _cost(baseline, baseline_updates)
    cost = _cost(schedule, updates)
    return PoissonAccount(baseline_updates, baseline_cost, updates, cost, 1 - cost / baseline_cost)


def paper_account(
    baseline: pd.DataFrame, schedule: pd.DataFrame, *, parameters: int, name: str
) -> PoissonAccount:
    """Return the account of the paper's table in section 4.1.

    Args:
        baseline: history of the converged baseline.
        schedule: history of the schedule.
        parameters: of the inverse problem.
        name: of the schedule: with one parameter, each is charged up to an update of its own.
    """
    if parameters > 1:
        return account(baseline, schedule)
    return account(
        baseline,
        schedule,
        baseline_updates=min(CHARGED["fixed"], int(baseline["updates"].max())),
        updates=min(CHARGED.get(name, CHARGED["prdp"]), int(schedule["updates"].max())),
    )


def common_account(baseline: pd.DataFrame, schedule: pd.DataFrame) -> PoissonAccount | None:
    """Return the account to a common error, `COMMON_ERROR`; null if one of both never reaches it."""
    try:
        return account(baseline, schedule, error=COMMON_ERROR)
    except ValueError:
        return None


def common_error(histories: Iterable[pd.DataFrame]) -> float:
    """Return `COMMON_ERROR`, or the smallest error of one digit that every history reaches if that is larger."""
    worst = max(float(h["val_error"].min()) for h in histories)
    power = 10.0 ** math.floor(math.log10(worst))
    return max(COMMON_ERROR, math.ceil(round(worst / power, 9)) * power)


def first_reach(history: pd.DataFrame, error: float) -> int:
    """Return the first update after which `val_error` is at most `error`.

    Raises:
        ValueError: there is none.
    """
    reached = history.loc[history["val_error"] <= error, "updates"]
    if reached.empty:
        raise ValueError(f"no update reaches an error of {error} (best {history['val_error'].min():.3g})")
    return int(reached.iloc[0])


def _cost(history: pd.DataFrame, updates: int) -> int:
    return int(history.loc[history["updates"] == updates, "iterations_total"].iloc[0])


def poisson(
    selection: Selection, part: str, arm: str = "prdp", only: Mapping[str, Any] | None = None
) -> Statistic | None:
    """Return a number of the paper's account: `baseline_cost`, `saved` (iterations) or `savings` (their share)."""
    base, schedule = selection.history("converged"), selection.history(arm, only)
    if base is None or schedule is None:
        return None
    first = selection.arm(arm, only).iloc[0]
    found = paper_account(
        base, schedule, parameters=int(first["physics.parameters"]), name=str(first["schedule"])
    )
    numbers = {
        "baseline_cost": found.baseline_cost,
        "saved": found.baseline_cost - found.cost,
        "savings": found.savings,
    }
    return Statistic(1, float(numbers[part]))


def poisson_advantage(
    selection: Selection,
    arm: str,
    against: str,
    only: Mapping[str, Any] | None = None,
    only_against: Mapping[str, Any] | None = None,
) -> Statistic | None:
    """Return the savings of one schedule over another's, by the paper's account."""
    ours = poisson(selection, "savings", arm, only)
    theirs = poisson(selection, "savings", against, only_against)
    return None if ours is None or theirs is None else Statistic(1, ours.mean - theirs.mean)


def outer_steps(selection: Selection, error: float, arm: str = "converged") -> Statistic | None:
    """Return the first update after which the error is at most `error`; null if there is none."""
    history = selection.history(arm)
    if history is None or history["val_error"].min() > error:
        return None
    return Statistic(1, float(first_reach(history, error)))
