"""Judge every number of the paper by the records. Trains nothing; rules and reasons are in results/paper.yaml.

python scripts/claims.py                  one claim after the other
python scripts/claims.py --markdown       a table
python scripts/claims.py --strict         exit with 1 if a claim is contradicted

Writes results/claims.json and results/claims.md, results/differences.md with the reasons by topic,
results/verdicts.md with one verdict per problem, the short answer at the head of README.md,
and the numbers of the guide (docs/choose.md; its words are in results/guide.yaml).
"""

import argparse
import sys
from pathlib import Path

from prdp.analysis import guide, load, readme_table
from prdp.analysis.claims import Verdict, judge, load_claims
from prdp.analysis.claims_report import as_json, as_markdown, as_text
from prdp.analysis.regret import load_oracles
from prdp.analysis.report import differences
from prdp.analysis.rival_sentence import hindsight, sentence
from prdp.analysis.rivals import compare
from prdp.atomic import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "choose.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=Path, default=RESULTS / "records")
    parser.add_argument("--paper", type=Path, default=RESULTS / "paper.yaml")
    parser.add_argument("--differences", type=Path, default=RESULTS / "differences.yaml")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a claim is contradicted")
    arguments = parser.parse_args()
    claims = load_claims(arguments.paper)
    records = load(arguments.records)
    judgements = judge(claims, records)
    topics = differences.explain(differences.load_differences(arguments.differences, claims), judgements)
    write_json(arguments.out / "claims.json", as_json(judgements))
    write_text(arguments.out / "claims.md", as_markdown(judgements))
    write_text(arguments.out / "differences.md", differences.as_markdown(topics, judgements))
    write_text(arguments.out / "verdicts.md", readme_table.page(judgements))
    if arguments.out == RESULTS:
        compared, oracles = compare(records), load_oracles(arguments.records)
        more = sentence(compared), hindsight(compared, oracles)
        write_text(README, readme_table.placed(README.read_text(), judgements, *more))
        words = guide.load_guide(RESULTS / "guide.yaml")
        write_text(
            GUIDE, guide.placed(GUIDE.read_text(), words, guide.Numbers(compared, oracles, judgements))
        )
    print(as_markdown(judgements) if arguments.markdown else as_text(judgements))
    if arguments.strict and any(j.verdict is Verdict.CONTRADICTED for j in judgements):
        sys.exit(1)


if __name__ == "__main__":
    main()
