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
from prdp.analysis import problem_verdicts, readme_table, save
from prdp.analysis.claims import Claim, Setting, Verdict, judge, load_claims
from prdp.analysis.claims_report import as_json, as_markdown, as_text, summary
from prdp.analysis.quantities import MARGIN, QUANTITIES
from prdp.analysis.rules import Place, Published, Rule, interval, seeds_to_decide
from prdp.analysis.statistics import Statistic, describe, of_mean
from tests.made_up_records import pair, records, run

ROOT = Path(__file__).resolve().parents[1]
PAPER = ROOT / "results" / "paper.yaml"
CLAIMS = load_claims(PAPER)
BY_ID = {claim.id: claim for claim in CLAIMS}
RULES = {claim.rule.name: claim.rule for claim in CLAIMS}
IN_ROWS = {name for row in problem_verdicts.ROWS for name in row.claims}
SHOWN = [claim for claim in CLAIMS if claim.id in IN_ROWS]
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


def test_a_setting_is_never_a_rule_or_a_number_of_its_own():
    for claim in CLAIMS:
        stem, _, last = claim.id.rpartition(".")
        twin = BY_ID.get(stem) or (BY_ID[f"{stem}.savings"] if last == "printed" else None)
        # Against a baseline without validation the paper has another number.
        if claim.reading is not None and twin is not None and last != "no_validation":
            assert (claim.paper, claim.spread, claim.rule) == (twin.paper, twin.spread, twin.rule)
        assert (claim.setting is Setting.PRINTED) or claim.reading


def test_every_printed_setting_has_the_claims_of_the_released_one():
    # Where the defaults are those of the released code, the printed setting is judged as well.
    released = {
        *("fig_3.manual", "fig_3.advantage", "fig_4.level", "fig_4.savings"),
        *(f"table_4_1.1.jacobi.{diff}.savings" for diff in ("unrolled", "implicit")),
        *(f"table_4_1.3.steepest_descent.{diff}.savings" for diff in ("unrolled", "implicit")),
        *(f"level.{p}.final" for p in ("heat1d", "heat2d")),
        *(
            f"savings.{p}.{part}"
            for p in ("heat1d", "heat2d", "navier_stokes")
            for part in ("total", "incomplete", "progressive")
        ),
        *(
            f"{kind}.{p}"
            for p in ("heat1d", "heat2d", "navier_stokes")
            for kind in ("accuracy", "wall_clock")
        ),
        *(f"error.{p}.{arm}" for p in ("heat1d", "heat2d") for arm in ("converged", "prdp")),
        "error.navier_stokes.prdp",
    }
    for name in released:
        printed = BY_ID[name.removesuffix(".savings" if name.startswith("table") else "") + ".printed"]
        assert (BY_ID[name].setting, printed.setting) == (Setting.RELEASED, Setting.PRINTED)


def test_readings_found_by_looking_are_labelled():
    chosen = {claim.id for claim in CLAIMS if claim.setting is Setting.CHOSEN}
    for part in ("dense", "step_1", "step_2", "matched", "narrow", "one_digit"):
        named = {claim.id for claim in CLAIMS if claim.id.split(".")[-1] == part}
        assert named
        assert named <= chosen
        chosen -= named
    assert not chosen
    text = verdict(BY_ID["wall_clock.heat2d.dense"]).text
    assert "chosen after seeing results: yes" in text


def one(rule, paper=None, spread=None, unit="%", **changes):
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


# Rule, the paper's number, and intervals that lie inside, outside and across.
CASES = [
    ("savings", 60.0, (57.0, 63.0), (63.1, 70.0), (62.0, 63.1)),
    ("savings", 60.0, (59.0, 59.0), (40.0, 56.9), (10.0, 90.0)),
    ("error", 2.0, (1.5, 2.5), (2.51, 2.6), (1.4, 1.6)),
    ("level", 10.0, (9.0, 11.0), (7.0, 8.9), (8.9, 9.1)),
    ("count", 200.0, (190.0, 210.0), (211.0, 211.0), (205.0, 215.0)),
    ("residual", 1.0, (0.5, 1.0), (1.01, 1.5), (0.9, 1.1)),
    ("accuracy", None, (-50.0, 10.0), (10.1, 90.0), (0.0, 10.1)),
    ("wall_clock", 24.0, (14.0, 34.0), (0.0, 13.9), (13.0, 15.0)),
    ("order", None, (0.1, 9.0), (-9.0, 0.0), (-0.1, 9.0)),
    ("exponent", -0.2, (-0.25, -0.15), (-0.4, -0.251), (-0.3, -0.2)),
]


