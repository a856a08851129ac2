"""The lookout: what it makes of the pictures that live leaves, what it tells, and what it writes down."""

from __future__ import annotations

import io
import json
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from calibration.profiling import profile_of
from edge import region as regions
from edge.catalog import Catalog, read_engine, shipped_folder
from edge.clock import SECOND, ManualClock
from edge.drift import statistics
from edge.frame import Box, EngineId, Modality, Shown, Treatment, Why, original
from edge.health import Events, Tally
from edge.lookout import GONE, Lookout, Sight
from edge.profiles import PROFILE_FILE, Profiles
from edge.quality import summary
from edge.quality_book import Book
from edge.region import Region
from tests.fakes import frame

SIZE = (120, 160)
BOX = Box(0, 0, SIZE[1], SIZE[0])


def grain(seed: int, spread: float = 10.0) -> np.ndarray:
    ramp = np.linspace(80, 150, SIZE[1])[None, :]
    return np.clip(ramp + np.random.default_rng(seed).normal(0, spread, SIZE), 0, 255).astype(np.uint8)


def region_of(pixels: np.ndarray) -> Region:
    found = regions.find(frame(pixels=pixels, region=BOX))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """One engine, with a profile of grain; another without any."""
    home = tmp_path_factory.mktemp("engines")
    for name in ("handbuilt-small", "handbuilt-medium"):
        shutil.copytree(shipped_folder() / name, home / name)
    engine = read_engine(home / "handbuilt-small")
    mask = region_of(grain(0)).mask
    rows = [found for n in range(60) if (found := statistics(grain(n, 9 + n % 3), mask, 255)) is not None]
    made = profile_of("handbuilt-small", engine.manifest.sha256, rows, "grain")
    (engine.folder / PROFILE_FILE).write_bytes(msgspec.json.encode(made))
    return Catalog([home])


