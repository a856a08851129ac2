"""The desk of exams: who is open, whose pictures are whose, and what survives a power cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from edge.clock import SECOND
from edge.config import parse
from edge.errors import CaptureRefused, ConfigError
from edge.exam import Order, Patient
from edge.exam_book import BOOK, MOST_ENDED, Book, Image, Vault
from edge.exams import Exams, Opening
from edge.outbox.seal import MAGIC, Key
from tests.studio import Studio
from tests.system.process import ROOT

ONE = Patient(name="PHANTOM^ONE", id="P-1", birth_date="19700101", sex="F")
TWO = Patient(name="PHANTOM^TWO", id="P-2", birth_date="19710203", sex="M")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def image(number: int, capture: str = "") -> Image:
    return Image(capture or f"c{number}", "1.2.3", "1.2.840.10008.5.1.4.1.1.6.1", f"1.2.3.{number}", "US")


def open_one(studio: Studio, patient: Patient | None = ONE, **more: object) -> str:
    order = more.pop("order", None)
    return studio.exams.open(Opening(patient, order, details=more), studio.clock.now()).uid  # type: ignore[arg-type]


def test_a_typed_exam_is_open_and_an_emergency_has_a_placeholder(studio: Studio) -> None:
    open_one(studio)
    assert studio.exams.current is not None
    assert (studio.exams.current.origin, studio.exams.current.provisional) == ("typed", False)
    studio.exams.close(studio.clock.now())
    exam = studio.exams.emergency(studio.clock.now())
    assert (exam.origin, exam.provisional) == ("emergency", True)
    assert exam.patient.name.startswith("EMERGENCY^")
    assert exam.patient.id


def test_two_emergencies_of_one_second_are_two_people(studio: Studio) -> None:
    first = studio.exams.emergency(studio.clock.now()).patient
    studio.exams.close(studio.clock.now())
    assert studio.exams.emergency(studio.clock.now()).patient.id != first.id


def test_the_study_is_the_orders_where_it_names_one(studio: Studio) -> None:
    open_one(studio, order=Order(study_uid="1.2.3.4", accession="A1"))
    assert studio.exams.current is not None
    assert studio.exams.current.study_uid == "1.2.3.4"
    studio.exams.close(studio.clock.now())
    open_one(studio)
    assert studio.exams.current.study_uid.startswith("2.25.")


def test_one_exam_at_a_time_and_the_complaint_says_what_to_do(studio: Studio) -> None:
    open_one(studio)
    with pytest.raises(ConfigError, match="close it first"):
        open_one(studio, TWO)
    studio.exams.close(studio.clock.now())
    studio.exams.emergency(studio.clock.now())
    with pytest.raises(ConfigError, match="correct it, or close it first"):
        open_one(studio, TWO)


def test_without_an_open_exam_there_is_nothing_to_end(studio: Studio) -> None:
    with pytest.raises(ConfigError, match="no exam is open"):
        studio.exams.close(0)
    with pytest.raises(ConfigError, match="no exam is open"):
        studio.exams.discard(0, captures_too=True)
    with pytest.raises(ConfigError, match="no exam is open"):
        studio.exams.correct("", ONE, None, from_worklist=False)


@pytest.mark.parametrize(
    ("patient", "field"),
    [
        (Patient(), "patient"), (Patient(name="A" * 65), "name"), (Patient(name="A=B=C=D"), "name"),
        (Patient(name="A^B^C^D^E^F"), "name"), (Patient(id="a\\b"), "id"), (Patient(id="a\n"), "id"),
        (Patient(id="P-1", birth_date="19700230"), "birth_date"),
        (Patient(id="P-1", birth_date="1970-01-01"), "birth_date"),
        (Patient(id="P-1", sex="W"), "sex"), (Patient(id="P-1", age="45"), "age"),
        (Patient(id="P-1", size_m=170), "size_m"),
        (Patient(id="P-1", weight_kg=float("nan")), "weight_kg"),
    ],
)  # fmt: skip
def test_an_identity_that_no_object_can_hold_is_refused_by_its_field_alone(
    studio: Studio, patient: Patient, field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        open_one(studio, patient)
    assert str(caught.value).startswith(field)
    for value in (patient.name, patient.id, patient.birth_date):
        assert not value or value not in str(caught.value)
    assert studio.exams.current is None


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (Order(accession="A" * 17), "accession"), (Order(study_uid="1.02"), "study_uid"),
        (Order(scheduled="tomorrow"), "scheduled"), (Order(procedure_code=("A" * 17, "B", "C")), "procedure_code"),
    ],
)  # fmt: skip
def test_so_is_an_order(studio: Studio, order: Order, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        open_one(studio, order=order)


def test_names_of_other_scripts_are_taken(studio: Studio) -> None:
    open_one(studio, Patient(name="PHANTOM^ÜNÏ=幻影^一"))
    assert studio.exams.current is not None


def test_a_rule_of_the_configuration_is_applied_recorded_and_taken_back(tmp_path: Path) -> None:
    studio = Studio(tmp_path, parse('[[preset]]\nname = "heart"\nbody_part = ["HEART"]\nengine = "handbuilt"'))
    open_one(studio, body_part="HEART")
    assert studio.exams.current is not None
    assert studio.exams.current.preset == "heart"
    studio.exams.close(studio.clock.now())
    assert [rule.name if rule else None for rule in studio.applied] == ["heart", None]


# ------------------------------------------------ the book


def test_the_book_is_for_its_owner_alone_and_a_restart_goes_on(studio: Studio) -> None:
    uid = open_one(studio)
    studio.exams.stored("s", [image(1), image(2, "c1")])
    path = studio.home / BOOK
    assert path.stat().st_mode & 0o777 == 0o600
    assert studio.home.stat().st_mode & 0o777 in (0o700, 0o755)  # pytest made this one
    studio.start()
    assert studio.exams.current is not None
    assert studio.exams.current.uid == uid
    assert studio.exams.current.patient == ONE
    assert studio.exams.number("s") == (1, 2)
    assert studio.events_named("exam.resumed")


def test_with_the_outboxs_key_nothing_of_it_lies_in_plain(tmp_path: Path) -> None:
    key = Key(b"k" * 32)
    studio = Studio(tmp_path)
    exams = Exams(Book(Vault(tmp_path, key)), studio.config, studio.wall, studio.events)
    exams.open(Opening(ONE), 1)
    assert b"PHANTOM" not in (tmp_path / BOOK).read_bytes()
    again = Exams(Book(Vault(tmp_path, key)), studio.config, studio.wall, studio.events)
    assert again.current is not None
    assert again.current.patient == ONE


def test_a_key_may_be_added_at_any_time(studio: Studio) -> None:
    uid, key = open_one(studio), Key(b"k" * 32)
    exams = Exams(Book(Vault(studio.home, key)), studio.config, studio.wall, studio.events)
    assert exams.current is not None
    assert exams.current.uid == uid
    exams.stored("s", [image(1)])
    assert (studio.home / BOOK).read_bytes().startswith(MAGIC), "sealed with the next word that is written"
    assert not (studio.home / (BOOK + ".damaged")).exists()


@pytest.mark.parametrize("wrong", [None, Key(b"l" * 32)], ids=["missing", "wrong"])
def test_without_its_key_the_book_stays_what_it_is_and_nothing_starts(studio: Studio, wrong: Key | None) -> None:
    key = Key(b"k" * 32)
    Exams(Book(Vault(studio.home, key)), studio.config, studio.wall, studio.events).open(Opening(ONE), 1)
    before = (studio.home / BOOK).read_bytes()
    with pytest.raises(ConfigError, match=f"sealed with key {key.id}"):
        Exams(Book(Vault(studio.home, wrong)), studio.config, studio.wall, studio.events)
    assert {path.name for path in studio.home.iterdir()} - {"mpps"} == {BOOK}
    assert (studio.home / BOOK).read_bytes() == before


def test_a_book_that_the_disk_refuses_is_neither_set_aside_nor_written_over(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = open_one(studio)

    def failing(_vault: Vault, _name: str) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Vault, "read", failing)
    studio.start()
    with pytest.raises(CaptureRefused, match="the exams of before cannot be read \\(Input/output error\\)"):
        open_one(studio, TWO)
    monkeypatch.undo()
    studio.start()
    assert studio.exams.current is not None
    assert studio.exams.current.uid == uid


@pytest.mark.parametrize("content", [b"", b'{"current": "x", "entr', MAGIC + b"k" * 20])
def test_with_a_key_too_what_does_not_decode_is_set_aside(studio: Studio, content: bytes) -> None:
    (studio.home / BOOK).write_bytes(content)
    assert Book(Vault(studio.home, Key(b"k" * 32))).read().entries == {}
    assert (studio.home / (BOOK + ".damaged")).read_bytes() == content


def test_a_damaged_book_is_set_aside_and_the_appliance_goes_on(studio: Studio) -> None:
    open_one(studio)
    (studio.home / BOOK).write_bytes(b'{"current": "x", "entr')
    studio.start()
    assert studio.exams.current is None
    assert (studio.home / (BOOK + ".damaged")).exists()
    open_one(studio, TWO)


def test_streams_have_series_of_their_own_and_captures_are_counted(studio: Studio) -> None:
    open_one(studio)
    assert studio.exams.number("a") == (1, 1)
    studio.exams.stored("a", [image(1)])
    assert studio.exams.number("b") == (11, 2)
    studio.exams.stored("b", [image(2)])
    assert studio.exams.number("a") == (1, 3)


def test_an_exam_that_cannot_be_recorded_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    studio = Studio(tmp_path / "taken")
    with pytest.raises(CaptureRefused, match="cannot be recorded"):
        open_one(studio)
    assert studio.exams.current is None


def test_closing_takes_effect_even_where_the_disk_says_no(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    open_one(studio)

    def full(_name: str, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    vault = studio.exams._book._vault
    monkeypatch.setattr(vault, "write", full)
    studio.exams.close(studio.clock.now())
    assert studio.exams.current is None
    assert studio.exams.show(identity=False)["recorded"] is False
    assert [event["reason"] for event in studio.events_named("exam.not-recorded")] == ["No space left on device"]
    monkeypatch.undo()
    studio.exams.tend(studio.clock.now())
    assert studio.exams.show(identity=False)["recorded"] is True
    studio.start()
    assert studio.exams.current is None


def test_what_is_over_and_settled_is_forgotten_in_time_but_nothing_provisional(studio: Studio) -> None:
    unknown = studio.exams.emergency(studio.clock.now()).uid
    studio.exams.close(studio.clock.now())
    for _ in range(MOST_ENDED + 5):
        open_one(studio)
        studio.exams.close(studio.clock.now())
    assert studio.exams.entry(unknown) is not None
    assert len(studio.exams._pages.entries) == MOST_ENDED + 1


@pytest.mark.parametrize("shift", [timedelta(hours=9), timedelta(days=-3650)])
def test_a_forgotten_exam_is_closed_whichever_way_the_clock_jumped(studio: Studio, shift: timedelta) -> None:
    open_one(studio)
    studio.wall_shift = shift
    studio.start()
    studio.exams.tend(studio.clock.now())
    assert studio.exams.current is None
    assert studio.events_named("exam.closed-idle")


def test_an_exam_in_use_is_not(studio: Studio) -> None:
    open_one(studio)
    for hour in range(1, 6):
        studio.wall_shift = timedelta(hours=hour)
        studio.exams.stored("s", [image(hour)])
        studio.exams.tend(studio.clock.now())
    assert studio.exams.current is not None


KILLED = """
import sys
from pathlib import Path
from edge.exam import Patient
from edge.exams import Opening
from tests.studio import Studio
studio = Studio(Path(sys.argv[1]))
while True:
    uid = studio.exams.open(Opening(Patient(name="PHANTOM^ONE")), 0).uid
    print("open", uid, flush=True)
    studio.exams.close(0)
    print("none", uid, flush=True)
