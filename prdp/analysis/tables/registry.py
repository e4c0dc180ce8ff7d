"""Every table by its name."""

from collections.abc import Callable
from dataclasses import dataclass

from prdp.analysis.records import OWN, Records
from prdp.analysis.reference import Reference
from prdp.analysis.tables.comparisons import fig_13, fig_25, fig_26
from prdp.analysis.tables.errors import levels, readings, table_1
from prdp.analysis.tables.poisson import fig_3, table_4_1
from prdp.analysis.tables.rivals import choice, regret, rivals, rivals_poisson
from prdp.analysis.tables.savings import savings, wall_clock
from prdp.analysis.tables.table import Table


@dataclass(frozen=True)
class TableSpec:
    """A table that can be made from records.

    Attributes:
        name: the name of its files.
        title: its subject.
        experiments: the experiments whose runs it shows.
        build: all records and the reference -> the table; raises `NothingToShow` without runs.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    build: Callable[[Records, Reference], Table]


TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec("table_4_1", "Poisson inverse problems", ("table_4_1",), table_4_1),
        TableSpec("fig_3", "Poisson: schedules and readings", ("fig_3", "readings"), fig_3),
        TableSpec("table_1", "Final validation errors", ("table_1", "fast", OWN), table_1),
        TableSpec(
            "savings", "Savings of schedules", ("fig_6", "fig_8", "fig_10", "table_1", "fast", OWN), savings
        ),
        TableSpec("wall_clock", "Wall-clock time", ("fig_24", "fast", OWN), wall_clock),
        TableSpec(
            "levels", "Errors by fixed level", ("fig_4", "fig_6", "fig_8", "fig_10", "fast", OWN), levels
        ),
        TableSpec("readings", "Readings of the paper", ("readings", "table_1"), readings),
        TableSpec("fig_13", "Refining by iterations and by tolerance", ("fig_13", "table_1"), fig_13),
        TableSpec("fig_25", "Savings and network size", ("fig_25",), fig_25),
        TableSpec("fig_26", "Validation error and training loss", ("fig_26",), fig_26),
        TableSpec("rivals", "Rivals of PRDP", ("rivals", OWN), rivals),
        TableSpec("rivals_poisson", "Rivals of PRDP on Poisson", ("rivals", OWN), rivals_poisson),
        TableSpec("choice", "The cheapest rivals that are no worse than PRDP", ("rivals", OWN), choice),
        TableSpec("regret", "Regret against the best schedules in hindsight", ("rivals", OWN), regret),
    )
}
