"""The `limpid` command as a person types it, and what it says. Not a test itself."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.system.process import ROOT

POINTS = {"p50", "p90", "p95", "p99", "p99.9", "max"}


def limpid(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def told(*arguments: object) -> dict[str, Any]:
    """What a command says with --json: one object on stdout, and nothing else."""
    done = limpid(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def complaint(*arguments: object, status: int = 2) -> str:
    done = limpid(*arguments)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr
