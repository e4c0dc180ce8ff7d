"""Warm starts continue what the last solve left, for u and for lambda, and are not there where they are off."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import prdp
from prdp import AdjointStats
from prdp.data import Trajectories
from prdp.differentiation import Controls
from prdp.physics import Heat, Poisson
from prdp.tasks import Cache, Correction, Inverse, MixedChain, SolveSettings
from prdp.training import TrainState, compile_run, traced_controls
from tests.cases import SOLVERS, heat, random

PHYSICS = Heat(1, 8, diffusivity=0.05)
SAMPLES = 6


class Scale(nnx.Module):
    """`u -> w u`."""

    def __init__(self):
        self.weight = nnx.Param(jnp.asarray(0.7))

    def __call__(self, u):
        """Return `w u`."""
        return self.weight[...] * u


class Vector(nnx.Module):
    """Parameters alone."""

    def __init__(self):
        self.vector = nnx.Param(jnp.asarray([3.0]))

    def __call__(self):
        """Return them."""
        return self.vector[...]


def settings(mode, warm=True, solver=prdp.Jacobi()):
    return SolveSettings(solver, mode, 0.0, warm_start=warm)


def data():
    fields = np.asarray(random(0, SAMPLES + 1, 4, 1, 8))
    return Trajectories(fields[:SAMPLES], fields[SAMPLES:])


def chain(mode=prdp.Implicit(), warm=True):
    return MixedChain(PHYSICS, PHYSICS.operator(), settings(mode, warm), data())


def correction(mode=prdp.Implicit(), warm=True):
    return Correction(PHYSICS, PHYSICS.operator(), settings(mode, warm), data(), 2, 2)


def inverse(mode=prdp.Implicit(), warm=True):
    physics = Poisson(1, 8)
    return Inverse(physics, physics.operator(), settings(mode, warm), [2.0])


def standing_still(task, model, batch, epochs, iterations=1, scan=True):
    """The caches after each epoch of training with a learning rate of zero, sample orders shuffled."""
    graph, parameters = nnx.split(model)
    nothing = optax.sgd(0.0)
    state = TrainState(parameters, nothing.init(parameters), task.cold_cache())
    arrays = task.arrays()
    compiled = compile_run(task, graph, state, arrays, nothing, batch, scan)
    caches = []
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(task.samples).reshape(-1, batch).astype(np.int32)
        state, _ = compiled.train(state, arrays, order, traced_controls(iterations, 0.0))
        caches.append(jax.device_get(state.cache))
    return caches


def jacobi(operator, rhs, iterations, guess=None):
    return prdp.solve(operator, rhs, iterations=iterations, tolerance=0.0, guess=guess).value


def test_u_of_three_warm_iterations_is_that_of_three_cold_ones(x64):
    a, b = heat((1, 9), "dirichlet", 0.3), random(0, 3, 1, 9)
    u = jnp.zeros_like(b)
    for k in (1, 2, 3):
        u = jacobi(a, b, 1, u)
        # Not to the bit: where XLA fuses a multiplication with an addition depends on the processor.
        np.testing.assert_allclose(u, jacobi(a, b, k), rtol=1e-13)


@partial(jax.jit, static_argnums=3)
def pulled(a, b, cotangent, iterations, guess):
    """The cotangent of b, and lambda as it comes back."""

    def value(b, guess):
        return prdp.solve(a, b, adjoint_guess=guess, iterations=iterations, tolerance=0.0).value

    return jax.vjp(value, b, guess)[1](cotangent)


def test_lambda_of_three_warm_iterations_is_that_of_three_cold_ones(x64):
    a, b, cotangent = heat((1, 9), "dirichlet", 0.3), random(0, 3, 1, 9), 1e-3 * random(1, 3, 1, 9)
    multiplier = jnp.zeros_like(b)
    for k in (1, 2, 3):
        gradient, multiplier = pulled(a, b, cotangent, 1, multiplier)
        np.testing.assert_array_equal(gradient, multiplier)
        np.testing.assert_allclose(multiplier, jacobi(a.transpose(), cotangent, k), rtol=1e-13)


def test_a_warm_vjp_is_affine_in_the_cotangent(x64):
    # lambda = G^K lambda_0 + S_K ubar.
    a, b, guess = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9), random(1, 1, 9)
    one, two = random(2, 1, 9), random(3, 1, 9)
    first, second, both, none = (
        pulled(a, b, c, 3, guess)[0] for c in (one, two, one + two, jnp.full_like(b, 1e-20))
    )
    assert float(jnp.abs(none).max()) > 1e-3
    np.testing.assert_allclose(both + none, first + second, rtol=1e-12)
    cold = [pulled(a, b, c, 3, jnp.zeros_like(b))[0] for c in (one, two, one + two)]
    np.testing.assert_allclose(cold[2], cold[0] + cold[1], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "mode"),
    [
        ("jacobi", prdp.Implicit()),
        ("jacobi", prdp.Unrolled(400)),
        ("conjugate_gradient", prdp.Implicit()),
        ("gmres_3", prdp.Implicit()),
    ],
)
def test_converged_gradients_do_not_depend_on_the_guesses(solver, mode, x64):
    c, b = jnp.asarray(0.05), random(2, 3, 1, 9)

    def gradient(guess, multiplier):
        def total(c, b):
            options = {"solver": SOLVERS[solver].solver, "differentiation": mode}
            value = prdp.solve(
                heat((1, 9), "dirichlet", c),
                b,
                iterations=400,
                tolerance=1e-14,
                guess=guess,
                adjoint_guess=multiplier,
                **options,
            ).value
            return jnp.sum(jnp.sin(1.3 * value))

        return jax.jit(jax.grad(total, (0, 1)))(c, b)

    multiplier = random(4, 3, 1, 9) if mode.takes_adjoint_guess else None
    for warm, cold in zip(gradient(random(3, 3, 1, 9), multiplier), gradient(None, None), strict=True):
        np.testing.assert_allclose(warm, cold, atol=1e-10 * float(jnp.abs(cold).max()))


@pytest.mark.slow
def test_the_gradient_from_a_converged_guess_is_that_of_the_k_step_map(x64):
    a, b = heat((1, 9), "dirichlet", 0.3), random(0, 1, 9)
    guess = jacobi(a, b, 500)

    @jax.jit
    def gradient(tolerance):
        options = {"differentiation": prdp.Unrolled(9), "iterations": 9, "guess": guess}
        return jax.grad(lambda b: jnp.sum(prdp.solve(a, b, tolerance=tolerance, **options).value))(b)

    expected = jacobi(a.transpose(), jnp.ones_like(b), 9)
    for tolerance in (0.0, 1e-5, 1e-2):
        np.testing.assert_allclose(gradient(tolerance), expected, rtol=1e-12)


@pytest.mark.slow
def test_a_guess_costs_one_product_more():
    a, b = heat((1, 9), "dirichlet", 0.3), random(0, 2, 1, 9)

    def spent(guess):
        def total(cost):
            solution = prdp.solve(a, b, iterations=4, tolerance=0.0, adjoint_guess=guess, adjoint_stats=cost)
            return jnp.sum(solution.value**2)

        return tuple(map(float, jax.jit(jax.grad(total))(AdjointStats.zero())[:2]))

    assert spent(None) == (4.0, 4.0)
    assert spent(jnp.ones_like(b)) == (4.0, 5.0)


@pytest.mark.parametrize("mode", [prdp.Unrolled(5), prdp.JFB(), prdp.ReducedCG(2), prdp.OneStep()])
def test_only_implicit_takes_a_guess_for_lambda(mode):
    a, b = heat((1, 9), "dirichlet"), jnp.ones((1, 9))
    with pytest.raises(ValueError, match=f"allowed with Implicit, not with {type(mode).__name__}"):
        prdp.solve(a, b, differentiation=mode, iterations=3, adjoint_guess=b)


@pytest.mark.slow
@pytest.mark.parametrize("scan", [True, False])
def test_each_sample_goes_on_from_its_own_solution_whatever_the_order(scan, x64):
    task, model = chain(), Scale()
    a, train = PHYSICS.operator(), data().train
    rhs, target = jnp.asarray(0.7 * train[:, 0]), jnp.asarray(train[:, 2])
    multiplier = jnp.zeros_like(rhs)
    for epoch, cache in enumerate(standing_still(task, model, 2, 4, scan=scan), start=1):
        u = jacobi(a, rhs, epoch)
        np.testing.assert_allclose(cache.values[0], u, rtol=1e-13)
        # The loss is a mean over the two samples of a batch.
        multiplier = jacobi(a, 2 * (u - target) / (2 * 8), 1, multiplier)
        np.testing.assert_allclose(cache.multipliers[0], multiplier, rtol=1e-12)


@pytest.mark.parametrize("iterations", [1, 2])
def test_the_inverse_problem_goes_on_from_its_solution(iterations, x64):
    task = inverse()
    rhs = task.physics.rhs(jnp.asarray([3.0]))
    caches = standing_still(task, Vector(), 1, 3, iterations)
    for epoch, cache in enumerate(caches, start=1):
        assert cache.values[0].shape == (1, 1, 8)
        np.testing.assert_allclose(
            cache.values[0][0], jacobi(task.operator, rhs, epoch * iterations), rtol=1e-12
        )


@pytest.mark.slow
def test_a_correction_has_a_cache_for_each_solve_and_a_lambda_where_a_parameter_reaches(x64):
    task, model = correction(), Scale()
    first = jnp.asarray(data().train[:, 0])
    a, state, u = task.operator, first, jnp.zeros_like(first)
    for epoch, cache in enumerate(standing_still(task, model, 3, 3), start=1):
        assert [m is None for m in cache.multipliers] == [True, False]
        state = jacobi(a, first, epoch)
        np.testing.assert_allclose(cache.values[0], state, rtol=1e-13)
        u = jacobi(a, 1.7 * state, 1, u)
        np.testing.assert_allclose(cache.values[1], u, rtol=1e-13)


@pytest.mark.parametrize("task", [chain, correction])
def test_unrolled_gradients_take_the_guess_as_a_constant(task, x64):
    warm, model = task(prdp.Unrolled(3)), Scale()
    graph, parameters = nnx.split(model)
    arrays, indices = warm.arrays(), jnp.arange(SAMPLES)
    cache = jax.tree.map(lambda x: random(5, *x.shape), warm.cold_cache())
    assert all(m is None for m in cache.multipliers)

    def gradient(depends):
        def loss(parameters, cache):
            # The guess follows the parameter, or does not.
            weight = jax.tree.leaves(parameters)[0]
            values = tuple(v * weight / 0.7 if depends else v for v in cache.values)
            moved = Cache(values, cache.multipliers)
            controls = Controls(jnp.int32(2), 0.0)
            model = nnx.merge(graph, parameters)
            return warm.loss(model, arrays, indices, controls, AdjointStats.zeros(2), moved)[0]

        return jax.tree.leaves(jax.jit(jax.grad(loss))(parameters, cache))[0]

    np.testing.assert_allclose(gradient(True), gradient(False), rtol=1e-12)


@pytest.mark.fast("inverse-mode2")
@pytest.mark.parametrize(
    ("task", "mode"),
    [(chain, prdp.Implicit()), (correction, prdp.Unrolled(900)), (inverse, prdp.Implicit())],
)
def test_converged_training_is_the_same_warm_and_cold(task, mode, x64):
    results = []
    for warm in (True, False):
        made, model = task(mode, warm), Vector() if task is inverse else Scale()
        graph, parameters = nnx.split(model)
        descent = optax.sgd(0.1)
        state = TrainState(parameters, descent.init(parameters), made.cold_cache())
        arrays = made.arrays()
        compiled = compile_run(made, graph, state, arrays, descent, made.samples)
        order = np.arange(made.samples, dtype=np.int32)[None]
        for _ in range(3):
            state, totals = compiled.train(state, arrays, order, traced_controls(800, 0.0))
        results.append(np.append(jax.tree.leaves(state.parameters), totals.loss))
    np.testing.assert_allclose(*results, rtol=1e-11)


@pytest.mark.parametrize("task", [chain, correction, inverse])
def test_without_warm_starts_there_is_no_cache(task):
    made = task(warm=False)
    assert made.cold_cache() == Cache()
    assert jax.tree.leaves(made.cold_cache()) == []
    assert len(task().cold_cache().values) == made.solves_per_update
    with pytest.raises(ValueError, match=r"must be that of task.cold_cache\(\)"):
        compile_run(task(), None, TrainState({}, {}), None, optax.sgd(0.1), 1)
