"""Whose study a line of the log is about: found in the outbox, or in the log itself where the capture is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge import config as configs
from edge.audit import Entry
from edge.auditing import Studies, signer_of
from edge.config import AuditTrail
from edge.errors import ConfigError
from edge.exam import Exam, Patient
from edge.exam_book import Book, Pages
from edge.exam_book import Entry as Written
from edge.outbox import Draft, Outbox, Settings
from edge.places import audit_logs, places_of
from edge.signing import make_key
from tests.archives import US, phantom

NOBODY = "PHANTOM-77"


def rig(home: Path) -> tuple[Outbox, Studies, str]:
    config = configs.parse(f'[outbox]\nfolder = "{home}/outbox"\nwatermark_percent = 100\nleast_free_mb = 0')
    places = places_of(config)
    outbox = Outbox(places.outbox, Settings(str(places.outbox), 100, 0), who="live")
    outbox.own_putting()
    made = phantom()
    name = outbox.put(Draft("0123456789ab", "US", "routine", "still", "2026-11-20T19:15:30", False, [made]))
    exam = Exam("0123456789ab", made.study_uid, "2026-11-20T19:15:00", Patient("PHANTOM^ONE", NOBODY))
    Book(places.exams).write(Pages(entries={exam.uid: Written(exam)}))
    return outbox, Studies(outbox, places), name


def line(did: str, to: str) -> Entry:
    return Entry(1, "2026-11-20T19:15:30.000+00:00", "forward", did, to, {}, "0" * 64)


def test_a_capture_leads_to_its_study_and_its_patient(tmp_path: Path):
    outbox, studies, name = rig(tmp_path)
    study = studies.of(line("sent", name))
    assert study.uid == outbox.capture(name).objects[0].study_uid
    assert (dict(study.classes), study.patient) == ({US: 1}, NOBODY)
    outbox.close()


def test_a_capture_that_was_removed_meanwhile_is_still_known(tmp_path: Path):
    outbox, studies, name = rig(tmp_path)
    before = studies.of(line("sent", name))
    shutil.rmtree(outbox.folder / "captures" / name)
    assert studies.of(line("removed", name)) == before
    outbox.close()


def test_an_exam_leads_to_its_patient_and_what_is_not_known_to_nobody(tmp_path: Path):
    outbox, studies, _ = rig(tmp_path)
    assert studies.of(line("identity-shown", "0123456789ab")).patient == NOBODY
    assert studies.of(line("identity-shown", "ffffffffffff")).patient == ""
    assert studies.of(line("sent", "20200101T000000.000000-000000")).patient == ""
    outbox.close()


def test_no_log_names_the_patient(tmp_path: Path):
    outbox, _, _ = rig(tmp_path)
    config = configs.parse(f'[outbox]\nfolder = "{tmp_path}/outbox"')
    text = b"".join(
        each for log in audit_logs(config).values() if log.path.is_relative_to(tmp_path) for each in log.lines()
    )
    assert text
    assert NOBODY.encode() not in text
    assert b"PHANTOM^ONE" not in text
    outbox.close()


def test_a_seals_key_comes_from_a_file_of_its_owner_or_as_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = make_key(tmp_path / "audit.key")
    found = signer_of(AuditTrail(key_file=str(tmp_path / "audit.key")))
    assert found is not None
    assert found.id == made.id
    (tmp_path / "audit.key").chmod(0o440)  # as systemd hands it over
    with pytest.raises(ConfigError, match="read by others"):
        signer_of(AuditTrail(key_file=str(tmp_path / "audit.key")))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    found = signer_of(AuditTrail(key_credential="audit.key"))
    assert found is not None
    assert found.id == made.id
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="no credentials"):
        signer_of(AuditTrail(key_credential="audit.key"))


def test_patients_are_not_sent_where_everybody_can_read_them():
    with pytest.raises(ConfigError, match="open to be read"):
        configs.parse('[audit]\nhost = "repository"\nprotocol = "udp"')
    configs.parse('[audit]\nhost = "repository"\nprotocol = "udp"\npatients = "none"')
