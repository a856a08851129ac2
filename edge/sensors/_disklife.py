"""How much of their life disks have behind them, where they tell. Used by the sensors thread, once an hour.

eMMC and UFS tell it in /sys, in tenths. An NVMe tells it by a command that only root may send; without that right it is
not known, and nothing is said.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from pathlib import Path

from edge.sensors import Disk

NVME_ADMIN = 0xC0484E41  # _IOWR('N', 0x41, struct nvme_admin_cmd)
GET_LOG_PAGE, HEALTH_PAGE, PAGE_BYTES = 0x02, 0x02, 512
PERCENTAGE_USED = 5  # its byte in the page


class _Command(ctypes.Structure):
    """struct nvme_admin_cmd."""

    _fields_ = [
        ("opcode", ctypes.c_uint8), ("flags", ctypes.c_uint8), ("reserved", ctypes.c_uint16), ("nsid", ctypes.c_uint32),
        ("cdw2", ctypes.c_uint32), ("cdw3", ctypes.c_uint32), ("metadata", ctypes.c_uint64), ("data", ctypes.c_uint64),
        ("metadata_bytes", ctypes.c_uint32), ("data_bytes", ctypes.c_uint32), ("cdw10_15", ctypes.c_uint32 * 6),
        ("timeout_ms", ctypes.c_uint32), ("result", ctypes.c_uint32),
    ]  # fmt: skip


def life_of_disks(root: Path) -> tuple[Disk, ...]:
    found: list[Disk] = []
    for path in sorted(root.glob("sys/block/mmcblk*/device/life_time")):
        found += _told(path.parents[1].name, path)
    for path in sorted(root.glob("sys/bus/platform/devices/*ufs*/health_descriptor/life_time_estimation_a")):
        found += _told("ufs", path)
    for node in sorted(root.glob("dev/nvme[0-9]")):
        with contextlib.suppress(OSError):
            found.append(Disk(node.name, used_life_percent=float(_nvme_used(node))))
    return tuple(found)


def _told(name: str, path: Path) -> list[Disk]:
    """In tenths, each kind of cell its own: the worse one counts. 0x00 is "not told", 0x0B beyond its life."""
    with contextlib.suppress(OSError, ValueError):
        tenths = max(int(word, 16) for word in path.read_text().split())
        return [Disk(name, used_life_percent=10.0 * tenths)] if 0 < tenths <= 11 else []
    return []


def _nvme_used(node: Path) -> int:
    page = (ctypes.c_uint8 * PAGE_BYTES)()
    command = _Command(opcode=GET_LOG_PAGE, nsid=0xFFFFFFFF, data=ctypes.addressof(page), data_bytes=PAGE_BYTES)
    command.cdw10_15[0] = HEALTH_PAGE | (PAGE_BYTES // 4 - 1) << 16
    handle = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, NVME_ADMIN, command)
    finally:
        os.close(handle)
    return int(page[PERCENTAGE_USED])
