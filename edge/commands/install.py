"""`limpid install` and `limpid uninstall`: the units, their user and folders, laid down and taken away. Main thread.

What will be done is planned first (`install_plan.py`), shown, then done: a dry run is the same without
the last.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from edge import __version__
from edge.commands.install_plan import CURRENT, Ground, Purge, Step, plan_install, plan_uninstall
from edge.durable import write_durably
from edge.errors import ConfigError, LimpidError

MODES = {"limpid.toml": 0o640}  # it may name archives; the rest is for everybody to read
COLOURS = {"remove": "red", "leave": "yellow", "keep": "dim"}


@dataclass(frozen=True, slots=True)
class Asked:
    root: Path
    environment: Path | None
    dry_run: bool
    as_json: bool


def install(asked: Asked, *, start: bool) -> int:
    ground = _ground(asked)
    steps = plan_install(ground, start=start)
    _do(steps, asked)
    if not asked.dry_run and not asked.as_json and not start and ground.is_here:
        print("Look at /etc/limpid/limpid.toml, ask `limpid doctor -c /etc/limpid/limpid.toml`, then:")
        print("systemctl start limpid.target")
    return 0


def uninstall(asked: Asked, purge: Purge) -> int:
    _do(plan_uninstall(_ground(asked), purge), asked)
    return 0


def shipped_folder() -> Path:
    """The folder systemd/: of a checkout, or as it was installed with the package."""
    beside = Path(__file__).resolve().parents[2] / "systemd"
    for folder in (beside, Path(sys.prefix) / "share/limpid/systemd"):
        if (folder / "limpid.target").exists():
            return folder
    raise ConfigError("the units did not come with this installation: install limpid-edge from its wheel or a checkout")


def _ground(asked: Asked) -> Ground:
    root = asked.root.resolve()
    if not root.is_dir():
        raise ConfigError(f"{root}: there is no such folder to install into")
    here = root == Path("/")
    if os.geteuid() != 0 and not asked.dry_run and here:
        raise ConfigError("only root may do this: run it again with sudo, or look with --dry-run at what it would do")
    if here and not asked.dry_run and not Path("/run/systemd/system").is_dir():
        raise ConfigError("this machine was not started by systemd: `limpid run` keeps the processes running instead")
    environment = asked.environment or _own_environment(root)
    return Ground(root, shipped_folder(), environment, __version__)


def _own_environment(root: Path) -> Path:
    """The one this runs in, under the name by which the units would find it."""
    prefix, current = Path(sys.prefix), Path("/") / CURRENT / "venv"
    laid = root / "opt/limpid/versions" / __version__ / "venv"
    if (root != Path("/") and laid.is_dir()) or prefix in (current, laid):
        return Path("/opt/limpid/versions") / __version__ / "venv"
    return prefix.resolve()


def _do(steps: list[Step], asked: Asked) -> None:
    console = Console(highlight=False)
    for step in steps:
        if not asked.as_json:
            _tell(console, step, would=asked.dry_run)
        if not asked.dry_run:
            _carry_out(step)
    if asked.as_json:
        told = [{"do": step.do, "path": step.path, "why": step.why, "command": list(step.command)} for step in steps]
        print(json.dumps({"ok": True, "dry_run": asked.dry_run, "steps": told}))


def _tell(console: Console, step: Step, *, would: bool) -> None:
    what = " ".join(step.command) if step.do == "run" else step.path
    colour = COLOURS.get(step.do, "green")
    why = f"  ({step.why})" if step.why else ""
    console.print(f"[{colour}]{'would ' if would else ''}{step.do:8}[/] ", end="")
    console.print(f"{what}{why}".strip(), markup=False, soft_wrap=True)


def _carry_out(step: Step) -> None:
    path = Path(step.path)
    try:
        if step.do == "folder":
            path.mkdir(parents=True, exist_ok=True)
        elif step.do in ("write", "replace"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, step.content.encode(), mode=MODES.get(path.name, 0o644))
        elif step.do == "link":
            _link(path, step.content)
        elif step.do == "remove":
            _remove(path)
        elif step.do == "run":
            _run(step.command)
    except OSError as error:
        raise LimpidError(f"{step.do} {path}: {error.strerror}") from error


def _link(path: Path, to: str) -> None:
    """In one step: whoever starts meanwhile gets the old version or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(to)
    new.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _run(command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LimpidError(f"{command[0]} is not installed: this needs systemd's own programs") from None
    if done.returncode:
        raise LimpidError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
