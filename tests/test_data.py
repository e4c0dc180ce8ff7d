"""Filtered noise against the released recipe, and reference data: its grid, its parts and its cache."""

import dataclasses
import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prdp.data import TrajectoryData, trajectories
from prdp.physics import FilteredNoise, FourierSeries, Heat, NavierStokes
from prdp.tracking import data_progress

PHYSICS = NavierStokes(4, diffusivity=0.01)
# Four parts of at most five samples.
SOURCE = TrajectoryData(
    FilteredNoise(),
    train_samples=12,
    validation_samples=5,
    train_key=0,
    validation_key=12,
    reference_points=9,
    test_sets=0,
)


def periodic_laplacian(n, dimensions):
    line = n**2 * (np.roll(np.eye(n), 1, 0) - 2 * np.eye(n) + np.roll(np.eye(n), -1, 0))
    total = np.zeros((n**dimensions,) * 2)
    for axis in range(dimensions):
        factors = [line if i == axis else np.eye(n) for i in range(dimensions)]
        product = np.eye(1)
        for factor in factors:
            product = np.kron(product, factor)
        total += product
    return total


def filtered(noise, smoothing):
    """One implicit heat step, then zero mean and unit deviation."""
    n, d = len(noise), noise.ndim
    step = np.eye(n**d) - smoothing * periodic_laplacian(n, d)
    u = np.linalg.solve(step, np.asarray(noise, np.float64).ravel()).reshape(noise.shape)
    return (u - u.mean()) / u.std()


@pytest.mark.parametrize("smoothing", [3e-3, 0.05])
def test_noise_is_that_of_the_released_recipe(smoothing):
    n = 7
    first, second = FilteredNoise(smoothing).sample({0: 3, 200: 2}, NavierStokes(n).grid())
    assert (first.shape, second.shape) == ((3, 2, n, n), (2, 2, n, n))
    for seed, field in zip((0, 1, 2, 200, 201), np.concatenate([first, second]), strict=True):
        with jax.threefry_partitionable(False):
            kx, ky = jax.random.split(jax.random.PRNGKey(seed))
            along_x, along_y = (jax.random.normal(k, (1, n, n)) for k in (kx, ky))
        # Theirs are indexed [y, x].
        expected = [filtered(noise[0], smoothing).T for noise in (along_x, along_y)]
        np.testing.assert_allclose(field, expected, atol=1e-12)
        np.testing.assert_allclose(field.mean((1, 2)), 0, atol=1e-14)
        np.testing.assert_allclose(field.std((1, 2)), 1, rtol=1e-14)


def test_noise_in_one_dimension_is_filtered_too():
    (fields,) = FilteredNoise(0.02).sample({4: 2}, Heat(1, 5, boundary="periodic").grid())
    assert fields.shape == (2, 1, 5)
    for seed, field in zip((4, 5), fields, strict=True):
        with jax.threefry_partitionable(False):
            (key,) = jax.random.split(jax.random.PRNGKey(seed), 1)
            noise = jax.random.normal(key, (5,))
        np.testing.assert_allclose(field[0], filtered(noise, 0.02), atol=1e-12)


def test_a_sample_does_not_depend_on_which_others_are_drawn():
    grid = NavierStokes(6).grid()
    (all_of_them,) = FilteredNoise().sample({0: 7}, grid)
    some, others = FilteredNoise().sample({3: 2, 6: 1}, grid)
    np.testing.assert_array_equal(np.concatenate([some, others]), all_of_them[[3, 4, 6]])
    assert len({field.tobytes() for field in all_of_them.reshape(14, -1)}) == 14


def test_the_random_stream_is_the_chosen_one(x64):
    # Drawn in float32 even where a run computes in float64.
    grid = NavierStokes(6).grid()
    drawn = {}
    for stream, partitionable in (("original", False), ("partitionable", True)):
        (drawn[stream],) = FilteredNoise(random_stream=stream).sample({5: 1}, grid)
        with jax.threefry_partitionable(partitionable), jax.enable_x64(False):
            noise = [jax.random.normal(k, (6, 6)) for k in jax.random.split(jax.random.PRNGKey(5))]
        np.testing.assert_allclose(drawn[stream][0], [filtered(w, 3e-3).T for w in noise], atol=1e-12)
    assert np.abs(drawn["original"] - drawn["partitionable"]).max() > 0.1


