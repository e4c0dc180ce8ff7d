"""What each option of each group may be.

The parameters of a solver, mode, schedule, physics or optimiser are checked by the object's own dataclass: its
annotations give the types, its `__post_init__` the ranges. What is declared here is what has no object of its own.
"""

import dataclasses
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from prdp.checks import LARGEST_K, integer, is_number, one_of, shown, within
from prdp.data import TrajectoryData
from prdp.differentiation import (
    JFB,
    Checkpointed,
    Implicit,
    Neumann,
    OneStep,
    Phantom,
    ReducedCG,
    Truncated,
    Unrolled,
)
from prdp.models.convolution import METHODS, PADDINGS
from prdp.physics import FilteredNoise, FourierSeries, TimeStepper
from prdp.schedules import HOAG, PRDP, Fixed, Flatness, Geometric, Linear, Matched, TolerancePRDP, TwoStage
from prdp.solvers import (
    GMRES,
    LBFGS,
    BiCGStab,
    ConjugateGradient,
    Diagonal,
    Direct,
    Fourier,
    HeavyBall,
    Jacobi,
    Richardson,
    SteepestDescent,
)
from prdp.solvers import GradientDescent as GradientDescentSolver
from prdp.tasks.inverse import LOSSES as INVERSE_LOSSES
from prdp.tasks.mixed_chain import LOSSES as CHAIN_LOSSES
from prdp.tasks.mixed_chain import NORMALISATIONS
from prdp.tracking.weights_and_biases import WeightsAndBiasesSettings
from prdp.training.optimizers import Adam, GradientDescent

# A layer of this width takes 17 GB, and no compiler takes more layers.
_WIDEST = 2**16
_DEEPEST = 10_000


def _finite(key: str, values: tuple[float, ...]) -> None:
    if not all(map(is_number, values)):
        raise ValueError(f"{key}={shown(list(values))}: allowed are finite numbers")


@dataclass(frozen=True)
class SolverCommon:
    """What every solver's options have beside the solver's own."""

    tolerance: float
    operator: str
    warm_start: bool

    def __post_init__(self) -> None:
        within("tolerance", self.tolerance, lambda x: 0 <= x < 1, "0 <= tolerance < 1")
        one_of("operator", self.operator, ("stencil", "dense"))


@dataclass(frozen=True)
class MLPOptions:
    """Of `prdp.models.MLP`."""

    width: int
    depth: int

    def __post_init__(self) -> None:
        integer("width", self.width, 1, _WIDEST)
        integer("depth", self.depth, 1, _DEEPEST)


@dataclass(frozen=True)
class ResNetOptions:
    """Of `prdp.models.ResNet`."""

    channels: int
    blocks: int
    boundary: str
    convolution: str

    def __post_init__(self) -> None:
        one_of("convolution", self.convolution, METHODS)
        integer("channels", self.channels, 1, _WIDEST)
        integer("blocks", self.blocks, 1, _DEEPEST)
        one_of("boundary", self.boundary, tuple(PADDINGS))


@dataclass(frozen=True)
class ParametersOptions:
    """Of `prdp.models.Parameters`."""

    initial: tuple[float, ...]

    def __post_init__(self) -> None:
        _finite("initial", self.initial)


@dataclass(frozen=True)
class InverseOptions:
    """Of `prdp.tasks.Inverse`."""

    reference: tuple[float, ...]
    loss: str

    def __post_init__(self) -> None:
        _finite("reference", self.reference)
        one_of("loss", self.loss, INVERSE_LOSSES)


@dataclass(frozen=True)
class MixedChainOptions:
    """Of `prdp.tasks.MixedChain`."""

    loss: str
    validation_step: int
    normalisation: str

    def __post_init__(self) -> None:
        one_of("loss", self.loss, CHAIN_LOSSES)
        one_of("normalisation", self.normalisation, NORMALISATIONS)
        integer("validation_step", self.validation_step, 1)


