"""Solve with a lineax operator through `prdp.solve`: gradients with respect to its data agree with lineax's own solve.

The PDE is c(x) u - nu u'' + w u' = f on the unit interval with u = 0 at the ends. Upwind differences make the matrix
nonsymmetric. Given are loads f and measurements of the solutions u with 2 % noise. The unknowns are nu, w and c(x).
"""

import jax
import jax.numpy as jnp
import optax

import prdp

try:
    import lineax
except ImportError:
    raise SystemExit("this example needs lineax: pip install lineax") from None

N, EPOCHS, optimizer = 40, 60, optax.adam(0.03)


def matrix(theta):  # theta holds the logarithms of nu, w and c
    nu, w = jnp.exp(theta[0]) * (N + 1) ** 2, jnp.exp(theta[1]) * (N + 1)
    bands = jnp.full(N, 2 * nu + w), jnp.full(N - 1, -nu - w), jnp.full(N - 1, -nu)
    return lineax.TridiagonalLinearOperator(*bands) + lineax.DiagonalLinearOperator(jnp.exp(theta[2:]))


@jax.jit
def error(theta, f, u, iterations=None):  # K cycles of GMRES(2), or lineax's own solve without K
    if iterations is None:
        found = jax.vmap(lambda b: lineax.linear_solve(matrix(theta), b).value)(f)
    else:
        a = prdp.from_lineax(matrix(theta))
        found = prdp.solve(a, f, solver=prdp.GMRES(restart=2), iterations=iterations).value
    return jnp.sum((found - u) ** 2) / jnp.sum(u**2)


gradient = jax.jit(jax.grad(error))

if __name__ == "__main__":
    f, noise = jax.random.normal(jax.random.key(0), (2, 11, 4, N))
    true = jnp.concatenate([jnp.log(jnp.array([0.01, 0.5])), 3 + jnp.sin(jnp.linspace(0, 6, N))])
    exact = prdp.solve(prdp.from_lineax(matrix(true)), f, solver=prdp.GMRES(restart=2), iterations=500)
    u, converged = exact.value, int(jnp.max(exact.iterations))
    batches = [*zip(f[1:], u[1:] + 0.02 * jnp.std(u) * noise[1:], strict=True)]
    schedules: list[prdp.Schedule] = [prdp.Fixed(converged), prdp.PRDP(iterations=3, smoothing_window=1)]
    for schedule in schedules:
        theta, spent = jnp.array([-3.0, -3.0, *[3.0] * N]), 0
        memory = optimizer.init(theta)
        state, iterations = schedule.update(schedule.init(), float(error(theta, f[0], u[0])))
        for _ in range(EPOCHS):
            for batch in batches:
                change, memory = optimizer.update(gradient(theta, *batch, iterations), memory)
                theta, spent = optax.apply_updates(theta, change), spent + iterations
            state, iterations = schedule.update(state, float(error(theta, f[0], u[0])))
        saved, left = 1 - spent / (converged * EPOCHS * 10), error(theta, f[0], u[0]) ** 0.5
        print(f"{type(schedule).__name__}: {spent} iterations, error {left:.2%}: saved {saved:.0%}")
    ours, theirs = gradient(true + 1, f[0], u[0], 500), gradient(true + 1, f[0], u[0])
    print(f"gradients differ by {jnp.linalg.norm(ours - theirs) / jnp.linalg.norm(theirs):.1e}")