@pytest.mark.parametrize(("rule", "paper", "inside", "outside", "across"), CASES)
def test_each_rule_holds_an_interval_against_its_margin(rule, paper, inside, outside, across):
    found = [RULES[rule].place(*ends, paper) for ends in (inside, outside, across)]
    assert found == [Place.INSIDE, Place.OUTSIDE, Place.ACROSS]


def test_every_rule_of_the_file_is_tested_and_used():
    names = {case[0] for case in CASES} | {"definition"}
    assert names == set(RULES) == set(yaml.safe_load(PAPER.read_text())["rules"])
    assert RULES["accuracy"].margin == 100 * MARGIN


def test_the_spread_of_our_own_seeds_never_helps():
    # The same mean, 2 points from the paper's: the wider it spreads, the less is known.
    paper = Published(60.0, None, 10)

    def place(std):
        return RULES["savings"].place(*interval(Statistic(10, 62.0, std), paper), 60.0)

    assert [place(std) for std in (1.0, 4.0, 40.0)] == [Place.INSIDE, Place.ACROSS, Place.ACROSS]


def test_a_spread_of_the_paper_makes_it_welchs_interval():
    x = [3.0, 3.5, 4.0, 4.5]
    low, high = interval(describe(x), Published(5.5, 1.38, 10))
    # Standard errors of 0.323 and 0.436, 11.35 degrees of freedom: t is 2.193.
    assert (low + high) / 2 == pytest.approx(3.75)
    assert (high - low) / 2 == pytest.approx(2.193 * math.hypot(0.3227, 0.4364), rel=1e-3)
    assert interval(describe(x), Published(5.5, None, 10)) == (describe(x).low, describe(x).high)
    assert interval(describe([3.0]), Published(5.5, 1.38, 10)) is None


def test_the_seeds_that_would_decide_are_the_fewest():
    rule, paper, ours = RULES["savings"], Published(60.0, None, 10), Statistic(3, 61.0, 4.0)
    needed = seeds_to_decide(rule, ours, paper)
    assert rule.place(*of_mean(61.0, 4.0, needed), 60.0) is Place.INSIDE
    assert rule.place(*of_mean(61.0, 4.0, needed - 1), 60.0) is Place.ACROSS
    # A mean on the edge is never decided, nor is one within the paper's own uncertainty of it.
    assert seeds_to_decide(rule, Statistic(3, 63.0, 4.0), paper) is None
    assert seeds_to_decide(RULES["error"], Statistic(3, 2.4, 0.1), Published(2.0, 0.5, 10)) is None


def altered(change, **changes):
    """Pairs of PRDP and its baseline whose savings are 2/3 plus a change by seed."""
    runs = pair(["e"], **changes)
    for row, _, _ in runs:
        row["savings"] += change(row["seed"])
    return runs


# How the records are altered -> the outcome of a claim of 66 % savings, within 3 points.
OUTCOMES = {
    Verdict.REPRODUCED: lambda: altered(lambda seed: 0.0),
    Verdict.CONTRADICTED: lambda: altered(lambda seed: 0.1 + 0.001 * seed),
    Verdict.UNDECIDED: lambda: altered(lambda seed: 0.02 * (seed - 2)),
    Verdict.ONE_SEED: lambda: altered(lambda seed: 0.5, seeds=(1,), ours=(0.1,), theirs=(0.1,)),
    Verdict.NOT_RUN: lambda: pair(["another"]),
}


