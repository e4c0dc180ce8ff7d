"""PRDP in a PyTorch-like loop without JAX: NumPy here, and comments where torch's calls would stand.

A module learns the step u[0] -> u[1] of the heat equation through a solver that makes the step u[1] -> u[2], as in
the paper's section 2.3. The solver is a hand-written Jacobi iteration, and so is its adjoint.
"""

import numpy as np

from prdp.schedules import PRDP, Fixed

N, EPOCHS, RATE = 24, 60, 0.2
A = 2.8 * np.eye(N) - 0.9 * (np.eye(N, k=1) + np.eye(N, k=-1))  # I - nu dt L, u = 0 at the walls


def jacobi(matrix, rhs, iterations):  # P_K; each row of rhs is a system
    u = np.zeros_like(rhs)
    for _ in range(iterations):
        u = u + (rhs - u @ matrix.T) / np.diag(matrix)
    return u


class Linear:  # torch.nn.Linear(N, N, bias=False)
    def __init__(self):
        self.weight = np.eye(N)

    def forward(self, x):
        self.input = x
        return x @ self.weight.T

    def backward(self, cotangent):
        self.gradient = cotangent.T @ self.input


def train(schedule, u0, u1, u2):
    def validate():  # the module alone, on states that it is not trained on
        return float(np.linalg.norm(model.forward(u0[0]) - u1[0]) / np.linalg.norm(u1[0]))

    model, spent = Linear(), 0
    state, iterations = schedule.update(schedule.init(), validate())
    for _ in range(EPOCHS):
        for start, target in zip(u0[1:], u2[1:], strict=True):
            end = jacobi(A, model.forward(start), iterations)  # Physics.apply(...), a torch.autograd.Function
            cotangent = 2 * (end - target) / len(end)  # loss.backward(), which calls
            model.backward(jacobi(A.T, cotangent, iterations))  # Physics.backward and that of the module
            model.weight -= RATE * model.gradient  # optimizer.step()
            spent += iterations
        state, iterations = schedule.update(state, validate())
    return spent, validate()


if __name__ == "__main__":
    u0 = np.random.default_rng(0).standard_normal((11, 16, N))
    u1, u2 = (u0 @ np.linalg.matrix_power(np.linalg.inv(A), n).T for n in (1, 2))
    converged = next(k for k in range(1, 500) if np.allclose(jacobi(A, u1, k) @ A.T, u1, rtol=0, atol=1e-5))
    baseline, reached = train(Fixed(converged), u0, u1, u2)
    spent, left = train(PRDP(smoothing_window=1), u0, u1, u2)
    print(f"K = {converged}: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
