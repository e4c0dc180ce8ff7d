"""The schema of `conf/`: what each option may be, and one clear line where it is something else.

The parameters of a solver, mode, schedule, physics or optimiser are checked by the object's own dataclass: its
annotations give the types, its `__post_init__` the ranges. What is declared here is what has no object of its own.
"""

import dataclasses
import difflib
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from prdp.data import TrajectoryData
from prdp.differentiation import Implicit, Unrolled
from prdp.physics import FourierSeries, Heat, Poisson
from prdp.schedules import PRDP, Fixed, Linear
from prdp.solvers import GMRES, ConjugateGradient, Direct, Jacobi, Richardson, SteepestDescent
from prdp.tasks.inverse import LOSSES as INVERSE_LOSSES
from prdp.tasks.mixed_chain import LOSSES as CHAIN_LOSSES
from prdp.tasks.mixed_chain import NORMALISATIONS
from prdp.tracking.weights_and_biases import WeightsAndBiasesSettings
from prdp.training.optimizers import Adam, GradientDescent


class ConfigError(ValueError):
    """A configuration that cannot be run; its text is one line: key, value, what is allowed."""


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{key}={value!r}: allowed are {', '.join(allowed)}")


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{key}={value}: allowed is an integer >= {least}")


@dataclass(frozen=True)
class SolverCommon:
    """What every solver's options have beside the solver's own."""

    tolerance: float
    operator: str

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance}: allowed is 0 <= tolerance < 1")
        _one_of("operator", self.operator, ("stencil", "dense"))


@dataclass(frozen=True)
class MLPOptions:
    """Of `prdp.models.MLP`."""

    width: int
    depth: int

    def __post_init__(self) -> None:
        _at_least("width", self.width, 1)
        _at_least("depth", self.depth, 1)


@dataclass(frozen=True)
class ParametersOptions:
    """Of `prdp.models.Parameters`."""

    initial: tuple[float, ...]


@dataclass(frozen=True)
class InverseOptions:
    """Of `prdp.tasks.Inverse`."""

    reference: tuple[float, ...]
    loss: str

    def __post_init__(self) -> None:
        _one_of("loss", self.loss, INVERSE_LOSSES)


@dataclass(frozen=True)
class MixedChainOptions:
    """Of `prdp.tasks.MixedChain`."""

    loss: str
    validation_step: int
    normalisation: str

    def __post_init__(self) -> None:
        _one_of("loss", self.loss, CHAIN_LOSSES)
        _one_of("normalisation", self.normalisation, NORMALISATIONS)
        _at_least("validation_step", self.validation_step, 1)


@dataclass(frozen=True)
class FourierOptions:
    """Of `prdp.data.TrajectoryData` with `prdp.physics.FourierSeries`, flat."""

    modes: int
    amplitude: float
    form: str
    random_stream: str
    train_samples: int
    validation_samples: int
    train_key: int
    validation_key: int
    steps: int

    def __post_init__(self) -> None:
        self.source()

    def source(self) -> TrajectoryData:
        """Return the description of the data; it checks the ranges."""
        options = dataclasses.asdict(self)
        keys = [f.name for f in dataclasses.fields(FourierSeries)]
        series = FourierSeries(**{k: options.pop(k) for k in keys})
        return TrajectoryData(series, **options)


@dataclass(frozen=True)
class Nothing:
    """An option without parameters."""


@dataclass(frozen=True)
class General:
    """The keys at the top level."""

    seed: int
    epochs: int
    batch_size: int
    precision: str
    converged_iterations: int | None
    runs_dir: str
    data_dir: str
    overwrite: bool
    progress: bool
    checkpoint_seconds: float
    compilation_cache: bool

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed}: allowed is an integer from 0 to 2^32 - 1")
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_size", self.batch_size, 1)
        _one_of("precision", self.precision, ("float32", "float64"))
        if self.converged_iterations is not None:
            _at_least("converged_iterations", self.converged_iterations, 1)
        if not self.checkpoint_seconds >= 0:
            raise ValueError(f"checkpoint_seconds={self.checkpoint_seconds}: allowed is a number >= 0")


