"""Reference trajectories computed by exact solvers."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prdp.atomic import exists
from prdp.checks import LARGEST, integer
from prdp.data import cache as storage
from prdp.data.reference import reference_solution, samples_at_once
from prdp.physics import InitialCondition, TimeStepper
from prdp.source import source_digest

# Part of the cache key: increment it when the generated data changes.
_VERSION = 2

# Modules excluded from the source digest of the data: they only store data or check arguments.
_WITHOUT = (storage.__name__, "prdp.atomic", "prdp.source", "prdp.checks")

log = logging.getLogger(__name__)

# Called with the number of finished samples and the total number of samples.
Report = Callable[[int, int], None]


class Trajectories(NamedTuple):
    """States in time, `(samples, steps + 1, channels, *space)`, starting with the initial condition.

    The test set is held out: no schedule and no choice of a method sees it.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray | None = None


@dataclass(frozen=True)
class TrajectoryData:
    """Initial conditions and their reference solutions. The data does not depend on the seed of a run.

    The reference is computed in float64 by an exact solver and stored in the precision of the run. With
    `reference_points`, it is computed on a finer grid with that many points per axis and then subsampled: along each
    axis, every s-th point is kept, starting with the s-th, where `s = reference_points // points` (97 -> 48: every
    second point, starting with the second).

    Args:
        initial_condition: the distribution of `u[0]`.
        train_samples: the number of training trajectories.
        validation_samples: the number of validation trajectories.
        train_key: the seed of the training set.
        validation_key: the seed of the validation set.
        steps: time steps per trajectory, at least 2.
        reference_points: points per axis of the reference grid, or `None` for the grid of the physics.
        test_sets: the size of the test set, in validation sets; 0: no test set.
        test_key: the seed of the test set, or `None` for the first seed after those of the other sets.

    Raises:
        ValueError: If an argument is outside its range, or if two sets would share samples.

    Source: paper, appendices F.2 and F.4 (data generation). The keys of training and validation are those of the
    released code; the paper has no test set.
    """

    initial_condition: InitialCondition
    train_samples: int = 200
    validation_samples: int = 5
    train_key: int = 1337
    validation_key: int = 1338
    steps: int = 2
    reference_points: int | None = None
    test_sets: int = 4
    test_key: int | None = None

    def __post_init__(self) -> None:
        for key, least, most in (
            ("train_samples", 1, LARGEST),
            ("validation_samples", 1, LARGEST),
            ("train_key", 0, 2**32 - 1),
            ("validation_key", 0, 2**32 - 1),
            ("steps", 2, 100_000),
            ("test_sets", 0, 1000),
        ):
            integer(key, getattr(self, key), least, most)
        integer("reference_points", self.reference_points, 3, null=True)
        integer("test_key", self.test_key, 0, 2**32 - 1, null=True)
        self.sets()

    def sets(self) -> dict[int, int]:
        """Return the number of samples by seed of the sets for training, validation and test (if there is one).

        Raises:
            ValueError: If two sets would share samples, or a seed exceeds 32 bits.
        """
        keys = self.initial_condition.keys
        sets = {"train": self.train_key, "validation": self.validation_key}
        counts = {"train": self.train_samples, "validation": self.validation_samples}
        if self.test_sets:
            counts["test"] = self.test_sets * self.validation_samples
            free = max(keys(key, counts[name]).stop for name, key in sets.items())
            sets["test"] = free if self.test_key is None else self.test_key
        used = {name: keys(key, counts[name]) for name, key in sets.items()}
        for name, seeds in used.items():
            if seeds[-1] >= 2**32:
                raise ValueError(f"{name}_key={sets[name]}: allowed are seeds below 2^32, one per sample")
        for other, name in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if name in used and max(used[other].start, used[name].start) < min(
                used[other].stop, used[name].stop
            ):
                raise ValueError(
                    f"{name}_key={sets[name]}: allowed is any key that shares no samples with "
                    f"{other}_key={sets[other]}"
                )
        return {key: counts[name] for name, key in sets.items()}

    def check(self, physics: TimeStepper) -> None:
        """Check that `reference_points` suits the physics.

        Raises:
            Mismatch: If the initial conditions do not suit it.
            ValueError: `reference_points` is too small, or every s-th of its points are not those of the physics: they
                would cover a part of the domain only.
        """
        self.initial_condition.check(physics)
        fine, points = self.reference_points, physics.points
        if fine is not None and not (fine >= points and fine // (fine // points) == points):
            raise ValueError(
                f"reference_points={fine}: allowed is s * physics.points + r with integers s > r >= 0 "
                f"(physics.points={points}), or null"
            )

    def source(self, physics: TimeStepper) -> str | None:
        """Return the digest of the source code that generates the trajectories, or `None` if it is not available."""
        modules = (__name__, reference_solution.__module__)
        return source_digest((type(physics), type(self.initial_condition), type(self)), modules, _WITHOUT)

    def is_cached(self, physics: TimeStepper, dtype: Any, cache: Path) -> bool:
        """Whether the cache has a file with these trajectories."""
        place = self._place(physics, dtype, cache)
        return place is not None and exists(place[0])

    def _place(self, physics: TimeStepper, dtype: Any, cache: Path) -> tuple[Path, str] | None:
        """Return the file of the trajectories and their recipe, or `None` if the source code is not available."""
        source = self.source(physics)
        if source is None:
            return None
        recipe = {
            "version": _VERSION,
            "physics": type(physics).__name__,
            "parameters": dataclasses.asdict(physics),  # type: ignore[call-overload]
            "initial_condition": type(self.initial_condition).__name__,
            "data": dataclasses.asdict(self),
            "dtype": np.dtype(dtype).name,
            "source": source,
        }
        text = json.dumps(recipe, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cache / f"{type(physics).__name__.lower()}-{digest}.safetensors", text

    def load(
        self, physics: TimeStepper, dtype: Any, cache: Path, report: Report | None = None
    ) -> Trajectories:
        """Return the trajectories from the cache if it has them, otherwise generate and cache them.

        An interrupted generation resumes where it stopped. If several processes need the same data, one generates it
        and the others wait. The cache key includes the source code, so a modified physics gets a new file. Without
        source code, e.g. for a class defined in an interpreter, nothing is cached.

        Args:
            physics: the time stepper.
            dtype: the precision of the result.
            cache: the folder of the cache.
            report: called after each part with the numbers of finished and of all samples.

        Raises:
            ValueError: If `reference_points` does not suit the physics.
            FloatingPointError: If the reference is not finite or not accurate enough.
        """
        self.check(physics)
        place = self._place(physics, dtype, cache)
        if place is None:
            kind = type(physics).__name__
            log.warning("%s has no source to tell its reference data by: the data is not cached", kind)
            return self.generate(physics, dtype, None, report)
        path, text = place
        found = storage.read(path, text)
        if found is not None:
            return Trajectories(**found)
        with storage.held(path):
            # Another process may have finished it in the meantime.
            found = storage.read(path, text)
            if found is not None:
                return Trajectories(**found)
            parts = storage.Parts(path.with_suffix(".parts"), f"{text}, {samples_at_once(physics)} a part")
            trajectories = self.generate(physics, dtype, parts, report)
            arrays = {name: array for name, array in trajectories._asdict().items() if array is not None}
            storage.write(path, text, arrays)
            parts.discard()
        return trajectories

    def generate(
        self,
        physics: TimeStepper,
        dtype: Any,
        parts: storage.Parts | None = None,
        report: Report | None = None,
    ) -> Trajectories:
        """Compute and return the trajectories, in parts if the exact solver is slow.

        Raises:
            FloatingPointError: If the reference is not finite or not accurate enough.
        """
        sets = self.sets()
        fine = physics
        if self.reference_points is not None:
            fine = dataclasses.replace(physics, points=self.reference_points)  # type: ignore[type-var]
        fields = np.concatenate(self.initial_condition.sample(sets, fine.grid()))
        # One rollout for all sets, so that the solver is compiled only once.
        size = samples_at_once(physics) or len(fields)
        chunks = []
        for index, start in enumerate(range(0, len(fields), size)):
            chunk = parts.get(index) if parts else None
            if chunk is None:
                initial = fine.initial_state(fields[start : start + size])
                chunk = _restrict(reference_rollout(fine, initial, self.steps), physics.points).astype(dtype)
                if parts and size < len(fields):
                    parts.put(index, chunk)
            chunks.append(chunk)
            if report and size < len(fields):
                report(min(start + size, len(fields)), len(fields))
        return Trajectories(*np.split(np.concatenate(chunks), np.cumsum(list(sets.values()))[:-1]))


def reference_rollout(physics: TimeStepper, initial: np.ndarray, steps: int) -> np.ndarray:
    """Return `steps` converged time steps from `initial`, float64, shape `(samples, steps + 1, channels, *space)`.

    Raises:
        FloatingPointError: If a state is not finite or not accurate enough.
    """
    states = [initial]
    for _ in range(steps):
        states.append(reference_solution(physics, states[-1]))
    out = np.stack(states, axis=1)
    if not np.isfinite(out).all():
        raise FloatingPointError("the reference trajectories are not finite")
    return out


def _restrict(states: np.ndarray, points: int) -> np.ndarray:
    """Return every s-th point along each grid axis, starting with the s-th, where `s = n // points`."""
    for axis in range(3, states.ndim):
        stride = states.shape[axis] // points
        states = np.take(states, np.arange(points) * stride + stride - 1, axis=axis)
    return states
