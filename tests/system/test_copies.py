"""Copies without identity on their whole way: through the forwarder into a real Orthanc, and by the command."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from edge.dicom.stored import Stored
from edge.frame import Shown
from edge.outbox import Draft, Outbox
from tests.archives import free_port, orthanc, until
from tests.system.forwarding import Forward, states
from tests.system.process import ROOT
from tests.unit.dicom.scenes import EXAM, STUDY, as_stored, clip, pair, still, written

LOOKS = {"a clip in colour": clip("us colour"), "a still": still("us grey"), "fluoroscopy": clip("xrf 16 bits")}
SECRETS = (
    "PHANTOM", "PH-1", "19700102", "ACC-1", "RP-1", "SPS-1", "limpid-1", "SN-0042", "Test Hospital", "20261120",
    "abdomen-adult", STUDY,
)  # fmt: skip


def store(outbox: Outbox) -> dict[str, str]:
    """look -> capture"""
    names: dict[str, str] = {}
    for look, take in LOOKS.items():
        made = pair(take)
        draft = Draft(EXAM.uid, made[0].modality, "routine", take.kind, "2026-11-20T19:15:30+01:00", False, made)
        names[look] = outbox.put(draft)
    return names


def header_names_nobody(file: bytes) -> None:
    head = file[: file.index(b"\xe0\x7f\x10\x00")]
    assert [secret for secret in SECRETS if secret.encode() in head] == []


def links_resolve(objects: list[Dataset]) -> None:
    """Each original and its enhanced one name each other, by the UIDs of the copies and no others."""
    by_uid = {str(one.SOPInstanceUID): one for one in objects}
    assert len({str(one.StudyInstanceUID) for one in objects}) == len({str(one.PatientID) for one in objects}) == 1
    for one in objects:
        is_enhanced = one.ImageType[0] == "DERIVED"
        (link,) = one.SourceImageSequence if is_enhanced else one.ReferencedImageSequence
        partner = by_uid[str(link.ReferencedSOPInstanceUID)]
        assert (partner.ImageType[0] == "DERIVED") != is_enhanced
        assert str(one.ReferencedSeriesSequence[0].SeriesInstanceUID) == str(partner.SeriesInstanceUID)


def outside_is_black_and_inside_untouched(file: bytes, shown: tuple[Shown, ...]) -> None:
    copy = Stored(BytesIO(file))
    enhanced = copy.elements.ImageType[0] == "DERIVED"
    for pixels, one in zip(copy.each_frame(), shown, strict=True):
        assert one.region is not None
        kept = np.zeros_like(pixels)
        kept[one.region.slices] = as_stored(one, enhanced=enhanced)[one.region.slices]
        assert np.array_equal(pixels, kept)
        assert not np.array_equal(pixels, as_stored(one, enhanced=enhanced)), "there was something to blank"


def taught(outbox: Outbox) -> list[str]:
    return [capture.state(one, "teaching") for capture in outbox.captures() for one in capture.objects]


@pytest.mark.timeout(120)
def test_copies_reach_a_teaching_archive_whole_linked_and_without_a_name(tmp_path: Path) -> None:
    report_port = free_port()
    (tmp_path / "usb").mkdir()
    with orthanc(tmp_path / "orthanc", report_port=report_port) as archive:
        forward = Forward(
            tmp_path / "f",
            f"""
