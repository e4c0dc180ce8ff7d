"""A signal that arrives where Python loses exceptions stops the process a moment later."""

import gc
import signal
import time

import pytest

from prdp.interrupts import Stopped, deferred, stop


@pytest.fixture
def handler():
    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


class Finaliser:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def in_a_callback():
    def callback(phase, info):
        if phase == "start":
            signal.raise_signal(signal.SIGTERM)

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


def in_a_finaliser():
    Finaliser()


def goes_on(where):
    where()
    time.sleep(5)


@pytest.mark.parametrize("where", [in_a_callback, in_a_finaliser])
def test_a_signal_in_the_garbage_collector_is_not_lost(handler, capfd, where):
    with pytest.raises(Stopped) as stopped:
        goes_on(where)
    assert stopped.value.exit_code == 143
    assert "Exception ignored" not in capfd.readouterr().err


@pytest.mark.parametrize("where", [in_a_callback, in_a_finaliser])
def test_a_second_signal_there_leaves_the_run_to_its_next_check(capfd, where):
    with deferred() as interrupts:
        signal.raise_signal(signal.SIGTERM)
        where()
        with pytest.raises(Stopped):
            interrupts.check()
    assert "Exception ignored" not in capfd.readouterr().err


def test_elsewhere_it_stops_at_once(handler):
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
