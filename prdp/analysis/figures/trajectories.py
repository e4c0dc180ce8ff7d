"""Examples of a physics: strings under a load (figure 14) and trajectories (figures 16 to 20)."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prdp.analysis.figures import style

# Where a field in three dimensions is cut, as a part of its last axis: off the planes on which sine modes vanish.
_CUT = 0.3
# Few enough colours for a small file; steps between them are not seen.
_COLOURS = mpl.colormaps["PuOr"].resampled(81)
# The looks of the first guess and of the reference.
_STRINGS = ((style.OTHER, "--"), (style.CONVERGED, "-"))


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
    return _images(shown, grid, title, channels, times)


def _lines(
    states: np.ndarray, grid: np.ndarray, title: str, channels: Sequence[str], times: Sequence[int]
) -> Figure:
    samples = len(states)
    figure = style.canvas(2.3 * samples, 1.9 * len(channels) + 0.3)
    axes = figure.subplots(len(channels), samples, sharex=True, sharey="row", squeeze=False)
    colours = style.COARSE_TO_FINE(np.linspace(0, 1, len(times)))
    for sample_number, (sample, column) in enumerate(zip(states, axes.T, strict=True), 1):
        for c, ax in enumerate(column):
            for state, time, colour in zip(sample, times, colours, strict=True):
                ax.plot(grid, state[c], color=colour, label=f"step {time}")
        column[0].set_title(f"trajectory {sample_number}", weight="normal", size=8, pad=3)
        column[-1].set_xlabel("x")
    for ax, name in zip(axes[:, 0], channels, strict=True):
        ax.set_ylabel(name)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(title, size=8.5, weight="bold")
    return figure


def _images(
    states: np.ndarray, grid: np.ndarray, title: str, channels: Sequence[str], times: Sequence[int]
) -> Figure:
    shown = [(s, c) for s in range(len(states)) for c in range(len(channels))]
    size = 1.15
    figure = style.canvas(size * len(shown) + 1.2, size * len(times) + 0.9)
    axes = figure.subplots(len(times), len(shown), sharex=True, sharey=True, squeeze=False)
    # The cells of the first and the last point reach half a spacing beyond them.
    half = (grid[1] - grid[0]) / 2
    ends = (grid[0] - half, grid[-1] + half)
    # Walls are one spacing beyond the first and the last point; periodic domains have a point at 0.
    domain = (0, grid[-1] + grid[0]) if grid[0] > 0 else ends
    for column, (s, c) in zip(axes.T, shown, strict=True):
        largest = np.abs(states[s, :, c]).max()
        for ax, state in zip(column, states[s, :, c], strict=True):
            look: Any = {"origin": "lower", "cmap": _COLOURS, "vmin": -1, "vmax": 1, "extent": (*ends, *ends)}
            ax.imshow(state.T / largest, interpolation="nearest", rasterized=True, **look)
            ax.set(xlim=domain, ylim=domain)
            ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 5, 10]))
            ax.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 5, 10]))
        name = f"{channels[c]}\n{s + 1}" if len(channels) > 1 else f"trajectory {s + 1}"
        column[0].set_title(name, weight="normal", size=8, pad=3)
        column[-1].set_xlabel("x")
    for ax, time in zip(axes[:, 0], times, strict=True):
        ax.set_ylabel(f"step {time}\ny")
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), _COLOURS), ax=axes, shrink=0.8, pad=0.01, ticks=[-1, 0, 1]
    )
    bar.set_label("value / largest |value| of its trajectory", size=7)
    bar.outline.set_linewidth(0.4)
    figure.suptitle(title, size=8.5, weight="bold")
    return figure


@style.styled
def draw_strings(
    grid: np.ndarray, cases: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]
) -> Figure:
    """Draw strings under a load (figure 14): the load above, the deformation below, one column per case.

    Args:
        grid: the coordinates of the points.
        cases: title of a case -> label of a parameter -> its load and its deformation, arrays like `grid`.
    """
    figure = style.canvas(style.WIDTH * len(cases), 3.4)
    axes = figure.subplots(2, len(cases), sharex=True, squeeze=False)
    for (load, string), (title, found) in zip(axes.T, cases.items(), strict=True):
        for (label, fields), (colour, dashes) in zip(found.items(), _STRINGS, strict=True):
            for ax, field in zip((load, string), fields, strict=True):
                # The ends are held at zero, and no load acts there.
                x, y = np.r_[0, grid, 1], np.r_[0, field, 0]
                ax.plot(x, y, color=colour, linestyle=dashes, label=label)
                ax.axhline(0, color=style.NEUTRAL, linewidth=0.5, zorder=0)
        load.set_title(title, pad=4)
        load.set_ylim(top=1.7 * load.get_ylim()[1])
        load.legend(loc="upper right")
        string.set_xlabel("x")
    for ax, text in zip(axes[:, 0], ("load p(x)", "deformation u(x)"), strict=True):
        ax.set_ylabel(text)
    figure.align_ylabels(axes[:, 0])
    return figure
