"""What is not reproduced is explained: by hand in words, with the numbers of the records."""

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from prdp.analysis.claims import Judgement, Verdict, load_claims
from prdp.analysis.report import render
from prdp.analysis.report.differences import (
    Difference,
    Explained,
    as_markdown,
    explain,
    load_differences,
    unexplained,
)
from tests.made_up_records import records

RESULTS = Path(__file__).resolve().parents[1] / "results"
CLAIMS = load_claims(RESULTS / "paper.yaml")
DIFFERENCES = load_differences(RESULTS / "differences.yaml", CLAIMS)
TOPIC = {"id": "t", "title": "T", "claims": ["fig_4"], "text": "One.\nTwo.\n"}


@pytest.fixture(scope="module")
def judgements(committed):
    """Those of the committed records."""
    return committed[1]


@pytest.fixture(scope="module")
def topics(judgements):
    return explain(DIFFERENCES, judgements)


def judged(verdict, ours=2.0, identity="fig_4.level"):
    claim = replace(CLAIMS[0], id=identity, statement="Rounds <of> K_eps", seeds=10)
    return Judgement(claim, ours, 0.5, 3, verdict)


def plain(text):
    """A text as the page says it without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", text)).split())


def written(tmp_path, *topics):
    path = tmp_path / "differences.yaml"
    path.write_text(yaml.safe_dump({"differences": list(topics)}))
    return path


def test_every_committed_claim_that_is_contradicted_is_in_a_topic(judgements, topics):
    assert any(j.verdict is Verdict.CONTRADICTED for j in judgements)
    assert [j.claim.id for j in unexplained(topics, judgements)] == []


def test_every_topic_says_something_of_a_claim_that_exists():
    ids = [claim.id for claim in CLAIMS]
    for difference in DIFFERENCES:
        assert difference.claims
        assert set(difference.claims) <= set(ids)
        assert all(paragraph.strip() == paragraph != "" for paragraph in difference.paragraphs)


def test_no_prose_repeats_a_number_that_the_table_below_it_gives(topics):
    for topic in topics:
        prose = " ".join(topic.difference.paragraphs)
        assert "±" not in prose
        for j in topic.judgements:
            assert j.ours is None or j.claim.seeds == 1 or j.claim.number(j.ours) not in prose


def test_a_name_means_a_claim_or_all_whose_ids_go_on_after_a_dot(tmp_path):
    path = written(tmp_path, {**TOPIC, "claims": ["fig_13", "error.heat1d.prdp"]})
    (found,) = load_differences(path, CLAIMS)
    assert set(found.claims) == {
        *("fig_13.savings", "fig_13.accuracy", "error.heat1d.prdp", "error.heat1d.prdp.printed"),
        "error.heat1d.prdp.previous_step",
    }
    assert found.paragraphs == ("One.", "Two.")


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        (
            [{**TOPIC, "claims": ["fig_4.levels"]}],
            "differences.yaml, difference t: claim fig_4.levels does not exist",
        ),
        ([{**TOPIC, "claims": ["fig"]}], "claim fig does not exist"),
        (
            [TOPIC, {**TOPIC, "id": "u", "claims": ["fig_4.untrained.1"]}],
            "u: claim fig_4.untrained.1 is in difference t",
        ),
        ([TOPIC, {**TOPIC, "claims": ["fig_13"]}], "difference t: the id is taken"),
        ([{**TOPIC, "why": "x"}], "difference t: .*why"),
        ([{k: v for k, v in TOPIC.items() if k != "text"}], "difference t: 'text'"),
    ],
)
def test_a_mistake_is_told_with_file_topic_and_claim(topics, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_differences(written(tmp_path, *topics), CLAIMS)


@pytest.mark.parametrize(
    ("verdict", "not_run", "shown"),
    [
        (Verdict.CONTRADICTED, False, True),
        (Verdict.REPRODUCED, False, False),
        (Verdict.REPRODUCED, True, False),
        (Verdict.UNDECIDED, False, True),
        (Verdict.ONE_SEED, False, True),
        (Verdict.DEFINITION, True, False),
        (Verdict.NOT_RUN, False, False),
        (Verdict.NOT_RUN, True, True),
        (Verdict.NOT_TIMED_ALONE, False, False),
        (Verdict.NOT_TIMED_ALONE, True, True),
    ],
)
def test_a_topic_is_shown_as_long_as_a_claim_calls_for_it(verdict, not_run, shown):
    difference = Difference("t", "T", ("fig_4.level", "fig_4.savings"), ("One.",), not_run)
    own = [judged(verdict), judged(Verdict.REPRODUCED, identity="fig_4.savings")]
    found = explain([difference], [*own, judged(Verdict.CONTRADICTED, identity="fig_40")])
    assert found == ([Explained(difference, tuple(own))] if shown else [])


def test_page_and_markdown_have_the_prose_and_the_numbers_of_the_judgements(judgements, topics):
    page = render(records(), judgements, {}, {}, {}, differences=DIFFERENCES)
    markdown = as_markdown(topics, judgements)
    for topic in topics:
        name = topic.difference.id
        article = re.search(rf'<details id="difference-{name}">.*?</details>', page, re.DOTALL)[0]
        for j in topic.judgements:
            row = next(r for r in article.split("<tr ") if f'href="#claim-{j.claim.id}"' in r)
            assert f">{j.claim.number(j.ours, j.uncertainty)}<" in row
            assert j.verdict.value in row
            assert f"| {j.verdict.value} | {j.claim.printed} | {j.printed} |" in markdown
            if j.verdict is Verdict.CONTRADICTED:
                assert f'<a href="#difference-{name}">Why</a>' in page
        said = plain(article).replace("Kε", "K_eps").replace("Kmax", "K_max")
        for paragraph in topic.difference.paragraphs:
            assert paragraph in said
            assert f"\n\n{paragraph}\n\n" in markdown


def test_other_records_change_the_numbers_and_not_the_words():
    difference = Difference("t", "T", ("fig_4.level",), ("One.",))
    texts = []
    for ours in (2.0, 7.0):
        found = [judged(Verdict.CONTRADICTED, ours)]
        texts.append(as_markdown(explain([difference], found), found))
    number = CLAIMS[0].number
    assert texts[0].replace(number(2.0, 0.5), number(7.0, 0.5)) == texts[1] != texts[0]


def test_what_is_in_no_topic_stands_below_them_with_its_own_reason():
    found = [judged(Verdict.CONTRADICTED), judged(Verdict.REPRODUCED, identity="fig_4.savings")]
    assert f"- {found[0].text}\n" in as_markdown([], found)
    page = render(records(), found, {}, {}, {})
    assert '<details id="why-fig_4.level">' in page
    assert '<a href="#why-fig_4.level">Why</a>' in page


def test_the_committed_markdown_has_the_committed_prose(judgements, topics):
    committed = (RESULTS / "differences.md").read_text()
    assert re.findall(r"^## (.*)", committed, re.MULTILINE) == [t.difference.title for t in topics]
    assert all(p in committed for t in topics for p in t.difference.paragraphs)
