"""Threads of a process, and its end: what every process of the appliance does alike."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable

CRASHED = 70  # exit status
Run = Callable[[threading.Event], None]


def vital(name: str, run: Run, stop: threading.Event, crashed: threading.Event) -> threading.Thread:
    """A thread whose unexpected end is the process's: the supervisor starts a fresh one."""

    def top() -> None:
        try:
            run(stop)
        except Exception:  # noqa: BLE001 - the one place that may: it ends the process
            traceback.print_exc(file=sys.stderr)
            crashed.set()
            stop.set()

    return threading.Thread(target=top, name=name, daemon=True)


def allowed_priority() -> int:
    """How far this process may go in real time (LimitRTPRIO= of its unit); 0: not at all."""
    return resource.getrlimit(resource.RLIMIT_RTPRIO)[0]


def in_real_time(run: Run, priority: int) -> Run:
    """A thread that goes before all that is not real-time; with priority 0 one like any other.

    Only itself: what it starts does not inherit it, and neither does the rest of the process.
    """

    def top(stop: threading.Event) -> None:
        if priority > 0:
            with contextlib.suppress(OSError):  # a kernel that shares out real time by groups may refuse
                os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        run(stop)

    return top


def stop_on_signals(stop: threading.Event) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not in the handler itself: it may have interrupted the very wait that holds the event's lock.
            signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())


def end_anyway_after(seconds: float, status: int) -> None:
    """Nothing that hangs may keep a process from its end."""
    timer = threading.Timer(seconds, os._exit, args=(status,))
    timer.daemon = True
    timer.start()
