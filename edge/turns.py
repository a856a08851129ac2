"""Who goes first on a core: the live process' threads before what is beside them, and its own helpers behind.

A thread that wakes up may have to wait until whoever is running has had its turn: 1.4 ms on two cores, and longer on
more. Since Linux 6.12 a thread may ask for shorter turns of its own, without any privilege; when it wakes up it then
goes before whoever takes longer ones. Older kernels take the request and do nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading

SHORTEST_NS = 100_000  # the kernel's own least
ORDINARY_NS = 0  # as the kernel chooses

_SET_ATTRIBUTES = {"x86_64": 314, "aarch64": 274}
_short = threading.Event()  # whether this process has asked for short turns


class Attributes(ctypes.Structure):
    """struct sched_attr, as far as it is set; policy 0 is that of any thread."""

    _fields_ = [
        ("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64), ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64), ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]  # fmt: skip


def short_turns() -> None:
    """For the calling thread and all that it starts from now on: the sockets' and the engine's threads too."""
    _short.set()
    _take_turns_of(SHORTEST_NS)


def ordinary_turns() -> None:
    """What was inherited from a process with short turns is given back."""
    _take_turns_of(ORDINARY_NS)


def thread_yields(nice: int) -> None:
    """Make the calling thread give way to the live thread. Linux keeps a nice value per thread."""
    if _short.is_set():  # nowhere else: a sandboxed process that has no need of the call may not be allowed it
        ordinary_turns()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


def _take_turns_of(ns: int) -> None:
    number = _SET_ATTRIBUTES.get(platform.machine())
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    wanted = Attributes(ctypes.sizeof(Attributes), os.SCHED_OTHER, 0, nice, 0, ns)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).syscall(number, 0, ctypes.byref(wanted), 0)
