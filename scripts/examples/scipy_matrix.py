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


def stiffness():  # linear elements on a graded mesh of the unit interval, u = 0 at the ends
    lengths = np.diff(np.linspace(0, 1, N + 2) ** 1.3)
    inverse = 0.004 * N / lengths
    off = -inverse[1:-1]
    return scipy.sparse.diags([off, inverse[:-1] + inverse[1:], off], [-1, 0, 1], format="csr")


MATRIX, DIAGONAL = BCOO.from_scipy_sparse(stiffness()), jnp.asarray(stiffness().diagonal(), jnp.float32)
SOLVER = prdp.PCG(prdp.Diagonal())


def operator(log_c):
    options = {"symmetric": True, "diagonal_function": lambda c: c + DIAGONAL}
    return prdp.FunctionOperator(jnp.exp(log_c), lambda c, u: c * u + MATRIX @ u, (N,), **options)


@jax.jit
def error(log_c, f, u, iterations):
    found = prdp.solve(operator(log_c), f, solver=SOLVER, iterations=iterations).value
    return jnp.sum((found - u) ** 2) / jnp.sum(u**2)


@jax.jit
def update(log_c, memory, f, u, iterations):
    change, memory = optimizer.update(jax.grad(error)(log_c, f, u, iterations), memory)
    return optax.apply_updates(log_c, change), memory


def train(schedule, f, u, *unseen):
    log_c, memory, spent = jnp.zeros(N), optimizer.init(jnp.zeros(N)), 0
    state, iterations = schedule.update(schedule.init(), float(error(log_c, *unseen)))
    for _ in range(EPOCHS):
        for batch in zip(f, u, strict=True):
            log_c, memory = update(log_c, memory, *batch, iterations)
            spent += iterations
        state, iterations = schedule.update(state, float(error(log_c, *unseen)))
    return spent, float(error(log_c, *unseen)) ** 0.5


if __name__ == "__main__":
    true = 1 + jnp.sin(jnp.linspace(0, 6, N))
    f, noise = jax.random.normal(jax.random.key(0), (2, 11, 4, N))
    exact = prdp.solve(operator(true), f, solver=SOLVER, iterations=500)
    u, converged = exact.value, int(jnp.max(exact.iterations))
    data = f[1:], u[1:] + 0.02 * jnp.std(u) * noise[1:], f[0], u[0], 500
    baseline, reached = train(prdp.Fixed(converged), *data)
    spent, left = train(prdp.PRDP(iterations=2, increment=3, smoothing_window=1), *data)
    print(f"K = {converged}: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
