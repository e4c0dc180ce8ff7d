"""From a mapping to a checked dataclass, or one line that says what is wrong."""

import dataclasses
import difflib
import functools
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from prdp.config.options import SCHEMA


class ConfigError(ValueError):
    """A configuration that cannot be run; its text is one line: key, value, what is allowed."""


def named(group: str, node: Any) -> tuple[str, dict[str, Any]]:
    """Return the name that a group's node chose, and its options."""
    options = dict(node) if isinstance(node, Mapping) else {}
    name = options.pop("name", None)
    if name not in SCHEMA[group]:
        raise ConfigError(f"{group}.name={name!r}: allowed are {', '.join(SCHEMA[group])}")
    return str(name), options


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
        return cls(**values)
    except ValidationError as error:
        raise ConfigError(_explain(error, prefix)) from error
    except ValueError as error:
        # From __post_init__, which names the key itself.
        raise ConfigError(f"{prefix}{error}") from error


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
    return f"{prefix}{key}={first['input']!r}: allowed is {expected}"
