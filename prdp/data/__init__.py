"""Reference data from converged physics: generated once, cached, checked."""

from prdp.data.trajectories import Trajectories, TrajectoryData

__all__ = ["Trajectories", "TrajectoryData"]
