"""What the code has never heard of is shown by its own name, and a quantity has one number wherever it is shown."""

import re

import pytest

from prdp.analysis import account
from prdp.analysis.claims import judge, load_claims
from prdp.analysis.comparison import tidy
from prdp.analysis.figures import FIGURES
from prdp.analysis.figures.savings import count
from prdp.analysis.figures.sufficiency import draw_final_errors
from prdp.analysis.figures.wall_clock import share_saved
from prdp.analysis.problems import PROBLEMS, place, problem, title
from prdp.analysis.quantities import QUANTITIES, Selection
from prdp.analysis.reference import Reference
from prdp.analysis.tables import TABLES
from tests.conftest import ROOT
from tests.made_up_records import CONTROLLER, pair, records, run

STRANGERS = {
    "physics": "wave",
    "solver": "sor",
    "diff": "finite_differences",
    "schedule": "bandit",
    "model": "transformer",
    "optimizer": "lion",
}


def shown(name):
    """A name in a table or figure, with spaces for underscores."""
    return name.replace("_", " ")


@pytest.fixture(scope="module")
def strangers():
    """Own runs of three seeds: Heat 1D as the suite has it, and with each of its parts replaced by a stranger's."""
    runs = pair(**CONTROLLER)
    for key, name in STRANGERS.items():
        made = pair(**CONTROLLER, **{key: name}) if key != "schedule" else []
        runs += made
    runs += [
        run(f"bandit-{s}", levels=[3, 3, 3], seed=s, error=0.03, schedule="bandit", **CONTROLLER)
        for s in (1, 2, 3)
    ]
    return records(*runs)


@pytest.mark.parametrize("table", ["savings", "table_1", "levels", "wall_clock", "rivals"])
def test_a_stranger_has_its_own_rows_in_every_table(strangers, table):
    frame = TABLES[table].build(strangers, Reference()).frame
    rows = [" ".join(row) for row in frame.astype(str).to_numpy().tolist()]
    for name in STRANGERS.values():
        assert any(name in row or shown(name) in row for row in rows), name
    assert len(set(rows)) == len(rows)
    # Nothing is averaged over strangers: every row has the three seeds of one configuration.
    assert set(frame["seeds"]) == {"3"}


def test_a_stranger_has_its_own_lines_in_the_figure_of_own_runs(strangers):
    figure = FIGURES["own"].draw(strangers)
    assert [ax.get_title() for ax in figure.axes[::3]] == ["Heat 1D", "wave"]
    labels = [
        text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().get_texts()
    ]
    for key, name in STRANGERS.items():
        assert key == "physics" or any(name in label for label in labels), name
    # Of Heat 1D: five pairs and the schedule; of the other physics one pair.
    assert len(labels) == len(set(labels)) + 2 == 2 * 5 + 1 + 2
    assert any("PRDP: saves 66.7 %, seeds: 3" in label for label in labels)


def test_the_rivals_of_a_stranger_are_drawn(strangers):
    figure = FIGURES["rivals"].draw(strangers)
    titles = " ".join(ax.get_title() for ax in figure.axes)
    names = " ".join(text.get_text() for ax in figure.axes for text in ax.texts)
    for key, name in STRANGERS.items():
        assert shown(name) in (titles if key in ("physics", "model", "optimizer") else names)


def test_a_stranger_in_a_preset_is_drawn_like_the_others():
    made = [run_ for p in ("wave", "heat1d") for run_ in pair(["fig_24", "fig_26", "fig_13"], physics=p)]
    for summary, _, _ in made:
        summary["solver.operator"] = "stencil"
    for name in ("fig_24", "fig_26", "fig_13"):
        titles = [ax.get_title().partition("\n")[0] for ax in FIGURES[name].draw(records(*made)).axes]
        assert [t for t in titles if t] == ["Heat 1D", "wave"]


def test_an_unknown_physics_comes_after_the_known_ones_by_its_name():
    assert sorted(["wave", "poisson", "advection", "burgers"], key=place) == [
        *("poisson", "burgers", "advection", "wave")
    ]
    assert (title("wave", reduced=True), problem("wave").kind) == ("wave (reduced)", "emulator")
    assert {path.stem for path in (ROOT / "conf" / "physics").glob("*.yaml")} <= set(PROBLEMS)


