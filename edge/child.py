"""What the live process's children do first: give way to it, end with it, and keep patients out of its log."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType

NICE = 15
PR_SET_PDEATHSIG = 1


def give_way() -> None:
    """Far behind live, yet not without a core: what waits here is not sent. And end with the process that asked."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # it wakes up without pushing anybody aside
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def say_little(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
    """In place of a traceback: what an exception says may be somebody's name, and this goes to the log."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
    sys.stderr.write(f"{kind.__name__} at {' < '.join(reversed(places))}\n")
