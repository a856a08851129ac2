"""Archives and lines that fail in every way: what waits arrives when they are well again, byte for byte, and once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import UltrasoundImageStorage  # type: ignore[attr-defined]

from edge.clock import SECOND
from edge.errors import OutboxFault, SinkRejected, SinkUnavailable
from edge.outbox import Outbox, Settings
from edge.sinks import Sink, open_sink
from tests.archives import Phantom, Proxy, data_set_of, free_port, phantom, put, storescp
from tests.fake_sink import Post
from tests.system.forwarding import Forward
from tests.system.test_forward_orthanc import real

QUICK = {"connect_s": 2.0, "stall_s": 2.0, "answer_s": 2.0, "commitment": False, "associations": 1}
XA = ["1.2.840.10008.1.2.1"]


def dimse(port: int, **more: object) -> Sink:
    return open_sink("pacs", "dimse", {"host": "127.0.0.1", "port": port, **QUICK, **more})


def stored_as_sent(folder: Path, things: list[Phantom]) -> bool:
    """storescp writes its own meta information; what follows it is ours."""
    found = {path.name.split(".", 1)[1]: data_set_of(path.read_bytes()) for path in folder.iterdir()}
    return found == {thing.sop_uid: data_set_of(thing.content) for thing in things}


@pytest.mark.parametrize("switch", ["--refuse", "--abort-during", "--abort-after"])
def test_what_an_archive_refuses_or_aborts_waits_until_it_is_well(tmp_path: Path, switch: str) -> None:
    port, things = free_port(), [phantom(1, size=128), phantom(2, frames=4, size=128)]
    sink, post = dimse(port), Post(tmp_path / "outbox")
    real(post, sink)
    put(post.outbox, *things)
    with storescp(tmp_path / "ill", switch, port=port) as (_, stored):
        for _ in range(4):
            post.clock.advance(60 * SECOND)
            post.send_all()
        assert list(stored.iterdir()) == []
    assert post.count("waiting") == 2
    assert len(post.log.of("object.later")) >= 4
    with storescp(tmp_path / "well", port=port) as (_, stored):
        post.clock.advance(600 * SECOND)
        post.send_all()
        assert stored_as_sent(stored, things)
    assert post.count("sent") == 2
    sink.close()


DAY = 24 * 3600 * SECOND


def test_an_archive_that_was_away_for_seven_days_gets_everything_within_minutes(tmp_path: Path) -> None:
    port, things = free_port(), [phantom(number) for number in range(6)]
    sink, post = dimse(port), Post(tmp_path / "outbox")
    real(post, sink)
    for thing in things[:4]:
        put(post.outbox, thing)
    tries = 0
    for _ in range(7 * 24):
        post.clock.advance(DAY // 24)
        tries += post.send_all()
    put(post.outbox, *things[4:])
    assert tries >= 7 * 24, "it never stops trying"
    assert post.count("waiting") == 6
    with storescp(tmp_path / "back", port=port) as (_, stored):
        for _ in range(10):
            post.clock.advance(60 * SECOND)
            post.send_all()
        assert stored_as_sent(stored, things)
    assert post.count("sent") == 6
    sink.close()


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_jumps_ten_years_neither_stops_nor_repeats_a_transfer(tmp_path: Path, years: int) -> None:
    """As the machine's clock would: the wall time jumps, and the monotonic one goes on."""
    with storescp(tmp_path) as (port, stored):
        sink, post, things = dimse(port), Post(tmp_path / "outbox"), [phantom(1), phantom(2)]
        real(post, sink)
        put(post.outbox, things[0])
        assert post.send_all() == 1
        post.wall = post.wall.replace(year=post.wall.year + years)
        put(post.outbox, things[1])
        assert post.send_all() == 1
        assert post.send_all() == 0
        assert stored_as_sent(stored, things)
        sink.close()


def test_a_torn_file_is_set_aside_by_the_process_and_never_sent_and_the_others_arrive(tmp_path: Path) -> None:
    with storescp(tmp_path) as (port, stored):
        forward = Forward(
            tmp_path / "f",
            # This archive serves one association at a time, and leaves a second one without an answer for 30 s.
            f'[destination.pacs.dimse]\nhost = "127.0.0.1"\nport = {port}\ncommitment = false\nassociations = 1\n',
        )
        outbox, torn, whole = forward.outbox(), phantom(1, frames=4, size=128), phantom(2)
        name = put(outbox, torn)
        put(outbox, whole)
        path = forward.folder / "captures" / name / "1-original.dcm"
        path.write_bytes(torn.content[: len(torn.content) // 2])
        forward.start()
        try:
            forward.wait_for("sent", 1, outbox)
            forward.wait_for("damaged", 1, outbox)
        finally:
            assert forward.stop() == 0
        assert stored_as_sent(stored, [whole])
    (told,) = forward.events("object.damaged")
    assert (told["capture"], told["object"]) == (name, "1-original.dcm")
    assert path.exists(), "a damaged object is kept: somebody may want what is left of it"


def test_an_archive_that_is_slow_to_take_and_to_answer_is_waited_for(tmp_path: Path) -> None:
    with storescp(tmp_path, "--sleep-during", "1") as (port, stored):
        sink, thing = dimse(port, answer_s=30.0), phantom(1, size=100)
        sink.send(thing.parcel())
        assert stored_as_sent(stored, [thing])
        sink.close()


def test_one_that_accepts_and_says_nothing_costs_time_outs_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        sink = dimse(mute.getsockname()[1], stall_s=0.5)
        with pytest.raises(SinkUnavailable):
            sink.send(phantom(1).parcel())
        sink.close()
    assert [thread for thread in threading.enumerate() if "Requestor" in thread.name] == []


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Proxy, Path]]:
    with storescp(tmp_path) as (port, stored):
        proxy = Proxy(port)
        yield proxy, stored
        proxy.close()


def test_a_line_that_is_cut_within_an_object(line: tuple[Proxy, Path], tmp_path: Path) -> None:
    proxy, stored = line
    sink, post, thing = dimse(proxy.port), Post(tmp_path / "outbox"), phantom(1, frames=40, size=256)
    real(post, sink)
    put(post.outbox, thing)
    for cut in (5_000, 100_000, 2_000_000):
        proxy.cut_after = cut
        post.clock.advance(60 * SECOND)
        assert post.courier.step()
    assert post.count("waiting") == 1
    proxy.cut_after = None
    post.clock.advance(600 * SECOND)
    post.send_all()
    assert stored_as_sent(stored, [thing])
    sink.close()


def test_a_line_that_stands_still_within_an_object(line: tuple[Proxy, Path]) -> None:
    proxy, stored = line
    sink, thing = dimse(proxy.port, stall_s=1.0, answer_s=1.0), phantom(1, frames=200, size=512)
    sink.send(phantom(2).parcel())
    proxy.hold = True
    with pytest.raises(SinkUnavailable):
        sink.send(thing.parcel())
    proxy.hold = False
    sink.send(thing.parcel())
    assert thing.sop_uid in {path.name.split(".", 1)[1] for path in stored.iterdir()}
    sink.close()


def test_a_slow_line_is_not_a_dead_one(line: tuple[Proxy, Path]) -> None:
    proxy, stored = line
    sink, thing = dimse(proxy.port, stall_s=1.0, answer_s=1.0), phantom(1, frames=16, size=256)
    proxy.delay_s = 0.1  # a time and a half as long in all as any single time-out
    sink.send(thing.parcel())
    assert stored_as_sent(stored, [thing])
    sink.close()


def test_an_archive_that_serves_one_association_at_a_time_gets_one(tmp_path: Path) -> None:
    with storescp(tmp_path) as (port, stored):  # dcmtk's serves one after the other
        sink, things = dimse(port, associations=3, stall_s=1.0), [phantom(number) for number in range(6)]
        with ThreadPoolExecutor(sink.lanes) as pool:
            receipts = list(pool.map(sink.send, [thing.parcel() for thing in things]))
        assert [receipt.status for receipt in receipts] == [0] * 6
        assert stored_as_sent(stored, things)
        sink.close()


def test_an_archive_that_went_away_between_two_objects_is_asked_anew(tmp_path: Path) -> None:
    port = free_port()
    sink, first, second = dimse(port), phantom(1), phantom(2)
    with storescp(tmp_path / "before", port=port):
        sink.send(first.parcel())
    with storescp(tmp_path / "after", port=port) as (_, stored):
        sink.send(second.parcel())
        assert stored_as_sent(stored, [second])
    sink.close()


@pytest.fixture
def answering() -> Iterator[Callable[[int | None], int]]:
    """An archive that answers every C-STORE with one status, or not at all: status -> port."""
    servers = []
    may_answer = threading.Event()

    def start(status: int | None) -> int:
        entity = AE("ARCHIVE")
        entity.add_supported_context(UltrasoundImageStorage, XA)
        port = free_port()

        def store(_event: evt.Event) -> Dataset:
            if status is None:
                may_answer.wait(20)
            answer = Dataset()
            answer.Status = status or 0
            answer.ErrorComment = "about PHANTOM^ONE"
            return answer

        servers.append(entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]))
        return port

    yield start
    may_answer.set()
    for server in servers:
        server.shutdown()


def test_an_answer_that_does_not_come_is_no_success_and_costs_its_time_out(
    answering: Callable[[int | None], int],
) -> None:
    sink = dimse(answering(None), answer_s=1.0)
    with pytest.raises(SinkUnavailable, match="did not answer"):
        sink.send(phantom(1).parcel())
    sink.close()


