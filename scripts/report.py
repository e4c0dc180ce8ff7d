"""Write the report: one self-contained HTML page with every claim, table and figure. Trains nothing.

python scripts/report.py                                    results/records -> results/report/index.html
python scripts/report.py --records DIR --out page.html      others

The same records give the same page, byte for byte.
"""

import argparse
from pathlib import Path

from prdp.analysis import load
from prdp.analysis.claims import judge
from prdp.analysis.figures import FIGURES
from prdp.analysis.reference import load_reference
from prdp.analysis.report import render
from prdp.analysis.report.differences import load_differences
from prdp.analysis.report.pictures import load_pictures
from prdp.analysis.tables import TABLES
from prdp.atomic import write_text
from prdp.suite.presets import preset_title

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=Path, default=ROOT / "results" / "records")
    parser.add_argument("--paper", type=Path, default=ROOT / "results" / "paper.yaml")
    parser.add_argument("--differences", type=Path, default=ROOT / "results" / "differences.yaml")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "report" / "index.html")
    parser.add_argument("--pictures", type=Path, default=ROOT / "results" / "figures")
    arguments = parser.parse_args()
    records = load(arguments.records)
    titles = {path.stem: preset_title(path.stem, CONF) for path in (CONF / "experiment").glob("*.yaml")}
    reference = load_reference(arguments.records, arguments.paper)
    claims = list(reference.paper.values())
    judgements = judge(claims, records)
    differences = load_differences(arguments.differences, claims)
    pictures = load_pictures(arguments.pictures)
    page = render(records, judgements, TABLES, FIGURES, titles, reference, differences, pictures)
    write_text(arguments.out, page)
    print(f"{arguments.out}: {len(page.encode()) / 1e6:.1f} MB from {len(records.summaries)} runs")


if __name__ == "__main__":
    main()
