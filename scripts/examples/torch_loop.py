"""PRDP in a PyTorch loop: the schedule sets K, and a torch.autograd.Function runs the solver and its adjoint.

As in without_jax.py, a module learns a step of the heat equation through a solver of the next step.
"""

import numpy as np

from prdp.schedules import PRDP, Fixed

try:
    import torch
except ImportError:
    raise SystemExit("this example needs torch: pip install torch") from None
N, EPOCHS = 24, 60
A = torch.tensor(2.8 * np.eye(N) - 0.9 * (np.eye(N, k=1) + np.eye(N, k=-1)))


def jacobi(matrix, rhs, iterations):  # P_K; each row of rhs is a system
    u = torch.zeros_like(rhs)
    for _ in range(iterations):
        u += (rhs - u @ matrix.T) / torch.diagonal(matrix)
    return u


class Physics(torch.autograd.Function):
    @staticmethod
    def forward(context, rhs, iterations):
        context.iterations = iterations
        return jacobi(A, rhs, iterations)

    @staticmethod
    def backward(context, cotangent):
        return jacobi(A.T, cotangent, context.iterations), None


def train(schedule, u0, u1, u2):
    model, spent = torch.nn.Linear(N, N, bias=False, dtype=A.dtype), 0
    torch.nn.init.eye_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    validate = lambda: float(torch.linalg.norm(model(u0[0]) - u1[0]) / torch.linalg.norm(u1[0]))  # noqa: E731
    state, iterations = schedule.update(schedule.init(), validate())
    for _ in range(EPOCHS):
        for start, target in zip(u0[1:], u2[1:], strict=True):
            model.zero_grad()
            ((Physics.apply(model(start), iterations) - target) ** 2).sum(1).mean().backward()
            optimizer.step()
        spent += iterations * (len(u0) - 1)
        state, iterations = schedule.update(state, validate())
    return spent, validate()


if __name__ == "__main__":
    u0 = torch.tensor(np.random.default_rng(0).standard_normal((11, 16, N)))
    u1, u2 = (u0 @ torch.linalg.matrix_power(torch.linalg.inv(A), n).T for n in (1, 2))
    converged = next(k for k in range(1, 500) if torch.abs(jacobi(A, u1, k) @ A.T - u1).max() < 1e-5)
    baseline, reached = train(Fixed(converged), u0, u1, u2)
    spent, left = train(PRDP(smoothing_window=1), u0, u1, u2)
    print(f"K = {converged}: {baseline} iterations, error {reached:.2%}")
    print(f"PRDP:   {spent} iterations, error {left:.2%}: saved {1 - spent / baseline:.0%}")
