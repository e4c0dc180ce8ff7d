"""Discretised PDEs: each assembles `A(g)` and `b(g)` from a prior variable `g`."""

from prdp.physics.base import Physics, TimeStepper
from prdp.physics.burgers import Burgers
from prdp.physics.heat import Heat
from prdp.physics.initial_conditions import FourierSeries
from prdp.physics.poisson import Poisson

__all__ = ["Burgers", "FourierSeries", "Heat", "Physics", "Poisson", "TimeStepper"]
