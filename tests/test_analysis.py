"""Accounts of savings on hand-made histories."""

import pandas as pd
import pytest

from prdp.analysis import account


def history(levels, errors):
    total = [0]
    for k in levels:
        total.append(total[-1] + k)
    return pd.DataFrame(
        {"updates": range(len(total)), "iterations_total": total, "val_error": [1.0, *errors]}
    )


BASELINE = history([10] * 5, [0.5, 0.2, 0.1, 0.05, 0.05])
REFINED = history([1, 2, 4, 8, 8], [0.6, 0.3, 0.2, 0.1, 0.05])


def test_all_updates_are_charged_by_default():
    assert account(BASELINE, REFINED) == (5, 50, 5, 23, pytest.approx(1 - 23 / 50))


def test_given_numbers_of_updates_are_charged():
    assert account(BASELINE, REFINED, baseline_updates=3, updates=4) == (3, 30, 4, 15, 0.5)


def test_a_common_tolerance_charges_up_to_the_first_update_that_reaches_it():
    assert account(BASELINE, REFINED, error=0.1) == (3, 30, 4, 15, 0.5)


def test_a_tolerance_that_is_never_reached_is_an_error():
    with pytest.raises(ValueError, match=r"error of 0\.01 \(best 0\.05\)"):
        account(BASELINE, REFINED, error=0.01)
