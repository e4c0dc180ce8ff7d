"""Write tables of recorded and published numbers. Trains nothing.

python scripts/tables.py                      all of them, to results/tables/<name>.md and .tex
python scripts/tables.py table_1 savings      some of them
"""

import argparse
from pathlib import Path

from prdp.analysis import load
from prdp.analysis.reference import load_reference
from prdp.analysis.tables import TABLES, NothingToShow
from prdp.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*TABLES, []], metavar="name", help=", ".join(TABLES))
    parser.add_argument("--records", type=Path, default=ROOT / "results" / "records")
    parser.add_argument("--paper", type=Path, default=ROOT / "results" / "paper.yaml")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "tables")
    arguments = parser.parse_args()
    records = load(arguments.records)
    reference = load_reference(arguments.records, arguments.paper)
    for name in arguments.names or TABLES:
        spec = TABLES[name]
        try:
            table = spec.build(records, reference)
        except NothingToShow as nothing:
            print(f"{name}: nothing to show ({nothing})")
            continue
        write_text(arguments.out / f"{name}.md", table.to_markdown())
        write_text(arguments.out / f"{name}.tex", table.to_latex())
        print(table.to_markdown())


if __name__ == "__main__":
    main()
