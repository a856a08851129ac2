"""Notices to the archive: their queue on the disk, and what each answer of the archive means."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from edge.commands.outbox_app import app
from edge.config import parse
from edge.errors import ConfigError, SinkRejected, SinkUnavailable
from edge.exam import Exam, Order, Patient, step_uid
from edge.exam_book import Image, Vault
from edge.mpps import RETRIES_S, StepSender, begun, ended, judged
from edge.outbox.seal import Key
from edge.steps import Notice, StepQueue

CONFIG = parse('[mpps]\nhost = "127.0.0.1"\n[station]\nname = "CART-3"\nae_title = "CART3"')
EXAM = Exam(
    "0123456789ab", "1.2.3", "2026-11-20T09:30:00.000+01:00", Patient(name="PHANTOM^ONE", id="P-1"),
    Order(accession="A-1", step_id="S-1", procedure="Abdomen", procedure_code=("US1", "99X", "Abdomen")),
)  # fmt: skip
IMAGES = (
    Image("c", "1.2.3.1", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.3.1.1", "US"),
    Image("c", "1.2.3.2", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.3.2.1", "US"),
    Image("d", "1.2.3.1", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.3.1.2", "US"),
)
END = datetime(2026, 11, 20, 10, 5, 9, tzinfo=timezone.utc)


@pytest.fixture
def queue(tmp_path: Path) -> StepQueue:
    return StepQueue(Vault(tmp_path / "mpps"))


def answer(status: int | None, **more: object) -> Dataset:
    found = Dataset()
    if status is not None:
        found.Status = status
    for keyword, value in more.items():
        setattr(found, keyword, value)
    return found


def test_notices_come_in_the_order_in_which_they_were_put_also_after_a_restart(
    queue: StepQueue, tmp_path: Path
) -> None:
    queue.begun(EXAM)
    queue.ended(EXAM, IMAGES, completed=True, ended=END)
    again = StepQueue(Vault(tmp_path / "mpps"))
    first = again.first()
    assert first is not None
    assert first.notice == Notice(step_uid(EXAM), "begun", EXAM)
    again.done(first)
    second = again.first()
    assert second is not None
    assert (second.notice.kind, second.notice.completed, second.notice.images) == ("ended", True, IMAGES)
    again.done(second)
    assert again.first() is None


def test_file_names_tell_nothing_and_files_are_for_the_owner(queue: StepQueue, tmp_path: Path) -> None:
    queue.begun(EXAM)
    (file,) = (tmp_path / "mpps").iterdir()
    assert file.name == "000000000001-begun.notice"
    assert file.stat().st_mode & 0o777 == 0o600


def test_with_a_key_they_are_sealed(tmp_path: Path) -> None:
    queue = StepQueue(Vault(tmp_path, Key(b"k" * 32)))
    queue.begun(EXAM)
    (file,) = tmp_path.iterdir()
    assert b"PHANTOM" not in file.read_bytes()
    assert queue.first() is not None


def test_a_key_may_be_added_while_notices_wait(queue: StepQueue, tmp_path: Path) -> None:
    queue.begun(EXAM)
    sealed = StepQueue(Vault(tmp_path / "mpps", Key(b"k" * 32)))
    sealed.ended(EXAM, (), completed=False, ended=END)
    assert sealed.exams() == {EXAM.uid}
    for kind in ("begun", "ended"):
        first = sealed.first()
        assert first is not None
        assert first.notice.kind == kind
        sealed.done(first)
    assert sealed.counts() == {"waiting": 0, "parked": 0, "damaged": 0}


@pytest.mark.parametrize("wrong", [None, Key(b"l" * 32)], ids=["missing", "wrong"])
def test_without_their_key_notices_wait_and_none_overtakes_them(tmp_path: Path, wrong: Key | None) -> None:
    StepQueue(Vault(tmp_path, Key(b"k" * 32))).begun(EXAM)
    queue = StepQueue(Vault(tmp_path, wrong))
    Vault(tmp_path).write("000000000002-ended.notice", msgspec.json.encode(Notice(step_uid(EXAM), "ended", EXAM)))
    with pytest.raises(ConfigError, match="sealed with key"):
        queue.first()
    peer = Peer(queue, [answer(0)])
    assert not peer.step(0.0)
    ((event, facts),) = peer.told  # and it is said why, not only counted as waiting
    assert (event, facts["again_in_s"]) == ("mpps.unavailable", RETRIES_S[0])
    assert "sealed with key" in facts["reason"]
    assert queue.counts() == {"waiting": 2, "parked": 0, "damaged": 0}
    with_key = StepQueue(Vault(tmp_path, Key(b"k" * 32))).first()
    assert with_key is not None
    assert with_key.notice.kind == "begun"


def test_a_notice_that_the_disk_refuses_is_not_set_aside(queue: StepQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.begun(EXAM)

    def failing(_vault: Vault, _name: str) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Vault, "read", failing)
    peer = Peer(queue, [answer(0)])
    assert not peer.step(0.0)
    ((_, facts),) = peer.told
    assert facts["reason"] == "a notice cannot be read: Input/output error"
    assert queue.exams() == set()
    monkeypatch.undo()
    assert queue.first() is not None
    assert queue.counts() == {"waiting": 1, "parked": 0, "damaged": 0}


def test_a_torn_notice_is_set_aside_and_the_queue_goes_on(queue: StepQueue, tmp_path: Path) -> None:
    queue.begun(EXAM)
    queue.ended(EXAM, (), completed=False, ended=END)
    torn = tmp_path / "mpps" / "000000000001-begun.notice"
    torn.write_bytes(torn.read_bytes()[:40])
    first = queue.first()
    assert first is not None
    assert first.notice.kind == "ended"
    assert queue.counts() == {"waiting": 1, "parked": 0, "damaged": 1}


def test_a_parked_step_takes_its_later_notices_with_it_and_no_others(queue: StepQueue) -> None:
    other = Exam("ffff", "1.2.4", EXAM.opened, EXAM.patient)
    queue.begun(EXAM)
    queue.begun(other)
    queue.ended(EXAM, (), completed=False, ended=END)
    first = queue.first()
    assert first is not None
    queue.park(first)
    assert queue.counts() == {"waiting": 1, "parked": 2, "damaged": 0}
    assert queue.release() == 2
    assert queue.counts()["waiting"] == 3
    again = queue.first()
    assert again is not None
    assert again.notice == first.notice


class Peer(StepSender):
    """A sender whose peer answers as told."""

    def __init__(self, queue: StepQueue, answers: list[Any]) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        super().__init__(CONFIG, queue, lambda event, **facts: self.told.append((event, facts)))
        self.answers = answers

    def send(self, notice: Notice) -> str:
        return judged(self.answers.pop(0), notice)


def test_an_archive_that_is_away_is_asked_again_ever_more_seldom_and_never_given_up(queue: StepQueue) -> None:
    queue.begun(EXAM)
    peer = Peer(queue, [answer(None)] * 8 + [answer(0)])
    now = 0.0
    for wait in (*RETRIES_S, RETRIES_S[-1], RETRIES_S[-1], RETRIES_S[-1]):
        assert not peer.step(now)
        assert not peer.step(now + wait - 0.1)  # not yet due: nobody is asked
        now += wait
    assert peer.step(now)
    assert queue.counts()["waiting"] == 0
    assert [event for event, _ in peer.told] == ["mpps.unavailable"] * 8 + ["mpps.told"]


def test_a_refusal_for_good_is_parked_with_its_reason_in_the_event(queue: StepQueue) -> None:
    queue.begun(EXAM)
    peer = Peer(queue, [answer(0x0106)])
    assert peer.step(0.0)
    assert queue.counts() == {"waiting": 0, "parked": 1, "damaged": 0}
    assert peer.told[0][1]["reason"] == "refused with status 0x0106"
    assert "PHANTOM" not in repr(peer.told)


@pytest.mark.parametrize(
    ("kind", "found", "warning"),
    [
        ("begun", answer(0), ""), ("begun", answer(0x0111), "it was known already"),
        ("ended", answer(0x0110, ErrorID=0xA710), "it was over already"), ("ended", answer(0x0107), "status 0x0107"),
    ],
)  # fmt: skip
def test_what_counts_as_told(kind: Any, found: Dataset, warning: str) -> None:
    assert judged(found, Notice("1.2", kind, EXAM)) == warning


@pytest.mark.parametrize(
    ("kind", "found", "error"),
    [
        ("begun", answer(None), SinkUnavailable), ("begun", answer(0x0213), SinkUnavailable),
        ("ended", answer(0x0111), SinkRejected), ("ended", answer(0x0110), SinkRejected),
        ("ended", answer(0x0112), SinkRejected), ("begun", answer(0x0110, ErrorID=0xA710), SinkRejected),
    ],
)  # fmt: skip
def test_what_does_not(kind: Any, found: Dataset, error: type[Exception]) -> None:
    with pytest.raises(error):
        judged(found, Notice("1.2", kind, EXAM))


def test_the_first_message_names_the_order_the_second_everything_that_was_made() -> None:
    create = begun(EXAM, CONFIG)
    assert create.PerformedProcedureStepStatus == "IN PROGRESS"
    assert create.PerformedStationAETitle == "CART3"
    (step,) = create.ScheduledStepAttributesSequence
    assert (step.StudyInstanceUID, step.AccessionNumber, step.ScheduledProcedureStepID) == ("1.2.3", "A-1", "S-1")
    assert create.ProcedureCodeSequence[0].CodeValue == "US1"
    final = ended(Notice("1.2", "ended", EXAM, True, END.isoformat(), IMAGES))
    assert final.PerformedProcedureStepStatus == "COMPLETED"
    assert (final.PerformedProcedureStepEndDate, final.PerformedProcedureStepEndTime) == ("20261120", "100509")
    made = {
        series.SeriesInstanceUID: [image.ReferencedSOPInstanceUID for image in series.ReferencedImageSequence]
        for series in final.PerformedSeriesSequence
    }
    assert made == {"1.2.3.1": ["1.2.3.1.1", "1.2.3.1.2"], "1.2.3.2": ["1.2.3.2.1"]}


def test_a_step_without_images_still_names_a_series() -> None:
    final = ended(Notice(step_uid(EXAM), "ended", EXAM, False, END.isoformat()))
    assert final.PerformedProcedureStepStatus == "DISCONTINUED"
    (series,) = final.PerformedSeriesSequence
    assert len(series.SeriesInstanceUID) <= 64
    assert len(series.ReferencedImageSequence) == 0


def test_which_exams_the_archive_is_yet_to_hear_of(queue: StepQueue) -> None:
    assert queue.exams() == set()
    queue.begun(EXAM)
    queue.ended(EXAM, IMAGES, completed=True, ended=END)
    assert queue.exams() == {EXAM.uid}
    waiting = queue.first()
    assert waiting is not None
    queue.park(waiting)
    assert queue.exams() == set(), "what was refused for good holds nothing up"


def test_a_person_sees_what_was_refused_and_lets_it_wait_again(tmp_path: Path) -> None:
    config = tmp_path / "limpid.toml"
    config.write_text(f'[outbox]\nfolder = "{tmp_path}/outbox"\nkey_file = "{tmp_path}/not-here.key"\n')

    def steps(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["steps", "--config", str(config), *words], catch_exceptions=False)
        return done.exit_code, done.stdout

    assert steps() == (0, "the archive has been told everything\n")
    queue = StepQueue(Vault(tmp_path / "exams" / "mpps"))
    queue.begun(EXAM)
    queue.ended(EXAM, IMAGES, completed=True, ended=END)
    waiting = queue.first()
    assert waiting is not None
    queue.park(waiting)
    status, said = steps()
    assert status == 1
    assert said.count("parked") == 2
    assert "PHANTOM" not in said
    status, said = steps("--retry", "--json")
    found = json.loads(said)
    assert (status, found["retried"], found["waiting"], found["parked"]) == (0, 2, 2, 0)
    assert found["notices"][0] == {"number": 1, "kind": "begun", "state": "waiting"}
    again = queue.first()
    assert again is not None
    assert again.notice.kind == "begun"
