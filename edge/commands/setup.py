"""`limpid setup`: makes what an appliance needs before it meets the network, where it is missing. No default secrets.

Each step says whether its thing was there, was made, or would be made; to run it again changes nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge import config as configs
from edge.access.certificate import self_signed
from edge.access.curve import ClientKey, fingerprint, load_client, load_pair, new_pair, save
from edge.access.homes import Home, home_of
from edge.commands.keys import Desk, now
from edge.config import Config, parse_section
from edge.durable import make_folder, write_durably
from edge.errors import ConfigError
from edge.outbox.settings import Settings
from edge.places import console_folder

OWN_NAME = "appliance"
PlanOf = Callable[[Config], "Plan"]


@dataclass(frozen=True, slots=True)
class Step:
    what: str
    state: str  # there, made, would be made
    detail: str
    configure: str = ""  # what the configuration does not say yet


@dataclass(frozen=True, slots=True)
class Plan:
    config: Config
    dry_run: bool
    seal: bool
    names: tuple[str, ...]  # of this host, for the certificate

    def make(self, there: bool, act: Callable[[], None]) -> str:
        if there:
            return "there"
        if not self.dry_run:
            act()
        return "would be made" if self.dry_run else "made"


def run(path: Path | None, plan_of: PlanOf, *, new_token: bool, as_json: bool) -> int:
    plan = plan_of(configs.load(path))
    _refuse_half_a_pair(*_console_pair(plan.config))  # before anything is made
    steps = [step for part in (_server_key, _own_key, _seal_key, _certificate) for step in part(plan)]
    lines = [step.configure for step in steps if step.configure]
    token = _first_token(plan, anew=new_token)
    if as_json:
        facts: dict[str, Any] = {
            "steps": [{"what": one.what, "state": one.state, "detail": one.detail} for one in steps],
            "configure": lines, "token": token,
        }  # fmt: skip
        print(json.dumps(facts))
        return 0
    for step in steps:
        print(f"{step.what:20} {step.state:14} {step.detail}")
    if lines:
        print("\nto be written into the configuration:\n" + "\n".join(lines))
    if token:
        print(f"\none-time token for the console's first administrator, good for a day, shown only now:\n{token}")
    return 0


def _first_token(plan: Plan, *, anew: bool) -> str:
    """While nobody can log in, and none waits already. Empty: none was made."""
    if plan.dry_run or find_spec("argon2") is None:
        return ""
    from edge.commands.console import users_of
    from edge.console.access.first import FirstToken

    first = FirstToken(console_folder(plan.config))
    if users_of(plan.config).all() or (first.waits and not anew):
        return ""
    return first.make()


def _server_key(plan: Plan) -> Iterator[Step]:
    home = home_of(plan.config)

    def make() -> None:
        pair = new_pair()
        save(home.server, pair)
        Desk(home, as_json=True).note("keys-made", fingerprint(pair.public))

    yield Step("server key", plan.make(home.server.exists(), make), str(home.server))


def _own_key(plan: Plan) -> Iterator[Step]:
    """For the console, the panel and the commands of this host."""
    home = home_of(plan.config)

    def make() -> None:
        if not home.own.exists():
            pair, server = new_pair(), load_pair(home.server).public
            save(home.own, ClientKey(pair.public, pair.secret, server, name=OWN_NAME, role="operator"))
        public = load_client(home.own).public  # cut off here, the next run enrols it
        home.register.enrol(OWN_NAME, public, "operator", now())
        Desk(home, as_json=True).note("client-enrolled", OWN_NAME, role="operator", key=fingerprint(public))

    yield Step("this host's key", plan.make(_is_enrolled(home), make), str(home.own))


def _is_enrolled(home: Home) -> bool:
    """Raises ConfigError for a key that is none, or that opens nothing any more."""
    if not home.own.exists():
        return False
    public, enrolled = load_client(home.own).public, home.register.read()
    if fingerprint(public) in enrolled.revoked:
        raise ConfigError(f"this host's key {home.own} was revoked here: remove it, and a new one is made")
    return public in enrolled.clients


def _seal_key(plan: Plan) -> Iterator[Step]:
    settings = parse_section(plan.config.outbox, Settings, "outbox")
    if settings.key_credential or not (plan.seal or settings.key_file):
        return
    path = Path(settings.key_file) if settings.key_file else home_of(plan.config).folder / "outbox.key"
    if not path.exists() and settings.place.is_dir() and any(settings.place.iterdir()):
        raise ConfigError(f"the outbox {settings.place} holds captures already: a seal has to be there from the start")
    state = plan.make(path.exists(), lambda: _write(path, secrets.token_bytes(32)))
    yield Step("outbox seal", state, str(path), "" if settings.key_file else f'[outbox]\nkey_file = "{path}"')


def _certificate(plan: Plan) -> Iterator[Step]:
    certificate, key = _console_pair(plan.config)

    def make() -> None:
        public, private = self_signed(plan.names)
        _write(key, private)
        _write(certificate, public)

    state = plan.make(certificate.exists() and key.exists(), make)
    lines = "" if plan.config.console.certificate else f'[console]\ncertificate = "{certificate}"\nkey = "{key}"'
    yield Step("console certificate", state, f"{certificate}, for {', '.join(plan.names)}", lines)


def _console_pair(config: Config) -> tuple[Path, Path]:
    console, home = config.console, home_of(config).folder
    certificate = Path(console.certificate) if console.certificate else home / "console.pem"
    return certificate, Path(console.key) if console.key else home / "console.key"


def _refuse_half_a_pair(certificate: Path, key: Path) -> None:
    """One of them may be the hospital's, and the other's name mistyped: neither is written over."""
    for missing, there in ((certificate, key), (key, certificate)):
        if there.exists() and not missing.exists():
            raise ConfigError(
                f"{missing} is missing, while {there} is there: put it there, or correct [console] certificate and "
                "key; they are made only where both are missing"
            )


def _write(path: Path, content: bytes) -> None:
    try:
        make_folder(path.parent)
        write_durably(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
