"""Every number of the paper against records made by hand: each rule can be met and missed."""

import json
import math
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import claims as command
from prdp.analysis import readme_table, save
from prdp.analysis.claims import Claim, Verdict, judge, load_claims
from prdp.analysis.claims_report import as_json, as_markdown, as_text, summary
from prdp.analysis.quantities import QUANTITIES
from prdp.analysis.rules import Rule
from prdp.analysis.statistics import Statistic
from tests.made_up_records import pair, records, run

ROOT = Path(__file__).resolve().parents[1]
PAPER = ROOT / "results" / "paper.yaml"
CLAIMS = load_claims(PAPER)
BY_ID = {claim.id: claim for claim in CLAIMS}
RULES = {claim.rule.name: claim.rule for claim in CLAIMS}
EXPERIMENTS = {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}


def verdict(claim, *runs):
    (judgement,) = judge([claim], records(*runs))
    return judgement


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_can_be_judged(claim):
    assert claim.quantity in QUANTITIES
    assert set(claim.experiments) <= EXPERIMENTS
    assert claim.place
    assert claim.statement
    # 1e-5 without a dot would be text to YAML.
    assert not [v for v in claim.parameters.values() if isinstance(v, str) and v[0].isdigit()]
    assert verdict(claim).verdict is Verdict.NOT_RUN


def test_the_paper_has_all_of_its_numbers_here():
    table = {
        ("heat1d", "converged"): (2.1, 0.39),
        ("heat1d", "prdp"): (2.1, 0.38),
        ("heat2d", "converged"): (1.4, 0.08),
        ("heat2d", "prdp"): (1.1, 0.06),
        ("heat3d", "converged"): (0.4, 0.09),
        ("heat3d", "prdp"): (0.5, 0.10),
        ("burgers", "converged"): (5.5, 1.38),
        ("burgers", "prdp"): (6.2, 2.13),
        ("navier_stokes", "converged"): (0.6, 0.05),
        ("navier_stokes", "prdp"): (0.7, 0.04),
    }
    for (physics, arm), number in table.items():
        claim = BY_ID[f"error.{physics}.{arm}"]
        assert ((claim.paper, claim.spread), claim.parameters["arm"]) == (number, arm)
    totals = {"heat1d": 79, "heat2d": 86, "heat3d": 81, "burgers": 59, "navier_stokes": 81}
    assert {p: BY_ID[f"savings.{p}.total"].paper for p in totals} == totals
    for physics in ("heat1d", "heat2d", "burgers", "navier_stokes"):
        parts = (BY_ID[f"savings.{physics}.{part}"].paper for part in ("incomplete", "progressive"))
        assert sum(parts) == totals[physics]


def test_only_the_allowed_readings_depart_from_the_defaults():
    # A reading is another measure or another setting, never a rule or a number of its own.
    for claim in CLAIMS:
        if claim.reading is not None:
            twin = BY_ID[
                claim.id.rsplit(".", 1)[0] + (".savings" if claim.id.startswith("table_4_1") else "")
            ]
            assert (claim.paper, claim.spread, claim.rule) == (twin.paper, twin.spread, twin.rule)


def one(rule, paper, spread=None, unit="%", **changes):
    """A claim about PRDP's savings of Heat 1D, with a rule of the file."""
    return Claim(
        id="x",
        place="here",
        statement="Savings",
        unit=unit,
        rule=RULES[rule],
        quantity="mean",
        experiments=("e",),
        paper=None if paper is None else float(paper),
        spread=spread,
        parameters={"column": "savings"},
        seeds=3,
        **changes,
    )


