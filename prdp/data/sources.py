"""The options of the group `data`: reference trajectories by the distribution of their initial conditions."""

from prdp.data.trajectories import TrajectoryData
from prdp.physics import FilteredNoise, FourierSeries


def fourier(
    modes: int,
    amplitude: float,
    form: str,
    random_stream: str,
    train_samples: int,
    validation_samples: int,
    train_key: int,
    validation_key: int,
    steps: int,
    reference_points: int | None,
    test_sets: int = 4,
    test_key: int | None = None,
) -> TrajectoryData:
    """Return trajectories from truncated Fourier series, see `FourierSeries` and `TrajectoryData`.

    Raises:
        ValueError: If an argument is outside its range.
    """
    initial = FourierSeries(modes, amplitude, form, random_stream)
    return TrajectoryData(
        initial,
        train_samples,
        validation_samples,
        train_key,
        validation_key,
        steps,
        reference_points,
        test_sets,
        test_key,
    )


def noise(
    smoothing: float,
    random_stream: str,
    train_samples: int,
    validation_samples: int,
    train_key: int,
    validation_key: int,
    steps: int,
    reference_points: int | None,
    test_sets: int = 4,
    test_key: int | None = None,
) -> TrajectoryData:
    """Return trajectories from filtered noise, see `FilteredNoise` and `TrajectoryData`.

    Raises:
        ValueError: If an argument is outside its range.
    """
    initial = FilteredNoise(smoothing, random_stream)
    return TrajectoryData(
        initial,
        train_samples,
        validation_samples,
        train_key,
        validation_key,
        steps,
        reference_points,
        test_sets,
        test_key,
    )
