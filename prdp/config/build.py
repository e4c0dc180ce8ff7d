"""Build objects from configuration nodes: `_target_` names a class or function, the other keys are its arguments."""

import dataclasses
import difflib
import functools
import inspect
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_object

from prdp.checks import shown
from prdp.config.errors import ConfigError
from prdp.config.types import as_declared, check_size, typed

TARGET = "_target_"
# Option names become parts of folder names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+]*")


@dataclass(frozen=True)
class Recipe:
    """A class or function with checked arguments. Values that only a run can supply are passed to `__call__`.

    Attributes:
        target: the class or function that `_target_` names.
        arguments: its keyword arguments from the configuration.
        context: the names of the run's values (`shape`, `rngs`, ...) that it accepts.
        path: the configuration key, for error messages.
    """

    target: Callable[..., Any]
    arguments: dict[str, Any]
    context: frozenset[str]
    path: str

    def __call__(self, **context: Any) -> Any:
        """Return the object; values in `context` that the target does not accept are dropped.

        Raises:
            ConfigError: If the class or function rejects its arguments.
        """
        taken = {key: value for key, value in context.items() if key in self.context}
        prefix = f"{self.path}." if self.path else ""
        try:
            made = self.target(**self.arguments, **taken)
            self.check_sizes()
            return made
        except ConfigError:
            raise
        except ValueError as error:
            # The object's own checks already name the key.
            raise ConfigError(f"{prefix}{error}") from error
        except TypeError as error:
            if is_ours(self.target):
                raise
            raise ConfigError(
                f"{self.path}: {name_of(self.target)}: {' '.join(str(error).split())}"
            ) from error

    def check_sizes(self) -> None:
        """Reject non-finite and oversized numbers that the object's own checks let pass.

        Raises:
            ConfigError: If a number is not finite, or an integer does not fit into 32 bits.
        """
        for key, value in self.arguments.items():
            check_size(f"{self.path}.{key}" if self.path else key, value)


def named(group: str, node: Any) -> tuple[str, dict[str, Any]]:
    """Return the option name of a group's node, and its other keys.

    Raises:
        ConfigError: If the node is not a mapping, or the name cannot be part of a folder name.
    """
    if not isinstance(node, Mapping):
        raise ConfigError(
            f"{group}={shown(node, strings=True)}: allowed is a mapping with a name and its options"
        )
    options = dict(node)
    name = options.pop("name", None)
    if not isinstance(name, str) or len(name) > 64 or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{group}.name={shown(name, strings=True)}: allowed is a name of letters, digits and . _ +"
        )
    return name, options


def recipe(
    node: Mapping[str, Any], path: str, context: Collection[str] = (), also: Sequence[str] = ()
) -> Recipe:
    """Return the recipe of a node with a `_target_`, after checking its keys, types and sizes.

    Args:
        node: `_target_` and its arguments. An argument may itself be such a node; its object is then built.
        path: the node's key, for error messages.
        context: names of the values that the caller will supply.
        also: further keys of the group, listed as allowed in error messages.

    Raises:
        ConfigError: If a key is unknown or missing, or a value has the wrong type or size.
    """
    target = locate(node.get(TARGET), path)
    arguments = {key: value for key, value in node.items() if key != TARGET}
    return Recipe(target, _checked(target, arguments, path, context, also), taken(target, context), path)


def build(target: type, options: dict[str, Any], path: str, also: Sequence[str] = ()) -> Any:
    """Return `target(**options)` after checking keys, types and ranges.

    Raises:
        ConfigError: If a key, a type or a range is wrong.
    """
    return Recipe(target, _checked(target, options, path, (), also), frozenset(), path)()


