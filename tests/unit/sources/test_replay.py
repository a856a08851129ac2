"""Replay: every kind of file becomes the frames it holds, at the moments it held them."""

from __future__ import annotations

import logging
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import recording
from edge.clock import MS, SECOND, ManualClock
from edge.errors import BadFrame, ConfigError, LimpidError
from edge.frame import Box, Frame, Modality, PixelFormat
from edge.sources import open_source
from edge.sources._images import natural
from edge.sources._pace import Pace
from edge.sources.replay import Replay

pydicom = pytest.importorskip("pydicom", reason="the extra `dicom` is not installed")
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage  # noqa: E402

DATA = Path(__file__).parents[4] / "shared" / "data"
real_frames = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real frames in {DATA}")


def opened(path: Path | str, clock: ManualClock | None = None, **options: object) -> Replay:
    source = open_source("replay", {"path": str(path), **options}, clock or ManualClock())
    assert isinstance(source, Replay)
    OPEN.append(source)
    return source


OPEN: list[Replay] = []


@pytest.fixture(autouse=True)
def _close_all():
    yield
    while OPEN:
        OPEN.pop().close()


def played(path: Path | str, **options: object) -> list[Frame]:
    source = opened(path, fast=True, **options)
    frames: list[Frame] = []
    while not source.ended:
        frame = source.next(0)
        if frame is not None:
            frames.append(frame)
    source.close()
    return frames


def grey(level: int, height: int = 64, width: int = 80) -> np.ndarray:
    picture = np.full((height, width), level, np.uint8)
    picture[: height // 2, : width // 2] = 255 - level  # no symmetry: a flip or a transposition shows
    return picture


def image_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        cv2.imwrite(str(folder / f"frame{index}.png"), grey(index))
    return folder


# ---------------------------------------------------------------- images


def test_a_folder_is_played_in_the_order_a_person_counts(tmp_path: Path):
    frames = played(image_folder(tmp_path / "My scan (1)", 12))
    assert [int(frame.pixels[-1, -1]) for frame in frames] == list(range(12))
    assert [frame.seq for frame in frames] == list(range(12))
    assert {frame.stream for frame in frames} == {"My-scan-1"}
    assert frames[0].cut
    assert not any(frame.cut for frame in frames[1:])
    assert len({frame.session for frame in frames}) == 1
    assert frames[0].session


def test_natural_order():
    names = ["b1", "a10", "a2", "a1b", "a1"]
    assert [path.name for path in sorted(map(Path, names), key=natural)] == ["a1", "a1b", "a2", "a10", "b1"]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "jpg"])
def test_single_images(tmp_path: Path, suffix: str):
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[..., 2] = 200  # red, to OpenCV
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), colours)
    (frame,) = played(tmp_path / f"a.{suffix}")
    assert frame.format is PixelFormat.BGR8
    assert np.abs(frame.pixels[32, 32].astype(int) - [0, 0, 200]).max() <= 3
    assert not frame.pixels.flags.writeable


def test_sixteen_bits_and_how_many_of_them_count(tmp_path: Path):
    pixels = np.full((64, 64), 4000, np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    (frame,) = played(tmp_path / "a.png")
    assert (frame.format, frame.bits, int(frame.pixels[0, 0])) == (PixelFormat.GREY16, 16, 4000)
    (frame,) = played(tmp_path / "a.png", bits=12)
    assert frame.bits == 12
    with pytest.raises(BadFrame, match="4000 does not fit 11 bits"):
        played(tmp_path / "a.png", bits=11)


def test_transparency_is_left_out(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 4), 77, np.uint8))
    (frame,) = played(tmp_path / "a.png")
    assert frame.pixels.shape == (64, 64, 3)


def test_a_damaged_image_in_a_folder_costs_itself(tmp_path: Path):
    folder = image_folder(tmp_path / "a", 3)
    (folder / "frame1.png").write_bytes(b"\x89PNG not really")
    source = opened(folder, fast=True)
    assert source.next(0).seq == 0
    with pytest.raises(BadFrame, match=r"frame1\.png"):
        source.next(0)
    assert source.next(0).seq == 2
    assert source.next(0) is None
    assert source.ended


# ---------------------------------------------------------------- timing


