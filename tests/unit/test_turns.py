"""Short turns for one thread and what it starts, where this kernel has them."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Callable

import pytest

from edge import turns

GET_ATTRIBUTES = {"x86_64": 315, "aarch64": 275}


@pytest.fixture(autouse=True)
def a_process_that_has_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_short", threading.Event())


def turn_ns() -> int:
    """The calling thread's, as the kernel tells it."""
    told = turns.Attributes(ctypes.sizeof(turns.Attributes))
    number = GET_ATTRIBUTES[platform.machine()]
    assert ctypes.CDLL(None).syscall(number, 0, ctypes.byref(told), ctypes.sizeof(told), 0) == 0
    return int(told.runtime)


def in_a_thread(run: Callable[[], int]) -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(run()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture
def ordinary() -> int:
    if platform.machine() not in GET_ATTRIBUTES or (found := in_a_thread(turn_ns)) == 0:
        pytest.skip("this kernel knows no turns of a thread's own")
    return found


def test_a_thread_with_short_turns_hands_them_to_what_it_starts_and_to_nobody_else(ordinary: int) -> None:
    def run() -> int:
        turns.short_turns()
        assert turn_ns() == turns.SHORTEST_NS
        return in_a_thread(turn_ns)

    assert in_a_thread(run) == turns.SHORTEST_NS < ordinary
    assert turn_ns() == ordinary


def test_a_thread_that_yields_gives_them_back(ordinary: int) -> None:
    def run() -> int:
        turns.short_turns()
        turns.thread_yields(3)
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == 3
        return turn_ns()

    assert in_a_thread(run) == ordinary


def test_a_nice_value_is_kept(ordinary: int) -> None:
    def run() -> int:
        turns.thread_yields(4)
        turns.short_turns()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert in_a_thread(run) == 4


def test_a_process_that_never_asked_is_not_troubled_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_ns: int) -> None:
        raise AssertionError("a sandbox would end the process here")

    monkeypatch.setattr(turns, "_take_turns_of", forbidden)
    assert in_a_thread(lambda: turns.thread_yields(2) or 1) == 1


@pytest.mark.parametrize("machine", ["riscv64", platform.machine()])
def test_a_machine_or_a_policy_without_them_is_no_reason_not_to_run(
    monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    def run() -> int:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        turns.short_turns()
        return os.sched_getscheduler(0)

    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert in_a_thread(run) == os.SCHED_BATCH
