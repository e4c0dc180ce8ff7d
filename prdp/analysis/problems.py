"""What tables and figures know of each physics: title, place in their order, kind, reference solver and mode."""

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


REDUCED = "_small"  # ends the name of a problem that is smaller than the paper's, as in `heat2d_small`


def physics_of(name: str) -> str:
    """Return the physics of a problem's name."""
    return name.removesuffix(REDUCED)


def problem(physics: str) -> Problem:
    """Return the problem of a physics. One that is not listed is an emulator with its own name as title."""
    return PROBLEMS.get(physics, Problem(physics))


def title(name: str, *, reduced: bool = False) -> str:
    """Return the title of a physics or problem, and whether it is smaller than the paper's."""
    return problem(physics_of(name)).title + (" (reduced)" if reduced or name.endswith(REDUCED) else "")


def place(name: str) -> tuple[int, str]:
    """Return the sort key of a physics or problem: the paper's order, others after them by name."""
    known, physics = list(PROBLEMS), physics_of(name)
    return (known.index(physics) if physics in known else len(known), name)


def is_inverse(physics: pd.Series) -> pd.Series:
    """Return which runs are of an inverse problem."""
    return physics.map(lambda name: problem(name).kind == "inverse").astype(bool)


def reference_solver(physics: str, solvers: pd.Series) -> str:
    """Return the solver that the rivals of a problem are compared with, given the solvers of its runs."""
    return problem(physics).solver or str(solvers.mode()[0])


def reference_mode(modes: pd.Series) -> str:
    """Return the mode that the rivals of a problem are compared with, given the modes of its runs.

    The first exact one that any run has: implicit, unrolled or checkpointed; implicit without any.
    """
    return next(
        (mode for mode in ("implicit", "unrolled", "checkpointed") if (modes == mode).any()), "implicit"
    )