@dataclass(frozen=True)
class CorrectionOptions:
    """Of `prdp.tasks.Correction`."""

    unrolled_steps: int
    validation_step: int
    validation_channel: int
    validation_iterations: int

    def __post_init__(self) -> None:
        integer("unrolled_steps", self.unrolled_steps, 1)
        integer("validation_step", self.validation_step, 1)
        integer("validation_channel", self.validation_channel, 0)
        integer("validation_iterations", self.validation_iterations, 1, LARGEST_K)


@dataclass(frozen=True)
class _Samples:
    """What every source of trajectories has; of `prdp.data.TrajectoryData`."""

    train_samples: int
    validation_samples: int
    train_key: int
    validation_key: int
    steps: int
    reference_points: int | None
    random_stream: str
    distribution: ClassVar[Any]

    def __post_init__(self) -> None:
        self.source()

    def source(self) -> TrajectoryData:
        """Return the description of the data; it checks the ranges."""
        options = dataclasses.asdict(self)
        keys = [f.name for f in dataclasses.fields(self.distribution)]
        initial_condition = self.distribution(**{k: options.pop(k) for k in keys})
        return TrajectoryData(initial_condition, **options)


@dataclass(frozen=True)
class FourierOptions(_Samples):
    """Of `prdp.data.TrajectoryData` with `prdp.physics.FourierSeries`, flat."""

    modes: int
    amplitude: float
    form: str
    distribution: ClassVar[Any] = FourierSeries


@dataclass(frozen=True)
class NoiseOptions(_Samples):
    """Of `prdp.data.TrajectoryData` with `prdp.physics.FilteredNoise`, flat."""

    smoothing: float
    distribution: ClassVar[Any] = FilteredNoise


@dataclass(frozen=True)
class Nothing:
    """An option without parameters."""


def _physics(place: str) -> type:
    """Return the class at `file.Class` of `prdp/physics/`: a new physics is one row below."""
    file, name = place.split(".")
    return getattr(import_module(f"prdp.physics.{file}"), name)


PRECONDITIONERS = {"none": None, "jacobi": Diagonal, "fourier": Fourier}

SCHEMA: dict[str, dict[str, type]] = {
    "physics": {
        "poisson": _physics("poisson.Poisson"),
        "heat1d": _physics("heat.Heat"),
        "heat2d": _physics("heat.Heat"),
        "heat3d": _physics("heat.Heat"),
        "burgers": _physics("burgers.Burgers"),
        "navier_stokes": _physics("navier_stokes.NavierStokes"),
    },
    "solver": {
        "jacobi": Jacobi,
        "steepest_descent": SteepestDescent,
        "conjugate_gradient": ConjugateGradient,
        "richardson": Richardson,
        "gradient_descent": GradientDescentSolver,
        "heavy_ball": HeavyBall,
        "lbfgs": LBFGS,
        "gmres": GMRES,
        "bicgstab": BiCGStab,
        "direct": Direct,
    },
    "diff": {
        "implicit": Implicit,
        "unrolled": Unrolled,
        "checkpointed": Checkpointed,
        "truncated": Truncated,
        "one_step": OneStep,
        "jfb": JFB,
        "phantom": Phantom,
        "neumann": Neumann,
        "reduced_cg": ReducedCG,
    },
    "schedule": {
        "fixed": Fixed,
        "linear": Linear,
        "prdp": PRDP,
        "tolerance_prdp": TolerancePRDP,
        "geometric": Geometric,
        "flatness": Flatness,
        "hoag": HOAG,
        "matched": Matched,
        "two_stage": TwoStage,
    },
    "model": {"mlp": MLPOptions, "resnet": ResNetOptions, "parameters": ParametersOptions},
    "optimizer": {"adam": Adam, "gradient_descent": GradientDescent},
    "task": {"inverse": InverseOptions, "mixed_chain": MixedChainOptions, "correction": CorrectionOptions},
    "data": {"fourier": FourierOptions, "noise": NoiseOptions, "none": Nothing},
    "tracking": {"none": Nothing, "wandb": WeightsAndBiasesSettings},
}

TIME_STEPPERS = tuple(name for name, kind in SCHEMA["physics"].items() if issubclass(kind, TimeStepper))
STEADY = tuple(name for name in SCHEMA["physics"] if name not in TIME_STEPPERS)