SCHEMA: dict[str, dict[str, type]] = {
    "physics": {"poisson": Poisson, "heat1d": Heat, "heat2d": Heat},
    "solver": {
        "jacobi": Jacobi,
        "steepest_descent": SteepestDescent,
        "conjugate_gradient": ConjugateGradient,
        "richardson": Richardson,
        "gmres": GMRES,
        "direct": Direct,
    },
    "diff": {"implicit": Implicit, "unrolled": Unrolled},
    "schedule": {"fixed": Fixed, "linear": Linear, "prdp": PRDP},
    "model": {"mlp": MLPOptions, "parameters": ParametersOptions},
    "optimizer": {"adam": Adam, "gradient_descent": GradientDescent},
    "task": {"inverse": InverseOptions, "mixed_chain": MixedChainOptions},
    "data": {"fourier": FourierOptions, "none": Nothing},
    "tracking": {"none": Nothing, "wandb": WeightsAndBiasesSettings},
}

# Which keys `null` stands for K_epsilon in, by schedule.
_CONVERGED_KEYS = {"fixed": ("iterations",), "linear": ("cap",), "prdp": ("cap",)}
# Stands in for a K_epsilon that is not measured yet, so that everything else is checked before any computing.
_UNKNOWN = 2**31 - 1

# What a task needs of the other groups.
_COMPATIBLE: dict[str, dict[str, tuple[str, ...]]] = {
    "inverse": {"physics": ("poisson",), "model": ("parameters",), "data": ("none",)},
    "mixed_chain": {"physics": ("heat1d", "heat2d"), "model": ("mlp",), "data": ("fourier",)},
}


@dataclass(frozen=True)
class Config:
    """A checked configuration: built objects where an option has one, and the names that were chosen."""

    general: General
    names: dict[str, str]
    physics: Any
    solver: Any
    solver_common: SolverCommon
    diff: Any
    schedule: Any
    model: Any
    optimizer: Any
    task: Any
    data: Any
    tracking: Any
    plain: dict[str, Any]

    def schedule_for(self, converged: int) -> Any:
        """Return the schedule, with `converged` where its configuration says null.

        Raises:
            ConfigError: the schedule does not suit this K_epsilon (a first K above it, say).
        """
        return _build_schedule(self.plain["schedule"], converged)

    def determinants(self) -> dict[str, Any]:
        """Return everything that can change the numbers of the run."""
        ignored = {
            "runs_dir", "data_dir", "overwrite", "progress", "checkpoint_seconds", "tracking", "compilation_cache",
        }  # fmt: skip
        return {k: v for k, v in self.plain.items() if k not in ignored}

    def identity(self) -> dict[str, Any]:
        """Return the keys by which runs are told apart at a glance."""
        groups = ("physics", "solver", "diff", "schedule")
        return {**{g: self.names[g] for g in groups}, "seed": self.general.seed}


def parse(config: DictConfig) -> Config:
    """Return the checked configuration.

    Raises:
        ConfigError: a key, type, range or combination is wrong.
    """
    plain = _resolve(config)
    plain.pop("paper", None)
    groups = {g: _named(g, plain.get(g)) for g in SCHEMA}
    general = _build(General, {k: v for k, v in plain.items() if k not in SCHEMA}, "")
    solver_options = dict(groups["solver"][1])
    common_keys = [f.name for f in dataclasses.fields(SolverCommon)]
    common = {k: solver_options.pop(k) for k in common_keys if k in solver_options}
    solver_type = SCHEMA["solver"][groups["solver"][0]]
    built = {
        g: _build(SCHEMA[g][name], options, g)
        for g, (name, options) in groups.items()
        if g not in ("schedule", "solver")
    }
    parsed = Config(
        general=general,
        names={g: name for g, (name, _) in groups.items()},
        solver=_build(solver_type, solver_options, "solver", also=common_keys),
        solver_common=_build(SolverCommon, common, "solver"),
        schedule=_build_schedule(plain["schedule"], general.converged_iterations),
        plain=plain,
        **built,
    )
    _check_combination(parsed)
    return parsed