def seqs_at(source: Replay, clock: ManualClock, *moments_ms: float) -> list[int | None]:
    start = clock.now()
    seqs: list[int | None] = []
    for moment in moments_ms:
        clock.advance(start + round(moment * MS) - clock.now())
        frame = source.next(0)
        seqs.append(None if frame is None else frame.seq)
    return seqs


def test_pictures_come_at_their_moments_and_not_before(tmp_path: Path):
    clock = ManualClock()
    source = opened(image_folder(tmp_path / "a", 4), clock, fps=100)
    assert seqs_at(source, clock, 0, 1, 9, 10, 19.9, 20) == [0, None, None, 1, None, 2]
    assert source.skipped == 0


def test_a_late_reader_gets_what_is_due_and_the_lag_does_not_add_up(tmp_path: Path):
    clock = ManualClock()
    source = opened(image_folder(tmp_path / "a", 30), clock, fps=100)
    assert seqs_at(source, clock, 0, 55, 56, 60, 125) == [0, 5, None, 6, 12]
    assert source.skipped == 9
    clock.advance(4 * MS)
    assert source.next(0) is None  # the thirteenth is due at 130 ms, not 10 ms after it was fetched


def test_the_capture_time_is_the_moment_due(tmp_path: Path):
    clock = ManualClock(start_ns=5 * SECOND)
    source = opened(image_folder(tmp_path / "a", 4), clock, fps=100)
    source.next(0)
    clock.advance(13 * MS)
    frame = source.next(0)
    assert frame.captured_ns == 5 * SECOND + 10 * MS
    assert frame.stamped_ns == frame.captured_ns
    assert frame.received_ns == 5 * SECOND + 13 * MS


def test_without_times_a_clip_plays_at_25(tmp_path: Path):
    clock = ManualClock()
    source = opened(image_folder(tmp_path / "a", 3), clock)
    assert seqs_at(source, clock, 0, 39, 40, 80) == [0, None, 1, 2]


def test_a_loop_goes_on_counting_and_marks_its_seam(tmp_path: Path):
    source = opened(image_folder(tmp_path / "a", 3), fast=True, loop=True)
    frames = [source.next(0) for _ in range(7)]
    assert [frame.seq for frame in frames] == list(range(7))
    assert [frame.cut for frame in frames] == [True, False, False, True, False, False, True]
    assert [int(frame.pixels[-1, -1]) for frame in frames] == [0, 1, 2, 0, 1, 2, 0]
    assert not source.ended


def test_a_still_in_a_loop_is_one_scene(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), grey(7))
    clock = ManualClock()
    source = opened(tmp_path / "a.png", clock, loop=True)
    cuts = []
    for _ in range(3):
        cuts.append(source.next(0).cut)
        clock.advance(40 * MS)
    assert cuts == [True, False, False]


def test_a_loop_of_unreadable_images_does_not_spin(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"no")
    source = opened(tmp_path / "a", fast=True, loop=True)
    for _ in range(3):
        with pytest.raises(BadFrame):
            source.next(0)


def test_the_pace_of_a_file_slower_to_decode_than_to_play_starts_over():
    pace = Pace(fps=100, fast=False)
    assert pace.schedule(None, 0) == 0
    assert pace.schedule(None, 0) == 10 * MS
    assert not pace.has_passed(19 * MS)
    assert pace.has_passed(20 * MS)
    assert pace.start_over(500 * MS) == 500 * MS
    assert pace.schedule(None, 501 * MS) == 510 * MS


def test_the_pace_follows_the_files_times_but_not_damaged_ones():
    pace = Pace(fps=0, fast=False)
    moments = [pace.schedule(at, 0) for at in (7, 7 + 30 * MS, 7 + 31 * MS, -(10**18), 10**18, None)]
    assert moments == [0, 30 * MS, 31 * MS, 32 * MS, 33 * MS, 34 * MS]


def test_closing_wakes_nobody_up_twice(tmp_path: Path):
    source = opened(image_folder(tmp_path / "a", 3), fast=True)
    source.close()
    source.close()
    assert source.next(0) is None


# ---------------------------------------------------------------- recordings


