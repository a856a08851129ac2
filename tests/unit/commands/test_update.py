"""Commands about versions: whom they ask, and what they say."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from rich.console import Console

from edge.access.curve import ClientKey, new_pair, save
from edge.clock import ManualClock
from edge.commands import update, update_view
from edge.commands.support_parts import Asked, NotHere, status
from edge.errors import ConfigError
from edge.signing import make_key
from edge.update import bundle
from edge.update.processes import Nothing
from edge.update.settling import Outcome, Settling
from edge.update.store import VersionStore
from tests.update_bench import bench_at

TRIES = 20  # of a few seconds each: this machine may be busy

# ------------------------------------------------ a control socket that asks for a key


class Locked(threading.Thread):
    """A daemon's control socket that opens with CURVE alone, on all addresses of this machine."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.server, self.own = new_pair(), new_pair()
        self._done = threading.Event()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.CURVE_SERVER, 1)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, self.server.secret.encode())
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.keys = home / "keys"
        self.config = home / "limpid.toml"
        self.config.write_text(f'[sockets]\ncontrol = "tcp://0.0.0.0:{port}"\n[keys]\nfolder = "{self.keys}"\n')

    def give_key(self) -> None:
        save(self.keys / "own.key", ClientKey(self.own.public, self.own.secret, self.server.public))

    def run(self) -> None:
        answer = {"ok": True, "version": "2.0", "pid": 7, "streams": {}}
        while not self._done.is_set():
            if self._socket.poll(20):
                self._socket.recv()
                self._socket.send_json(answer)

    def close(self) -> None:
        self._done.set()
        self.join()
        self._socket.close()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Locked]:
    daemon = Locked(tmp_path)
    daemon.start()
    yield daemon
    daemon.close()


def test_a_trial_is_watched_through_a_control_socket_that_asks_for_a_key(locked: Locked, tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "opt", tmp_path / "var", bundle.keyring(tmp_path), "test")
    live = update.Live(locked.config)
    settling = Settling(store, Nothing(), live, ManualClock(), lambda _what: None, threading.Event())
    assert "there is none at" in settling._look().silence
    locked.give_key()
    answered = next(look for _ in range(TRIES) if (look := settling._look()).version)
    assert (answered.version, answered.pid) == ("2.0", 7)


def test_a_support_bundle_has_the_status_behind_a_key_or_says_that_there_is_none(locked: Locked) -> None:
    with pytest.raises(NotHere, match="this host has none"):
        status(Asked.of(locked.config))
    locked.give_key()
    for _ in range(TRIES):
        with contextlib.suppress(NotHere):
            told: Any = status(Asked.of(locked.config))
            assert told["version"] == "2.0"
            return
    pytest.fail("no status, though there is a key")


def test_a_configuration_that_cannot_be_read_does_not_stand_in_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_at(tmp_path)
    for version in ("1.0", "2.0"):
        bench.stage(bench.update(version))
        bench.store.switch(version, None)
    (tmp_path / "limpid.toml").write_text("[nonsense]\n")
    monkeypatch.setattr(update.processes, "found", lambda _state: Nothing())
    assert update.roll_back(update.Desk(bench.store, tmp_path / "limpid.toml", as_json=True), "it flickers") == 0
    assert bench.store.current == "1.0"


# ------------------------------------------------ what they say


@pytest.mark.parametrize(("outcome", "exit_status"), [("held", 0), ("waits", 0), ("back", 3), ("interrupted", 4)])
def test_how_it_ended_is_the_exit_status(
    outcome: str, exit_status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = update.open_desk(tmp_path, tmp_path, tmp_path, None, as_json=True)
    assert update._ended(desk, Outcome(outcome, "2.0")) == exit_status
    assert json.loads(capsys.readouterr().out)["outcome"] == outcome


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_notes_that_cannot_be_read_are_told_in_a_line(tmp_path: Path, content: bytes | None) -> None:
    make_key(tmp_path / "key")
    if content is not None:
        (tmp_path / "news.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"news\.txt"):
        update.make(tmp_path, tmp_path / "key", tmp_path, "", f"@{tmp_path}/news.txt", as_json=True)


@pytest.mark.parametrize("notes", ["[red button] no longer double-fires", "paths moved to [/opt/limpid]"])
def test_notes_are_shown_as_their_maker_wrote_them(notes: str) -> None:
    desk: Any = SimpleNamespace(store=SimpleNamespace(root=Path("/opt/[limpid]")))
    row = {"version": "0.2.0", "states": ["staged"], "fault": "", "key": "8261b9a44f1fc202", "notes": notes}
    shown = io.StringIO()
    Console(file=shown, width=120).print(update_view._table(desk, [row]))
    assert notes in shown.getvalue()
    assert "/opt/[limpid]" in shown.getvalue()
