"""Every scene at every size: nothing is cut, nothing lies on anything else, and the words are right. On SDL's dummy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest

from edge.errors import ConfigError, ScreenUnavailable
from edge.frame import Box, EngineId, Why
from edge.panel import badge, words
from edge.panel.face import Face
from edge.panel.keys import Do, Finger, Key, of_key
from edge.panel.layout import Layout
from edge.panel.notes import Mood
from edge.panel.run import open_glass
from edge.panel.screen import Screen
from edge.panel.state import View
from tests.unit.panel.scenes import NAME, SCENES, SIZES, Bedside, report, shot

pygame = pytest.importorskip("pygame", reason="the panel's extra is not installed")
from edge.panel.glass import GROUNDS, Glass  # noqa: E402

ALL_SIZES = [*SIZES, (1024, 768), (480, 800), (640, 400), (3840, 2160)]


@pytest.fixture(autouse=True)
def dummy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def glass() -> Iterator[Glass]:
    made = Glass(Screen(fullscreen=False, vsync=False))
    yield made
    made.close()


def face_of(scene: str, size: tuple[int, int], glass: Glass, *, buttons: bool = True) -> Face:
    bed = Bedside()
    SCENES[scene](bed)
    return bed.face(Layout(*size, buttons), glass.measure)


def apart(one: Box, other: Box) -> bool:
    return (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )


@pytest.mark.parametrize("size", ALL_SIZES, ids=str)
@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_cut_and_nothing_lies_on_anything_else(scene: str, size: tuple[int, int], glass: Glass) -> None:
    face = face_of(scene, size, glass)
    for box in face.boxes:
        assert box.inside(*size), box
        assert box.x >= 0, box
        assert box.y >= 0, box
    for one, other in combinations(face.boxes, 2):
        assert apart(one, other), (one, other)
    for text in [*face.plates, *face.buttons]:
        for line in text.lines:
            assert glass.measure(line, text.letters)[0] <= text.box.width, line


@pytest.mark.parametrize("size", ALL_SIZES, ids=str)
def test_buttons_are_large_enough_for_gloves(size: tuple[int, int], glass: Glass) -> None:
    for button in face_of("light_page", size, glass).buttons:
        assert button.box.width >= 68
        assert button.box.height >= 57


@pytest.mark.parametrize("scene", SCENES)
def test_what_matters_most_never_moves(scene: str, glass: Glass) -> None:
    buttons = {button.do: button.box for button in face_of(scene, (800, 480), glass).buttons}
    others = {button.do: button.box for button in face_of("live", (800, 480), glass).buttons}
    for do in (Do.ORIGINAL, Do.FREEZE, Do.STILL, Do.BACK, Do.CLIP, Do.LIGHT):
        assert buttons[do] == others[do]


SAID = {
    "live": [f"ENHANCED  {NAME}  CPU  80 %", "20 ms old", "Outbox 0"],
    "original": ["ORIGINAL  chosen here"],
    "original_by_daemon": ["ORIGINAL  enhancement changed too much", "Outbox 2"],
    "warm": [f"ENHANCED  {NAME}  CPU  80 %", "Device is warm: enhancement held back"],
    "too_hot": ["ORIGINAL  device is too hot"],
    "outside": [f"ENHANCED  {NAME}  CPU  80 %", "OUTSIDE what this engine was judged on"],
    "split": ["ORIGINAL", f"ENHANCED  {NAME}  CPU  80 %"],
    "changes": ["CHANGES: orange brighter, blue darker"],
    "not_live": ["NOT LIVE", "No frames from the scanner", "420 ms old"],
    "no_answer": ["NOT LIVE", "No connection to the appliance", "7.0 s old", "Outbox 4"],
    "waiting": ["WAITING", "No picture yet from the scanner"],
    "waiting_alone": ["WAITING", "No connection to the appliance"],
    "frozen": ["FROZEN", "Outbox 1"],
    "scrolled_back": ["FROZEN  0.8 s back", "820 ms old"],
    "frozen_alone": ["FROZEN", "Frozen on this display only: the appliance did not confirm this picture"],
    "recording": ["REC 0:02"],
    "stored": ["Outbox 3, 1 held"],
    "refused": ["Outbox 12, 2 refused by archive, 1 damaged, waiting 31 h, DISK FULL: no captures"],
    "light_page": ["Window 2771  level 1812", "Stored here 5"],
    "everything_at_once": ["ORIGINAL", "FROZEN  0.1 s back", "No connection to the appliance"],
}


@pytest.mark.parametrize("scene", SCENES)
def test_each_scene_says_what_it_is(scene: str, glass: Glass) -> None:
    plates = [" ".join(plate.lines) for plate in face_of(scene, (1280, 800), glass).plates]
    assert set(SAID[scene]) <= set(plates), plates
    live = {
        "live",
        "original",
        "split",
        "changes",
        "original_by_daemon",
        "warm",
        "too_hot",
        "outside",
        "recording",
        "stored",
        "refused",
        "light_page",
    }
    assert any("NOT LIVE" in text or "WAITING" in text or "FROZEN" in text for text in plates) is (scene not in live)


def test_a_long_engine_name_gives_way_but_never_the_treatment_or_the_strength(glass: Glass) -> None:
    texts = [plate.lines[0] for plate in face_of("everything_at_once", (800, 480), glass).plates]
    (told,) = [text for text in texts if text.startswith("ENHANCED")]
    assert told.endswith("CPU  80 %")
    assert "..." in told


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("openvino_cpu", "  CPU"),
        ("classical", "  CPU"),
        ("tensorrt_int8", "  GPU"),
        ("npu", "  npu"),
        ("", ""),
    ],
)
def test_the_badge_says_which_backend_runs(backend: str, said: str) -> None:
    shown = report(1, 0, engine=EngineId("e", "ab" * 32, backend, "int8"))
    assert badge.treatment(shown, View()).text == f"ENHANCED  e{said}  80 %"


def test_every_reason_has_words_and_none_says_enhanced() -> None:
    assert set(words.WHY) == set(Why)
    assert not any("ENHANCED" in text for text in words.WHY.values())


def luminance(colour: tuple[int, int, int]) -> float:
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mood", Mood)
def test_letters_stand_out_from_their_ground_as_wcag_asks(mood: Mood) -> None:
    dark, bright = sorted(luminance(colour) for colour in GROUNDS[mood])
    assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_not_live_is_large_and_red_across_the_middle() -> None:
    seen = shot("not_live", (800, 480)).astype(int)
    middle = seen[160:320, 160:480]
    red = (middle[:, :, 2] > 150) & (middle[:, :, 1] < 60) & (middle[:, :, 0] < 60)
    assert red.mean() > 0.1
    still = shot("live", (800, 480)).astype(int)[160:320, 160:480]
    assert not ((still[:, :, 2] > 150) & (still[:, :, 1] < 60)).any()


def test_keys_and_fingers_come_as_sdl_has_them(glass: Glass) -> None:
    pygame.event.post(pygame.Event(pygame.KEYDOWN, key=pygame.K_SPACE, mod=0))
    pygame.event.post(pygame.Event(pygame.KEYDOWN, key=pygame.K_q, mod=pygame.KMOD_LCTRL))
    pygame.event.post(pygame.Event(pygame.MOUSEBUTTONDOWN, pos=(700, 20), button=1, touch=True))
    pygame.event.post(pygame.Event(pygame.MOUSEMOTION, pos=(704, 25), rel=(4, 5), buttons=(1, 0, 0), touch=True))
    pygame.event.post(pygame.Event(pygame.MOUSEMOTION, pos=(9, 9), rel=(4, 5), buttons=(0, 0, 0), touch=False))
    pygame.event.post(pygame.Event(pygame.MOUSEBUTTONUP, pos=(704, 25), button=1, touch=True))
    pygame.event.post(pygame.Event(pygame.QUIT))
    heard = list(glass.events())
    assert [of_key(one).do for one in heard if isinstance(one, Key)] == [Do.FREEZE, Do.QUIT, Do.QUIT]  # type: ignore[union-attr]
    fingers = [one for one in heard if isinstance(one, Finger)]
    assert fingers == [Finger(700, 20, "down"), Finger(704, 25, "move"), Finger(704, 25, "up")]


def test_every_key_is_one_that_sdl_knows(glass: Glass) -> None:
    from edge.panel.keys import KEYS

    for name in KEYS:
        assert pygame.key.key_code(name), name


def test_a_screen_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScreenUnavailable, match="there is no screen 3: 1 found"):
        Glass(Screen(index=3, vsync=False))


def test_a_screen_too_small_for_gloves_and_letters_is_refused() -> None:
    with pytest.raises(ConfigError, match="400x300 is too small"):
        open_glass(Screen(fullscreen=False, size=(400, 300), vsync=False))


@pytest.mark.parametrize("size", ALL_SIZES, ids=str)
def test_a_picture_unlike_those_that_were_judged_is_said_to_be_so(size: tuple[int, int], glass: Glass) -> None:
    said = [plate for plate in face_of("outside", size, glass).plates if plate.lines[0].startswith(words.OUTSIDE)]
    assert [plate.mood for plate in said] == [Mood.CAUTION]
    if size[0] >= 800:
        assert said[0].lines == (f"{words.OUTSIDE} {words.OF_WHAT}",)
    assert not any(plate.lines[0].startswith(words.OUTSIDE) for plate in face_of("live", size, glass).plates)


def test_who_looks_at_the_original_is_not_told_about_the_engine(glass: Glass) -> None:
    bed = Bedside()
    SCENES["outside"](bed)
    bed.do(Do.ORIGINAL)
    face = bed.face(Layout(1280, 800, True), glass.measure)
    assert not any(plate.lines[0].startswith(words.OUTSIDE) for plate in face.plates)
