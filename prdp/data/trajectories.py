"""Reference trajectories by the direct solver."""

import dataclasses
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from prdp.atomic import write_bytes
from prdp.data.reference import reference_solution
from prdp.physics import FourierSeries, TimeStepper

log = logging.getLogger(__name__)

# Part of the cache's digest: raise it when the generator changes what it computes.
_VERSION = 1


class Trajectories(NamedTuple):
    """States in time, `(samples, steps + 1, channels, *space)`, the initial condition first."""

    train: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True)
class TrajectoryData:
    """Initial conditions and their reference solutions; identical for every seed of a run.

    The reference is computed in float64 by the direct solver and stored in the precision of the run.

    Args:
        initial_condition: the distribution of `u[0]`.
        train_samples: trajectories to train on.
        validation_samples: trajectories to validate on.
        train_key: seed of the training set's random stream.
        validation_key: seed of the validation set's.
        steps: time steps of a trajectory.

    Raises:
        ValueError: an argument is outside its range.

    Source: paper, appendix F.2 (data generation); the keys are those of the released code.
    """

    initial_condition: FourierSeries
    train_samples: int = 200
    validation_samples: int = 5
    train_key: int = 1337
    validation_key: int = 1338
    steps: int = 2

    def __post_init__(self) -> None:
        for key, least in (
            ("train_samples", 1),
            ("validation_samples", 1),
            ("train_key", 0),
            ("validation_key", 0),
            ("steps", 2),
        ):
            value = getattr(self, key)
            if not least <= value < 2**32:
                raise ValueError(f"{key}={value}: allowed is an integer from {least} to 2^32 - 1")
        if self.train_key == self.validation_key:
            raise ValueError(
                f"validation_key={self.validation_key}: allowed is any key but train_key, "
                "whose samples it would repeat"
            )

    def load(self, physics: TimeStepper, dtype: Any, cache: Path) -> Trajectories:
        """Return the trajectories, from the cache if it holds them whole, generated and cached otherwise."""
        recipe = {
            "version": _VERSION,
            "physics": type(physics).__name__,
            "parameters": dataclasses.asdict(physics),  # type: ignore[call-overload]
            "data": dataclasses.asdict(self),
            "dtype": np.dtype(dtype).name,
        }
        text = json.dumps(recipe, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        path = cache / f"{type(physics).__name__.lower()}-{digest}.safetensors"
        found = _read(path, text)
        if found is None:
            found = self.generate(physics, dtype)
            arrays = found._asdict()
            metadata = {"recipe": text, "sha256": _checksum(arrays)}
            write_bytes(path, save(arrays, metadata))
        return found

    def generate(self, physics: TimeStepper, dtype: Any) -> Trajectories:
        """Return freshly computed trajectories."""
        sets = {
            self.train_key: self.train_samples,
            self.validation_key: self.validation_samples,
        }
        initial = self.initial_condition.sample(sets, physics.grid())
        # One rollout for both sets: the solver is compiled once.
        both = reference_rollout(physics, np.concatenate(initial), self.steps, dtype)
        return Trajectories(*np.split(both, [self.train_samples]))


def reference_rollout(physics: TimeStepper, initial: np.ndarray, steps: int, dtype: Any) -> np.ndarray:
    """Return `steps` converged time steps from `initial`, shape `(samples, steps + 1, channels, *space)`."""
    states = [initial]
    for _ in range(steps):
        states.append(reference_solution(physics, states[-1]))
    out = np.stack(states, axis=1)
    if not np.isfinite(out).all():
        raise FloatingPointError("the reference trajectories are not finite")
    return out.astype(dtype)


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _read(path: Path, recipe: str) -> Trajectories | None:
    """Return what `path` holds if it is whole and made after `recipe`; say why not, and return `None`, otherwise."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in Trajectories._fields}
    except (SafetensorError, OSError) as error:
        log.warning("cached data %s cannot be read (%s): generating it again", path, error)
        return None
    if metadata.get("recipe") != recipe or metadata.get("sha256") != _checksum(arrays):
        log.warning("cached data %s fails its check: generating it again", path)
        return None
    return Trajectories(**arrays)
