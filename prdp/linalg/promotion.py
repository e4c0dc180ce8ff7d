"""Ordinary promotion of types and ranks, whatever the caller's program asks for."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

_P = ParamSpec("_P")
_T = TypeVar("_T")


def promoting(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function where arrays of other types and ranks may meet.

    Programs may set `jax_numpy_dtype_promotion="strict"` or `jax_numpy_rank_promotion="raise"` to find their own
    mistakes. Here a coefficient field without a batch axis is meant to be broadcast over the batch.
    """

    @functools.wraps(function)
    def inner(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return function(*args, **kwargs)

    return inner
