"""What the forwarder may rely on from every file of `edge/sinks/`, against real archives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from edge import plugins, sinks
from edge.errors import ConfigError, OutboxFault, SinkUnavailable
from edge.sinks import Parcel, Sink, open_sink
from tests.archives import Orthanc, data_set_of, free_port, orthanc, phantom, until

KINDS = ("dimse", "dicomweb", "folder")


@dataclass
class Place:
    """A destination, and how to look into it from behind."""

    sink: Sink
    find: Callable[[Parcel], bytes | None]
    away: Callable[[], Sink]  # the same kind of destination where nobody is


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, int]]:
    report_port = free_port()
    with orthanc(tmp_path_factory.mktemp("orthanc"), report_port=report_port, web=True) as running:
        yield running, report_port


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        root = tmp_path / "usb"
        root.mkdir()
        here = Place(
            open_sink("here", "folder", {"path": str(root)}),
            lambda parcel: _read(root / parcel.capture / parcel.object),
            lambda: open_sink("away", "folder", {"path": str(tmp_path / "nowhere")}),
        )
    else:
        running, report_port = request.getfixturevalue("archive")
        here = _network_place(request.param, running, report_port)
    yield here
    here.sink.close()


def _network_place(kind: str, archive: Orthanc, report_port: int) -> Place:
    nobody = free_port()
    if kind == "dimse":
        options = {"host": "127.0.0.1", "port": archive.dicom, "called": "ORTHANC"}
        sink = open_sink("here", kind, {**options, "listen": f"127.0.0.1:{report_port}"})
        away = {**options, "port": nobody}
    else:
        sink = open_sink("here", kind, {"url": archive.web})
        away = {"url": f"http://127.0.0.1:{nobody}/dicom-web"}
    return Place(sink, lambda parcel: _fetch(archive, parcel), lambda: open_sink("away", kind, away))


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _fetch(archive: Orthanc, parcel: Parcel) -> bytes | None:
    return archive.file(parcel.sop_uid) if parcel.sop_uid in archive.instances() else None


def test_every_kind_is_tried_here() -> None:
    assert set(plugins.kinds(sinks)) == set(KINDS)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="dicomweb, dimse, folder"):
        open_sink("pacs", "fax", {})


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_sent_arrives_byte_for_byte(place: Place, frames: int, compressed: bool) -> None:
    thing = phantom(1, frames=frames, compressed=compressed)
    receipt = place.sink.send(thing.parcel())
    assert receipt.warning == ""
    there = place.find(thing.parcel())
    assert there is not None
    assert data_set_of(there) == data_set_of(thing.content)


def test_sending_the_same_again_is_no_error_and_changes_nothing(place: Place) -> None:
    parcel = phantom(2).parcel()
    place.sink.send(parcel)
    before = place.find(parcel)
    place.sink.send(parcel)
    assert place.find(parcel) == before


def test_it_says_what_it_has_and_what_it_has_not(place: Place) -> None:
    sent, never = phantom(3).parcel("1-original.dcm"), phantom(4).parcel("2-enhanced.dcm")
    place.sink.send(sent)
    place.sink.ask("2.25.1234", [sent, never])
    verdicts: dict[str, bool | str] = {}

    def both() -> bool:
        for answer in place.sink.answers():
            assert answer.transaction == "2.25.1234"
            verdicts.update(answer.verdicts)
        return len(verdicts) == 2

    until(both, "answers on two objects")
    assert verdicts[sent.sop_uid] is True
    assert isinstance(verdicts[never.sop_uid], str)


def test_an_answer_is_given_once(place: Place) -> None:
    parcel = phantom(5).parcel()
    place.sink.send(parcel)
    place.sink.ask("2.25.99", [parcel])
    until(place.sink.answers, "an answer")
    assert place.sink.answers() == []


def test_where_nobody_is_nothing_is_known(place: Place) -> None:
    away = place.away()
    with pytest.raises(SinkUnavailable):
        away.send(phantom(6).parcel())
    with pytest.raises(SinkUnavailable):
        away.ask("2.25.1", [phantom(6).parcel()])
    with pytest.raises(SinkUnavailable):
        away.check()
    away.close()


def test_check_says_what_is_there(place: Place) -> None:
    assert place.sink.check()


class _Breaks(RawIOBase):
    """A file that turns out damaged at its very end."""

    def __init__(self, content: bytes) -> None:
        self._file = BytesIO(content)
        self._last = len(content) - 2

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: object, /) -> int:
        if self._file.tell() >= self._last:
            raise OutboxFault("it is not what was written")
        view = memoryview(buffer)[: self._last - self._file.tell()]  # type: ignore[arg-type]
        return self._file.readinto(view)


def test_a_damaged_object_never_arrives_and_the_next_one_does(place: Place) -> None:
    damaged, good = phantom(7, frames=4, size=256), phantom(8).parcel("2-enhanced.dcm")
    parcel = replace(damaged.parcel(), open=lambda: cast(BinaryIO, _Breaks(damaged.content)))
    with pytest.raises(OutboxFault):
        place.sink.send(parcel)
    place.sink.send(good)
    assert place.find(good) is not None
    assert place.find(parcel) is None


def test_resting_lets_go_and_the_next_send_opens_again(place: Place) -> None:
    first, second = phantom(9).parcel("1-original.dcm"), phantom(10).parcel("2-enhanced.dcm")
    place.sink.send(first)
    place.sink.rest()
    place.sink.send(second)
    assert place.find(second) is not None


def test_as_many_threads_as_it_has_lanes_may_send_at_once(place: Place) -> None:
    parcels = [phantom(20 + number).parcel(f"{number}-original.dcm") for number in range(12)]
    with ThreadPoolExecutor(place.sink.lanes) as pool:
        receipts = list(pool.map(place.sink.send, parcels))
    assert all(receipt.warning == "" for receipt in receipts)
    assert all(place.find(parcel) for parcel in parcels)


def test_closing_leaves_no_thread_behind(place: Place) -> None:
    # The same destination once more, so that what other tests left does not count. A second listener has no port.
    before = set(threading.enumerate())
    away = place.away()
    with pytest.raises(SinkUnavailable):
        away.send(phantom(11).parcel())
    away.close()
    until(lambda: set(threading.enumerate()) <= before | {threading.current_thread()}, "its threads end")