"""


def test_kill_9_at_any_moment_leaves_what_was_last_said(tmp_path: Path) -> None:
    for round_ in range(4):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(5 + round_ * 3)]
        os.kill(process.pid, signal.SIGKILL)
        said += [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        process.wait()
        process.stdout.close()
        studio = Studio(tmp_path)
        what, uid = said[-1][0], said[-1][1].decode()
        now = studio.exams.current.uid if studio.exams.current is not None else None
        # The state after the last thing said, or after the next one, of which nobody had heard yet.
        assert now in (uid, None) if what == b"open" else now != uid
        if now is not None:
            studio.exams.close(0)


# ------------------------------------------------ correction


def test_a_provisional_exam_is_corrected_in_place_and_keeps_its_uid(studio: Studio) -> None:
    uid = studio.exams.emergency(studio.clock.now()).uid
    study = studio.exams.current.study_uid  # type: ignore[union-attr]
    studio.exams.stored("s", [image(1)])
    correction = studio.exams.correct("", ONE, None, from_worklist=False)
    assert (correction.exam.uid, correction.captures, correction.copies) == (uid, ("c1",), False)
    assert (correction.exam.study_uid, correction.exam.provisional, correction.exam.patient) == (study, False, ONE)
    assert studio.exams.current == correction.exam
    assert studio.exams.unfinished() == [correction]
    studio.exams.corrected(uid, [image(7, "c1")])
    assert studio.exams.unfinished() == []
    entry = studio.exams.entry(uid)
    assert entry is not None
    assert [one.sop_uid for one in entry.images] == ["1.2.3.7"]


def test_an_order_brings_its_study_while_nothing_was_sent(studio: Studio) -> None:
    uid = studio.exams.emergency(studio.clock.now()).uid
    studio.exams.close(studio.clock.now())
    assert studio.exams.show(identity=False)["uncorrected"] == [uid]
    correction = studio.exams.correct(uid, ONE, Order(study_uid="1.2.9"), from_worklist=True)
    assert (correction.exam.study_uid, correction.exam.origin) == ("1.2.9", "worklist")
    studio.exams.corrected(uid)
    assert studio.exams.show(identity=False)["uncorrected"] == []


def test_what_may_have_been_sent_gets_a_successor_in_a_study_of_its_own(studio: Studio) -> None:
    old = open_one(studio)
    study = studio.exams.current.study_uid  # type: ignore[union-attr]
    studio.exams.stored("s", [image(1)])
    correction = studio.exams.correct("", TWO, None, from_worklist=False)
    assert (correction.copies, correction.captures) == (True, ("c1",))
    assert correction.exam.corrects == old
    assert correction.exam.uid != old
    assert correction.exam.study_uid != study
    assert studio.exams.current == correction.exam
    studio.exams.corrected(correction.exam.uid, [image(8, "c2")])
    entry = studio.exams.entry(correction.exam.uid)
    assert entry is not None
    assert entry.captures == ("c2",)


def test_an_interrupted_correction_is_taken_up_after_a_power_cut(studio: Studio) -> None:
    old = open_one(studio)
    studio.exams.stored("s", [image(1)])
    before = studio.exams.correct(old, TWO, None, from_worklist=False)
    studio.start()
    assert studio.exams.unfinished() == [before]
    with pytest.raises(ConfigError, match="still being carried out"):
        studio.exams.correct("", ONE, None, from_worklist=False)


def test_a_wrong_correction_changes_nothing(studio: Studio) -> None:
    studio.exams.emergency(studio.clock.now())
    with pytest.raises(ConfigError, match="birth_date"):
        studio.exams.correct("", Patient(id="1", birth_date="tomorrow"), None, from_worklist=False)
    with pytest.raises(ConfigError, match="no exam 12345"):
        studio.exams.correct("12345", ONE, None, from_worklist=False)
    assert studio.exams.current is not None
    assert studio.exams.current.provisional


# ------------------------------------------------ discard, notices, what is told


def test_an_exam_with_captures_is_discarded_only_when_that_is_meant(studio: Studio) -> None:
    open_one(studio)
    studio.exams.stored("s", [image(1)])
    with pytest.raises(ConfigError, match="1 captures"):
        studio.exams.discard(studio.clock.now(), captures_too=False)
    assert studio.exams.discard(studio.clock.now(), captures_too=True).captures == ("c1",)
    assert studio.exams.current is None


def test_the_archive_is_told_of_each_exam_once_its_identity_is_known(studio: Studio) -> None:
    open_one(studio)
    studio.exams.stored("s", [image(1)])
    studio.exams.close(studio.clock.now())
    uid = studio.exams.emergency(studio.clock.now()).uid
    studio.exams.stored("s", [image(2)])
    studio.exams.close(studio.clock.now())
    assert notices(studio) == [("begun", False), ("ended", True)]
    studio.exams.correct(uid, TWO, None, from_worklist=False)
    studio.exams.corrected(uid)
    assert notices(studio)[2:] == [("begun", False), ("ended", True)]


def test_an_exam_without_a_picture_is_discontinued(studio: Studio) -> None:
    open_one(studio)
    studio.exams.close(studio.clock.now())
    assert notices(studio) == [("begun", False), ("ended", False)]


def notices(studio: Studio) -> list[tuple[str, bool]]:
    queue = studio.steps
    names = queue._vault.names("*.notice")
    found = [queue._read(name) for name in names]
    return [(one.kind, one.completed) for one in found if one is not None]


def test_neither_events_nor_the_usual_answer_name_the_patient(studio: Studio) -> None:
    open_one(studio, order=Order(accession="ACC-77"), operator="PHANTOM^OPERATOR")
    studio.exams.correct("", TWO, Order(accession="ACC-78"), from_worklist=False)
    told = repr(studio.heard) + repr(studio.exams.show(identity=False))
    for secret in ("PHANTOM", "P-1", "P-2", "1970", "1971", "ACC-7"):
        assert secret not in told
    assert "PHANTOM^TWO" in repr(studio.exams.show(identity=True))


def test_pictures_from_before_are_not_this_exams(studio: Studio) -> None:
    studio.clock.advance(SECOND)
    open_one(studio)
    assert studio.exams.since_ns == studio.clock.now()
    studio.clock.advance(SECOND)
    studio.exams.close(studio.clock.now())
    assert studio.exams.since_ns == studio.clock.now()
    closed = studio.clock.now()
    studio.clock.advance(SECOND)
    studio.exams.emergency(studio.clock.now())
    assert studio.exams.since_ns == closed  # an emergency takes what was seen since the last patient left
