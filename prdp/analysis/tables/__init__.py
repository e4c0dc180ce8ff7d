"""Tables of the records beside the paper's values, in Markdown and LaTeX."""

from prdp.analysis.tables.registry import TABLES, TableSpec
from prdp.analysis.tables.table import NothingToShow, Table

__all__ = ["TABLES", "NothingToShow", "Table", "TableSpec"]
