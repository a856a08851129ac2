"""A gate before an archive's web server that wants a bearer token, and gives them out. Not a test itself."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Gate:
    def __init__(self, to_port: int, client: str, secret: str) -> None:
        self.given = self.refused = 0
        self._good = ""
        self._credentials = base64.b64encode(f"{client}:{secret}".replace(" ", "%20").encode()).decode()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/token":
                    gate._give(self, body)
                elif gate._may_pass(self):
                    gate._pass_on(self, to_port, body)

            def do_GET(self) -> None:
                if gate._may_pass(self):
                    gate._pass_on(self, to_port, b"")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def revoke(self) -> None:
        self._good = ""

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _give(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.headers.get("Authorization") != f"Basic {self._credentials}" or b"client_credentials" not in body:
            answer(handler, 401, b"{}")
            return
        self.given += 1
        self._good = secrets.token_urlsafe()
        answer(handler, 200, json.dumps({"access_token": self._good, "expires_in": 300}).encode())

    def _may_pass(self, handler: BaseHTTPRequestHandler) -> bool:
        if self._good and handler.headers.get("Authorization") == f"Bearer {self._good}":
            return True
        self.refused += 1
        answer(handler, 401, b"who are you, PHANTOM^ONE?")
        return False

    def _pass_on(self, handler: BaseHTTPRequestHandler, port: int, body: bytes) -> None:
        there = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        kept = {name: handler.headers[name] for name in ("Content-Type", "Accept") if handler.headers.get(name)}
        there.request(handler.command, handler.path, body or None, kept)
        reply = there.getresponse()
        answer(handler, reply.status, reply.read(), reply.headers.get("Content-Type", ""))
        there.close()


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str = "application/json") -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
