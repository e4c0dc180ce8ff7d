"""The README is short, its example runs as it stands, and its verdicts are those of the records."""

import re
from pathlib import Path

import compare_features
from prdp.analysis import guide, readme_table
from prdp.analysis.regret import load_oracles
from prdp.analysis.rival_sentence import hindsight, sentence
from prdp.analysis.rivals import compare

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_it_is_short():
    assert len(README.encode()) < 6000


def test_the_example_refines_and_learns():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(example, names)
    assert names["iterations"] > 5
    assert names["update"]._cache_size() == 1
    target, operator, b = names["target"], names["A"], names["b"]
    assert abs(operator.mv(target) - b).max() < 1e-2 * abs(b).max()


def test_the_features_are_those_of_the_table():
    lines = (ROOT / "results" / "features.md").read_text().splitlines()
    assert compare_features.placed(README, lines) == README, (
        "run scripts/compare_features.py --readme README.md"
    )
    assert not [line for line in lines if re.match(r"\| [^|]* \| no", line)], "prdp lacks what others have"


def test_the_guide_has_the_numbers_of_the_records(committed):
    records, judgements = committed
    numbers = guide.Numbers(compare(records), load_oracles(ROOT / "results" / "records"), judgements)
    page = (ROOT / "docs" / "choose.md").read_text()
    assert guide.placed(page, guide.load_guide(ROOT / "results" / "guide.yaml"), numbers) == page, (
        "run `make claims`"
    )
    (table,) = re.findall(r"<!-- choices.*?<!-- end of choices -->", page, re.DOTALL)
    assert "not run" not in table
    assert not re.search(r" -[,;.: ]", table), "a number is withdrawn"


def test_the_verdicts_are_those_of_the_records(committed):
    records, judgements = committed
    compared, oracles = compare(records), load_oracles(ROOT / "results" / "records")
    more = sentence(compared), hindsight(compared, oracles)
    assert readme_table.placed(README, judgements, *more) == README, "run `make claims`"
    assert readme_table.page(judgements) == (ROOT / "results" / "verdicts.md").read_text(), (
        "run `make claims`"
    )