[destination.teaching]
deidentify = true
ask_every_s = 0.3
[destination.teaching.dimse]
host = "127.0.0.1"
port = {archive.dicom}
called = "ORTHANC"
listen = "127.0.0.1:{report_port}"
[destination.pacs]
ask_every_s = 0.3
[destination.pacs.folder]
path = "{tmp_path}/usb"
""",
        )
        outbox = forward.outbox()
        names = store(outbox)
        forward.start()
        try:
            forward.wait_for("confirmed", 6, outbox)
            until(lambda: taught(outbox) == ["confirmed"] * 6, f"all copies are safe: {forward.tail()}")
        finally:
            assert forward.stop() == 0
        files = [archive.file(uid) for uid in archive.instances()]
    assert set(states(outbox)) == {"confirmed"}
    assert len(files) == 6
    ours = {one.sop_uid for capture in outbox.captures() for one in capture.objects}
    objects = [pydicom.dcmread(BytesIO(file)) for file in files]
    assert not ours & {str(one.SOPInstanceUID) for one in objects}
    links_resolve(objects)
    for file, one in zip(files, objects, strict=True):
        header_names_nobody(file)
        assert (one.PatientIdentityRemoved, one.BurnedInAnnotation) == ("YES", "NO")
        take = next(take for take in LOOKS.values() if _fits(one, take.shown))
        outside_is_black_and_inside_untouched(file, take.shown)
    # The archive of the hospital got the objects themselves; the copies lie nowhere any more.
    assert {path.name for path in (tmp_path / "usb").iterdir()} == set(names.values())
    left = {path.name for path in forward.folder.iterdir()} - {"served.json"}
    assert left == {"captures", "audit.jsonl", "send.lock", "pseudonyms.key"}
    said = forward.log.read_text()
    assert [secret for secret in SECRETS if secret in said] == []


def _fits(one: Dataset, shown: tuple[Shown, ...]) -> bool:
    height, width = shown[0].frame.pixels.shape[:2]
    return (one.Rows, one.Columns, int(one.get("NumberOfFrames") or 1)) == (height, width, len(shown))


def limpid(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "edge", "deidentify", *map(str, words)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_copies_captures_and_files_alike(tmp_path: Path) -> None:
    forward = Forward(tmp_path, "")
    names = store(forward.outbox())
    loose = tmp_path / "loose"
    loose.mkdir()
    for number, made in enumerate(pair(LOOKS["a still"])):
        (loose / f"{number}.dcm").write_bytes(written(made).getvalue())
    (loose / "notes.txt").write_text("no DICOM at all")
    done = limpid(tmp_path / "copies", *names.values(), loose, "--folder", forward.folder, "--json")
    assert done.returncode == 1, done.stderr  # the notes
    said = json.loads(done.stdout)
    assert [one["source"] for one in said["left_out"]] == [str(loose / "notes.txt")]
    assert len(said["copies"]) == 8
    paths = [tmp_path / "copies" / one["file"] for one in said["copies"]]
    assert sorted(paths) == sorted((tmp_path / "copies").rglob("*.dcm"))
    links_resolve([pydicom.dcmread(path) for path in paths])
    for path in paths:
        header_names_nobody(path.read_bytes())
    exported = [entry for entry in forward.outbox().audit.entries() if entry.did == "exported"]
    assert {entry.to: entry.facts["objects"] for entry in exported} == dict.fromkeys(names.values(), 2)
    again = limpid(tmp_path / "again", "--all", "--folder", forward.folder)
    assert again.returncode == 0, again.stderr
    once = {path.name: path.read_bytes() for path in paths if path.name in _names_in(tmp_path / "again")}
    assert len(once) == 6, "the same key, the same UIDs"
    assert all((next((tmp_path / "again").rglob(name))).read_bytes() == data for name, data in once.items())


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.dcm")}


def test_what_cannot_be_blanked_is_left_out_unless_one_insists(tmp_path: Path) -> None:
    made = pair(still("unknown grey"))[0]
    path = tmp_path / "one.dcm"
    dataset = pydicom.dcmread(written(made))
    dataset.remove_private_tags()
    dataset.save_as(path)
    (tmp_path / "outbox").mkdir()
    done = limpid(tmp_path / "copies", path, "--folder", tmp_path / "outbox")
    assert done.returncode == 1
    assert "cannot be blanked" in done.stdout
    assert not list((tmp_path / "copies").rglob("*")), "no copy, and no folder that names the study"
    done = limpid(tmp_path / "copies", path, "--folder", tmp_path / "outbox", "--keep-unclean")
    assert done.returncode == 0, done.stderr
    (copy,) = (tmp_path / "copies").rglob("*.dcm")
    assert pydicom.dcmread(copy).BurnedInAnnotation == "YES"


@pytest.mark.parametrize(("words", "complaint"), [((), "--all"), (("nothing-like-it",), "captures with this")])
def test_who_asks_for_nothing_is_told_what_to_say(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    Forward(tmp_path, "").outbox().put(Draft("x", "US", "routine", "still", "2026", False, pair(still())))
    done = limpid(tmp_path / "copies", *words, "--folder", tmp_path / "outbox")
    assert done.returncode != 0
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