def test_a_recording_keeps_streams_times_and_what_the_scanner_knew(tmp_path: Path):
    path = tmp_path / "a.lmpr"
    with recording.Recorder(path) as recorder:
        for seq, (stream, at_ms) in enumerate([("left", 0), ("right", 5), ("left", 30), ("right", 35)]):
            frame = Frame(
                grey(seq), stream, 100 + seq, 1, at_ms * MS, modality=Modality.ULTRASOUND,
                spacing_mm=(0.5, 0.25), region=Box(1, 2, 30, 40),
            )  # fmt: skip
            recorder.add(frame)
    clock = ManualClock()
    source, start = opened(path, clock), clock.now()
    moments = [source.next(0).captured_ns - start]
    for advance in (5, 25, 5):
        clock.advance(advance * MS)
        moments.append(source.next(0).captured_ns - start)
    assert moments == [0, 5 * MS, 30 * MS, 35 * MS]
    kept = played(path)
    assert [(frame.stream, frame.seq) for frame in kept] == [
        ("left", 0),
        ("right", 0),
        ("left", 1),
        ("right", 1),
    ]
    assert {frame.region for frame in kept} == {Box(1, 2, 30, 40)}
    assert {frame.spacing_mm for frame in kept} == {(0.5, 0.25)}
    assert {frame.stream for frame in played(path, stream="one")} == {"one"}


def test_a_torn_recording_plays_and_then_says_what_is_missing(tmp_path: Path):
    path = tmp_path / "a.lmpr"
    with recording.Recorder(path) as recorder:
        for seq in range(3):
            recorder.add(Frame(grey(seq), "a", seq, seq, seq))
    path.write_bytes(path.read_bytes()[:-100])
    source = opened(path, fast=True)
    assert [source.next(0).seq, source.next(0).seq] == [0, 1]
    with pytest.raises(BadFrame, match="2 frames are readable"):
        source.next(0)
    assert source.next(0) is None
    assert source.ended


# ---------------------------------------------------------------- video files


@pytest.mark.parametrize(("name", "code"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_video_files(tmp_path: Path, name: str, code: str):
    writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter_fourcc(*code), 20.0, (128, 96))
    for level in (20, 120, 220):
        picture = np.full((96, 128, 3), level, np.uint8)
        picture[:48] = 0
        writer.write(picture)
    writer.release()
    clock = ManualClock()
    source = opened(tmp_path / name, clock)
    frames = []
    for _ in range(3):
        frames.append(source.next(0))
        assert source.next(0) is None
        clock.advance(50 * MS)
    assert [abs(int(frame.pixels[72, 64, 0]) - level) < 12 for frame, level in zip(frames, (20, 120, 220), strict=True)]
    assert all(int(frame.pixels[20, 64, 0]) < 12 for frame in frames)
    assert {frame.format for frame in frames} == {PixelFormat.BGR8}
    assert source.next(0) is None
    assert source.ended
    assert len(played(tmp_path / name)) == 3


def test_a_video_file_loops(tmp_path: Path):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (128, 96))
    for level in (20, 220):
        writer.write(np.full((96, 128, 3), level, np.uint8))
    writer.release()
    source = opened(tmp_path / "a.avi", fast=True, loop=True)
    frames = [source.next(0) for _ in range(5)]
    assert [int(frame.pixels[0, 0, 0]) > 100 for frame in frames] == [False, True, False, True, False]
    assert [frame.cut for frame in frames] == [True, False, True, False, True]
    source.close()


# ---------------------------------------------------------------- MetaImage


def metaimage(pictures: np.ndarray, *, packed: bool = True, **keys: object) -> bytes:
    count, height, width, *channels = pictures.shape
    header = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryDataByteOrderMSB": pictures.dtype.byteorder == ">",
        "CompressedData": packed,
        "DimSize": f"{width} {height} {count}",
        "ElementNumberOfChannels": channels[0] if channels else 1,
        "ElementType": "MET_UCHAR" if pictures.dtype == np.uint8 else "MET_USHORT",
        **keys,
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{key} = {value}\n" for key, value in header.items() if value is not None)
    return text.encode() + (zlib.compress(pictures.tobytes()) if packed else pictures.tobytes())


