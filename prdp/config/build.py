"""From a mapping to a checked dataclass, or one line that says what is wrong."""

import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from prdp.checks import LARGEST, integer, shown
from prdp.config.options import SCHEMA


class ConfigError(ValueError):
    """A configuration that cannot be run; its text is one line: key, value, what is allowed."""


def named(group: str, node: Any) -> tuple[str, dict[str, Any]]:
    """Return the name that a group's node chose, and its options."""
    if not isinstance(node, Mapping):
        raise ConfigError(
            f"{group}={shown(node, strings=True)}: allowed is a mapping with a name and its options"
        )
    options = dict(node)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in SCHEMA[group]:
        raise ConfigError(f"{group}.name={shown(name, strings=True)}: allowed are {', '.join(SCHEMA[group])}")
    return name, options


def build(cls: type, options: dict[str, Any], path: str, also: list[str] | None = None) -> Any:
    """Return `cls(**options)` with keys, types and ranges checked, or raise a `ConfigError` of one line."""
    prefix = f"{path}." if path else ""
    allowed = [f.name for f in dataclasses.fields(cls)]
    for key in options:
        if key not in allowed:
            known = allowed + (also or [])
            close = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {prefix}{close[0]}?)" if close else ""
            raise ConfigError(f"{prefix}{key}: no such key; allowed are {', '.join(known) or 'none'}{hint}")
    # Lists of YAML are tuples in frozen dataclasses.
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    try:
        values = dict(_typed(cls).model_validate(options))
        built = cls(**values)
        for key, value in values.items():
            _check_size(key, value)
        return built
    except ValidationError as error:
        raise ConfigError(_explain(error, prefix)) from error
    except ValueError as error:
        # From __post_init__, which names the key itself.
        raise ConfigError(f"{prefix}{error}") from error


def _check_size(key: str, value: Any) -> None:
    """Refuse what no object means, where its own checks let it pass."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key}={value}: allowed is a finite number")
    if isinstance(value, int) and not isinstance(value, bool):
        integer(key, value, -LARGEST, 2**32 - 1)
    if isinstance(value, tuple):
        for element in value:
            _check_size(key, element)


def canonical(cls: type, options: dict[str, Any]) -> dict[str, Any]:
    """Return options that `build` accepts in the types that `cls` declares: equal configurations are equal text.

    An integer for a number is a float, and there is no negative zero.
    """
    hints = _hints(cls)
    return {key: _canonical(hints[key], value) if key in hints else value for key, value in options.items()}


_hints = functools.cache(typing.get_type_hints)


def _canonical(hint: Any, value: Any) -> Any:
    kinds = typing.get_args(hint)
    if isinstance(value, list):
        return [_canonical(kinds[0], x) for x in value] if kinds else value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (hint is float or (float in kinds and int not in kinds)):
        return float(value) + 0.0
    return value


@functools.cache
def _typed(cls: type) -> type[BaseModel]:
    """Return a strict pydantic model with the fields of a dataclass: `"5"` is no integer, `true` no number."""
    hints = typing.get_type_hints(cls)
    fields: dict[str, Any] = {}
    for f in dataclasses.fields(cls):
        # Every key has to be there, so that `config.yaml` tells all: defaults are those of conf/, not of the class.
        fields[f.name] = (hints[f.name], ...)
    return create_model(cls.__name__, __config__=ConfigDict(strict=True), **fields)


_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}


def _explain(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{prefix}{key}: this key is needed"
    expected = _EXPECTED.get(first["type"], first["msg"])
    return f"{prefix}{key}={shown(first['input'], strings=True)}: allowed is {expected}"
