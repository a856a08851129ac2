"""Attacks on a real console: what strangers send, and what must not come of it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.commands.console import users_of
from edge.config import parse
from edge.console.access.first import FirstToken
from edge.console.server import HEAD_PATIENCE_S
from tests.archives import free_port
from tests.system.console_rig import HOST, PASSWORD, House, add_user, appliance, console_beside, sections, until
from tests.system.process import ROOT, config_text
from tools.console_client import Closed, Console, WebSocket

pytestmark = pytest.mark.timeout(400)
SECRET = "KRANKENHAUS^GEHEIM"


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with appliance(tmp_path_factory.mktemp("open")) as (_, house):
        yield house


@pytest.fixture(scope="module")
def locked_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With users; without a daemon, which these attacks have no need of."""
    home = tmp_path_factory.mktemp("locked")
    for name, role in {"vera": "view", "oscar": "operate", "ada": "administer"}.items():
        add_user(home, name, role)
    port = free_port()
    (home / "limpid.toml").write_text(config_text(home, sections(home, port)))
    with console_beside(home, port) as house:
        yield house


def raw(house: House, data: bytes, patience_s: float = 30.0) -> bytes:
    """What comes back until the connection ends."""
    with socket.create_connection((HOST, house.port), patience_s) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(1 << 16):
            answer += piece
        return answer


def still_works(house: House) -> None:
    assert house.process.poll() is None
    assert house.console.request("GET", "/healthz").status == 200
    assert [event for event in house.events() if event["event"] == "console.fault"] == []


# ------------------------------------------------ the description, turned against the server


