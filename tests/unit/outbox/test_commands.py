"""`limpid outbox ...`: what a person is told and can do; in words, in JSON, and never with a patient in it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from edge.commands.outbox_app import app
from edge.errors import ConfigError, OutboxFault
from edge.outbox import Outbox, Settings, fileset
from tests.outbox_rig import ROOMY, Rig, dicom, draft


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "outbox")


def limpid(rig: Rig, *words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, [words[0], "--folder", str(rig.folder), *words[1:]], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout


def as_json(rig: Rig, *words: str, status: int = 0) -> dict[str, Any]:
    return json.loads(limpid(rig, *words, "--json", status=status))


def images_of(stick: Path) -> list[Dataset]:
    return [one for one in dcmread(stick / "DICOMDIR").DirectoryRecordSequence if one.DirectoryRecordType == "IMAGE"]


def put(rig: Rig, *, held: bool = False) -> str:
    return rig.box.put(draft(dicom(), dicom("enhanced"), held=held))


def test_the_list_tells_states_by_destination(rig: Rig):
    name, held = put(rig), put(rig, held=True)
    item = rig.box.next("pacs")
    assert item is not None
    rig.box.parked(item, "refused")
    found = as_json(rig, "list", "-d", "pacs")
    assert [capture["id"] for capture in found["captures"]] == [name, held]
    assert found["captures"][0]["objects"][0]["states"] == {"pacs": "parked"}
    assert found["states"] == {"parked": 1, "waiting": 1, "held": 2}
    assert "1 parked" in limpid(rig, "list")
    assert [one["id"] for one in as_json(rig, "list", "--state", "held")["captures"]] == [held]


def test_an_empty_outbox_and_none_at_all_are_told_apart(rig: Rig, tmp_path: Path):
    assert "empty" in limpid(rig, "list")
    with pytest.raises(ConfigError, match="no outbox"):
        CliRunner().invoke(app, ["list", "--folder", str(tmp_path / "nowhere")], catch_exceptions=False)


def test_destinations_come_with_their_rules_from_the_configuration(rig: Rig, tmp_path: Path):
    put(rig)
    config = tmp_path / "limpid.toml"
    config.write_text('[destination.teaching]\nsend = "originals"\n[destination.teaching.folder]\npath = "/mnt"\n')
    (capture,) = as_json(rig, "list", "--config", str(config))["captures"]
    assert [one["states"] for one in capture["objects"]] == [{"teaching": "waiting"}, {}]


def test_a_capture_is_shown_with_its_story(rig: Rig):
    name = put(rig)
    item = rig.box.next("pacs")
    assert item is not None
    rig.box.sent(item, 0xB000, "coercion")
    found = as_json(rig, "show", name)
    assert found["steps"][0]["facts"]["warning"] == "coercion"
    assert [entry["did"] for entry in found["history"]] == ["stored", "sent"]
    words = limpid(rig, "show", name[-6:])
    assert "coercion" in words
    assert item.object.sop_uid in words


def test_an_archives_words_are_told_as_they_came(rig: Rig):
    name = put(rig)
    item = rig.box.next("pacs")
    assert item is not None
    rig.box.parked(item, "[/broker] [red]no such patient")
    assert "[/broker] [red]no such patient" in limpid(rig, "show", name)


@pytest.mark.parametrize("wanted", ["", "nothing-like-it"])
def test_an_id_must_be_unmistakable(rig: Rig, wanted: str):
    put(rig), put(rig)
    with pytest.raises(OutboxFault, match="captures with this"):
        limpid(rig, "show", wanted)


def test_parked_by_hand_and_sent_after_all(rig: Rig):
    name = put(rig)
    assert as_json(rig, "park", name, "-d", "pacs", "--reason", "wrong probe") == {"parked": 2}
    assert rig.box.next("pacs") is None
    assert as_json(rig, "retry", "--all") == {"retried": 2, "faults": []}
    assert rig.box.next("pacs") is not None


def test_park_wants_a_destination(rig: Rig):
    name = put(rig)
    with pytest.raises(ConfigError, match="--destination"):
        limpid(rig, "park", name)


@pytest.mark.parametrize("words", [["retry"], ["retry", "--all", "x"], ["export", "{}"]])
def test_some_or_all_but_not_neither_nor_both(rig: Rig, tmp_path: Path, words: list[str]):
    with pytest.raises(ConfigError, match="all"):
        limpid(rig, *(word.format(tmp_path / "stick") for word in words))


def test_a_damaged_object_is_told_and_mended_by_retry(rig: Rig):
    name = put(rig)
    path = rig.captures_folder() / name / "1-original.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    item = rig.box.next("pacs")
    assert item is not None
    with pytest.raises(OutboxFault):
        rig.box.open(item)
    assert "damaged" in limpid(rig, "list")
    assert "has 100 bytes" in limpid(rig, "show", name, status=1)
    assert as_json(rig, "retry", name, status=1)["faults"]
    path.write_bytes(whole)
    assert as_json(rig, "retry", "--all")["retried"] == 1
    assert rig.box.next("pacs") == rig.box.items("pacs", "waiting")[0]


def test_a_held_capture_is_released(rig: Rig):
    name = put(rig, held=True)
    assert as_json(rig, "release", name) == {"released": 1}
    assert rig.box.next("pacs") is not None


def test_discarding_is_asked_for_twice(rig: Rig):
    name = put(rig)
    refused = CliRunner().invoke(app, ["discard", name, "--reason", "test", "--folder", str(rig.folder)], input="n\n")
    assert refused.exit_code == 1
    assert rig.box.captures()
    assert as_json(rig, "discard", name, "--reason", "test picture", "--yes") == {"discarded": 1}
    assert not rig.box.captures()


def test_verify_finds_what_was_altered(rig: Rig):
    name, _ = put(rig), put(rig)
    assert as_json(rig, "verify")["ok"]
    path = rig.captures_folder() / name / "2-enhanced.dcm"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = as_json(rig, "verify", status=1)
    assert [(fault["capture"], fault["object"]) for fault in found["faults"]] == [(name, "2-enhanced.dcm")]
    assert rig.box.next("pacs") is not None, "verify only looks"
    log = rig.folder / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"stored", b"sealed"))
    rig.box.release(put(rig, held=True))
    assert as_json(rig, "verify", status=1)["audit"]["faults"]
    assert "NOT all" in limpid(rig, "verify", status=1)


def test_an_export_is_a_file_set_that_dicom_programs_read(rig: Rig, tmp_path: Path):
    names, stick = [put(rig), put(rig)], tmp_path / "stick"
    found = as_json(rig, "export", str(stick), "--all")
    assert {one["capture"] for one in found["exported"]} == set(names)
    assert len(images_of(stick)) == 4
    for one in found["exported"]:
        capture = rig.box.capture(one["capture"])
        stored = next(stored for stored in capture.objects if stored.name == one["object"])
        with rig.box.read(capture, stored) as file:
            assert (stick / one["file"]).read_bytes() == file.read()
        assert dcmread(stick / one["file"]).SOPInstanceUID == stored.sop_uid
    assert {path.name for path in stick.iterdir()} == {"DICOMDIR", "PT000000"}
    dump = shutil.which("dcmdump", path="/usr/bin")
    if dump:
        told = subprocess.run([dump, str(stick / "DICOMDIR")], capture_output=True, text=True, check=True).stdout
        assert told.count("IMAGE") >= 4
        assert "PHANTOM^ONE" in told
    assert [entry.did for entry in rig.box.audit.entries() if entry.to == names[0]] == ["stored", "exported"]


def test_an_emergencys_export_says_what_a_directory_must_say(rig: Rig, tmp_path: Path):
    rig.box.put(draft(dicom(PatientID="", StudyID="", StudyTime="", PatientName=""), held=True))
    with pytest.raises(OutboxFault, match="nothing to export"):
        limpid(rig, "export", str(tmp_path / "stick"), "--all")
    limpid(rig, "export", str(tmp_path / "stick"), "--all", "--held")
    patients = [one for one in dcmread(tmp_path / "stick" / "DICOMDIR").DirectoryRecordSequence if "PatientID" in one]
    assert [one.PatientID for one in patients] == ["UNKNOWN"]


def test_a_folder_that_holds_a_file_set_is_not_touched(rig: Rig, tmp_path: Path):
    put(rig)
    limpid(rig, "export", str(tmp_path / "stick"), "--all")
    with pytest.raises(OutboxFault, match="another folder"):
        limpid(rig, "export", str(tmp_path / "stick"), "--all")


def test_a_stick_that_reads_back_otherwise_is_told_and_left_empty(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put(rig)
    monkeypatch.setattr(fileset, "_sum_from_disk", lambda _path, _progress: "0" * 64)
    with pytest.raises(OutboxFault, match="not to be trusted"):
        limpid(rig, "export", str(tmp_path / "stick"), "--all")
    assert not list((tmp_path / "stick").iterdir())


def test_an_export_of_a_sealed_outbox_is_plain_on_the_stick_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o600)
    rig = Rig(tmp_path / "outbox", Settings(watermark_percent=100, least_free_mb=0, key_file=str(tmp_path / "key")))
    put(rig)
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    config = tmp_path / "limpid.toml"
    config.write_text(f'[outbox]\nkey_file = "{tmp_path / "key"}"\n')
    limpid(rig, "export", str(tmp_path / "stick"), "--all", "--config", str(config))
    assert len(images_of(tmp_path / "stick")) == 2
    seen = [path for path in tmp_path.rglob("*") if path.is_file() and b"PHANTOM" in path.read_bytes()]
    assert all(path.is_relative_to(tmp_path / "stick") for path in seen)


def test_no_command_that_reports_names_the_patient(rig: Rig, tmp_path: Path):
    name = put(rig)
    said = "".join(
        limpid(rig, *words)
        for words in (["list"], ["list", "--json"], ["show", name], ["show", name, "--json"], ["verify"],
                      ["export", str(tmp_path / "stick"), name, "--json"], ["park", name, "-d", "pacs"])
    )  # fmt: skip
    said += (rig.folder / "audit.jsonl").read_text()
    said += "".join(path.read_text() for path in rig.folder.rglob("*") if path.is_file() and path.suffix != ".dcm")
    assert "PHANTOM" not in said
    assert "PH-001" not in said


def test_commands_do_not_need_the_owners_to_be_away(rig: Rig):
    name = put(rig)
    assert Outbox(rig.folder, ROOMY).capture(name).id == as_json(rig, "show", name)["id"]
