"""The recording: what is written comes back, and damage costs the damaged end alone."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import recording
from edge.clock import ManualClock
from edge.errors import ConfigError, LimpidError
from edge.frame import Box, Frame, Modality, PixelFormat


def frame(seq: int, pixel_format: PixelFormat = PixelFormat.GREY8, stream: str = "probe") -> Frame:
    rng = np.random.default_rng(seq)
    if pixel_format is PixelFormat.GREY16:
        pixels = rng.integers(0, 4096, (65, 71), np.uint16)
    else:
        pixels = rng.integers(0, 256, (65, 71, 3)[: 2 if pixel_format is PixelFormat.GREY8 else 3], np.uint8)
    return Frame(
        pixels=pixels,
        stream=stream,
        seq=seq,
        captured_ns=1_000 + seq * 40,
        received_ns=1_010 + seq * 40,
        format=pixel_format,
        bits=12 if pixel_format is PixelFormat.GREY16 else 8,
        modality=Modality.FLUOROSCOPY,
        session=2**63 + 5,
        stamped_ns=123_456_789_012_345_678,
        spacing_mm=(0.25, 0.5),
        region=Box(2, 3, 40, 50),
        cut=seq == 0,
    )


def same(one: Frame, other: Frame) -> bool:
    fields = [name for name in Frame.__slots__ if name != "pixels"]
    return np.array_equal(one.pixels, other.pixels) and all(
        getattr(one, name) == getattr(other, name) for name in fields
    )


def recorded(path: Path, count: int) -> list[Frame]:
    frames = [frame(seq, list(PixelFormat)[seq % 4], f"probe{seq % 2}") for seq in range(count)]
    with recording.Recorder(path) as recorder:
        for one in frames:
            recorder.add(one)
    return frames


def test_every_format_comes_back_whole_and_read_only(tmp_path: Path):
    frames = recorded(tmp_path / "a.lmpr", 8)
    reading = recording.read(tmp_path / "a.lmpr")
    read = list(reading)
    assert len(read) == 8
    assert all(same(one, other) for one, other in zip(frames, read, strict=True))
    assert not any(one.pixels.flags.writeable for one in read)
    assert all(one.pixels.flags.aligned for one in read)
    assert reading.torn is None


def test_frames_outlive_the_reading(tmp_path: Path):
    (only,) = recorded(tmp_path / "a.lmpr", 1)
    (read,) = list(recording.read(tmp_path / "a.lmpr"))
    assert same(only, read)


def test_reading_is_lazy(tmp_path: Path):
    recorded(tmp_path / "a.lmpr", 4)
    reading = recording.read(tmp_path / "a.lmpr")
    next(reading)
    assert reading.frames == 1


def test_pixels_that_are_not_contiguous_are_recorded_as_seen(tmp_path: Path):
    wide = np.arange(64 * 140, dtype=np.uint8).reshape(64, 140)
    striding = Frame(wide[:, ::2], "a", 0, 1, 2)
    with recording.Recorder(tmp_path / "a.lmpr") as recorder:
        recorder.add(striding)
    assert np.array_equal(next(recording.read(tmp_path / "a.lmpr")).pixels, wide[:, ::2])


def test_the_file_describes_itself_as_the_page_says(tmp_path: Path):
    recorded(tmp_path / "a.lmpr", 1)
    data = (tmp_path / "a.lmpr").read_bytes()
    magic, version, wire_version, length = struct.unpack_from("<8sHHI", data)
    assert (magic, version, wire_version) == (b"LMPR\r\n\x1a\n", 1, 1)
    assert json.loads(data[16 : 16 + length])["format"] == "limpid recording"
    first = -(-(16 + length + 4) // 8) * 8
    assert struct.unpack_from("<4sIIQQ", data, first) == (b"LMPr", 128, 65 * 71, 1010, 1000)


def test_an_existing_file_is_never_overwritten(tmp_path: Path):
    path = tmp_path / "a.lmpr"
    path.write_bytes(b"somebody's")
    with pytest.raises(ConfigError, match="never overwrites"):
        recording.Recorder(path)
    assert path.read_bytes() == b"somebody's"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="nowhere"):
        recording.Recorder(tmp_path / "nowhere" / "a.lmpr")


def test_nothing_is_added_after_closing(tmp_path: Path):
    recorder = recording.Recorder(tmp_path / "a.lmpr")
    recorder.close()
    recorder.close()
    with pytest.raises(LimpidError, match="closed"):
        recorder.add(frame(0))


def test_a_file_is_readable_while_it_is_recorded(tmp_path: Path):
    with recording.Recorder(tmp_path / "a.lmpr", ManualClock()) as recorder:
        recorder.add(frame(0))
        assert [one.seq for one in recording.read(tmp_path / "a.lmpr")] == [0]


def test_a_process_killed_while_recording_leaves_every_added_frame(tmp_path: Path):
    path = tmp_path / "a.lmpr"
    script = (
        "import sys, os, numpy as np\n"
        "from edge.recording import Recorder\n"
        "from edge.frame import Frame\n"
        "recorder = Recorder(sys.argv[1])\n"
        "for seq in range(5):\n"
        "    recorder.add(Frame(np.full((64, 64), seq, np.uint8), 'a', seq, 1, 2))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, cwd=Path(__file__).parents[2])
    reading = recording.read(path)
    assert [one.seq for one in reading] == [0, 1, 2, 3, 4]
    assert reading.torn is None


def test_a_full_disk_says_so_and_leaves_whole_records(tmp_path: Path):
    path = tmp_path / "a.lmpr"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with recording.Recorder(path) as recorder:
        recorder.add(frame(0))
        # The limit falls inside the next record: part of it is written before the refusal.
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 1000, hard))  # noqa: PTH202
        try:
            with pytest.raises(LimpidError, match=r"cannot go on: .*; 1 frames are kept"):
                recorder.add(frame(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        recorder.add(frame(2))
    reading = recording.read(path)
    assert [one.seq for one in reading] == [0, 2]
    assert reading.torn is None


@pytest.mark.parametrize("content", [b"not a recording at all, but long enough", b"P5 64 64"])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.lmpr").write_bytes(content)
    with pytest.raises(ConfigError, match="is not a recording"):
        recording.read(tmp_path / "a.lmpr")


def test_another_version_is_refused_by_name(tmp_path: Path):
    recorded(tmp_path / "a.lmpr", 1)
    data = bytearray((tmp_path / "a.lmpr").read_bytes())
    data[8] = 9
    (tmp_path / "a.lmpr").write_bytes(data)
    with pytest.raises(ConfigError, match="version 9"):
        recording.read(tmp_path / "a.lmpr")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"gone\.lmpr"):
        recording.read(tmp_path / "gone.lmpr")


def test_cut_anywhere_the_whole_records_before_the_cut_are_read(tmp_path: Path):
    frames = recorded(tmp_path / "a.lmpr", 3)
    data = (tmp_path / "a.lmpr").read_bytes()
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"LMPr"]
    ends = [at + 32 + 128 + one.pixels.nbytes for at, one in zip(starts, frames, strict=True)]  # before padding
    for length in [0, 1, 7, 8, 15, 16, 40, *range(200, len(data), 997), *(end - 1 for end in ends), *ends]:
        (tmp_path / "b.lmpr").write_bytes(data[:length])
        reading = recording.read(tmp_path / "b.lmpr")
        read = list(reading)
        assert all(same(one, other) for one, other in zip(frames, read, strict=False))
        whole = sum(end <= length for end in ends)
        assert len(read) == whole
        seams = zip([starts[0], *ends], [*starts, len(data)], strict=True)
        assert (reading.torn is None) == any(end <= length <= start for end, start in seams)
        if reading.torn:
            assert f"{whole} frames are readable" in reading.torn


with tempfile.TemporaryDirectory() as _folder:
    FRAMES = recorded(Path(_folder) / "a.lmpr", 3)
    WHOLE = (Path(_folder) / "a.lmpr").read_bytes()

flips = st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), max_size=4)


@settings(max_examples=400, deadline=None)
@given(flips, st.integers(0, len(WHOLE)), st.binary(max_size=64))
def test_fuzz_damage_never_raises_past_the_tree_and_never_gives_a_false_frame(
    tmp_path_factory: pytest.TempPathFactory, flipped: list[tuple[int, int]], length: int, tail: bytes
):
    damaged = bytearray(WHOLE)
    for at, by in flipped:
        damaged[at] ^= by
    path = tmp_path_factory.getbasetemp() / "fuzz.lmpr"
    path.unlink(missing_ok=True)  # a new file: an earlier example's may still be mapped
    path.write_bytes(damaged[:length] + tail)
    try:
        read = list(recording.read(path))
    except LimpidError:
        return
    assert all(same(one, other) for one, other in zip(FRAMES, read, strict=False))
    assert len(read) <= len(FRAMES)
