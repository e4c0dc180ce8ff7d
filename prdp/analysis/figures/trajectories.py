"""Example trajectories of a physics (figures 16 to 20)."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from prdp.analysis.figures import style

# Where a field in three dimensions is cut, as a part of its last axis: off the planes on which sine modes vanish.
_CUT = 0.3


@style.styled
def draw_trajectories(
    states: np.ndarray,
    grid: np.ndarray,
    title: str,
    *,
    channels: Sequence[str] = ("u",),
    times: Sequence[int] | None = None,
) -> Figure:
    """Draw trajectories: lines in one dimension, images in two, images of a plane in three.

    Args:
        states: `(samples, steps, channels, *space)`.
        grid: coordinates of the points along an axis.
        title: of the figure.
        channels: names of the channels to show, the first ones of `states`.
        times: the steps to show; all by default.
    """
    times = range(states.shape[1]) if times is None else times
    shown = np.asarray(states, dtype=float)[:, list(times), : len(channels)]
    if shown.ndim == 4:
        return _lines(shown, grid, title, channels, times)
    if shown.ndim == 6:
        at = int(_CUT * shown.shape[-1])
        shown = shown[..., at]
        title += f", plane z = {grid[at]:.2f}"
    return _images(shown, title, channels, times)


def _lines(
    states: np.ndarray, grid: np.ndarray, title: str, channels: Sequence[str], times: Sequence[int]
) -> Figure:
    samples = len(states)
    figure = style.canvas(2.3 * samples, 1.9 * len(channels) + 0.3)
    axes = figure.subplots(len(channels), samples, sharex=True, sharey="row", squeeze=False)
    colours = style.COARSE_TO_FINE(np.linspace(0, 1, len(times)))
    for sample, column in zip(states, axes.T, strict=True):
        for c, ax in enumerate(column):
            for state, time, colour in zip(sample, times, colours, strict=True):
                ax.plot(grid, state[c], color=colour, label=f"t = {time}")
        column[-1].set_xlabel("x")
    for ax, name in zip(axes[:, 0], channels, strict=True):
        ax.set_ylabel(name)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(title, size=8.5, weight="bold")
    return figure


def _images(states: np.ndarray, title: str, channels: Sequence[str], times: Sequence[int]) -> Figure:
    shown = [(s, c) for s in range(len(states)) for c in range(len(channels))]
    size = 1.05
    figure = style.canvas(size * len(shown) + 1.0, size * len(times) + 0.6)
    axes = figure.subplots(len(times), len(shown), squeeze=False)
    for column, (s, c) in zip(axes.T, shown, strict=True):
        largest = np.abs(states[s, :, c]).max()
        for ax, state in zip(column, states[s, :, c], strict=True):
            ax.imshow(state.T / largest, origin="lower", cmap="PuOr", vmin=-1, vmax=1, rasterized=True)
            ax.set(xticks=[], yticks=[])
            sns.despine(ax=ax, left=True, bottom=True)
        if len(channels) > 1:
            column[0].set_title(f"{channels[c]} {s + 1}", weight="normal", size=8, pad=3)
    for ax, time in zip(axes[:, 0], times, strict=True):
        ax.set_ylabel(f"t = {time}")
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), "PuOr"), ax=axes, shrink=0.8, pad=0.01, ticks=[-1, 0, 1]
    )
    bar.set_label("u / max |u| of its trajectory", size=7)
    bar.outline.set_linewidth(0.4)
    figure.suptitle(title, size=8.5, weight="bold")
    return figure
