"""What the survey answers: which engines are opened, when again, and what happens to those that are refused."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends import Shape
from edge.catalog import Catalog, Engine, open_catalog, shipped_folder
from edge.clock import ManualClock
from edge.config import parse
from edge.errors import EngineFault, EngineRefused
from edge.frame import Box, Frame, Modality
from edge.health import Events
from edge.survey import Look, Opening, OpenKey, Prepared, Survey
from tests.fakes import SlowBackend, SlowSession, frame

COSTS_MS = {"large": 9.0, "medium": 5.0, "small": 3.0, "classical": 2.0}
HANDBUILT = '[engines]\nultrasound = "handbuilt"\nfluoroscopy = "handbuilt"'
HANDBUILTS = open_catalog([]).family("handbuilt", "ultrasound")
MODELS = tuple(HANDBUILTS[size].manifest.sha256 for size in ("large", "medium", "small"))
FITS = OpenKey("handbuilt", Modality.ULTRASOUND, Shape(96, 128, 8), MODELS)


class ChoosyBackend(SlowBackend):
    """Refuses the engines it is told to, and counts what it was asked to open."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, COSTS_MS)
        self.refuses: Callable[[Engine], bool] = lambda _engine: False
        self.asked = 0
        self.notes: list[str] = []
        self.threads: list[str] = []

    def open(self, engine: Engine | None, shape: Shape) -> SlowSession:
        self.asked += 1
        self.threads.append(threading.current_thread().name)
        if engine is not None and self.refuses(engine):
            raise EngineRefused(f"{engine.manifest.name}: damaged or altered")
        return super().open(engine, shape)


class Desk:
    """A survey with a family "handbuilt", which opens, and a family "broken", which may be made to refuse."""

    def __init__(self, home: Path, settings: str = HANDBUILT) -> None:
        for size in ("large", "medium", "small"):
            folder = home / f"broken-{size}"
            shutil.copytree(shipped_folder() / f"handbuilt-{size}", folder)
            text = (folder / "manifest.toml").read_text()
            text = text.replace(f'name = "handbuilt-{size}"', f'name = "broken-{size}"')
            (folder / "manifest.toml").write_text(text.replace('family = "handbuilt"', 'family = "broken"'))
        self.heard: list[dict[str, Any]] = []
        clock = ManualClock()
        self.backend = ChoosyBackend(clock)
        self.events = Events(clock, io.StringIO())
        self.events.listen(self.heard.append)
        catalog: Catalog = open_catalog([str(home)])
        self.survey = Survey(catalog, parse(settings).engines, self.events, lambda _kind, _n: self.backend)
        self.seq = 0

    def ask(self, open_key: OpenKey | None = None, family: str = "", **more: Any) -> Prepared:
        self.seq += 1
        look = Look(self.frame(**more), family, open_key, lambda _found: None)
        return self.survey.answer(look)

    def frame(self, **more: Any) -> Frame:
        return frame(self.seq, **more)

    def told(self, name: str) -> list[dict[str, Any]]:
        if not self.events._thread.is_alive():
            self.events.start()
            self.events.close(20)
        return [event for event in self.heard if event["event"] == name]

    def end(self) -> None:
        stop = threading.Event()
        stop.set()
        self.survey.run(stop)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.end()


def test_the_first_look_opens_every_rung_for_the_regions_size_and_measures_it(desk: Desk) -> None:
    found = desk.ask()
    assert found.key == FITS
    assert found.sessions is not None
    assert set(found.sessions) == {"large", "medium", "small", "classical"}
    assert found.costs_ns == {rung: int(ms * 1e6) for rung, ms in COSTS_MS.items()}
    assert all(session.past == 0 for session in desk.backend.sessions.values())  # a trial is no patient's past


def test_what_the_backend_had_to_work_round_is_told(desk: Desk) -> None:
    desk.backend.notes = ["the plan belongs to another runtime: built again"]
    desk.ask()
    told = desk.told("engine.noted")
    assert [event["rung"] for event in told] == ["large", "medium", "small", "classical"]
    assert {tuple(event["notes"]) for event in told} == {tuple(desk.backend.notes)}


def test_what_went_well_is_not_noted(desk: Desk) -> None:
    desk.ask()
    assert desk.told("engine.noted") == []


def test_another_version_of_an_engine_is_another_key_and_is_opened(desk: Desk) -> None:
    before = OpenKey(FITS.family, FITS.modality, FITS.shape, ("0" * 64, *MODELS[1:]))
    found = desk.ask(open_key=before)
    assert found.key == FITS
    assert set(found.sessions or {}) == {"large", "medium", "small", "classical"}


def test_another_version_that_is_refused_leaves_all_that_is_open_as_it_is(desk: Desk) -> None:
    desk.backend.refuses = lambda engine: engine.manifest.size == "large"
    before = OpenKey(FITS.family, FITS.modality, FITS.shape, ("0" * 64, *MODELS[1:]))
    found = desk.ask(open_key=before)
    assert (found.sessions, found.key) == (None, before)
    assert all(session.closed for session in desk.backend.sessions.values())
    asked = desk.backend.asked
    assert desk.ask(open_key=before).sessions is None
    assert desk.backend.asked == asked  # not tried again and again


def test_one_that_was_refused_before_keeps_no_other_from_being_renewed(desk: Desk) -> None:
    desk.backend.refuses = lambda engine: engine.manifest.size == "medium"
    before = OpenKey(FITS.family, FITS.modality, FITS.shape, ("0" * 64, *MODELS[1:]))
    assert set(desk.ask(open_key=before).sessions or {}) == {"large", "small", "classical"}