@pytest.mark.parametrize("expected", OUTCOMES)
def test_altered_records_turn_the_outcome(expected):
    found = verdict(one("savings", 66), *OUTCOMES[expected]())
    assert found.verdict is expected
    assert found.outcome.startswith(expected.value)
    assert (found.low is None) == (expected in (Verdict.ONE_SEED, Verdict.NOT_RUN))


def test_what_is_undecided_says_how_many_seeds_would_decide():
    found = verdict(one("savings", 66), *OUTCOMES[Verdict.UNDECIDED]())
    assert (found.runs, found.needed) == (3, 6)
    assert "undecided; about 6 seeds would decide" in found.text
    assert found.interval == "61.7 to 71.6 %"


def test_seconds_beside_other_work_are_not_timed_alone():
    claim = BY_ID["wall_clock.heat1d"]
    runs = pair(["fig_24"])
    assert verdict(claim, *runs).verdict is Verdict.REPRODUCED
    for row, _, _ in runs:
        row["busy_elsewhere"] = 0.3
    assert verdict(claim, *runs).verdict is Verdict.NOT_TIMED_ALONE
    for row, _, _ in runs:
        row |= {"busy_elsewhere": 0.0, "commit": row["schedule"]}
    found = verdict(claim, *runs)
    assert (found.verdict, found.ours) == (Verdict.NOT_TIMED_ALONE, None)
    assert "3 runs and 3 baselines" in found.text
    assert verdict(claim, *(r for r in runs if r[0]["schedule"] == "prdp")).verdict is Verdict.NOT_RUN


def test_arms_that_were_not_timed_in_turn_are_named():
    runs = pair(["fig_24"])
    assert "drift" not in verdict(BY_ID["wall_clock.heat1d"], *runs).text
    for row, _, _ in runs:
        row["recorded"] = f"2026-01-0{1 + (row['schedule'] == 'prdp')}T00:00:00Z"
    found = verdict(BY_ID["wall_clock.heat1d"], *runs)
    assert "All runs of one arm were timed before those of the other." in found.text
    assert "Heat 1D (100 epochs) 0.0 % [0.0 to 0.0 %] (in blocks)" in (problem_verdicts.sentences([found])[2])


def test_only_the_machine_with_the_most_pairs_is_timed():
    runs = pair(["fig_24"], seeds=(1, 2, 3), ours=(0.02,) * 3, theirs=(0.02,) * 3)
    for row, _, _ in runs:
        row["device"] = "gpu: A" if row["seed"] == 3 else "cpu: B"
        if row["seed"] == 3 and row["schedule"] == "prdp":
            row["seconds_train"] = 99.0
    found = verdict(BY_ID["wall_clock.heat1d"], *runs)
    assert (found.runs, found.ours) == (2, pytest.approx(0.0))


def test_a_product_of_settings_is_a_definition_whatever_comes_out():
    claims = [claim for claim in CLAIMS if claim.rule.kind == "definition"]
    assert len(claims) == 6
    assert all(claim.id.endswith(".cost") for claim in claims)
    found = verdict(one("definition", 5.0), *pair(["e"]))
    assert (found.verdict, found.ours) == (Verdict.DEFINITION, pytest.approx(200 / 3))


def test_a_number_that_no_seed_changes_decides_alone():
    single = replace(one("savings", 66), seeds=1)
    found = verdict(single, *pair(["e"], seeds=(1,), ours=(0.1,), theirs=(0.1,)))
    assert (found.verdict, found.interval, found.seeds) == (Verdict.REPRODUCED, "", "no seed")


def test_k_max_of_figure_4_is_judged_by_seed():
    errors = {8: 0.11, 10: 0.1, 25: 0.1}

    def fan(noise):
        return [
            run(
                f"{k}-{s}",
                ["fig_4"],
                levels=[k] * 3,
                converged=25,
                schedule="fixed",
                seed=s,
                error=error + 0.01 * s + (noise * (s - 2) if k == 8 else 0.0),
            )
            for k, error in errors.items()
            for s in (1, 2, 3)
        ]

    level, saved = BY_ID["fig_4.level"], BY_ID["fig_4.savings"]
    assert [verdict(c, *fan(0.0)).verdict for c in (level, saved)] == [Verdict.REPRODUCED] * 2
    # With more noise, K = 8 may be as good.
    unsure = verdict(level, *fan(0.02))
    assert (unsure.verdict, unsure.interval) == (Verdict.UNDECIDED, "8.0 to 10.0")
    errors[8] = 0.1
    assert verdict(level, *fan(0.0)).verdict is Verdict.CONTRADICTED


