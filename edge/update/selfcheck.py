"""Whether a staged version starts on this machine, with this site's configuration; asked of its own interpreter.

Nothing of the version before is on its path, and its processes give way to live. What the doctor of the version that
runs now finds as well is no fault of the new one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.child import give_way
from edge.errors import UpdateRefused
from edge.update.install import run

LONGEST_S = 300.0
IN_USE = "sockets"  # of the doctor's checks: that the appliance has its sockets open is no finding here
Step = Callable[[str], None]


def self_check(python: Path, version: str, config: Path | None, step: Step) -> None:
    """Raises UpdateRefused with what the staged version said."""
    step("starting it once")
    said = run([str(python), "-I", "-c", "import edge; print(edge.__version__)"], "it does not start").strip()
    if said != version:
        raise UpdateRefused(f"it says that it is {said}")
    where = ["--config", str(config)] if config is not None else []
    if config is not None:
        step("reading this site's configuration")
        status, text = _asked(python, ["config", "check", str(config), "--json"])
        if status:
            raise UpdateRefused(f"it does not take this site's configuration: {_error_of(text)}")
    step("asking its doctor")
    worse = _failures(python, where)
    if worse and (
        new := [found for check, found in worse.items() if check not in _failures(Path(sys.executable), where)]
    ):
        raise UpdateRefused(f"its doctor finds: {'; '.join(new)[:600]}")


def _failures(python: Path, where: Sequence[str]) -> dict[str, str]:
    status, text = _asked(python, ["doctor", "--json", *where])
    try:
        findings = json.loads(text)["findings"]
        found = [one for one in findings if one["verdict"] == "failure" and one["check"] != IN_USE]
        return {one["check"]: f"{one['check']}: {one['what']}" for one in found}
    except (ValueError, KeyError, TypeError):
        return {"doctor": f"doctor: it ended with status {status}: {text.strip()[-200:]}"}


def _error_of(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[-300:]


def _asked(python: Path, arguments: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [str(python), "-I", "-m", "edge", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=LONGEST_S, check=False, preexec_fn=give_way,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UpdateRefused(f"{arguments[0]} was not done in {LONGEST_S:g} s") from error
    except OSError as error:
        raise UpdateRefused(f"{python}: {error.strerror}") from error
    return done.returncode, done.stdout or done.stderr
