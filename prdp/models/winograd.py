"""Winograd's minimal filtering: convolutions of width three as small matrix products.

XLA's CPU convolutions are slow in reverse mode, and 50 to 90 times slower inside a loop than outside. Minimal filtering
F(4, 3) has neither problem. Along each axis, it computes the 4 outputs of a tile from its 6 inputs as

    y = A^T [(G w) * (B^T x)]

with 6 multiplications instead of 4 x 3 = 12 (in d dimensions, 6^d instead of 12^d). The products become one matrix
product over the channels for each of the 6^d points of a tile. The transforms are sums of slices along one axis after
the other: as products with small matrices they would take twice as long.

Source: Lavin & Gray 2016.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

TILE = 4
PADDINGS = {"periodic": "wrap", "dirichlet": "constant"}

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


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def winograd(x: Array, kernel: Array, boundary: str) -> Array:
    """Return the convolution of `(batch, *grid, inputs)` with `(*width, inputs, outputs)`.

    Every axis of the grid must be a multiple of four. `boundary` is `periodic` or `dirichlet` (zeros outside).
    """
    return _forward(x, kernel, boundary)[0]


def _forward(x: Array, kernel: Array, boundary: str) -> tuple[Array, tuple[Array, Array]]:
    d = x.ndim - 2
    windows, filters = _windows(x, boundary), _along_axes(_KERNEL, kernel, d)
    return _fields(_products("tpc,tcd->tpd", windows, filters, d)), (windows, filters)


def _backward(boundary: str, saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    # Every step of the forward pass is linear in `x` and in `kernel`. These are the transposes, in reverse order.
    windows, filters = saved
    d = cotangent.ndim - 2
    products = _fields_transposed(cotangent)
    kernel = _products("tpc,tpd->tcd", windows, products, d)
    x = _products("tpd,tcd->tpc", products, filters, d)
    return _windows_transposed(x, boundary), _along_axes(_KERNEL.T, kernel, d)


winograd.defvjp(_forward, _backward)


def _windows(x: Array, boundary: str) -> Array:
    """Return the transformed inputs of each tile, `(6, .., 6, batch, *tiles, channels)`."""
    for i in range(x.ndim - 2):
        # The grid axes follow `i` tile axes and the batch axis.
        axis = 2 * i + 1
        n, widths = x.shape[axis], [(0, 0)] * x.ndim
        widths[axis] = (1, 1)
        padded = jnp.pad(x, widths, mode=PADDINGS[boundary])
        x = _stack(_INPUT, _every_fourth(padded, axis, range(TILE + 2), n), i)
    return x


def _windows_transposed(tiles: Array, boundary: str) -> Array:
    """Return the field of the cotangents of all tiles, the transpose of `_windows`."""
    d = (tiles.ndim - 2) // 2
    for i in range(d):
        first, *own, last = _sums(_INPUT.T, _parts(tiles, i))
        # The outer points of a window belong to the neighbouring tiles. One tile axis is missing here.
        own[0] = own[0] + _shift(last, 1, d + i, boundary)
        own[-1] = own[-1] + _shift(first, -1, d + i, boundary)
        tiles = jnp.stack(own, i)
    return _interleave(tiles)


def _fields(tiles: Array) -> Array:
    """Return the outputs `(batch, *grid, channels)` from the products of each tile."""
    for i in range((tiles.ndim - 2) // 2):
        tiles = _stack(_OUTPUT, _parts(tiles, i), i)
    return _interleave(tiles)


def _fields_transposed(cotangent: Array) -> Array:
    """Return the cotangents of the products of each tile, the transpose of `_fields`."""
    for i in range(cotangent.ndim - 2):
        axis = 2 * i + 1
        parts = _every_fourth(cotangent, axis, range(TILE), cotangent.shape[axis])
        cotangent = _stack(_OUTPUT.T, parts, i)
    return cotangent


def _along_axes(matrix: np.ndarray, kernel: Array, dimensions: int) -> Array:
    """Return the small `kernel` with `matrix` applied along each of its first axes."""
    for axis in range(dimensions):
        kernel = jnp.moveaxis(jnp.tensordot(jnp.asarray(matrix, kernel.dtype), kernel, (1, axis)), 0, axis)
    return kernel


def _products(form: str, a: Array, b: Array, dimensions: int) -> Array:
    """Return one matrix product for each point of the tile, with the grid axes flattened in between."""
    flat = [v.reshape(-1, int(np.prod(v.shape[dimensions:-1])), v.shape[-1]) for v in (a, b)]
    out = jnp.einsum(form, *flat)
    return (
        out.reshape(*a.shape[:-1], -1)
        if form[-2] == "p"
        else out.reshape(*a.shape[:dimensions], *out.shape[1:])
    )


def _stack(matrix: np.ndarray, parts: Sequence[Array], axis: int) -> Array:
    return jnp.stack(_sums(matrix, parts), axis)


def _sums(matrix: np.ndarray, parts: Sequence[Array]) -> list[Array]:
    """Return `sum_j matrix[i, j] parts[j]` for each row, without the zeros."""
    return [
        functools.reduce(
            jnp.add, [p if w == 1 else float(w) * p for w, p in zip(row, parts, strict=True) if w]
        )
        for row in matrix
    ]


def _parts(x: Array, axis: int) -> list[Array]:
    return [jax.lax.index_in_dim(x, j, axis, keepdims=False) for j in range(x.shape[axis])]


def _every_fourth(x: Array, axis: int, starts: Sequence[int], n: int) -> list[Array]:
    """Return `n / 4` points of `x` along `axis`, from each of `starts`."""
    return [jax.lax.slice_in_dim(x, s, s + n - TILE + 1, TILE, axis) for s in starts]


def _shift(x: Array, step: int, axis: int, boundary: str) -> Array:
    """Return `x` shifted by one tile, wrapped around (`periodic`) or filled with zeros (`dirichlet`)."""
    if boundary == "periodic":
        return jnp.roll(x, step, axis)
    pad = [(0, 0)] * x.ndim
    pad[axis] = (1, 0) if step > 0 else (0, 1)
    n = x.shape[axis]
    return jax.lax.slice_in_dim(jnp.pad(x, pad), 0 if step > 0 else 1, n if step > 0 else n + 1, axis=axis)


def _interleave(tiles: Array) -> Array:
    """Return `(batch, *grid, channels)` from `(4, .., 4, batch, *tiles, channels)`, by a single transposition."""
    d = (tiles.ndim - 2) // 2
    order = [d, *(axis for i in range(d) for axis in (d + 1 + i, i)), 2 * d + 1]
    counts = tiles.shape[d + 1 : 2 * d + 1]
    return tiles.transpose(order).reshape(tiles.shape[d], *(TILE * n for n in counts), tiles.shape[-1])
