"""Versions of this very application to update to: real wheels and trees of it, spoilt on purpose where a test wants it.

They are small because they share what they need with the environment that runs the tests, by a `.pth`. Not a test
itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from edge.signing import Signer
from edge.update import bundle

ROOT = Path(__file__).parents[1]
SHARED = sysconfig.get_path("purelib")
ENGINES = ("handbuilt-large", "handbuilt-medium", "handbuilt-small")
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "limpid-edge"
version = "{version}"
[project.scripts]
limpid = "edge.cli:main"
[tool.hatch.build.targets.wheel]
packages = ["edge", "engines"]
[tool.hatch.build.targets.wheel.force-include]
"shared.pth" = "shared.pth"
"""
Spoil = Callable[[Path], None]


def as_it_is(_source: Path) -> None:
    """A version that differs by its number alone."""


def crashes_at_start(source: Path) -> None:
    """It starts, passes the checks, and ends by itself as soon as frames would come."""
    _before(source / "edge/pipeline.py", "    def run(self, stop", "    def run(self, stop: object) -> None:\n"
            "        raise RuntimeError('spoilt')\n\n    def was_run(self, stop")  # fmt: skip


def never_ready(source: Path) -> None:
    """Its live process starts and does nothing."""
    _before(source / "edge/daemon.py", "    faulthandler.enable()\n", "    stop.wait()\n    faulthandler.enable()\n")


def slow_engine(source: Path) -> None:
    """No result is there in time, in use; the doctor finds nothing."""
    path = source / "edge/backends/openvino_cpu.py"
    _before(path, "    def wait(self, timeout_ns", "    def wait(self, timeout_ns: int) -> bool:\n"
            "        import threading, time\n        if threading.current_thread().name == 'live':\n"
            "            time.sleep(timeout_ns / 1e9)\n            return False\n"
            "        return self.was_wait(timeout_ns)\n\n"
            "    def was_wait(self, timeout_ns")  # fmt: skip


def does_not_import(source: Path) -> None:
    (source / "edge/__init__.py").write_text("raise ImportError('spoilt')\n")


def other_settings(source: Path) -> None:
    """It no longer knows a setting that this site has."""
    _before(source / "edge/config.py", "    watchdog_s: Annotated", "    guard_s: Annotated")


def _before(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} has no {old!r} any more"
    path.write_text(text.replace(old, new, 1))


def source_of(version: str, into: Path, spoil: Spoil = as_it_is) -> Path:
    """The package's source at this version."""
    into.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "edge", into / "edge", ignore=skip)
    (into / "engines").mkdir()
    for name in ENGINES:
        shutil.copytree(ROOT / "engines" / name, into / "engines" / name, ignore=skip)
    shutil.copy(ROOT / "engines/__init__.py", into / "engines")
    (into / "shared.pth").write_text(f"{SHARED}\n")
    spoil(into)
    init = into / "edge/__init__.py"
    init.write_text(re.sub(r'__version__ = "[^"]*"', f'__version__ = "{version}"', init.read_text()))
    return into


def wheel_of(source: Path, version: str, into: Path) -> Path:
    """A real wheel, built without a network."""
    (source / "pyproject.toml").write_text(PYPROJECT.format(version=version))
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(line, cwd=source, check=True, capture_output=True, timeout=120)
    (found,) = into.glob("*.whl")
    return found


def tree_of(source: Path, version: str) -> Path:
    """As a site-packages that was installed elsewhere."""
    facts = source / f"limpid_edge-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: limpid-edge\nVersion: {version}\n")
    return source


def update_at(work: Path, version: str, signer: Signer, spoil: Spoil = as_it_is, *, wheels: bool = False) -> Path:
    """A signed update in WORK."""
    source = source_of(version, work / f"source-{version}", spoil)
    if wheels:
        wheel_of(source, version, work / f"wheels-{version}")
        made = bundle.wheelhouse(work / f"wheels-{version}")
    else:
        made = bundle.tree(tree_of(source, version), work / f"tree-{version}.tar")
    place, _ = bundle.write(made, "", f"Version {version}, for a test.", signer, work, lambda *_: None)
    shutil.rmtree(source)
    return place
