"""Keys and the list of clients: what is let in, what is refused, and what may not be read by others."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
import zmq
from cryptography import x509

from edge.access.certificate import self_signed
from edge.access.curve import ClientKey, load_client, load_pair, load_public, new_pair, save
from edge.access.doors import Door
from edge.access.homes import is_beyond_this_host, needs_keys, own_key
from edge.access.register import CONTROL, EVENTS, FRAMES, PICTURES, ROLES, Register
from edge.client import connect
from edge.config import Config, Keys
from edge.console.access.first import GOOD_FOR_S, FirstToken
from edge.errors import ConfigError

NOW = "2026-01-01T00:00:00+00:00"
DOORS = {FRAMES, PICTURES, CONTROL, EVENTS}


@pytest.mark.parametrize(
    ("role", "doors"),
    [
        ("scanner", {FRAMES}),
        ("display", {PICTURES, EVENTS}),
        ("viewer", {PICTURES, EVENTS}),
        ("operator", {PICTURES, EVENTS, CONTROL}),
    ],
)
def test_a_role_opens_its_doors_and_no_others(tmp_path: Path, role: str, doors: set[str]) -> None:
    register, key = Register(tmp_path), new_pair().public
    register.enrol("one", key, role, NOW)
    enrolled = register.read()
    assert {door for door in DOORS if not enrolled.judge(door, key).refused} == doors
    assert {enrolled.judge(door, key).refused for door in DOORS - doors} == {"wrong-role"}


def test_a_stranger_opens_nothing(tmp_path: Path) -> None:
    assert {Register(tmp_path).read().judge(door, new_pair().public).refused for door in DOORS} == {"not-enrolled"}


def test_a_revoked_key_stays_out_also_under_another_name(tmp_path: Path) -> None:
    register, key = Register(tmp_path), new_pair().public
    register.enrol("one", key, "scanner", NOW)
    register.revoke("one", NOW)
    assert register.read().judge(FRAMES, key).refused == "revoked"
    with pytest.raises(ConfigError, match="was revoked here"):
        register.enrol("two", key, "scanner", NOW)
    register.enrol("one", new_pair().public, "scanner", NOW)  # the name may be used again, with a new key


def test_a_mark_that_cannot_be_read_still_keeps_the_key_out(tmp_path: Path) -> None:
    register, key = Register(tmp_path), new_pair().public
    register.enrol("one", key, "scanner", NOW)
    register.revoke("one", NOW)
    for mark in (tmp_path / "revoked").iterdir():
        mark.write_text("torn")
    assert register.read().judge(FRAMES, key).refused == "revoked"


@pytest.mark.parametrize("content", ["", "{}", '{"public": "x", "role": "root", "since": ""}', "\udcff"])
def test_an_entry_that_cannot_be_read_lets_nobody_in_and_is_told(tmp_path: Path, content: str) -> None:
    register = Register(tmp_path)
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "one").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert register.read().unreadable == ("one",)
    assert not register.read().clients


@pytest.mark.parametrize("name", ["", "Room 3", "../x", "a" * 33, "-x"])
def test_names_are_small_and_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no name"):
        Register(tmp_path).enrol(name, new_pair().public, "scanner", NOW)


def test_unknown_roles_and_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=", ".join(ROLES)):
        Register(tmp_path).enrol("one", new_pair().public, "root", NOW)
    with pytest.raises(ConfigError, match="no CURVE public key"):
        Register(tmp_path).enrol("one", "short", "scanner", NOW)


def test_a_scanner_can_be_held_to_streams_and_nobody_else_sends_any(tmp_path: Path) -> None:
    register = Register(tmp_path)
    register.enrol("room-3", new_pair().public, "scanner", NOW, ("us-3", "us-3b"))
    register.enrol("room-4", new_pair().public, "scanner", NOW)
    with pytest.raises(ConfigError, match="a viewer sends no frames"):
        register.enrol("desk", new_pair().public, "viewer", NOW, ("us-3",))
    enrolled = register.read()
    assert [name for name in ("room-3", "room-4", "nobody") if enrolled.is_held(name)] == ["room-3"]
    assert [stream for stream in ("us-3", "us-3b", "us-4") if enrolled.may_send("room-3", stream)] == ["us-3", "us-3b"]
    assert enrolled.may_send("room-4", "us-3")
    register.revoke("room-3", NOW)
    assert not register.read().may_send("room-3", "us-3"), "what was on its way when it was revoked"


def test_a_change_is_seen_by_the_stamp(tmp_path: Path) -> None:
    register = Register(tmp_path)
    stamps = [register.stamp()]
    register.enrol("one", new_pair().public, "scanner", NOW)
    stamps.append(register.stamp())
    register.revoke("one", NOW)
    stamps.append(register.stamp())
    assert len(set(stamps)) == 3


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    pair = new_pair()
    save(tmp_path / "state/keys/server.key", pair)
    save(tmp_path / "client.key", ClientKey(pair.public, pair.secret, new_pair().public))
    assert (tmp_path / "state/keys").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "state/keys/server.key", tmp_path / "client.key"):
        assert path.stat().st_mode & 0o777 == 0o600
        for mode in (0o640, 0o604, 0o660):
            path.chmod(mode)
            with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
                (load_pair if path.name == "server.key" else load_client)(path)
    assert pair.secret not in repr(pair)


def test_a_file_whose_halves_do_not_belong_together_is_none(tmp_path: Path) -> None:
    save(tmp_path / "mixed", ClientKey(new_pair().public, new_pair().secret, new_pair().public))
    with pytest.raises(ConfigError, match="do not belong together"):
        load_client(tmp_path / "mixed")
    assert load_public(tmp_path / "mixed")


@pytest.mark.parametrize(
    ("address", "beyond"),
    [
        ("ipc:///run/limpid/frames", False),
        ("inproc://x", False),
        ("tcp://127.0.0.1:5570", False),
        ("tcp://127.9.9.9:5570", False),
        ("tcp://[::1]:5570", False),
        ("tcp://localhost:5570", False),
        ("tcp://*:5570", True),
        ("tcp://0.0.0.0:5570", True),
        ("tcp://[::]:5570", True),
        ("tcp://10.0.0.5:5570", True),
        ("tcp://eth0:5570", True),
    ],
)
def test_which_addresses_others_can_reach(address: str, beyond: bool) -> None:
    assert is_beyond_this_host(address) is beyond
    assert needs_keys(Config(), address) is beyond
    assert needs_keys(Config(keys=Keys(loopback=True)), address) is address.startswith("tcp://")


def test_nothing_is_bound_beyond_this_host_without_a_guard() -> None:
    with pytest.raises(ConfigError, match="limpid setup"):
        Door(_never_made, "tcp://0.0.0.0:0", FRAMES, "[source.zeromq] bind")


def _never_made() -> zmq.Socket[bytes]:
    raise AssertionError("a socket was made")


def test_nobody_connects_beyond_this_host_without_a_key(tmp_path: Path) -> None:
    socket = zmq.Context.instance().socket(zmq.PUSH)
    with pytest.raises(ConfigError, match="--key"):
        connect(socket, "tcp://192.0.2.1:5570", None)
    assert socket.closed
    with pytest.raises(ConfigError, match="limpid setup"):
        own_key(Config(keys=Keys(folder=str(tmp_path))), "tcp://0.0.0.0:5570")


def test_the_certificate_names_the_host_and_lasts_as_long_as_browsers_take_it() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    public, _ = self_signed(("cart-7", "10.0.0.5"), now)
    made = x509.load_pem_x509_certificate(public)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cart-7"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days <= 397


def test_the_first_token_opens_once_for_a_day_and_is_kept_as_a_hash(tmp_path: Path) -> None:
    clock = [1000.0]
    first = FirstToken(tmp_path, lambda: clock[0])
    assert not first.waits
    assert not first.opens("")
    token = first.make()
    assert token not in (tmp_path / "first.json").read_text()
    assert (tmp_path / "first.json").stat().st_mode & 0o777 == 0o600
    assert first.opens(token)
    assert not first.opens(token + "x")
    clock[0] += GOOD_FOR_S
    assert not first.opens(token)
    assert not first.waits
    newer = first.make()
    assert not first.opens(token)
    first.spend()
    assert not first.opens(newer)