class House:
    """A lookout, and what live would leave for it."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self.clock, self.out, self.told = ManualClock(), io.StringIO(), list[frozenset[str]]()
        self.newest: dict[str, Shown] = {}
        self.region: Region | None = region_of(grain(0))
        self.tallies: dict[str, Tally] = {"probe": Tally()}
        self.wall = datetime(2026, 11, 27, 23, 59, tzinfo=timezone.utc)
        self.events, self.book, self.seq = Events(self.clock, self.out), Book(folder), 0
        self._ids = {name: EngineId(name, one.manifest.sha256) for name, one in catalog.engines.items()}
        sight = Sight(self.newest, lambda _stream: self.region, self.tallies.copy, self.told.append)
        self.lookout = Lookout(sight, Profiles(catalog), self.book, self.clock, self.events, lambda: self.wall)

    def show(self, pixels: np.ndarray, engine: str = "handbuilt-small", why: Why | None = None) -> None:
        self.seq += 1
        came = frame(self.seq, stream="probe", pixels=pixels, region=BOX)
        shown = original(came, why) if why is not None else Shown(
            came, pixels, Treatment.ENHANCED, engine=self._ids[engine], mean_change=0.02
        )  # fmt: skip
        self.newest["probe"] = shown
        self.tallies["probe"].came += 1
        self.tallies["probe"].showed(shown)
        self.tallies["probe"].latencies_ns.append(8_000_000)

    def look(self, seconds: int, spread: float = 10.0, **more: Any) -> None:
        for _ in range(seconds):
            self.show(grain(1000 + self.seq, spread), **more)
            self.clock.advance(SECOND)
            self.lookout.look()

    @property
    def state(self) -> str:
        return self.lookout.facts("probe")["state"]

    def events_told(self) -> list[dict[str, Any]]:
        self.events.start()
        self.events.close(20)
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def day(self) -> dict[str, Any]:
        return summary(self.book.days()[-1])


@pytest.fixture
def house(catalog: Catalog, tmp_path: Path) -> House:
    return House(catalog, tmp_path / "quality")


def test_pictures_like_those_that_were_judged_stay_inside(house: House) -> None:
    house.look(30)
    assert house.state == "inside"
    assert set(house.told) == {frozenset()}
    assert house.events_told() == []


def test_a_change_is_told_after_five_seconds_and_taken_back_after_ten(house: House) -> None:
    house.look(10)
    house.look(5, spread=30)
    assert house.state == "inside"
    house.look(1, spread=30)
    assert (house.state, house.told[-1]) == ("outside", frozenset({"probe"}))
    assert "noise" in house.lookout.facts("probe")["by"]
    house.look(10)
    assert house.told[-1] == frozenset({"probe"})
    house.look(1)
    assert (house.state, house.told[-1]) == ("inside", frozenset())
    told = house.events_told()
    assert [event["event"] for event in told] == ["drift.outside", "drift.inside"]
    assert (told[0]["stream"], told[0]["engine"], told[0]["severity"]) == ("probe", "handbuilt-small", "warning")


def test_nothing_is_said_of_an_engine_without_a_profile(house: House) -> None:
    house.look(20, spread=30, engine="handbuilt-medium")
    assert house.state == "unjudged"
    assert house.told[-1] == frozenset()


def test_an_engine_that_takes_over_is_judged_by_its_own_profile(house: House) -> None:
    house.look(20, spread=30)
    assert house.state == "outside"
    house.look(1, spread=30, engine="handbuilt-medium")
    assert (house.state, house.told[-1]) == ("unjudged", frozenset())
    last = house.events_told()[-1]
    assert (last["event"], last["engine"], last["reason"]) == (
        "drift.inside", "handbuilt-small", "engine without a profile",
    )  # fmt: skip


def test_a_picture_that_stands_is_looked_at_once(house: House) -> None:
    house.look(8)
    house.show(grain(5, 30))
    for _ in range(20):
        house.clock.advance(SECOND)
        house.lookout.look()
    assert house.state == "inside"


def test_a_stream_that_fell_silent_begins_anew(house: House) -> None:
    house.look(20, spread=30)
    house.clock.advance(GONE + SECOND)
    house.lookout.look()
    assert (house.state, house.told[-1]) == ("unjudged", frozenset())
    last = house.events_told()[-1]
    assert (last["event"], last["reason"]) == ("drift.inside", "no more pictures")


def test_the_last_picture_of_a_silent_stream_is_not_taken_for_a_new_one(house: House) -> None:
    house.look(60)
    before = house.day()["kinds"]["ultrasound"]["judged_minutes"]
    for _ in range(10 * GONE // SECOND):
        house.clock.advance(SECOND)
        house.lookout.look()
    assert house.day()["kinds"]["ultrasound"]["judged_minutes"] == before


def test_without_a_region_or_with_anothers_nothing_is_judged(house: House) -> None:
    house.region = None
    house.look(20, spread=30)
    assert house.state == "unjudged"
    house.region = region_of(np.tile(grain(0), (2, 2))[:200, :200])
    house.look(20, spread=30)
    assert house.state == "unjudged"


def test_a_day_is_written_once_a_minute_and_adds_up(house: House) -> None:
    house.look(59)
    assert house.book.days() == []
    house.look(1)
    house.look(20, spread=30)
    house.look(3, why=Why.LATE)
    house.lookout.hear({"event": "capture.stored", "severity": "notice", "t_ns": 0})
    house.lookout.hear({"event": "heat.changed", "step": "warm", "severity": "notice", "t_ns": 0})
    house.look(97)
    facts = house.day()["kinds"]["ultrasound"]
    assert facts["frames"] == {"enhanced": {"handbuilt-small": 177}, "original": {"late": 3}, "dropped": {}}
    assert facts["latency_ms"]["p50"] == pytest.approx(8, rel=0.05)
    assert facts["judged_minutes"] == pytest.approx(3.0, abs=0.1)
    assert 0.3 < facts["drift_minutes"] < 0.6
    assert facts["noise_percent"] == pytest.approx(100 * 10 / 255, rel=0.4)
    assert facts["mean_change_percent"] == {"handbuilt-small": 2.0}
    assert house.day()["captures"] == 1
    assert house.day()["heat_minutes"] == {"warm": pytest.approx(97 / 60, abs=0.1)}


def test_at_midnight_another_day_begins(house: House) -> None:
    house.look(5)
    house.wall = datetime(2026, 11, 28, 0, 0, tzinfo=timezone.utc)
    house.look(115)
    assert [day.date for day in house.book.days()] == ["2026-11-27", "2026-11-28"]
    counts = [day.kinds["ultrasound"].enhanced["handbuilt-small"] for day in house.book.days()]
    assert counts == [5, 115]


def test_a_disk_that_does_not_take_the_day_is_told_once_and_ends_nothing(house: House, tmp_path: Path) -> None:
    (tmp_path / "quality").write_text("a file")
    house.look(130)
    assert [event["event"] for event in house.events_told()] == ["report.not-written"]


def test_kinds_are_kept_apart(house: House) -> None:
    house.look(3)
    house.newest["arm"] = original(
        frame(1, stream="arm", pixels=grain(3), modality=Modality.FLUOROSCOPY), Why.NO_ENGINE
    )
    house.tallies["arm"] = Tally()
    house.tallies["arm"].showed(house.newest["arm"])
    house.look(60)
    assert set(house.day()["kinds"]) == {"ultrasound", "fluoroscopy"}
    assert house.day()["kinds"]["fluoroscopy"]["frames"]["original"] == {"no engine": 1}
