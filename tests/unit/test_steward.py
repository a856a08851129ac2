"""Engines that change while the daemon runs, on a manual clock: taken up, watched, taken back."""

from __future__ import annotations

import io
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")

from edge.backends import Shape
from edge.catalog import Catalog, Engine, read_engine, shipped_folder
from edge.clock import MS, SECOND, ManualClock
from edge.config import parse
from edge.errors import ConfigError, EngineRefused
from edge.frame import Modality
from edge.health import Events, Tally, Vitals
from edge.requests import TakeUp
from edge.shared import Shared
from edge.steward import Steward, settle_interrupted
from edge.survey import Opening, OpenKey
from edge.trial import LENGTH
from edge.wishes import Wish, Wishes
from tests.engine_making import NAME, make_version, put, store_at

SHIPPED = read_engine(shipped_folder() / NAME).manifest.sha256


class Ward:
    """A steward, one stream "s", and a store in which version 2 was activated."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = ManualClock()
        self.store = store_at(tmp_path / "store")
        self.store.check_place(NAME)
        self.catalog = Catalog([self.store.root, shipped_folder()])
        self.heard: list[dict[str, Any]] = []
        self.events = Events(self.clock, io.StringIO())
        self.events.listen(self.heard.append)
        self.tally = Tally()
        self.key = self.key_of(SHIPPED)
        self.wishes = Wishes(Wish())
        config = parse(f'[engines]\nfolders = ["{self.store.root}"]\nrungs = ["small"]')
        shared = Shared(config, self.clock, self.events, Vitals(self.clock), self.wishes)
        self.steward = Steward(shared, self.catalog, self.store, lambda: {"s": self.tally}, lambda: {"s": self.key})
        self.second: Engine = make_version(tmp_path / "second", "2")
        self.run(3.0)

    @staticmethod
    def key_of(sha256: str) -> OpenKey:
        return OpenKey("handbuilt", Modality.ULTRASOUND, Shape(240, 320, 8), (sha256,))

    def run(self, seconds: float, enhanced: int = 30, **original: int) -> None:
        """So many frames a second, and the steward's looks between."""
        for _ in range(int(seconds)):
            self.tally.enhanced[NAME] += enhanced
            self.tally.original.update({why.replace("_", " "): count for why, count in original.items()})
            self.tally.latencies_ns.extend([10 * MS] * enhanced)
            self.clock.advance(SECOND)
            self.steward.step(0.0)

    def activate(self) -> Future[dict[str, Any]]:
        self.store.activate(NAME, put(self.store, self.second), trial=True)
        answer = self.steward.ask(TakeUp(NAME))
        self.steward.step(0.0)
        return answer

    def opens(self, cost_ms: float = 9.0, refused: str = "") -> None:
        """The survey opened it; the lane has swapped."""
        sha = self.second.manifest.sha256
        self.steward.hear(Opening("s", NAME, sha, int(cost_ms * MS), refused))
        if not refused:
            self.key = self.key_of(sha)
        self.steward.step(0.0)

    def told(self, event: str) -> list[dict[str, Any]]:
        self.events.start()
        self.events.close(20)
        return [each for each in self.heard if each["event"] == event]

    @property
    def active(self) -> str:
        return self.catalog.engines[NAME].manifest.version


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_it_is_answered_once_the_stream_has_the_engine_and_then_it_is_on_trial(ward: Ward) -> None:
    answer = ward.activate()
    assert not answer.done()
    assert ward.active == "2"
    assert ward.wishes.of("s").edition == ward.catalog.edition == 1
    ward.opens(cost_ms=9.0)
    assert answer.result(0)["streams"] == {"s": 9.0}
    assert answer.result(0)["waiting"] == []
    assert ward.steward.facts()["on_trial"].keys() == {NAME}
    found = ward.store.trial(NAME)
    assert found is not None
    assert found.state == "running"


