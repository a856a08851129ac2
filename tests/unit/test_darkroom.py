"""What happens to a capture once it is safe, on a real outbox: compressed, corrected, let go, and any of it twice."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.config import parse
from edge.darkroom import NOT_ANSWERED, Correct, Darkroom, Develop, Outcome
from edge.dicom import Options, Station, Take, make_pair
from edge.dicom.stored import Stored
from edge.errors import CaptureRefused
from edge.exam import Exam, Patient
from edge.frame import EngineId, Shown, Treatment
from edge.hatch import Hatch
from edge.outbox import Capture, Draft, Item, Outbox, Settings
from tests.fakes import SHA, frame

STATION = Station("CART-3")
WALL = datetime(2026, 11, 20, 9, 30, tzinfo=timezone.utc)
EXAM = Exam("exam1", "2.25.77", "2026-11-20T09:30:00+00:00", Patient(name="EMERGENCY^1", id="E-1"), provisional=True)
RIGHT = Exam("exam1", "2.25.77", EXAM.opened, Patient(name="PHANTOM^ONE", id="PH-0001"))
SUCCESSOR = Exam("exam2", "2.25.88", EXAM.opened, RIGHT.patient, corrects="exam1")
JPEG_LS = "1.2.840.10008.1.2.4.80"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path, Settings(folder=str(tmp_path), least_free_mb=0, watermark_percent=100))


@pytest.fixture
def room(outbox: Outbox) -> Darkroom:
    return Darkroom(outbox, "jpeg-ls", STATION, lambda: WALL)


def shown(count: int) -> tuple[Shown, ...]:
    def one(seq: int) -> Shown:
        pixels = np.random.default_rng(seq).integers(30, 220, (40, 50), dtype=np.uint8)
        before = frame(seq, at_ns=seq * 33_333_333, pixels=pixels)
        return Shown(before, pixels + np.uint8(3), Treatment.ENHANCED, engine=EngineId("e", SHA, "fake", "int8"))

    return tuple(one(seq) for seq in range(1, count + 1))


def store(outbox: Outbox, frames: int = 3, *, held: bool = True) -> str:
    take = Take(shown(frames), "clip" if frames > 1 else "still", WALL)
    made = make_pair(take, EXAM, STATION, Options(compression="none"), (1, 1))
    return outbox.put(Draft(EXAM.uid, "US", "routine", take.kind, WALL.isoformat(), held, tuple(made)))


def read(outbox: Outbox, capture: Capture, at: int) -> tuple[Any, list[np.ndarray]]:
    with outbox.read(capture, capture.objects[at]) as file:
        stored = Stored(file)
        return stored.elements, [pixels.copy() for pixels in stored.each_frame()]


def test_developing_compresses_without_changing_a_pixel_or_a_uid_and_lets_go(outbox: Outbox, room: Darkroom) -> None:
    name = store(outbox)
    before = outbox.capture(name)
    plain = [read(outbox, before, at)[1] for at in (0, 1)]
    assert room.do(Develop(name, provisional=False)) == Outcome(ok=True)
    after = outbox.capture(name)
    assert not after.held
    assert {one.transfer_syntax for one in after.objects} == {JPEG_LS}
    assert [one.sop_uid for one in after.objects] == [one.sop_uid for one in before.objects]
    for at in (0, 1):
        assert all(np.array_equal(a, b) for a, b in zip(read(outbox, after, at)[1], plain[at], strict=True))
        assert np.array_equal(read(outbox, after, 0)[1][0], shown(1)[0].frame.pixels)


def test_a_provisional_capture_is_compressed_and_stays_held(outbox: Outbox, room: Darkroom) -> None:
    name = store(outbox)
    room.do(Develop(name, provisional=True))
    assert outbox.capture(name).held
    assert outbox.capture(name).objects[0].transfer_syntax == JPEG_LS
    room.do(Develop(name, provisional=False))  # the identity was corrected meanwhile
    assert not outbox.capture(name).held


def test_told_twice_is_done_once(outbox: Outbox, room: Darkroom) -> None:
    name = store(outbox)
    room.do(Develop(name, provisional=False))
    revision = outbox.capture(name).record.revision
    assert room.do(Develop(name, provisional=False)).ok
    assert outbox.capture(name).record.revision == revision
    assert room.do(Develop("20260101T000000.000000-abcdef", provisional=False)).ok  # it has left already


def test_without_room_for_a_second_copy_it_goes_as_it_is(
    outbox: Outbox, room: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store(outbox)

    def full(*_: object) -> None:
        raise CaptureRefused("not stored: the disk is full")

    monkeypatch.setattr(outbox, "replace", full)
    assert room.do(Develop(name, provisional=False)).ok
    assert not outbox.capture(name).held
    assert outbox.capture(name).objects[0].transfer_syntax != JPEG_LS


def test_a_damaged_capture_is_told_and_not_let_go(outbox: Outbox, room: Darkroom) -> None:
    name = store(outbox)
    (outbox.folder / "captures" / name / "1-original.dcm").write_bytes(b"torn")
    outcome = room.do(Develop(name, provisional=False))
    assert not outcome.ok
    assert "1-original.dcm" in outcome.error
    assert outbox.capture(name).held


def test_a_correction_rewrites_what_is_held_and_lets_it_go(outbox: Outbox, room: Darkroom) -> None:
    names = (store(outbox), store(outbox, 1))
    room.do(Develop(names[0], provisional=True))
    outcome = room.do(Correct(RIGHT, names, copies=False))
    assert outcome.ok
    assert not outcome.left
    for name in names:
        capture = outbox.capture(name)
        assert not capture.held
        for at in (0, 1):
            elements, pixels = read(outbox, capture, at)
            assert (elements.PatientName, elements.PatientID) == ("PHANTOM^ONE", "PH-0001")
            assert at or np.array_equal(pixels[0], shown(1)[0].frame.pixels)
    assert {image.sop_uid for image in outcome.images} == {
        one.sop_uid for name in names for one in outbox.capture(name).objects
    }
    again = room.do(Correct(RIGHT, names, copies=False))  # the power went before this was noted
    assert again == outcome


def test_what_may_have_been_sent_is_copied_once_however_often_it_is_told(outbox: Outbox, room: Darkroom) -> None:
    name = store(outbox, held=False)
    item = outbox.next("pacs")
    assert item is not None
    outbox.sent(item)
    job = Correct(SUCCESSOR, (name,), copies=True)
    outcome = room.do(job)
    assert outcome.ok
    copies = {image.capture for image in outcome.images}
    assert name not in copies
    assert room.do(job) == outcome
    assert {capture.id for capture in outbox.captures()} == {name, *copies}
    (copy,) = copies
    elements, _ = read(outbox, outbox.capture(copy), 0)
    assert elements.PatientID == "PH-0001"
    replaced = elements.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert replaced.SOPInstanceUID == outbox.capture(name).objects[0].sop_uid


def test_of_what_was_not_sent_only_the_copy_remains(outbox: Outbox, room: Darkroom) -> None:
    name = store(outbox)
    outcome = room.do(Correct(SUCCESSOR, (name,), copies=True))
    assert [capture.id for capture in outbox.captures()] == [outcome.images[0].capture]
    elements, _ = read(outbox, outbox.captures()[0], 0)
    assert "OriginalAttributesSequence" not in elements  # the archive never had what it would refer to


def test_what_may_be_on_its_way_is_set_apart_and_the_copy_refers_to_it(outbox: Outbox, room: Darkroom) -> None:
    name = store(outbox, held=False)
    (on_its_way, _) = outbox.capture(name).objects  # the forwarder has it open: a marker comes with the answer
    outcome = room.do(Correct(SUCCESSOR, (name,), copies=True))
    assert [capture.id for capture in outbox.captures()] == [outcome.images[0].capture]
    elements, _ = read(outbox, outbox.captures()[0], 0)
    replaced = elements.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert replaced.SOPInstanceUID == on_its_way.sop_uid
    assert NOT_ANSWERED in (outbox.folder / "audit.jsonl").read_text()


def test_one_parked_capture_does_not_keep_the_others_from_being_corrected(outbox: Outbox, room: Darkroom) -> None:
    parked, good = store(outbox), store(outbox)
    capture = outbox.capture(parked)
    item = Item(capture, capture.objects[0], "pacs")
    outbox.parked(item, "kept back")
    outcome = room.do(Correct(RIGHT, (parked, good), copies=False))
    assert outcome.ok
    assert list(outcome.left) == list(outcome.again) == [parked]
    assert outbox.capture(parked).held
    assert not outbox.capture(good).held
    outbox.retry(item)
    assert room.do(Correct(RIGHT, (parked,), copies=False)).left == {}
    assert not outbox.capture(parked).held


def test_one_damaged_capture_does_not_keep_the_others_from_being_corrected(outbox: Outbox, room: Darkroom) -> None:
    good, torn = store(outbox), store(outbox)
    (outbox.folder / "captures" / torn / "2-enhanced.dcm").write_bytes(b"")
    gone = "20260101T000000.000000-abcdef"
    outcome = room.do(Correct(RIGHT, (torn, gone, good), copies=False))
    assert outcome.ok
    assert set(outcome.left) == {torn, gone}
    assert outcome.again == ()  # another time would be no better
    assert {image.capture for image in outcome.images} == {good}


def test_a_fault_of_our_own_is_told_by_its_kind_alone(
    outbox: Outbox, room: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store(outbox)

    def odd(*_: object) -> None:
        raise ValueError("PHANTOM^ONE")

    monkeypatch.setattr(outbox, "replace", odd)
    assert room.do(Develop(name, provisional=False)).error == "a fault of this software (ValueError)"


# ------------------------------------------------ the hatch


class Errands:
    """A hatch with a child of our choice."""

    def __init__(self, code: str) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.let_go: list[str] = []
        self.stop = threading.Event()
        self.hatch = Hatch(parse(""), self, self.let_go.append, [sys.executable, "-c", code])  # type: ignore[arg-type]
        self.thread = threading.Thread(target=self.hatch.run, args=(self.stop,))
        self.thread.start()

    def emit(self, event: str, **facts: Any) -> None:
        self.heard.append((event, facts))

    def ask(self, job: Develop | Correct) -> Outcome:
        return self.hatch.hand_in(job).result(30)

    def close(self) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


WELL = "import sys\nsys.stdin.readline()\nfor line in sys.stdin: print('{\"ok\": true}', flush=True)"
FAILS = 'import sys\nsys.stdin.readline()\nfor line in sys.stdin: print(\'{"ok": false, "error": "x"}\', flush=True)'
DIES = "import sys\nsys.stdin.readline(); sys.stdin.readline(); sys.exit(3)"
DIES_ONCE = (
    "import sys, pathlib\nsys.stdin.readline(); sys.stdin.readline()\nnote = pathlib.Path({note!r})\n"
    "if not note.exists(): note.touch(); sys.exit(3)\nprint('{{\"ok\": true}}', flush=True); sys.stdin.read()"
)
HANGS = "import sys\nfor line in sys.stdin: pass"


@pytest.fixture
def errands() -> Iterator[Any]:
    made: list[Errands] = []

    def make(code: str) -> Errands:
        made.append(Errands(code))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_jobs_are_answered_in_their_order_by_one_child(errands: Any) -> None:
    office = errands(WELL)
    outcomes = [office.hatch.hand_in(Develop(f"c{n}", provisional=False)) for n in range(5)]
    assert [outcome.result(30).ok for outcome in outcomes] == [True] * 5
    assert office.let_go == []


def test_a_child_that_dies_is_started_again_and_given_the_same_job(errands: Any, tmp_path: Path) -> None:
    office = errands(DIES_ONCE.format(note=str(tmp_path / "note")))
    assert office.ask(Develop("c1", provisional=False)).ok
    assert [event for event, _ in office.heard] == ["darkroom.ended"]


def test_a_job_that_kills_it_twice_is_given_up_and_the_capture_let_go_as_it_is(errands: Any) -> None:
    office = errands(DIES)
    assert not office.ask(Develop("c1", provisional=False)).ok
    assert not office.ask(Develop("c2", provisional=True)).ok
    assert office.let_go == ["c1"]  # the other's identity is still provisional
    assert not office.ask(Correct(RIGHT, ("c1",), copies=False)).ok


def test_a_capture_that_cannot_be_compressed_is_let_go_as_it_is(errands: Any) -> None:
    office = errands(FAILS)
    assert not office.ask(Develop("c1", provisional=False)).ok
    assert not office.ask(Develop("c2", provisional=True)).ok
    assert not office.ask(Develop("c3", provisional=False, plain=False)).ok
    assert not office.ask(Correct(RIGHT, ("c4",), copies=False)).ok
    assert office.let_go == ["c1"]
    assert [event for event, _ in office.heard].count("darkroom.failed") == 4


def test_a_job_for_later_waits_and_keeps_nobody_waiting(errands: Any) -> None:
    office = errands(WELL)
    tomorrow = office.hatch.hand_in(Correct(RIGHT, ("c1",), copies=False), 86_400.0)
    soon = office.hatch.hand_in(Correct(RIGHT, ("c2",), copies=False), 0.01)
    assert office.ask(Develop("c3", provisional=False)).ok
    assert soon.result(30).ok
    assert not tomorrow.done()


def test_stopping_does_not_wait_for_a_child_that_hangs(errands: Any) -> None:
    office = errands(HANGS)
    waiting = office.hatch.hand_in(Develop("c1", provisional=False))
    office.close()
    assert not waiting.done()
    assert office.let_go == []