# Rule, the paper's number and spread, our (mean, std, low) that meet it and that miss it.
CASES = [
    ("savings", 60.0, None, (63.0, 0.1, 0.0), (63.1, 0.1, 0.0)),
    ("savings", 60.0, None, (56.0, 4.0, 0.0), (55.9, 4.0, 0.0)),
    ("savings", 60.0, None, (57.0, None, None), (56.9, None, None)),
    ("error", 2.0, 0.5, (2.8, 0.3, 0.0), (2.81, 0.3, 0.0)),
    ("error", 2.0, 0.5, (1.5, None, None), (1.49, None, None)),
    ("level", 10.0, None, (11.0, 0.5, 0.0), (11.1, 0.5, 0.0)),
    ("level", 10.0, None, (8.0, 2.0, 0.0), (7.9, 2.0, 0.0)),
    ("count", 200.0, None, (210.0, None, None), (211.0, None, None)),
    ("residual", 1.0, None, (1.0, None, None), (1.01, None, None)),
    ("accuracy", None, None, (10.0, 9.0, 0.0), (10.1, 9.0, 0.0)),
    ("accuracy", None, None, (10.0, None, None), (10.1, None, None)),
    ("wall_clock", 24.0, None, (14.0, 50.0, 0.0), (13.9, 50.0, 0.0)),
    ("order", None, None, (0.1, 9.0, -9.0), (0.0, 9.0, -9.0)),
    ("exponent", -0.2, None, (-0.25, 0.1, 0.0), (-0.251, 0.1, 0.0)),
]


@pytest.mark.parametrize(("rule", "paper", "spread", "meets", "misses"), CASES)
def test_each_rule_is_met_up_to_its_margin_and_missed_beyond(rule, paper, spread, meets, misses):
    def holds(mean, std, low):
        return RULES[rule].holds(
            paper, spread, Statistic(3, mean, std, mean, low, None if low is None else 99.0)
        )

    assert holds(*meets)
    assert not holds(*misses)


def test_every_rule_of_the_file_is_tested_and_used():
    assert {case[0] for case in CASES} == set(RULES) == set(yaml.safe_load(PAPER.read_text())["rules"])


def test_altered_records_turn_the_verdict():
    claim = one("savings", 66)
    assert verdict(claim, *pair(["e"])).verdict is Verdict.REPRODUCED
    altered = pair(["e"])
    for row, _, _ in altered:
        row["savings"] -= 0.04
    found = verdict(claim, *altered)
    assert found.verdict is Verdict.NOT_REPRODUCED
    assert (found.runs, found.ours) == (3, pytest.approx(100 * (2 / 3 - 0.04)))


def test_the_reason_is_given_only_where_it_differs():
    claim = one("savings", 66, why="Because.")
    assert "Because." not in verdict(claim, *pair(["e"])).text
    assert "Why: Because." in verdict(replace(claim, paper=80.0), *pair(["e"])).text


def test_fewer_seeds_than_the_papers_are_said():
    ten = replace(one("savings", 66), seeds=10)
    assert "3 seeds of the paper's 10." in verdict(ten, *pair(["e"])).text
    single = verdict(ten, *pair(["e"], seeds=(1,), ours=(0.1,), theirs=(0.1,)))
    assert "One seed of the paper's 10: no spread." in single.text
    assert (single.uncertainty, single.printed) == (None, "66.7 % (1 seed)")
    assert "of the paper's" not in verdict(one("savings", 66), *pair(["e"])).text


def test_reduced_problems_never_count():
    claim = one("savings", 66)
    small = pair(["e"], scale="small")
    found = verdict(claim, *small)
    assert (found.verdict, found.ours, found.runs) == (Verdict.NOT_RUN, None, 0)
    assert "6 runs of the reduced problem (scale=small) do not count" in found.text
    assert verdict(claim, *small, run("full", ["e"], levels=[10, 10], converged=11)).runs == 1


def test_runs_of_other_experiments_do_not_count():
    assert verdict(one("savings", 66), *pair(["another"])).verdict is Verdict.NOT_RUN


def test_a_diverged_run_is_counted_and_is_no_reproduction():
    lost = run("lost", ["e"], levels=[2] * 3, seed=9, error=math.inf, status="diverged")
    found = verdict(one("savings", 66), *pair(["e"]), lost)
    assert found.verdict is Verdict.NOT_REPRODUCED
    assert (found.runs, found.ours) == (3, pytest.approx(200 / 3))
    assert "1 of 4 runs diverged" in found.text
    alone = verdict(one("savings", 66), lost)
    assert (alone.verdict, alone.ours) == (Verdict.NOT_REPRODUCED, None)


