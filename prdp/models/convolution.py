"""Convolutions of width three on uniform grids, in the fastest form for the device.

XLA's CPU convolutions are slow in reverse mode, and 50 to 90 times slower inside a loop than outside. Winograd's
minimal filtering F(4, 3) replaces them by a few matrix products, which have neither problem. Per axis, it computes
the 4 outputs of a tile from its 6 inputs as

    y = A^T [(G w) * (B^T x)]

with 6 multiplications instead of 4 x 3 = 12 (in d dimensions, 6^d instead of 12^d). Source: Lavin & Gray 2016.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

PADDINGS = {"periodic": "wrap", "dirichlet": "constant"}
METHODS = ("auto", "direct", "winograd")

_TILE = 4
_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    float,
)
_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], float) / 24
_OUTPUT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float
)


class Convolution(nnx.Module):
    """`y(x) = b + sum_o w_o u(x + o)` over `o` in `{-h..h}^d`, channels last, on a periodic or zero-padded grid.

    Weights and biases are initialised uniformly in `(-1/sqrt(n), 1/sqrt(n))`, where `n` is the fan-in.

    Args:
        inputs: input channels.
        outputs: output channels.
        width: `2 h + 1`, 1 or 3.
        dimensions: d.
        boundary: `periodic` (circular padding) or `dirichlet` (zero padding).
        method: `direct` (XLA's convolution), `winograd`, or `auto` (`winograd` on CPUs if the grid allows it, otherwise
            `direct`).
        rngs: the random keys for the initialisation.
        dtype: the type of the parameters, by default float32.

    Raises:
        ValueError: If `method` is not one of these.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        dimensions: int,
        boundary: str,
        method: str = "auto",
        *,
        rngs: nnx.Rngs,
        dtype: Any = None,
    ):
        if method not in METHODS:
            raise ValueError(f"convolution={method!r}: allowed are {', '.join(METHODS)}")
        bound = 1 / math.sqrt(inputs * width**dimensions)
        dtype = dtype or jnp.float32

        def uniform(*shape: int) -> nnx.Param:
            return nnx.Param(jax.random.uniform(rngs.params(), shape, dtype, -bound, bound))

        self.kernel = uniform(*(width,) * dimensions, inputs, outputs)
        self.bias = uniform(outputs)
        self.boundary, self.method = boundary, method

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the convolution of `(batch, *grid, inputs)`, shape `(batch, *grid, outputs)`.

        Raises:
            ValueError: If the method is `winograd` and the grid does not allow it, see `use_winograd`.
        """
        kernel = self.kernel[...]
        if kernel.shape[0] == 1:
            return x @ kernel.reshape(kernel.shape[-2:]) + self.bias[...]
        convolve = winograd if use_winograd(self.method, x.shape[1:-1]) else direct
        return convolve(x, kernel, self.boundary) + self.bias[...]


def use_winograd(method: str, grid: Sequence[int]) -> bool:
    """Whether to convolve on `grid` by Winograd's method, which requires multiples of 4 points along each axis.

    Raises:
        ValueError: If `method` is `winograd` and the grid does not satisfy this.
    """
    fits = all(n % _TILE == 0 for n in grid)
    if method == "winograd" and not fits:
        raise ValueError(
            f"convolution='winograd' on a grid of {tuple(grid)}: allowed are multiples of {_TILE} along each axis"
        )
    return fits and (method == "winograd" or (method == "auto" and jax.default_backend() == "cpu"))


def direct(x: Array, kernel: Array, boundary: str) -> Array:
    """Return the convolution of `(batch, *grid, inputs)` with `(*width, inputs, outputs)`, computed by XLA."""
    padded = _pad(x, boundary)
    space = "".join("xyz"[: x.ndim - 2])
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")
    return jax.lax.conv_general_dilated(padded, kernel, (1,) * len(space), "VALID", dimension_numbers=layout)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def winograd(x: Array, kernel: Array, boundary: str) -> Array:
    """Return the same as `direct`, by minimal filtering. Every axis of the grid must be a multiple of four."""
    return _forward(x, kernel, boundary)[0]


def _forward(x: Array, kernel: Array, boundary: str) -> tuple[Array, tuple[Array, Array]]:
    d = x.ndim - 2
    filters = _transform(_KERNEL, kernel.reshape(-1, *kernel.shape[d:]), d)
    windows = _transform(_INPUT, _windows(x, boundary), d)
    product = _products("tpc,tcd->tpd", windows, filters)
    return _join(_transform(_OUTPUT, product, d), d), (windows, filters)


def _backward(boundary: str, saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    # Every step of the forward pass is linear in `x` and in `kernel`. These are the transposes, in reverse order.
    windows, filters = saved
    d = cotangent.ndim - 2
    product = _transform(_OUTPUT.T, _split(cotangent), d)
    kernel = _transform(_KERNEL.T, _products("tpc,tpd->tcd", windows, product), d)
    x = _transform(_INPUT.T, _products("tpd,tcd->tpc", product, filters), d)
    return _overlap(x, d, boundary), kernel.reshape((3,) * d + kernel.shape[1:])


winograd.defvjp(_forward, _backward)


def _transform(matrix: np.ndarray, parts: Array, dimensions: int) -> Array:
    """Apply `matrix` along each axis of the tile, `(n^d, ...) -> (m^d, ...)`, as one product."""
    full = functools.reduce(np.kron, [matrix] * dimensions)
    flat = parts.reshape(parts.shape[0], -1)
    return (jnp.asarray(full, parts.dtype) @ flat).reshape(-1, *parts.shape[1:])


def _products(form: str, a: Array, b: Array) -> Array:
    """Return one matrix product for each point of the tile, with the grid axes flattened in between."""
    grid = a.shape[1:-1]
    a, b = (v.reshape(v.shape[0], -1, v.shape[-1]) for v in (a, b))
    out = jnp.einsum(form, a, b)
    return out.reshape(out.shape[0], *grid, out.shape[-1]) if form[-2] == "p" else out


def _pad(x: Array, boundary: str) -> Array:
    return jnp.pad(x, [(0, 0), *[(1, 1)] * (x.ndim - 2), (0, 0)], mode=PADDINGS[boundary])


def _windows(x: Array, boundary: str) -> Array:
    """Return the overlapping tiles of six, `(6^d, batch, *tiles, channels)`."""
    padded, grid = _pad(x, boundary), x.shape[1:-1]
    parts = []
    for start in itertools.product(range(_TILE + 2), repeat=len(grid)):
        window = tuple(slice(s, s + n - _TILE + 1, _TILE) for s, n in zip(start, grid, strict=True))
        parts.append(padded[(slice(None), *window)])
    return jnp.stack(parts)


def _split(x: Array) -> Array:
    """Return the tiles of four, `(4^d, batch, *tiles, channels)`."""
    starts = itertools.product(range(_TILE), repeat=x.ndim - 2)
    return jnp.stack([x[(slice(None), *(slice(s, None, _TILE) for s in start))] for start in starts])


def _join(parts: Array, dimensions: int) -> Array:
    """Return the field from its tiles of four, the inverse and the transpose of `_split`."""
    return _interleave(parts.reshape((_TILE,) * dimensions + parts.shape[1:]), dimensions)


def _overlap(parts: Array, dimensions: int, boundary: str) -> Array:
    """Return the sum of overlapping tiles of six, the transpose of `_windows`."""
    parts = parts.reshape((_TILE + 2,) * dimensions + parts.shape[1:])
    for axis in range(dimensions):
        first, *own, last = (jax.lax.index_in_dim(parts, i, axis, keepdims=False) for i in range(_TILE + 2))
        # Account for the tile axis removed above and the batch axis in front of the grid.
        grid_axis = dimensions + axis
        own[0] = own[0] + _shift(last, 1, grid_axis, boundary)
        own[-1] = own[-1] + _shift(first, -1, grid_axis, boundary)
        parts = jnp.stack(own, axis)
    return _interleave(parts, dimensions)


def _shift(x: Array, step: int, axis: int, boundary: str) -> Array:
    """Return `x` shifted by one tile, wrapped around (`periodic`) or filled with zeros (`dirichlet`)."""
    if boundary == "periodic":
        return jnp.roll(x, step, axis)
    pad = [(0, 0)] * x.ndim
    pad[axis] = (1, 0) if step > 0 else (0, 1)
    n = x.shape[axis]
    return jax.lax.slice_in_dim(jnp.pad(x, pad), 0 if step > 0 else 1, n if step > 0 else n + 1, axis=axis)


def _interleave(parts: Array, dimensions: int) -> Array:
    """Return `(batch, *grid, channels)` from `(4, .., 4, batch, *tiles, channels)`, by a single transposition."""
    d = dimensions
    order = [d]
    for axis in range(d):
        order += [d + 1 + axis, axis]
    order.append(2 * d + 1)
    tiles = parts.shape[d + 1 : 2 * d + 1]
    return parts.transpose(order).reshape(parts.shape[d], *(_TILE * t for t in tiles), parts.shape[-1])
