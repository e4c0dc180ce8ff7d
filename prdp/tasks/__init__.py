"""Learning tasks: a loss that contains the physics, and the validation metric that drives refinement."""

from prdp.tasks.base import SolveSettings, SolveTotals, Task
from prdp.tasks.correction import Correction
from prdp.tasks.inverse import Inverse
from prdp.tasks.mixed_chain import MixedChain
from prdp.tasks.warm_start import Cache, Guess

__all__ = ["Cache", "Correction", "Guess", "Inverse", "MixedChain", "SolveSettings", "SolveTotals", "Task"]
