"""A digest of the source code behind a result, identical in every process and on every machine."""

import functools
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any


def source_digest(
    kinds: Iterable[Any], modules: Sequence[str] = (), without: Sequence[str] = ()
) -> str | None:
    """Return a digest (16 hexadecimal digits) of the source code that some classes depend on.

    It covers the modules of the classes and of their bases, and recursively all modules that these import within prdp
    and the packages of the classes. From a package, only the modules that define the imported names count. Other
    packages and the standard library are excluded. Each module counts with the text that it had when this process
    first read or last reloaded it, because later edits of the file do not affect the running code.

    Args:
        kinds: the classes or functions.
        modules: names of further modules to include.
        without: names of modules to exclude, together with everything that only they import.

    Returns:
        The digest, or `None` if the source code of a class is not available.
    """
    kinds = [
        base
        for kind in kinds
        for base in (kind.__mro__ if isinstance(kind, type) else (kind,))
        if _root(base.__module__) not in _FOREIGN
    ]
    roots = {__package__ or "prdp", *(_root(kind.__module__) for kind in kinds)}
    _keep_texts()
    texts = []
    for kind in kinds:
        if _text(kind.__module__) is None:
            # Defined in a notebook: use the text of the class itself, if available.
            try:
                texts.append(inspect.getsource(kind))
            except (OSError, TypeError):
                return None
    names = {name for name in (*modules, *(kind.__module__ for kind in kinds)) if _text(name) is not None}
    texts += [text for name in _closure(names, roots, frozenset(without)) if (text := _text(name))]
    digest = hashlib.sha256()
    for one in sorted(hashlib.sha256(text.encode()).digest() for text in texts):
        digest.update(one)
    return digest.hexdigest()[:16]


_FOREIGN = frozenset((*sys.stdlib_module_names, "builtins")) - {"__main__"}


def _root(module: str) -> str:
    return module.partition(".")[0]


def _closure(names: Iterable[str], roots: set[str], without: frozenset[str]) -> list[str]:
    """Return the modules and, recursively, those that they import within `roots`."""
    found: dict[str, None] = {}
    left = sorted(names)
    while left:
        name = left.pop()
        if name in found or name in without:
            continue
        found[name] = None
        for module, imported in _parsed(name).imports:
            if _root(module) in roots:
                origin = _origin(module, imported)
                if origin is not None:
                    left.append(origin)
    return list(found)


def _origin(module: str, name: str | None) -> str | None:
    """Return the module that defines a name imported from `module`, following re-exports."""
    seen: set[tuple[str, str | None]] = set()
    while (module, name) not in seen and _text(module) is not None:
        seen.add((module, name))
        if name is None or name == "*":
            return module
        parsed = _parsed(module)
        if name in parsed.bound:
            module, name = parsed.bound[name]
        elif name not in parsed.defined and _text(f"{module}.{name}") is not None:
            return f"{module}.{name}"
        else:
            return module
    return None


@dataclass
class _Parsed:
    """The imports of a module, the names that they bind, and the other names that the module defines."""

    imports: list[tuple[str, str | None]] = field(default_factory=list)
    bound: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)


# For each module, its specification (which a reload replaces) and its text.
_known: dict[str, tuple[Any, str | None]] = {}
_kept: list[bool] = []


def _keep_texts() -> None:
    """Read the text of all loaded prdp modules once, before their files can change."""
    if not _kept:
        _kept.append(True)
        for name in list(sys.modules):
            if _root(name) == _root(__name__):
                _text(name)


def _text(name: str) -> str | None:
    """Return the source text of a module, or `None` if there is no such module or no source."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    known = _known.get(name)
    if known is not None and known[0] is spec:
        return known[1]
    text = _read(name, module, spec)
    _known[name] = (spec, text)
    _parse.cache_clear() if known is not None else None
    return text


def _read(name: str, module: ModuleType | None, spec: Any) -> str | None:
    try:
        if module is None:
            spec = importlib.util.find_spec(name)
        place = getattr(module, "__file__", None) or getattr(spec, "origin", None)
        if place is None or not place.endswith(".py"):
            return None
        return importlib.util.decode_source(Path(place).read_bytes())
    except (ImportError, AttributeError, ValueError, OSError, SyntaxError):
        return None


def _parsed(name: str) -> _Parsed:
    return _parse(name, _text(name) or "", name in sys.modules and hasattr(sys.modules[name], "__path__"))


# Regular expressions take a tenth of the time of parsing. A line of a docstring that looks like an import does no
# harm, because it names no module.
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)|import[ \t]+([^\n]*))",
    re.MULTILINE,
)
_DEFINITION = re.compile(r"^(?:(?:async[ \t]+)?def[ \t]+|class[ \t]+)?(\w+)[ \t]*(?:=|:|\()", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")


@functools.cache
def _parse(name: str, text: str, is_package: bool) -> _Parsed:
    parsed = _Parsed(defined={match[1] for match in _DEFINITION.finditer(text)})
    package = name if is_package else name.rpartition(".")[0]
    for match in _IMPORT.finditer(text):
        base, names, modules = match.groups()
        if modules is not None:
            parsed.imports += [(words[0], None) for words in _names(modules)]
            continue
        relative = len(base) - len(base.lstrip("."))
        if relative:
            above = package.split(".")[: len(package.split(".")) - relative + 1]
            base = ".".join([*above, *filter(None, [base.lstrip(".")])])
        for words in _names(names):
            parsed.imports.append((base, words[0]))
            parsed.bound[words[-1]] = (base, words[0])
    return parsed


def _names(text: str) -> list[list[str]]:
    """Return the words of each import of a statement: `a as b` as `a`, `as`, `b`."""
    plain = re.sub(r"[()\\;]", " ", _COMMENT.sub("", text))
    return [words for part in plain.split(",") if (words := part.split())]