@pytest.fixture(scope="module")
def fan():
    """PRDP, its baseline and a sufficient level of Heat 1D, each seed with seconds of its own."""
    experiments = ["fig_4", "fig_6", "fig_24", "table_1"]
    runs = pair(experiments, **{"solver.operator": "stencil"})
    runs += [
        run(
            f"four-{s}",
            ["fig_4", "fig_6"],
            levels=[4] * 3,
            schedule="fixed",
            seed=s,
            **{"solver.operator": "stencil"},
        )
        for s in (1, 2, 3)
    ]
    for i, (summary, _, _) in enumerate(runs):
        summary["seconds_train"] = 1.0 + 0.37 * i
        summary["seconds_validate"] = 0.1
    return records(*runs)


def number(text):
    return float(re.match(r"[-\d.]+", text)[0])


def test_a_quantity_has_one_number_in_claims_tables_and_figures(fan):
    paper = load_claims(ROOT / "results" / "paper.yaml")
    claims = {j.claim.id: j.ours for j in judge(paper, fan)}
    tables = {
        name: TABLES[name].build(fan, Reference({c.id: c for c in paper})).frame
        for name in ("savings", "wall_clock", "levels")
    }
    # The share of seconds saved.
    timed = fan.of("fig_24")
    saved = claims["wall_clock.heat1d"]
    assert 100 * share_saved(timed) == pytest.approx(saved)
    assert number(tables["wall_clock"].iloc[0]["ours: saved %"]) == pytest.approx(saved, abs=0.05)
    # Iterations saved, and their parts.
    bar, row = count(fan.of("fig_6")), tables["savings"].iloc[0]
    for claim, share, column in (
        ("total", 1 - bar.used / bar.converged, "ours: total %"),
        ("incomplete", bar.incomplete / bar.converged, "IC %"),
        ("progressive", bar.progressive / bar.converged, "PR %"),
    ):
        ours = claims[f"savings.heat1d.{claim}"]
        assert 100 * share == pytest.approx(ours)
        assert number(row[column]) == pytest.approx(ours, abs=0.05)
    # The sufficient level.
    ax = FIGURES["fig_4"].draw(fan).axes[1]
    level = int(claims["fig_4.level"])
    assert any(f"$ = {level}:" in text.get_text() for text in ax.texts)
    assert f"K = {level} (K_max)" in tables["levels"]["schedule"].tolist()
    draw_final_errors(ax, fan.of("fig_4").where(schedule="fixed"))
    # The mean error of a level.
    runs = tidy(fan.of("fig_6"))
    mean = QUANTITIES["mean"](Selection(runs, fan), "val_error_final").mean
    prdp = tables["levels"].set_index("schedule").loc["PRDP", "eq. 56"]
    assert number(prdp) == pytest.approx(100 * mean, abs=0.005)


BASELINE = ([10] * 5, [0.5, 0.2, 0.1, 0.05, 0.05])
REFINED = ([1, 2, 4, 8, 8], [0.6, 0.3, 0.2, 0.1, 0.05])


def history(levels, errors):
    return run("x", levels=levels, updates=1, history={"val_error": [1.0, *errors]})[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # By default all updates are charged.
        ({}, (5, 50, 5, 23, pytest.approx(1 - 23 / 50))),
        ({"baseline_updates": 3, "updates": 4}, (3, 30, 4, 15, 0.5)),
        # Up to the first update with a common error.
        ({"error": 0.1}, (3, 30, 4, 15, 0.5)),
    ],
)
def test_an_account_charges_the_updates_that_it_is_given(options, expected):
    assert account(history(*BASELINE), history(*REFINED), **options) == expected


def test_a_tolerance_that_is_never_reached_is_an_error():
    with pytest.raises(ValueError, match=r"error of 0\.01 \(best 0\.05\)"):
        account(history(*BASELINE), history(*REFINED), error=0.01)