def _resolve(config: DictConfig) -> dict[str, Any]:
    try:
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        text = str(error).strip().splitlines()[0]
        if "paper." in text:
            text = f"the paper has no setting for this case ({text}); give a value"
        raise ConfigError(f"{error.full_key}: {text}" if error.full_key else text) from error
    assert isinstance(container, dict)
    return {str(k): v for k, v in container.items()}


def _named(group: str, node: Any) -> tuple[str, dict[str, Any]]:
    options = dict(node) if isinstance(node, Mapping) else {}
    name = options.pop("name", None)
    if name not in SCHEMA[group]:
        raise ConfigError(f"{group}.name={name!r}: allowed are {', '.join(SCHEMA[group])}")
    return str(name), options


def _build_schedule(node: dict[str, Any], converged: int | None) -> Any:
    name, options = _named("schedule", node)
    for key in _CONVERGED_KEYS[name]:
        if options.get(key, 0) is None:
            options[key] = _UNKNOWN if converged is None else converged
    return _build(SCHEMA["schedule"][name], options, "schedule")


def _build(cls: type, options: dict[str, Any], path: str, also: list[str] | None = None) -> Any:
    """Return `cls(**options)` with keys, types and ranges checked, or raise a `ConfigError` of one line."""
    prefix = f"{path}." if path else ""
    allowed = [f.name for f in dataclasses.fields(cls)]
    for key in options:
        if key not in allowed:
            known = allowed + (also or [])
            close = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {prefix}{close[0]}?)" if close else ""
            raise ConfigError(f"{prefix}{key}: no such key; allowed are {', '.join(known) or 'none'}{hint}")
    # Lists of YAML are tuples in frozen dataclasses.
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    try:
        values = dict(_typed(cls).model_validate(options))
        return cls(**values)
    except ValidationError as error:
        raise ConfigError(_explain(error, prefix)) from error
    except ValueError as error:
        # From __post_init__, which names the key itself.
        raise ConfigError(f"{prefix}{error}") from error


@functools.cache
def _typed(cls: type) -> type[BaseModel]:
    """Return a strict pydantic model with the fields of a dataclass: `"5"` is no integer, `true` no number."""
    hints = typing.get_type_hints(cls)
    fields: dict[str, Any] = {}
    for f in dataclasses.fields(cls):
        default = ... if f.default is dataclasses.MISSING else f.default
        fields[f.name] = (hints[f.name], default)
    return create_model(cls.__name__, __config__=ConfigDict(strict=True), **fields)


_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}


def _explain(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{prefix}{key}: this key is needed"
    expected = _EXPECTED.get(first["type"], first["msg"])
    return f"{prefix}{key}={first['input']!r}: allowed is {expected}"


def _check_combination(config: Config) -> None:
    task = config.names["task"]
    for group, allowed in _COMPATIBLE[task].items():
        name = config.names[group]
        if name not in allowed:
            raise ConfigError(
                f"{group}={name} does not go with task={task}: allowed are {', '.join(allowed)}"
            )
    samples = config.data.train_samples if config.names["data"] == "fourier" else 1
    batch = config.general.batch_size
    if samples % batch:
        raise ConfigError(f"batch_size={batch}: allowed are the divisors of data.train_samples ({samples})")
    if task == "inverse":
        parameters = config.physics.parameters
        for key, vector in (
            ("task.reference", config.task.reference),
            ("model.initial", config.model.initial),
        ):
            if len(vector) != parameters:
                raise ConfigError(
                    f"{key}={list(vector)}: allowed is a list of physics.parameters={parameters} numbers"
                )
        if not any(config.task.reference):
            raise ConfigError("task.reference: the relative error needs a reference that is not zero")
    elif config.task.validation_step > config.data.steps:
        raise ConfigError(
            f"task.validation_step={config.task.validation_step}: allowed is 1 to data.steps={config.data.steps}"
        )