@pytest.mark.parametrize("packed", [True, False])
def test_metaimages(tmp_path: Path, packed: bool):
    pictures = np.stack([grey(level) for level in (10, 20, 30)])
    (tmp_path / "a.mha").write_bytes(metaimage(pictures, packed=packed, ElementSpacing="0.2 0.1 1"))
    frames = played(tmp_path / "a.mha")
    assert np.array_equal(np.stack([frame.pixels for frame in frames]), pictures)
    assert frames[0].spacing_mm == (0.2, 0.1)
    assert frames[0].modality is Modality.UNKNOWN


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_metaimages_of_sixteen_bits(tmp_path: Path, order: str):
    pictures = np.arange(2 * 64 * 64).reshape(2, 64, 64).astype(order)
    (tmp_path / "a.mha").write_bytes(metaimage(pictures))
    frames = played(tmp_path / "a.mha", bits=13)
    assert np.array_equal(np.stack([frame.pixels for frame in frames]), pictures.astype(np.uint16))
    assert (frames[0].bits, frames[0].pixels.dtype.isnative) == (13, True)


def test_metaimages_in_colour_and_upside_down(tmp_path: Path):
    pictures = np.zeros((1, 64, 64, 3), np.uint8)
    pictures[0, 0, :, 0] = 255
    (tmp_path / "a.mha").write_bytes(metaimage(pictures, UltrasoundImageOrientation="MNA"))
    (frame,) = played(tmp_path / "a.mha")
    assert frame.format is PixelFormat.RGB8
    assert frame.pixels[63, 0].tolist() == [255, 0, 0]
    assert frame.modality is Modality.ULTRASOUND


def test_metaimage_data_beside_its_header(tmp_path: Path):
    picture = grey(3)
    text = "ObjectType = Image\nNDims = 2\nDimSize = 80 64\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (tmp_path / "a.mhd").write_text(text)
    (tmp_path / "a.raw").write_bytes(picture.tobytes())
    (frame,) = played(tmp_path / "a.mhd")
    assert np.array_equal(frame.pixels, picture)


def test_metaimage_times_are_kept(tmp_path: Path):
    times = {f"Seq_Frame{index:04}_Timestamp": 100 + at for index, at in enumerate((0, 0.05, 0.06))}
    (tmp_path / "a.mha").write_bytes(metaimage(np.stack([grey(0)] * 3), **times))
    clock = ManualClock()
    source = opened(tmp_path / "a.mha", clock)
    assert seqs_at(source, clock, 0, 49, 50.1, 60.1) == [0, None, 1, 2]


def test_a_metaimage_that_ends_early_plays_what_is_there(tmp_path: Path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)
    (tmp_path / "a.mha").write_bytes(metaimage(pictures)[:-3000])
    source = opened(tmp_path / "a.mha", fast=True)
    assert [source.next(0).seq, source.next(0).seq] == [0, 1]
    with pytest.raises(BadFrame, match=r"a\.mha ends or breaks in picture 2 of 3"):
        source.next(0)
    assert source.next(0) is None
    assert source.ended


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"ElementType": "MET_FLOAT"}, "ElementType MET_FLOAT"),
        ({"DimSize": None}, "DimSize is missing"),
        ({"DimSize": "a b c"}, "invalid literal"),
        ({"DimSize": "63 64 1"}, "63x64 is outside"),
        ({"DimSize": "5000 64 1"}, "5000x64 is outside"),
        ({"DimSize": "64 64 0"}, "DimSize"),
        ({"NDims": 4}, "2 or 3 dimensions"),
        ({"ElementNumberOfChannels": 2}, "2 channels"),
        ({"ElementSpacing": "wide"}, "could not convert"),
    ],
)
def test_metaimages_that_cannot_be_played_say_why(tmp_path: Path, keys: dict[str, object], why: str):
    (tmp_path / "a.mha").write_bytes(metaimage(np.zeros((1, 64, 64), np.uint8), **keys))
    with pytest.raises(ConfigError, match=f"a.mha.*{why}"):
        opened(tmp_path / "a.mha")


def test_a_metaimage_reads_no_file_outside_its_folder(tmp_path: Path):
    text = "NDims = 2\nDimSize = 64 64\nElementType = MET_UCHAR\nElementDataFile = ../secret\n"
    (tmp_path / "a.mhd").write_text(text)
    with pytest.raises(ConfigError, match="in the same folder"):
        opened(tmp_path / "a.mhd")


FUZZ = Path(tempfile.mkdtemp()) / "a.mha"
SMALL = metaimage(np.zeros((2, 64, 64), np.uint8))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=600),
        st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6).map(
            lambda edits: bytes(dict(edits).get(at, byte) for at, byte in enumerate(SMALL))
        ),
        st.integers(0, len(SMALL)).map(lambda length: SMALL[:length]),
    )
)
def test_fuzz_no_bytes_named_mha_raise_past_the_tree(content: bytes):
    FUZZ.write_bytes(content)
    try:
        source = opened(FUZZ, fast=True)
    except LimpidError:
        return
    for _ in range(4):
        try:
            frame = source.next(0)
        except LimpidError:
            continue
        assert frame is None or frame.pixels.size >= 64 * 64
    source.close()


