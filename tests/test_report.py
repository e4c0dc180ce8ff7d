"""The report: all of the numbers and nothing but them, in one file that every browser can read."""

import base64
import fcntl
import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from prdp.analysis import readme_table
from prdp.analysis.claims import Claim, Judgement, Verdict, judge, load_claims
from prdp.analysis.figures import FIGURES, FigureSpec, NothingToDraw, svg
from prdp.analysis.figures.style import HOVER
from prdp.analysis.paper import Setting
from prdp.analysis.problem_verdicts import sentences
from prdp.analysis.records import Records, load, save
from prdp.analysis.reference import Reference
from prdp.analysis.report import render
from prdp.analysis.report.differences import load_differences
from prdp.analysis.report.inline import inline
from prdp.analysis.report.pictures import Picture, load_pictures
from prdp.analysis.report.provenance import cover, needed, trace
from prdp.analysis.rules import Rule
from prdp.analysis.tables import TABLES, NothingToShow, Table, TableSpec
from prdp.suite.presets import preset_title

ROOT = Path(__file__).resolve().parents[1]
LEVELS = (1, 5, 25)
SEEDS = (1, 2, 25)
# The smallest PNG file: one transparent point.
POINT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
PICTURES = [Picture("fig_16", "Trajectories", "Three <of> them.", 1, 1, "data:image/png;base64,AA==")]
TITLES = {"fig_4": "Fixed K.", "fig_6": "PRDP <and> fixed K.", "fig_10": "Navier-Stokes."}


def summary(schedule, level, seed, **changes):
    """A run of Heat 1D, 20 epochs of 50 updates; PRDP saves 80 % and ends at K = 10."""
    saved = 0.8 + 0.01 * (seed % 3) if schedule == "prdp" else 1 - level / 25
    return {
        "run": f"{schedule}-{level}-{seed}",
        "physics": "heat1d",
        "solver": "jacobi",
        "diff": "implicit",
        "schedule": schedule,
        "seed": seed,
        "epochs": 20,
        "updates": 1000,
        "iterations_final": level,
        "converged_iterations": 25,
        "iterations_total": round(25000 * (1 - saved)),
        "iterations_converged_total": 25000,
        "iterations_executed_total": round(25000 * (1 - saved)),
        "matvecs_total": round(25000 * (1 - saved)),
        "adjoint_matvecs_total": round(25000 * (1 - saved)),
        "savings": saved,
        "savings_incomplete_convergence": 1 - level / 25,
        "savings_progressive_refinement": saved - (1 - level / 25),
        "val_error_final": (0.03 + (0.5 / level**2 if level < 10 else 0)) * (1 + 0.1 * (seed % 3)),
        "val_error_previous_step_final": 0.02,
        "seconds_train": 3.0 + level / 25,
        "seconds_validate": 0.5,
        "seconds_compile": 2.0,
        "status": "finished",
        "scale": "full",
        "metric": "val_error",
        "schedule.tau_step": 0.95,
        "schedule.tau_stop": 0.9,
        "schedule.grace_window": 2,
        "schedule.smoothing_window": 2,
        "schedule.increment": 2,
        "commit": "0123456789abcdef",
        "uncommitted_changes": False,
        "device": "cpu: cpu",
        "cpu_count": 2,
        "jax": "0.10.2",
        "recorded": f"2026-11-{20 + seed % 3}T10:00:00Z",
        **changes,
    }


