"""Captures into pairs: pixels, links, what each object says. Read back with pydicom."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.dicom import Made, Options, Station, Take, make_pair
from edge.dicom.private import CREATOR, GROUP
from edge.errors import CaptureRefused
from edge.exam import Exam, Patient, step_id, step_uid
from edge.frame import Box, EngineId
from tests.unit.dicom.scenes import (
    EACH_LOOK,
    EMERGENCY,
    EXAM,
    LOOKS,
    STARTED,
    STATION,
    as_stored,
    burst,
    clip,
    pair,
    picture,
    read,
    shown,
    still,
    written,
)  # fmt: skip


@pytest.mark.parametrize(("look", "compression"), EACH_LOOK)
@pytest.mark.parametrize("make", [still, clip], ids=["still", "clip"])
def test_pixels_come_back_bit_for_bit(look: str, make: Any, compression: Any) -> None:
    take = make(look)
    for made in pair(take, options=Options(compression=compression)):
        pixels = read(made).pixel_array
        expected = np.stack([as_stored(one, enhanced=made.role == "enhanced") for one in take.shown])
        assert pixels.dtype == expected.dtype
        np.testing.assert_array_equal(pixels, expected[0] if take.kind == "still" else expected)


@pytest.mark.parametrize("look", list(LOOKS))
def test_links_resolve_both_ways(look: str) -> None:
    original, enhanced = (read(made) for made in pair(clip(look)))
    assert original.StudyInstanceUID == enhanced.StudyInstanceUID
    assert original.SeriesInstanceUID != enhanced.SeriesInstanceUID
    source = enhanced.SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert source.ReferencedSOPClassUID == original.SOPClassUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert source.SpatialLocationsPreserved == "YES"
    assert original.ReferencedImageSequence[0].ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
    for one, other in ((original, enhanced), (enhanced, original)):
        series = one.ReferencedSeriesSequence[0]
        assert series.SeriesInstanceUID == other.SeriesInstanceUID
        assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == other.SOPInstanceUID


def test_made_says_what_the_file_says() -> None:
    for made in pair(clip("xrf 10 bits")):
        file = read(made)
        assert made == replace(made, sop_uid=file.SOPInstanceUID, series_uid=file.SeriesInstanceUID)
        assert (made.sop_class, made.study_uid) == (file.SOPClassUID, file.StudyInstanceUID)
        assert (made.modality, made.frames) == (file.Modality, file.NumberOfFrames) == ("RF", 6)
        assert made.transfer_syntax == file.file_meta.TransferSyntaxUID
        assert made.role == ("original" if file.ImageType[0] == "ORIGINAL" else "enhanced")


def test_made_tells_nobody_the_patient() -> None:
    assert "PHANTOM" not in repr(pair(still()))
    assert "PH-1" not in repr(pair(still()))


@pytest.mark.parametrize(
    ("look", "stills", "clips"),
    [
        ("us grey", "6.1", "3.1"), ("us 12 bits", "6.1", "3.1"), ("xrf 10 bits", "12.2", "12.2"),
        ("xa 12 bits", "12.1", "12.1"), ("xrf colour", "7", "7.4"), ("unknown grey", "7", "7.2"),
        ("unknown 12 bits", "7", "7.3"), ("unknown colour", "7", "7.4"),
    ],
)  # fmt: skip
def test_each_look_has_its_class(look: str, stills: str, clips: str) -> None:
    root = "1.2.840.10008.5.1.4.1.1."
    assert {made.sop_class for made in pair(still(look))} == {root + stills}
    assert {made.sop_class for made in pair(clip(look))} == {root + clips}


def test_a_clip_of_one_frame_is_a_still() -> None:
    made = pair(clip(frames=1))
    assert [one.sop_class for one in made] == [one.sop_class for one in pair(still())]
    assert "FrameTime" not in read(made[0])


def test_a_burst_is_stills_that_share_two_series() -> None:
    made = pair(burst())
    assert [one.role for one in made] == ["original", "enhanced"] * 3
    files = [read(one) for one in made]
    assert [file.InstanceNumber for file in files] == [14, 14, 15, 15, 16, 16]
    assert len({file.SeriesInstanceUID for file in files}) == 2
    assert {file.SeriesNumber for file in files} == {3, 4}
    assert len({file.SOPInstanceUID for file in files}) == 6
    assert [file.ContentTime for file in files[::2]] == ["191530.250", "191530.283", "191530.316"]


def test_captures_of_one_exam_share_series_and_those_of_another_do_not() -> None:
    one, two = pair(still()), pair(clip())
    assert [made.series_uid for made in one] == [made.series_uid for made in two]
    other = pair(still(), exam=EMERGENCY)
    assert not {made.series_uid for made in one} & {made.series_uid for made in other}
    base = make_pair(still(), EXAM, STATION, Options(), (5, 14))
    assert not {made.series_uid for made in one} & {made.series_uid for made in base}


def test_uids_lie_under_the_root_and_are_short_enough() -> None:
    for root in ("2.25", "1.2.826.0.1.3680043.10.54321", "1.2.3." + "4" * 40):
        for made in make_pair(still(), EXAM, replace(STATION, uid_root=root), Options(), (1, 1)):
            for uid in (made.sop_uid, made.series_uid):
                assert uid.startswith(root + ".")
                assert len(uid) <= 64


def test_the_enhanced_object_says_what_was_done() -> None:
    take = replace(clip(frames=6, originals=(2, 5, 6)), engine_versions={"ab" * 32: "1.4"})
    original, enhanced = (read(made) for made in pair(take))
    block = enhanced.private_block(GROUP, CREATOR)
    said = {number: block[number].value for number in (0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x20, 0x21)}
    assert list(said.values()) == [
        "handbuilt-large", "1.4", "ab" * 32, "openvino_cpu", "int8", 3, 3, "late: 2, 5-6",
    ]  # fmt: skip
    assert list(block[0x16].value) == [80.0, 80.0]
    assert "3 of 6 frames enhanced" in enhanced.DerivationDescription
    assert "handbuilt-large 1.4 at 80 % strength" in enhanced.DerivationDescription
    assert enhanced.DerivationCodeSequence[0].CodeValue == "113087"
    equipment = enhanced.ContributingEquipmentSequence[0]
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert [*equipment.SoftwareVersions][1:] == [
        "openvino 2026.4.1", "ab" * 32,
        "handbuilt-large int8 on openvino_cpu",
    ]  # fmt: skip
    assert all(keyword not in original for keyword in ("DerivationDescription", "ContributingEquipmentSequence"))
    assert 0x10 not in original.private_block(GROUP, CREATOR)


def test_every_engine_of_a_clip_is_named() -> None:
    other = EngineId("handbuilt-small", "cd" * 32, "openvino_cpu", "int8")
    take = clip(frames=4)
    mixed = replace(take, shown=(*take.shown[:3], replace(take.shown[3], engine=other, strength=0.5)))
    block = read(pair(mixed)[1]).private_block(GROUP, CREATOR)
    assert [*block[0x10].value] == ["handbuilt-large", "handbuilt-small"]
    assert block[0x12].value == "ab" * 32 + ";" + "cd" * 32
    assert [*block[0x15].value] == [3, 1]
    assert [*block[0x16].value] == [50.0, 80.0]


def test_an_enhanced_object_without_an_enhanced_frame_says_so() -> None:
    enhanced = read(pair(clip(frames=2, originals=(1, 2)))[1])
    assert enhanced.DerivationDescription == "Not enhanced, shown as received: late: 1-2"
    assert "DerivationCodeSequence" not in enhanced
    assert enhanced.private_block(GROUP, CREATOR)[0x30].value == 0.0


def test_frames_unlike_those_that_the_engine_was_judged_on_are_told() -> None:
    take = clip(frames=4)
    strange = replace(take, shown=(*take.shown[:2], *(replace(shown, outside=True) for shown in take.shown[2:])))
    original, enhanced = (read(made) for made in pair(strange))
    assert enhanced.private_block(GROUP, CREATOR)[0x22].value == 2
    assert "2 frames while the pictures were outside what the engine was judged on" in enhanced.DerivationDescription
    assert 0x22 not in original.private_block(GROUP, CREATOR)
    assert read(pair(take)[1]).private_block(GROUP, CREATOR)[0x22].value == 0


def test_levels_dropped_are_told() -> None:
    for made in pair(still("us 12 bits")):
        file = read(made)
        assert file.BitsStored == 8
        assert file.ImageComments.startswith("Received with 12 bits, stored with the upper 8")
        assert file.private_block(GROUP, CREATOR)[0x02].value == 12


def test_bits_that_the_module_does_not_know_are_stored_in_the_next_it_does() -> None:
    file = read(pair(still("xrf 11 bits"))[0])
    assert (file.BitsStored, file.HighBit, file.BitsAllocated) == (12, 11, 16)
    assert (file.WindowCenter, file.WindowWidth) == (1024, 2048)  # of what was received


def test_region_calibration() -> None:
    region = read(pair(still("us colour"))[0]).SequenceOfUltrasoundRegions[0]
    assert (region.PhysicalDeltaX, region.PhysicalDeltaY) == (0.02, 0.025)
    box = (region.RegionLocationMinX0, region.RegionLocationMinY0,
           region.RegionLocationMaxX1, region.RegionLocationMaxY1)  # fmt: skip
    assert box == (15, 0, 110, 83)
    assert region.RegionDataType == 2  # colour
    assert "SequenceOfUltrasoundRegions" not in read(pair(still("us no spacing"))[0])


def test_the_scanners_region_goes_before_the_one_that_was_found() -> None:
    take = still()
    given = replace(take.shown[0].frame, region=Box(4, 5, 60, 50))
    region = read(pair(take, shown=(replace(take.shown[0], frame=given),))[0]).SequenceOfUltrasoundRegions[0]
    assert (region.RegionLocationMinX0, region.RegionLocationMaxY1) == (4, 54)


def test_a_scale_that_changes_within_a_clip_is_not_written() -> None:
    take = clip(frames=3)
    deeper = replace(take.shown[2], frame=replace(take.shown[2].frame, spacing_mm=(0.4, 0.4)))
    file = read(pair(take, shown=(*take.shown[:2], deeper))[0])
    assert "SequenceOfUltrasoundRegions" not in file
    assert "scale changes" in file.ImageComments


def test_lossy_is_never_reset() -> None:
    for made in pair(still(), lossy=True, lossy_ratio=12.5, lossy_method="ISO_10918_1"):
        file = read(made)
        assert file.LossyImageCompression == "01"
        assert (file.LossyImageCompressionRatio, file.LossyImageCompressionMethod) == (12.5, "ISO_10918_1")
    assert {read(made).LossyImageCompression for made in pair(still())} == {"00"}


def test_the_label_is_burnt_into_the_enhanced_pixels_alone() -> None:
    take = clip("us ge-like", frames=2)
    original, enhanced = (read(made) for made in pair(take, options=Options(burn_label=True)))
    np.testing.assert_array_equal(original.pixel_array, np.stack([as_stored(one) for one in take.shown]))
    bare = np.stack([as_stored(one, enhanced=True) for one in take.shown])
    rows, columns = np.nonzero((enhanced.pixel_array != bare).any(axis=(0, 3)))
    assert 0 < rows.max() - rows.min() < 434 / 10
    assert columns.max() - columns.min() < 636 / 3
    label = enhanced.pixel_array[0][rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert label.max() > 200
    assert label.min() == 0
    assert enhanced.BurnedInAnnotation == "YES"
    assert enhanced.private_block(GROUP, CREATOR)[0x36].value == "YES"
    assert read(pair(take)[1]).private_block(GROUP, CREATOR)[0x36].value == "NO"


def test_the_label_fits_on_the_smallest_picture() -> None:
    assert read(pair(still("us 1 row"), options=Options(burn_label=True))[1]).pixel_array.shape == (1, 33)


def test_frames_that_do_not_fit_are_refused_and_named() -> None:
    take = clip(frames=4)
    for stranger, word in (
        (shown("us ge-like", 9, 200), "636x434"),
        (shown("us colour", 9, 200), "RGB8"),
        (shown("xrf 8 bits", 9, 200), "fluoroscopy"),
    ):
        with pytest.raises(CaptureRefused, match=rf"frame 3 of 5.*{word}"):
            pair(Take((*take.shown[:2], stranger, *take.shown[2:]), "clip", STARTED))


def test_an_enhanced_picture_of_another_size_is_refused() -> None:
    one = replace(shown("us grey", 1, 0), pixels=picture("us colour"))
    with pytest.raises(CaptureRefused, match="frame 1 of 1: the enhanced picture"):
        pair(Take((one,), "still", STARTED))


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(CaptureRefused, match="no frame"):
        pair(Take((), "clip", STARTED))
    with pytest.raises(CaptureRefused, match="a still is one frame"):
        pair(replace(clip(), kind="still"))
    frame = shown("us ge-like", 1, 0)
    endless = Take((frame,) * 6000, "clip", STARTED)
    with pytest.raises(CaptureRefused, match="4 GiB"):
        pair(endless, options=Options(compression="none"))


def test_a_clip_is_never_held_twice() -> None:
    """Written to nowhere, a clip of 40 MB takes the memory of a few frames."""

    class Nowhere:
        written = 0

        def write(self, data: Any) -> int:
            self.written += len(data)
            return len(data)

    take = Take(tuple(shown("us ge-like", number, number * 33.3) for number in (1, 2)) * 25, "clip", STARTED)
    frame_bytes = 434 * 636 * 3
    for compression in ("jpeg-ls", "none"):
        tracemalloc.start()
        for made in pair(take, options=Options(compression=compression)):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            to = Nowhere()
            made.write(to)  # type: ignore[arg-type]
            _, peak = tracemalloc.get_traced_memory()
            assert to.written > frame_bytes * 20
            assert peak - before < frame_bytes * 10
        tracemalloc.stop()


def test_writing_twice_gives_the_same_bytes() -> None:
    for made in pair(clip()):
        assert written(made).getvalue() == written(made).getvalue()


def test_an_emergency_exam_has_all_that_an_archive_needs() -> None:
    for made in pair(still(), exam=msgspec.structs.replace(EMERGENCY, patient=Patient())):
        file = read(made)
        assert file.PatientID.startswith("UNKNOWN-")
        assert file.StudyID
        assert (file.PatientName, file.PatientBirthDate, file.AccessionNumber) == ("", "", "")
    assert isinstance(made, Made)


@pytest.mark.parametrize("uid", ["", "none yet", "1.02.3", "1." * 40])
def test_a_study_uid_that_is_none_costs_no_capture(uid: str) -> None:
    exam = msgspec.structs.replace(EXAM, study_uid=uid)
    one, two = pair(still(), exam=exam)
    assert one.study_uid == two.study_uid == read(one).StudyInstanceUID
    assert re.fullmatch(r"[12](\.(0|[1-9]\d*))+", one.study_uid)


def test_a_station_without_anything_but_a_name() -> None:
    for made in make_pair(still(), EXAM, Station("s"), Options(), (1, 1)):
        file = read(made)
        assert file.SoftwareVersions.startswith("limpid-edge ")
        assert "DeviceSerialNumber" not in file


def test_the_objects_name_the_step_that_the_archive_is_told_of() -> None:
    for made in pair(still()):
        file = read(made)
        (step,) = file.ReferencedPerformedProcedureStepSequence
        assert step.ReferencedSOPClassUID == "1.2.840.10008.3.1.2.3.3"
        assert step.ReferencedSOPInstanceUID == step_uid(EXAM)
        assert file.PerformedProcedureStepID == step_id(EXAM)
        started = file.PerformedProcedureStepStartDate + file.PerformedProcedureStepStartTime
        assert started == "20261120190500.000"


@pytest.mark.parametrize(("exam", "station"), [(EXAM, replace(STATION, tells_steps=False)), (EMERGENCY, STATION)])
def test_a_step_that_nobody_is_told_of_is_not_named(exam: Exam, station: Station) -> None:
    for made in make_pair(still(), exam, station, Options(), (1, 1)):
        assert not [keyword for keyword in read(made).dir() if "PerformedProcedureStep" in keyword]
