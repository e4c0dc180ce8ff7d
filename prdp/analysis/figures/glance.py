"""PRDP at a glance on Navier-Stokes: error, iterations and time (figure 2)."""

from matplotlib.figure import Figure

from prdp.analysis.figures import style
from prdp.analysis.figures.base import FAST, converged, name_of, of_common_seeds, panels, seeds_of
from prdp.analysis.figures.curves import draw_errors
from prdp.analysis.figures.fan import write_excess
from prdp.analysis.figures.savings import draw_savings
from prdp.analysis.figures.wall_clock import draw_seconds
from prdp.analysis.records import Records
from prdp.analysis.reference import Reference


@style.styled
def fig_2(records: Records, reference: Reference) -> Figure:
    """Draw Navier-Stokes at a glance."""
    runs = of_common_seeds(panels(records, ("fig_2", FAST), ("navier_stokes",))["navier_stokes"])
    figure = style.canvas(style.WIDTH * 2.5, 2.9)
    error, bars, time = figure.subplots(1, 3, width_ratios=(1.35, 1.1, 1.1))
    kinds = {
        "converged": (converged(runs), style.CONVERGED),
        "PRDP": (runs.where(schedule="prdp"), style.PRDP),
    }
    draw_errors(error, [(part, {"color": colour, "label": name}) for name, (part, colour) in kinds.items()])
    if error.lines:
        error.legend(loc="upper right", bbox_to_anchor=(1.0, 0.93))
        write_excess(error, runs)
    error.set(xlabel="epoch", ylabel="validation error", xlim=(0, runs.histories["epoch"].max()))
    error.set_title(f"(a) {name_of(runs)}, {seeds_of(runs)}", pad=4)
    draw_savings(bars, runs, "(b) iterations", reference)
    draw_seconds(time, runs, "(c) time", reference)
    return figure
