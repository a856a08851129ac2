"""The real `limpid` command in real processes: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import __version__
from edge.backends import nvidia_nodes, why_backend
from tests.system.commands import POINTS, complaint, limpid, told
from tests.system.process import ROOT, Daemon, Scanner, config_text, running, wait_until

pytestmark = pytest.mark.timeout(180)

# What is tested here is what is said, and on a busy machine too: an engine may take as long as it likes.
UNHURRIED = "[live]\ndeadline_ms = 900\nmax_age_ms = 5000\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("daemon"), UNHURRIED) as made:
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
    wait_until(lambda: "told" in daemon.status()["streams"], "the stream is known", daemon)
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
