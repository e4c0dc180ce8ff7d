"""PRDP around a solver that is not ours: an object with init and update, as in jaxopt and optimistix, sets the cost.

The solver is Nesterov's accelerated gradient descent on 1/2 u.A u - b.u, stopped after K steps. Its implicit
derivative is that of `jax.lax.custom_linear_solve`. Given are loads b and measurements of u with 2 % noise. The
unknown is the diagonal of the symmetric matrix A.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import prdp

N, EPOCHS, optimizer = 40, 60, optax.adam(0.05)


class State(NamedTuple):
    value: jax.Array
    ahead: jax.Array


class Accelerated:  # the interface of an iterative solver elsewhere: init_state and update
    def init_state(self, b):
        return State(jnp.zeros_like(b), jnp.zeros_like(b))

    def update(self, state, product, b, largest=20.0, smallest=1.0):
        value = state.ahead - (product(state.ahead) - b) / largest
        momentum = (largest**0.5 - smallest**0.5) / (largest**0.5 + smallest**0.5)
        return State(value, value + momentum * (value - state.value))


def run(product, b, iterations):  # K is traced: the schedule raises it without a new compilation
    solver = Accelerated()
    step = lambda _, state: solver.update(state, product, b)  # noqa: E731
    return jax.lax.fori_loop(0, iterations, step, solver.init_state(b)).value


def solve(log_d, b, iterations):
    product = lambda u: jnp.exp(log_d) * u + 4 * (2 * u - jnp.roll(u, 1) - jnp.roll(u, -1))  # noqa: E731
    return jax.lax.custom_linear_solve(product, b, partial(run, iterations=iterations), symmetric=True)


@jax.jit
def error(log_d, f, u, iterations):
    found = jax.vmap(solve, (None, 0, None))(log_d, f, iterations)
    return jnp.sum((found - u) ** 2) / jnp.sum(u**2)


@jax.jit
def update(log_d, memory, f, u, iterations):
    change, memory = optimizer.update(jax.grad(error)(log_d, f, u, iterations), memory)
    return optax.apply_updates(log_d, change), memory


def train(schedule, f, u, *unseen):
    log_d, memory, spent = jnp.ones(N), optimizer.init(jnp.ones(N)), 0
    state, iterations = schedule.update(schedule.init(), float(error(log_d, *unseen)))
    for _ in range(EPOCHS):
        for batch in zip(f, u, strict=True):
            log_d, memory = update(log_d, memory, *batch, iterations)
            spent += iterations
        state, iterations = schedule.update(state, float(error(log_d, *unseen)))
    return spent, float(error(log_d, *unseen)) ** 0.5


if __name__ == "__main__":
    true = 0.3 + 0.25 * jnp.sin(jnp.linspace(0, 6, N))
    f, noise = jax.random.normal(jax.random.key(0), (2, 11, 4, N))
    u = jax.vmap(solve, (None, 0, None))(true, f.reshape(-1, N), 500).reshape(f.shape)
    K = 60
    data = f[1:], u[1:] + 0.02 * jnp.std(u) * noise[1:], f[0], u[0], 500
    baseline, reached = train(prdp.Fixed(K), *data)
    spent, left = train(prdp.PRDP(iterations=2, increment=3, smoothing_window=1), *data)
    print(f"K = {K}: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
