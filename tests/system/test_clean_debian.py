"""A clean Debian, the package, and nothing of this checkout: installs, is found fit, shows pictures, and goes again.

Minutes long, and it fetches a Debian: `make soak`. LIMPID_DEB and LIMPID_ROOT name a package and a root that are there
already. The root is made by debootstrap from the mirror that this machine's apt uses, and booted in a namespace.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.test_units_boot import put, wait_for
from tests.system.units import PROCESSES, ROOT, Machine, machine, needed

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
PACKAGES = "systemd,systemd-sysv,dbus,python3,ca-certificates,procps,udev"
NO_SCREEN = "[Unit]\nConditionPathExistsGlob=\n[Service]\nEnvironment=SDL_VIDEODRIVER=dummy\n"
CONFIG = "/etc/limpid/limpid.toml"
FRAMES = "ipc:///run/limpid/frames"


def mirror() -> tuple[str, str]:
    """The address and the release that apt is configured for."""
    found = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)"],
                           capture_output=True, text=True, check=True).stdout  # fmt: skip
    lines = [line.split() for line in found.splitlines() if line.endswith(" main")]
    return next((uri, name) for uri, name, _ in lines if "debian" in uri and re.fullmatch("[a-z]+", name))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("LIMPID_DEB"):
        return Path(given)
    out = tmp_path_factory.mktemp("deb")
    built = subprocess.run([sys.executable, "tools/build_deb.py", "--out", str(out), "--fast"], cwd=ROOT,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert built.returncode == 0, built.stderr
    return Path(built.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("a root of Debian can only be made by root")
    scratch = tmp_path_factory.mktemp("debian")
    root = Path(os.environ.get("LIMPID_ROOT") or scratch / "root")
    if not (root / "etc/debian_version").exists():
        uri, release = mirror()
        line = [needed("debootstrap"), "--variant=minbase", f"--include={PACKAGES}", release, str(root), uri]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, timeout=900)
    shutil.copy(package, root / "root/limpid.deb")
    with machine(scratch, root) as found:
        yield found


def test_installed_fit_showing_pictures_and_gone(debian: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(debian)
    debian.run("apt-get", "install", "-y", "--no-install-recommends", "/root/limpid.deb", timeout=600)
    with capsys.disabled():
        print("\n" + debian.run("sh", "-c", "dpkg-query -W limpid; du -sh /opt/limpid"))
        current, good = (debian.run("readlink", f"/opt/limpid/{link}") for link in ("current", "good"))
        assert current == good
        told = json.loads(debian.run("limpid", "doctor", "-c", CONFIG, "--json", timeout=180))
        for finding in told["findings"]:
            print(f"{finding['verdict']:8} {finding['check']:12} {finding['what']}")
        assert told["ok"]
        print(shows_pictures(debian))
        runs_as_units(debian)
        debian.run("apt-get", "remove", "-y", "limpid", timeout=300)
        left = sorted(files(debian) - before)
        print("left after `apt remove`:", *left, sep="\n  ")
        debian.run("apt-get", "purge", "-y", "limpid", timeout=300)
        print("left after `apt purge`:", *sorted(files(debian) - before), sep="\n  ")
    assert left
    assert all(path.startswith(("/var/lib/limpid", "/etc/limpid")) for path in left), left
    assert any(path.endswith(".dcm") for path in left), "the capture"


def files(debian: Machine) -> set[str]:
    """All but what apt, dpkg and systemd keep about themselves; the user stays, as the owner of the data."""
    ours = (
        "/var/lib/limpid /etc /opt /usr/bin /usr/lib/systemd /usr/lib/sysusers.d /usr/lib/tmpfiles.d /usr/share/limpid"
    )
    found = debian.run("sh", "-c", f"find {ours} /usr/share/doc -path '*limpid*' 2>/dev/null; true").split()
    return set(found)


def shows_pictures(debian: Machine) -> str:
    """A short demo without a screen, in its own folder."""
    told = json.loads(
        debian.run("sh", "-c", "cd /root && HOME=/root limpid demo --headless --seconds 15 --json", timeout=240)
    )
    return f"demo: {json.dumps(told)[:600]}"


def runs_as_units(debian: Machine) -> None:
    put(debian, "/etc/systemd/system/limpid-display.service.d/screen.conf", NO_SCREEN)
    debian.run("systemctl", "daemon-reload")
    debian.run("systemctl", "start", "limpid.target")
    for process in PROCESSES:
        unit = f"limpid-{process}"
        wait_for(debian, unit, lambda unit=unit: debian.shows(unit, "ActiveState") == "active")
    scanner = f"limpid send phantom --to {FRAMES} -s stream=a -s fps=15 -s width=640 -s height=480 --seconds 30"
    debian.run("systemd-run", "--quiet", *scanner.split())
    wait_for(debian, "limpid-live", lambda: enhanced(debian) > 30)
    debian.run("limpid", "capture", "still", "--control", "ipc:///run/limpid/control")
    print(debian.run("systemctl", "--no-pager", "list-units", "limpid*"))
    debian.run("rm", "-r", "/etc/systemd/system/limpid-display.service.d")


def enhanced(debian: Machine) -> int:
    told = debian.run("limpid", "watch", "--once", "--json", "--control", "ipc:///run/limpid/control", check=False)
    streams = json.loads(told).get("streams", {}) if told.strip() else {}
    return sum(sum(stream["frames"]["enhanced"].values()) for stream in streams.values())
