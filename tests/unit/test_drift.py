"""Drift: figures of a picture, what lies inside a profile, and how long it takes to be told."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.profiling import FIRST_HELD_OUT, WIDTHS, filmed, profile_of, with_site
from calibration.strangers import ALTERED, altered
from edge.catalog import Catalog, read_engine, shipped_folder
from edge.clock import SECOND
from edge.drift import EXTENT, FIGURES, IN_AFTER, OUT_AFTER, Profile, Statistics, Watch, distance, outside, statistics
from edge.profiles import PROFILE_FILE, Profiles, read_profile

JUDGED = [path.parent.name for path in sorted(shipped_folder().glob("*-clarity-*/manifest.toml"))]
HELD_OUT = 10  # scenes; `python -m calibration.profile --all --look` takes more
WHOLE = np.full((200, 240), 255, np.uint8)


def grain(seed: int = 1, spread: float = 12.0, level: float = 110.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(-40, 40, WHOLE.shape[1])[None, :]
    return np.clip(level + ramp + rng.normal(0, spread, WHOLE.shape), 0, 255).astype(np.uint8)


def figures(pixels: np.ndarray, full: int = 255) -> Statistics:
    found = statistics(pixels, WHOLE, full)
    assert found is not None
    return found


@functools.cache
def small_profile() -> Profile:
    """Of grain, some of it finer: 60 pictures."""
    rows = [figures(grain(n, 10 + n % 5, 100 + n % 20)) for n in range(60)]
    return profile_of("tiny", "ab" * 32, rows, "grain")


# ---------------------------------------------------------------- figures


def test_noise_is_measured_as_it_was_made() -> None:
    for spread in (4.0, 12.0):
        assert figures(grain(spread=spread))["rough_middle"] == pytest.approx(np.log10(spread / 255), abs=0.06)
    finer, coarser = figures(grain(spread=12.0)), figures(grain(spread=6.0))
    assert finer["noise"] - coarser["noise"] == pytest.approx(np.log10(2), abs=0.03)


def test_depth_does_not_change_the_figures() -> None:
    eight = grain()
    twelve = eight.astype(np.uint16) * 16
    one, other = figures(eight), figures(twelve, 255 * 16)
    assert {name: other[name] for name in one} == pytest.approx(one, abs=0.01)


def test_what_lies_outside_the_region_does_not_count() -> None:
    mask = WHOLE.copy()
    mask[:60] = 0
    pixels, other = grain(), grain()
    other[:56] = 255  # white letters on a menu, a little away from the image
    one, two = statistics(pixels, mask, 255), statistics(other, mask, 255)
    assert one is not None
    assert two is not None
    assert {name: two[name] for name in one} == pytest.approx(one, abs=0.02)


def test_a_region_of_a_few_pixels_tells_nothing() -> None:
    mask = np.zeros_like(WHOLE)
    mask[:20, :20] = 255
    assert statistics(grain(), mask, 255) is None


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["zeros", "white", "stripes", "salt", "half"]), st.integers(12, 16), st.integers(64, 700))
def test_strange_pictures_give_finite_figures(kind: str, bits: int, side: int) -> None:
    full = (1 << bits) - 1
    shape = (64, side)
    pixels = {
        "zeros": np.zeros(shape), "white": np.full(shape, full), "stripes": np.indices(shape)[1] % 2 * full,
        "salt": np.random.default_rng(1).integers(0, 2, shape) * full,
        "half": np.where(np.indices(shape)[0] < 32, 0, full),
    }[kind].astype(np.uint16)  # fmt: skip
    found = statistics(pixels, np.full(shape, 255, np.uint8), full)
    assert found is not None
    assert found.keys() == {*FIGURES, *EXTENT}
    assert all(np.isfinite(value) for value in found.values())


# ---------------------------------------------------------------- profiles


def test_more_of_the_same_is_inside_and_other_things_are_outside_by_their_names() -> None:
    profile = small_profile()
    assert outside(figures(grain(999, 12, 110)), profile) == []
    assert distance(figures(grain(999, 12, 110)), profile) < 1 < distance(figures(255 - grain(spread=30)), profile)
    assert "noise" in outside(figures(grain(spread=28)), profile)
    assert "histogram" in outside(figures(grain(level=200)), profile)
    assert outside(figures(np.zeros_like(WHOLE)), profile) != []
    tiny = statistics(grain()[:60, :60], WHOLE[:60, :60], 255)
    assert tiny is not None
    assert "region" in outside(tiny, profile)


def test_a_site_adds_its_own_pictures_and_takes_none_away() -> None:
    base = small_profile()
    own = [figures(grain(n, 13, 150)) for n in range(30)]
    assert outside(own[0], base) != []
    both = with_site(base, "cd" * 32, "tiny", own, "the site's recording")
    assert both.sha256 == "cd" * 32
    assert outside(figures(grain(77, 13, 150)), both) == []
    assert outside(figures(grain(999, 12, 110)), both) == []
    assert outside(figures(grain(spread=60, level=30)), both) != []


def test_a_profile_is_the_same_after_the_disk(tmp_path: object) -> None:
    profile = small_profile()
    assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree["clouds"].clear(),
        lambda tree: tree["clouds"][0]["centre"].pop(),
        lambda tree: tree["clouds"][0]["precision"][3].pop(),
        lambda tree: tree["clouds"][0]["spread"].__setitem__(0, 0.0),
        lambda tree: tree["figures"].__setitem__(0, "beauty"),
        lambda tree: tree["extent"].__setitem__("depth", [0, 1]),
        lambda tree: tree.__setitem__("note", "more"),
    ],
)
def test_a_profile_that_is_not_whole_is_refused(spoil: Callable[[dict], None]) -> None:
    tree = msgspec.json.decode(msgspec.json.encode(small_profile()))
    spoil(tree)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(tree, Profile)


# ---------------------------------------------------------------- the shipped ones


@pytest.mark.parametrize("name", JUDGED)
def test_every_judged_engine_of_the_live_path_has_a_profile_of_its_very_model(name: str) -> None:
    engine = read_engine(shipped_folder() / name)
    profile = read_profile(engine)
    assert profile is not None
    assert profile.clouds[0].frames >= 200
    catalog = Catalog([shipped_folder()])
    if name not in catalog.engines:  # refused: nobody will ask
        assert Profiles(catalog).of(engine.manifest.sha256) is None
        return
    assert Profiles(catalog).of(engine.manifest.sha256) == profile
    assert Profiles(catalog).of(engine.manifest.fp32_sha256) == profile, "the float twin was judged beside it"


def test_no_profile_is_taken_for_another_model(tmp_path: object) -> None:
    catalog = Catalog([shipped_folder()])
    assert Profiles(catalog).of("") is None
    assert Profiles(catalog).of("00" * 32) is None
    engine = read_engine(shipped_folder() / JUDGED[0])
    other = msgspec.structs.replace(engine.manifest, sha256="00" * 32)
    assert (engine.folder / PROFILE_FILE).is_file()
    assert read_profile(type(engine)(other, engine.folder)) is None


@pytest.mark.parametrize("modality", ["ultrasound", "fluoroscopy"])
def test_held_out_phantoms_are_inside_and_strangers_outside(modality: str) -> None:
    """Few, for CI; how often, over many: docs/observability.md."""
    profile = read_profile(read_engine(shipped_folder() / f"{modality}-clarity-medium"))
    other = read_profile(
        read_engine(shipped_folder() / f"{'fluoroscopy' if modality == 'ultrasound' else 'ultrasound'}-clarity-medium")
    )
    assert profile is not None
    assert other is not None
    pictures = [filmed(modality, FIRST_HELD_OUT + n, WIDTHS[n % 2], 7 * n) for n in range(HELD_OUT)]

    def strange(rows: list[Statistics | None], by: Profile) -> int:
        return sum(bool(outside(row, by)) for row in rows if row is not None)

    plain = [statistics(*picture) for picture in pictures]
    assert strange(plain, profile) <= 2
    assert strange(plain, other) == HELD_OUT
    for name in ("blurred by 2 pixels", "black"):
        assert strange([altered(picture, ALTERED[name]) for picture in pictures], profile) == HELD_OUT, name
    if modality == "ultrasound":  # in fluoroscopy so much noise was judged
        noisy = [altered(picture, ALTERED["white noise doubled"]) for picture in pictures]
        assert strange(noisy, profile) >= HELD_OUT * 7 // 10
    inverted = strange([altered(picture, ALTERED["inverted"]) for picture in pictures], profile)
    assert inverted >= HELD_OUT * 7 // 10


# ---------------------------------------------------------------- over time


def test_it_is_told_after_a_while_and_taken_back_after_a_longer_one() -> None:
    watch, told = Watch(), list[tuple[int, bool]]()
    for second in range(60):
        if watch.observe(second * SECOND, odd=10 <= second < 30):
            told.append((second, watch.outside))
    assert told == [(10 + OUT_AFTER // SECOND, True), (30 + IN_AFTER // SECOND, False)]


@given(st.lists(st.booleans(), max_size=200))
def test_it_never_flickers(odd: list[bool]) -> None:
    """Between two changes of what is told lies at least the shorter patience."""
    watch = Watch()
    changes = [n for n, one in enumerate(odd) if watch.observe(n * SECOND, odd=one)]
    assert all(later - earlier > OUT_AFTER // SECOND for earlier, later in itertools.pairwise(changes))


def test_one_odd_frame_in_many_is_nothing() -> None:
    watch = Watch()
    assert not any(watch.observe(n * SECOND, odd=n % 3 == 0) for n in range(100))
