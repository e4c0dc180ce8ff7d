"""Reference data from converged physics: generated once, cached and verified."""

from prdp.data.reference import reference_solution
from prdp.data.sources import fourier, noise
from prdp.data.trajectories import Trajectories, TrajectoryData

__all__ = ["Trajectories", "TrajectoryData", "fourier", "noise", "reference_solution"]
