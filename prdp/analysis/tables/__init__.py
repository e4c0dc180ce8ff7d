"""Tables of recorded and published numbers, in Markdown and LaTeX."""

from prdp.analysis.tables.registry import TABLES, TableSpec
from prdp.analysis.tables.table import NothingToShow, Table

__all__ = ["TABLES", "NothingToShow", "Table", "TableSpec"]
