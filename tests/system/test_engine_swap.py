"""Engines that change under a running daemon: swapped between two frames, and taken back by itself when they fail."""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import trial
from edge.activation import tell_daemon
from edge.catalog import Engine, read_engine, shipped_folder
from edge.engine_store import EngineStore
from edge.errors import EngineRefused
from edge.frame import Why
from tests.engine_making import NAME, make_version, put, store_at
from tests.system.process import Daemon, Scanner, is_enhanced, running, wait_until

pytestmark = pytest.mark.timeout(240)
FPS, DEADLINE_MS = 10.0, 50.0  # so that a busy machine makes no frame late
NOISY_MS = 35.0
SLOWER = re.compile(r"p99 [\d.]+ ms from frame to picture, [\d.]+ ms before|.* frames late, |it treated [\d.]+ % of ")
ROOMY_FPS, ROOMY_DEADLINE_MS = 15.0, 200.0  # only the tail can be what is wrong; and its 300 frames come in time
SHIPPED = read_engine(shipped_folder() / NAME).manifest.sha256


class Ward:
    """A daemon with a store, and a scanner that does not pause while something else is done."""

    def __init__(self, daemon: Daemon, store: EngineStore, fps: float = FPS) -> None:
        self.daemon = daemon
        self.fps = fps
        self.store = store
        self.scanner = Scanner(daemon, "ward", size=(240, 320))

    def meanwhile(self, work: Callable[[], Any]) -> Any:
        """Frames flow while WORK is done in another thread."""
        found: list[Any] = []

        def top() -> None:
            try:
                found.append(work())
            except EngineRefused as error:
                found.append(error)

        thread = threading.Thread(target=top)
        thread.start()
        while thread.is_alive():
            self.send(0.3)
        self.send(1.0)
        return found[0]

    def send(self, seconds: float) -> None:
        self.scanner.send(seconds, self.fps)

    def activate(self, engine: Engine) -> Any:
        home = put(self.store, engine)

        def work() -> dict[str, Any]:
            self.store.activate(NAME, home, trial=True)
            return self.tell()

        return self.meanwhile(work)

    def tell(self) -> dict[str, Any]:
        return tell_daemon(f"ipc://{self.daemon.home}/control", NAME)

    def hashes(self) -> list[str]:
        """What the picture was made by, change by change; originals left out."""
        found: list[str] = []
        for report, _ in self.scanner.seen:
            if is_enhanced(report) and report.engine.sha256 not in found[-1:]:
                found.append(report.engine.sha256)
        return found

    def without_engine(self) -> list[int]:
        """Pictures for which no engine was there, after the first that was enhanced."""
        numbers = [report.seq for report, _ in self.scanner.seen if is_enhanced(report)]
        missing = (Why.OPENING, Why.NO_ENGINE, Why.NO_REGION)
        return [report.seq for report, _ in self.scanner.seen if report.why in missing and report.seq > numbers[0]]

    def sent_until(self, met: Callable[[], bool], what: str) -> None:
        def sent_and_met() -> bool:
            self.send(0.3)
            return met()

        wait_until(sent_and_met, what, self.daemon)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.daemon.events() if each["event"] == event]

    def check_accounts(self) -> None:
        frames = self.daemon.status()["streams"]["ward"]["frames"]
        out = sum(sum(frames[kind].values()) for kind in ("enhanced", "original", "dropped"))
        assert frames["in"] == out
        assert frames["in"] == self.scanner.pusher.sent
        numbers = [report.seq for report, _ in self.scanner.seen if report.pixels is not None]
        assert numbers == sorted(set(numbers))
        shown = sum(sum(frames[kind].values()) for kind in ("enhanced", "original"))
        assert 0 <= shown - len(numbers) < numbers[0]  # all but those of before this viewer had subscribed


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    with watched(tmp_path, FPS, DEADLINE_MS) as made:
        yield made


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Ward]:
    with watched(tmp_path, ROOMY_FPS, ROOMY_DEADLINE_MS) as made:
        yield made


def channels_for(idle_ms: float) -> int:
    """So that an engine takes that much longer, about: 8 channels took 3.3 ms on one core."""
    return round(8 * math.sqrt(idle_ms / 3.3))


def enhanced_by(ward: Ward, sha256: str) -> int:
    return sum(is_enhanced(report) and report.engine.sha256 == sha256 for report, _ in ward.scanner.seen)


@contextlib.contextmanager
def watched(tmp_path: Path, fps: float, deadline_ms: float) -> Iterator[Ward]:
    store = tmp_path / "store"
    store.mkdir()
    settings = (
        f'[engines]\nfolders = ["{store}"]\nultrasound = "handbuilt"\nrungs = ["small", "original"]\nthreads = 1\n'
        f"[live]\ndeadline_ms = {deadline_ms}\nmax_age_ms = {2 * deadline_ms}\n"
    )
    with running(tmp_path / "home", settings) as daemon:
        made = Ward(daemon, store_at(store), fps)
        made.sent_until(lambda: bool(made.hashes()), "an enhanced picture")
        yield made
        made.scanner.close()


