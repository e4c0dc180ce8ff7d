"""Which source text makes something: a digest that is the same in every process and on every machine."""

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
    """Return sixteen hexadecimal digits of the text that some classes rest on; `None` where one has no source.

    That is the modules of the classes, of their bases and what those import, again and again, within prdp and the
    packages of the classes. Of a package only the modules are taken that the imported names come from. Each module
    counts with the text that it had when this process first asked, or was reloaded: edits of a file do not reach code
    that is running. Other packages, and the standard library, do not count.

    Args:
        kinds: the classes, or functions.
        modules: names of further modules.
        without: names of modules that are left out, with all that only they import.
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
            # Typed into a notebook: its own text, if that is known.
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
    """Return the modules, and those that they import within `roots`."""
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
    """Return the module that a name comes from which is imported from `module`, through re-exports."""
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
    """What a module imports, which of that under which name, and what else it defines."""

    imports: list[tuple[str, str | None]] = field(default_factory=list)
    bound: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)


# Of each module: its specification, which a reload replaces, its text, and what that says.
_known: dict[str, tuple[Any, str | None]] = {}
_kept: list[bool] = []


def _keep_texts() -> None:
    """Take the text of all of prdp that is loaded, once, before anybody edits it."""
    if not _kept:
        _kept.append(True)
        for name in list(sys.modules):
            if _root(name) == _root(__name__):
                _text(name)


def _text(name: str) -> str | None:
    """Return the source of a module, `None` if it has none or there is no such module."""
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


# Read by patterns, which takes a tenth of the time of parsing; a sentence of a docstring that looks like an import
# names no module.
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
