"""Parse and check a composed Hydra configuration as a whole."""

import dataclasses
from typing import Any

from omegaconf import DictConfig

from prdp.checks import shown
from prdp.config.build import TARGET, build, is_ours, locate, named, recipe
from prdp.config.combinations import check_combinations
from prdp.config.config import CONTEXT, GROUPS, Config, SolveOptions
from prdp.config.errors import ConfigError
from prdp.config.general import General
from prdp.config.resolve import as_one_text, check_case, check_names, hint, resolve
from prdp.differentiation import Mode
from prdp.physics import Physics
from prdp.schedules import Schedule
from prdp.solvers import PCG, PRECONDITIONERS, Preconditioned, Preconditioner, Solver
from prdp.tasks import Task

# Groups whose option may have no object (`data=none`, `tracking=none`).
_OPTIONAL = ("data", "tracking")
_KINDS: dict[str, Any] = {"physics": Physics, "solver": Solver, "diff": Mode, "schedule": Schedule}


def parse(config: DictConfig) -> Config:
    """Return the checked configuration.

    Raises:
        ConfigError: If a key, a type, a range or a combination is wrong.
    """
    check_names(config)
    check_case(config)
    plain = resolve(config)
    plain.pop("paper", None)
    try:
        return _parse(plain)
    except ConfigError as error:
        if advice := hint(config, str(error)):
            raise ConfigError(f"{error}{advice}") from error
        raise


def _parse(plain: dict[str, Any]) -> Config:
    general = build(General, {k: v for k, v in plain.items() if k not in GROUPS}, "")
    names: dict[str, str] = {}
    targets: dict[str, Any] = {}
    objects: dict[str, Any] = {}
    for group in GROUPS:
        names[group], node = named(group, plain.get(group))
        if group == "solver":
            objects["solver"], objects["solve_options"] = _solver(node)
            continue
        if group in _OPTIONAL and node.get(TARGET) is None:
            _no_keys(group, node)
            objects[group] = None
            continue
        made = recipe(node, group, CONTEXT.get(group, ()))
        targets[group] = made.target
        objects[group] = made if group in (*CONTEXT, "tracking") else _of_kind(group, made())
    if not (isinstance(targets["task"], type) and issubclass(targets["task"], Task)):
        raise ConfigError(
            f"task.{TARGET}={shown(plain['task'].get(TARGET))}: allowed is a subclass of prdp.tasks.Task"
        )
    parsed = Config(general=general, names=names, targets=targets, plain=as_one_text(plain), **objects)
    check_combinations(parsed)
    return parsed


def _of_kind(group: str, made: Any) -> Any:
    """Return an object after checking that it is of the kind that its group requires."""
    kind = _KINDS.get(group)
    right = isinstance(made, kind) if kind else all(hasattr(made, x) for x in _MEMBERS[group])
    if not right:
        allowed = f"a subclass of {kind.__module__}.{kind.__name__}" if kind else _ALLOWED[group]
        raise ConfigError(f"{group}.{TARGET}: allowed is {allowed}; it returns a {type(made).__name__}")
    return made


_MEMBERS = {"optimizer": ("init", "update"), "data": ("load", "check", "train_samples")}
_ALLOWED = {
    "optimizer": "a class or function that returns an optax.GradientTransformation",
    "data": "a class or function that returns a prdp.data.TrajectoryData",
}


def _no_keys(group: str, node: dict[str, Any]) -> None:
    for key in node:
        if key != TARGET:
            raise ConfigError(f"{group}.{key}: no such key; allowed are none")


def _solver(node: dict[str, Any]) -> tuple[Solver, SolveOptions]:
    """Return the solver with its preconditioner, and the options that all solvers share."""
    common = [f.name for f in dataclasses.fields(SolveOptions)]
    options = {k: node.pop(k) for k in common if k in node}
    target = locate(node.get(TARGET), "solver")
    preconditioner = None
    if getattr(target, "preconditionable", False):
        if "preconditioner" not in node and is_ours(target):
            raise ConfigError("solver.preconditioner: this key is needed")
        preconditioner = _preconditioner(node.pop("preconditioner", "none"))
        common.append("preconditioner")
    elif target is PCG and isinstance(node.get("preconditioner"), str):
        made = _preconditioner(node["preconditioner"])
        if made is None:
            raise ConfigError("solver.preconditioner=none: for CG without one, use solver=conjugate_gradient")
        node["preconditioner"] = made
    solver = _of_kind("solver", recipe(node, "solver", also=common)())
    solver = solver if preconditioner is None else Preconditioned(solver, preconditioner)
    return solver, build(SolveOptions, options, "solver")


def _preconditioner(value: Any) -> Preconditioner | None:
    """Return the preconditioner of a name, or of a mapping with the `_target_` of a user's own class."""
    if isinstance(value, dict):
        made = recipe(value, "solver.preconditioner")()
        if isinstance(made, Preconditioner):
            return made
    elif isinstance(value, str) and value in PRECONDITIONERS:
        kind = PRECONDITIONERS[value]
        return None if kind is None else kind()
    allowed = ", ".join(PRECONDITIONERS)
    raise ConfigError(
        f"solver.preconditioner={shown(value, strings=True)}: allowed are {allowed}, "
        f"or a mapping whose {TARGET} is a subclass of prdp.solvers.Preconditioner"
    )
