"""Records -> the paper's figures; plain arrays -> its example trajectories."""

from prdp.analysis.figures.base import FigureSpec, NothingToDraw
from prdp.analysis.figures.catalogue import FIGURES
from prdp.analysis.figures.style import FORMATS, save, svg
from prdp.analysis.figures.trajectories import draw_strings, draw_trajectories

__all__ = [
    "FIGURES",
    "FORMATS",
    "FigureSpec",
    "NothingToDraw",
    "draw_strings",
    "draw_trajectories",
    "save",
    "svg",
]
