"""Draw example trajectories of every physics (figures 16 to 20) from freshly computed reference data.

    python scripts/trajectories.py            all figures
    python scripts/trajectories.py fig_19     one figure

Writes results/figures/<name>.png and .pdf. The samples are the first ones of the training set. They are computed at
the paper's resolution (Navier-Stokes: about one second per time step and sample) and cached in --data.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hydra import compose, initialize_config_dir

from prdp.analysis.figures import draw_trajectories, save
from prdp.config import parse

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


def trajectories(physics: str, samples: int, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the first training trajectories, `(samples, steps + 1, channels, *space)`, and the grid of one axis."""
    few = [f"data.train_samples={samples}", "data.validation_samples=1", f"batch_size={samples}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = parse(compose("config", overrides=[f"physics={physics}", *few, f"data_dir={cache}"]))
    data = config.data.load(config.physics, config.general.precision, cache)
    return data.train, config.physics.grid()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(EXAMPLES)} (default: all)")
    parser.add_argument("--data", type=Path, default=ROOT / "results" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "figures")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in EXAMPLES]
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(EXAMPLES)}")
    for name in arguments.names or EXAMPLES:
        example = EXAMPLES[name]
        states, grid = trajectories(example.physics, example.samples, arguments.data)
        figure = draw_trajectories(
            states, grid, example.title, channels=example.channels, times=example.times
        )
        print(f"{name}: {save(figure, arguments.out / name)[0]}", flush=True)


if __name__ == "__main__":
    main()
