"""Random initial conditions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import product
from typing import Any

import jax
import numpy as np

from prdp.checks import Mismatch, integer, one_of, positive
from prdp.physics.base import TimeStepper

FORMS = ("products", "released", "matched")
RANDOM_STREAMS = ("original", "partitionable")

# The order in which the released code draws its families; "sc" means sin along x and cos along y.
_DRAWING_ORDER = {1: ("s", "c"), 2: ("cc", "ss", "sc", "cs")}


class InitialCondition(ABC):
    """A distribution of initial fields; a frozen dataclass of its parameters."""

    @abstractmethod
    def keys(self, key: int, count: int) -> range:
        """Return the seeds that a set of `count` samples with seed `key` draws from."""

    @abstractmethod
    def sample(self, sets: dict[int, int], grid: tuple[Any, ...]) -> list[np.ndarray]:
        """Return a set of fields for each `seed: count`, float64, `(count, fields, *space)`, on the tensor grid."""

    @abstractmethod
    def fields(self, dimensions: int) -> int:
        """Return how many fields a sample has."""

    def check(self, physics: TimeStepper) -> None:
        """Refuse a physics that starts from other fields.

        Raises:
            Mismatch: If it does.
        """
        made, needed = self.fields(physics.dimensions), physics.initial_channels
        if made != needed:
            raise Mismatch(
                "data", f"it makes {made} field(s) per sample, and the physics starts from {needed}"
            )


@dataclass(frozen=True)
class FourierSeries(InitialCondition):
    """Truncated Fourier series: `u(x) = sum_n sum_f a_{f,n} prod_i f_i(2 pi n x_i)`, every `f_i` sin or cos.

    A family `f` is one choice of sin or cos per axis. Amplitudes are independent and uniform in
    `(-amplitude, amplitude)`. The wave number `n` is the same along every axis. Cosine modes do not vanish on a
    Dirichlet boundary, but the paper's data includes them.

    Args:
        modes: the number of wave numbers, n = 1..modes.
        amplitude: the bound of the amplitudes.
        form: `products` uses all 2^d families (the paper's formula). `released` differs in 2D: the released code has
            sin(2 pi n x) cos(2 pi n **x**) for one family. `matched` uses only sin...sin and cos...cos, as in a
            commented-out version of the released code.
        random_stream: `original` draws with `jax_threefry_partitionable=False`, as the authors of the paper did;
            `partitionable` draws with the current default of JAX.

    Raises:
        ValueError: If an argument is outside its range.

    Source: paper, appendix F.2.
    """

    modes: int = 5
    amplitude: float = 1.0
    form: str = "products"
    random_stream: str = "original"

    def __post_init__(self) -> None:
        integer("modes", self.modes, 1, 10_000)
        positive("amplitude", self.amplitude)
        one_of("form", self.form, FORMS)
        one_of("random_stream", self.random_stream, RANDOM_STREAMS)

    def fields(self, dimensions: int) -> int:
        """Return 1."""
        return 1

    def keys(self, key: int, count: int) -> range:
        """Return the seeds used by a set of `count` samples with seed `key`: a single one."""
        return range(key, key + 1)

    def sample(self, sets: dict[int, int], grid: tuple[Any, ...]) -> list[np.ndarray]:
        """Return one set of fields for each `seed: count` in `sets`, on the tensor grid of `grid`.

        Each set is float64 of shape `(count, 1, *space)`. Amplitudes are always drawn in float32, so that runs in any
        precision see the same data.
        """
        dimensions = len(grid)
        families = _DRAWING_ORDER.get(dimensions) or tuple(map("".join, product("sc", repeat=dimensions)))
        coordinates = list(np.meshgrid(*grid, indexing="ij"))
        amplitudes = self._amplitudes(sets, len(families))
        fields = np.zeros((len(amplitudes), *coordinates[0].shape))
        for f, family in enumerate(families):
            if self.form == "matched" and len(set(family)) > 1:
                continue
            for n in range(1, self.modes + 1):
                wave = self._wave(family, n, coordinates)
                fields += amplitudes[:, f, n - 1].reshape(-1, *(1,) * dimensions) * wave
        ends = np.cumsum(list(sets.values()))[:-1]
        return np.split(fields[:, None], ends)

    def _wave(self, family: str, n: int, coordinates: list[np.ndarray]) -> np.ndarray:
        wave = np.ones_like(coordinates[0])
        for i, letter in enumerate(family):
            x = coordinates[i]
            if self.form == "released" and family == "sc" and letter == "c":
                x = coordinates[0]
            wave = wave * (np.sin if letter == "s" else np.cos)(2 * np.pi * n * x)
        return wave

    def _amplitudes(self, sets: dict[int, int], families: int) -> np.ndarray:
        """Return the amplitudes of all samples of all sets, `(samples, families, modes)`."""

        def draw(key: Any) -> Any:
            # One more key than families, because the released code also draws an offset of zero width.
            keys = jax.random.split(key, families + 1)[:families]
            shape, limit = (self.modes,), self.amplitude
            return jax.vmap(lambda k: jax.random.uniform(k, shape, minval=-limit, maxval=limit))(keys)

        # One program for all sets, because compiling JAX's generator takes longer than running it.
        @jax.jit
        def draw_all() -> Any:
            split = [jax.random.split(jax.random.PRNGKey(s), n) for s, n in sets.items()]
            return jax.vmap(draw)(jax.numpy.concatenate(split))

        partitionable = self.random_stream == "partitionable"
        with jax.threefry_partitionable(partitionable), jax.enable_x64(False):
            return np.asarray(draw_all(), np.float64)


@dataclass(frozen=True)
class FilteredNoise(InitialCondition):
    """Smooth random vector fields: white noise after one implicit heat step, of zero mean and unit deviation.

    For each component, `w ~ N(0, 1)` is drawn at every point of the periodic unit interval, square or cube. Then
    `v = (I - s L)^-1 w` with the discrete Laplacian `L`, and `u = (v - mean v)/std v`.

    Args:
        smoothing: s = nu dt of the heat step, in units of the squared length of the domain.
        random_stream: see `FourierSeries`.

    Raises:
        ValueError: If an argument is outside its range.

    Source: paper, appendix F.4 ("low-pass filter", "zero mean and standard deviation of 1"). The heat step and the
    value of s come from the released code.
    """

    smoothing: float = 3e-3
    random_stream: str = "original"

    def __post_init__(self) -> None:
        positive("smoothing", self.smoothing)
        one_of("random_stream", self.random_stream, RANDOM_STREAMS)

    def fields(self, dimensions: int) -> int:
        """Return one field per direction."""
        return dimensions

    def check(self, physics: TimeStepper) -> None:
        """Refuse a physics that is not periodic, or starts from other fields."""
        super().check(physics)
        if getattr(physics, "boundary", "periodic") != "periodic":
            raise Mismatch("data", "the noise is periodic: allowed only with physics.boundary=periodic")

    def keys(self, key: int, count: int) -> range:
        """Return the seeds used by a set of `count` samples with seed `key`: one per sample."""
        return range(key, key + count)

    def sample(self, sets: dict[int, int], grid: tuple[Any, ...]) -> list[np.ndarray]:
        """Return one set of fields for each `seed: count` in `sets`, float64, `(count, dimensions, *space)`.

        The noise is always drawn in float32, independent of the precision of the run.
        """
        shape = tuple(len(x) for x in grid)
        axes = tuple(range(-len(grid), 0))
        noise = self._noise(sets, shape)
        damping = np.ones(shape)
        for axis, n in zip(axes, shape, strict=True):
            eigenvalues = (2 * n * np.sin(np.pi * np.arange(n) / n)) ** 2
            damping = damping + self.smoothing * np.expand_dims(
                eigenvalues, tuple(i for i in range(len(shape)) if i != axis + len(shape))
            )
        fields = np.fft.ifftn(np.fft.fftn(noise, axes=axes) / damping, axes=axes).real
        fields = fields - fields.mean(axes, keepdims=True)
        fields = fields / fields.std(axes, keepdims=True)
        return np.split(fields, np.cumsum(list(sets.values()))[:-1])

    def _noise(self, sets: dict[int, int], shape: tuple[int, ...]) -> np.ndarray:
        """Return white noise `(samples, dimensions, *space)`, with one seed per sample and one key per component."""
        seeds = np.concatenate([np.arange(key, key + count) for key, count in sets.items()])
        # Arrays are indexed [y, x] in the released code, and [x, y] here.
        transposed = shape[::-1]

        def draw(seed: Any) -> Any:
            keys = jax.random.split(jax.random.PRNGKey(seed), len(shape))
            return jax.vmap(lambda k: jax.random.normal(k, (1, *transposed))[0].T)(keys)

        partitionable = self.random_stream == "partitionable"
        with jax.threefry_partitionable(partitionable), jax.enable_x64(False):
            return np.asarray(jax.jit(jax.vmap(draw))(seeds.astype(np.uint32)), np.float64)