# ---------------------------------------------------------------- DICOM


def dicom(path: Path, pixels: np.ndarray, **elements: object) -> Path:
    about = Dataset()
    about.file_meta = FileMetaDataset()
    about.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    about.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    about.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    about.SOPClassUID, about.SOPInstanceUID = UltrasoundMultiFrameImageStorage, "1.2.3"
    about.PatientName, about.PatientID = "Example^Secret", "SECRET-ID"
    about.Modality = "US"
    about.NumberOfFrames, about.Rows, about.Columns = pixels.shape[:3]
    about.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    about.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        about.PlanarConfiguration = 0
    about.BitsAllocated = about.BitsStored = pixels.dtype.itemsize * 8
    about.PixelRepresentation = 0
    for name, value in elements.items():
        setattr(about, name, value)
    about.HighBit = about.BitsStored - 1
    about.PixelData = pixels.tobytes()
    about["PixelData"].VR = "OB" if pixels.dtype == np.uint8 else "OW"
    about.save_as(path, enforce_file_format=True)
    return path


def ultrasound_region(x0: int, y0: int, x1: int, y1: int, delta: float = 0.05, kind: int = 1) -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = kind, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = x0, y0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = x1, y1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = delta, -delta
    return region


CLIP = np.stack([grey(level) for level in (10, 20, 30)])


def test_a_dicom_clip_of_grey(tmp_path: Path):
    frames = played(dicom(tmp_path / "a.dcm", CLIP))
    assert np.array_equal(np.stack([frame.pixels for frame in frames]), CLIP)
    assert {(frame.format, frame.modality) for frame in frames} == {(PixelFormat.GREY8, Modality.ULTRASOUND)}
    assert frames[0].spacing_mm is None
    assert frames[0].region is None


def test_a_dicom_clip_of_colour(tmp_path: Path):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 72, 3), np.uint8)
    frames = played(dicom(tmp_path / "a.dcm", pixels))
    assert np.array_equal(np.stack([frame.pixels for frame in frames]), pixels)
    assert frames[0].format is PixelFormat.RGB8


@pytest.mark.parametrize(("stored", "bits"), [(9, 10), (10, 10), (12, 12), (16, 16)])
def test_dicom_fluoroscopy_bits_above_the_stored_ones_are_no_pixels(tmp_path: Path, stored: int, bits: int):
    pixels = np.full((1, 64, 64), 0xF000 | 300, np.uint16)
    path = dicom(tmp_path / "a.dcm", pixels, Modality="XA", BitsStored=stored, PixelSpacing=[0.3, 0.2])
    (frame,) = played(path)
    assert int(frame.pixels[0, 0]) == (0xF000 | 300) & ((1 << stored) - 1)
    assert (frame.format, frame.bits, frame.modality) == (PixelFormat.GREY16, bits, Modality.FLUOROSCOPY)
    assert frame.spacing_mm == (0.2, 0.3)


def test_dicom_of_eight_bits_in_sixteen_is_eight_bits(tmp_path: Path):
    path = dicom(tmp_path / "a.dcm", np.full((1, 64, 64), 200, np.uint16), BitsStored=8)
    (frame,) = played(path)
    assert (frame.format, int(frame.pixels[0, 0])) == (PixelFormat.GREY8, 200)


def test_dicom_monochrome1_is_inverted_within_its_bits(tmp_path: Path):
    path = dicom(
        tmp_path / "a.dcm",
        np.full((1, 64, 64), 95, np.uint16),
        BitsStored=12,
        PhotometricInterpretation="MONOCHROME1",
    )
    (frame,) = played(path, modality="fluoroscopy")
    assert int(frame.pixels[0, 0]) == 4000
    assert frame.modality is Modality.FLUOROSCOPY


