"""`limpid install` and `uninstall` into a root of a test's own: what is planned, what is done, what is left."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edge import __version__
from edge.commands import install as command
from edge.commands.install_plan import PLACES, UNITS, Ground, Purge, Step, plan_install, plan_uninstall
from edge.config import load
from edge.errors import ConfigError

VENV = Path("/srv/limpid-venv")


def ground(root: Path, environment: Path = VENV) -> Ground:
    return Ground(root, command.shipped_folder(), environment, __version__)


def laid(root: Path) -> list[Step]:
    """Without systemd's own programs, which this machine may not have."""
    steps = [step for step in plan_install(ground(root)) if step.do != "run"]
    command._do(steps, command.Asked(root, VENV, dry_run=False, as_json=True))
    return steps


def everything(root: Path) -> dict[str, str]:
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_symlink() or path.is_file()}
    return {name: str(path.readlink()) if path.is_symlink() else path.read_text() for name, path in found.items()}


def test_what_is_laid_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    laid(tmp_path)
    found = everything(tmp_path)
    assert set(found) == {
        *PLACES.values(), "etc/limpid/limpid.toml", "opt/limpid/current", "opt/limpid/good", "usr/local/bin/limpid",
        f"opt/limpid/versions/{__version__}/venv",
    }  # fmt: skip
    assert found["opt/limpid/current"] == found["opt/limpid/good"] == f"versions/{__version__}"
    assert found[f"opt/limpid/versions/{__version__}/venv"] == str(VENV)
    load(tmp_path / "etc/limpid/limpid.toml")
    assert (tmp_path / "etc/limpid/limpid.toml").stat().st_mode & 0o777 == 0o640
    capsys.readouterr()


def test_a_second_time_changes_nothing_and_a_changed_configuration_is_kept(tmp_path: Path) -> None:
    laid(tmp_path)
    config, unit = tmp_path / "etc/limpid/limpid.toml", tmp_path / PLACES["limpid-live.service"]
    config.write_text("[live]\n")
    assert {step.do for step in laid(tmp_path)} == {"keep"}
    unit.write_text("[Service]\n")
    changed = [step for step in laid(tmp_path) if step.do != "keep"]
    assert [(step.do, step.path) for step in changed] == [("replace", str(unit))]
    assert config.read_text() == "[live]\n"


def test_the_last_version_that_held_is_left_as_updates_have_it(tmp_path: Path) -> None:
    good = tmp_path / "opt/limpid/good"
    (good.parent / "versions/0.0.1").mkdir(parents=True)
    good.symlink_to("versions/0.0.1")
    laid(tmp_path)
    assert str(good.readlink()) == "versions/0.0.1"


def test_a_link_to_a_version_that_is_gone_is_made_again(tmp_path: Path) -> None:
    good = tmp_path / "opt/limpid/good"
    good.parent.mkdir(parents=True)
    good.symlink_to("versions/0.0.1")
    laid(tmp_path)
    assert str(good.readlink()) == f"versions/{__version__}"


def test_a_dry_run_says_the_same_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = command.Asked(tmp_path, VENV, dry_run=True, as_json=True)
    assert command.install(asked, start=False) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dry_run"] is True
    assert [step["do"] for step in told["steps"]] == [step.do for step in plan_install(ground(tmp_path))]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/home/me/venv", "/root/venv", "/tmp/venv"])
def test_an_environment_that_the_units_cannot_see_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigError, match="cannot see"):
        plan_install(ground(tmp_path, Path(place)))


def test_beside_the_debian_package_it_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/systemd/system").mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/system/limpid.target").touch()
    for plan in (lambda: plan_install(ground(tmp_path)), lambda: plan_uninstall(ground(tmp_path), Purge())):
        with pytest.raises(ConfigError, match="apt remove limpid"):
            plan()


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "opt/limpid/current").mkdir(parents=True)
    with pytest.raises(ConfigError, match="in the way"):
        plan_install(ground(tmp_path))


def test_only_root_may_and_is_told_so() -> None:
    if os.geteuid() == 0:
        pytest.skip("this is root")
    with pytest.raises(ConfigError, match="sudo"):
        command.install(command.Asked(Path("/"), VENV, dry_run=False, as_json=True), start=False)


def taken_away(root: Path, purge: Purge) -> None:
    steps = [step for step in plan_uninstall(ground(root), purge) if step.do != "run"]
    command._do(steps, command.Asked(root, VENV, dry_run=False, as_json=True))


def with_a_capture(root: Path) -> Path:
    laid(root)
    capture = root / "var/lib/limpid/outbox/captures/20261120T191530.123456-4f2a91"
    capture.mkdir(parents=True)
    (capture / "1-original.dcm").write_text("pixels")
    return capture


def test_uninstalled_only_data_is_left(tmp_path: Path) -> None:
    capture = with_a_capture(tmp_path)
    own = tmp_path / "etc/systemd/system/limpid-live.service.d/mine.conf"
    own.parent.mkdir()
    own.write_text("[Service]\n")
    taken_away(tmp_path, Purge())
    assert set(everything(tmp_path)) == {
        "etc/limpid/limpid.toml", str(own.relative_to(tmp_path)),
        str((capture / "1-original.dcm").relative_to(tmp_path)),
    }  # fmt: skip


def test_captures_are_purged_only_when_said_twice(tmp_path: Path) -> None:
    capture = with_a_capture(tmp_path)
    with pytest.raises(ConfigError, match="holds 1 captures"):
        plan_uninstall(ground(tmp_path), Purge(data=True))
    assert capture.exists()
    taken_away(tmp_path, Purge(data=True, captures=True))
    assert everything(tmp_path) == {}


def test_an_image_gets_its_user_folders_and_enabled_units(tmp_path: Path) -> None:
    """With systemd's own programs, where they are."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("systemd-sysusers", "systemd-tmpfiles", "systemctl"))):
        pytest.skip("needs root and systemd's programs")
    assert command.install(command.Asked(tmp_path, VENV, dry_run=False, as_json=True), start=False) == 0
    assert "limpid:" in (tmp_path / "etc/passwd").read_text()
    assert (tmp_path / "var/lib/limpid").stat().st_mode & 0o777 == 0o750
    wanted = tmp_path / "etc/systemd/system/limpid.target.wants"
    assert {path.name for path in wanted.iterdir()} == set(UNITS) - {"limpid.target"}
    assert command.uninstall(command.Asked(tmp_path, VENV, dry_run=False, as_json=True), Purge()) == 0
    assert not wanted.exists() or not any(wanted.iterdir())