def test_the_reason_is_given_only_where_it_is_contradicted():
    claim = one("savings", 66, why="Because.")
    assert "Because." not in verdict(claim, *pair(["e"])).text
    assert "Why: Because." in verdict(replace(claim, paper=80.0), *pair(["e"])).text


def test_fewer_seeds_than_the_papers_are_said():
    ten = replace(one("savings", 66), seeds=10)
    assert "reproduced (3 seeds of the paper's 10)" in verdict(ten, *pair(["e"])).text
    single = verdict(ten, *pair(["e"], seeds=(1,), ours=(0.1,), theirs=(0.1,)))
    assert "one seed of the paper's 10, inside the margin" in single.text
    assert (single.uncertainty, single.printed) == (None, "66.7 % (1 seed)")
    assert "of the paper's" not in verdict(one("savings", 67), *pair(["e"])).text.replace(
        "of the paper's number", ""
    )


def test_reduced_problems_never_count():
    claim = one("savings", 66)
    small = pair(["e"], scale="small")
    found = verdict(claim, *small)
    assert (found.verdict, found.ours, found.runs) == (Verdict.NOT_RUN, None, 0)
    assert "6 runs of the reduced problem (scale=small) do not count" in found.text
    assert verdict(claim, *small, run("full", ["e"], levels=[10, 10], converged=11)).runs == 1


def test_runs_of_other_experiments_do_not_count():
    assert verdict(one("savings", 66), *pair(["another"])).verdict is Verdict.NOT_RUN


def test_a_diverged_run_is_counted_and_contradicts():
    lost = run("lost", ["e"], levels=[2] * 3, seed=9, error=math.inf, status="diverged")
    found = verdict(one("savings", 66), *pair(["e"]), lost)
    assert found.verdict is Verdict.CONTRADICTED
    assert (found.runs, found.ours) == (3, pytest.approx(200 / 3))
    assert "1 of 4 runs diverged" in found.text
    alone = verdict(one("savings", 66), lost)
    assert (alone.verdict, alone.ours) == (Verdict.CONTRADICTED, None)


def test_what_is_more_than_one_thing_is_not_judged():
    runs = [
        run("a", ["e"], levels=[2], **{"data.form": "x"}),
        run("b", ["e"], levels=[2], **{"data.form": "y"}),
    ]
    found = verdict(one("savings", 80), *runs)
    assert found.verdict is Verdict.NOT_RUN
    assert "data.form" in found.text
    assert verdict(one("savings", 80, where={"data.form": "x"}), *runs).verdict is Verdict.ONE_SEED


def test_equal_accuracy_is_judged_by_the_interval_of_differences_by_seed():
    claim = BY_ID["accuracy.heat1d"]

    def found(ours):
        return verdict(claim, *pair(["table_1"], ours=ours, theirs=(0.02, 0.03, 0.04)))

    # +20 % of the mean of 0.03 at every seed; then the same mean with noise.
    worse = found((0.026, 0.036, 0.046))
    assert (worse.verdict, worse.ours) == (Verdict.CONTRADICTED, pytest.approx(20))
    unsure = found((0.02, 0.036, 0.052))
    assert (unsure.verdict, unsure.ours) == (Verdict.UNDECIDED, pytest.approx(20))
    # The errors spread by a third, their differences do not.
    equal = found((0.0203, 0.03, 0.0397))
    assert (equal.verdict, equal.ours) == (Verdict.REPRODUCED, pytest.approx(0, abs=1e-9))
    assert equal.interval == "-2.5 to 2.5 %"


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
    assert manual.interval == ""


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
    refused("'read' is not a valid Setting", setting="read")
    refused("needs a reading", setting="chosen", reading=None)
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump({**document, "claims": [entry, entry]}))
    with pytest.raises(ValueError, match=r"more than one claim is called accuracy\.heat1d"):
        load_claims(tmp_path / "paper.yaml")
    with pytest.raises(ValueError, match="kind is bent"):
        Rule(name="x", kind="bent", text="")


