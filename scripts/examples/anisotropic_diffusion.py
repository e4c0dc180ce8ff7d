"""PRDP with a custom PDE in a plain JAX and optax loop: identify the coefficients in the matrix.

The PDE is u - div(D(x) grad u) = f on the unit square, with u = 0 on the boundary. Given are loads f and measurements
of the solutions u with 2 % noise. The unknown is D = diag(D_1, D_2) on the faces between the points along each axis.
"""

import jax
import jax.numpy as jnp
import optax

import prdp

N, EPOCHS = 16, 60
optimizer = optax.adam(0.03)


def matrix(log_d):  # the flux D grad u through the four faces of each point
    d1, d2 = ((N + 1) ** 2 * jnp.exp(x) for x in log_d)
    faces = (d1[:-1], d1[1:], d2[:, :-1], d2[:, 1:])
    offsets = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
    return prdp.Stencil((1 + sum(faces), *(-d for d in faces)), offsets, (N, N), "dirichlet", symmetric=True)


def error(log_d, f, u, solver, iterations):
    solution = prdp.solve(matrix(log_d), f, solver=solver, iterations=iterations)
    return jnp.sum((solution.value - u) ** 2) / jnp.sum(u**2)


@jax.jit
def update(log_d, memory, f, u, iterations):  # iterations is traced: raising it does not recompile
    gradient = jax.grad(error)(log_d, f, u, prdp.Jacobi(), iterations)
    change, memory = optimizer.update(gradient, memory)
    return optax.apply_updates(log_d, change), memory


def train(schedule, f, u, *unseen):
    log_d, spent = (-7 * jnp.ones((N + 1, N)), -7 * jnp.ones((N, N + 1))), 0
    memory = optimizer.init(log_d)
    state, iterations = schedule.update(schedule.init(), float(error(log_d, *unseen)))
    for _ in range(EPOCHS):
        for batch in zip(f, u, strict=True):
            log_d, memory = update(log_d, memory, *batch, iterations)
            spent += iterations
        state, iterations = schedule.update(state, float(error(log_d, *unseen)))
    return spent, float(error(log_d, *unseen)) ** 0.5


if __name__ == "__main__":
    wave = jnp.sin(jnp.linspace(0, 6, N + 1))
    true = (-6 + jnp.outer(wave, wave[1:]), -6 - jnp.outer(wave[1:], wave))
    f, noise = jax.random.normal(jax.random.key(0), (2, 11, 4, N, N))
    exact = prdp.solve(matrix(true), f, iterations=500)
    u, converged = exact.value, int(jnp.max(exact.iterations))
    data = f[1:], u[1:] + 0.02 * jnp.std(u) * noise[1:], f[0], u[0], prdp.ConjugateGradient(), 500
    baseline, reached = train(prdp.Fixed(converged), *data)
    spent, left = train(prdp.PRDP(iterations=2, increment=3, smoothing_window=1), *data)
    print(f"K = {converged}: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