@pytest.mark.parametrize(
    ("elements", "moments"),
    [
        ({"FrameTime": "30"}, [0, 30, 60]),
        ({"FrameTimeVector": ["0", "10", "50"]}, [0, 10, 60]),
        ({"CineRate": "50"}, [0, 20, 40]),
        ({"RecommendedDisplayFrameRate": "10"}, [0, 100, 200]),
        ({"FrameTime": "0", "CineRate": "50"}, [0, 20, 40]),
        ({"FrameTimeVector": ["0", "10"]}, [0, 40, 80]),
        ({}, [0, 40, 80]),
    ],
)
def test_dicom_timing(tmp_path: Path, elements: dict[str, object], moments: list[int]):
    clock = ManualClock()
    source = opened(dicom(tmp_path / "a.dcm", CLIP, **elements), clock)
    start = clock.now()
    due = []
    for moment in moments:
        clock.advance(start + moment * MS - clock.now())
        due.append((source.next(0).captured_ns - start) // MS)
        assert source.next(0) is None
    assert due == moments


def test_the_region_and_scale_an_ultrasound_scanner_gives(tmp_path: Path):
    regions = [ultrasound_region(4, 5, 43, 44), ultrasound_region(0, 50, 79, 63, kind=3)]
    frame = played(dicom(tmp_path / "a.dcm", CLIP, SequenceOfUltrasoundRegions=regions))[0]
    assert frame.region == Box(4, 5, 40, 40)
    assert frame.spacing_mm == pytest.approx((0.5, 0.5))


def test_two_images_side_by_side_are_one_region(tmp_path: Path):
    regions = [ultrasound_region(0, 5, 39, 44), ultrasound_region(40, 0, 80, 40)]
    frame = played(dicom(tmp_path / "a.dcm", CLIP, SequenceOfUltrasoundRegions=regions))[0]
    assert frame.region == Box(0, 0, 80, 45)


def test_a_region_from_before_the_picture_was_scaled_is_not_believed(tmp_path: Path):
    regions = [ultrasound_region(4, 5, 143, 44)]
    frame = played(dicom(tmp_path / "a.dcm", CLIP, SequenceOfUltrasoundRegions=regions))[0]
    assert (frame.region, frame.spacing_mm) == (None, None)


@pytest.mark.parametrize(
    ("pixels", "elements", "why"),
    [
        (CLIP, {"PixelRepresentation": 1}, "signed"),
        (CLIP, {"PhotometricInterpretation": "HSV"}, "HSV"),
        (np.zeros((1, 32, 64), np.uint8), {}, "64x32 is outside"),
        (CLIP, {"Rows": None}, "Rows missing"),
    ],
)
def test_dicom_that_cannot_be_played_says_why(
    tmp_path: Path, pixels: np.ndarray, elements: dict[str, object], why: str
):
    with pytest.raises(ConfigError, match=f"a.dcm cannot be played.*{why}"):
        opened(dicom(tmp_path / "a.dcm", pixels, **elements))


def test_a_truncated_dicom_costs_frames_and_names_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = dicom(tmp_path / "a.dcm", CLIP)
    path.write_bytes(path.read_bytes()[:-100])
    source = opened(path, fast=True)
    said = ""
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            try:
                source.next(0)
            except BadFrame as error:
                said += str(error)
    assert "frame 3 of 3" in said
    assert "secret" not in (said + caplog.text).lower()


def test_bytes_named_dicom_are_refused(tmp_path: Path):
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 500)
    with pytest.raises(ConfigError, match=r"a\.dcm"):
        opened(tmp_path / "a.dcm")


def test_dicom_frames_are_decoded_one_at_a_time(tmp_path: Path):
    import tracemalloc

    path = dicom(tmp_path / "a.dcm", np.zeros((200, 256, 256), np.uint8))  # 13 MB
    source = opened(path, fast=True)
    tracemalloc.start()
    try:
        for _ in range(200):
            source.next(0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


FUZZ_DICOM = Path(tempfile.mkdtemp()) / "a.dcm"
SMALL_DICOM = dicom(
    FUZZ_DICOM, CLIP, FrameTime="30", SequenceOfUltrasoundRegions=[ultrasound_region(4, 5, 43, 44)]
).read_bytes()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(132, len(SMALL_DICOM) - CLIP.size), st.integers(0, 255)), max_size=6),
    st.one_of(st.just(len(SMALL_DICOM)), st.integers(0, len(SMALL_DICOM))),
)
def test_fuzz_no_bytes_named_dicom_raise_past_the_tree(edits: list[tuple[int, int]], length: int):
    content = bytearray(SMALL_DICOM)
    for at, value in edits:
        content[at] = value
    FUZZ_DICOM.write_bytes(content[:length])
    try:
        source = opened(FUZZ_DICOM, fast=True)
    except LimpidError:
        return
    for _ in range(4):
        try:
            frame = source.next(0)
        except LimpidError:
            continue
        assert frame is None or frame.pixels.size >= 64 * 64
    source.close()