def test_what_is_more_than_one_thing_is_not_judged():
    runs = [
        run("a", ["e"], levels=[2], **{"data.form": "x"}),
        run("b", ["e"], levels=[2], **{"data.form": "y"}),
    ]
    found = verdict(one("savings", 80), *runs)
    assert found.verdict is Verdict.NOT_RUN
    assert "data.form" in found.text
    assert verdict(one("savings", 80, where={"data.form": "x"}), *runs).verdict is Verdict.REPRODUCED


def test_equal_accuracy_is_judged_by_the_mean_and_tells_the_interval():
    claim = BY_ID["accuracy.heat1d"]
    # +20 % at every seed; then from -40 to +80 %, with the same mean.
    worse = verdict(claim, *pair(["table_1"], ours=(0.024,) * 3, theirs=(0.02,) * 3))
    assert (worse.verdict, worse.ours) == (Verdict.NOT_REPRODUCED, pytest.approx(20))
    unsure = verdict(claim, *pair(["table_1"], ours=(0.012, 0.024, 0.036), theirs=(0.02,) * 3))
    assert (unsure.verdict, unsure.ours) == (Verdict.NOT_REPRODUCED, pytest.approx(20))
    equal = verdict(claim, *pair(["table_1"], ours=(0.012, 0.02, 0.028), theirs=(0.02,) * 3))
    assert (equal.verdict, equal.ours) == (Verdict.REPRODUCED, pytest.approx(0, abs=1e-9))
    assert "95 % interval: -40" in equal.text
    assert "a larger difference is not excluded" in equal.text


def poisson(schedule, levels, errors, **changes):
    summary, history, jobs = run(
        f"poisson-{schedule}",
        ["fig_3"],
        levels=levels,
        converged=600,
        updates=1,
        physics="poisson",
        diff="unrolled",
        schedule=schedule,
        seed=0,
        **{"physics.parameters": 1},
        **changes,
    )
    history["val_error"] = [1.0, *errors]
    return summary, history, jobs


def test_the_poisson_claims_charge_what_the_paper_charges():
    decay = [10 ** (-0.0401 * (i + 1)) for i in range(170)]
    base = poisson("fixed", [600] * 170, decay)
    # What follows update 145 is charged to nobody.
    by_hand = poisson("linear", [372] * 145 + [600] * 25, decay)
    found = {j.claim.id: j for j in judge(CLAIMS, records(base, by_hand))}
    manual = found["fig_3.manual"]
    assert manual.ours == pytest.approx(100 * (1 - 372 * 145 / 75000))
    assert manual.verdict is Verdict.REPRODUCED
    # The first updates with errors of at most 1e-5 and 1.5e-5: 5/0.0401 = 124.7, 4.824/0.0401 = 120.3.
    assert found["fig_3.outer_steps"].ours == 125
    assert (found["fig_3.outer_steps.one_digit"].ours, manual.runs) == (121, 1)
    assert "of the paper's" not in manual.text


def test_a_wrong_entry_is_refused_by_its_name(tmp_path):
    document = yaml.safe_load(PAPER.read_text())
    entry = next(e for e in document["claims"] if e["id"] == "accuracy.heat1d")

    def refused(match, **changes):
        path = tmp_path / "paper.yaml"
        path.write_text(yaml.safe_dump({**document, "claims": [{**entry, **changes}]}))
        with pytest.raises(ValueError, match=match):
            load_claims(path)

    refused("claim accuracy.heat1d: 'unheard'", quantity={"name": "unheard"})
    refused("colum", quantity={"name": "accuracy", "colum": "savings"})
    refused("'loose'", rule="loose")
    refused("feet", unit="feet")
    refused("whi", whi="x")
    refused("needs a number", rule="savings")
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump({**document, "claims": [entry, entry]}))
    with pytest.raises(ValueError, match=r"more than one claim is called accuracy\.heat1d"):
        load_claims(tmp_path / "paper.yaml")
    with pytest.raises(ValueError, match="kind is bent"):
        Rule(name="x", kind="bent", text="")


