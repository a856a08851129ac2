"""An audit repository for tests: reads syslog over TLS, counted in octets, and can misbehave. Not a test itself."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from pathlib import Path

from tests.archives import certificates

SEQUENCE = re.compile(
    rb'^<85>1 (\S+) (\S+) limpid (\S+) DICOM\+RFC3881 \[meta sequenceId="(\d+)"\] \xef\xbb\xbf(.*)', re.DOTALL
)


class Repository:
    """`messages` are those that were read whole. It cuts the line after `cut_after` octets of it."""

    def __init__(self, folder: Path, port: int = 0, who: str = "archive") -> None:
        self._files = (
            certificates(folder) if not (folder / "ca.pem").exists() else {p.name: str(p) for p in folder.iterdir()}
        )
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self._files[f"{who}.pem"], self._files[f"{who}.key"])
        self._context.load_verify_locations(self._files["ca.pem"])
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.messages: list[bytes] = []
        self.cut_after: int | None = None
        self.torn = 0  # messages of which only a part came
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def config(self) -> str:
        ca, certificate, key = (self._files[name] for name in ("ca.pem", "us.pem", "us.key"))
        return (
            f'host = "127.0.0.1"\nport = {self.port}\nfirst_retry_s = 0.1\nlongest_retry_s = 0.4\nsettle_s = 0.3\n'
            f'timeout_s = 5\n[audit.tls]\nca = "{ca}"\ncertificate = "{certificate}"\nkey = "{key}"\n'
        )

    def told(self) -> list[tuple[str, int]]:
        """(log, number) of each, in the order in which they came."""
        return [(one[0], one[1]) for one in map(taken_apart, self.messages)]

    def close(self) -> None:
        # A thread in accept() keeps the port until somebody comes.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._server.accept()
            except OSError:
                return
            self._open.append(raw)
            threading.Thread(target=self._read, args=(raw,), daemon=True).start()

    def _read(self, raw: socket.socket) -> None:
        held = b""
        with contextlib.suppress(OSError, ssl.SSLError, ValueError), self._context.wrap_socket(raw, True) as line:
            self._open.append(line)
            self.connections += 1
            came = 0
            while data := line.recv(65536):
                came += len(data)
                cut, held = self.cut_after, held + data
                if cut is not None and came > cut:
                    self.cut_after = None
                    self.torn += bool(self._take(held[: cut - came]))
                    line.shutdown(socket.SHUT_RDWR)
                    return
                held = self._take(held)
            line.unwrap()

    def _take(self, held: bytes) -> bytes:
        while b" " in held:
            count, _, rest = held.partition(b" ")
            if len(rest) < int(count):
                break
            self.messages.append(rest[: int(count)])
            held = rest[int(count) :]
        return held


def taken_apart(message: bytes) -> tuple[str, int, bytes]:
    """(log, number, XML)"""
    found = SEQUENCE.match(message)
    assert found is not None, message[:200]
    return found[3].decode(), int(found[4]), found[5]
