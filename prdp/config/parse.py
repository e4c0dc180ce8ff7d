"""A composed Hydra configuration, checked as a whole."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from prdp.checks import LARGEST_K, shown
from prdp.config.build import ConfigError, build, named
from prdp.config.general import General
from prdp.config.options import PRECONDITIONERS, SCHEMA, STEADY, TIME_STEPPERS, SolverCommon
from prdp.config.resolve import as_one_text, check_case, check_names, resolve
from prdp.models.convolution import use_winograd
from prdp.solvers import Preconditioned

# Which keys `null` stands for K_epsilon in, by schedule.
_CONVERGED_KEYS = {
    "fixed": ("iterations",),
    "linear": ("cap",),
    "prdp": ("cap",),
    "tolerance_prdp": ("iterations",),
    "two_stage": ("final",),
    "geometric": ("cap",),
    "flatness": ("cap",),
    "hoag": ("iterations",),
    "matched": ("cap",),
}
# Keys that came after runs had been recorded, with the value that these had: it does not count for a run's name.
_SINCE_LATER = {
    "metric": "val_error",
    "diff.adjoint_ratio": None,
    "solver.warm_start": False,
    "schedule.least": 1,
}
# Stands in for a K_epsilon that is not measured yet, so that everything else is checked before any computing.
_UNKNOWN = LARGEST_K
# Likewise for physics errors.
_UNMEASURED = (1.0,)

# What a task needs of the other groups.
_COMPATIBLE: dict[str, dict[str, tuple[str, ...]]] = {
    "inverse": {"physics": STEADY, "model": ("parameters",), "data": ("none",)},
    "mixed_chain": {"physics": TIME_STEPPERS, "model": ("mlp", "resnet"), "data": ("fourier", "noise")},
    "correction": {"physics": TIME_STEPPERS, "model": ("mlp", "resnet"), "data": ("fourier", "noise")},
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

    def schedule_for(self, converged: int, errors: tuple[float, ...] | None = None) -> Any:
        """Return the schedule, with `converged`, or the physics errors, where its configuration says null.

        Raises:
            ConfigError: the schedule does not suit this K_epsilon (a first K above it, say).
        """
        node = self.plain["schedule"] if errors is None else {**self.plain["schedule"], "errors": errors}
        return _build_schedule({**self.plain, "schedule": node}, converged)

    @property
    def measures_errors(self) -> bool:
        """Whether the schedule is to be given the physics errors by K, measured on the data."""
        return self.plain["schedule"].get("errors", 0) is None

    def with_seed(self, seed: int) -> "Config":
        """Return the same configuration for another seed.

        Raises:
            ConfigError: it is not one.
        """
        general = {f.name: self.plain[f.name] for f in dataclasses.fields(General)} | {"seed": seed}
        built = build(General, general, "")
        return dataclasses.replace(self, general=built, plain={**self.plain, "seed": seed})

    def sharing(self, seeds: int) -> "Config":
        """Return the same configuration as one of so many that are trained in one program."""
        general = dataclasses.replace(self.general, seeds_per_process=seeds)
        return dataclasses.replace(self, general=general, plain={**self.plain, "seeds_per_process": seeds})

    def determinants(self) -> dict[str, Any]:
        """Return everything that can change the numbers of the run."""
        ignored = {
            "runs_dir", "data_dir", "overwrite", "progress", "checkpoint_seconds", "tracking", "compilation_cache",
            "seeds_per_process",
        }  # fmt: skip
        return _without_later_keys({k: v for k, v in self.plain.items() if k not in ignored})

    def identity(self) -> dict[str, Any]:
        """Return the keys by which runs are told apart at a glance."""
        groups = ("physics", "solver", "diff", "schedule")
        return {**{g: self.names[g] for g in groups}, "seed": self.general.seed}


def _without_later_keys(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    kept = {}
    for key, value in options.items():
        name = f"{prefix}{key}"
        if name in _SINCE_LATER and value == _SINCE_LATER[name]:
            continue
        kept[key] = _without_later_keys(value, f"{name}.") if isinstance(value, dict) else value
    return kept


def parse(config: DictConfig) -> Config:
    """Return the checked configuration.

    Raises:
        ConfigError: a key, type, range or combination is wrong.
    """
    check_names(config)
    check_case(config)
    plain = resolve(config)
    plain.pop("paper", None)
    groups = {g: named(g, plain.get(g)) for g in SCHEMA}
    general = build(General, {k: v for k, v in plain.items() if k not in SCHEMA}, "")
    solver_options = dict(groups["solver"][1])
    common_keys = [f.name for f in dataclasses.fields(SolverCommon)]
    common = {k: solver_options.pop(k) for k in common_keys if k in solver_options}
    solver_type = SCHEMA["solver"][groups["solver"][0]]
    built = {
        g: build(SCHEMA[g][name], options, g)
        for g, (name, options) in groups.items()
        if g not in ("schedule", "solver")
    }
    parsed = Config(
        general=general,
        names={g: name for g, (name, _) in groups.items()},
        solver=_build_solver(solver_type, solver_options, common_keys),
        solver_common=build(SolverCommon, common, "solver"),
        schedule=_build_schedule(plain, general.converged_iterations),
        plain=as_one_text(plain),
        **built,
    )
    _check_combination(parsed)
    return parsed


def _build_solver(kind: Any, options: dict[str, Any], common: list[str]) -> Any:
    if not kind.preconditionable:
        return build(kind, options, "solver", also=common)
    name = options.pop("preconditioner", None)
    if not isinstance(name, str) or name not in PRECONDITIONERS:
        allowed = ", ".join(PRECONDITIONERS)
        raise ConfigError(f"solver.preconditioner={shown(name, strings=True)}: allowed are {allowed}")
    solver = build(kind, options, "solver", also=[*common, "preconditioner"])
    preconditioner = PRECONDITIONERS[name]
    return solver if preconditioner is None else Preconditioned(solver, preconditioner())


def _build_schedule(plain: dict[str, Any], converged: int | None) -> Any:
    name, options = named("schedule", plain["schedule"])
    if name == "two_stage" and options.get("after", 0) is None:
        options["after"] = 9 * plain["epochs"] // 10
    for key in _CONVERGED_KEYS[name]:
        if options.get(key, 0) is None:
            options[key] = _UNKNOWN if converged is None else converged
            first = options.get("iterations")
            if key == "cap" and isinstance(first, int):
                # A first K above K_epsilon (a fast solver) is simply never raised.
                options[key] = max(options[key], first)
    if name == "matched" and options.get("errors", 0) is None:
        options["errors"] = _UNMEASURED
    return build(SCHEMA["schedule"][name], options, "schedule")


def _check_combination(config: Config) -> None:
    task = config.names["task"]
    for group, allowed in _COMPATIBLE[task].items():
        name = config.names[group]
        if name not in allowed:
            raise ConfigError(
                f"{group}={name} does not go with task={task}: allowed are {', '.join(allowed)}"
            )
    samples = getattr(config.data, "train_samples", 1)
    batch = config.general.batch_size
    if samples % batch:
        raise ConfigError(
            f"batch_size={batch}: allowed are the divisors of the number of training samples ({samples})"
        )
    if config.measures_errors and config.general.metric != "val_error":
        raise ConfigError(
            f"metric={config.general.metric} does not go with schedule={config.names['schedule']}: physics errors "
            "are measured in the units of val_error (or give schedule.errors)"
        )
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
    else:
        _check_trajectories(config)
    if config.names["model"] == "resnet":
        try:
            use_winograd(config.model.convolution, config.physics.shape[1:])
        except ValueError as error:
            raise ConfigError(f"model.{error}") from error
    if config.names["tracking"] == "wandb":
        try:
            config.tracking.chosen_mode()
        except ValueError as error:
            raise ConfigError(f"tracking=wandb: {error}") from error
    if config.solver_common.warm_start:
        _check_warm_start(config)
    if config.schedule.steers_tolerance and not config.diff.leaves_early:
        raise ConfigError(
            f"schedule={config.names['schedule']} does not go with diff={config.names['diff']}: it steers the "
            "tolerance, and a solve whose iterations are differentiated takes all K; allowed is diff=implicit, say"
        )
    _check_room(config)


def _check_trajectories(config: Config) -> None:
    for key in ("validation_step", "unrolled_steps"):
        step = getattr(config.task, key, 1)
        if step > config.data.steps:
            raise ConfigError(f"task.{key}={step}: allowed is 1 to data.steps={config.data.steps}")
    channel, channels = getattr(config.task, "validation_channel", 0), config.physics.shape[0]
    if channel >= channels:
        raise ConfigError(f"task.validation_channel={channel}: allowed is 0 to {channels - 1}")
    fields = 1 if config.names["data"] == "fourier" else config.physics.dimensions
    needed = config.physics.initial_channels
    if fields != needed:
        raise ConfigError(
            f"data={config.names['data']} makes {fields} field(s) a sample, and "
            f"physics={config.names['physics']} starts from {needed}: "
            f"use data={'noise' if config.names['data'] == 'fourier' else 'fourier'}"
        )
    if config.names["data"] == "noise" and getattr(config.physics, "boundary", "periodic") != "periodic":
        raise ConfigError("data=noise is periodic: allowed only with physics.boundary=periodic")
    try:
        config.data.source().check(config.physics)
    except ValueError as error:
        raise ConfigError(f"data.{error}") from error


def _check_warm_start(config: Config) -> None:
    if not config.solver.is_iterative:
        name = config.names["solver"]
        raise ConfigError(f"solver.warm_start=true: solver={name} solves exactly from anywhere")


def _check_room(config: Config) -> None:
    cap = getattr(config.diff, "iterations_cap", None)
    if cap is None:
        return
    largest = config.schedule.largest_iterations
    if largest == _UNKNOWN:
        raise ConfigError(
            f"diff.iterations_cap={cap}: allowed only where the schedule's largest K is given too "
            "(schedule.cap, schedule.iterations or converged_iterations)"
        )
    if largest > cap:
        raise ConfigError(
            f"diff.iterations_cap={cap}: allowed is an integer >= the schedule's largest K ({largest})"
        )
