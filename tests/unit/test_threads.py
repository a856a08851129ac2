"""Real time for one thread, where this machine lets us."""

from __future__ import annotations

import os
import threading

import pytest

from edge.threads import in_real_time


def policy_in_a_thread(priority: int) -> tuple[int, int]:
    found: list[tuple[int, int]] = []

    def run(_stop: threading.Event) -> None:
        found.append((os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0).sched_priority))

    thread = threading.Thread(target=in_real_time(run, priority), args=(threading.Event(),))
    thread.start()
    thread.join()
    return found[0]


def test_a_thread_goes_before_others_and_no_other_does() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        pytest.skip("this user may not use real time")
    assert policy_in_a_thread(5) == (os.SCHED_RR, 5)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_without_a_priority_it_is_a_thread_like_any_other() -> None:
    assert policy_in_a_thread(0) == (os.SCHED_OTHER, 0)


def test_what_may_not_be_is_no_reason_not_to_run() -> None:
    assert policy_in_a_thread(1000)[0] == os.SCHED_OTHER  # no such priority
