"""Functions with the arrays that they close over as arguments, comparable by what they compute.

A derivative or a compiled loop cannot see what a Python function closes over. Tracing the function finds these arrays,
so that they become parameters. The traced function is compared by its structure: a lambda that is written inside a
loop is a new object in every pass, but compiles once.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core


@dataclass(frozen=True)
class Traced:
    """`(arrays, *arguments) -> output` for a traced function and the arrays that it closes over."""

    structure: Hashable
    jaxpr: Any = field(compare=False)
    outputs: Any = field(compare=False)

    def __call__(self, arrays: Any, *arguments: Any) -> Any:
        """Return the output for these arrays and arguments."""
        # The function was traced with these types. A change of precision may have cast the arrays since.
        avals = [v.aval for v in self.jaxpr.constvars]
        consts = [jnp.asarray(x, a.dtype) for x, a in zip(arrays, avals, strict=True)]
        given = jax.tree.leaves(arguments)
        out = core.jaxpr_as_fun(core.ClosedJaxpr(self.jaxpr, consts))(*given)
        return jax.tree.unflatten(self.outputs, out)


def trace(function: Callable[..., Any], *arguments: Any) -> tuple[Traced, tuple[Any, ...]]:
    """Return the traced function and the arrays that it closes over, for arguments of the given shapes and types."""
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    outputs = jax.tree.structure(shapes)
    return Traced(_structure(closed.jaxpr), closed.jaxpr, outputs), tuple(closed.consts)


@dataclass(frozen=True, eq=False)
class _Same:
    """An object that is compared by identity."""

    given: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.given is self.given

    def __hash__(self) -> int:
        return id(self.given)


def _structure(jaxpr: Any) -> Hashable:
    """Return a key that two jaxprs share only if they compute the same from the same inputs and constants."""
    names: dict[Any, int] = {}

    def name(x: Any) -> Hashable:
        if isinstance(x, core.Literal):
            value = np.asarray(x.val)
            return "literal", str(x.aval), value.tobytes()
        return names.setdefault(x, len(names)), str(x.aval)

    inputs = tuple(name(x) for x in (*jaxpr.constvars, *jaxpr.invars))
    lines = tuple(
        (
            e.primitive,
            _key(tuple(e.params.items())),
            tuple(map(name, e.invars)),
            tuple(map(name, e.outvars)),
        )
        for e in jaxpr.eqns
    )
    return inputs, lines, tuple(map(name, jaxpr.outvars))


def _key(value: Any) -> Hashable:
    if isinstance(value, core.ClosedJaxpr):
        return _structure(value.jaxpr), tuple(map(_Same, value.consts))
    if isinstance(value, core.Jaxpr):
        return _structure(value)
    if isinstance(value, tuple | list):
        return type(value), tuple(map(_key, value))
    try:
        hash(value)
    except TypeError:
        return _Same(value)
    return type(value), value
