"""The whole way into a real Orthanc and back: DIMSE, storage commitment, TLS, STOW-RS with a bearer token."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.commands.forward import check_destinations
from edge.config import Config
from edge.errors import SinkUnavailable
from edge.forwarder import Courier, Destination
from edge.routing import Rules
from edge.settling import Settling
from edge.sinks import Sink, open_sink
from tests.archives import Orthanc, Phantom, certificates, data_set_of, free_port, orthanc, phantom, put, until
from tests.fake_sink import Post
from tests.system.bearer import Gate
from tests.system.forwarding import Forward, states


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, int]]:
    report_port = free_port()
    with orthanc(tmp_path_factory.mktemp("orthanc"), report_port=report_port, web=True) as running:
        yield running, report_port


def real(post: Post, sink: Sink, **rules: Any) -> None:
    """The post's courier, on a real destination."""
    post.courier = Courier(Destination("pacs", sink, Rules(ask_every_s=0.01, **rules)), post.around)
    post.settling = Settling(post.courier, post.around)


def settle_until(post: Post, state: str, count: int) -> None:
    def settled() -> bool:
        post.clock.advance(100_000_000)
        post.settling.settle()
        return post.count(state) == count

    until(settled, f"{count} {state}: {post.log.lines[-5:]}")


def assert_arrived(archive: Orthanc, things: list[Phantom]) -> None:
    there = archive.instances()
    for thing in things:
        assert thing.sop_uid in there
        assert data_set_of(archive.file(thing.sop_uid)) == data_set_of(thing.content)


def test_from_the_outbox_to_confirmed_and_nothing_said_about_the_patient(
    archive: tuple[Orthanc, int], tmp_path: Path
) -> None:
    running, report_port = archive
    forward = Forward(
        tmp_path / "f",
        f"""
[destination.pacs]
ask_every_s = 0.5
[destination.pacs.dimse]
host = "127.0.0.1"
port = {running.dicom}
called = "ORTHANC"
listen = "127.0.0.1:{report_port}"
""",
    )
    outbox = forward.outbox()
    things = [phantom(number, frames=1 + number % 3, compressed=number % 2 == 0) for number in range(8)]
    for pair in zip(things[::2], things[1::2], strict=True):
        put(outbox, *pair)
    forward.start()
    try:
        forward.wait_for("confirmed", len(things), outbox)
    finally:
        status = forward.stop()
    assert status == 0
    assert_arrived(running, things)
    said = forward.log.read_text()
    assert "object.confirmed" in said  # repeats within a second are not all written
    assert "Traceback" not in said
    for secret in ("PHANTOM", "PH-0001"):
        assert secret not in said


def test_success_and_then_lost_is_found_out_and_sent_again(archive: tuple[Orthanc, int], tmp_path: Path) -> None:
    running, report_port = archive
    options = {"host": "127.0.0.1", "port": running.dicom, "listen": f"127.0.0.1:{report_port}"}
    sink = open_sink("pacs", "dimse", options)
    try:
        post, thing, other = Post(tmp_path / "outbox"), phantom(11), phantom(12)
        real(post, sink)
        put(post.outbox, thing, other)
        post.send_all()
        running.delete(thing.sop_uid)
        settle_until(post, "confirmed", 1)
        until(lambda: post.settling.settle() or post.count("waiting") == 1, "it waits again")
        post.clock.advance(60 * 10**9)
        assert post.send_all() == 1
        settle_until(post, "confirmed", 2)
        assert_arrived(running, [thing, other])
        assert [facts["reason"] for facts in post.log.of("object.lost")] == ["no such object instance (0x0112)"]
    finally:
        sink.close()


@pytest.mark.parametrize("confirm", ["instance", "metadata"])
def test_lost_is_found_out_by_reading_back(archive: tuple[Orthanc, int], tmp_path: Path, confirm: str) -> None:
    running, _ = archive
    sink = open_sink("pacs", "dicomweb", {"url": running.web, "confirm": confirm})
    post, thing = Post(tmp_path / "outbox"), phantom(13)
    real(post, sink)
    put(post.outbox, thing)
    post.send_all()
    running.delete(thing.sop_uid)
    post.settling.settle()
    assert post.count("waiting") == 1
    post.clock.advance(60 * 10**9)
    post.send_all()
    settle_until(post, "confirmed", 1)
    assert_arrived(running, [thing])
    sink.close()


def test_an_instance_that_was_altered_there_is_not_confirmed(archive: tuple[Orthanc, int], tmp_path: Path) -> None:
    running, _ = archive
    sink = open_sink("pacs", "dicomweb", {"url": running.web})
    ours, theirs = phantom(14), phantom(15)
    sink.send(theirs.parcel())
    changed = theirs.content.replace(b"PHANTOM^ONE", b"PHANTOM^TWO")
    assert changed != theirs.content
    theirs.content = changed
    sink.ask("2.25.5", [theirs.parcel(), ours.parcel()])
    verdicts = {uid: verdict for answer in sink.answers() for uid, verdict in answer.verdicts.items()}
    assert verdicts == {theirs.sop_uid: "what it has is not what was sent", ours.sop_uid: "it is not there"}
    sink.close()


