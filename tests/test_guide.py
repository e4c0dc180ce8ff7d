"""The guide: words by hand, numbers of the records in their places."""

import pytest
import yaml

from prdp.analysis.guide import Guide, Numbers, load_guide, placed
from prdp.analysis.rivals import compare
from tests.made_up_records import records
from tests.test_rivals import arm, base, oracle

PAGE = """Before.
<!-- choices: written by `make claims` from results/guide.yaml -->
old
<!-- end of choices -->
<!-- hindsight: written by `make claims` from results/guide.yaml -->
<!-- end of hindsight -->
After.
"""


@pytest.fixture
def numbers():
    compared = compare(records(*base(), *arm("prdp", level=4, diff="jfb", cost=20, error=0.0202)))
    return Numbers(compared, {"heat1d": oracle([(s, 6, 0.01, [1]) for s in (1, 2, 3)])}, [])


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ("rival | Heat 1D | JFB + PRDP", "50 %, +1.0 % (1.0 to 1.0)"),
        ("products|Heat 1D|JFB + PRDP", "50 %"),
        ("error | Heat 1D | JFB + PRDP", "+1.0 % (1.0 to 1.0)"),
        ("regret | Heat 1D | PRDP", "4.0 (3 seeds)"),
        ("seeds | Heat 1D", "3 seeds"),
        ("rival | Heat 1D | Neumann", "not run"),
        ("rival | Burgers | PRDP", "not run"),
        ("regret | Burgers | PRDP", "not run"),
        ("seeds | Burgers", "not run"),
    ],
)
def test_numbers_of_the_records_are_put_into_their_places(numbers, asked, number):
    assert numbers.of(asked) == number


@pytest.mark.parametrize(
    "asked", ["", "rival", "rival | Heat 1D", "speed | Heat 1D | PRDP", "claim | unknown"]
)
def test_an_unknown_place_is_refused_with_those_that_are_known(numbers, asked):
    with pytest.raises(
        ValueError, match=r"is none of \{rival \| problem \| its name\}, .*\{claim \| its id\}"
    ):
        numbers.of(asked)


def test_words_and_numbers_stand_between_the_marks(numbers):
    guide = Guide((("a", "b", "{seeds | Heat 1D}"),), "PRDP: {regret | Heat 1D | PRDP}.")
    page = placed(PAGE, guide, numbers)
    assert "| a | b | 3 seeds |\n" in page
    assert "\nPRDP: 4.0 (3 seeds).\n" in page
    assert "old" not in page
    assert page.startswith("Before.\n")
    assert page.endswith("After.\n")
    assert placed(page, guide, numbers) == page
    with pytest.raises(ValueError, match="there is no place for hindsight"):
        placed(PAGE.replace("end of hindsight", "end"), guide, numbers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"choices": []}, "keys are"),
        (
            {"choices": [{"problem": "a", "pick": "b"}], "hindsight": ""},
            "choice 1: needed are problem, pick and",
        ),
    ],
)
def test_a_file_with_other_keys_is_refused(tmp_path, given, message):
    (tmp_path / "guide.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(ValueError, match=message):
        load_guide(tmp_path / "guide.yaml")
