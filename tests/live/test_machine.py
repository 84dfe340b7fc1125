"""Knowing whether the machine is ours alone."""

import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from live import machine
from live.machine import Disturbance, wait_for_quiet

HOG = "while True: pass"


class Clock:
    """A machine's time: goes on when it is read or slept by; of each second others take a share."""

    def __init__(self, monkeypatch, ours, stolen):
        self.now, self.ticks, self.ours, self.stolen = 0.0, [0.0] * 8, ours, stolen
        self.is_asleep = False
        monkeypatch.setattr(machine.time, "monotonic", lambda: self.go(0.01))
        monkeypatch.setattr(machine.time, "sleep", self.sleep)
        monkeypatch.setattr(machine, "_look", lambda: (self.now, list(self.ticks), 0.0))

    def sleep(self, seconds):
        self.is_asleep = True
        self.go(seconds)
        self.is_asleep = False

    def go(self, seconds):
        """Let time pass: on an idle processor nothing can be stolen."""
        busy = self.ours(self.now)
        stolen = 0.0 if self.is_asleep else self.stolen(self.now)
        for kind, share in ((0, busy), (7, stolen), (3, 1.0 - busy - stolen)):
            self.ticks[kind] += 100.0 * share * seconds
        self.now += seconds
        return self.now


def test_an_idle_machine_is_quiet_at_once(monkeypatch):
    clock = Clock(monkeypatch, lambda _: 0.1, lambda _: 0.0)
    assert wait_for_quiet(60.0)
    assert clock.now < 3.0


@pytest.mark.parametrize("which", ["ours", "stolen"])
def test_it_is_waited_for_who_computes_and_who_steals(monkeypatch, which):
    usual = {"ours": 0.1, "stolen": 0.0}
    shares = {
        name: (lambda now, name=name, low=low: 0.5 if name == which and now < 20.0 else low)
        for name, low in usual.items()
    }
    clock = Clock(monkeypatch, shares["ours"], shares["stolen"])
    assert wait_for_quiet(60.0)
    assert 20.0 < clock.now < 25.0
    clock.now = 0.0
    assert not wait_for_quiet(10.0)
    assert clock.now < 14.0


def test_theft_is_what_was_stolen_of_what_was_not_used(monkeypatch):
    clock = Clock(monkeypatch, lambda _: 0.6, lambda now: 0.1 if 2.0 <= now < 4.0 else 0.0)
    watch = machine.Watch()
    while clock.now < 6.0:
        clock.go(0.1)
        watch.note()
    whole = watch.look()
    assert whole.steal == pytest.approx(0.1 * 2 / 6, rel=0.1)
    assert whole.busy == pytest.approx(0.6 + whole.steal, rel=0.05)
    # A tenth was stolen, and three tenths were idle.
    times = np.array([-9.0, 0.5, 3.0, 5.0, 99.0, np.nan])
    assert watch.theft(times)[:5] == pytest.approx([0, 0, 0.1 / 0.4, 0, 0], abs=0.03)
    assert machine.Watch().theft(times) == pytest.approx(np.zeros(6))


def test_who_else_computes_is_told_from_who_takes_part():
    hog = subprocess.Popen([sys.executable, "-c", HOG])
    try:
        mine, all_known, unknown = machine.Watch(), machine.Watch([hog.pid]), machine.Watch(None)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            time.sleep(0.1)
        shares = [watch.look().others for watch in (mine, all_known, unknown)]
    finally:
        hog.kill()
        hog.wait()
    assert shares[0] == pytest.approx(shares[1], abs=0.02)  # it is a child of ours
    assert math.isnan(shares[2])


def test_a_process_that_somebody_else_has_begun_is_no_part_of_it():
    """Made by a shell that ends: so it is init's child, or a subreaper's."""
    with subprocess.Popen(
        ["sh", "-c", f"{sys.executable} -c '{HOG}' >/dev/null & echo $!"], stdout=subprocess.PIPE
    ) as shell:
        pid = int(shell.stdout.read())
    try:
        watch, all_known = machine.Watch(), machine.Watch([pid])
        computed = machine.processor_time(pid)
        while (used := machine.processor_time(pid) - computed) < 1.0:
            time.sleep(0.1)
        mine, known = watch.look(), all_known.look()
    finally:
        os.kill(pid, signal.SIGKILL)
    assert mine.others > known.others
    seconds = sum(machine._look()[1]) - sum(watch._looks[0][1])  # ticks, of all processors
    hertz = os.sysconf("SC_CLK_TCK")
    assert mine.others - known.others == pytest.approx(used * hertz / seconds, rel=0.2)


def test_stealing_waiting_and_others_are_no_quiet():
    assert Disturbance(0.01, 0.3, 0.1).is_quiet
    assert Disturbance(0.01, 0.3, float("nan")).is_quiet  # the kernel does not tell
    assert not Disturbance(0.03, 0.3, 0.1).is_quiet
    assert not Disturbance(0.0, 0.3, 0.3).is_quiet
    assert Disturbance(0.0, 0.9, 0.1, 0.2).is_quiet  # what we do ourselves is no disturbance
    assert not Disturbance(0.0, 0.9, 0.1, 0.4).is_quiet
    assert "40% by other processes" in str(Disturbance(0.0, 0.9, 0.1, 0.4))
