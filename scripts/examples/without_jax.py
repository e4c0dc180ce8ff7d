"""PRDP in a PyTorch-style loop without JAX. The code uses NumPy, and comments show the corresponding torch calls.

A module learns the step u[0] -> u[1] of the heat equation through a solver that performs the step u[1] -> u[2], as in
section 2.3 of the paper. The solver and its adjoint are hand-written Jacobi iterations.
"""

import numpy as np

from prdp.schedules import PRDP, Fixed

N, EPOCHS, RATE = 24, 60, 0.2
A = 2.8 * np.eye(N) - 0.9 * (np.eye(N, k=1) + np.eye(N, k=-1))  # I - nu dt L, u = 0 on the boundary


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
    def validate():  # the module alone, on states not used for training
        return float(np.linalg.norm(model.forward(u0[0]) - u1[0]) / np.linalg.norm(u1[0]))

    model, spent = Linear(), 0
    state, iterations = schedule.update(schedule.init(), validate())
    for _ in range(EPOCHS):
        for start, target in zip(u0[1:], u2[1:], strict=True):
            end = jacobi(A, model.forward(start), iterations)  # Physics.apply(...), a torch.autograd.Function
            cotangent = 2 * (end - target) / len(end)  # loss.backward() calls Physics.backward
            model.backward(jacobi(A.T, cotangent, iterations))  # and then the backward pass of the module
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