def judgements():
    return judge(
        [
            one("savings", 66),
            replace(one("savings", 90), reading="the other", setting=Setting.CHOSEN),
            BY_ID["wall_clock.heat3d"],
        ],
        records(*pair(["e"])),
    )


def test_reports_say_the_same_in_every_form():
    found = judgements()
    assert summary(found).splitlines() == [
        "Settings that the paper prints: 1 reproduced, 0 contradicted, 0 undecided; apart from these 1 not run.",
        "Settings of the released code: 0 reproduced, 0 contradicted, 0 undecided.",
        "Readings chosen after seeing results: 0 reproduced, 1 contradicted, 0 undecided.",
    ]
    text, markdown, plain = as_text(found), as_markdown(found), json.loads(json.dumps(as_json(found)))
    for judgement, line in zip(found, plain, strict=True):
        assert judgement.text in text
        assert (line["verdict"], line["text"]) == (judgement.verdict.value, judgement.text)
    row = "| Savings | here | 66 % | 66.7 ± 0.0 % (3 seeds) | 66.7 to 66.7 % | 63.0 to 69.0 % | reproduced |"
    assert row in markdown
    assert [line for line in markdown.splitlines() if line.startswith("- Savings")] == [f"- {found[1].text}"]
    assert "## Not run" in markdown
    assert (plain[0]["ours"], plain[0]["low"]) == (pytest.approx(200 / 3), pytest.approx(200 / 3))
    assert [line["chosen_after_results"] for line in plain] == [False, True, False]
    assert plain[2]["ours"] is None


def test_one_seed_is_never_counted_with_the_others():
    runs = pair(["e"], seeds=(1,), ours=(0.1,), theirs=(0.1,))
    assert (
        summary(judge([one("savings", 66)], records(*runs)))
        .splitlines()[0]
        .endswith("0 reproduced, 0 contradicted, 0 undecided; apart from these 1 one seed.")
    )


def test_the_rows_of_the_problems_name_claims_that_exist_printed_ones_first():
    first = {}
    for row in problem_verdicts.ROWS:
        first.setdefault(row.problem, row.setting)
        for name in filter(None, row.claims):
            assert BY_ID[name].id == name
        assert row.savings is None or BY_ID[row.savings].setting is row.setting
    assert set(first.values()) == {Setting.PRINTED}


JOINED = [
    # Savings of 60 % here and the errors of PRDP, those of converged physics being 0.02; the verdict on both.
    (0.79, (0.02, 0.02, 0.02), Verdict.REPRODUCED),
    (0.79, (0.03, 0.03, 0.03), Verdict.CONTRADICTED),
    (0.60, (0.02, 0.02, 0.02), Verdict.CONTRADICTED),
    (0.79, (0.01, 0.02, 0.04), Verdict.UNDECIDED),
]


@pytest.mark.parametrize(("saved", "errors", "expected"), JOINED)
def test_a_problem_is_reproduced_only_if_savings_and_accuracy_are(saved, errors, expected):
    runs = pair(["fig_6", "table_1"], ours=errors)
    for row, _, _ in runs:
        row["savings"] = saved
    found = judge(SHOWN, records(*runs))
    (row,) = (r for r in problem_verdicts.ROWS if r.name == "Heat 1D (100 epochs)")
    assert problem_verdicts.joined(row, {j.claim.id: j for j in found}) is expected
    (line,) = (c for c in readme_table.cells(found) if "100 epochs" in c[1] and c[0] == "Heat 1D")
    assert line[1:3] == ["released: 100 epochs, 3 seeds", expected.value]
    assert "✓" not in readme_table.table(found)


