"""The physics contract."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Array, Float

from prdp.checks import integer, is_whole, positive, shown
from prdp.linalg import Dense, Operator

# Unknowns of a field's channel: 1 GiB in float64.
LARGEST_FIELD = 2**27


class Physics(ABC):
    """A discretised PDE as a linear system `A(g) u = b(g)`; a frozen dataclass of its parameters.

    Attributes:
        shape: shape of one unknown field, `(channels, *space)`.
        operator_is_constant: whether `A` does not depend on `g`, so that it is assembled once a run.
    """

    operator_is_constant: ClassVar[bool] = True

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one unknown field, `(channels, *space)`."""

    @abstractmethod
    def operator(self, prior: Any = None) -> Operator:
        """Return `A(g)` (`Lambda` in the paper); `prior` is not needed where it is constant."""

    @abstractmethod
    def rhs(self, prior: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `b(g)` (`beta` in the paper), shape `(*batch, *shape)`."""


class TimeStepper(Physics):
    """Physics whose solution is the next state in time: `u[t+1] = A(u[t])^-1 b(u[t])`.

    Attributes:
        dimensions: grid axes.
        points: unknowns per axis and channel.
        diffusivity: nu.
        time_step: dt.
    """

    dimensions: int
    points: int
    diffusivity: float
    time_step: float

    @property
    def initial_channels(self) -> int:
        """The number of fields of an initial condition that `initial_state` takes."""
        return self.shape[0]

    def check_parameters(self, dimensions: tuple[int, ...]) -> None:
        """Check what every time stepper has.

        Raises:
            ValueError: an argument is outside its range.
        """
        if not (is_whole(self.dimensions) and self.dimensions in dimensions):
            allowed = ", ".join(map(str, dimensions))
            raise ValueError(f"dimensions={shown(self.dimensions)}: allowed are {allowed}")
        integer("points", self.points, 3, int(LARGEST_FIELD ** (1 / self.dimensions)))
        for key in ("diffusivity", "time_step"):
            positive(key, getattr(self, key))

    @abstractmethod
    def grid(self) -> tuple[Any, ...]:
        """Return the coordinates of the points along each axis, NumPy float64 arrays."""

    def initial_state(self, fields: np.ndarray) -> np.ndarray:
        """Return admissible states `(samples, *shape)` from the fields of an initial condition: here, those fields."""
        return fields


def materialise(operator: Operator) -> Dense:
    """Return the operator as a dense matrix (the cost profile of the paper's Jacobi)."""
    return Dense(operator.as_dense(), operator.shape, operator.symmetric)