def test_mutual_tls_with_commitment_both_ways(tmp_path: Path) -> None:
    files, report_port = certificates(tmp_path / "pki"), free_port()
    tls = {
        "DicomTlsEnabled": True, "DicomTlsRemoteCertificateRequired": True,
        "DicomTlsCertificate": files["archive.pem"], "DicomTlsPrivateKey": files["archive.key"],
        "DicomTlsTrustedCertificates": files["ca.pem"],
    }  # fmt: skip
    ours = {"ca": files["ca.pem"], "certificate": files["us.pem"], "key": files["us.key"]}
    with orthanc(tmp_path / "orthanc", report_port=report_port, **tls) as running:
        options = {"host": "127.0.0.1", "port": running.dicom, "listen": f"127.0.0.1:{report_port}", "tls": ours}
        sink = open_sink("pacs", "dimse", options)
        try:
            post, things = Post(tmp_path / "outbox"), [phantom(1, frames=5, size=400), phantom(2, compressed=True)]
            real(post, sink)
            put(post.outbox, *things)
            assert post.send_all() == 2
            with socket.create_connection(("127.0.0.1", report_port)):  # somebody who never says a word
                settle_until(post, "confirmed", 2)
            assert_arrived(running, things)
        finally:
            sink.close()
        for wrong in ({}, {"tls": {**ours, "ca": files["us.pem"]}}, {"tls": {"ca": files["ca.pem"]}}):
            stranger = open_sink("pacs", "dimse", {"host": "127.0.0.1", "port": running.dicom, "stall_s": 2, **wrong})
            with pytest.raises(SinkUnavailable):
                stranger.send(phantom(3).parcel())
            stranger.close()
        assert len(running.instances()) == 2


def test_stow_with_a_token_that_runs_out(archive: tuple[Orthanc, int], tmp_path: Path) -> None:
    running, _ = archive
    (tmp_path / "secret").write_text("open sesame\n")
    with Gate(running.http, client="limpid", secret="open sesame") as gate:
        bearer = {"endpoint": gate.token_url, "client": "limpid", "secret_file": str(tmp_path / "secret")}
        sink = open_sink("pacs", "dicomweb", {"url": gate.url, "bearer": bearer})
        post, things = Post(tmp_path / "outbox"), [phantom(30 + number) for number in range(6)]
        real(post, sink)
        for thing in things:
            put(post.outbox, thing)
        for _ in things:
            post.courier.step()
            gate.revoke()  # whatever was given out until now is worthless
            until(lambda: post.clock.advance(10**9) or post.courier.step() or not post.count("waiting"), "another")
        settle_until(post, "confirmed", len(things))
        assert gate.given > 1
        assert gate.refused >= 1
        assert_arrived(running, things)
        sink.close()


def test_no_token_is_no_success(archive: tuple[Orthanc, int], tmp_path: Path) -> None:
    running, _ = archive
    (tmp_path / "token").write_text("expired")
    with Gate(running.http, client="limpid", secret="open sesame") as gate:
        for options in ({}, {"bearer": {"file": str(tmp_path / "token")}}):
            sink = open_sink("pacs", "dicomweb", {"url": gate.url, **options})
            thing = phantom(40)
            with pytest.raises(SinkUnavailable, match="401"):
                sink.send(thing.parcel())
            with pytest.raises(SinkUnavailable, match="401"):
                sink.check()
            with pytest.raises(SinkUnavailable, match="401"):
                sink.ask("2.25.1", [thing.parcel()])
            assert thing.sop_uid not in running.instances()
            sink.close()


def test_two_destinations_each_get_what_is_meant_for_them(archive: tuple[Orthanc, int], tmp_path: Path) -> None:
    running, _ = archive
    (tmp_path / "usb").mkdir()
    forward = Forward(
        tmp_path / "f",
        f"""
[destination.pacs]
ask_every_s = 0.5
send = "enhanced"
[destination.pacs.dicomweb]
url = "{running.web}"
[destination.usb]
ask_every_s = 0.5
[destination.usb.folder]
path = "{tmp_path / "usb"}"
""",
    )
    outbox = forward.outbox()
    original, enhanced = phantom(50), phantom(51)
    enhanced.role = "enhanced"
    capture = put(outbox, original, enhanced)
    forward.start()
    try:
        forward.wait_for("confirmed", 1, outbox)
        until(lambda: outbox.captures()[0].state(outbox.captures()[0].objects[0], "usb") == "confirmed", "the copy")
    finally:
        assert forward.stop() == 0
    assert enhanced.sop_uid in running.instances()
    assert original.sop_uid not in running.instances()
    assert (tmp_path / "usb" / capture / "1-original.dcm").read_bytes() == original.content
    assert states(outbox) == ["waiting", "confirmed"]


def test_check_tells_of_each_destination(
    archive: tuple[Orthanc, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running, _ = archive
    here = {"dimse": {"host": "127.0.0.1", "port": running.dicom, "called": "ORTHANC", "listen": "127.0.0.1:1"}}
    away = {"dicomweb": {"url": f"http://127.0.0.1:{free_port()}/dicom-web"}}
    config = Config(destination={"here": here, "away": away})
    assert check_destinations(config, as_json=True) == 1
    said = json.loads(capsys.readouterr().out)
    assert [(one["destination"], one["ok"]) for one in said["destinations"]] == [("here", True), ("away", False)]
    assert "JPEG-LS" in said["destinations"][0]["what"]
    assert check_destinations(Config(destination={"here": here}), as_json=False) == 0
    assert "commitment offered" in capsys.readouterr().out
