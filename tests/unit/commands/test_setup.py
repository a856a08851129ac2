"""What `limpid setup` makes, and what it never writes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.access.curve import load_client
from edge.access.homes import Home
from edge.access.register import Register
from edge.commands import setup
from edge.commands.setup import OWN_NAME
from edge.config import Config
from edge.errors import ConfigError

NAMES = ("cart-7", "127.0.0.1")


def site(home: Path, more: str = "") -> Path:
    config = home / "limpid.toml"
    config.write_text(f'[keys]\nfolder = "{home}/keys"\n[outbox]\nfolder = "{home}/outbox"\n{more}')
    return config


def set_up(config: Path, *, dry_run: bool = False) -> None:
    def plan_of(config: Config) -> setup.Plan:
        return setup.Plan(config, dry_run, seal=False, names=NAMES)

    assert setup.run(config, plan_of, new_token=False, as_json=True) == 0


def everything(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("missing", ["hospital.key", "hospital.pem"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_of_a_certificate_and_its_key_that_are_configured_neither_is_written_over(
    tmp_path: Path, missing: str, *, dry_run: bool
) -> None:
    config = site(tmp_path, f'[console]\ncertificate = "{tmp_path}/hospital.pem"\nkey = "{tmp_path}/hospital.key"\n')
    there = {"hospital.key": "hospital.pem", "hospital.pem": "hospital.key"}[missing]
    (tmp_path / there).write_text("the hospital's own")
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match=f"{missing} is missing, while .*{there} is there"):
        set_up(config, dry_run=dry_run)
    assert everything(tmp_path) == before


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    config = site(tmp_path)
    set_up(config)
    made = everything(tmp_path / "keys")
    set_up(config)
    assert everything(tmp_path / "keys") == made
    assert {"server.key", "own.key", "console.pem", "console.key"} <= {path.name for path in made}


def test_cut_off_between_the_key_of_this_host_and_its_enrolment_the_next_run_enrols_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, home = site(tmp_path), Home(tmp_path / "keys")

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    for cut in ("edge.commands.setup.save", "edge.access.register.Register.enrol"):
        with monkeypatch.context() as patched:
            patched.setattr(cut, power_cut)
            with pytest.raises(KeyboardInterrupt):
                set_up(config)
    public = load_client(home.own).public
    set_up(config)
    assert load_client(home.own).public == public
    assert Register(home.folder).read().clients[public].name == OWN_NAME


def test_a_key_of_this_host_that_was_revoked_is_told_and_not_let_in_again(tmp_path: Path) -> None:
    config, home = site(tmp_path), Home(tmp_path / "keys")
    set_up(config)
    Register(home.folder).revoke(OWN_NAME, "2026-11-20T10:00:00+00:00")
    with pytest.raises(ConfigError, match="revoked here: remove it"):
        set_up(config)
    home.own.unlink()
    set_up(config)
    assert load_client(home.own).public in Register(home.folder).read().clients
