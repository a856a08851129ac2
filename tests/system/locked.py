"""A real daemon on TCP whose doors ask for keys, its clients, and a wire in between that can listen and lie."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge import wire
from edge.access.curve import ClientKey, new_pair, save
from edge.access.homes import Home
from edge.bench.run import free_ports
from edge.client import Control, Pusher
from edge.errors import SourceUnavailable
from edge.frame import Frame, Modality
from tests.system.process import LIGHT, ROOT, Daemon, wait_until

DOORS = ("frames", "pictures", "control", "events")
SINCE = "2026-01-01T00:00:00+00:00"


@dataclass
class Locked(Daemon):
    at: dict[str, str] = field(default_factory=dict)  # door -> address
    server: str = ""
    operator: ClientKey | None = None

    @property
    def keys(self) -> Home:
        return Home(self.home / "keys")

    @property
    def frames(self) -> str:
        return self.at["frames"]

    @property
    def pictures(self) -> str:
        return self.at["pictures"]

    @property
    def control(self) -> Control:
        return Control(self.at["control"], timeout_s=10, key=self.operator)

    def client(self, name: str, role: str, *streams: str) -> ClientKey:
        """A new client, enrolled."""
        key = self.stranger()
        self.keys.register.enrol(name, key.public, role, SINCE, streams)
        return key

    def stranger(self) -> ClientKey:
        pair = new_pair()
        return ClientKey(pair.public, pair.secret, self.server)

    def refused(self, door: str) -> dict[str, int]:
        return self.status()["access"][door]["refused"]

    def came(self, stream: str) -> dict[str, Any]:
        """What is counted of a stream; nothing where it was never heard of."""
        return self.status()["streams"].get(stream, {}).get("frames", {"in": 0, "dropped": {}})


@contextlib.contextmanager
def locked(home: Path, more: str = "") -> Iterator[Locked]:
    home.mkdir(exist_ok=True)
    keys, server = Home(home / "keys"), new_pair()
    save(keys.server, server)
    at = {door: f"tcp://127.0.0.1:{port}" for door, port in zip(DOORS, free_ports(4), strict=True)}
    text = f'{LIGHT}{more}\n[keys]\nfolder = "{keys.folder}"\nloopback = true\n[sockets]\n'
    text += "".join(f'{door} = "{at[door]}"\n' for door in DOORS[1:])
    text += f'[source.zeromq]\nbind = "{at["frames"]}"\n[outbox]\nfolder = "{home}/outbox"\n'
    config = home / "limpid.toml"
    config.write_text(text)
    with (home / "log").open("wb") as log:
        command = [sys.executable, "-m", "edge", "live", "--config", str(config)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    daemon = Locked(home, process, home / "log", at, server.public)
    daemon.operator = daemon.client("operator", "operator")
    save(keys.own, daemon.operator)
    try:
        wait_until(lambda: _answers(daemon), "the daemon answers its operator", daemon)
        yield daemon
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(daemon: Locked) -> bool:
    assert daemon.process.poll() is None, daemon.log.read_text()
    try:
        daemon.status()
    except SourceUnavailable:
        return False
    return True


class Probe:
    """A scanner with one stream: the next frame at each push."""

    def __init__(self, address: str, stream: str, key: ClientKey | None, session: int = 7) -> None:
        self.pusher = Pusher(address, key=key)
        self.stream, self.session, self.seq = stream, session, 0
        self._pixels = np.random.default_rng(4).integers(30, 220, (96, 128), dtype=np.uint8)

    def push(self, seq: int | None = None) -> bool:
        self.seq = self.seq + 1 if seq is None else seq
        now = time.monotonic_ns()
        return self.pusher.push_parts(wire.encode_frame(self._frame(now), wire.SenderClock.MONOTONIC))

    def _frame(self, now: int) -> Frame:
        return Frame(
            self._pixels, self.stream, self.seq, now, now, modality=Modality.ULTRASOUND, session=self.session,
            stamped_ns=now,
        )  # fmt: skip

    def push_until(self, met: Callable[[], bool], what: str, daemon: Locked) -> None:
        def pushed() -> bool:
            self.push()
            time.sleep(0.02)
            return met()

        wait_until(pushed, what, daemon)

    def close(self) -> None:
        self.pusher.close(0)


class Wire:
    """A cable in between: it keeps what the client sent, and passes it through `alter`."""

    def __init__(self, address: str, alter: Callable[[int, bytes], bytes] = lambda _at, data: data) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._to = host, int(port)
        self.alter = alter
        self.heard: list[bytearray] = []  # of each connection, what the client sent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._socks: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._to)
                except OSError:
                    client.close()
                    continue
                self._socks += [client, server]
                heard = bytearray()
                self.heard.append(heard)
                threading.Thread(target=self._pass, args=(client, server, heard), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, None), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, heard: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if heard is not None:
                    at = len(heard)
                    heard += data
                    data = self.alter(at, data)
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for sock in [self._listener, *self._socks]:
            sock.close()
