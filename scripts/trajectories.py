"""Draw examples of every physics: strings under a load (figure 14), trajectories (figures 16 to 20).

    python scripts/trajectories.py            all figures
    python scripts/trajectories.py fig_19     one figure

Writes results/figures/<name>.png. Trajectories are the first ones of the training set. They are computed at the paper's
resolution (Navier-Stokes: about one second per time step and sample) and cached in --data.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure

from prdp.analysis.figures import draw_strings, draw_trajectories, save
from prdp.config import Config, parse
from prdp.data import reference_solution

ROOT = Path(__file__).resolve().parents[1]


class Example(NamedTuple):
    """The physics, samples, time steps and channels that a figure shows."""

    physics: str
    title: str
    samples: int
    times: tuple[int, ...]
    channels: tuple[str, ...] = ("u",)


EXAMPLES = {
    "fig_16": Example("heat1d", "Heat 1D", 3, (0, 1, 2)),
    "fig_17": Example("heat2d", "Heat 2D", 6, (0, 1, 2)),
    "fig_18": Example("heat3d", "Heat 3D", 6, (0, 1, 2)),
    "fig_19": Example("burgers", "Burgers", 3, (0, 1, 2, 3, 4, 5)),
    "fig_20": Example("navier_stokes", "Navier-Stokes", 3, (0, 1, 3, 5), ("x-velocity", "y-velocity")),
}


STRINGS = "fig_14"
PARAMETERS = (1, 3)


def strings() -> Figure:
    """Return figure 14: the load and the deformation of a string, with the paper's first guess and its reference."""
    cases, grid = {}, np.empty(0)
    for letter, number in zip("ab", PARAMETERS, strict=True):
        config = composed("poisson", f"physics.parameters={number}")
        grid = np.linspace(0, 1, config.physics.points + 2)[1:-1]
        guesses = {
            "first guess": config.plain["model"]["initial"],
            "reference": config.plain["task"]["reference"],
        }
        title = f"({letter}) {number} parameter{'s' if number > 1 else ''}"
        cases[title] = {
            f"{name}: \u03b8 = {', '.join(f'{v:g}' for v in theta)}": (
                -np.asarray(config.physics.rhs(jnp.asarray(theta)))[0],
                np.asarray(reference_solution(config.physics, np.asarray(theta)))[0],
            )
            for name, theta in guesses.items()
        }
    return draw_strings(grid, cases)


def composed(physics: str, *overrides: str) -> Config:
    """Return the configuration of a physics."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return parse(compose("config", overrides=[f"physics={physics}", *overrides]))


def trajectories(physics: str, samples: int, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the first training trajectories, `(samples, steps + 1, channels, *space)`, and the grid of one axis."""
    few = [f"data.train_samples={samples}", "data.validation_samples=1", f"batch_size={samples}"]
    config = composed(physics, *few, f"data_dir={cache}")
    data = config.data.load(config.physics, config.general.precision, cache)
    return data.train, config.physics.grid()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = (STRINGS, *EXAMPLES)
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(names)} (default: all)")
    parser.add_argument("--data", type=Path, default=ROOT / "results" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "figures")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(names)}")
    for name in arguments.names or names:
        if name == STRINGS:
            figure = strings()
        else:
            example = EXAMPLES[name]
            states, grid = trajectories(example.physics, example.samples, arguments.data)
            figure = draw_trajectories(
                states, grid, example.title, channels=example.channels, times=example.times
            )
        print(f"{name}: {save(figure, arguments.out / name)}", flush=True)


if __name__ == "__main__":
    main()
