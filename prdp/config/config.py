"""A checked configuration: the objects of a run, and the keys that distinguish it from other runs."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from prdp.checks import one_of, within
from prdp.config.build import TARGET, Recipe, build
from prdp.config.errors import ConfigError
from prdp.config.general import General
from prdp.differentiation import Mode
from prdp.records import HOUSEKEEPING
from prdp.schedules import Schedule
from prdp.solvers import Solver
from prdp.tracking import Sink

GROUPS = ("physics", "solver", "diff", "schedule", "model", "optimizer", "task", "data", "tracking")
# Values that the run supplies when it builds an option's object. The other groups need none.
CONTEXT = {"model": ("shape", "rngs", "dtype"), "task": ("physics", "operator", "settings", "data")}
# Keys added after the first runs had been recorded, with the value that reproduces those runs. A key with this value
# is left out of the run's name, so that earlier names stay valid.
_LATER_KEYS = {
    "metric": "val_error",
    "diff.adjoint_ratio": None,
    "solver.warm_start": False,
    "schedule.least": 1,
    "data.test_sets": 4,
    "data.test_key": None,
}


@dataclass(frozen=True)
class SolveOptions:
    """Options of the group `solver` that all solvers share.

    Attributes:
        tolerance: relative residual of a converged solve, `0 <= tolerance < 1`.
        operator: `stencil`, or `dense` for materialised matrices.
        warm_start: whether a solve starts from the sample's last solution.

    Raises:
        ValueError: If an option is outside its range.
    """

    tolerance: float
    operator: str
    warm_start: bool

    def __post_init__(self) -> None:
        within("tolerance", self.tolerance, lambda x: 0 <= x < 1, "0 <= tolerance < 1")
        one_of("operator", self.operator, ("stencil", "dense"))


@dataclass(frozen=True)
class Config:
    """A checked configuration.

    Attributes:
        general: the top-level keys.
        names: the name of the chosen option of each group.
        model: the recipe of the network; call it with `shape`, `rngs` and `dtype`.
        task: the recipe of the task; call it with `physics`, `operator`, `settings` and `data`.
        data: the source of reference data, or `None`.
        tracking: the recipe of the sink, or `None`.
        targets: the class or function that `_target_` names, by group.
        plain: the whole configuration as plain values, as in `config.yaml`.
    """

    general: General
    names: dict[str, str]
    physics: Any
    solver: Solver
    solve_options: SolveOptions
    diff: Mode
    schedule: Schedule
    model: Recipe
    optimizer: optax.GradientTransformation
    task: Recipe
    data: Any
    tracking: Recipe | None
    targets: dict[str, Any]
    plain: dict[str, Any]

    def resolved_schedule(
        self, converged: int | None = None, errors: tuple[float, ...] | None = None
    ) -> Schedule:
        """Return the schedule, with values for the keys that are null in its configuration.

        Args:
            converged: K_epsilon, the iterations of a converged solve.
            errors: physics errors of K = 1, 2, ...

        Raises:
            ConfigError: If the schedule does not suit this K_epsilon, for example because its first K is larger.
        """
        try:
            return self.schedule.resolved(converged=converged, epochs=self.general.epochs, errors=errors)
        except ValueError as error:
            raise ConfigError(f"schedule.{error}") from error

    @functools.cached_property
    def abstract_model(self) -> nnx.Module:
        """The network with array shapes in place of arrays.

        Raises:
            ConfigError: If the network cannot be built for this physics.
        """
        made = nnx.eval_shape(lambda: self.new_model(jax.random.key(0), jnp.float32))
        if not isinstance(made, nnx.Module):
            raise ConfigError(
                f"model.{TARGET}: allowed is a class or function that returns a flax.nnx.Module"
            )
        return made

    def new_model(self, key: Any, dtype: Any) -> nnx.Module:
        """Return a freshly initialised network; `key` is a JAX random key, `dtype` that of its parameters."""
        return self.model(shape=self.physics.shape, rngs=nnx.Rngs(key), dtype=dtype)

    def new_sink(self) -> Sink | None:
        """Return a new sink of the group `tracking`, or `None` if tracking is off."""
        return None if self.tracking is None else self.tracking()

    def with_seed(self, seed: int) -> "Config":
        """Return the same configuration for another seed.

        Raises:
            ConfigError: If `seed` is not an integer from 0 to 2^32 - 1.
        """
        general = {f.name: self.plain[f.name] for f in dataclasses.fields(General)} | {"seed": seed}
        built = build(General, general, "")
        return dataclasses.replace(self, general=built, plain={**self.plain, "seed": seed})

    def sharing(self, seeds: int) -> "Config":
        """Return the same configuration as one of `seeds` that are trained together in one program."""
        general = dataclasses.replace(self.general, seeds_per_process=seeds)
        return dataclasses.replace(self, general=general, plain={**self.plain, "seeds_per_process": seeds})

    def determinants(self) -> dict[str, Any]:
        """Return the part of the configuration that can change the results of the run."""
        kept = {k: v for k, v in self.plain.items() if k not in HOUSEKEEPING}
        return _without_later_keys({k: _without_own_target(v) if k in GROUPS else v for k, v in kept.items()})

    def identity(self) -> dict[str, Any]:
        """Return the keys that identify a run to a reader: physics, solver, diff, schedule and seed."""
        groups = ("physics", "solver", "diff", "schedule")
        return {**{g: self.names[g] for g in groups}, "seed": self.general.seed}


def _without_own_target(node: dict[str, Any]) -> dict[str, Any]:
    """Return a group without `_target_` if its class is part of this package, where the name implies the class."""
    ours = str(node.get(TARGET)).partition(".")[0] in ("prdp", "None")
    return {k: v for k, v in node.items() if not (ours and k == TARGET)}


def _without_later_keys(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    kept = {}
    for key, value in options.items():
        name = f"{prefix}{key}"
        if name in _LATER_KEYS and value == _LATER_KEYS[name]:
            continue
        kept[key] = _without_later_keys(value, f"{name}.") if isinstance(value, dict) else value
    return kept