def locate(target: Any, path: str) -> Callable[..., Any]:
    """Return the class or function at a dotted path.

    Raises:
        ConfigError: If nothing can be imported from the path, or it is abstract or not callable.
    """
    key = f"{path}.{TARGET}={shown(target, strings=True)}"
    allowed = "allowed is the dotted path of a class or function that can be imported"
    if not isinstance(target, str) or not target.strip():
        raise ConfigError(f"{key}: {allowed}")
    try:
        found = get_object(target)
    except (ImportError, ValueError, HydraException) as error:
        raise ConfigError(f"{key}: {allowed} ({' '.join(str(error.__cause__ or error).split())})") from error
    if not callable(found) or inspect.isabstract(found):
        raise ConfigError(f"{key}: {allowed}")
    return typing.cast(Callable[..., Any], found)


def is_ours(target: Any) -> bool:
    """Return whether a class or function is part of this package."""
    return getattr(target, "__module__", "").partition(".")[0] == "prdp"


def name_of(target: Any) -> str:
    """Return the dotted path of a class or function."""
    return f"{target.__module__}.{target.__qualname__}"


def defaults(target: Callable[..., Any], context: Collection[str] = ()) -> dict[str, Any]:
    """Return the plain default arguments of a class or function from another package, so that a record is complete.

    The defaults of this package's own classes are set in `conf/`, where a missing key is an error.
    """
    if is_ours(target):
        return {}
    found = {
        k: p.default for k, p in _parameters(target).items() if p.default is not p.empty and k not in context
    }
    return {k: v for k, v in found.items() if v is None or isinstance(v, bool | int | float | str)}


def canonical(target: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return accepted options in the types that `target` declares, so that equal configurations give equal text."""
    hints = _hints(target)
    return {
        key: canonical(locate(value[TARGET], key), value)
        if isinstance(value, dict) and TARGET in value
        else as_declared(hints.get(key), value)
        for key, value in options.items()
    }


def taken(target: Callable[..., Any], context: Collection[str]) -> frozenset[str]:
    """Return the names in `context` that a class or function accepts as arguments."""
    parameters = _parameters(target)
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return frozenset(name for name in context if anything or name in parameters)


def _checked(
    target: Callable[..., Any],
    options: dict[str, Any],
    path: str,
    context: Collection[str],
    also: Sequence[str],
) -> dict[str, Any]:
    prefix = f"{path}." if path else ""
    parameters, hints = _parameters(target), _hints(target)
    allowed = [
        key
        for key, p in parameters.items()
        if key not in context and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in options:
        if key not in allowed and not anything:
            known = [*allowed, *also]
            close = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {prefix}{close[0]}?)" if close else ""
            raise ConfigError(f"{prefix}{key}: no such key; allowed are {', '.join(known) or 'none'}{hint}")
    values = {}
    for key in allowed:
        if key in options:
            values[key] = _value(hints.get(key, Any), options[key], f"{prefix}{key}")
        elif is_ours(target) or parameters[key].default is parameters[key].empty:
            # This package's defaults are set in conf/, so that a run's `config.yaml` is complete.
            raise ConfigError(f"{prefix}{key}: this key is needed")
    return values | {k: _value(Any, v, f"{prefix}{k}") for k, v in options.items() if k not in values}


def _value(hint: Any, value: Any, path: str) -> Any:
    """Return a value in its declared type. Lists become tuples, which frozen dataclasses can hold."""
    if isinstance(value, Mapping) and TARGET in value:
        return recipe(value, path)()
    value = tuple(value) if isinstance(value, list) else value
    return typed(hint, value, path)


@functools.cache
def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the call parameters of a class or function, without `self`."""
    # The metaclass of flax modules hides the signature, so read __init__.
    if _has_own_init(target):
        return dict(list(inspect.signature(target.__init__).parameters.items())[1:])
    return inspect.signature(target).parameters


def _has_own_init(target: Any) -> bool:
    return (
        inspect.isclass(target)
        and not dataclasses.is_dataclass(target)
        and target.__init__ is not object.__init__
    )


@functools.cache
def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    source: Any = target.__init__ if _has_own_init(target) else target
    try:
        return typing.get_type_hints(source)
    except Exception:
        # Some annotations can only be resolved by a type checker; they are not checked here.
        return {}
