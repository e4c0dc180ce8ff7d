"""What tables and figures know of each physics: its title, its place in their order, its kind, its reference solver."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd


@dataclass(frozen=True)
class Problem:
    """A physics as tables and figures show it.

    Attributes:
        title: its name in print.
        kind: `inverse` (parameters are sought, no network, no seeds; costs are compared up to a common error),
            `emulator` or `corrector` (a network is trained; final errors are compared).
        solver: the solver that its rivals are compared with; null for the one that most of its runs use.
    """

    title: str
    kind: Literal["inverse", "emulator", "corrector"] = "emulator"
    solver: str | None = None


# In the paper's order.
PROBLEMS = {
    "poisson": Problem("Poisson", "inverse", "jacobi"),
    "heat1d": Problem("Heat 1D", solver="jacobi"),
    "heat2d": Problem("Heat 2D", solver="jacobi"),
    "heat3d": Problem("Heat 3D", solver="jacobi"),
    "burgers": Problem("Burgers", solver="gmres"),
    "navier_stokes": Problem("Navier-Stokes", "corrector", "gmres"),
}


def problem(physics: str) -> Problem:
    """Return the problem of a physics. One that is not listed is an emulator with its own name as title."""
    return PROBLEMS.get(physics, Problem(physics))


def title(physics: str, *, reduced: bool = False) -> str:
    """Return the title of a physics, and whether the problem is smaller than the paper's."""
    return problem(physics).title + (" (reduced)" if reduced else "")


def place(physics: str) -> tuple[int, str]:
    """Return the sort key of a physics: the paper's order, others after them by name."""
    known = list(PROBLEMS)
    return (known.index(physics) if physics in known else len(known), physics)


def is_inverse(physics: pd.Series) -> pd.Series:
    """Return which runs are of an inverse problem."""
    return physics.map(lambda name: problem(name).kind == "inverse").astype(bool)


def reference_solver(physics: str, solvers: pd.Series) -> str:
    """Return the solver that the rivals of a problem are compared with, given the solvers of its runs."""
    return problem(physics).solver or str(solvers.mode()[0])
