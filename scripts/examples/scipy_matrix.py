"""PRDP with a SciPy sparse matrix: learn a coefficient field that scales the rows of a matrix assembled elsewhere.

The system is (diag(c) + S) u = f, with the sparse stiffness matrix S of a finite-element code. Given are loads f and
measurements of the solutions u with 2 % noise. The unknown is the reaction coefficient c > 0 of every node.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
from jax.experimental.sparse import BCOO

import prdp

N, EPOCHS, optimizer = 60, 60, optax.adam(0.05)
lengths = np.diff(np.linspace(0, 1, N + 2) ** 1.3)  # linear elements on a graded mesh, u = 0 at the ends
weights = 0.004 * N / lengths
bands = -weights[1:-1], weights[:-1] + weights[1:], -weights[1:-1]
MATRIX = BCOO.from_scipy_sparse(scipy.sparse.diags(bands, [-1, 0, 1], format="csr"))
DIAGONAL, SOLVER = jnp.asarray(bands[1], jnp.float32), prdp.PCG(prdp.Diagonal())


def solve(log_c, f, iterations):
    product, diagonal = lambda c, u: c * u + MATRIX @ u, lambda c: c + DIAGONAL
    a = prdp.FunctionOperator(jnp.exp(log_c), product, (N,), True, diagonal)
    return prdp.solve(a, f, solver=SOLVER, iterations=iterations)


@jax.jit
def error(log_c, f, u, iterations):
    return jnp.sum((solve(log_c, f, iterations).value - u) ** 2) / jnp.sum(u**2)


gradient = jax.jit(jax.grad(error))


def train(schedule, f, u, *unseen):
    log_c, memory, spent = jnp.zeros(N), optimizer.init(jnp.zeros(N)), 0
    state, iterations = schedule.update(schedule.init(), float(error(log_c, *unseen)))
    for _ in range(EPOCHS):
        for batch in zip(f, u, strict=True):
            change, memory = optimizer.update(gradient(log_c, *batch, iterations), memory)
            log_c, spent = optax.apply_updates(log_c, change), spent + iterations
        state, iterations = schedule.update(state, float(error(log_c, *unseen)))
    return spent, float(error(log_c, *unseen)) ** 0.5


if __name__ == "__main__":
    true = 1 + jnp.sin(jnp.linspace(0, 6, N))
    f, noise = jax.random.normal(jax.random.key(0), (2, 11, 4, N))
    exact = solve(true, f, 500)
    u, converged = exact.value, int(jnp.max(exact.iterations))
    data = f[1:], u[1:] + 0.02 * jnp.std(u) * noise[1:], f[0], u[0], 500
    baseline, reached = train(prdp.Fixed(converged), *data)
    spent, left = train(prdp.PRDP(iterations=2, increment=3, smoothing_window=1), *data)
    print(f"K = {converged}: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