@pytest.mark.parametrize(
    ("fine", "points", "kept"),
    [
        (97, 48, slice(1, None, 2)),
        (9, 4, slice(1, None, 2)),
        (14, 4, slice(2, None, 3)),
        (4, 4, slice(None)),
    ],
)
def test_every_sth_point_of_the_reference_is_kept_from_the_sth_on(monkeypatch, fine, points, kept):
    rolled = []

    def rollout(physics, initial, steps):
        assert physics == dataclasses.replace(PHYSICS, points=fine)
        rolled.append(np.stack([initial + t for t in range(steps + 1)], axis=1))
        return rolled[-1]

    monkeypatch.setattr(trajectories, "reference_rollout", rollout)
    source = dataclasses.replace(
        SOURCE, train_samples=2, validation_samples=1, reference_points=fine, steps=3
    )
    physics = dataclasses.replace(PHYSICS, points=points)
    source.check(physics)
    data = source.generate(physics, np.float64)
    assert (data.train.shape, data.validation.shape) == ((2, 4, 3, points, points), (1, 4, 3, points, points))
    (states,) = rolled
    np.testing.assert_array_equal(np.concatenate(data[:2]), states[..., kept, kept])


@pytest.fixture
def rollouts(monkeypatch):
    """The trajectories on the fine grid, part by part, as they are computed."""
    rolled, rollout = [], trajectories.reference_rollout

    def recorded(physics, initial, steps):
        rolled.append(rollout(physics, initial, steps))
        return rolled[-1]

    monkeypatch.setattr(trajectories, "reference_rollout", recorded)
    return rolled


def test_trajectories_solve_the_discrete_equations_on_the_fine_grid(rollouts, x64):
    source = dataclasses.replace(SOURCE, train_samples=3, validation_samples=3, steps=2)
    data = source.generate(PHYSICS, np.float64)
    fine = NavierStokes(9, diffusivity=0.01)
    states = np.concatenate(rollouts)
    assert states.shape == (6, 3, 3, 9, 9)
    np.testing.assert_array_equal(np.concatenate(data[:2]), states[..., 1::2, 1::2])
    fields = np.concatenate(FilteredNoise().sample({0: 3, 12: 3}, fine.grid()))
    np.testing.assert_allclose(states[:, 0], fine.initial_state(fields), atol=1e-13)
    as_dense = jax.jit(lambda state: fine.operator(state).as_dense())
    for before, after in [(s[t], s[t + 1]) for s in states for t in (0, 1)]:
        rhs = np.concatenate([before[:2] / 0.1, np.zeros((1, 9, 9))])
        np.testing.assert_allclose(as_dense(jnp.asarray(before)) @ after.ravel(), rhs.ravel(), atol=1e-10)


def test_a_reference_of_heat_on_a_finer_grid_is_that_of_the_finer_grid():
    np.testing.assert_allclose(Heat(1, 17).grid()[0][1::2], Heat(1, 8).grid()[0], rtol=1e-14)
    source = TrajectoryData(FourierSeries(), 3, 2)
    coarse = dataclasses.replace(source, reference_points=17).generate(Heat(1, 8), np.float64)
    fine = source.generate(Heat(1, 17), np.float64)
    for a, b in zip(coarse, fine, strict=True):
        np.testing.assert_array_equal(a, b[..., 1::2])


@pytest.mark.parametrize("fine", [3, 5, 7, 11])
def test_a_reference_grid_that_has_no_such_points_is_refused(tmp_path, fine):
    # Of 5 to 7 points every one, and of 11 every second, are more than 4.
    source = dataclasses.replace(SOURCE, reference_points=fine)
    with pytest.raises(ValueError, match=rf"reference_points={fine}: allowed is .*physics.points=4"):
        source.load(PHYSICS, np.float32, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("train", "validation"), [((0, 5), (4, 1)), ((4, 1), (3, 2)), ((0, 9), (4, 2))])
