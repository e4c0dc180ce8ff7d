"""A checked configuration: the objects of a run, and what tells it from others."""

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
from prdp.schedules import Schedule
from prdp.solvers import Solver
from prdp.tracking import Sink

GROUPS = ("physics", "solver", "diff", "schedule", "model", "optimizer", "task", "data", "tracking")
# What the run supplies when it builds an option's object; the other groups need nothing.
CONTEXT = {"model": ("shape", "rngs", "dtype"), "task": ("physics", "operator", "settings", "data")}
# What says where and how a run is kept, not what it computes.
HOUSEKEEPING = frozenset(
    (
        "runs_dir", "data_dir", "overwrite", "progress", "checkpoint_seconds", "tracking", "compilation_cache",
        "seeds_per_process", "dry_run",
    )
)  # fmt: skip
# Keys that came after runs had been recorded, with the value that these had: it does not count for a run's name.
_LATER_KEYS = {
    "metric": "val_error",
    "diff.adjoint_ratio": None,
    "solver.warm_start": False,
    "schedule.least": 1,
}


@dataclass(frozen=True)
class SolveOptions:
    """What the group `solver` has beside the solver's own arguments."""

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
        general: the keys at the top level.
        names: the name of the chosen option of each group.
        model: called with `shape`, `rngs` and `dtype`, the network.
        task: called with `physics`, `operator`, `settings` and `data`, the task.
        data: the source of reference data, or `None`.
        tracking: called, a sink; `None` without.
        plain: the whole configuration as plain values, as `config.yaml` has it.
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
        """Return the schedule with the keys filled in that its configuration leaves open with null.

        Raises:
            ConfigError: If the schedule does not suit this K_epsilon (a first K above it, say).
        """
        try:
            return self.schedule.resolved(converged=converged, epochs=self.general.epochs, errors=errors)
        except ValueError as error:
            raise ConfigError(f"schedule.{error}") from error

    @functools.cached_property
    def abstract_model(self) -> nnx.Module:
        """The network with shapes in place of arrays.

        Raises:
            ConfigError: If it cannot be made for this physics.
        """
        made = nnx.eval_shape(lambda: self.new_model(jax.random.key(0), jnp.float32))
        if not isinstance(made, nnx.Module):
            raise ConfigError(f"model.{TARGET}: allowed is what makes a flax.nnx.Module")
        return made

    def new_model(self, key: Any, dtype: Any) -> nnx.Module:
        """Return the freshly initialised network."""
        return self.model(shape=self.physics.shape, rngs=nnx.Rngs(key), dtype=dtype)

    def new_sink(self) -> Sink | None:
        """Return the sink of the group `tracking`, `None` without one."""
        return None if self.tracking is None else self.tracking()

    def with_seed(self, seed: int) -> "Config":
        """Return the same configuration for another seed.

        Raises:
            ConfigError: If it is not one.
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
        kept = {k: v for k, v in self.plain.items() if k not in HOUSEKEEPING}
        return _without_later_keys({k: _without_own_target(v) if k in GROUPS else v for k, v in kept.items()})

    def identity(self) -> dict[str, Any]:
        """Return the keys by which runs are told apart at a glance."""
        groups = ("physics", "solver", "diff", "schedule")
        return {**{g: self.names[g] for g in groups}, "seed": self.general.seed}


def _without_own_target(node: dict[str, Any]) -> dict[str, Any]:
    """Return a group without the class that its name stands for: only a stranger's tells two runs apart."""
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