@pytest.mark.parametrize("status", [0xC000, 0xA900, 0x0117])
def test_a_refusal_for_good(answering: Callable[[int | None], int], status: int) -> None:
    sink = dimse(answering(status))
    with pytest.raises(SinkRejected, match=f"0x{status:04X}") as refusal:
        sink.send(phantom(1).parcel())
    assert "PHANTOM" not in str(refusal.value)
    sink.close()


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0124])
def test_a_trouble_that_passes(answering: Callable[[int | None], int], status: int) -> None:
    sink = dimse(answering(status))
    with pytest.raises(SinkUnavailable, match=f"0x{status:04X}"):
        sink.send(phantom(1).parcel())
    sink.close()


def test_a_warning(answering: Callable[[int | None], int]) -> None:
    sink = dimse(answering(0xB006))
    receipt = sink.send(phantom(1).parcel())
    assert receipt.status == 0xB006
    assert "PHANTOM" not in receipt.warning
    sink.close()


def test_there_already_is_left_to_the_question_about_commitment(answering: Callable[[int | None], int]) -> None:
    """The answer to the first time was lost, and this archive takes nothing twice."""
    port = answering(0x0111)
    sink = dimse(port, commitment=True)
    receipt = sink.send(phantom(1).parcel())
    assert (receipt.status, receipt.warning) == (0x0111, "it says that it has this instance already (0x0111)")
    sink.close()
    sink = dimse(port, commitment=False)  # and where nobody can be asked, a person decides
    with pytest.raises(SinkRejected, match="0x0111"):
        sink.send(phantom(1).parcel())
    sink.close()


def test_an_archive_that_takes_no_such_object_says_so(answering: Callable[[int | None], int]) -> None:
    sink = dimse(answering(0))
    with pytest.raises(SinkUnavailable, match="Ultrasound Multi-frame"):
        sink.send(phantom(1, frames=2).parcel())
    sink.close()


@pytest.mark.parametrize("only", ["-xe", "-xi"])  # explicit, implicit little endian
@pytest.mark.parametrize(("frames", "bits"), [(1, 8), (5, 8), (3, 16)])
def test_what_it_does_not_take_compressed_it_gets_in_plain(tmp_path: Path, only: str, frames: int, bits: int) -> None:
    plain = phantom(1, frames=frames, bits=bits, size=63)
    squeezed = phantom(1, frames=frames, bits=bits, size=63, compressed=True)
    switches = ["+xe"] if only == "-xe" else ["+xi"]
    with storescp(tmp_path, *switches) as (port, stored):
        sink = dimse(port)
        sink.send(squeezed.parcel())
        sink.close()
        (path,) = stored.iterdir()
        ours, theirs = dcmread(BytesIO(plain.content)), dcmread(path)
    assert theirs.SOPInstanceUID == squeezed.sop_uid
    assert theirs.file_meta.TransferSyntaxUID == ("1.2.840.10008.1.2.1" if only == "-xe" else "1.2.840.10008.1.2")
    assert theirs.PixelData == ours.PixelData


def test_a_sealed_object_goes_out_in_plain_too(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    folder = tmp_path / "sealed"
    options = Settings(folder=str(folder), key_file=str(key), watermark_percent=100, least_free_mb=0)
    outbox, plain, squeezed = Outbox(folder, options), phantom(1), phantom(1, compressed=True)
    put(outbox, squeezed)
    (item,) = outbox.items("pacs", "waiting")
    with storescp(tmp_path) as (port, stored):
        sink = dimse(port)
        sink.send(replace(squeezed.parcel(), open=lambda: outbox.open(item)))
        sink.close()
        (path,) = stored.iterdir()
        assert dcmread(path).PixelData == dcmread(BytesIO(plain.content)).PixelData


def test_an_object_that_is_another_than_the_outbox_says_is_not_sent(tmp_path: Path) -> None:
    with storescp(tmp_path) as (port, stored):
        sink = dimse(port)
        for wrong in (phantom(2).content, b"no DICOM at all" * 20, b""):
            with pytest.raises(OutboxFault):
                sink.send(replace(phantom(1).parcel(), open=lambda wrong=wrong: BytesIO(wrong)))
        good = phantom(3)
        sink.send(good.parcel())
        assert stored_as_sent(stored, [good])
        sink.close()


def test_a_full_destination_folder_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink("usb", "folder", {"path": str(tmp_path)})

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SinkUnavailable, match="No space"):
        sink.send(phantom(1).parcel())


def test_a_folder_never_overwrites_other_bytes(tmp_path: Path) -> None:
    sink, thing = open_sink("usb", "folder", {"path": str(tmp_path)}), phantom(1)
    parcel = thing.parcel()
    there = tmp_path / parcel.capture / parcel.object
    there.parent.mkdir()
    there.write_bytes(b"somebody else's")
    with pytest.raises(SinkRejected):
        sink.send(parcel)
    assert there.read_bytes() == b"somebody else's"


def test_nothing_is_written_to_a_bare_mount_point(tmp_path: Path) -> None:
    sink = open_sink("usb", "folder", {"path": str(tmp_path), "mounted": True})
    with pytest.raises(SinkUnavailable):
        sink.send(phantom(1).parcel())
    assert list(tmp_path.iterdir()) == []