def bundled(name: str) -> str:
    path = pydicom.data.get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this pydicom does not bring {name}")
    return str(path)


def test_a_compressed_colour_clip():
    pytest.importorskip("PIL", reason="Pillow, which decodes JPEG Baseline, is not installed")
    frames = played(bundled("examples_ybr_color.dcm"))
    assert len(frames) == 30
    assert {(frame.format, frame.width, frame.height) for frame in frames} == {(PixelFormat.RGB8, 320, 240)}
    assert 3 < frames[0].pixels.mean() < 60  # black around a sector; YBR taken for RGB would be pink and bright
    spread = frames[0].pixels.astype(int)
    assert np.median(spread.max(axis=2) - spread.min(axis=2)) < 6


def test_a_palette_becomes_colours():
    (frame,) = played(bundled("examples_palette.dcm"))
    assert (frame.format, frame.pixels.dtype) == (PixelFormat.RGB8, np.uint8)
    assert 2 < frame.pixels.mean() < 100
    assert frame.region is None  # its region is larger than the picture


# ---------------------------------------------------------------- what cannot be opened


def test_what_cannot_be_opened_is_named(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "nothing.png").write_bytes(b"")
    for name, why in [
        ("gone.mp4", "No such file"),
        ("empty", "no image"),
        ("text.txt", "is not a"),
        ("nothing.png", ""),
    ]:
        with pytest.raises(ConfigError, match=f"{name}.*{why}"):
            opened(tmp_path / name)


def test_pictures_too_small_are_refused_at_once(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 64), np.uint8))
    with pytest.raises(ConfigError, match="64x32 is outside 64x64 to 4096x4096"):
        opened(tmp_path / "a.png")


def test_options_are_checked(tmp_path: Path):
    folder = image_folder(tmp_path / "a", 1)
    for options in ({"stream": "has space"}, {"fps": -1}, {"bits": 9}, {"modality": "mri"}, {"lop": True}):
        with pytest.raises(ConfigError):
            opened(folder, **options)


# ---------------------------------------------------------------- real frames


@real_frames
@pytest.mark.parametrize(
    ("path", "count", "size", "modality"),
    [
        ("ultrasound/phantom_clips/NwirePhantomFreehand.igs.mha", 97, (820, 616), Modality.ULTRASOUND),
        ("ultrasound/phantom_clips/SpinePhantomFreehand.igs.mha", 21, (820, 616), Modality.ULTRASOUND),
        ("ultrasound/phantom_clips/BoneUltrasound_L14.igs.mha", 21, (820, 616), Modality.ULTRASOUND),
        ("ultrasound/eye_clarius/clarius-ocular-short.mp4", 50, (1280, 960), Modality.UNKNOWN),
        ("fluoroscopy/ge_stills/IM-0001-0020.dcm", 1, (1024, 1024), Modality.FLUOROSCOPY),
        ("ultrasound/muscle_ge_logiq_e9", 87, None, Modality.UNKNOWN),
    ],
)
def test_real_files(path: str, count: int, size: tuple[int, int] | None, modality: Modality):
    frames = played(DATA / path)
    assert len(frames) == count
    assert {frame.modality for frame in frames} == {modality}
    assert size is None or {(frame.width, frame.height) for frame in frames} == {size}
    assert all(frame.pixels.std() > 1 for frame in frames)


@real_frames
def test_a_real_clip_has_its_own_times():
    clock = ManualClock()
    source = opened(DATA / "ultrasound/phantom_clips/SpinePhantomFreehand.igs.mha", clock)
    first = source.next(0).captured_ns
    clock.advance(87 * MS)
    assert source.next(0) is None
    clock.advance(1 * MS)
    assert source.next(0).captured_ns - first == pytest.approx(87.928 * MS, abs=1000)


def test_dicom_is_known_by_its_bytes_not_its_name(tmp_path: Path):
    dicom(tmp_path / "IM0001", CLIP)
    assert len(played(tmp_path / "IM0001")) == 3
