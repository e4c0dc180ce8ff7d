"""The schedule contract, and arithmetic that works on floats and on arrays alike."""

import math
import sys
from abc import ABC, abstractmethod
from typing import Any


class Schedule(ABC):
    """A pure pair `init() -> state`, `update(state, metric) -> (state, iterations)`.

    A frozen dataclass of its parameters, which are checked once, at construction. The state is a NamedTuple of
    scalars with at least `iterations`, the K to use next. Call `update` first with the metric of the untrained
    model, then after every training interval (an epoch, or so many updates):

        state = schedule.init()
        state, iterations = schedule.update(state, validate(model))
        for epoch in range(epochs):
            model = train(model, iterations)
            state, iterations = schedule.update(state, validate(model))
    """

    @abstractmethod
    def init(self) -> Any:
        """Return the state before any metric is known."""

    @abstractmethod
    def update(self, state: Any, metric: Any) -> tuple[Any, Any]:
        """Return the state after one more metric (lower is better), and the K to use next."""

    @property
    @abstractmethod
    def largest_iterations(self) -> int:
        """The largest K that the schedule can ask for."""


def require(condition: bool, key: str, value: Any, allowed: str) -> None:
    """Raise a `ValueError` that names the key, the value and what is allowed, unless `condition` holds."""
    if not condition:
        raise ValueError(f"{key}={value}: allowed is {allowed}")


def is_whole(value: Any) -> bool:
    """Whether `value` is an integer and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def choose(condition: Any, if_true: Any, if_false: Any) -> Any:
    """Return one of two values: by Python's `if` for a plain condition, by `jnp.where` for an array."""
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(condition, jax.Array):
        return jax.numpy.where(condition, if_true, if_false)
    return if_true if condition else if_false


def floor(value: Any) -> Any:
    """Return the largest integer that is not above a float or an array, as an integer (array)."""
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, jax.Array):
        return jax.numpy.floor(value).astype(int)
    return math.floor(value)


def is_finite(value: Any) -> Any:
    """Return whether a float or array is neither NaN nor infinite."""
    return (value - value) == 0
