"""Copies without identity: nothing of the patient is left, the set stays whole, the image stays as it was."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from edge.dicom import Made, Options
from edge.dicom.deidentify import UncleanPixels, deidentified, deidentified_dataset
from edge.dicom.private import CREATOR, DICTIONARY, GROUP
from edge.dicom.profile import ACTIONS
from edge.exam import Patient
from tests.unit.dicom.scenes import EACH_LOOK, EXAM, LOOKS, STUDY, as_stored, clip, pair, read, still, written

KEY = b"sixteen bytes ok"
SECRETS = (
    "PHANTOM", "PH-1", "19700102", "ACC-1", "RP-1", "SPS-1", "limpid-1", "SN-0042", "Test Hospital", "20261120",
    "191530.", "056Y", "abdomen-adult", ".54321", STUDY,
)  # fmt: skip


def copies(made: list[Made], key: bytes = KEY, **how: Any) -> list[bytes]:
    return [written(deidentified(written(one), key, **how)).getvalue() for one in made]


def opened(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("compression", ["jpeg-ls", "none"])
def test_nothing_of_anybody_is_left(compression: Any) -> None:
    for made, data in zip(
        pair(clip("us grey"), options=Options(compression=compression)),
        copies(pair(clip("us grey"), options=Options(compression=compression))), strict=True,
    ):  # fmt: skip
        before = written(made).getvalue()
        header = data[: data.index(b"\xe0\x7f\x10\x00")]
        assert all(secret.encode() in before for secret in SECRETS[:4])
        assert [secret for secret in SECRETS if secret.encode() in header] == []


def test_it_says_how_it_was_done() -> None:
    for data in copies(pair(still())):
        file = opened(data)
        assert file.PatientIdentityRemoved == "YES"
        assert [item.CodeValue for item in file.DeidentificationMethodCodeSequence] == ["113100", "113111", "113101"]
        assert file.BurnedInAnnotation == "NO"
        assert file.LongitudinalTemporalInformationModified == "REMOVED"
        assert str(file.PatientName).startswith("ANON^")
        assert file.PatientID.startswith("ANON-")


def test_links_within_a_set_still_resolve_and_another_key_gives_another_set() -> None:
    made = pair(clip())
    original, enhanced = map(opened, copies(made))
    assert enhanced.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert original.ReferencedImageSequence[0].ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
    assert original.ReferencedSeriesSequence[0].SeriesInstanceUID == enhanced.SeriesInstanceUID
    assert original.StudyInstanceUID == enhanced.StudyInstanceUID != EXAM.study_uid
    assert original.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID != made[0].sop_uid
    assert original.PatientID == enhanced.PatientID
    other = opened(copies(made, key=b"another sixteen b")[0])
    assert other.SOPInstanceUID != original.SOPInstanceUID
    assert other.PatientID != original.PatientID


def test_two_patients_stay_two() -> None:
    second = msgspec.structs.replace(EXAM, patient=Patient(name="PHANTOM^TWO", id="PH-2"))
    assert len({opened(data).PatientID for data in copies(pair(still()) + pair(still(), exam=second))}) == 2


@pytest.mark.parametrize(
    ("look", "compression"), [pair_ for pair_ in EACH_LOOK if pair_[0] not in ("us 1 row", "us ge-like")]
)
def test_outside_the_region_is_black_and_inside_untouched(look: str, compression: Any) -> None:
    take = clip(look, frames=2)
    region = take.shown[0].region
    assert region is not None
    for data in copies(pair(take, options=Options(compression=compression))[:1]):
        pixels = opened(data).pixel_array
        for got, one in zip(pixels, take.shown, strict=True):
            np.testing.assert_array_equal(got[region.slices], as_stored(one)[region.slices])
            outside = np.ones(got.shape[:2], bool)
            outside[region.slices] = False
            assert outside.any()
            assert not got[outside].any()


def test_an_unknown_region_is_refused_unless_one_insists() -> None:
    take = still("us no spacing")
    bare = replace(take, shown=(replace(take.shown[0], region=None),))
    with pytest.raises(UncleanPixels):
        copies(pair(bare))
    file = opened(copies(pair(bare), keep_unclean=True)[0])
    assert file.BurnedInAnnotation == "YES"
    assert "113101" not in [item.CodeValue for item in file.DeidentificationMethodCodeSequence]
    np.testing.assert_array_equal(file.pixel_array, as_stored(bare.shown[0]))


def test_a_region_of_the_whole_frame_proves_nothing() -> None:
    take = still()
    bare = replace(take, shown=(replace(take.shown[0], region=None),))  # calibrated: its region is the frame
    with pytest.raises(UncleanPixels):
        copies(pair(bare))


def test_private_elements_that_are_not_safe_go() -> None:
    file = pair(clip())[1]
    with_foreign = read(file)
    with_foreign.private_block(0x0077, "SOMEBODY", create=True).add_new(0x01, "LO", "PHANTOM")
    copy = deidentified_dataset(with_foreign, KEY)
    assert (0x0077, 0x1001) not in copy
    assert (0x0077, 0x0010) not in copy
    block = copy.private_block(GROUP, CREATOR)
    assert block[0x12].value == "ab" * 32
    for element in DICTIONARY:
        assert element.safe or element.number not in block
    assert read(file).private_block(GROUP, CREATOR)[0x08].value == "abdomen-adult"  # it was there


def test_strangers_names_overlays_and_deep_items_go() -> None:
    dataset = read(pair(still())[0])
    dataset.add_new(0x6000_3000, "OW", b"ab")
    dataset.add_new(0x5000_3000, "OW", b"ab")
    dataset.add_new(0x0011_0010, "LO", "PHANTOM")
    dataset.add_new(0x0008_FFF0, "LO", "PHANTOM")  # a public tag that no dictionary knows
    item = Dataset()
    item.PatientName, item.ReferencedSOPInstanceUID, item.ContentDate = "PHANTOM^ONE", "1.2.3", "20261120"
    dataset.ViewCodeSequence = [item]
    copy = deidentified_dataset(dataset, KEY)
    assert not {0x6000_3000, 0x5000_3000, 0x0011_0010, 0x0008_FFF0} & set(copy.keys())
    inner = copy.ViewCodeSequence[0]
    assert (inner.PatientName, inner.ContentDate) == ("", "")
    assert inner.ReferencedSOPInstanceUID not in ("", "1.2.3")
    assert dataset.ViewCodeSequence[0].PatientName == "PHANTOM^ONE"  # the one given is as it was


def test_the_table_knows_what_we_write() -> None:
    """Whatever of a person we write is in the profile's table."""
    personal = {
        "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
        "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
        "AccessionNumber", "StudyDescription", "SeriesInstanceUID", "SeriesDate", "SeriesTime", "SeriesDescription",
        "OperatorsName", "RequestAttributesSequence", "InstitutionName", "InstitutionalDepartmentName", "StationName",
        "DeviceSerialNumber", "ContentDate", "ContentTime", "AcquisitionDateTime", "ImageComments", "SOPInstanceUID",
        "InstanceCreationDate", "InstanceCreationTime", "TimezoneOffsetFromUTC", "DerivationDescription",
        "ReferencedImageSequence", "SourceImageSequence", "OriginalAttributesSequence", "ContributionDateTime",
        "ContributionDescription", "ReferencedSOPInstanceUID",
    }  # fmt: skip
    assert personal - set(ACTIONS) == set()


@pytest.mark.parametrize("look", list(LOOKS))
def test_every_kind_has_a_copy_that_can_be_read(look: str) -> None:
    for data in itertools.chain(copies(pair(still(look))), copies(pair(clip(look, frames=2)))):
        assert opened(data).pixel_array.size
