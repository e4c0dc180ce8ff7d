"""Standard type and rank promotion, independent of the caller's JAX configuration."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

_P = ParamSpec("_P")
_T = TypeVar("_T")


def promoting(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Wrap a function so that type and rank promotion are allowed inside it.

    A program may set `jax_numpy_dtype_promotion="strict"` or `jax_numpy_rank_promotion="raise"` to catch its own
    mistakes. Inside this library, promotion is intended: for example, a coefficient field without batch axes
    broadcasts over the batch.
    """

    @functools.wraps(function)
    def inner(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return function(*args, **kwargs)

    return inner