def test_nothing_the_description_allows_or_forbids_brings_a_fault(open_house: House, tmp_path: Path) -> None:
    csrf = open_house.console.whoami()["csrf"]
    command = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [str(command), "run", f"http://{HOST}:{open_house.port}/api", "--header", f"X-CSRF-Token: {csrf}",
         "--checks", "not_a_server_error,content_type_conformance,status_code_conformance",
         "--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--seed", "1", "--request-timeout", "60",
         "--exclude-path-regex", "/exports|/worklist|/engines/(activate|rollback)", "--workers", "1", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    still_works(open_house)


# ------------------------------------------------ paths, bodies, slowness


@pytest.mark.parametrize(
    "path",
    [
        "/page/../../config.py", "/page/..%2f..%2fconfig.py", "/page/%2e%2e/%2e%2e/cli.py", "/page/....//config.py",
        "//etc/passwd", "/page//etc/passwd", "/page/%00", "/page/..%5c..%5cconfig.py", "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/captures/..%2f..%2faudit.jsonl", "/api/v1/captures/%2e%2e/thumbnail",
        "/api/v1/captures/20261120T191530.123456-4f2a91/..%2fcapture.json/frames/0",
        "/api/v1/engines/..%2f..%2fREADME.md/card", "/api/v1/engines/%2e%2e/card", "/api/v1/exports/..%2f..",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_house(open_house: House, path: str) -> None:
    answer = raw(open_house, f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 404, 405)
    for secret in (b"root:", b"class Config", b"capture.json", b"msgspec"):
        assert secret not in answer
    still_works(open_house)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(open_house: House) -> None:
    csrf = open_house.console.whoami()["csrf"]
    head = (
        f"POST /api/v1/picture HTTP/1.1\r\nHost: {HOST}\r\nX-CSRF-Token: {csrf}\r\nContent-Type: application/json\r\n"
    )
    told = raw(open_house, f"{head}Content-Length: 10000000000\r\n\r\n".encode() + b"x" * 1000)
    assert told.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in told.lower()
    pieces = b"".join(b"10000\r\n" + b"x" * 0x10000 + b"\r\n" for _ in range(4))
    with contextlib.suppress(ConnectionError):  # it hangs up while we are still sending
        answer = raw(open_house, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + pieces)
        assert answer.startswith(b"HTTP/1.1 413")
    still_works(open_house)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[" * 60000, 400), (b'{"a":' * 10000, 400), (b"\xff\xfe", 400), (b'{"x": 1}', 422), (b"[]", 422), (b"null", 422),
     (b'{"strength_percent": NaN}', 400), (b'{"strength_percent": 1e999}', 400), (b'{"stream": "\\ud800"}', 400)],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused_in_words(open_house: House, body: bytes, status: int) -> None:
    console = open_house.console
    console.whoami()
    reply = console.request("POST", "/api/v1/picture", raw=body)
    assert reply.status == status
    assert set(reply.json) == {"error", "code"}
    still_works(open_house)


def test_a_body_of_another_kind_is_refused(open_house: House) -> None:
    console = open_house.console
    console.whoami()
    reply = console.request("POST", "/api/v1/picture", raw=b"{}", headers={"Content-Type": "text/plain"})
    assert (reply.status, reply.json["code"]) == (415, "media-type")


def test_slow_heads_are_cut_off_and_meanwhile_others_are_served(open_house: House) -> None:
    """Slow-loris: many connections, each of which never comes to its point."""
    slow = [socket.create_connection((HOST, open_house.port), 60) for _ in range(40)]
    try:
        for sock in slow:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        while time.monotonic() - began < HEAD_PATIENCE_S / 2:
            assert open_house.console.request("GET", "/healthz").status == 200
            for sock in slow:
                with contextlib.suppress(OSError):
                    sock.sendall(b"x")  # a drip keeps nothing open
            time.sleep(0.5)  # the drip itself is what is tried here
        for sock in slow:
            sock.settimeout(60)
            with contextlib.suppress(ConnectionError):
                assert sock.recv(100) == b""  # ended by the console
    finally:
        for sock in slow:
            sock.close()
    still_works(open_house)


def test_a_body_that_does_not_come_is_not_waited_for(open_house: House) -> None:
    csrf = open_house.console.whoami()["csrf"]
    head = (
        f"POST /api/v1/picture HTTP/1.1\r\nHost: {HOST}\r\nX-CSRF-Token: {csrf}\r\nContent-Type: application/json\r\n"
    )
    answer = raw(open_house, f"{head}Content-Length: 100\r\n\r\n{{".encode(), patience_s=60)
    assert answer.startswith(b"HTTP/1.1 408")


def test_one_address_cannot_take_all_connections(open_house: House) -> None:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection((HOST, open_house.port), 10)) for _ in range(90)]
        closed = 0
        for sock in socks[64:]:
            with contextlib.suppress(ConnectionError):
                if sock.recv(1) != b"":
                    continue
            closed += 1
        assert closed == len(socks[64:])
    until(lambda: _healthy(open_house), "the places are given back", open_house)
    still_works(open_house)


def _healthy(house: House) -> bool:
    with contextlib.suppress(OSError):
        return house.console.request("GET", "/healthz").status == 200
    return False


def test_a_head_that_never_ends_is_refused(open_house: House) -> None:
    with contextlib.suppress(ConnectionError):
        answer = raw(open_house, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000)
        assert answer.startswith(b"HTTP/1.1 400")
    still_works(open_house)


# ------------------------------------------------ other pages


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_another_page_reaches_neither_calls_nor_the_live_picture(open_house: House, origin: str) -> None:
    console = open_house.console
    refused = console.post("/picture", {"strength_percent": 1}, headers={"Origin": origin})
    assert (refused.status, refused.json["code"]) == (403, "origin")
    assert console.get("/status", headers={"Origin": origin}).status == 403
    for path in ("/api/v1/live/test", "/api/v1/events"):
        with pytest.raises(Closed) as closed:
            WebSocket(console, path, headers={"Origin": origin})
        assert closed.value.code == 403


def test_our_own_page_reaches_the_live_picture(open_house: House) -> None:
    console = open_house.console
    WebSocket(console, "/api/v1/events", headers={"Origin": console.origin}).close()
    assert console.get("/status", headers={"Origin": console.origin}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:5580", ""])
def test_a_name_that_was_turned_to_this_address_is_not_served(open_house: House, host: str) -> None:
    """DNS rebinding: the browser believes that it talks to the stranger's own server."""
    reply = open_house.console.get("/status", headers={"Host": host, "Origin": f"http://{host}"})
    assert (reply.status, reply.json["code"]) == (421, "host")
    with pytest.raises(Closed):
        WebSocket(open_house.console, "/api/v1/live/test", headers={"Host": host})


@pytest.mark.parametrize(
    "fetch",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_another_page_can_embed_nothing_of_ours(open_house: House, fetch: dict[str, str]) -> None:
    assert open_house.console.get("/status", headers=fetch).status == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert open_house.console.request("GET", "/healthz", headers=followed).status == 200


def test_without_the_token_nothing_is_changed(open_house: House) -> None:
    console = open_house.console
    for token in ("", "x", "A" * 43, "é"):
        headers = {"X-CSRF-Token": token.encode().decode("latin-1")}
        reply = console.request("POST", "/api/v1/picture", {"strength_percent": 1}, headers=headers)
        assert (reply.status, reply.json["code"]) == (403, "csrf")


# ------------------------------------------------ sessions and passwords


@pytest.mark.parametrize("cookie", ["x", "A" * 43, "../../users.json", "\\x00", "a" * 8000, "vera"])
def test_a_forged_session_is_none(locked_house: House, cookie: str) -> None:
    console = Console(HOST, locked_house.port, cookie=cookie)
    assert console.get("/status").status == 401
    for path in ("/api/v1/live/test", "/api/v1/events"):
        assert _code_of(console, path) == 4401
    still_works(locked_house)


def _code_of(console: Console, path: str) -> int:
    sock = WebSocket(console, path)
    try:
        while True:
            sock.receive()
    except Closed as closed:
        return closed.code
    finally:
        sock.close()


def test_a_session_that_was_ended_opens_nothing_and_its_live_picture_ends(locked_house: House) -> None:
    console = locked_house.console
    assert console.log_in("vera", PASSWORD).status == 200
    live = console.live("test")
    stolen = Console(HOST, locked_house.port, cookie=console.cookie, csrf=console.csrf)
    assert stolen.get("/status").status == 200
    assert console.request("DELETE", "/api/v1/session").status == 200
    assert stolen.get("/status").status == 401
    with pytest.raises(Closed) as closed:
        for _ in live.messages():
            pass
    live.close()
    assert closed.value.code == 4401


def test_a_session_expires_by_itself(tmp_path: Path) -> None:
    add_user(tmp_path, "vera", "view")
    port = free_port()
    (tmp_path / "limpid.toml").write_text(config_text(tmp_path, sections(tmp_path, port, "session_hours = 0.001\n")))
    with console_beside(tmp_path, port) as house:
        console = house.console
        assert console.log_in("vera", PASSWORD).status == 200  # for 3.6 s
        until(lambda: console.get("/status").status == 401, "it is over", house)


def test_a_user_who_is_removed_is_out_at_once(locked_house: House) -> None:
    users = users_of(parse(f'[console]\nfolder = "{locked_house.home}/console"'))
    users.add("guest", "operate", PASSWORD)
    console = locked_house.console
    assert console.log_in("guest", PASSWORD).status == 200
    assert console.get("/status").status == 200
    users.remove("guest")
    assert console.get("/status").status == 401
    assert locked_house.console.log_in("guest", PASSWORD).status in (401, 429)


def test_the_cookie_is_out_of_a_scripts_reach_and_changes_with_each_log_in(locked_house: House) -> None:
    console = locked_house.console
    first = console.log_in("vera", PASSWORD)
    attributes = {part.strip().lower() for part in first.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    before = console.cookie
    console.log_in("vera", PASSWORD)
    assert console.cookie != before
    assert Console(HOST, locked_house.port, cookie=before).get("/status").status == 401


def test_guessing_passwords_is_slowed_and_told(locked_house: House) -> None:
    guesser = locked_house.console
    free = [guesser.log_in("oscar", f"guess number {n}").status for n in range(5)]
    assert free == [401] * 5
    # Each further guess doubles the pause: one of these is long enough for a look at it, however busy the machine is.
    told = (guesser.log_in("oscar", f"guess number {n}") for n in range(5, 10_000))
    slowed = next(reply for reply in told if reply.status == 429 and int(reply.headers["retry-after"]) >= 2)
    assert slowed.json["code"] == "throttled"
    assert guesser.log_in("oscar", PASSWORD).status == 429  # not even the right one, now
    noted = [line for line in locked_house.audit() if line["did"] == "log-in-refused" and line["who"] == "oscar"]
    assert len(noted) >= 5
    assert "guess number" not in locked_house.log.read_text() + json.dumps(locked_house.audit())


def test_a_name_that_nobody_has_is_told_in_the_same_words(locked_house: House) -> None:
    unknown, wrong = locked_house.console.log_in("nobody", "x" * 12), locked_house.console.log_in("ada", "x" * 12)
    assert unknown.status in (401, 429)
    if unknown.status == wrong.status == 401:
        assert unknown.body == wrong.body
    assert "nobody" not in json.dumps(locked_house.audit())


# ------------------------------------------------ names that bite


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>^X",
        "山田^太郎=ヤマダ^タロウ",
        'O\'NEIL^"Q" --',
        "{{7*7}}${7*7}",
        "ÄÖÜ^ß",
        "&lt;b&gt;^%00",
    ],
)
def test_a_patients_name_is_text_whatever_it_says(open_house: House, name: str) -> None:
    console = open_house.console
    opened = console.post("/exam", {"patient": {"name": name, "id": "X-1"}})
    assert opened.status == 200, opened.body
    reply = console.get("/exam")
    assert reply.json["exam"]["patient"]["name"] == name
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert console.post("/exam/close").status == 200


@pytest.mark.parametrize("name", ["A" * 65_000, "Ж" * 30_000, "A^" * 500, "a\u0000b", "a\u202eb\n", "\\..\\"])
def test_a_name_that_no_object_can_hold_is_refused(open_house: House, name: str) -> None:
    console = open_house.console
    reply = console.post("/exam", {"patient": {"name": name, "id": "X-1"}})
    assert reply.status in (409, 413, 422)
    assert console.get("/exam").json["exam"] is None
    still_works(open_house)


def test_no_log_no_metric_and_no_audit_line_names_a_patient(open_house: House) -> None:
    console = open_house.console
    assert console.post("/exam", {"patient": {"name": SECRET, "id": "GEHEIM-77"}}).status == 200
    console.get("/exam")
    console.post("/capture/still")
    console.post("/exam/correct", {"patient": {"name": SECRET + "^X", "id": ""}, "barcode": SECRET})
    console.get(f"/captures/{SECRET}")
    console.post("/exam/close")
    told = [
        open_house.log.read_text(), json.dumps(open_house.audit()), console.request("GET", "/metrics").body.decode(),
        json.dumps(console.get("/status").json), json.dumps(console.get("/health").json),
        json.dumps(console.get("/audit").json), json.dumps(console.get("/captures").json),
    ]  # fmt: skip
    for text in told:
        assert "GEHEIM" not in text


# ------------------------------------------------ to the outside only with a certificate and users


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "limpid test")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    private.chmod(0o600)
    return certificate, private


def _start(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", "console", "--config", str(config)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_on_another_address_it_does_not_start_without_certificate_and_users(tmp_path: Path) -> None:
    config, port = tmp_path / "limpid.toml", free_port()
    config.write_text(config_text(tmp_path, sections(tmp_path, port, 'host = "0.0.0.0"\n')))
    refused = _start(config)
    assert refused.returncode == 2
    assert "certificate" in refused.stderr
    assert "limpid console user add" in refused.stderr
    certificate, key = _certificate(tmp_path)
    tls = f'host = "0.0.0.0"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    config.write_text(config_text(tmp_path, sections(tmp_path, port, tls)))
    refused = _start(config)
    assert refused.returncode == 2
    assert "certificate" not in refused.stderr
    assert "user add" in refused.stderr


def test_with_certificate_and_users_it_serves_over_tls_alone(tmp_path: Path) -> None:
    add_user(tmp_path, "vera", "view")
    certificate, key = _certificate(tmp_path)
    port = free_port()
    tls = f'host = "0.0.0.0"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    (tmp_path / "limpid.toml").write_text(config_text(tmp_path, sections(tmp_path, port, tls)))
    with console_beside(tmp_path, port) as house:
        console = Console(HOST, port, tls=ssl.create_default_context(cafile=str(certificate)))
        assert console.get("/status").status == 401
        logged_in = console.log_in("vera", PASSWORD)
        assert "secure" in logged_in.headers["set-cookie"].lower()
        assert console.get("/status").status == 200
        live = console.live("test")
        assert live.next().header["live"] is False
        live.close()
        with pytest.raises((OSError, HTTPException)):
            Console(HOST, port).get("/status")  # nothing is said in plain
        assert house.process.poll() is None
        assert console.request("GET", "/healthz").status == 200


def test_the_first_administrator_comes_by_the_token_that_the_device_printed(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    port = free_port()
    tls = f'host = "0.0.0.0"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    (tmp_path / "limpid.toml").write_text(config_text(tmp_path, sections(tmp_path, port, tls)))
    token = FirstToken(tmp_path / "console").make()
    with console_beside(tmp_path, port) as house:
        console = Console(HOST, port, tls=ssl.create_default_context(cafile=str(certificate)))
        assert console.get("/session").json["first"] is True
        assert console.get("/status").status == 401
        claim = {"user": "ada", "password": PASSWORD, "token": "guessed"}
        assert console.post("/session", claim).status == 401
        assert console.post("/session", {**claim, "token": token, "password": "short"}).status == 422
        assert console.post("/session", {**claim, "token": token}).status == 200
        assert console.get("/session").json["first"] is False
        again = Console(HOST, port, tls=ssl.create_default_context(cafile=str(certificate)))
        assert again.post("/session", {**claim, "user": "eve", "token": token}).status == 401
        assert "eve" not in (tmp_path / "console" / "users.json").read_text()
        del house