def test_the_sentences_follow_from_the_records():
    runs = [*pair(["fig_6", "table_1", "fig_24"], ours=(0.03,) * 3), *pair(["fig_8", "table_1"], "burgers")]
    for row, _, _ in runs:
        prdp = row["schedule"] == "prdp"
        row["savings"] = 0.79 if row["physics"] == "heat1d" else 0.59
        row["seconds_train"] = 1.0 if prdp else 3.0
        if row["physics"] == "burgers":
            row["busy_elsewhere"] = 0.5
    saved, equal, time = problem_verdicts.sentences(judge(SHOWN, records(*runs)))
    assert "is reproduced on Heat 1D (100 epochs) 79.0 % [79.0 to 79.0 %], Burgers 59.0 %" in saved
    assert "is not run on Poisson (1 parameter, tau_stop 0.98)" in saved
    assert "is contradicted on Heat 1D (100 epochs) 50.0 % [50.0 to 50.0 %]" in equal
    assert "is undecided on Burgers 50.0 %" in equal
    # 1.5 of 3.5 seconds.
    assert "took less time on Heat 1D (100 epochs) 57.1 % [57.1 to 57.1 %]" in time
    assert "in blocks" not in time


def test_the_short_answer_names_the_same_problems_without_numbers():
    runs = pair(["fig_6", "table_1", "fig_24"], ours=(0.03,) * 3)
    for row, _, _ in runs:
        row["savings"] = 0.79
        row["seconds_train"] = 1.0 if row["schedule"] == "prdp" else 3.0
    found = judge(SHOWN, records(*runs))
    saved, equal, time = problem_verdicts.brief(found)
    assert "the paper's share is reproduced on Heat 1D (100 epochs);" in saved
    assert "is contradicted on Heat 1D (100 epochs);" in equal
    assert "a saving is shown on Heat 1D (100 epochs) (57.1 %);" in time
    line = "| Heat 1D (100 epochs) | released | 79.0 % (79 %) | 50.0 % (50.0 to 50.0 %) | **contradicted** |"
    assert line in readme_table.block(found)


def test_the_short_table_has_the_printed_settings_and_one_default_of_each_problem():
    names = [row.name for row in problem_verdicts.front()]
    assert len(set(names)) == len(names)
    assert {"Heat 1D (70 epochs)", "Heat 1D (100 epochs)", "Navier-Stokes (tau_step 0.95)"} <= set(names)
    assert not {"Navier-Stokes (zero gradient)", "Heat 2D (width 300)"} & set(names)


def test_seconds_of_burgers_beside_other_work_are_in_the_sentence():
    runs = pair(["fig_24"], "burgers")
    for row, _, _ in runs:
        row["busy_elsewhere"] = 0.5
    assert "is not timed alone on Burgers" in problem_verdicts.sentences(judge(SHOWN, records(*runs)))[2]


def test_the_answer_goes_between_its_marks():
    found = judge(SHOWN, records())
    text = f"before\n{readme_table.BEGIN}\nold\n{readme_table.END}\nafter\n"
    once = readme_table.placed(text, found)
    assert once == readme_table.placed(once, found) == text.replace("old", readme_table.block(found))
    with pytest.raises(ValueError, match="no place for the verdicts"):
        readme_table.placed("nothing", found)


@pytest.mark.parametrize(("savings", "code"), [(0, None), (0.2, 1)])
def test_the_command_writes_its_files_and_is_strict_on_request(tmp_path, monkeypatch, capsys, savings, code):
    changed = {
        "savings": 0.79 - savings,
        "savings_incomplete_convergence": 0.6,
        "savings_progressive_refinement": 0.19,
    }
    runs = [run(f"x{s}", ["fig_6"], levels=[10], converged=25, seed=s, **changed) for s in (1, 2)]
    save(records(*runs), tmp_path / "records")
    options = ["--records", str(tmp_path / "records"), "--out", str(tmp_path), "--strict"]
    monkeypatch.setattr(sys, "argv", ["claims.py", *options])
    with pytest.raises(SystemExit) if code else nullcontext() as stopped:
        command.main()
    assert code is None or stopped.value.code == code
    assert "savings.heat1d.total" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "claims.json").read_text())) == len(CLAIMS)
    assert (tmp_path / "claims.md").read_text().startswith("## The paper's numbers and ours")
