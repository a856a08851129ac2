"""What makes the Debian package, as far as it goes without pip and dpkg-deb."""

from __future__ import annotations

from pathlib import Path

from edge import __version__
from edge.commands.install_plan import UNITS
from tools import build_deb

LOCK = """\
numpy==2.2.6 ; python_full_version < '3.11' \\
    --hash=sha256:0a30 \\
    --hash=sha256:7969
rich==15.0.0 \\
    --hash=sha256:1111
"""


def test_the_lock_becomes_constraints() -> None:
    assert build_deb.pins(LOCK) == "numpy==2.2.6 ; python_full_version < '3.11'\nrich==15.0.0\n"


def test_the_package_and_the_program_agree_on_the_version() -> None:
    assert build_deb.version_of(build_deb.ROOT) == __version__


def test_an_environment_names_the_place_where_it_will_run(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/limpid").write_text(f"#!{venv}/bin/python3\nimport edge\n")
    (venv / "bin/other").write_bytes(b"\x7fELF")
    (venv / "bin/python3").symlink_to("/usr/local/bin/python3")
    (venv / "bin/python3.11").symlink_to("python3")
    (venv / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = 3.11.2\ncommand = /usr/bin/python3 -m venv {venv}\n")
    build_deb.relocate(venv, Path("/opt/limpid/versions/1/venv"))
    assert (venv / "bin/limpid").read_text() == "#!/opt/limpid/versions/1/venv/bin/python3\nimport edge\n"
    assert (venv / "bin/other").read_bytes() == b"\x7fELF"
    assert str((venv / "bin/python3").readlink()) == "/usr/bin/python3"
    assert str(tmp_path) not in (venv / "pyvenv.cfg").read_text()


def test_the_systems_files_are_where_systemd_looks(tmp_path: Path) -> None:
    build_deb.lay_system_files(tmp_path)
    assert {path.name for path in (tmp_path / "usr/lib/systemd/system").iterdir()} == set(UNITS)
    assert (tmp_path / "usr/lib/sysusers.d/limpid.conf").exists()
    assert (tmp_path / "usr/share/limpid/limpid.toml").stat().st_mode & 0o777 == 0o644
    scripts = {path.name: path.read_text() for path in (build_deb.ROOT / "tools/debian").iterdir()}
    assert set(scripts) == {"postinst", "prerm", "postrm"}
    assert all(unit in scripts["postinst"] and unit in scripts["prerm"] for unit in UNITS)
    assert "rm -rf /var/lib/limpid" not in "".join(scripts.values())  # captures are nobody's to delete