def test_one_that_holds_is_trusted(ward: Ward) -> None:
    ward.activate()
    ward.opens()
    ward.run(LENGTH / SECOND + 1)
    assert ward.steward.facts() == {"on_trial": {}, "verified": {}}
    assert ward.store.trial(NAME) is None
    assert ward.active == "2"
    assert [event["sha256"] for event in ward.told("engine.held")] == [ward.second.manifest.sha256]


def test_one_with_faults_is_taken_back_on_the_disk_and_in_the_picture(ward: Ward) -> None:
    ward.activate()
    ward.opens()
    ward.run(3)
    ward.run(1, not_finite=3)
    assert ward.active == "1"
    assert ward.store.active_home(NAME) is None
    assert ward.wishes.of("s").edition == 2
    (event,) = ward.told("engine.rolled-back")
    assert "without a usable result" in event["why"]
    assert event["to"] == "1"
    last = list(ward.store.audit.entries())[-1]
    assert (last.did, last.facts["automatic"]) == ("engine-rolled-back", True)


def test_one_that_misses_the_deadline_more_often_is_taken_back(ward: Ward) -> None:
    ward.activate()
    ward.opens()
    ward.run(4, late=6)
    assert ward.active == "1"


def test_one_that_cannot_be_opened_is_taken_back_at_once_and_whoever_asked_hears_why(ward: Ward) -> None:
    answer = ward.activate()
    ward.opens(refused="handbuilt-small: not a readable model")
    assert ward.active == "1"
    with pytest.raises(EngineRefused, match="taken back: handbuilt-small: not a readable model"):
        answer.result(0)


def test_one_that_takes_longer_than_the_deadline_is_taken_back_before_it_is_shown(ward: Ward) -> None:
    answer = ward.activate()
    ward.opens(cost_ms=200.0)
    assert ward.active == "1"
    with pytest.raises(EngineRefused, match=r"200\.0 ms a frame"):
        answer.result(0)


def test_one_that_was_damaged_on_the_disk_is_taken_back_unopened(ward: Ward) -> None:
    home = put(ward.store, ward.second)
    ward.store.activate(NAME, home, trial=True)
    (home / "manifest.toml").write_text("contract = 2\n")
    answer = ward.steward.ask(TakeUp(NAME))
    ward.steward.step(0.0)
    with pytest.raises(EngineRefused):
        answer.result(0)
    assert ward.active == "1"


def test_a_stream_that_does_not_come_to_it_keeps_nobody_waiting_for_ever(ward: Ward) -> None:
    answer = ward.activate()
    ward.run(61)
    assert answer.result(0)["waiting"] == ["s"]
    ward.opens()
    ward.run(1)
    assert ward.steward.facts()["on_trial"].keys() == {NAME}


def test_what_is_active_already_is_answered_at_once(ward: Ward) -> None:
    answer = ward.steward.ask(TakeUp(NAME))
    ward.steward.step(0.0)
    assert answer.result(0)["engine"]["version"] == "1"
    assert ward.told("engine.on-trial") == []


def test_an_orderly_stop_lets_the_trial_begin_again_and_any_other_end_takes_it_back(ward: Ward) -> None:
    ward.activate()
    ward.opens()
    ward.steward.close()
    settle_interrupted(ward.store, ward.events)
    found = ward.store.trial(NAME)
    assert found is not None
    assert found.state == "due"
    assert ward.store.active_home(NAME) is not None
    ward.store.set_trial(NAME, "running")  # and then, say, the watchdog ended the daemon
    settle_interrupted(ward.store, ward.events)
    assert ward.store.active_home(NAME) is None
    assert [event["why"] for event in ward.told("engine.rolled-back")] == ["the daemon ended during its trial"]


def test_a_daemon_without_a_store_says_so(ward: Ward) -> None:
    steward = Steward(ward.steward._shared, ward.catalog, None, dict, dict)
    answer = steward.ask(TakeUp(NAME))
    steward.step(0.0)
    with pytest.raises(ConfigError, match="folders"):
        answer.result(0)
    steward.begin()
    steward.close()