def test_an_engine_is_swapped_between_two_frames_and_back_again(ward: Ward, tmp_path: Path) -> None:
    second = make_version(tmp_path / "second", "2")
    told = ward.activate(second)
    assert told["engine"]["sha256"] == second.manifest.sha256
    assert told["waiting"] == []
    assert ward.hashes() == [SHIPPED, second.manifest.sha256]
    assert ward.daemon.status()["on_trial"].keys() == {NAME}
    assert ward.daemon.status()["streams"]["ward"]["engine"]["sha256"] == second.manifest.sha256

    ward.store.roll_back(NAME, "by hand")
    told = ward.meanwhile(ward.tell)
    assert told["engine"]["sha256"] == SHIPPED
    assert ward.hashes() == [SHIPPED, second.manifest.sha256, SHIPPED]
    ward.check_accounts()
    assert not ward.without_engine()


def test_an_engine_whose_results_are_not_finite_is_taken_back_by_itself(ward: Ward, tmp_path: Path) -> None:
    spoilt = make_version(tmp_path / "spoilt", "2", "nan")
    told = ward.activate(spoilt)
    assert told["engine"]["sha256"] == spoilt.manifest.sha256
    ward.sent_until(lambda: bool(ward.told("engine.rolled-back")), "it is taken back")
    (event,) = ward.told("engine.rolled-back")
    assert event["sha256"] == spoilt.manifest.sha256
    assert "without a usable result" in event["why"]
    ward.sent_until(lambda: ward.hashes()[-1:] == [SHIPPED], "the engine before is shown again")
    assert ward.hashes() == [SHIPPED, spoilt.manifest.sha256, SHIPPED]
    assert ward.store.active_home(NAME) is None
    assert [entry.did for entry in ward.store.audit.entries()][-1] == "engine-rolled-back"
    ward.check_accounts()


def test_an_engine_that_is_too_slow_for_this_device_is_never_shown(ward: Ward, tmp_path: Path) -> None:
    slow = make_version(tmp_path / "slow", "2", "slow")
    refused = ward.activate(slow)
    assert isinstance(refused, EngineRefused)
    assert "the deadline is 50" in str(refused)
    ward.sent_until(lambda: ward.hashes()[-1:] == [SHIPPED], "the engine before is shown")
    assert slow.manifest.sha256 not in ward.hashes()
    assert ward.store.active_home(NAME) is None
    ward.check_accounts()


@pytest.mark.soak  # p99 is told from what else the machine does only where it does little else
def test_an_engine_that_is_slower_than_the_one_before_is_taken_back_though_it_meets_the_deadline(
    roomy: Ward, tmp_path: Path
) -> None:
    ward = roomy
    ward.sent_until(lambda: enhanced_by(ward, SHIPPED) >= trial.FEWEST_FRAMES, "how long a frame takes is known")
    usual_ms = ward.daemon.status()["streams"]["ward"]["latency_ms"]["p99"]
    if usual_ms > NOISY_MS:
        pytest.skip(f"p99 {usual_ms} ms of an engine that takes one: what is slower cannot be told from what else runs")
    slower = make_version(tmp_path / "slower", "2", "slow", channels=channels_for(12 + 0.8 * usual_ms))
    told = ward.activate(slower)
    assert told["engine"]["sha256"] == slower.manifest.sha256  # its frames are in time: it is shown
    for _ in range(4 * trial.FEWEST_FOR_TAIL // int(2 * ROOMY_FPS)):
        if ward.told("engine.rolled-back"):
            break
        ward.send(2.0)
    (event,) = ward.told("engine.rolled-back")
    assert event["sha256"] == slower.manifest.sha256
    # By its tail; on a machine that is busy with other things too, it may be so slow that frames are late, or left out.
    assert SLOWER.match(event["why"]), event["why"]
    ward.sent_until(lambda: ward.hashes()[-1:] == [SHIPPED], "the engine before is shown again")
    assert ward.hashes() == [SHIPPED, slower.manifest.sha256, SHIPPED]
    assert ward.store.active_home(NAME) is None
    (entry,) = [entry for entry in ward.store.audit.entries() if entry.did == "engine-rolled-back"]
    assert event["why"] in str(entry)
    ward.check_accounts()
    assert not ward.without_engine()


def test_an_engine_that_cannot_be_opened_is_refused_and_the_picture_goes_on(ward: Ward, tmp_path: Path) -> None:
    broken = make_version(tmp_path / "broken", "2")
    home = put(ward.store, broken)
    (home / "model.onnx").write_bytes(b"altered after it was installed")

    def work() -> dict[str, Any]:
        ward.store.activate(NAME, home, trial=True)
        return ward.tell()

    refused = ward.meanwhile(work)
    assert isinstance(refused, EngineRefused)
    assert "damaged or altered" in str(refused)
    assert ward.hashes() == [SHIPPED]
    assert ward.store.active_home(NAME) is None
    ward.check_accounts()
