"""Exams and their stored captures, on a real outbox with a real darkroom: after a power cut, after a failure."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SECOND
from edge.darkroom import Correct, Darkroom, Develop, Outcome
from edge.daylist import DayList
from edge.errors import LimpidError, SinkUnavailable
from edge.exam import Patient
from edge.exam_book import Vault
from edge.exams import Opening
from edge.outbox import Capture, Outbox, Settings
from edge.reception import AGAIN_S, Reception
from edge.requests import ExamCorrect, ExamDiscard, Still
from edge.storeroom import DISCARDED, Storeroom
from tests.studio import Studio
from tests.unit.test_darkroom import STATION, WALL, read

Job = Develop | Correct
ONE, TWO = Patient(name="PHANTOM^ONE", id="PH-0001"), Patient(name="PHANTOM^TWO", id="PH-0002")


class Cut(BaseException):
    """The power goes."""


class Desk:
    """A hatch whose jobs are done when the test says so; it remembers what was to wait."""

    def __init__(self, room: Darkroom) -> None:
        self.room = room
        self.jobs: list[tuple[Job, float, Future[Outcome]]] = []

    def hand_in(self, job: Job, after_s: float = 0.0) -> Future[Outcome]:
        self.jobs.append((job, after_s, Future()))
        return self.jobs[-1][2]

    def work(self) -> None:
        """What was handed in up to now."""
        jobs, self.jobs = self.jobs, []
        for job, _, outcome in jobs:
            outcome.set_result(self.room.do(job))


class Ward:
    """The capture side with its storeroom and reception; `start` again after a power cut."""

    def __init__(self, home: Path) -> None:
        self.studio = Studio(home / "exams")
        settings = Settings(folder=str(home / "outbox"), least_free_mb=0, watermark_percent=100)
        self.outbox = Outbox(home / "outbox", settings)
        self.start()

    def start(self) -> None:
        self.outbox.close()
        self.desk = Desk(Darkroom(self.outbox, "jpeg-ls", STATION, lambda: WALL))
        studio = self.studio
        self.storeroom = Storeroom(studio.config, self.outbox, self.desk, studio.events)  # type: ignore[arg-type]
        studio.shelf = self.storeroom  # type: ignore[assignment]
        studio.start()
        day_list = DayList(Vault(studio.home), 0)
        self.reception = Reception(studio.shared, studio.exams, studio.shutter, self.storeroom, day_list)

    def take_up(self) -> None:
        self.reception.take_up()
        self.turn()

    def turn(self) -> None:
        """The darkroom's, then the capture thread's."""
        for _ in range(3):
            self.studio.shutter.step(0.0)
            self.desk.work()

    def press(self) -> str:
        self.studio.show(1)
        return self.studio.ask(Still())["captures"][0]

    def open(self, patient: Patient) -> str:
        self.studio.do(lambda: {"exam": self.studio.exams.open(Opening(patient), self.studio.clock.now()).uid})
        assert self.studio.exams.current is not None
        return self.studio.exams.current.uid

    def ask(self, request: Any) -> dict[str, Any]:
        """The answer, with whatever the darkroom has to do first."""
        answer = self.reception.ask(request)
        assert isinstance(answer, Future)
        for _ in range(3):
            self.studio.shutter.step(0.0)
            if not answer.done():
                self.desk.work()
        return answer.result(0)

    def patient_of(self, capture: str) -> str:
        return str(read(self.outbox, self.outbox.capture(capture), 0)[0].PatientName)

    def stored(self) -> dict[str, Capture]:
        return {capture.id: capture for capture in self.outbox.captures()}


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def cut_between_disk_and_book(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stored, and the power goes before the book says so."""

    def cut(*_: object) -> None:
        raise Cut

    before = set(ward.stored())
    with monkeypatch.context() as patch:
        patch.setattr(ward.studio.exams, "stored", cut)
        with pytest.raises(Cut):
            ward.press()
    (name,) = set(ward.stored()) - before
    return name


# ------------------------------------------------ the power goes


