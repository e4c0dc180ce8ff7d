"""Checks of the types and sizes of configuration values, by the annotations of the classes that take them."""

import functools
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from prdp.checks import LARGEST, integer, shown
from prdp.config.errors import ConfigError


def typed(hint: Any, value: Any, path: str) -> Any:
    """Return a value in the type that an annotation declares. Types that YAML cannot express are not checked.

    Raises:
        ConfigError: If the value has another type.
    """
    hint = _plain(hint)
    if hint is Any:
        return value
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise ConfigError(_explain(error, path)) from error


def check_size(path: str, value: Any) -> None:
    """Reject non-finite and oversized numbers.

    Raises:
        ConfigError: If a number is not finite, or an integer does not fit into 32 bits.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path}={value}: allowed is a finite number")
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            integer(path, value, -LARGEST, 2**32 - 1)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    if isinstance(value, tuple):
        for element in value:
            check_size(path, element)


def as_declared(hint: Any, value: Any) -> Any:
    """Return an accepted value in the declared type: integers given for floats become floats, and -0.0 becomes 0.0."""
    kinds = typing.get_args(hint)
    if isinstance(value, list):
        return [as_declared(kinds[0], x) for x in value] if kinds else value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (hint is float or (float in kinds and int not in kinds)):
        return float(value) + 0.0
    return value


_PLAIN = (int, float, str, bool, types.NoneType)


def _plain(hint: Any) -> Any:
    """Return the annotation if YAML values can be checked against it, else `Any` (arrays, callables, ...)."""
    origin, kinds = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN or origin is typing.Literal:
        return hint
    if origin in (typing.Union, types.UnionType, tuple) or origin is Sequence:
        return hint if all(k is Ellipsis or _plain(k) is not Any for k in kinds) else Any
    return Any


@functools.cache
def _adapter(hint: Any) -> Any:
    """Return a strict validator: `"5"` is not an integer, and `true` is not a number."""
    return TypeAdapter(hint, config=ConfigDict(strict=True))


_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}


def _explain(error: ValidationError, path: str) -> str:
    first = error.errors(include_url=False)[0]
    # For unions pydantic also lists the name of the member, which is not a key.
    key = ".".join([path, *(str(part) for part in first["loc"] if isinstance(part, int))])
    expected = _EXPECTED.get(first["type"], first["msg"])
    return f"{key}={shown(first['input'], strings=True)}: allowed is {expected}"
