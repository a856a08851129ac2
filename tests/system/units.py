"""The unit files as they are shipped, read. And a real systemd in a namespace of its own, over this machine's files.

Not a test itself. The machine needs root and a kernel that lets a namespace mount what systemd mounts; `machine()` says
why where it cannot be.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "systemd"
PROCESSES = ("live", "forward", "console", "display")

BOOT = """
set -e
root=$1; scratch=$2; kind=$3
mount --make-rprivate /
if [ "$kind" = over ]; then
    mount -t tmpfs tmpfs "$scratch"; mkdir "$scratch/up" "$scratch/work" "$scratch/root"
    mount -t overlay overlay -o "lowerdir=$root,upperdir=$scratch/up,workdir=$scratch/work" "$scratch/root"
    root=$scratch/root
    # Its /tmp is this machine's, and may be large: nobody tidies up there.
    for unit in systemd-tmpfiles-setup.service systemd-tmpfiles-clean.timer; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
else
    mount --bind "$root" "$root"
fi
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"; mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
    mount -t cgroup -o none,name=systemd,xattr cgroup "$root/sys/fs/cgroup/systemd"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"; mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666
ln -s pts/ptmx "$root/dev/ptmx"; ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/.old"; cd "$root"; pivot_root . .old; umount -l /.old
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=no
"""


def needed(program: str) -> str:
    """Skips without it; where CI is, it must be there."""
    found = shutil.which(program)
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"not installed: {program}")
    pytest.skip(f"not installed: {program}")


@dataclass(frozen=True)
class Unit:
    """What systemd would do, as far as a process notices."""

    command: list[str]
    environment: dict[str, str]
    watchdog_s: float
    keys: dict[str, list[str]]


def read(process: str) -> Unit:
    keys: dict[str, list[str]] = {}
    for line in (SHIPPED / f"limpid-{process}.service").read_text().splitlines():
        key, found, value = line.partition("=")
        if found and not line.startswith("#"):
            keys.setdefault(key, []).append(value)
    environment = dict(word.split("=", 1) for value in keys.get("Environment", []) for word in shlex.split(value))
    (seconds,) = keys["WatchdogSec"]
    return Unit(shlex.split(keys["ExecStart"][0]), environment, float(seconds.removesuffix("s")), keys)


# ------------------------------------------------ a machine


@dataclass
class Machine:
    pid: int  # of its systemd, as it is seen from here
    console: Path
    environment: ClassVar = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

    def run(self, *command: str, timeout: float = 60, check: bool = True) -> str:
        """As root on it."""
        line = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", "-r", "-W/", *command]
        done = subprocess.run(line, capture_output=True, text=True, timeout=timeout, env=self.environment, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def shows(self, unit: str, key: str) -> str:
        return self.run("systemctl", "show", "--value", "-p", key, unit).strip()

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False)


@contextlib.contextmanager
def machine(scratch: Path, root: Path = Path("/"), patience_s: float = 30.0) -> Iterator[Machine]:
    """A real systemd. Over `/` nothing is changed; another root is used as it is."""
    if os.geteuid() != 0:
        pytest.skip("systemd can run in a namespace only for root")
    for program in ("unshare", "nsenter", "systemctl"):
        needed(program)
    mount = scratch / "machine"
    mount.mkdir()
    line = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "bash", "-c", BOOT, "boot"]
    with (scratch / "console").open("wb") as console:
        kind = "over" if root == Path("/") else "as-is"
        outer = subprocess.Popen([*line, str(root), str(mount), kind], stdout=console, stderr=console)
    try:
        yield _booted(outer, scratch / "console", patience_s)
    finally:
        for child in _children(outer.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)  # and with it everything in its namespace
        outer.kill()
        outer.wait(20)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _booted(outer: subprocess.Popen[bytes], console: Path, patience_s: float) -> Machine:
    until = time.monotonic() + patience_s
    state = ""
    while time.monotonic() < until and outer.poll() is None:
        for pid in _children(outer.pid):
            one = Machine(pid, console)
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                state = one.run("systemctl", "is-system-running", timeout=10, check=False).strip()
                if state in ("running", "degraded"):
                    return one
        time.sleep(0.1)
    words = console.read_text(errors="replace").strip().splitlines()
    pytest.skip(f"systemd cannot run in a namespace here ({state or 'it ended'}): {words[-1:] or 'no word'}")
