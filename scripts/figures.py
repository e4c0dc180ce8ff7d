"""Draw the paper's figures from the records.

    python scripts/figures.py                 all that have data
    python scripts/figures.py fig_4 fig_6     some of them
    python scripts/figures.py --format pdf --out DIR     vector graphics

Writes results/figures/<name>.png and reports missing runs. The same records give the same bytes. Examples of the
physics (figures 14 and 16 to 20) need no records: see scripts/trajectories.py.
"""

import argparse
from pathlib import Path

from prdp.analysis import Records, load
from prdp.analysis.figures import FIGURES, FORMATS, FigureSpec, NothingToDraw, save
from prdp.analysis.reference import load_reference

ROOT = Path(__file__).resolve().parents[1]


def missing(spec: FigureSpec, records: Records) -> str:
    """Return the number of missing runs of a figure's first experiment in words; empty if none is missing."""
    if not spec.experiments:
        return ""
    jobs = records.jobs[records.jobs["experiment"] == spec.experiments[0]]
    absent = int((~jobs["run"].isin(records.summaries["run"])).sum())
    return f"{absent} of {len(jobs)} runs of {spec.experiments[0]} missing" if absent else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(FIGURES)} (default: all)")
    parser.add_argument("--records", type=Path, default=ROOT / "results" / "records")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "figures")
    parser.add_argument("--paper", type=Path, default=ROOT / "results" / "paper.yaml")
    parser.add_argument("--format", choices=FORMATS, default="png")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in FIGURES]
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    records = load(arguments.records)
    reference = load_reference(arguments.records, arguments.paper)
    for name in arguments.names or FIGURES:
        spec = FIGURES[name]
        try:
            path = save(spec.draw(records, reference), arguments.out / name, arguments.format)
        except NothingToDraw as reason:
            print(f"{name}: not drawn, {reason}")
            continue
        lacking = missing(spec, records)
        print(f"{name}: {path}" + (f" ({lacking})" if lacking else ""), flush=True)


if __name__ == "__main__":
    main()