def test_sets_that_share_a_sample_are_refused(train, validation):
    options = dict(
        zip(
            ("train_key", "train_samples", "validation_key", "validation_samples"),
            (*train, *validation),
            strict=True,
        )
    )
    with pytest.raises(ValueError, match=f"validation_key={validation[0]}: .* train_key={train[0]}"):
        TrajectoryData(FilteredNoise(), **options)
    # A Fourier series draws a whole set from one key.
    TrajectoryData(FourierSeries(), **options)


@pytest.mark.parametrize(
    ("key", "other"), [(3, "train_key=0"), (12, "validation_key=12"), (11, "train_key=0")]
)
def test_a_test_set_that_shares_a_sample_is_refused(key, other):
    with pytest.raises(ValueError, match=f"test_key={key}: .* {other}"):
        dataclasses.replace(SOURCE, test_sets=1, test_key=key)
    # By default it follows the validation set.
    dataclasses.replace(SOURCE, test_sets=1)


def test_the_test_set_leaves_the_other_sets_alone_and_shares_no_sample_with_them():
    small = dataclasses.replace(SOURCE, train_samples=2, validation_samples=1, validation_key=2)
    without, data = (dataclasses.replace(small, test_sets=n).generate(PHYSICS, np.float64) for n in (0, 3))
    assert without.test is None
    assert data.test.shape == (3, *data.validation.shape[1:])
    for ours, before in zip(data[:2], without[:2], strict=True):
        np.testing.assert_allclose(ours, before, rtol=0, atol=1e-13)
    assert len({s.tobytes() for s in np.concatenate(data)[:, 0]}) == 6


def test_sets_side_by_side_share_no_sample(tmp_path):
    data = dataclasses.replace(SOURCE, train_samples=2, validation_samples=2, validation_key=2)
    states = np.concatenate(data.load(PHYSICS, np.float64, tmp_path)[:2])[:, 0]
    assert len({s.tobytes() for s in states}) == 4


class Whole(NamedTuple):
    """What an uninterrupted `load` returns, where it is kept, and the progress that it reported."""

    data: trajectories.Trajectories
    content: bytes
    name: str
    reports: list


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder, reports = tmp_path_factory.mktemp("whole"), []
    data = SOURCE.load(PHYSICS, np.float32, folder, lambda *progress: reports.append(progress))
    (path,) = folder.iterdir()
    return Whole(data, path.read_bytes(), path.name, reports)


@pytest.fixture(scope="module")
def first_parts(tmp_path_factory):
    """What a generation leaves that is interrupted in its third part."""
    folder, calls, rollout = tmp_path_factory.mktemp("parts"), [], trajectories.reference_rollout

    def third_interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rollout(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "reference_rollout", third_interrupted)
        with pytest.raises(KeyboardInterrupt):
            SOURCE.load(PHYSICS, np.float32, folder)
    return folder


@pytest.fixture
def interrupted(first_parts, tmp_path):
    """The folder of the parts, in a copy that is the test's own."""
    shutil.copytree(first_parts, tmp_path, dirs_exist_ok=True)
    (parts,) = tmp_path.iterdir()
    assert parts.suffix == ".parts"
    assert [p.name for p in sorted(parts.iterdir())] == ["0000.safetensors", "0001.safetensors"]
    return parts


def assert_whole(data, folder, whole):
    for again, once in zip(data[:2], whole.data[:2], strict=True):
        np.testing.assert_array_equal(again, once, strict=True)
    assert [path.name for path in folder.iterdir()] == [whole.name]


