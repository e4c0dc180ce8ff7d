"""Discretised PDEs. Each assembles `A(g)` and `b(g)` from a prior variable `g`."""

from prdp.physics.base import Physics, TimeStepper
from prdp.physics.burgers import Burgers
from prdp.physics.heat import Heat
from prdp.physics.initial_conditions import FilteredNoise, FourierSeries, InitialCondition
from prdp.physics.navier_stokes import NavierStokes
from prdp.physics.poisson import Poisson

__all__ = [
    "Burgers",
    "FilteredNoise",
    "FourierSeries",
    "Heat",
    "InitialCondition",
    "NavierStokes",
    "Physics",
    "Poisson",
    "TimeStepper",
]
