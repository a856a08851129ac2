"""A daemon on TCP takes nothing from, and tells nothing to, whoever has no key, the wrong one, or no right."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from edge.access.curve import ClientKey, new_pair, save
from edge.client import Control, Viewer
from edge.errors import SourceUnavailable
from tests.system.c_client import build
from tests.system.locked import SINCE, Locked, Probe, Wire, locked
from tests.system.process import ROOT, wait_until
from tools.clients.python import limpid_client as client


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    # Each test has a stream of its own, and a silent one keeps its place for 10 s.
    with locked(tmp_path_factory.mktemp("locked"), "[live]\nmax_streams = 32\n") as made:
        yield made


def refusals(daemon: Locked, door: str, *reasons: str) -> int:
    refused = daemon.refused(door)
    return sum(refused.get(reason, 0) for reason in reasons)


# One without a key sees at once that one is asked for, and may be gone before the daemon has seen that it has none.
REASONS = {"plain": ("no-key", "broken-off"), "wrong-server": ("undecipherable",), "stranger": ("not-enrolled",)}


def told(daemon: Locked, event: str, **facts: str) -> bool:
    return any(one["event"] == event and facts.items() <= one.items() for one in daemon.events())


def test_each_client_may_do_what_its_role_says(daemon: Locked) -> None:
    scanner, viewer = daemon.client("scan-1", "scanner"), daemon.client("view-1", "viewer")
    probe, sees = Probe(daemon.frames, "one", scanner), Viewer(daemon.pictures, "one", key=viewer)
    try:
        probe.push_until(lambda: sees.next(0.02) is not None, "a picture is seen", daemon)
        assert daemon.status()["access"]["frames"]["let_in"] == ["scan-1"]
    finally:
        probe.close()
        sees.close()


@pytest.mark.parametrize("door", ["frames", "pictures", "control", "events"])
@pytest.mark.parametrize("who", ["plain", "wrong-server", "stranger", "wrong-role", "revoked"])
def test_everybody_else_is_refused_and_counted(daemon: Locked, door: str, who: str) -> None:
    name = f"{who}-{door}"
    reasons = REASONS.get(who, (who,))
    key: ClientKey | None = daemon.stranger()
    if who == "plain":
        key = None
    elif who == "wrong-server":
        key = ClientKey(key.public, key.secret, new_pair().public)
    elif who == "wrong-role":
        key = daemon.client(name, "viewer" if door in ("frames", "control") else "scanner")
    elif who == "revoked":
        key = daemon.client(name, "scanner" if door == "frames" else "operator")
        daemon.keys.register.revoke(name, SINCE)
    before = refusals(daemon, door, *reasons)
    caller = Probe(daemon.at[door], name, key) if door == "frames" else Viewer(daemon.at[door], key=key)
    try:
        wait_until(lambda: refusals(daemon, door, *reasons) > before, f"{who} at {door} is counted", daemon)
        if who != "plain" or door == "frames":
            heard = caller.pusher.refusal if door == "frames" else caller.refusal
            wait_until(lambda: bool(heard()), "the caller hears", daemon)
        assert door != "frames" or not caller.push(), "there is nobody to take a frame"
    finally:
        caller.close()
    assert name not in daemon.status()["streams"]


def test_refusals_are_events(daemon: Locked) -> None:
    def knock() -> bool:  # events are limited to a few a second: so again and again, until one is told
        Probe(daemon.frames, "nobody", daemon.stranger()).close()
        stranger = Viewer(daemon.pictures, key=daemon.stranger())
        time.sleep(0.3)
        stranger.close()
        return told(daemon, "access.refused", door="pictures", reason="not-enrolled")

    wait_until(knock, "the event", daemon)


def test_a_command_says_why_it_was_refused(daemon: Locked) -> None:
    for key, words in ((None, "asks for a key"), (daemon.stranger(), "does not let this key in")):
        with pytest.raises(SourceUnavailable, match=words):
            Control(daemon.at["control"], timeout_s=20, key=key).ask("status")


def test_a_viewer_that_is_revoked_sees_nothing_more_and_the_others_go_on(daemon: Locked) -> None:
    scanner = daemon.client("scan-2", "scanner")
    good, bad = daemon.client("view-good", "viewer"), daemon.client("view-bad", "viewer")
    probe = Probe(daemon.frames, "two", scanner)
    sees, saw = Viewer(daemon.pictures, "two", key=good), Viewer(daemon.pictures, "two", key=bad)
    try:
        for viewer in (sees, saw):
            probe.push_until(lambda viewer=viewer: viewer.next(0.02) is not None, "a picture is seen", daemon)
        daemon.keys.register.revoke("view-bad", SINCE)
        probe.push_until(lambda: told(daemon, "access.cut", door="pictures", client="view-bad"), "it is cut", daemon)

        def knocks_in_vain() -> bool:
            while saw.next(0.0) is not None:
                pass  # what it had received before; libzmq sees that it is cut off only once there is room again
            return refusals(daemon, "pictures", "revoked") > 0

        probe.push_until(knocks_in_vain, "it knocks again, in vain", daemon)
        probe.push_until(lambda: sees.next(0.02) is not None and probe.seq % 25 == 0, "the other sees", daemon)
        assert saw.next(0.0) is None
    finally:
        probe.close()
        sees.close()
        saw.close()


def test_of_a_scanner_that_is_revoked_nothing_more_is_taken(daemon: Locked) -> None:
    probe = Probe(daemon.frames, "three", daemon.client("scan-3", "scanner"))
    try:
        probe.push_until(lambda: daemon.came("three")["in"] > 0, "frames come", daemon)
        before = refusals(daemon, "frames", "revoked")
        daemon.keys.register.revoke("scan-3", SINCE)
        probe.push_until(lambda: refusals(daemon, "frames", "revoked") > before, "it was cut off", daemon)
        came = daemon.came("three")["in"]
        taken = [probe.push() for _ in range(20)]
        assert not any(taken)
        assert daemon.came("three")["in"] == came
    finally:
        probe.close()


def test_what_was_heard_on_the_wire_opens_nothing_when_it_is_played_again(daemon: Locked) -> None:
    cable = Wire(daemon.frames)
    probe = Probe(cable.address, "four", daemon.client("scan-4", "scanner"))
    try:
        probe.push_until(lambda: daemon.came("four")["in"] > 3, "frames come", daemon)
        probe.close()
        came, before = daemon.came("four")["in"], daemon.refused("frames")
        host, port = daemon.frames.removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port))) as thief:
            thief.sendall(bytes(cable.heard[0]))
            thief.settimeout(30)
            with contextlib.suppress(ConnectionError):
                while thief.recv(4096):
                    pass  # it is hung up on
        wait_until(lambda: daemon.refused("frames") != before, "it is counted", daemon)
        assert daemon.came("four")["in"] <= came + 1, "nothing but what was on its way"
        assert daemon.status()["access"]["frames"]["let_in"].count("scan-4") == 1
    finally:
        cable.close()


def test_a_bit_that_was_turned_on_the_way_ends_the_connection_and_no_frame_comes_of_it(daemon: Locked) -> None:
    cable = Wire(daemon.frames)
    probe = Probe(cable.address, "five", daemon.client("scan-5", "scanner"))
    try:
        probe.push_until(lambda: daemon.came("five")["in"] > 0, "frames come", daemon)
        before = refusals(daemon, "frames", "undecipherable")
        state = {"turned": False}

        def turn(at: int, data: bytes) -> bytes:
            if state["turned"]:
                return data
            state["turned"] = True
            middle = len(data) // 2
            return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]

        cable.alter = turn
        probe.push_until(lambda: refusals(daemon, "frames", "undecipherable") > before, "it is told", daemon)
        came = daemon.came("five")["in"]
        probe.push_until(lambda: daemon.came("five")["in"] > came, "a new connection goes on", daemon)
        assert not daemon.status()["refused"], "no message came through that was no frame"
    finally:
        probe.close()
        cable.close()


def test_noise_on_the_wire_costs_the_daemon_nothing(daemon: Locked) -> None:
    rng = random.Random(11)
    key = daemon.client("scan-6", "scanner")
    for _ in range(12):
        start, rate = rng.randrange(0, 3000), rng.choice((0.0005, 0.01, 0.3))

        def spoil(at: int, data: bytes, start: int = start, rate: float = rate) -> bytes:
            hit = bytearray(data)
            for place in range(len(hit)):
                if at + place >= start and rng.random() < rate:
                    hit[place] ^= 1 << rng.randrange(8)
            return bytes(hit)

        cable = Wire(daemon.frames, spoil)
        probe = Probe(cable.address, "six", key)
        until = time.monotonic() + 0.25
        while time.monotonic() < until:
            probe.push()
            time.sleep(0.01)
        probe.close()
        cable.close()
    assert daemon.process.poll() is None
    assert not daemon.status()["refused"], "no message came through that was no frame"


def test_a_number_that_comes_again_within_a_session_is_dropped_and_counted(daemon: Locked) -> None:
    probe = Probe(daemon.frames, "seven", daemon.client("scan-7", "scanner"))
    try:
        probe.push_until(lambda: daemon.came("seven")["in"] > 0, "frames come", daemon)
        last = probe.seq

        def again() -> bool:
            probe.push(last + 1)
            probe.push(last)  # at once after it: as long as the sender speaks, its numbers only rise
            probe.seq = last + 1
            return daemon.came("seven")["dropped"].get("backwards", 0) > 0

        wait_until(again, "it is counted", daemon)
    finally:
        probe.close()


def test_a_scanner_that_is_held_to_its_streams_sends_into_no_other(daemon: Locked) -> None:
    held = daemon.client("scan-held", "scanner", "room-8")
    own, other = (Probe(daemon.frames, stream, held) for stream in ("room-8", "room-9"))
    try:
        own.push_until(lambda: daemon.came("room-8")["in"] > 0, "frames of its own stream come", daemon)

        def refused() -> bool:
            return daemon.status()["refused"].get("not-its-stream", 0) > 2

        other.push_until(refused, "those of another are counted", daemon)
        assert daemon.came("room-9")["in"] == 0
        came = daemon.came("room-8")["in"]
        own.push_until(lambda: daemon.came("room-8")["in"] > came, "its own go on", daemon)
    finally:
        own.close()
        other.close()
    free = Probe(daemon.frames, "room-9", daemon.client("scan-free", "scanner"))
    try:
        free.push_until(lambda: daemon.came("room-9")["in"] > 0, "who is held to none may send into any", daemon)
    finally:
        free.close()


def test_every_command_reaches_the_daemon_with_its_key(daemon: Locked) -> None:
    own = ["--key", str(daemon.keys.own)]
    seen = _limpid(*own, "watch", "--once", "--json", "--control", daemon.at["control"])
    assert "access" in json.loads(seen.stdout)
    refused = _limpid("watch", "--once", "--json", "--control", daemon.at["control"])
    assert refused.returncode == 1
    assert "--key FILE" in refused.stderr


def test_a_c_client_streams_with_its_key(daemon: Locked, tmp_path: Path) -> None:
    clients = build(tmp_path)
    key = daemon.client("scan-c", "scanner")
    save(tmp_path / "scan.key", key)
    arguments = [daemon.frames, "320", "240", "60", "60", "in-c"]
    run = subprocess.run(
        [str(clients.send_frames), *arguments], capture_output=True, text=True, timeout=50,
        env={"LIMPID_KEY": str(tmp_path / "scan.key")},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "handed_over=0" not in run.stdout
    wait_until(lambda: daemon.came("in-c")["in"] > 0, "its frames come", daemon)
    (tmp_path / "scan.key").chmod(0o644)
    run = subprocess.run(
        [str(clients.send_frames), *arguments], capture_output=True, text=True, timeout=50,
        env={"LIMPID_KEY": str(tmp_path / "scan.key")},
    )  # fmt: skip
    assert run.returncode != 0
    assert "chmod 600" in run.stderr


def test_the_python_client_speaks_with_its_key(daemon: Locked, tmp_path: Path) -> None:
    for name, role in (("py-scan", "scanner"), ("py-view", "viewer"), ("py-op", "operator")):
        save(tmp_path / name, daemon.client(name, role))
    sender = client.Sender(client.Scan(stream="py"), daemon.frames, key=str(tmp_path / "py-scan"))
    viewer = client.Viewer(daemon.pictures, "py", key=str(tmp_path / "py-view"))
    pixels = np.full((96, 128), 90, np.uint8)
    with sender, viewer, client.Control(daemon.at["control"], 20, key=str(tmp_path / "py-op")) as control:
        wait_until(lambda: sender.send(pixels) is not None and viewer.next(0.05) is not None, "a picture", daemon)
        assert "py" in control.status()["streams"]
    (tmp_path / "py-op").chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        client.Control(daemon.at["control"], key=str(tmp_path / "py-op"))


def test_the_key_changes_in_two_steps_and_nobody_is_locked_out(tmp_path: Path) -> None:
    with locked(tmp_path / "rotating") as daemon:
        config = ["--config", str(daemon.home / "limpid.toml"), "--json"]
        old = daemon.client("old", "viewer")
        begun = json.loads(_limpid("keys", "rotate", *config).stdout)
        both = ClientKey(old.public, old.secret, daemon.server, begun["next"])
        scanner = daemon.client("scan", "scanner")
        scanner = ClientKey(scanner.public, scanner.secret, daemon.server, begun["next"])
        probe, sees = Probe(daemon.frames, "s", scanner), Viewer(daemon.pictures, "s", key=both)
        try:
            probe.push_until(lambda: sees.next(0.02) is not None, "a picture under the old key", daemon)
            daemon.operator = ClientKey(daemon.operator.public, daemon.operator.secret, daemon.server, begun["next"])
            assert daemon.status()["streams"]
            assert json.loads(_limpid("keys", "rotate", "--finish", *config).stdout)["state"] == "finished"
            wait_until(lambda: told(daemon, "access.key-changed"), "the daemon has it", daemon)
            while sees.next(0.0) is not None:
                pass
            probe.push_until(lambda: sees.next(0.02) is not None, "a picture under the new key", daemon)
            assert daemon.status()["streams"], "the operator is there too"
            stale = ClientKey(daemon.operator.public, daemon.operator.secret, daemon.server)
            with pytest.raises(SourceUnavailable):
                Control(daemon.at["control"], timeout_s=1, key=stale).ask("status")
            own = _limpid("--key", str(daemon.keys.own), "watch", "--once", "--json", "--control", daemon.at["control"])
            assert own.returncode == 0, own.stderr
        finally:
            probe.close()
            sees.close()


def test_every_file_that_a_run_leaves_is_for_its_owner_alone(daemon: Locked) -> None:
    probe = Probe(daemon.frames, "stored", daemon.client("scan-8", "scanner"))
    try:
        probe.push_until(lambda: daemon.came("stored")["in"] > 5, "frames come", daemon)
        stored = daemon.control.ask("capture-still", stream="stored")["captures"]
    finally:
        probe.close()
    ours = {"limpid.toml", "log"}  # written by this test, not by the daemon
    left = {path: path.stat().st_mode & 0o777 for path in daemon.home.rglob("*") if path.name not in ours}
    names = {str(path.relative_to(daemon.home)): oct(mode) for path, mode in left.items()}
    assert any(stored[0] in name for name in names), names
    assert {name: mode for name, mode in names.items() if int(mode, 8) & 0o077} == {}, "open to others"
    assert {oct(mode) for path, mode in left.items() if path.is_dir()} == {"0o700"}


def _limpid(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=50
    )


def test_zeromq_here_has_curve() -> None:
    assert zmq.has("curve")
