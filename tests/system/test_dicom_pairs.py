"""Pairs before real judges: dciodvfy has nothing to say against any kind, and dcmtk reads the same pixels.

Of each private element of a file with explicit value representations dciodvfy remarks "Unrecognized tag", whoever wrote
it: it knows nobody's private dictionary. Exactly those in ours may be named so, and nothing else may be said. So that
nothing is merely set aside, each whole object, private block and all, is judged a second time as dcmtk writes it with
implicit ones, where dciodvfy has nothing to remark; and a third time without the block.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from edge.dicom import Made, Options
from edge.dicom.corrections import corrected
from edge.dicom.deidentify import deidentified
from edge.dicom.private import ALL, CREATOR
from edge.sinks import Parcel, Sink, open_sink
from tests.archives import Orthanc, orthanc
from tests.unit.dicom.scenes import (
    EMERGENCY,
    EXAM,
    LOOKS,
    STARTED,
    STATION,
    Take,
    as_stored,
    burst,
    clip,
    pair,
    still,
    written,
)  # fmt: skip

DCIODVFY, DCENTVFY, DCMDJPLS, DCMDRLE, DCMDUMP, DCMCONV = (
    f"/usr/bin/{name}" for name in ("dciodvfy", "dcentvfy", "dcmdjpls", "dcmdrle", "dcmdump", "dcmconv")
)
NOTICE = re.compile(r"\(0x([0-9a-f]{4}),0x([0-9a-f]{4})\) +\? +- Warning - Unrecognized tag - assuming explicit")
JUDGED = [look for look in LOOKS if look != "us 1 row"]


@pytest.fixture(autouse=True, scope="module")
def programs() -> None:
    missing = [program for program in (DCIODVFY, DCENTVFY, DCMDJPLS, DCMDUMP, DCMCONV) if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing: {', '.join(missing)}")
    if missing:
        pytest.skip(f"missing: {', '.join(missing)} (apt-get install dicom3tools dcmtk)")


def ask(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, timeout=30, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def stored_at(path: Path, made: Made) -> Path:
    with path.open("wb") as file:
        made.write(file)
    return path


def complaints(path: Path) -> list[str]:
    """What dciodvfy says against it, without its remarks about our documented private elements."""
    lines = [line for line in ask(DCIODVFY, path).splitlines() if "Error" in line or "Warning" in line]
    return [line for line in lines if not _is_ours(line)]


def _is_ours(line: str) -> bool:
    found = NOTICE.match(line)
    return found is not None and int(found[1] + found[2], 16) in ALL


def without_private(path: Path) -> Path:
    """The same object less its private block, in plain little endian, where dciodvfy also looks at the pixels."""
    dataset = pydicom.dcmread(path)
    dataset.remove_private_tags()
    del dataset.PrivateDataElementCharacteristicsSequence
    bare = path.with_suffix(".bare.dcm")
    dataset.save_as(bare, enforce_file_format=True)
    return bare


def implicit(path: Path) -> Path:
    """The whole object with implicit value representations, written by dcmtk."""
    plain, whole = path.with_suffix(".plain.dcm"), path.with_suffix(".implicit.dcm")
    assert ask(DCMDJPLS, path, plain) == ""
    assert ask(DCMCONV, "+ti", plain, whole) == ""
    assert f"(0099,0010) LO [{CREATOR}]" in ask(DCMDUMP, "+P", "0099,0010", whole), "the private block is there"
    return whole


def takes(look: str) -> list[Take]:
    return [still(look), clip(look), clip(look, gap_at=3, originals=(2,))]


@pytest.mark.parametrize("look", JUDGED)
def test_no_kind_has_an_error_or_a_warning(look: str, tmp_path: Path) -> None:
    for index, take in enumerate(takes(look)):
        for made in pair(take):
            path = stored_at(tmp_path / f"{index}-{made.role}.dcm", made)
            assert complaints(path) == []
            for other in (implicit(path), without_private(path)):
                judged = ask(DCIODVFY, other)
                assert "Error" not in judged
                assert "Warning" not in judged
                assert judged.strip(), "it must at least have said what kind of object it saw"


def test_the_two_of_a_pair_and_the_captures_of_an_exam_say_the_same_of_patient_and_study(tmp_path: Path) -> None:
    made = [one for take in (still(), clip(), still("us colour")) for one in pair(take)]
    paths = [stored_at(tmp_path / f"{number}.dcm", one) for number, one in enumerate(made)]
    assert ask(DCENTVFY, *paths) == ""
    odd = pydicom.dcmread(paths[0])
    odd.PatientName = "PHANTOM^TWO"
    odd.save_as(paths[0])
    assert "Error" in ask(DCENTVFY, *paths), "it would have told"


@pytest.mark.parametrize("compression", ["rle", "none"])
@pytest.mark.parametrize("look", ["us small colour", "xrf small 10 bits"])
def test_nor_has_any_transfer_syntax(look: str, compression: Any, tmp_path: Path) -> None:
    for made in pair(clip(look), options=Options(compression=compression, burn_label=True)):
        assert complaints(stored_at(tmp_path / "object.dcm", made)) == []


def test_nor_have_emergencies_bursts_and_lossy_sources(tmp_path: Path) -> None:
    several = [
        *pair(burst()),
        *pair(still(), exam=EMERGENCY),
        *pair(clip("xrf 16 bits"), exam=EMERGENCY),
        *(made for side in "LRB" for made in pair(still(), exam=msgspec.structs.replace(EXAM, laterality=side))),
        *pair(still("us colour"), lossy=True, lossy_ratio=12.0, lossy_method="ISO_10918_1"),
    ]
    for made in several:
        assert complaints(stored_at(tmp_path / "object.dcm", made)) == []


@pytest.mark.parametrize("look", ["us colour", "xrf 16 bits", "xa 12 bits", "unknown grey"])
def test_nor_have_animals(look: str, tmp_path: Path) -> None:
    animal = msgspec.structs.replace(EXAM, patient=msgspec.structs.replace(EXAM.patient, species="animal"))
    for made in (*pair(still(look), exam=animal), *pair(clip(look), exam=animal)):
        assert complaints(stored_at(tmp_path / "object.dcm", made)) == []


@pytest.mark.parametrize("look", ["us colour", "xrf 16 bits", "xa 12 bits"])
def test_nor_have_corrected_copies(look: str, tmp_path: Path) -> None:
    for made in pair(clip(look), exam=EMERGENCY):
        copy = corrected(written(made), EXAM, STATION, STARTED)
        assert complaints(stored_at(tmp_path / "object.dcm", copy)) == []


@pytest.mark.parametrize("look", ["us colour", "xrf 16 bits", "xa 12 bits"])
def test_a_copy_without_identity_lacks_only_what_a_directory_would_want(look: str, tmp_path: Path) -> None:
    for made in pair(clip(look)):
        found = complaints(stored_at(tmp_path / "object.dcm", deidentified(written(made), b"k" * 16)))
        wanted = "Warning - Missing attribute or value that would be needed to build DICOMDIR - "
        assert {line.removeprefix(wanted) for line in found} <= {"Study Date", "Study Time", "Study ID"}


@pytest.mark.parametrize("look", list(LOOKS))
def test_dcmtk_decodes_the_frames_that_were_handed_in(look: str, tmp_path: Path) -> None:
    for take in (still(look), clip(look)):
        for made in pair(take):
            expected = np.stack([as_stored(one, enhanced=made.role == "enhanced") for one in take.shown])
            plain = tmp_path / "plain.dcm"
            said = ask(DCMDJPLS, stored_at(tmp_path / "object.dcm", made), plain)
            assert said == ""
            np.testing.assert_array_equal(_samples(plain, expected), expected)


def test_dcmtk_decodes_run_lengths_too(tmp_path: Path) -> None:
    for look in ("us small colour", "xrf small 10 bits"):
        take = clip(look)
        plain = tmp_path / "plain.dcm"
        path = stored_at(tmp_path / "object.dcm", pair(take, options=Options(compression="rle"))[0])
        assert ask(DCMDRLE, path, plain) == ""
        expected = np.stack([as_stored(one) for one in take.shown])
        np.testing.assert_array_equal(_samples(plain, expected), expected)


def _samples(path: Path, like: np.ndarray) -> np.ndarray:
    """Straight from the bytes, whichever way dcmtk laid the colours."""
    dataset = pydicom.dcmread(path)
    samples = np.frombuffer(dataset.PixelData, like.dtype)[: like.size]
    if dataset.get("PlanarConfiguration") == 1:
        frames, rows, columns, channels = like.shape
        return samples.reshape(frames, channels, rows, columns).transpose(0, 2, 3, 1)
    return samples.reshape(like.shape)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, Sink]]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        sink = open_sink("pacs", "dimse", {"host": "127.0.0.1", "port": running.dicom, "commitment": False})
        yield running, sink
        sink.close()


@pytest.mark.parametrize("look", list(LOOKS))
def test_orthanc_takes_every_kind_and_decodes_the_frames_that_were_handed_in(
    archive: tuple[Orthanc, Sink], look: str
) -> None:
    """Sent as the forwarder sends, compressed; decoded by Orthanc itself, and asked for as pictures."""
    running, sink = archive
    for take in (still(look), clip(look, frames=3)):
        both = pair(take)
        for made in both:
            content = written(made).getvalue()
            sink.send(Parcel("c", "o", made.sop_class, made.sop_uid, made.transfer_syntax, len(content),
                             lambda content=content: io.BytesIO(content)))  # fmt: skip
        there = running.instances()
        for made in both:
            expected = [as_stored(one, enhanced=made.role == "enhanced") for one in take.shown]
            for number, pixels in enumerate(expected):
                np.testing.assert_array_equal(_shown_by(running, there[made.sop_uid], number, pixels), pixels)
            tags = json.loads(running.ask(f"/instances/{there[made.sop_uid]}/simplified-tags"))
            link = tags["SourceImageSequence" if made.role == "enhanced" else "ReferencedImageSequence"][0]
            assert link["ReferencedSOPInstanceUID"] in there
            series = json.loads(running.ask(f"/instances/{there[link['ReferencedSOPInstanceUID']]}/series"))
            assert (
                series["MainDicomTags"]["SeriesInstanceUID"] == tags["ReferencedSeriesSequence"][0]["SeriesInstanceUID"]
            )


def _shown_by(archive: Orthanc, instance: str, frame: int, like: np.ndarray) -> np.ndarray:
    """The levels as Orthanc decoded them, not windowed."""
    form = "preview" if like.ndim == 3 else "image-uint16"
    png = np.frombuffer(archive.ask(f"/instances/{instance}/frames/{frame}/{form}"), np.uint8)
    found = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found[:, :, ::-1] if like.ndim == 3 else found


def test_dcmtk_finds_the_links(tmp_path: Path) -> None:
    original, enhanced = pair(clip())
    for one, other in ((original, enhanced), (enhanced, original)):
        dump = ask(DCMDUMP, "+L", stored_at(tmp_path / "object.dcm", one))
        assert dump.count(f"[{other.sop_uid}]") == 2
        assert f"[{other.series_uid}]" in dump


def test_a_tree_of_bytes_survives_pydicom(tmp_path: Path) -> None:
    """Read and written again by pydicom, the header is the same: nothing in it is oddly encoded."""
    for made in pair(clip("us colour")):
        data = written(made).getvalue()
        again = io.BytesIO()
        dataset: Dataset = pydicom.dcmread(io.BytesIO(data))
        dataset.save_as(again)
        end = data.index(b"\xe0\x7f\x10\x00OB")
        assert again.getvalue()[:end] == data[:end]
