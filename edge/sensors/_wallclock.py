"""Is the wall clock disciplined? By the kernel's own word, or the time service's. Used by the sensors thread."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from edge.sensors import WallClock

UNSYNCHRONISED = 0x0040  # STA_UNSYNC
ERROR = 5  # TIME_ERROR, what adjtimex answers while nobody disciplines the clock
NANO = 0x2000


class _Timex(ctypes.Structure):
    """struct timex, as far as it is read; the kernel writes all of it."""

    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256),
    ]  # fmt: skip


def wall_clock(root: Path) -> WallClock | None:
    """None where nobody can tell. The kernel is not asked from inside a sandbox that filters calls: a filter may end
    the process for it; there the time service's stamp is what is left."""
    if root == Path("/") and not _filtered():
        return _by_kernel()
    stamp = root / "run/systemd/timesync/synchronized"
    if stamp.exists():
        return WallClock(synchronised=True, said_by="systemd-timesyncd")
    return WallClock(synchronised=False, said_by="systemd-timesyncd") if stamp.parent.is_dir() else None


def _by_kernel() -> WallClock:
    told = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.byref(told))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    synchronised = state != ERROR and not told.status & UNSYNCHRONISED
    return WallClock(synchronised, round(told.esterror / 1000, 3) if synchronised else None, "kernel")


def _filtered() -> bool:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return True
    return not any(line.split() == ["Seccomp:", "0"] for line in lines)
