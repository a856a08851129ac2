"""From a bundle's files to a version's own virtual environment, without a network.

It is made where the version is still unfinished, and written as if it stood in its final place already: scripts name
their interpreter by its whole path. Processes that this starts give way to live and end with whoever asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from edge.child import give_way
from edge.errors import LimpidError, UpdateRefused
from edge.update import tree
from edge.update.bundle import TREE, Listing

VENV = "venv"
LONGEST_S = 1800.0
LARGEST_SCRIPT = 64 << 10
LAUNCHER = "#!{python}\nimport sys\nfrom edge.cli import main\nsys.exit(main())\n"
Step = Callable[[str], None]


def install(listing: Listing, files: Path, home: Path, final: Path, step: Step) -> None:
    """FILES, as they were in the bundle, into HOME/venv, to be used as FINAL/venv."""
    environment = home / VENV
    with _readable_by_all():
        step("making its environment")
        venv.create(environment, symlinks=True, with_pip=False)
        if listing.holds == "tree":
            step("unpacking")
            tree.unpack(files / TREE, _site_packages(environment), listing.unpacked)
        else:
            step("installing its wheels")
            _install_wheels(environment, sorted(files / file.name for file in listing.files))
        _write_launcher(environment, final / VENV)
        _move_scripts(environment, final / VENV)
    step("compiling")
    _compile(environment, final / VENV)


def python_of(home: Path) -> Path:
    return home / VENV / "bin" / "python"


def _site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _install_wheels(environment: Path, wheels: Sequence[Path]) -> None:
    python = str(environment / "bin" / "python")
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-I", "-m", "pip", "--python", python]
    else:
        run([python, "-I", "-m", "ensurepip"], "pip cannot be had")
        pip = [python, "-I", "-m", "pip"]
    folder = str(wheels[0].parent)
    options = ["--isolated", "--no-index", "--find-links", folder, "--no-cache-dir", "--disable-pip-version-check",
               "--no-compile", "--no-input", "--quiet"]  # fmt: skip
    run([*pip, "install", *options, *map(str, wheels)], "its wheels do not install")
    run([*pip, "check", "--disable-pip-version-check"], "its wheels do not fit each other")


def _write_launcher(environment: Path, final: Path) -> None:
    """What units call. A wheel's own script does the same; a tree has none."""
    script = environment / "bin" / "limpid"
    if not script.exists():
        script.write_text(LAUNCHER.format(python=final / "bin" / "python"))
        script.chmod(0o755)


def _move_scripts(environment: Path, final: Path) -> None:
    old, new = os.fsencode(environment), os.fsencode(final)
    for path in (*(environment / "bin").iterdir(), environment / "pyvenv.cfg"):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_SCRIPT:
            continue
        content = path.read_bytes()
        if old in content:
            path.write_bytes(content.replace(old, new))


def _compile(environment: Path, final: Path) -> None:
    """Units may not write where they are installed: what is not compiled now would be at each start. A module that no
    Python can compile (some packages ship one) is nobody's fault here."""
    line = [str(environment / "bin" / "python"), "-I", "-m", "compileall", "-q", "-s", str(environment), "-p",
            str(final), str(environment / "lib")]  # fmt: skip
    with contextlib.suppress(UpdateRefused):
        run(line, "it does not compile")


def run(line: Sequence[str], trouble: str) -> str:
    """A process to its end; what it says on stdout. Raises UpdateRefused with the end of what it said."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "TZ") if name in os.environ}
    environment["PIP_CONFIG_FILE"] = os.devnull
    try:
        done = subprocess.run(
            line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=LONGEST_S, check=False, preexec_fn=give_way,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UpdateRefused(f"{trouble}: not done in {LONGEST_S / 60:g} minutes") from error
    except OSError as error:
        raise LimpidError(f"{line[0]}: {error.strerror}") from error
    if done.returncode:
        said = [text for text in (done.stderr + done.stdout).splitlines() if text.strip()]
        raise UpdateRefused(f"{trouble}: {' | '.join(said[-3:])[:600] or f'status {done.returncode}'}")
    return done.stdout


# ------------------------------------------------ what was installed


def sums(home: Path) -> dict[str, str]:
    """Path -> SHA-256, or where a link leads, of everything in a version but what Python caches."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(home):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted([*names, *(one for one in folders if Path(folder, one).is_symlink())]):
            path = Path(folder, name)
            found[path.relative_to(home).as_posix()] = _sum(path)
    return found


def _sum(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def free_bytes(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@contextlib.contextmanager
def _readable_by_all() -> Generator[None, None, None]:
    """The daemon is another user than whoever installs."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)