def test_an_interrupted_generation_goes_on_with_the_missing_parts(interrupted, whole, rollouts, tmp_path):
    reports = []
    data = SOURCE.load(PHYSICS, np.float32, tmp_path, lambda *progress: reports.append(progress))
    assert [len(states) for states in rollouts] == [5, 2]
    assert reports == whole.reports
    assert_whole(data, tmp_path, whole)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_part_is_computed_again(interrupted, whole, rollouts, tmp_path, caplog, damage):
    path = interrupted / "0001.safetensors"
    content = path.read_bytes()
    left = {
        "truncated": content[: len(content) // 2],
        "flipped": content[:-1] + bytes([content[-1] ^ 1]),
        "empty": b"",
    }
    path.write_bytes(left[damage])
    data = SOURCE.load(PHYSICS, np.float32, tmp_path)
    assert f"{path} " in caplog.text
    assert "generating it again" in caplog.text
    assert [len(states) for states in rollouts] == [5, 5, 2]
    assert_whole(data, tmp_path, whole)


def test_progress_is_reported_part_by_part_where_the_solver_is_slow(whole, tmp_path):
    assert whole.reports == [(5, 17), (10, 17), (15, 17), (17, 17)]
    reports = []
    heat = TrajectoryData(FourierSeries(), 12, 5)
    heat.load(Heat(1, 8), np.float32, tmp_path, lambda *progress: reports.append(progress))
    one_part = dataclasses.replace(SOURCE, train_samples=3, validation_samples=2)
    one_part.load(PHYSICS, np.float32, tmp_path, lambda *progress: reports.append(progress))
    # From the cache, nothing has to be waited for.
    (tmp_path / whole.name).write_bytes(whole.content)
    SOURCE.load(PHYSICS, np.float32, tmp_path, lambda *progress: reports.append(progress))
    assert reports == []


def test_a_log_is_told_about_progress_in_at_most_ten_lines_and_the_end(capsys, monkeypatch):
    for variable in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    report = data_progress()
    for done in range(5, 206, 5):
        report(done, 205)
    lines = capsys.readouterr().err.splitlines()
    assert 5 <= len(lines) <= 11
    assert lines[0] == "reference data: 25/205 trajectories"
    assert lines[-1] == "reference data: 205/205 trajectories"


def test_each_recipe_has_its_own_file(monkeypatch, tmp_path):
    made = []

    def generate(self, physics, dtype, *progress):
        made.append(1)
        return trajectories.Trajectories(np.full(3, len(made), dtype), np.zeros(2, dtype))

    monkeypatch.setattr(TrajectoryData, "generate", generate)
    source = dataclasses.replace(SOURCE, train_samples=3, validation_samples=1)

    def of_data(**changes):
        return dataclasses.replace(source, **changes), PHYSICS, np.float32

    def of_physics(**changes):
        return source, dataclasses.replace(PHYSICS, **changes), np.float32

    fourier = TrajectoryData(FourierSeries(), 3, 1)
    recipes = [
        (source, PHYSICS, np.float32),
        (source, PHYSICS, np.float64),
        of_physics(points=3),
        of_physics(diffusivity=0.02),
        of_physics(time_step=0.2),
        of_physics(winds="averaged"),
        of_data(initial_condition=FilteredNoise(smoothing=4e-3)),
        of_data(initial_condition=FilteredNoise(random_stream="partitionable")),
        of_data(reference_points=8),
        of_data(reference_points=None),
        of_data(steps=3),
        of_data(train_samples=2),
        of_data(validation_samples=2),
        of_data(train_key=1),
        of_data(validation_key=13),
        (fourier, Heat(1, 4), np.float32),
        (fourier, Heat(1, 4, boundary="periodic"), np.float32),
        (dataclasses.replace(source, reference_points=None), Heat(1, 4, boundary="periodic"), np.float32),
    ]
    for count, (data, physics, dtype) in enumerate(recipes, 1):
        loaded = data.load(physics, dtype, tmp_path)
        assert (loaded.train[0], len(made), len(list(tmp_path.iterdir()))) == (count, count, count)
    for count, (data, physics, dtype) in enumerate(recipes, 1):
        loaded = data.load(physics, dtype, tmp_path)
        assert (loaded.train[0], loaded.train.dtype, len(made)) == (count, dtype, len(recipes))


@pytest.mark.parametrize(
    ("key", "value"), [("smoothing", 0.0), ("smoothing", np.inf), ("random_stream", "x")]
)
def test_noise_with_parameters_outside_their_range_is_refused(key, value):
    with pytest.raises(ValueError, match=f"{key}={value!r}: allowed"):
        FilteredNoise(**{key: value})
