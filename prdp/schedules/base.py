"""The schedule contract, and arithmetic that works on floats and on arrays alike."""

import dataclasses
import math
import sys
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from prdp.checks import LARGEST_K, is_whole, require, shown


class Schedule(ABC):
    """A pure pair `init() -> state`, `update(state, metric) -> (state, iterations)`.

    A frozen dataclass of its parameters, which are checked once, at construction. The state is a NamedTuple of
    scalars with at least `iterations`, the K to use next; none of them is ever NaN. Call `update` first with the
    metric of the untrained model, then after every training interval (an epoch, or so many updates):

        state = schedule.init()
        state, iterations = schedule.update(state, validate(model))
        for epoch in range(epochs):
            model = train(model, iterations)
            state, iterations = schedule.update(state, validate(model))
    """

    # Whether its states have a tolerance too, which decides how many iterations a solve takes.
    steers_tolerance: ClassVar[bool] = False

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

    @property
    def known_largest_iterations(self) -> int | None:
        """The largest K, `None` while it depends on what `resolved` has not been given."""
        try:
            return self.largest_iterations
        except ValueError:
            return None

    @property
    def needs_errors(self) -> bool:
        """Whether `resolved` must be given the physics errors."""
        return False

    def resolved(
        self,
        *,
        converged: int | None = None,
        epochs: int | None = None,
        errors: tuple[float, ...] | None = None,
    ) -> "Schedule":
        """Return the schedule with the arguments filled in that were left open with `None`.

        Each schedule says which of its arguments have a default that only a training knows. What is not known yet
        stays open.

        Args:
            converged: K_epsilon, the iterations of a converged solve.
            epochs: training intervals.
            errors: physics errors of K = 1, 2, ... (see `prdp.training.physics_errors`).

        Raises:
            ValueError: If a value that is filled in does not suit the schedule.
        """
        return self

    def filled(self, **values: Any) -> Any:
        """Return the schedule with values in place of its arguments that are `None`."""
        fields: dict[str, Any] = {
            k: v for k, v in values.items() if v is not None and getattr(self, k) is None
        }
        return dataclasses.replace(self, **fields) if fields else self  # type: ignore[type-var]

    def restored(self, stored: dict[str, Any]) -> Any:
        """Return the state that a checkpoint's JSON holds.

        Raises:
            ValueError: it is none of this schedule's.
        """
        kind = type(self.init())
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        try:
            return kind(**fields)
        except TypeError as error:
            raise ValueError(f"the checkpoint holds no {kind.__name__} ({error})") from error


def usable(metric: Any) -> Any:
    """Return whether a metric can be compared with others by ratios: finite and not negative.

    Raises:
        ValueError: it is a negative number, and no JAX array, which cannot raise where it is traced.
    """
    if not is_array(metric) and -math.inf < metric < 0:
        raise ValueError(f"metric={metric}: allowed is a number >= 0, since the schedule takes ratios of it")
    return is_finite(metric) & (metric >= 0)


def check_cap(cap: Any, iterations: int, null: bool = False) -> None:
    """Check the largest K, which is not below the first one.

    Raises:
        ValueError: it is, or no integer.
    """
    if cap is None and null:
        return
    told = f" and <= {LARGEST_K}" if is_whole(cap) and cap > LARGEST_K else ""
    allowed = f"an integer >= iterations ({iterations}){told}{', or null' if null else ''}"
    require(is_whole(cap) and iterations <= cap <= LARGEST_K, "cap", shown(cap), allowed)


def given(key: str, value: Any) -> Any:
    """Return an argument that a schedule cannot work without.

    Raises:
        ValueError: If it was left open and has not been filled in.
    """
    if value is None:
        raise ValueError(f"{key}=null: allowed is a number; `resolved(converged=...)` fills it in")
    return value


def is_array(value: Any) -> bool:
    """Whether a value is JAX's, traced or not."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def choose(condition: Any, if_true: Any, if_false: Any) -> Any:
    """Return one of two values: by Python's `if` for a plain condition, by `jnp.where` for an array."""
    if is_array(condition):
        return sys.modules["jax"].numpy.where(condition, if_true, if_false)
    return if_true if condition else if_false


def rounded_down(value: Any, like: Any) -> Any:
    """Return the largest integer that is not above a float or an array, of the type of the K `like`.

    No more than the largest K, so that neither type overflows.
    """
    value = choose(value > LARGEST_K, 1.0 * LARGEST_K, value)
    if is_array(value):
        numpy = sys.modules["jax"].numpy
        return numpy.floor(value).astype(numpy.asarray(like).dtype)
    return math.floor(value)


def as_float(value: Any, like: Any = 1.0) -> Any:
    """Return an integer as a float, an array as one of the type of `like`, if that is an array of floats."""
    if is_array(value):
        numpy = sys.modules["jax"].numpy
        return value.astype(like.dtype if is_array(like) else numpy.result_type(float))
    return float(value)


def is_finite(value: Any) -> Any:
    """Return whether a float or array is neither NaN nor infinite."""
    if is_array(value):
        return sys.modules["jax"].numpy.isfinite(value)
    return (value - value) == 0
