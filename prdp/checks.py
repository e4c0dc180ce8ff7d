"""What an argument may be: one line that names it, its value and what is allowed."""

import math
from numbers import Integral, Real
from typing import Any

# Counters in compiled programs are 32-bit integers.
LARGEST = 2**31 - 1
# Of a K and of what raises it, so that their sum is no larger.
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
    """Raise a `ValueError` that names the key, the value and what is allowed, unless `condition` holds."""
    if not condition:
        raise ValueError(f"{key}={' '.join(str(value).split())}: allowed is {allowed}")


def is_whole(value: Any) -> bool:
    """Whether `value` is an integer and not a boolean."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether `value` is a number, neither NaN nor infinite, and not a boolean."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def integer(key: str, value: Any, least: int, most: int = LARGEST, null: bool = False) -> None:
    """Check an integer between two others.

    Raises:
        ValueError: it is none, or outside; `None` is allowed with `null`.
    """
    if null and value is None:
        return
    allowed = f"from {least} to {most}" if is_whole(value) and value > most else f">= {least}"
    whole = is_whole(value) and least <= value <= most
    require(whole, key, shown(value), f"an integer {allowed}{', or null' if null else ''}")


def positive(key: str, value: Any, null: bool = False) -> None:
    """Check a finite number above zero.

    Raises:
        ValueError: it is none; `None` is allowed with `null`.
    """
    within(key, value, lambda x: x > 0, "a number > 0", null)


def within(key: str, value: Any, holds: Any, allowed: str, null: bool = False) -> None:
    """Check a finite number by `holds`, which `allowed` says in words.

    Raises:
        ValueError: it is none, or does not hold; `None` is allowed with `null`.
    """
    if null and value is None:
        return
    require(is_number(value) and holds(value), key, shown(value), f"{allowed}{', or null' if null else ''}")


def one_of(key: str, value: Any, allowed: tuple[str, ...], further: str = "") -> None:
    """Check a name; `further` says what else may be there.

    Raises:
        ValueError: it is none of the allowed ones.
    """
    if not (isinstance(value, str) and value in allowed):
        told = ", ".join([*allowed, further] if further else allowed)
        raise ValueError(f"{key}={shown(value, strings=True)}: allowed are {told}")


def flag(key: str, value: Any) -> None:
    """Check a boolean.

    Raises:
        ValueError: it is none.
    """
    require(isinstance(value, bool), key, shown(value, strings=True), "true or false")


def shown(value: Any, strings: bool = False) -> str:
    """Return a value as one short line."""
    text = repr(value) if strings or not is_whole(value) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