def history(run):
    """An error that falls over the epochs of a run, to its final one."""
    epochs = range(run["epochs"] + 1)
    error = [run["val_error_final"] ** (e / 20) for e in epochs]
    level = run["iterations_final"]
    return pd.DataFrame(
        {
            "run": run["run"],
            "epoch": list(epochs),
            "updates": [50 * e for e in epochs],
            "iterations": [max(1, level * e // 20) for e in epochs]
            if run["schedule"] == "prdp"
            else [level] * 21,
            "iterations_total": [run["iterations_total"] * e // 20 for e in epochs],
            "train_loss": error,
            "val_error": error,
            "smoothed": error,
            "ratio_step": 0.97,
            "ratio_stop": 0.8,
            "refined": False,
            "residual_mean": 1e-6,
        }
    )


@pytest.fixture(scope="module")
def records():
    """Heat 1D, three seeds: fixed K in fig_4, PRDP and converged in fig_6; two runs of fig_6 are missing."""
    runs = [summary("fixed", level, seed) for level in LEVELS for seed in SEEDS]
    runs += [summary("prdp", 10, seed) for seed in SEEDS]
    jobs = [("fig_4", f"physics=heat1d seed={r['seed']}", r["run"]) for r in runs if r["schedule"] == "fixed"]
    jobs += [
        (e, f"physics=heat1d schedule={r['schedule']} seed={r['seed']}", r["run"])
        for r in runs
        for e in ("fig_6", "table_1")
        if r["schedule"] == "prdp" or r["iterations_final"] == 25
    ]
    jobs += [("fig_6", f"physics=heat3d scale=small seed={seed}", None) for seed in (1, 2)]
    return Records(
        pd.DataFrame(runs),
        pd.concat([history(r) for r in runs], ignore_index=True),
        pd.DataFrame(jobs, columns=["experiment", "overrides", "run"]),
    )


@pytest.fixture(scope="module")
def judgements(records):
    return judge(load_claims(ROOT / "results" / "paper.yaml"), records)


@pytest.fixture(scope="module")
def differences():
    claims = load_claims(ROOT / "results" / "paper.yaml")
    return load_differences(ROOT / "results" / "differences.yaml", claims)


@pytest.fixture(scope="module")
def page(records, judgements, differences):
    """The page with all that there is."""
    return render(records, judgements, TABLES, FIGURES, TITLES, differences=differences, pictures=PICTURES)


def words(page):
    """What the page says, without its markup."""
    body = re.sub(r"<(style|script|svg).*?</\1>", " ", page[page.index("<body") :], flags=re.DOTALL)
    body = re.sub(r'</?sub>|<span class="unbroken">([^<]*)</span>', r"\1", body)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def plain(text):
    """A text as `words` returns it from the page."""
    return " ".join(text.split()).replace("K_eps", "Kε").replace("K_max", "Kmax")


def attempt(make, *arguments):
    """What is made, or why nothing is."""
    try:
        return make(*arguments)
    except (NothingToDraw, NothingToShow) as reason:
        return reason


def part(page, name):
    """A part of the page that opens and closes."""
    return re.search(rf'<details id="{re.escape(name)}".*?</details>', page, re.DOTALL)[0]


def row(page, claim):
    """The row of a claim, in words."""
    return words("<body" + re.search(rf'<tr [^>]*id="claim-{re.escape(claim)}".*?</tr>', page, re.DOTALL)[0])


@pytest.mark.slow
def test_every_claim_has_a_row_with_its_verdict_and_the_numbers_of_its_judgement(page, judgements):
    assert {j.verdict for j in judgements} >= {Verdict.CONTRADICTED, Verdict.UNDECIDED, Verdict.NOT_RUN}
    for j in judgements:
        text = row(page, j.claim.id)
        assert f"{j.verdict.symbol} {j.verdict.value} {plain(j.claim.printed)} " in text
        assert f" {j.claim.number(j.ours, j.uncertainty)} {plain(j.interval or '-')} {j.seeds} " in f"{text} "
        if j.ours is not None and j.claim.seeds > 1:
            assert f"{j.runs} of {j.claim.seeds}" in text


def test_every_outcome_has_its_mark_its_filter_and_its_style(records, judgements):
    first = judgements[0]
    every = [replace(first, claim=replace(first.claim, id=kind.name), verdict=kind) for kind in Verdict]
    page = render(records, every, {}, {}, {})
    style = page[: page.index("</style>")]
    for kind in Verdict:
        name = kind.name.lower()
        assert f"1 {kind.symbol} {kind.value}" in words(page)
        assert f'id="show-{name}"> {kind.value}' in page
        assert f':not([data-verdict="{name}"])' in style
        assert f'data-verdict="{name}"' in page
        assert f"color: var(--{name})" in style
        # Light, dark and print.
        assert style.count(f"--{name}: #") == 3
    colours = re.search(r"--reproduced[^}]*", style)[0]
    assert len(set(re.findall(r"#\w{6}", colours))) == len(Verdict)


def test_the_answer_and_the_counts_come_first(page, judgements):
    said = words(page)
    main = [j for j in judgements if j.claim.setting is Setting.PRINTED]
    counts = Counter(j.verdict for j in main)
    for verdict, count in counts.items():
        assert f"{count} {verdict.symbol} {verdict.value}" in said
    for sentence in sentences(judgements):
        assert plain(sentence.replace("**", "")) in said.replace(" : ", ": ")
    assert page.index('class="answer"') < page.index('class="tally"') < page.index('id="claims"')


def test_what_is_contradicted_and_in_no_topic_has_a_part_with_its_reason(records, judgements):
    page = render(records, judgements, {}, {}, TITLES)
    differing = [j for j in judgements if j.verdict is Verdict.CONTRADICTED]
    assert differing
    assert page.count('<details id="why-') == len(differing)
    for j in differing:
        said = words("<body>" + part(page, f"why-{j.claim.id}"))
        assert f"Here: {j.claim.number(j.ours, j.uncertainty)}" in said
        assert plain(j.claim.why or "No reason is on record") in said


def test_every_figure_and_table_is_shown_or_named_with_why_not(page, records, judgements):
    said, paper = words(page), {j.claim.id: j.claim for j in judgements}
    reference = Reference(paper)
    figures = {spec: attempt(spec.draw, records, reference) for spec in FIGURES.values()}
    tables = {spec: attempt(spec.build, records, reference) for spec in TABLES.values()}
    for spec, made in {**figures, **tables}.items():
        kind = "Figure" if spec in figures else "Table"
        missing = isinstance(made, Exception)
        assert (f"{kind} {spec.name} , {spec.title}: {made}" in said) == missing
    drawn = [spec for spec, made in figures.items() if not isinstance(made, Exception)]
    assert page.count("<svg") == len(drawn)
    assert all("<svg" in part(page, spec.name) and spec.title in said for spec in drawn)
    for spec, table in tables.items():
        if isinstance(table, Table):
            shown = part(page, f"table-{spec.name}")
            cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", shown.partition("<tbody>")[2])
            assert [words(f"<body>{c}") for c in cells] == list(map(plain, table.frame.to_numpy().ravel()))
            assert all(plain(note) in words(f"<body>{shown}") for note in table.notes)


def test_everything_long_is_folded_and_opens_without_a_script(page):
    folded = re.findall(r"<details id=\"([^\"]+)\"( open)?>\s*<summary><h3", page)
    assert len(folded) == page.count("<details")
    assert [name for name, is_open in folded if is_open] == ["savings_accuracy"]
    outside = re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)
    # The table of the problems.
    assert outside.count("<table") == 1
    assert "<svg" not in outside
    # Nothing is left for a script to make but buttons.
    body = page[page.index("<body") : page.index("<script>")]
    assert "<button" not in body
    assert not re.search(r"\shidden[\s=>]", body)
    assert not re.search(r'tabindex="[1-9-]', body)


def test_pictures_are_read_with_their_size_and_shown_with_their_caption(page, tmp_path):
    (tmp_path / "fig_16.png").write_bytes(POINT)
    (found,) = load_pictures(tmp_path)
    assert (found.name, found.width, found.height) == ("fig_16", 1, 1)
    assert base64.b64decode(found.source.partition(",")[2]) == POINT
    shown = part(page, "fig_16")
    assert 'alt="Trajectories" width="1" height="1"' in shown
    assert "Three &lt;of&gt; them." in shown
    (tmp_path / "fig_17.png").write_bytes(b"version https://git-lfs")
    with pytest.raises(ValueError, match=r"fig_17\.png: not a PNG file"):
        load_pictures(tmp_path)


def test_values_are_shown_while_the_pointer_is_on_them(page, records):
    shown = part(page, "savings_accuracy")
    saved = records.where(schedule="prdp").summaries.set_index("seed")["savings"]
    for seed, share in saved.items():
        assert f'<g class="value"><title>PRDP, seed {seed}: {100 * share:.1f} % saved' in shown
    assert HOVER not in page


def test_what_is_not_run_is_named_with_its_command(page):
    said = words(page)
    assert "fig_10 0 of 0 its jobs are not recorded" in said
    assert "fig_6 6 of 8 2 of Heat 3D (reduced)" in said
    assert "Complete experiments (runs): fig_4 (9), table_1 (6)." in said
    assert "python train.py -m experiment=fig_6" in said


def test_each_exhibit_says_where_its_runs_come_from(page):
    figure = part(page, "fig_6")
    source = words("<body" + re.search(r'<p class="source">.*?</p>', figure, re.DOTALL)[0])
    assert source == (
        "Runs recorded: fig_6 6 of 8. Commit: 0123456. Recorded 2026-11-21 to 2026-11-22 on CPU, 2 cores; jax 0.10.2. "
        "To run again: python train.py -m experiment=fig_6"
    )


def test_provenance_counts_what_differs_between_runs(records):
    runs = records.summaries.assign(
        commit=[None] + ["a" * 40] * 2 + ["b" * 40] * 9,
        uncommitted_changes=[None] + [True] * 2 + [False] * 9,
        device=["cpu: cpu"] * 4 + ["gpu: Great Processor"] * 8,
        status=["diverged"] * 2 + ["finished"] * 10,
    )
    everything = Records(runs, records.histories, records.jobs)
    found = trace(everything, cover(everything, {}), ["fig_4", "fig_6"])
    assert found.runs == 12
    assert found.diverged == 2
    assert found.commits == "bbbbbbb (9); aaaaaaa with uncommitted changes (2); no commit recorded (1)"
    assert found.devices == "Great Processor (8); CPU, 2 cores (4)"


def test_a_stand_in_is_a_source_only_of_a_problem_that_has_no_run_of_its_own(records):
    fast = pd.DataFrame(
        [("fast", "physics=heat1d seed=1", "prdp-10-1"), ("fast", "physics=poisson", "fixed-25-1")],
        columns=records.jobs.columns,
    )
    with_fast = replace(records, jobs=pd.concat([records.jobs, fast], ignore_index=True))
    assert needed(with_fast, ("fig_4", "fast"), "fast") == ("fig_4",)
    assert needed(with_fast, ("fig_6", "fast"), "fast") == ("fig_6",)
    fast.loc[0, "overrides"] = "physics=heat3d scale=small seed=1"
    with_fast = replace(records, jobs=pd.concat([records.jobs, fast], ignore_index=True))
    assert needed(with_fast, ("fig_4", "fast"), "fast") == ("fig_4",)
    assert needed(with_fast, ("fig_6", "fast"), "fast") == ("fig_6", "fast")


def test_experiments_come_in_the_paper_s_order(records):
    titles = dict.fromkeys(["table_4_1", "fig_13", "fig_2", "fast", "table_1"], "")
    assert list(cover(records, titles)) == [
        *("fast", "fig_2", "fig_4", "fig_6", "fig_13", "table_1", "table_4_1"),
    ]


def test_the_summary_has_the_table_of_the_readme(page, judgements):
    said = words(page)
    marks = {kind.value: f"{kind.symbol} {kind.value}" for kind in Verdict}
    for row in readme_table.cells(judgements):
        assert plain(" ".join(marks.get(cell, cell) for cell in row if cell)) in said


def test_remarks_repeat_neither_the_numbers_nor_the_reason(judgements):
    for j in judgements:
        assert "Paper:" not in j.remarks
        assert not j.claim.why or j.claim.why not in j.remarks
        assert j.remarks or j.verdict is not Verdict.NOT_RUN
    assert any(j.interval for j in judgements)


def test_the_page_needs_nothing_from_outside(page):
    assert "http" not in page
    assert not re.search(r"<script [^>]|<link[^>]*stylesheet|@import|<iframe|srcset", page)
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)"', page) == ["data:,", PICTURES[0].source]
    assert len(page.encode()) < 5e6


def test_ids_are_unique_and_every_reference_has_its_target(page):
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:href="#|url\(#|labelledby=")([^")]+)', page)
    assert set(used) <= set(ids)


def test_headings_descend_one_step_at_a_time_and_tables_have_scopes(page):
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert '<html lang="en">' in page
    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", page))
    assert all('role="img"' in tag and "aria-label=" in tag for tag in re.findall(r"<svg[^>]*>", page))


class Nesting(HTMLParser):
    """Collects tags that are closed in another order than they were opened."""

    VOID = ("meta", "link", "input", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        self.wrong += [(tag, self.getpos())] if len(names) != len(set(names)) else []
        self.open += [tag] if tag not in self.VOID else []

    def handle_startendtag(self, tag, attributes):
        """An element of SVG that has no content."""

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


def test_tags_nest_and_have_each_attribute_once(page):
    parser = Nesting()
    parser.feed(page)
    assert parser.wrong == []
    assert parser.open == []


def test_the_same_drawing_gives_the_same_element(records):
    # Matplotlib's ids of clip paths depend on addresses in memory.
    first, again = (inline(svg(FIGURES["fig_6"].draw(records)), "fig_6", "x") for _ in range(2))
    assert first == again
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt">'
        '<g clip-path="url(#{0})"/><clipPath id="{0}"/></svg>'
    )
    assert len({inline(drawing.format(name), "fig", "x") for name in ("p1a", "p2b")}) == 1


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes_in_another_process(records, differences, tmp_path):
    save(records, tmp_path / "records")
    out = tmp_path / "index.html"
    program = [
        sys.executable,
        ROOT / "scripts" / "report.py",
        "--records",
        tmp_path / "records",
        "--out",
        out,
    ]
    subprocess.run(program, check=True, env={**os.environ, "PYTHONHASHSEED": "1"}, capture_output=True)
    again = load(tmp_path / "records")
    titles = {p.stem: preset_title(p.stem, ROOT / "conf") for p in (ROOT / "conf/experiment").glob("*.yaml")}
    verdicts = judge(load_claims(ROOT / "results" / "paper.yaml"), again)
    pictures = load_pictures(ROOT / "results" / "figures")
    assert out.read_text() == render(
        again, verdicts, TABLES, FIGURES, titles, differences=differences, pictures=pictures
    )


def test_texts_are_escaped(records):
    evil = '<script>alert("&")</script>'
    rule = Rule("r", "at_most", evil, margin=1.0)
    claim = Claim(evil, evil, evil, "%", rule, "mean", ("fig_4",), paper=1.0, why=evil, reading=evil)
    verdict = Judgement(claim, 2.0, 0.5, 3, Verdict.CONTRADICTED, evil)

    def nothing(records, reference):
        raise NothingToDraw(evil)

    frame = pd.DataFrame({evil: [evil]})
    table = TableSpec("t", evil, ("fig_4",), lambda records, reference: Table(evil, frame, [evil]))
    figure = FigureSpec("f", evil, ("fig_4",), nothing, evil)
    picture = Picture(evil, evil, evil, 1, 1, "data:,")
    page = render(records, [verdict], {"t": table}, {"f": figure}, {"fig_4": evil}, pictures=[picture])
    assert page.count("<script") == 1
    assert page.count(html.escape(evil).replace("&quot;", "&#34;")) > 12


def test_without_records_the_page_says_so():
    nothing = Records(
        pd.DataFrame(columns=["run"]),
        pd.DataFrame(columns=["run"]),
        pd.DataFrame(columns=["experiment", "overrides", "run"]),
    )
    verdicts = judge(load_claims(ROOT / "results" / "paper.yaml"), nothing)
    page = render(nothing, verdicts, TABLES, FIGURES, TITLES)
    said = words(page)
    assert "There are no records yet" in said
    assert "✓ reproduced" not in said
    assert "<svg" not in page
    assert all(spec.title in said for spec in (*FIGURES.values(), *TABLES.values()))


def test_a_drawing_keeps_its_text_and_shape_but_shares_no_names():
    drawing = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="72pt" height="36pt" viewBox="0 0 72 36"><metadata><a/></metadata><g id="figure_1"><defs><path id="m" '
        'd="M 0.123456 -1.5 \nL 2 3"/></defs><use xlink:href="#m" x="1.23456" transform="scale(0.12345)"/>'
        '<g clip-path="url(#c)"><text>a <tspan>b</tspan> c</text></g><clipPath id="c"/></g></svg>'
    )
    assert inline(drawing, "fig", 'x "y"') == (
        '<svg viewBox="0 0 72 36" class="plot" role="img" aria-label="x &quot;y&quot;" style="--width: 72"><g><defs>'
        '<path id="fig-0" d="M 0.12 -1.5 L 2 3" /></defs><use href="#fig-0" x="1.23" transform="scale(0.12345)" />'
        '<g clip-path="url(#fig-1)"><text>a <tspan>b</tspan> c</text></g><clipPath id="fig-1" /></g></svg>'
    )


def test_the_trade_off_shows_every_level_where_its_error_is(records):
    (ax,) = FIGURES["savings_accuracy"].draw(records).axes
    points = {text.get_text(): text.xy for text in ax.texts}
    assert ax.get_title() == "Heat 1D\n3 seeds"
    assert set(points) == {"1", "5", "25", "PRDP"}
    assert points["25"] == pytest.approx((0, 1))
    assert points["5"] == pytest.approx((80, 0.05 / 0.03))
    assert points["PRDP"] == pytest.approx((80 + 4 / 3, 1), rel=2e-3)
    with pytest.raises(NothingToDraw):
        FIGURES["savings_accuracy"].draw(records.where(schedule="fixed"))


def test_a_reduced_problem_stands_in_only_where_the_whole_one_lacks_runs(records):
    reduced = replace(records, summaries=records.summaries.assign(scale="small"))
    assert [ax.get_title() for ax in FIGURES["savings_accuracy"].draw(reduced).axes] == [
        "Heat 1D (reduced)\n3 seeds"
    ]


class Browser:
    """Headless Chromium, over the two pipes of its DevTools protocol."""

    def __init__(self, program, profile):
        down, up = os.pipe(), os.pipe()
        # Out of the way of 3 and 4, where Chromium looks for them.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (down[0], up[1])]
        devnull = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        pipes = [(os.POSIX_SPAWN_DUP2, fd, at) for fd, at in zip(ends, (3, 4), strict=True)]
        options = ["--headless", "--remote-debugging-pipe", "--no-first-run", f"--user-data-dir={profile}"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        self.process = os.posix_spawn(
            program, [program, *options], os.environ, file_actions=[*devnull, *pipes]
        )
        for fd in (down[0], up[1], *ends):
            os.close(fd)
        self.down, self.up = open(down[1], "wb"), open(up[0], "rb")  # noqa: SIM115
        self.events, self.count, self.session, self.rest = [], 0, {}, b""
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self.session = {"sessionId": attached["sessionId"]}

    def __call__(self, method, **parameters):
        """Call a method and return its result; events that come meanwhile are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters, **self.session}
        self.down.write(json.dumps(message).encode() + b"\0")
        self.down.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self.count:
                assert "result" in answer, answer
                return answer["result"]
            self.events.append(answer)

    def wait(self, event):
        """Read until an event has come."""
        while not any(e["method"] == event for e in self.events):
            self.events.append(self._read())

    def _read(self):
        while b"\0" not in self.rest:
            more = self.up.read1()
            assert more, "Chromium has gone"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def close(self):
        self.session = {}
        self("Browser.close")
        os.waitpid(self.process, 0)


MEASURE = """
(() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const said = [...document.querySelectorAll("body *:not(svg, svg *)")].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length);
  const contrast = e => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const name = e => e.tagName + " " + e.textContent.trim().slice(0, 40);
  const box = e => e.getBoundingClientRect();
  return {
    wide: document.documentElement.scrollWidth - window.innerWidth,
    viewport: window.innerWidth,
    small: said.filter(e => parseFloat(getComputedStyle(e).fontSize) < (e.tagName === "SUB" ? 11 : 15)).map(name),
    faint: said.filter(e => contrast(e) < 4.5).map(name),
    flat: [...document.querySelectorAll("svg")].filter(e => !(box(e).width > 100 && box(e).height > 50)).map(name),
    drawings: document.querySelectorAll("svg").length,
    rows: [...document.querySelectorAll("tr[data-verdict]")].filter(e => e.checkVisibility()).length,
    page: getComputedStyle(document.body).backgroundColor,
  };
})()
"""


# Sorts a table by a column and returns its numbers.
SORT = """
(() => {
  const table = document.querySelector("%s table"), column = %d;
  table.tHead.rows[0].cells[column].querySelector("button").click();
  return [...table.tBodies[0].rows].map(row => parseFloat(row.cells[column].textContent));
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium: apt-get update && apt-get install -y chromium")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_in_a_browser(browser, page, judgements, width, scheme, tmp_path):
    file = tmp_path / "index.html"
    file.write_text(page)
    browser.events.clear()
    for domain in ("Page", "Network", "Runtime", "Log"):
        browser(f"{domain}.enable")
    browser(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser("Page.navigate", url=file.as_uri())
    browser.wait("Page.loadEventFired")

    def evaluate(expression):
        how = {"returnByValue": True, "awaitPromise": True}
        return browser("Runtime.evaluate", expression=expression, **how)["result"].get("value")

    assert evaluate(MEASURE)["rows"] == 0
    evaluate("document.querySelector('.all').click()")
    found = evaluate(MEASURE)
    assert found["viewport"] == width
    assert found["wide"] <= 0
    assert found["small"] == []
    assert found["faint"] == []
    assert found["flat"] == []
    assert found["drawings"] == page.count("<svg")
    assert found["rows"] == len(judgements)
    assert (found["page"] == "rgb(22, 20, 26)") == (scheme == "dark")
    evaluate("document.getElementById('show-contradicted').click()")
    assert evaluate(MEASURE)["rows"] == sum(j.verdict is Verdict.CONTRADICTED for j in judgements)
    evaluate("document.querySelector('.all').click()")
    claim = next(j for j in judgements if j.verdict is Verdict.CONTRADICTED).claim
    evaluate(f"location.hash = '#claim-{claim.id}'")
    opened = "document.querySelectorAll('details[open]').length"
    assert evaluate(f"new Promise(done => setTimeout(() => done({opened}), 50))") == 1
    assert evaluate(SORT % ("#table-levels", 5)) == [*evaluate(SORT % ("#table-levels", 5))][::-1]
    shot = browser("Page.captureScreenshot", captureBeyondViewport=False)["data"]
    (tmp_path / f"{width}-{scheme}.png").write_bytes(base64.b64decode(shot))
    requests = [
        e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"
    ]
    assert [r for r in requests if not r.startswith("data:")] == [file.as_uri()]
    complaints = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert [e for e in browser.events if e["method"] in complaints] == []
