"""One look for every figure: colour is the refinement level, light where coarse, dark purple where converged."""

import functools
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

from prdp.atomic import write_bytes

# Of a panel: the column of a two-column paper, in inches.
WIDTH = 3.3
FORMATS = ("png", "pdf", "svg")
_DPI = 130
# A strip of levels has room for at least so many.
_CELLS = 7
# The ids of artists with a text to show.
HOVER = "hover: "

# Orange and purple differ in every kind of colour blindness; so do orange and blue.
PRDP = "#e66100"
CONVERGED = "#2d004b"
OTHER = "#0072b2"
NEUTRAL = "#6b6b6b"
INCOMPLETE = "#d8cbe6"
PROGRESSIVE = "#fbd9bd"
COARSE_TO_FINE = sns.blend_palette(["#d9bfe0", "#a06cbf", "#6a3a9c", CONVERGED], as_cmap=True)

_STYLE: Any = {
    **sns.axes_style("ticks"),
    # DejaVu comes with Matplotlib: the same letters on every machine. The others are for readers of an SVG.
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "hatch.linewidth": 0.5,
    "text.color": "black",
    "axes.labelcolor": "black",
    "axes.edgecolor": "black",
    "xtick.color": "black",
    "ytick.color": "black",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "prdp",
}
# Nothing that differs from one drawing to the next: the same records give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Return `draw`, run in the style of the figures."""

    @functools.wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inner


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def level_colour(level: int, converged: int) -> tuple[float, ...]:
    """Return the colour of a refinement level: by its logarithm, from K = 1 to K_epsilon."""
    return tuple(COARSE_TO_FINE(math.log(level) / math.log(converged) if converged > 1 else 1.0))


def level_strip(ax: Axes, levels: Sequence[int], converged: int) -> Axes:
    """Put a row of coloured cells, each with its K, above a panel, as the key to its colours; return it."""
    strip = ax.inset_axes((0.0, 1.04, 1.0, 0.085))
    width = max(len(levels), _CELLS)
    strip.set(xlim=(0, width), ylim=(0, 1), xticks=[], yticks=[])
    strip.set_frame_on(False)
    gap = 0.004 * width
    for i, level in enumerate(levels):
        colour = level_colour(level, converged)
        strip.axvspan(i + gap * (i > 0), i + 1 - gap * (i < len(levels) - 1), color=colour, linewidth=0)
        bright = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 0.55
        strip.text(
            i + 0.5,
            0.46,
            str(level),
            ha="center",
            va="center",
            size=6.5,
            color="black" if bright else "white",
        )
    strip.set_ylabel("K", rotation=0, ha="right", va="center", labelpad=3, size=7)
    return strip


@styled
def save(figure: Figure, stem: Path, suffix: str = "png") -> Path:
    """Write `<stem>.<suffix>` (one of `FORMATS`) atomically; return the path."""
    path = stem.with_name(f"{stem.name}.{suffix}")
    drawn = _render(figure, suffix)
    write_bytes(path, _few_colours(drawn) if suffix == "png" else drawn)
    return path


@styled
def svg(figure: Figure) -> str:
    """Return the figure as SVG, its text kept as text."""
    return _render(figure, "svg").decode()


def _render(figure: Figure, suffix: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=_DPI, metadata=_METADATA[suffix])
    return buffer.getvalue()


def _few_colours(png: bytes) -> bytes:
    """Return a picture with a palette, which takes a third of the space."""
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    # Of the methods, this one keeps rare colours: no colour moves by more than 3 %.
    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def hover(artists: Artist | Iterable[Artist], text: str) -> None:
    """Give artists a text that the report shows while the pointer is on them (see `report.inline`)."""
    for artist in [artists] if isinstance(artists, Artist) else artists:
        artist.set_gid(HOVER + text)


def plain_ticks(axis: Axis) -> None:
    """Label 1, 2 and 5 of each decade of a logarithmic axis if it spans less than two; otherwise each decade."""
    low, high = sorted(axis.get_view_interval())
    narrow = high < 100 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    if narrow:
        axis.set_major_formatter(lambda x, _: f"{x:,g}" if x >= 1e-4 else f"{x:.0e}".replace("e-0", "e-"))
    axis.set_minor_formatter(NullFormatter())
