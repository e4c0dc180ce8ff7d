"""Argument checks whose one-line errors name the argument, its value and the allowed values."""

import math
from numbers import Integral, Real
from typing import Any

# Counters in compiled programs are 32-bit integers.
LARGEST = 2**31 - 1
# The limit of K and of an increment of K, so that their sum is below `LARGEST`.
LARGEST_K = 2**30 - 1


class Mismatch(ValueError):
    """A part of a configuration that does not go with another.

    Args:
        group: the part, such as `data`.
        reason: what it would have to be, or why it cannot be used.
    """

    def __init__(self, group: str, reason: str):
        super().__init__(f"{group}: {reason}")
        self.group, self.reason = group, reason


def require(condition: bool, key: str, value: Any, allowed: str) -> None:
    """Check that `condition` holds.

    Raises:
        ValueError: If it does not. The message names the key, the value and the allowed values.
    """
    if not condition:
        raise ValueError(f"{key}={' '.join(str(value).split())}: allowed is {allowed}")


def is_whole(value: Any) -> bool:
    """Whether `value` is an integer, excluding booleans."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite real number, excluding booleans."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def integer(key: str, value: Any, least: int, most: int = LARGEST, null: bool = False) -> None:
    """Check that `value` is an integer from `least` to `most`. With `null`, `None` is allowed too.

    Raises:
        ValueError: If it is not.
    """
    if null and value is None:
        return
    allowed = f"from {least} to {most}" if is_whole(value) and value > most else f">= {least}"
    whole = is_whole(value) and least <= value <= most
    require(whole, key, shown(value), f"an integer {allowed}{', or null' if null else ''}")


def positive(key: str, value: Any, null: bool = False) -> None:
    """Check that `value` is a finite number above zero. With `null`, `None` is allowed too.

    Raises:
        ValueError: If it is not.
    """
    within(key, value, lambda x: x > 0, "a number > 0", null)


def within(key: str, value: Any, holds: Any, allowed: str, null: bool = False) -> None:
    """Check that `value` is a finite number that satisfies the predicate `holds`. With `null`, `None` is allowed too.

    The text `allowed` describes the predicate in the error message.

    Raises:
        ValueError: If it is not.
    """
    if null and value is None:
        return
    require(is_number(value) and holds(value), key, shown(value), f"{allowed}{', or null' if null else ''}")


def one_of(key: str, value: Any, allowed: tuple[str, ...], further: str = "") -> None:
    """Check that `value` is one of the strings in `allowed`.

    The text `further` describes additional values in the error message, which the caller has already handled.

    Raises:
        ValueError: If it is not.
    """
    if not (isinstance(value, str) and value in allowed):
        told = ", ".join([*allowed, further] if further else allowed)
        raise ValueError(f"{key}={shown(value, strings=True)}: allowed are {told}")


def flag(key: str, value: Any) -> None:
    """Check that `value` is a boolean.

    Raises:
        ValueError: If it is not.
    """
    require(isinstance(value, bool), key, shown(value, strings=True), "true or false")


def shown(value: Any, strings: bool = False) -> str:
    """Return the representation of a value on one line of at most 80 characters."""
    text = repr(value) if strings or not is_whole(value) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
