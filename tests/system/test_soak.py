"""As many frames as a real daemon takes, one after the other: nothing grows, and none is unaccounted for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.system.process import Daemon, Scanner, running, wait_until

SMALL_RING = "[live]\nrecent_megabytes = 16\nrecent_seconds = 2"


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    rss: int
    files: int
    threads: int


def held(daemon: Daemon) -> Held:
    process = psutil.Process(daemon.process.pid)
    return Held(process.memory_info().rss, process.num_fds(), process.num_threads())


def flood(scanner: Scanner, frames: int) -> None:
    """As fast as they are taken; the viewer is read now and then, as a display that is a little slow would."""
    for n in range(frames):
        assert scanner.pusher.wait_for_daemon(30)
        scanner.push()
        if n % 10 == 0:
            while scanner.viewer.receive(0) is not None:
                pass


def settle(daemon: Daemon, scanner: Scanner, least: int) -> None:
    """Until the memory of the last seconds is as full as it may become."""
    flood(scanner, least)
    while daemon.status()["recent"]["megabytes"] < 16:
        flood(scanner, 500)


def came(daemon: Daemon) -> int:
    return daemon.status()["streams"]["test"]["frames"]["in"]


@pytest.mark.parametrize(
    ("frames", "growth"),
    [
        pytest.param(3_000, 0.04, id="short", marks=pytest.mark.timeout(120)),
        pytest.param(100_000, 0.02, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_after_a_flood_of_frames_memory_files_and_threads_are_what_they_were(
    tmp_path: Path, frames: int, growth: float
) -> None:
    with running(tmp_path / "d", SMALL_RING) as daemon:
        scanner = Scanner(daemon, size=(128, 160))
        scanner.send_until_enhanced()
        settle(daemon, scanner, least=frames // 10)
        before = held(daemon)
        flood(scanner, frames)
        wait_until(lambda: came(daemon) == scanner.pusher.sent, "all frames are in", daemon)
        # A control connection is let go a moment after its answer.
        wait_until(lambda: held(daemon).files <= before.files, "no file stays open", daemon)
        after = held(daemon)
        facts = daemon.status()["streams"]["test"]["frames"]
        scanner.close()
    assert scanner.pusher.refused == 0
    assert after.rss < before.rss * (1 + growth), f"{before.rss / 1e6:.1f} MB became {after.rss / 1e6:.1f} MB"
    assert after.threads <= before.threads
    out = sum(sum(facts[key].values()) for key in ("enhanced", "original", "dropped"))
    assert facts["in"] == out + facts["waiting"] == scanner.pusher.sent
    assert facts["waiting"] <= 1
    assert facts["lost_on_the_way"] == 0
