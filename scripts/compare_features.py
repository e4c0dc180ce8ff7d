"""What prdp, lineax, jax.scipy and jaxopt can do for linear solves, each cell run and compared with dense algebra.

    python scripts/compare_features.py --output results/features.md --readme README.md

A cell is `yes` if the call runs and gives the right numbers, `no` with the kind of the failure, or `not installed`.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from benchmarking import argument_parser, publish
from features import FEATURES, LIBRARIES
from prdp.analysis.marks import between
from prdp.atomic import write_text
from prdp.checks import shown

BEGIN = "<!-- features: written by scripts/compare_features.py -->"
END = "<!-- end of the features -->"


def cell(feature: Callable[[str], None], library: str) -> str:
    """Run one cell of the table."""
    try:
        feature(library)
    except ModuleNotFoundError as error:
        return "not installed" if error.name == library else f"no ({shown(error)})"
    except AssertionError:
        return "no (wrong numbers)"
    except Exception as error:
        return f"no ({type(error).__name__})"
    return "yes"


def brief(lines: Sequence[str]) -> list[str]:
    """Return the table for the README: the rows of the whole table in which the libraries differ."""
    table = [line for line in lines if line.startswith("|")]
    rows = [re.sub(r" \(\w+( \w+)?\)", "", row) for row in table if " no " in row]
    return [*table[:2], *rows]


def placed(text: str, lines: Sequence[str]) -> str:
    """Return the README's text with this table between its marks."""
    return between(text, "the features", BEGIN, END, "\n\n" + "\n".join(brief(lines)) + "\n\n")


def main() -> None:
    """Run every cell and write the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--readme", type=Path, help="replace the rows that differ in this README")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = [
        f"| {name} | {' | '.join(cell(feature, library) for library in LIBRARIES)} |"
        for name, feature in FEATURES.items()
    ]
    loaded = [
        f"{name} {getattr(sys.modules[name], '__version__', '')}".strip()
        for name in ("lineax", "jaxopt")
        if name in sys.modules
    ]
    lines = [
        "# Features",
        "",
        "`scripts/compare_features.py` ran every cell and compared the numbers with dense algebra in float64: jax "
        f"{', '.join([jax.__version__, *loaded])}.",
        "",
        f"| | {' | '.join(LIBRARIES)} |",
        "|---|" + "---|" * len(LIBRARIES),
        *rows,
        "",
        "Least squares: prdp takes the normal equations as a function. Complex systems are solved in their real form.",
        "",
    ]
    publish(lines, options.output)
    if options.readme is not None:
        write_text(options.readme, placed(options.readme.read_text(), lines))


if __name__ == "__main__":
    main()
