"""The README's examples run as they stand."""

import re
from pathlib import Path

import pytest

from prdp.analysis import load, readme_table
from prdp.analysis.claims import judge, load_claims

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_framework_free_loop_refines():
    spent: list[int] = []
    names = {
        "model": object(),
        "epochs": 10,
        "validate": lambda model: 0.5,
        "train_one_epoch": lambda model, solver_iterations: spent.append(solver_iterations),
    }
    exec(BLOCKS[0], names)
    assert len(spent) == 10
    assert spent[0] == 1
    assert spent[-1] == 2


def test_the_jax_loop_refines_and_learns():
    names: dict = {}
    exec(BLOCKS[1], names)
    assert names["iterations"] > 5
    assert names["update"]._cache_size() == 1
    assert names["error"](names["theta"]) < 1e-2


@pytest.mark.parametrize("word", re.findall(r"^((?!mine)[a-z]+(?:/|\.py))", README, re.MULTILINE))
def test_every_place_in_the_map_exists(word):
    assert (ROOT / word).exists()


def test_the_verdicts_are_those_of_the_records():
    judgements = judge(load_claims(ROOT / "results" / "paper.yaml"), load(ROOT / "results" / "records"))
    assert readme_table.placed(README, judgements) == README, "run `make claims`"
