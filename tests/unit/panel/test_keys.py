"""Fingers on the glass."""

from __future__ import annotations

import pytest

from edge.frame import Box
from edge.panel.keys import ALWAYS, KEYS, WHEN_LIVE, Do, Finger, Ground, Intent, Key, Touch, buttons, of_key
from edge.panel.layout import COLUMNS, ROWS, Layout

LAYOUT = Layout(800, 480)
PICTURE = Box(0, 0, 640, 480)


def ground(**more: object) -> Ground:
    facts: dict[str, object] = {"layout": LAYOUT, "picture": PICTURE, "buttons": ALWAYS + WHEN_LIVE, **more}
    return Ground(**facts)  # type: ignore[arg-type]


def drag(under: Ground, *at: tuple[int, int]) -> list[Intent]:
    touch = Touch()
    phases = ["down", *["move"] * (len(at) - 1)]
    done = [one for (x, y), phase in zip(at, phases, strict=True) for one in touch.intents(Finger(x, y, phase), under)]
    return [*done, *touch.intents(Finger(*at[-1], "up"), under)]


@pytest.mark.parametrize(("slot", "do"), list(enumerate(ALWAYS + WHEN_LIVE)))
def test_a_button_does_what_is_on_it_once_however_long_it_is_held(slot: int, do: Do) -> None:
    box = LAYOUT.slots[slot]
    middle = (box.x + box.width // 2, box.y + box.height // 2)
    assert drag(ground(), middle, (middle[0] + 3, middle[1]), middle) == [Intent(do)]


def test_an_empty_slot_does_nothing() -> None:
    box = LAYOUT.slots[-1]
    assert drag(ground(), (box.x + 5, box.y + 5)) == []


def test_the_divider_follows_a_finger_that_took_hold_of_it() -> None:
    done = drag(ground(divider=0.5), (330, 200), (200, 210), (-20, 200))
    assert [one.do for one in done] == [Do.DIVIDE] * 3
    assert [one.value for one in done] == [330 / 640, 200 / 640, 0.0]


def test_a_finger_elsewhere_on_the_picture_moves_nothing() -> None:
    assert drag(ground(divider=0.5), (100, 200), (320, 200)) == [Intent(Do.DISMISS)]
    assert drag(ground(), (320, 200), (400, 100)) == [Intent(Do.DISMISS)]


def test_frozen_the_foot_of_the_picture_scrolls() -> None:
    done = drag(ground(scrolls=True), (320, 470), (640, 470))
    assert done == [Intent(Do.SCROLL, 0.5), Intent(Do.SCROLL, 1.0)]


def test_on_the_page_of_brightness_a_drag_up_brightens_and_to_the_right_sharpens() -> None:
    done = drag(ground(light=True), (300, 300), (348, 252))
    assert done == [Intent(Do.LIGHTEN, 2.0), Intent(Do.SHARPEN, 2.0)]


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("light", [True, False])
def test_there_is_a_slot_for_every_button_and_each_is_there_once(frozen: bool, light: bool) -> None:
    shown = buttons(frozen=frozen, light=light)
    assert len(shown) == len(set(shown)) <= COLUMNS * ROWS
    assert shown[: len(ALWAYS)] == ALWAYS


def test_whatever_a_button_does_a_key_does_as_well() -> None:
    every = {do for frozen in (True, False) for light in (True, False) for do in buttons(frozen=frozen, light=light)}
    assert every <= set(KEYS.values())


def test_keys_that_mean_nothing_mean_nothing() -> None:
    assert of_key(Key("f7")) is None
    assert of_key(Key("c", control=True)) is None
    assert of_key(Key("q")) is None, "an end needs two keys"
    assert of_key(Key("q", control=True)) == Intent(Do.QUIT)


@pytest.mark.parametrize("size", [(800, 480), (480, 800), (1920, 1080)])
def test_without_buttons_the_picture_has_the_whole_screen(size: tuple[int, int]) -> None:
    layout = Layout(*size, buttons=False)
    assert layout.area == Box(0, 0, *size)
    assert layout.slots == ()
