"""Networks against NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from prdp.models import ResNet
from prdp.models.convolution import direct, use_winograd, winograd


def convolve(x, kernel, bias, boundary):
    """A convolution of `(batch, *space, channels)` with odd kernels, by its definition."""
    widths = kernel.shape[:-2]
    pad = [(0, 0), *[(w // 2, w // 2) for w in widths], (0, 0)]
    padded = np.pad(x, pad, mode="wrap" if boundary == "periodic" else "constant")
    out = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for offset in itertools.product(*map(range, widths)):
        window = tuple(slice(o, o + n) for o, n in zip(offset, x.shape[1:-1], strict=True))
        out += padded[(slice(None), *window)] @ kernel[offset]
    return out + bias


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize("shape", [(1, 7), (2, 4, 5), (1, 3, 4, 3)])
def test_the_residual_network_is_its_formula(shape, boundary):
    model = ResNet(shape, 6, 2, boundary, rngs=nnx.Rngs(0))
    u = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)

    def apply(layer, x):
        return convolve(x, np.asarray(layer.kernel[...]), np.asarray(layer.bias[...]), boundary)

    x = apply(model.lift, np.moveaxis(u, 1, -1))
    for first, second in model.blocks:
        x = np.maximum(x + apply(second, np.maximum(apply(first, x), 0)), 0)
    expected = np.moveaxis(apply(model.project, x), -1, 1)
    run = nnx.jit(lambda model, u: model(u))
    np.testing.assert_allclose(run(model, u), expected, atol=2e-6)
    np.testing.assert_allclose(run(model, u[0]), expected[0], atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 8), (2, 6, 6)])
def test_the_residual_network_commutes_with_translations_where_it_is_periodic(shape):
    u = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    periodic = ResNet(shape, 5, 2, "periodic", rngs=nnx.Rngs(0))
    run = nnx.jit(lambda model, u: model(u))
    np.testing.assert_allclose(run(periodic, np.roll(u, 2, -1)), np.roll(run(periodic, u), 2, -1), atol=1e-6)
    walled = ResNet(shape, 5, 2, "dirichlet", rngs=nnx.Rngs(0))
    assert np.abs(run(walled, np.roll(u, 2, -1)) - np.roll(run(walled, u), 2, -1)).max() > 1e-3


def test_the_residual_network_has_the_papers_size():
    # 3x3 convolutions, two a block, and 1x1 lifting and projection, all with biases.
    model = ResNet((1, 16), 32, 6, "periodic", rngs=nnx.Rngs(0))
    count = sum(np.size(x) for x in nnx.to_pure_dict(nnx.state(model, nnx.Param))["lift"].values())
    assert count == 32 + 32
    blocks = [x for pair in model.blocks for x in pair]
    assert len(blocks) == 12
    for layer in blocks:
        assert layer.kernel.shape == (3, 32, 32)
        bound = 1 / np.sqrt(3 * 32)
        assert np.abs(layer.kernel[...]).max() <= bound
        assert np.std(layer.kernel[...]) == pytest.approx(bound / np.sqrt(3), rel=0.05)


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize("grid", [(12,), (4,), (8, 4), (4, 8, 12)])
def test_winograd_is_the_convolution_and_its_gradient(grid, boundary, x64):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, *grid, 3)))
    kernel = jnp.asarray(rng.standard_normal((*(3,) * len(grid), 3, 5)))
    expected = convolve(np.asarray(x), np.asarray(kernel), 0.0, boundary)
    for form in (winograd, direct):
        convolved = jax.jit(form, static_argnums=2)(x, kernel, boundary)
        np.testing.assert_allclose(convolved, expected, atol=1e-12)
    weights = jnp.asarray(rng.standard_normal(expected.shape))

    def gradient(form):
        def total(x, kernel):
            return jnp.sum(weights * form(x, kernel, boundary) ** 2)

        return jax.jit(jax.grad(total, argnums=(0, 1)))(x, kernel)

    gradients = [gradient(form) for form in (winograd, direct)]
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_winograd_in_float32_keeps_five_digits():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 16, 16, 64)), jnp.float32)
    kernel = jnp.asarray(rng.uniform(-1, 1, (3, 3, 64, 64)) / 24, jnp.float32)
    expected = convolve(np.asarray(x, float), np.asarray(kernel, float), 0.0, "periodic")
    error = np.abs(np.asarray(winograd(x, kernel, "periodic")) - expected).max()
    assert error < 2e-5 * np.abs(expected).max()


def test_the_form_of_the_convolution_is_chosen_by_grid_and_backend():
    on_cpu = jax.default_backend() == "cpu"
    assert use_winograd("auto", (48, 48)) == on_cpu
    assert not use_winograd("auto", (30,))
    assert use_winograd("winograd", (8,))
    assert not use_winograd("direct", (8,))
    with pytest.raises(ValueError, match="multiples of 4"):
        use_winograd("winograd", (30, 8))
    with pytest.raises(ValueError, match="convolution='fft'"):
        ResNet((1, 8), 4, 1, "periodic", "fft", rngs=nnx.Rngs(0))
