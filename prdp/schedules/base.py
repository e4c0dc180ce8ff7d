"""The schedule interface, and arithmetic for both floats and arrays."""

import dataclasses
import math
import sys
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from prdp.checks import LARGEST_K, is_whole, require, shown


class Schedule(ABC):
    """A pure pair `init() -> state`, `update(state, metric) -> (state, iterations)`.

    A schedule is a frozen dataclass of its parameters, which are checked at construction. The state is a NamedTuple
    of scalars. It contains at least `iterations`, the K to use next, and never a NaN. Call `update` first with the
    metric of the untrained model, then after every training interval (an epoch, or a fixed number of updates):

        state = schedule.init()
        state, iterations = schedule.update(state, validate(model))
        for epoch in range(epochs):
            model = train(model, iterations)
            state, iterations = schedule.update(state, validate(model))
    """

    # Whether the states also have a `tolerance`, which then decides how many iterations a solve takes.
    steers_tolerance: ClassVar[bool] = False

    @abstractmethod
    def init(self) -> Any:
        """Return the state before any metric is known."""

    @abstractmethod
    def update(self, state: Any, metric: Any) -> tuple[Any, Any]:
        """Return the state after one more metric (lower is better), and the K to use next.

        Raises:
            ValueError: If the schedule compares ratios of the metric and it is a negative number.
        """

    @property
    @abstractmethod
    def largest_iterations(self) -> int:
        """The largest K that the schedule can return.

        Raises:
            ValueError: If it depends on an argument that is still open.
        """

    @property
    def known_largest_iterations(self) -> int | None:
        """The largest K, or `None` while it depends on an argument that `resolved` has not filled in."""
        try:
            return self.largest_iterations
        except ValueError:
            return None

    @property
    def needs_errors(self) -> bool:
        """Whether `resolved` needs the physics errors."""
        return False

    def resolved(
        self,
        *,
        converged: int | None = None,
        epochs: int | None = None,
        errors: tuple[float, ...] | None = None,
    ) -> "Schedule":
        """Return the schedule with values for its open arguments, those that are `None`.

        Each schedule documents which of its arguments have a default that depends on the training. An argument stays
        open if its value is not given here.

        Args:
            converged: K_epsilon, the iterations of a converged solve.
            epochs: the number of training intervals.
            errors: physics errors of K = 1, 2, ... (see `prdp.training.physics_errors`).

        Raises:
            ValueError: If a value does not suit the schedule.
        """
        return self

    def filled(self, **values: Any) -> Any:
        """Return the schedule with `values` for those of its arguments that are `None`."""
        fields: dict[str, Any] = {
            k: v for k, v in values.items() if v is not None and getattr(self, k) is None
        }
        return dataclasses.replace(self, **fields) if fields else self  # type: ignore[type-var]

    def restored(self, stored: dict[str, Any]) -> Any:
        """Return the state from the JSON of a checkpoint.

        Raises:
            ValueError: If it is not a state of this schedule.
        """
        kind = type(self.init())
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        try:
            return kind(**fields)
        except TypeError as error:
            raise ValueError(f"the checkpoint holds no {kind.__name__} ({error})") from error


def usable(metric: Any) -> Any:
    """Return whether ratios of a metric can be compared: whether it is finite and not negative.

    Raises:
        ValueError: If the metric is negative and not a JAX array. Arrays cannot raise while they are traced.
    """
    if not is_array(metric) and -math.inf < metric < 0:
        raise ValueError(f"metric={metric}: allowed is a number >= 0, since the schedule takes ratios of it")
    return is_finite(metric) & (metric >= 0)


def check_cap(cap: Any, iterations: int, null: bool = False) -> None:
    """Check that the largest K is an integer and not below the first K, `iterations`.

    Raises:
        ValueError: If it is not.
    """
    if cap is None and null:
        return
    bound = f" and <= {LARGEST_K}" if is_whole(cap) and cap > LARGEST_K else ""
    allowed = f"an integer >= iterations ({iterations}){bound}{', or null' if null else ''}"
    require(is_whole(cap) and iterations <= cap <= LARGEST_K, "cap", shown(cap), allowed)


def given(key: str, value: Any) -> Any:
    """Return an argument that a schedule cannot work without.

    Raises:
        ValueError: If it is `None`, because it was left open and has not been filled in.
    """
    if value is None:
        raise ValueError(f"{key}=null: allowed is a number; `resolved(converged=...)` fills it in")
    return value


def is_array(value: Any) -> bool:
    """Whether a value is a JAX array, traced or not."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def choose(condition: Any, if_true: Any, if_false: Any) -> Any:
    """Return one of two values, with Python's `if` for a plain condition and `jnp.where` for an array."""
    if is_array(condition):
        return sys.modules["jax"].numpy.where(condition, if_true, if_false)
    return if_true if condition else if_false


def rounded_down(value: Any, like: Any) -> Any:
    """Return the floor of a float or an array as an integer of the type of `like`, a K.

    The result is limited to `LARGEST_K`, so that the conversion does not overflow.
    """
    value = choose(value > LARGEST_K, 1.0 * LARGEST_K, value)
    if is_array(value):
        numpy = sys.modules["jax"].numpy
        return numpy.floor(value).astype(numpy.asarray(like).dtype)
    return math.floor(value)


def as_float(value: Any, like: Any = 1.0) -> Any:
    """Return an integer as a float; an array gets the type of `like` if that is an array, else JAX's default float."""
    if is_array(value):
        numpy = sys.modules["jax"].numpy
        return value.astype(like.dtype if is_array(like) else numpy.result_type(float))
    return float(value)


def is_finite(value: Any) -> Any:
    """Return whether a float or array is neither NaN nor infinite."""
    if is_array(value):
        return sys.modules["jax"].numpy.isfinite(value)
    return (value - value) == 0
