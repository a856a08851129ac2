"""Every event that is told becomes a message by the rules of PS3.15 A.5.1, and says what the standard asks for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from edge.audit import Entry, dicom
from tests.archives import need

XMLLINT, SCHEMA = "/usr/bin/xmllint", Path(__file__).parents[2] / "audit_message.rng"
EDGE = Path(__file__).parents[3] / "edge"
STUDY = dicom.Study("1.2.3.4", {"1.2.840.10008.5.1.4.1.1.6.1": 2}, "MRN-88341")
NASTY = 'a<b>&"quotes" \x00\x1b\ud800 ünïcode'
# What stays in the local log, and why it does: it is of the queue, of the picture, or told by another line already.
LOCAL = {
    "asked", "confirmed", "retried", "released", "mended", "sealed", "picture", "retry", "retry-all", "park", "release",
    "worklist", "export",
}  # fmt: skip


def about(**changes: Any) -> dicom.About:
    return dicom.About(**{"source": "LIMPID", "host": "cart-7", "study_of": lambda _entry: STUDY, **changes})


def entry(did: str, **facts: Any) -> Entry:
    to = "20261120T191530.123456-4f2a91"
    return Entry(7, "2026-11-20T19:15:30.000+00:00", "oscar", did, to, facts, "0" * 64)


def parsed(log: str, did: str, about_: dicom.About | None = None, **facts: Any) -> ElementTree.Element:
    made = dicom.message(log, entry(did, **facts), about_ or about())
    assert made is not None
    return ElementTree.fromstring(made)


def patient_of(message: ElementTree.Element) -> list[str]:
    objects = message.findall("ParticipantObjectIdentification")
    return [str(one.get("ParticipantObjectID")) for one in objects if one.get("ParticipantObjectTypeCode") == "1"]


def test_every_message_is_by_the_schema(tmp_path: Path):
    need(XMLLINT)
    facts = {"reason": NASTY, "why": NASTY, "destination": NASTY, "object": NASTY, "from": "10.0.0.7", "n": 3}
    for patients in (True, False):
        for log, did in dicom.EVENTS:
            made = dicom.message(log, entry(did, **facts), about(patients=patients, site=NASTY))
            assert made is not None
            (tmp_path / f"{log}-{did}-{patients}.xml").write_bytes(made)
    line = [XMLLINT, "--noout", "--relaxng", str(SCHEMA), *(str(path) for path in sorted(tmp_path.glob("*.xml")))]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("validates") == 2 * len(dicom.EVENTS)


@pytest.mark.parametrize("harm", ["EventDateTime", "UserIsRequestor", "ParticipantObjectName"])
def test_the_schema_can_tell(tmp_path: Path, harm: str):
    need(XMLLINT)
    made = dicom.message("outbox", entry("sent", destination="pacs"), about())
    assert made is not None
    (tmp_path / "bad.xml").write_bytes(made.replace(harm.encode(), b"Strange"))
    line = [XMLLINT, "--noout", "--relaxng", str(SCHEMA), str(tmp_path / "bad.xml")]
    assert subprocess.run(line, capture_output=True, timeout=60, check=False).returncode != 0


def test_a_transfer_names_both_ends_the_study_and_the_patient():
    message = parsed("outbox", "sent", about(peers={"pacs": "10.1.2.3"}), destination="pacs", object="1-original.dcm")
    identification = message.find("EventIdentification")
    assert identification is not None
    assert identification.find("EventID").get("csd-code") == "110104"  # type: ignore[union-attr]
    ends = [
        (one.get("UserID"), one.get("NetworkAccessPointID"), one.find("RoleIDCode").get("csd-code"))  # type: ignore[union-attr]
        for one in message.findall("ActiveParticipant")
    ]
    assert ends == [("LIMPID", "cart-7", "110153"), ("pacs", "10.1.2.3", "110152")]
    study = message.find("ParticipantObjectIdentification")
    assert study is not None
    assert study.get("ParticipantObjectID") == "1.2.3.4"
    assert study.find("ParticipantObjectDescription/SOPClass").get("NumberOfInstances") == "2"  # type: ignore[union-attr]
    assert patient_of(message) == ["MRN-88341"]


def test_a_refusal_is_a_failure_with_its_reason():
    identification = parsed("outbox", "parked", destination="pacs", reason="status 0xA900").find("EventIdentification")
    assert identification is not None
    assert identification.get("EventOutcomeIndicator") == "8"
    assert identification.findtext("EventOutcomeDescription") == "status 0xA900"


def test_without_patients_none_is_named():
    for log, did in dicom.EVENTS:
        made = dicom.message(log, entry(did), about(patients=False))
        assert made is not None
        assert b"MRN-88341" not in made
        assert patient_of(ElementTree.fromstring(made)) == []


def test_a_patient_that_is_not_known_is_said_to_be_unknown():
    message = parsed("outbox", "removed", about(study_of=lambda _entry: dicom.Study()))
    assert patient_of(message) == ["unknown"]


def test_only_messages_about_studies_and_patients_name_one():
    named = {did for (log, did) in dicom.EVENTS if patient_of(parsed(log, did))}
    assert named == {
        "stored", "replaced", "discarded", "removed", "sent", "parked", "exported", "identity-shown", "exam-correct",
        "exam-open", "exam-close", "exam-discard", "discard",
    }  # fmt: skip


def test_the_same_line_gives_the_same_bytes():
    made = {dicom.message("outbox", entry("sent", destination="pacs", b=1, a=2), about()) for _ in range(5)}
    assert len(made) == 1


def test_every_event_there_is_was_decided_about():
    """Whoever writes a new kind of line says whether the repository is told, or that it stays here."""
    wanted = re.compile(
        r"""(?:\.append|_note|\.note|_tell|\.tell|note_system)\(\s*(?:config, "\w+", |config, )?"([a-z-]+)","""
    )
    found = {did for path in EDGE.rglob("*.py") for did in wanted.findall(path.read_text())}
    assert len(found) > 30
    assert found - {did for _, did in dicom.EVENTS} - LOCAL == set()
