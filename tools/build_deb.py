"""`make deb`: one Debian package with everything that an appliance runs, made with pip and dpkg-deb alone.

    python3 tools/build_deb.py [--python /usr/bin/python3] [--out dist]

What is in it:

    /opt/limpid/versions/VERSION/venv/     a virtual environment over the system's Python; locked versions
    /usr/lib/systemd/system/               the units
    /usr/lib/sysusers.d, /usr/lib/tmpfiles.d
    /usr/share/limpid/limpid.toml          the example; copied to /etc/limpid where there is no configuration yet

Nothing is compiled and nothing is fetched when it is installed. It runs on the minor version of Python it was
built with, and says so in its dependencies. Needs only the standard library.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = "console,panel,igtl,dicom"
SOURCES = "crcmod"  # there are no wheels of it; it is built here, with or without a compiler
# An appliance installs nothing into itself, and reports to nobody how OpenVINO is used.
UNUSED = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "openvino_telemetry")
CONTROL = """\
Package: limpid
Version: {version}
Architecture: {architecture}
Maintainer: Limpid <limpid@localhost>
Depends: python3 (>= {python}), python3 (<< {next_python}), systemd (>= 252), libstdc++6, libc6, zlib1g
Recommends: libgbm1, libegl1, libgles2, libgl1-mesa-dri, chrony | systemd-timesyncd
Section: science
Priority: optional
Installed-Size: {size}
Description: edge appliance for point-of-care imaging
 Takes ultrasound or fluoroscopy frames over ZeroMQ, enhances them before the next one is due, shows them, and brings
 captures to the archive. What is late or faulty is shown as the original, and says so.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--python", default="/usr/bin/python3", help="the Python it is to run on (default: Debian's own)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder to write to")
    parser.add_argument("--fast", action="store_true", help="compress little: for tests")
    asked = parser.parse_args()
    print(build(asked.python, asked.out.resolve(), fast=asked.fast))
    return 0


def build(python: str, out: Path, *, fast: bool = False) -> Path:
    version = version_of(ROOT)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="limpid-deb-") as scratch:
        tree = Path(scratch) / "tree"
        home = tree / "opt/limpid/versions" / version
        make_environment(python, home / "venv", Path(scratch))
        slim(home / "venv")
        relocate(home / "venv", Path("/opt/limpid/versions") / version / "venv")
        compile_all(home / "venv", Path("/opt/limpid/versions") / version / "venv")
        lay_system_files(tree)
        write_control(tree, python, version)
        package = out / f"limpid_{version}_{architecture()}.deb"
        pack = ["-Zgzip", "-z1"] if fast else ["-Zxz", "-z6"]
        run("dpkg-deb", "--root-owner-group", *pack, "--build", str(tree), str(package))
    return package


def version_of(root: Path) -> str:
    found = re.search(r'^version = "([^"]+)"', (root / "pyproject.toml").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("pyproject.toml has no version")
    return found[1]


def architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


# ------------------------------------------------ the environment


def make_environment(python: str, venv: Path, scratch: Path) -> None:
    """Ourselves, and every dependency at its locked version."""
    run(python, "-m", "venv", str(venv))
    pip = [str(venv / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = scratch / "wheels"
    run(*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    (own,) = wheels.glob("limpid_edge-*.whl")
    constraints = scratch / "constraints.txt"
    constraints.write_text(pins((ROOT / "requirements-dev.lock").read_text()))
    run(*pip, "install", "--only-binary=:all:", f"--no-binary={SOURCES}", "-c", str(constraints), f"{own}[{EXTRAS}]")


def pins(lock: str) -> str:
    """`name==version ; marker` of a lock file, as constraints."""
    lines = (line.removesuffix("\\").strip() for line in lock.splitlines())
    return "".join(f"{line}\n" for line in lines if re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*==", line))


def slim(venv: Path) -> None:
    site = site_of(venv)
    for name in UNUSED:
        for path in [site / name, *site.glob(f"{name}-*.dist-info")]:
            shutil.rmtree(path, ignore_errors=True)
    (site / "distutils-precedence.pth").unlink(missing_ok=True)
    for path in (venv / "bin").iterdir():
        if path.name.startswith(("pip", "activate", "Activate")):
            path.unlink()
    for path in list(site.rglob("__pycache__")):  # made for where this was built
        shutil.rmtree(path)


def site_of(venv: Path) -> Path:
    (site,) = (venv / "lib").glob("python3*/site-packages")
    return site


def relocate(venv: Path, final: Path) -> None:
    """Made in one place, run in another: what names the place is the first line of each program and pyvenv.cfg."""
    for path in (venv / "bin").iterdir():
        if path.is_symlink():
            continue
        content = path.read_bytes()
        if content.startswith(b"#!") and b"python" in content.split(b"\n", 1)[0]:
            path.write_bytes(f"#!{final}/bin/python3\n".encode() + content.split(b"\n", 1)[1])
    for name in ("python", "python3"):
        (venv / "bin" / name).unlink(missing_ok=True)
        (venv / "bin" / name).symlink_to("/usr/bin/python3")
    config = venv / "pyvenv.cfg"
    kept = [line for line in config.read_text().splitlines() if not line.startswith(("command", "executable"))]
    config.write_text("\n".join(kept) + "\n")
    lib64 = venv / "lib64"
    if lib64.is_symlink():
        lib64.unlink()


def compile_all(venv: Path, final: Path) -> None:
    """Where it runs it may not write: without this every start would compile everything anew."""
    run(
        str(venv / "bin/python3"), "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash",
        "-s", str(venv), "-p", str(final), str(site_of(venv)),
    )  # fmt: skip


# ------------------------------------------------ the system's files


def lay_system_files(tree: Path) -> None:
    units = tree / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for path in sorted((ROOT / "systemd").glob("limpid*.service")) + sorted((ROOT / "systemd").glob("limpid*.target")):
        shutil.copy(path, units)
    for source, place in (
        ("limpid.sysusers", "usr/lib/sysusers.d/limpid.conf"),
        ("limpid.tmpfiles", "usr/lib/tmpfiles.d/limpid.conf"),
        ("limpid.toml", "usr/share/limpid/limpid.toml"),
        ("README.md", "usr/share/doc/limpid/README.md"),
    ):
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "systemd" / source, tree / place)
    shutil.copy(ROOT / "LICENSE", tree / "usr/share/doc/limpid/copyright")
    shutil.copytree(ROOT / "systemd/drop-ins", tree / "usr/share/doc/limpid/drop-ins")
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/limpid").symlink_to("/opt/limpid/current/venv/bin/limpid")
    for path in tree.rglob("*"):
        if not path.is_symlink() and path.is_relative_to(tree / "usr"):
            path.chmod(0o755 if path.is_dir() else 0o644)


def write_control(tree: Path, python: str, version: str) -> None:
    control = tree / "DEBIAN"
    control.mkdir()
    asked = "import sys; print('%d.%d 3.%d' % (*sys.version_info[:2], sys.version_info[1] + 1))"
    this, after = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    size = sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir()) // 1024
    facts = {"version": version, "architecture": architecture(), "python": this, "next_python": after, "size": size}
    (control / "control").write_text(CONTROL.format(**facts))
    for path in (ROOT / "tools/debian").iterdir():
        script = control / path.name
        script.write_text(path.read_text().replace("@VERSION@", version))
        script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    for path in tree.rglob("*"):  # whatever umask this was built under
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        elif not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o755 | 0o444)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