def judgements():
    return judge(
        [one("savings", 66), replace(one("savings", 90), reading="the other"), BY_ID["wall_clock.heat3d"]],
        records(*pair(["e"])),
    )


def test_reports_say_the_same_in_every_form():
    found = judgements()
    assert summary(found) == (
        "2 claims: 1 reproduced, 0 not reproduced, 1 not run. "
        "Alternative readings: 1 claims: 0 reproduced, 1 not reproduced, 0 not run."
    )
    text, markdown, plain = as_text(found), as_markdown(found), json.loads(json.dumps(as_json(found)))
    for judgement, line in zip(found, plain, strict=True):
        assert judgement.text in text
        assert (line["verdict"], line["text"]) == (judgement.verdict.value, judgement.text)
    assert "| Savings | here | 66 % | 66.7 ± 0.0 % (3 seeds) | savings | reproduced |" in markdown
    assert [line for line in markdown.splitlines() if line.startswith("- Savings")] == [f"- {found[1].text}"]
    assert plain[0]["ours"] == pytest.approx(200 / 3)
    assert plain[2]["ours"] is None


def test_the_table_of_the_readme_names_claims_that_exist():
    rows = readme_table.table(judge(CLAIMS, records())).splitlines()
    assert all(len(ids) == len(readme_table.COLUMNS) for ids in readme_table.ROWS.values())
    assert "| Heat 1D, 0 seeds | not run (paper 79 %) | not run (paper 2.1 ± 0.39) |" in rows[4]


def test_the_table_of_the_readme_shows_number_seeds_and_verdict():
    ids = ("savings.heat1d.total", "error.heat1d.converged.previous_step", "error.heat1d.prdp.previous_step")
    claims = [replace(claim, experiments=("e",)) if claim.id in ids else claim for claim in CLAIMS]
    runs = [run(f"p{s}", ["e"], levels=[1, 1, 2], converged=25, seed=s) for s in (1, 2)]
    row = readme_table.table(judge(claims, records(*runs))).splitlines()[4]
    assert row.startswith("| Heat 1D, 2 seeds | 94.7 ± 0.0 % (paper 79 %) ✗ | not run (paper")


def test_the_table_of_verdicts_goes_between_its_marks():
    found = judge(CLAIMS, records())
    text = f"before\n{readme_table.BEGIN}\nold\n{readme_table.END}\nafter\n"
    once = readme_table.placed(text, found)
    assert once == readme_table.placed(once, found) == text.replace("old", readme_table.table(found))
    with pytest.raises(ValueError, match="no place for the verdicts"):
        readme_table.placed("nothing", found)


@pytest.mark.parametrize(("savings", "code"), [(0, None), (0.2, 1)])
def test_the_command_writes_its_files_and_is_strict_on_request(tmp_path, monkeypatch, capsys, savings, code):
    changed = {
        "savings": 0.79 - savings,
        "savings_incomplete_convergence": 0.6,
        "savings_progressive_refinement": 0.19,
    }
    runs = [run("x", ["fig_6"], levels=[10], converged=25, **changed)]
    save(records(*runs), tmp_path / "records")
    options = ["--records", str(tmp_path / "records"), "--out", str(tmp_path), "--strict"]
    monkeypatch.setattr(sys, "argv", ["claims.py", *options])
    with pytest.raises(SystemExit) if code else nullcontext() as stopped:
        command.main()
    assert code is None or stopped.value.code == code
    assert "savings.heat1d.total" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "claims.json").read_text())) == len(CLAIMS)
    assert (tmp_path / "claims.md").read_text().startswith("## The paper's numbers and ours")