def test_a_discarded_exam_stays_discarded_whenever_the_power_goes(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.open(ONE)
    names = {ward.press(), ward.press()}
    ward.outbox.release(min(names))

    def cut(*_: object) -> None:
        raise Cut

    monkeypatch.setattr(ward.storeroom, "discard", cut)
    ward.reception.ask(ExamDiscard(captures_too=True))
    with pytest.raises(Cut):
        ward.studio.shutter.step(0.0)
    assert set(ward.stored()) == names
    ward.start()
    ward.take_up()
    assert ward.stored() == {}
    assert (ward.outbox.folder / "audit.jsonl").read_text().count(DISCARDED) == 2


def test_what_a_correction_copied_is_not_taken_for_discarded(ward: Ward) -> None:
    ward.open(ONE)
    name = ward.press()
    ward.desk.work()
    item = ward.outbox.next("pacs")
    assert item is not None
    ward.outbox.sent(item)
    (copy,) = ward.ask(ExamCorrect(patient=TWO))["captures"]
    ward.start()
    ward.take_up()
    assert set(ward.stored()) == {name, copy}  # the archive is still to say that it has the old one safe


def test_an_interrupted_correction_still_finds_what_it_is_to_copy(ward: Ward) -> None:
    ward.open(ONE)
    name = ward.press()
    ward.reception.ask(ExamCorrect(patient=TWO))
    ward.studio.shutter.step(0.0)  # in the book; the darkroom has not begun
    ward.start()
    ward.take_up()
    (copy,) = ward.stored()
    assert copy != name
    assert ward.patient_of(copy) == "PHANTOM^TWO"


def test_a_capture_that_the_book_does_not_list_is_listed_and_corrected(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = cut_between_disk_and_book(ward, monkeypatch)
    ward.start()
    ward.take_up()
    exam = ward.studio.exams.current
    assert exam is not None
    entry = ward.studio.exams.entry(exam.uid)
    assert entry is not None
    assert entry.captures == (name,)
    assert [image.sop_uid for image in entry.images] == [one.sop_uid for one in ward.outbox.capture(name).objects]
    assert entry.taken == 1
    assert ward.ask(ExamCorrect(patient=ONE))["captures"] == [name]
    assert not ward.outbox.capture(name).held
    assert ward.patient_of(name) == "PHANTOM^ONE"


def cut_and_closed_at_the_start(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A day later: the capture that the book does not list, and its exam."""
    name = cut_between_disk_and_book(ward, monkeypatch)
    uid = ward.outbox.capture(name).exam_uid
    ward.studio.clock.advance(24 * 3600 * SECOND)
    ward.start()
    ward.take_up()
    return name, uid


def test_it_is_corrected_too_where_the_exam_was_closed_at_the_start(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, uid = cut_and_closed_at_the_start(ward, monkeypatch)
    assert ward.studio.exams.current is None
    assert ward.outbox.capture(name).held
    assert ward.ask(ExamCorrect(exam=uid, patient=ONE))["captures"] == [name]
    assert ward.patient_of(name) == "PHANTOM^ONE"
    assert not ward.outbox.capture(name).held


def test_one_that_a_closed_exam_does_not_list_goes_under_the_identity_of_the_book(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, uid = cut_and_closed_at_the_start(ward, monkeypatch)
    ward.reception.ask(ExamCorrect(exam=uid, patient=ONE))
    ward.studio.shutter.step(0.0)  # the book lists nothing that is to follow, and the power goes once more
    ward.start()
    ward.take_up()
    assert not ward.outbox.capture(name).held
    assert ward.patient_of(name) == "PHANTOM^ONE"


# ------------------------------------------------ the darkroom could not


def test_a_correction_that_failed_is_tried_again_after_a_pause(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ward.press()
    ward.desk.work()
    with monkeypatch.context() as patch:
        patch.setattr(ward.desk.room, "do", lambda _job: Outcome(ok=False, error="it ended"))
        with pytest.raises(SinkUnavailable):
            ward.ask(ExamCorrect(patient=ONE))
    assert [(type(job), after_s) for job, after_s, _ in ward.desk.jobs] == [(Correct, AGAIN_S)]
    ward.desk.work()
    ward.studio.shutter.step(0.0)
    assert ward.patient_of(name) == "PHANTOM^ONE"
    assert not ward.outbox.capture(name).held
    assert ward.studio.exams.unfinished() == []
    assert ward.desk.jobs == []


def test_what_was_refused_is_told_and_follows_later(ward: Ward) -> None:
    kept_back, good = ward.press(), ward.press()
    ward.desk.work()
    item = ward.outbox.items("pacs", "held")[0]
    assert item.capture.id == kept_back
    ward.outbox.parked(item, "kept back")
    answer = ward.ask(ExamCorrect(patient=ONE))
    assert answer["captures"] == [good]
    assert list(answer["left"]) == [kept_back]
    assert len(ward.studio.exams.unfinished()) == 1  # so no start takes it for one that may go
    ward.outbox.retry(item)
    ward.desk.work()
    ward.studio.shutter.step(0.0)
    assert ward.studio.exams.unfinished() == []
    exam = ward.studio.exams.current
    assert exam is not None
    entry = ward.studio.exams.entry(exam.uid)
    assert entry is not None
    now = {one.sop_uid for capture in ward.stored().values() for one in capture.objects}
    assert {image.sop_uid for image in entry.images} == now  # of both tries
    assert {ward.patient_of(name) for name in (kept_back, good)} == {"PHANTOM^ONE"}


def test_a_word_for_which_the_capture_thread_has_no_room_is_brought_again(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ward.press()
    ward.desk.work()
    answer = ward.reception.ask(ExamCorrect(patient=ONE))
    ward.studio.shutter.step(0.0)

    def full(*_: object) -> None:
        raise SinkUnavailable("16 captures are waiting to be stored already")

    with monkeypatch.context() as patch:
        patch.setattr(ward.studio.shutter, "do", full)
        ward.desk.work()
    assert isinstance(answer, Future)
    assert isinstance(answer.exception(0), LimpidError)
    ward.desk.work()
    ward.studio.shutter.step(0.0)
    assert ward.patient_of(name) == "PHANTOM^ONE"
    assert ward.studio.exams.unfinished() == []


def test_what_a_correction_left_behind_does_not_go_after_a_restart(ward: Ward) -> None:
    name = ward.press()
    ward.desk.work()
    torn = ward.outbox.capture(name).objects[1]
    (ward.outbox.folder / "captures" / name / torn.file).write_bytes(b"torn")
    assert list(ward.ask(ExamCorrect(patient=ONE))["left"]) == [name]
    ward.start()
    ward.reception.take_up()
    ward.studio.shutter.step(0.0)
    assert [job for job, _, _ in ward.desk.jobs] == [Develop(name, provisional=False, plain=False)]
