"""`make campaign` keeps several runs under way, and those whose seconds count alone."""

from pathlib import Path

import pytest

import campaign
from prdp.analysis.records import empty
from prdp.suite.campaign import Entry, Stage
from prdp.suite.plan import Job


def job(name):
    return Job((name,), Path("nowhere") / name, {"overwrite": True})


class Process:
    """A run that ends when it has been asked for as often as it has steps."""

    pid = 0

    def __init__(self, entry, steps, code):
        self.entry, self.left, self.code, self.returncode, self.signals = entry, steps, code, None, []

    def poll(self):
        self.left -= 1
        if self.left <= 0:
            self.returncode = self.code
        return self.returncode

    def send_signal(self, signal):
        self.signals.append(signal)

    def wait(self):
        self.returncode = 0


@pytest.fixture
def run(monkeypatch, capsys):
    """Run stages given as {title: names}, whose runs are alone if the title says so; return what happened."""

    def command(stages, together=1, limit=None, steps=None, codes=None, busy=()):
        entries, log, states, alone = [], [], {}, set()
        for title, names in stages.items():
            stage = Stage(title, "", title == "alone", ())
            entries += [(stage, job(name)) for name in names]

        def survey(*_):
            assert not alone, "the survey would take CPU time from a run whose seconds count"
            return [Entry(s, j, states.get(j.overrides[0], "missing"), None) for s, j in entries]

        def start(entry, parts):
            name = entry.job.overrides[0]
            alone.update({name} if entry.stage.alone else ())
            log.append(f"{name}/{parts}")
            return Process(entry, (steps or {}).get(name, 1), (codes or {}).get(name, 0))

        def record(entry, idle, *, others):
            name = entry.job.overrides[0]
            alone.discard(name)
            counts = not (entry.stage.alone and name in busy)
            states[name] = "recorded" if counts else "missing"
            log.append(f"{name} done" + (", others run" if others else ""))
            return counts, idle

        for name, fake in {"survey": survey, "start": start, "record": record}.items():
            monkeypatch.setattr(campaign, name, fake)
        monkeypatch.setattr(campaign, "load", lambda _: empty())
        monkeypatch.setattr(campaign, "is_idle", lambda: True)
        monkeypatch.setattr(campaign.time, "sleep", lambda _: None)
        campaign.run_all([], limit, together)
        return log, capsys.readouterr().out.splitlines()

    return command


def test_one_after_the_other_by_default(run):
    log, said = run({"rest": ["a", "b"]})
    assert log == ["a/1", "a done", "b/1", "b done"]
    assert said[-1] == "complete"


def test_two_at_a_time_and_the_next_as_soon_as_one_ends(run):
    log, _ = run({"rest": ["a", "b", "c"]}, together=2, steps={"a": 5})
    assert log == ["a/2", "b/2", "b done, others run", "c/2", "c done, others run", "a done"]


def test_runs_whose_seconds_count_are_alone_on_all_cores(run):
    log, _ = run({"first": ["a"], "alone": ["b", "c"], "rest": ["d", "e"]}, together=2)
    assert log == [
        "a/2",
        "a done",
        "b/1",
        "b done",
        "c/1",
        "c done",
        "d/2",
        "e/2",
        "d done, others run",
        "e done",
    ]


def test_a_timed_run_that_was_not_alone_is_left_to_the_next_call(run):
    log, said = run({"alone": ["a", "b"]}, busy=("a",))
    assert log == ["a/1", "a done", "b/1", "b done"]
    assert said[-1] == "what is left failed, or has to be alone on the machine"


def test_a_failed_run_is_not_tried_again_and_the_others_go_on(run):
    log, said = run({"rest": ["a", "b", "c"]}, together=2, codes={"a": 1, "b": campaign.DIVERGED})
    assert log == ["a/2", "b/2", "c/2", "b done, others run", "c done"]
    assert "failed: a; going on with the next" in said
    assert said[-1] == "what is left failed, or has to be alone on the machine"


def test_a_limit_counts_what_is_started_and_waits_for_it(run):
    log, _ = run({"rest": ["a", "b", "c"]}, together=2, limit=2)
    assert log == ["a/2", "b/2", "a done, others run", "b done"]


def test_an_interrupt_reaches_every_run(run, monkeypatch):
    started = []

    def interrupted(running):
        started.extend(running)
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign, "first_ended", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run({"rest": ["a", "b"]}, together=2)
    assert [process.signals for process in started] == [[campaign.signal.SIGINT]] * 2


def test_a_share_of_the_cores_is_a_number_of_threads(monkeypatch):
    given = {}
    monkeypatch.setattr(campaign, "usable_processors", lambda: 8)
    monkeypatch.setattr(campaign.os, "setpriority", lambda *_: None)

    def popen(command, *, env, **_):
        given.update(env, command=command)
        return Process(None, 1, 0)

    monkeypatch.setattr(campaign.subprocess, "Popen", popen)
    monkeypatch.delenv("NPROC", raising=False)
    entry = Entry(Stage("rest", "", False, ()), job("a"), "missing", None)
    campaign.start(entry, 1)
    assert "NPROC" not in given
    campaign.start(entry, 3)
    assert given["NPROC"] == "2"
    assert "overwrite=true" not in given["command"]
