"""A signal that arrives where Python loses exceptions stops the process a moment later."""

import gc
import signal
import sys
import time
import weakref

import pytest

from prdp.interrupts import Stopped, deferred, install

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def handler():
    before, hook = [signal.getsignal(number) for number in NUMBERS], sys.unraisablehook
    install()
    yield
    sys.unraisablehook = hook
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)


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


def in_a_weak_reference():
    target = type("Target", (), {})()
    weakref.finalize(target, signal.raise_signal, signal.SIGTERM)
    del target


def goes_on(where):
    where()
    time.sleep(5)


@pytest.mark.parametrize("where", [in_a_callback, in_a_finaliser, in_a_weak_reference])
def test_a_signal_in_the_garbage_collector_is_not_lost(handler, capfd, where):
    with pytest.raises(Stopped) as stopped:
        goes_on(where)
    assert stopped.value.exit_code == 143
    assert "Exception ignored" not in capfd.readouterr().err


@pytest.mark.parametrize("where", [in_a_callback, in_a_finaliser, in_a_weak_reference])
def second(interrupts, where):
    signal.raise_signal(signal.SIGTERM)
    assert interrupts.requested
    goes_on(where)


@pytest.mark.parametrize("where", [in_a_callback, in_a_finaliser, in_a_weak_reference])
def test_nor_is_a_second_one_while_a_run_defers_them(capfd, where):
    with deferred() as interrupts, pytest.raises(Stopped):
        second(interrupts, where)
    assert "Exception ignored" not in capfd.readouterr().err


def test_other_lost_exceptions_are_still_shown(handler, capfd):
    class Faulty:
        def __del__(self):
            raise ValueError("lost")

    Faulty()
    assert "ValueError: lost" in capfd.readouterr().err


def test_elsewhere_it_stops_at_once(handler):
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
