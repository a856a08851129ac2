"""The real `limpid` command in real processes: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest

from edge import __version__
from edge.backends import nvidia_nodes, why_backend
from edge.recording import read
from tests.system.process import ROOT, Daemon, Scanner, config_text, running

pytestmark = pytest.mark.timeout(180)

POINTS = {"p50", "p90", "p95", "p99", "p99.9", "max"}
FRAMES = {"sent", "received", "enhanced", "original", "dropped", "unaccounted"}
ENGINE = {"name", "sha256", "backend", "precision"}


def limpid(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def told(*arguments: object) -> dict[str, Any]:
    """What a command says with --json: one object on stdout, and nothing else."""
    done = limpid(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def complaint(*arguments: object, status: int = 2) -> str:
    done = limpid(*arguments)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("daemon")) as made:
        yield made


# ---------------------------------------------------------------- without a daemon


@pytest.mark.skipif(bool(nvidia_nodes()), reason="an NVIDIA GPU is here")
def test_a_daemon_that_is_to_use_a_gpu_does_not_start_on_the_cpu_instead(tmp_path: Path) -> None:
    config = tmp_path / "limpid.toml"
    config.write_text(config_text(tmp_path, '[engines]\nbackend = "tensorrt_int8"\n'))
    said = complaint("live", "--config", config)
    assert re.search(
        "needs pycuda|(pycuda|tensorrt) cannot be loaded|no NVIDIA GPU is here|is not installed|TensorRT", said
    ), said


def test_the_status_says_which_backend_runs_and_why(daemon: Daemon) -> None:
    status = daemon.status()
    assert status["backend"] == "openvino_cpu"
    assert status["backend_why"] == why_backend("openvino_cpu", nvidia_nodes())
    (ready,) = [event for event in daemon.events() if event["event"] == "live.ready"]
    assert (ready["backend"], ready["backend_why"]) == ("openvino_cpu", status["backend_why"])
    shown = limpid("watch", "--once", "--control", f"ipc://{daemon.home}/control").stdout
    assert status["backend_why"] in " ".join(shown.split())


def test_it_says_its_version_and_what_it_can_do() -> None:
    assert limpid("--version").stdout.strip() == __version__
    shown = limpid("--help").stdout
    for command in ("demo", "run", "live", "send", "record", "watch", "set", "doctor", "bench", "config"):
        assert command in shown


def test_a_configuration_is_checked_as_the_daemon_would(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text(config_text(tmp_path))
    assert told("config", "check", good, "--json") == {"ok": True, "path": str(good), "missing_here": []}
    bad = tmp_path / "bad.toml"
    bad.write_text("[live]\ndeadine_ms = 3")
    done = limpid("config", "check", bad, "--json")
    assert done.returncode == 2
    assert 'did you mean "deadline_ms"?' in json.loads(done.stdout)["error"]


def test_a_mistake_in_the_configuration_starts_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[source.phantom]\nwidht = 640")
    assert 'did you mean "width"?' in complaint("live", "--config", bad)
    bad.write_text("[live]\nstrength_percent = 101")
    assert "strength_percent" in complaint("run", "--config", bad)


def test_doctor_finds_this_machine_fit_and_each_finding_has_a_verdict(tmp_path: Path) -> None:
    config = tmp_path / "limpid.toml"
    config.write_text(config_text(tmp_path))
    report = told("doctor", "--config", config, "--json")
    assert report["ok"] is True
    assert {"config", "processor", "memory", "engines", "sockets", "clock"} <= {f["check"] for f in report["findings"]}
    for finding in report["findings"]:
        assert finding["verdict"] in ("ok", "warning")
        assert finding["what"]
        assert bool(finding["remedy"]) == (finding["verdict"] != "ok")


def test_doctor_tells_what_is_wrong_and_what_to_do_about_it(tmp_path: Path) -> None:
    config = tmp_path / "limpid.toml"
    config.write_text(config_text(tmp_path, '[engines]\nultrasound = "nobodys"').replace(str(tmp_path), "/nowhere"))
    done = limpid("doctor", "--config", config, "--json")
    assert done.returncode == 1
    failures = [f for f in json.loads(done.stdout)["findings"] if f["verdict"] == "failure"]
    assert {f["check"] for f in failures} == {"engines", "sockets"}
    assert all(f["remedy"] for f in failures)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send", "teleport"], "known: "),
        (["send", "phantom", "-s", "width"], "is not KEY=VALUE"),
        (["send", "phantom", "-s", "widht=640"], 'did you mean "width"?'),
        (["send", "replay", "-s", "path=/nowhere"], "/nowhere"),
        (["bench", "--size", "big"], "is not WIDTHxHEIGHT"),
        (["demo", "--modality", "mri"], "known: ultrasound, fluoroscopy"),
        (["set"], "nothing to set"),
        (["watch", "--control", "localhost:1"], "is not an address"),
        (["set", "--strength", "101"], "--strength"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_one_line_of_complaint(arguments: list[str], said: str) -> None:
    assert said in complaint(*arguments)


def test_without_a_daemon_they_say_so(tmp_path: Path) -> None:
    nobody = f"ipc://{tmp_path}/nobody"
    assert "no daemon answers" in complaint("watch", "--once", "--control", nobody, status=1)


# ---------------------------------------------------------------- with a daemon


def test_watch_tells_each_stream_as_one_object_a_line(daemon: Daemon) -> None:
    scanner = Scanner(daemon, "watched")
    scanner.send_until_enhanced()
    scanner.close()
    status = told("watch", "--once", "--json", "--control", f"ipc://{daemon.home}/control")
    facts = status["streams"]["watched"]
    assert facts["frames"]["in"] > 0
    assert sum(facts["frames"]["enhanced"].values()) > 0
    assert set(facts["latency_ms"]) == POINTS
    table = limpid("watch", "--once", "--control", f"ipc://{daemon.home}/control")
    assert "watched" in table.stdout


def test_set_changes_what_the_daemon_shows(daemon: Daemon) -> None:
    scanner = Scanner(daemon, "told")
    scanner.send(0.2)
    scanner.close()
    control = f"ipc://{daemon.home}/control"
    done = limpid("set", "--control", control, "--stream", "told", "--strength", 35, "--view", "original", "--freeze")
    assert done.returncode == 0, done.stderr
    facts = daemon.status()["streams"]["told"]
    assert (facts["strength_percent"], facts["view"], facts["frozen"]) == (35.0, "original", True)
    assert limpid("set", "--control", control, "--stream", "told", "--unfreeze").returncode == 0
    assert daemon.status()["streams"]["told"]["frozen"] is False
    assert "handbuilt" in complaint("set", "--control", control, "--engine", "nobodys")
    assert daemon.status()["streams"]["told"]["strength_percent"] == 35.0


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


def test_a_recording_is_never_written_over(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "mine.lmpr").write_text("mine")
    scanner = [
        sys.executable,
        "-m",
        "edge",
        "send",
        "phantom",
        "--to",
        daemon.frames,
        "-s",
        "stream=over",
        "-s",
        "loop_frames=4",
    ]
    sender = subprocess.Popen([*scanner, "--seconds", "60"], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        said = complaint("record", tmp_path / "mine.lmpr", "--pictures", daemon.pictures, "--stream", "over")
    finally:
        sender.terminate()
        sender.wait(20)
    assert "mine.lmpr" in said
    assert (tmp_path / "mine.lmpr").read_text() == "mine"


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
