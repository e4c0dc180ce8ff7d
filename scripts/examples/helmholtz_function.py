"""PRDP with an operator given as a function: find the wave speed in a damped Helmholtz equation.

The PDE is u'' + (k(x)^2 + i e k(x)^2) u = f on the unit interval, u = 0 at the ends, with real and imaginary part as
two channels. Given are loads f and measurements of the solutions u with 2 % noise. The unknown is log k(x).
"""

import jax
import jax.numpy as jnp
import optax

import prdp

N, EPOCHS, DAMPING, optimizer = 32, 30, 0.5, optax.adam(0.03)


def product(log_k, u):  # A u for one system u of shape (2, N)
    left, right = jnp.pad(u, ((0, 0), (1, 0)))[:, :-1], jnp.pad(u, ((0, 0), (0, 1)))[:, 1:]
    mixed = jnp.stack([u[0] - DAMPING * u[1], u[1] + DAMPING * u[0]])
    return (N + 1) ** 2 * (left - 2 * u + right) + jnp.exp(2 * log_k) * mixed


laplacian = prdp.laplacian((2, N), 1, 1 / (N + 1), "dirichlet")
inverse = prdp.Dense(jnp.linalg.inv(laplacian.as_dense()), (2, N), symmetric=True)
SOLVER = prdp.Preconditioned(prdp.GMRES(restart=4), prdp.Approximate(inverse))


def solve(log_k, f, iterations):
    return prdp.solve(prdp.FunctionOperator(log_k, product, (2, N)), f, solver=SOLVER, iterations=iterations)


@jax.jit
def error(log_k, f, u, iterations):
    return jnp.sum((solve(log_k, f, iterations).value - u) ** 2) / jnp.sum(u**2)


gradient = jax.jit(jax.grad(error))


def train(schedule, f, u, *unseen):
    log_k, memory, spent = jnp.full(N, 1.5), optimizer.init(jnp.zeros(N)), 0
    state, iterations = schedule.update(schedule.init(), float(error(log_k, *unseen)))
    for _ in range(EPOCHS):
        for batch in zip(f, u, strict=True):
            change, memory = optimizer.update(gradient(log_k, *batch, iterations), memory)
            log_k, spent = optax.apply_updates(log_k, change), spent + iterations
        state, iterations = schedule.update(state, float(error(log_k, *unseen)))
    return spent, float(error(log_k, *unseen)) ** 0.5


if __name__ == "__main__":
    true = 1.6 + 0.3 * jnp.sin(jnp.linspace(0, 6, N))
    f, noise = jax.random.normal(jax.random.key(0), (2, 11, 4, 2, N))
    exact = solve(true, f, 50)
    u, converged = exact.value, int(jnp.max(exact.iterations))
    data = f[1:], u[1:] + 0.02 * jnp.std(u) * noise[1:], f[0], u[0], 50
    baseline, reached = train(prdp.Fixed(converged), *data)
    spent, left = train(prdp.PRDP(iterations=5, smoothing_window=1), *data)
    print(f"K = {converged}: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
