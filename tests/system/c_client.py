"""Build the C examples and the fuzz harness with gcc, for the tests that run them. Not a test itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tools" / "clients" / "c"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]


@dataclass(frozen=True)
class Clients:
    """Where the built examples lie."""

    send_frames: Path
    watch_pictures: Path


def build(tmp_path: Path) -> Clients:
    """Build both examples with their own Makefile. A missing gcc or libzmq skips; under CI it fails."""
    needs("gcc", "make")
    _needs_zmq_headers(tmp_path)
    run(["make", "-C", str(SOURCES), "CC=gcc", f"BUILD={tmp_path}"])
    return Clients(tmp_path / "send_frames", tmp_path / "watch_pictures")


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            missing(f"{program} is not installed")


def missing(what: str) -> None:
    """A missing tool is the user's choice, but never that of the machine that checks every change."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def run(command: list[str]) -> str:
    """Run a compiler; what it has to say is the test's failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def compile_c(source: Path, program: Path, *options: str) -> Path:
    needs("gcc")
    run(["gcc", "-std=c99", *STRICT, *options, f"-I{SOURCES}", str(source), "-o", str(program)])
    return program


def _needs_zmq_headers(tmp_path: Path) -> None:
    probe = tmp_path / "probe.c"
    probe.write_text("#include <zmq.h>\nint main(void) { return zmq_errno(); }\n")
    command = ["gcc", str(probe), "-o", str(tmp_path / "probe"), "-lzmq"]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0:
        missing("libzmq's headers are not installed (apt-get install libzmq3-dev)")