def test_every_engine_that_is_opened_or_refused_is_told(desk: Desk) -> None:
    told: list[Opening] = []
    desk.survey._tell = told.append
    desk.backend.refuses = lambda engine: engine.manifest.size == "medium"
    desk.ask()
    assert [(one.engine, one.sha256, bool(one.refused)) for one in told] == [
        ("handbuilt-large", MODELS[0], False),
        ("handbuilt-medium", MODELS[1], True),
        ("handbuilt-small", MODELS[2], False),
    ]
    assert told[0].cost_ns == int(COSTS_MS["large"] * 1e6)


def test_what_is_open_already_is_not_opened_again(desk: Desk) -> None:
    desk.ask()
    asked = desk.backend.asked
    found = desk.ask(FITS)
    assert found.region is not None
    assert found.sessions is None
    assert desk.backend.asked == asked


@pytest.mark.parametrize(
    "other",
    [
        {"region": Box(16, 24, 64, 48)},
        {"pixels": np.random.default_rng(1).integers(300, 3000, (96, 128), np.uint16)},
        {"pixels": np.random.default_rng(1).integers(30, 220, (128, 160), np.uint8)},
    ],
    ids=["region", "depth", "size"],
)
def test_another_region_size_or_depth_is_opened_for(desk: Desk, other: dict[str, Any]) -> None:
    desk.ask()
    found = desk.ask(FITS, stream="another", **other)
    assert found.key is not None
    assert found.key != FITS
    assert found.sessions is not None
    assert found.region is not None
    assert {session.shape for session in found.sessions.values()} == {found.key.shape}
    assert (found.region.box.height, found.region.box.width) == (found.key.shape.height, found.key.shape.width)


def test_the_family_follows_the_modality_and_a_wish_goes_before_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, '[engines]\nultrasound = "handbuilt"\nfluoroscopy = "broken"')
    families = [
        desk.ask().key,
        desk.ask(stream="f", modality=Modality.FLUOROSCOPY).key,
        desk.ask(stream="w", family="broken").key,
    ]
    desk.end()
    assert [key.family for key in families if key] == ["handbuilt", "broken", "broken"]


def test_a_refused_family_leaves_the_last_good_one_and_says_so(desk: Desk) -> None:
    desk.ask()
    desk.backend.refuses = lambda engine: engine.manifest.family == "broken"
    found = desk.ask(FITS, "broken")
    assert found.sessions is None
    assert found.key == FITS
    assert found.region is not None
    refused = desk.told("engine.refused")
    assert [event["rung"] for event in refused] == ["large", "medium", "small"]
    assert "damaged or altered" in refused[0]["reason"]


def test_a_refused_family_is_not_tried_for_ever(desk: Desk) -> None:
    desk.ask()
    desk.backend.refuses = lambda engine: engine.manifest.family == "broken"
    desk.ask(FITS, "broken")
    asked = desk.backend.asked
    for _ in range(20):
        assert desk.ask(FITS, "broken").sessions is None
    assert desk.backend.asked == asked


def test_after_a_change_of_size_a_refused_family_gets_its_chance_again(desk: Desk) -> None:
    desk.ask()
    desk.backend.refuses = lambda engine: engine.manifest.family == "broken"
    desk.ask(FITS, "broken")
    asked = desk.backend.asked
    desk.ask(FITS, "broken", region=Box(16, 24, 64, 48))
    assert desk.backend.asked > asked


def test_one_refused_size_costs_the_others_nothing(desk: Desk) -> None:
    desk.backend.refuses = lambda engine: engine.manifest.size == "large"
    found = desk.ask()
    assert found.sessions is not None
    assert set(found.sessions) == {"medium", "small", "classical"}


def test_a_family_that_nobody_made_leaves_classical_and_is_told(desk: Desk) -> None:
    found = desk.ask(family="nobodys")
    assert found.sessions is not None
    assert set(found.sessions) == {"classical"}
    assert desk.told("engine.none")[0]["family"] == "nobodys"


def test_only_the_rungs_of_the_configuration_are_opened(tmp_path: Path) -> None:
    desk = Desk(tmp_path, HANDBUILT + '\nrungs = ["small", "original"]')
    found = desk.ask()
    desk.end()
    assert found.sessions is not None
    assert set(found.sessions) == {"small"}


def test_a_frame_without_an_image_opens_nothing(desk: Desk) -> None:
    found = desk.ask(pixels=np.zeros((96, 128), np.uint8))
    assert found == Prepared(None)
    assert desk.backend.asked == 0


def test_an_engine_that_fails_its_trial_is_refused(desk: Desk) -> None:
    class Faulty(SlowSession):
        def start(self, grey: Any, strength: float) -> None:
            raise EngineFault("raised", "no")

    desk.backend.open = lambda engine, shape: Faulty(ManualClock(), shape, "faulty", 0)  # type: ignore[method-assign]
    found = desk.ask()
    assert found.sessions == {}
    assert found.costs_ns == {}


def test_its_thread_answers_what_is_in_its_inbox(desk: Desk) -> None:
    stop, answered = threading.Event(), threading.Event()
    found: list[Prepared] = []
    thread = threading.Thread(target=desk.survey.run, args=(stop,), name="survey")
    thread.start()
    look = Look(frame(1), "", None, lambda prepared: (found.append(prepared), answered.set())[0])
    desk.survey.inbox.put("s", look)
    assert answered.wait(20)
    stop.set()
    thread.join(20)
    assert found[0].key == FITS
    assert set(desk.backend.threads) == {"survey"}  # an engine's own threads inherit what opens it


def test_streams_beyond_what_is_remembered_do_not_pile_up(desk: Desk) -> None:
    for k in range(100):
        desk.ask(FITS, stream=f"s{k}")
    assert len(desk.survey._trackers) <= 32
