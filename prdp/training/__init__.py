"""The training loop, its compiled update, and checkpoints."""

from prdp.training.checkpoint import load_checkpoint, save_checkpoint
from prdp.training.converged import converged_iterations
from prdp.training.lanes import Lanes
from prdp.training.loop import Lane, Plan, RunResult, Training
from prdp.training.physics_errors import physics_errors
from prdp.training.rows import Diverged, UnsuitableMetric
from prdp.training.step import Compiled, TrainState, compile_run, test_errors, traced_controls

__all__ = [
    "Compiled",
    "Diverged",
    "Lane",
    "Lanes",
    "Plan",
    "RunResult",
    "TrainState",
    "Training",
    "UnsuitableMetric",
    "compile_run",
    "converged_iterations",
    "load_checkpoint",
    "physics_errors",
    "save_checkpoint",
    "test_errors",
    "traced_controls",
]
