"""PRDP around a solver that is not ours: a step function, as jaxopt and optimistix have it.

The solver is Nesterov's accelerated gradient descent on 1/2 u.A u - b.u, stopped after K steps. Its implicit
derivative is that of `jax.lax.custom_linear_solve`. Given are loads b and measurements of u with 2 % noise. The
unknown is the diagonal of the symmetric matrix A.
"""

import jax
import jax.numpy as jnp
import optax

import prdp

N, EPOCHS, optimizer = 40, 60, optax.adam(0.05)


def step(state, product, b, largest=20.0, momentum=0.63):  # the `update` of a solver elsewhere
    value = state[1] - (product(state[1]) - b) / largest
    return value, value + momentum * (value - state[0])


def solve(log_d, b, iterations):  # K is traced: the schedule raises it without a new compilation
    def run(product, b):
        start = jnp.zeros_like(b), jnp.zeros_like(b)
        return jax.lax.fori_loop(0, iterations, lambda _, state: step(state, product, b), start)[0]

    product = lambda u: jnp.exp(log_d) * u + 4 * (2 * u - jnp.roll(u, 1) - jnp.roll(u, -1))  # noqa: E731
    return jax.lax.custom_linear_solve(product, b, run, symmetric=True)


@jax.jit
def error(log_d, f, u, iterations):
    return jnp.sum((jax.vmap(solve, (None, 0, None))(log_d, f, iterations) - u) ** 2) / jnp.sum(u**2)


gradient = jax.jit(jax.grad(error))


def train(schedule, f, u, *unseen):
    log_d, memory, spent = jnp.ones(N), optimizer.init(jnp.ones(N)), 0
    state, iterations = schedule.update(schedule.init(), float(error(log_d, *unseen)))
    for _ in range(EPOCHS):
        for batch in zip(f, u, strict=True):
            change, memory = optimizer.update(gradient(log_d, *batch, iterations), memory)
            log_d, spent = optax.apply_updates(log_d, change), spent + iterations
        state, iterations = schedule.update(state, float(error(log_d, *unseen)))
    return spent, float(error(log_d, *unseen)) ** 0.5


if __name__ == "__main__":
    true = 0.3 + 0.25 * jnp.sin(jnp.linspace(0, 6, N))
    f, noise = jax.random.normal(jax.random.key(0), (2, 11, 4, N))
    u = jax.vmap(solve, (None, 0, None))(true, f.reshape(-1, N), 500).reshape(f.shape)
    data = f[1:], u[1:] + 0.02 * jnp.std(u) * noise[1:], f[0], u[0], 500
    baseline, reached = train(prdp.Fixed(60), *data)
    spent, left = train(prdp.PRDP(iterations=2, increment=3, smoothing_window=1), *data)
    print(f"K = 60: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
