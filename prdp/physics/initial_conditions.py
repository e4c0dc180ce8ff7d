"""Random initial conditions."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import jax
import numpy as np

FORMS = ("products", "released", "matched")
RANDOM_STREAMS = ("original", "partitionable")

# In which order the released code draws its families: "sc" is sin along x, cos along y.
_DRAWING_ORDER = {1: ("s", "c"), 2: ("cc", "ss", "sc", "cs")}


@dataclass(frozen=True)
class FourierSeries:
    """Truncated Fourier series: `u(x) = sum_n sum_f a_{f,n} prod_i f_i(2 pi n x_i)`, every `f_i` sin or cos.

    Amplitudes are independent and uniform in `(-amplitude, amplitude)`. The same wave number `n` is used along
    every axis. Cosine modes do not vanish at a Dirichlet wall; the paper's data has them all the same.

    Args:
        modes: n = 1..modes.
        amplitude: the largest amplitude.
        form: `products`: all 2^d families (the paper's formula). `released`: in 2D the released code has
            sin(2 pi n x) cos(2 pi n **x**) for one of them. `matched`: only sin...sin and cos...cos, as in a
            commented-out version of the released code.
        random_stream: `original` draws with `jax_threefry_partitionable=False`, as the paper's authors did;
            `partitionable` with JAX's present default.

    Raises:
        ValueError: an argument is outside its range.

    Source: paper, appendix F.2.
    """

    modes: int = 5
    amplitude: float = 1.0
    form: str = "products"
    random_stream: str = "original"

    def __post_init__(self) -> None:
        if self.modes < 1:
            raise ValueError(f"modes={self.modes}: allowed is an integer >= 1")
        if not 0 < self.amplitude < float("inf"):
            raise ValueError(f"amplitude={self.amplitude}: allowed is a number > 0")
        for key, allowed in (("form", FORMS), ("random_stream", RANDOM_STREAMS)):
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key}={getattr(self, key)!r}: allowed are {', '.join(allowed)}")

    def sample(self, seed: int, count: int, grid: tuple[Any, ...]) -> np.ndarray:
        """Return `count` fields on the tensor grid of `grid`, float64, shape `(count, 1, *space)`.

        The amplitudes are drawn in float32 whatever the precision of the run, so that all see the same data.
        """
        dimensions = len(grid)
        families = _DRAWING_ORDER.get(dimensions) or tuple(map("".join, product("sc", repeat=dimensions)))
        amplitudes = self._amplitudes(seed, count, len(families))
        coordinates = np.meshgrid(*grid, indexing="ij")
        total = np.zeros((count, *coordinates[0].shape))
        for f, family in enumerate(families):
            if self.form == "matched" and len(set(family)) > 1:
                continue
            for n in range(1, self.modes + 1):
                wave = np.ones_like(coordinates[0])
                for i, letter in enumerate(family):
                    x = coordinates[i]
                    if self.form == "released" and family == "sc" and letter == "c":
                        x = coordinates[0]
                    function = np.sin if letter == "s" else np.cos
                    wave = wave * function(2 * np.pi * n * x)
                a = amplitudes[:, f, n - 1]
                total += a.reshape(count, *(1,) * dimensions) * wave
        return total[:, None]

    def _amplitudes(self, seed: int, count: int, families: int) -> np.ndarray:
        partitionable = self.random_stream == "partitionable"
        with jax.threefry_partitionable(partitionable), jax.enable_x64(False):
            # One more key than families: the released code also draws an offset of zero width.
            def draw(key: Any) -> Any:
                keys = jax.random.split(key, families + 1)[:families]
                uniform = jax.vmap(
                    lambda k: jax.random.uniform(
                        k, (self.modes,), minval=-self.amplitude, maxval=self.amplitude
                    )
                )
                return uniform(keys)

            keys = jax.random.split(jax.random.PRNGKey(seed), count)
            return np.asarray(jax.vmap(draw)(keys), np.float64)
