"""The interface of discretised PDEs."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float

from prdp.checks import integer, is_whole, positive, shown
from prdp.linalg import Dense, Operator

# The largest number of unknowns per channel of a field: 1 GiB in float64.
LARGEST_FIELD = 2**27


class Physics(ABC):
    """A discretised PDE as a linear system `A(g) u = b(g)`. Implementations are frozen dataclasses of their parameters.

    Attributes:
        shape: shape of one unknown field, `(channels, *space)`.
        operator_is_constant: whether `A` is independent of `g`, so that it is assembled only once per run.
    """

    operator_is_constant: ClassVar[bool] = True

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one unknown field, `(channels, *space)`."""

    @abstractmethod
    def operator(self, prior: Any = None) -> Operator:
        """Return `A(g)` (`Lambda` in the paper). `prior` may be omitted if `A` is constant."""

    @abstractmethod
    def rhs(self, prior: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `b(g)` (`beta` in the paper), shape `(*batch, *shape)`."""


class TimeStepper(Physics):
    """Physics whose solution is the next state in time: `u[t+1] = A(u[t])^-1 b(u[t])`.

    Attributes:
        dimensions: the number of grid axes.
        points: unknowns per axis and channel.
        diffusivity: nu, in units of length^2/time.
        time_step: dt, in units of time.
    """

    dimensions: int
    points: int
    diffusivity: float
    time_step: float

    @property
    def initial_channels(self) -> int:
        """The number of fields that `initial_state` expects per sample."""
        return self.shape[0]

    def check_parameters(self, dimensions: tuple[int, ...]) -> None:
        """Check the parameters common to all time steppers, given the supported numbers of dimensions.

        Raises:
            ValueError: If a parameter is outside its range.
        """
        if not (is_whole(self.dimensions) and self.dimensions in dimensions):
            allowed = ", ".join(map(str, dimensions))
            raise ValueError(f"dimensions={shown(self.dimensions)}: allowed are {allowed}")
        integer("points", self.points, 3, int(LARGEST_FIELD ** (1 / self.dimensions)))
        for key in ("diffusivity", "time_step"):
            positive(key, getattr(self, key))

    @abstractmethod
    def grid(self) -> tuple[Any, ...]:
        """Return the coordinates of the points along each axis, as NumPy float64 arrays."""

    def initial_state(self, fields: np.ndarray) -> np.ndarray:
        """Return admissible states `(samples, *shape)` from the fields of an initial condition (default: unchanged)."""
        return fields


def materialise(operator: Operator) -> Dense:
    """Return the operator as a dense matrix, which has the cost profile of the paper's Jacobi solver."""
    return Dense(operator.as_dense(), operator.shape, operator.symmetric)
