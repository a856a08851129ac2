"""Commands that keep up with a scanner, in real processes: what they record, replay, show and measure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from edge.recording import read
from tests.system.commands import POINTS, told
from tests.system.process import ROOT, Daemon, running

pytestmark = pytest.mark.timeout(180)

FRAMES = {"sent", "received", "enhanced", "original", "dropped", "unaccounted"}
ENGINE = {"name", "sha256", "backend", "precision"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("daemon")) as made:
        yield made


# ---------------------------------------------------------------- record and replay


def clip(folder: Path, count: int = 150) -> list[bytes]:
    """A folder of pictures, no two alike; their bytes in order."""
    folder.mkdir()
    rng = np.random.default_rng(8)
    pictures = [rng.integers(0, 256, (96, 128), np.uint8) for _ in range(count)]
    for k, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{k:03}.png"), picture)
    return [picture.tobytes() for picture in pictures]


def recorded_while_sending(daemon: Daemon, path: Path, stream: str, source: list[str]) -> list[bytes]:
    """`limpid send` and `limpid record` at once, as on a bench; the originals that were recorded."""
    sending = [sys.executable, "-m", "edge", "send", *source, "--to", daemon.frames, "--seconds", "60"]
    sender = subprocess.Popen(sending, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        facts = told("record", path, "--pictures", daemon.pictures, "--stream", stream, "--seconds", 2, "--json")
    finally:
        sender.terminate()
        sender.wait(20)
    frames = list(read(path))
    assert facts["frames"] == len(frames) > 10
    assert facts["stream"] == stream
    return [frame.pixels.tobytes() for frame in frames]


def in_order(recorded: list[bytes], sent: list[bytes]) -> bool:
    """Each recorded picture is one that was sent, bit for bit, and they follow each other as they were sent."""
    numbers = [sent.index(picture) for picture in recorded]
    steps = [(b - a) % len(sent) for a, b in pairwise(numbers)]
    return all(0 < step <= len(sent) // 2 for step in steps)


def test_what_is_recorded_and_replayed_is_bit_for_bit_what_was_sent(daemon: Daemon, tmp_path: Path) -> None:
    sent = clip(tmp_path / "clip")
    replay = ["replay", "-s", f"path={tmp_path}/clip", "-s", "fps=30", "-s", "loop=true", "-s", "stream=first"]
    recorded = recorded_while_sending(daemon, tmp_path / "first.lmpr", "first", replay)
    assert in_order(recorded, sent)
    assert len(set(recorded)) == len(recorded)
    again = ["replay", "-s", f"path={tmp_path}/first.lmpr", "-s", "loop=true", "-s", "stream=second"]
    replayed = recorded_while_sending(daemon, tmp_path / "second.lmpr", "second", again)
    assert in_order(replayed, recorded)


# ---------------------------------------------------------------- demo and bench


def test_the_demo_leaves_a_picture_a_clip_and_a_pair_in_its_archive(tmp_path: Path) -> None:
    report = told("demo", "--headless", "--seconds", 3, "--json", "--out", tmp_path / "out")
    frames = report["frames"]
    assert set(frames) >= FRAMES
    assert 0 < frames["sent"] <= 90 - frames["not_taken"]  # a phantom that is late skips moments, as a scanner would
    assert frames["received"] == frames["enhanced"] + frames["original"]
    assert frames["enhanced"] > 0
    assert frames["unaccounted"] == 0
    assert set(report["engine"]) == ENGINE
    assert set(report["latency_ms"]) == POINTS
    captures = report["captures"]
    assert captures["said"] == "stored"
    assert captures["objects"] == captures["in_archive"] == 2
    archived = [pydicom.dcmread(path) for path in Path(captures["archive"]).glob("*.dcm")]
    assert sorted(each.ImageType[0] for each in archived) == ["DERIVED", "ORIGINAL"]
    picture, movie = report["wrote"]
    drawn = cv2.imread(picture, cv2.IMREAD_GRAYSCALE)
    assert drawn is not None
    assert drawn.shape[1] == 2 * 640
    before, after = drawn[40:, :640], drawn[40:, 640:]
    assert before.std() > 10
    assert not np.array_equal(before, after)
    video = cv2.VideoCapture(movie)
    count = 0
    while video.read()[0]:
        count += 1
    video.release()
    assert count == min(frames["received"], 120)


def test_the_bench_has_every_figure_it_promises_and_loses_no_frame(tmp_path: Path) -> None:
    picture = tmp_path / "latency.png"
    report = told(
        "bench", "--size", "320x256", "--seconds", 3, "--rounds", 1, "--json", "--picture", picture
    )  # fmt: skip
    frames = report["frames"]
    assert set(frames) >= FRAMES
    assert frames["unaccounted"] == 0
    assert frames["sent"] > 80
    assert frames["received"] == frames["enhanced"] + frames["original"]
    for figure in ("latency_ms", "engine_ms", "overhead_ms", "bare_script_ms"):
        assert set(report[figure]) == POINTS
        assert list(report[figure].values()) == sorted(report[figure].values())
        assert report[figure]["p50"] > 0
    for part in ("way_in", "own", "way_out"):  # the daemon's, and the sockets' on either side of it
        assert 0 < report["stages_ms"][part]["p50"] < report["overhead_ms"]["p50"]
    assert report["age_ms_max"] >= report["latency_ms"]["max"] > 0
    assert report["cpu_percent"] > 0
    assert report["rss_mb"] > 10
    assert set(report["engine"]) == ENGINE
    assert len(report["engine"]["sha256"]) == 64
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.std() > 5
