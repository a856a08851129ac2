"""The judge from end to end on a hand-built engine, with as little as it can be run on; and its small parts."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from calibration import judge as command
from calibration.judging import enlarging, examination, general, grid, lasting, lesions, passing, timing, trial
from calibration.judging.clips import Clip, Field, boxed, film, halved
from calibration.judging.contestants import KINDS, Contestant, EngineTreatment, Kind, kind_of, of_peers, unprocessed
from calibration.judging.figures import Judged
from calibration.judging.gates import GATES, TARGETS
from calibration.judging.plan import FULL, HELD_OUT, QUICK
from calibration.judging.progress import told
from calibration.judging.strata import strata_of
from calibration.peers import PEERS
from calibration.treatment import Treatment
from edge.backends.openvino_cpu import OpenVinoCpu
from edge.catalog import read_engine, shipped_folder
from edge.errors import ConfigError
from edge.frame import Frame, Pixels
from edge.phantom import FluoroscopyScene, UltrasoundPhantom, UltrasoundScene
from edge.region import Region
from tests.unit.calibration.judged_engines import faultless

SMALL = shipped_folder() / "handbuilt-small"
pytestmark = pytest.mark.timeout(240)

TINY = dataclasses.replace(
    QUICK,
    general_scenes=2,
    warm_up=1,
    pairs=13,
    contrast_scenes=1,
    free_frames=2,
    calibration_frames=2,
    template_pairs=4,
    grid_scenes=1,
    drift_frames=12,
    drift_tail=4,
    enlarging_scenes=1,
    timing_rounds=2,
    width=192,
    peers=("median", "bicubic"),
    resamples=20,
)


@pytest.fixture(scope="module")
def judged() -> Judged:
    return trial.judge([SMALL], TINY, lambda _kind, _words: None)[0]


def test_an_engine_is_judged_from_end_to_end(judged: Judged) -> None:
    assert judged.engine == "handbuilt-small"
    assert judged.kind == "ultrasound"
    assert judged.sha256 == read_engine(SMALL).manifest.sha256
    assert judged.quick
    psnr = judged.measures["psnr_db"]
    assert psnr.input is not None
    assert psnr.engine > psnr.input  # grain becomes less
    assert list(psnr.peers) == ["median"]
    low, middle, high = judged.recovery
    assert 0.4 < low <= middle <= high < 1.2
    assert {row.radius_mm for row in judged.detections} == set(lesions.sizes_mm("ultrasound"))
    assert all(row.d_prime.engine > 0 for row in judged.detections)
    assert judged.invented.frames == 2
    assert abs(judged.drift_db) < 1.0
    assert judged.ms("handbuilt-small") > 0
    assert judged.worst_stratum in judged.strata or not judged.strata


def test_a_quick_run_shows_peers_only_what_they_are_compared_in(judged: Judged) -> None:
    for measure in ("psnr_db", "gcnr", "cho"):
        assert list(judged.measures[measure].peers) == ["median"]
    for measure in ("ghost_percent", "passing_kept", "grid_percent"):
        assert judged.measures[measure].engine >= 0.0
        assert not judged.measures[measure].peers


def test_a_full_run_shows_some_peers_what_passes() -> None:
    plan = dataclasses.replace(TINY, quick=False, passing_scenes=2, passing_peers=1)
    field = examination.take_part("ultrasound", [read_engine(SMALL)], plan, 1)
    passed = passing.examine(field, "ultrasound", plan)
    assert set(passed) == {"input", "handbuilt-small", "median"}
    assert passed["median"].added_stderr == math.inf  # of one scene, nothing is known
    assert 0.0 < passed["handbuilt-small"].added_stderr < math.inf
    assert passed["input"].added_percent == 0.0


def test_a_part_that_ends_without_figures_ends_the_run() -> None:
    """The worker knows no super-resolution, and breaks."""
    kinds = examination.by_kind([SMALL])
    with pytest.raises(trial.TrialBroke, match="judging superres ended with code 1"):
        trial._side_by_side([trial.Job("superres", "pictures")], kinds, TINY, 1, lambda _kind, _words: None)


def test_engines_come_back_in_the_order_in_which_they_were_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their figures are written into folders in that order."""
    monkeypatch.setattr(trial, "_side_by_side", lambda jobs, *_: dict.fromkeys(jobs))
    monkeypatch.setattr(trial, "_in_turn", lambda jobs, *_: dict.fromkeys(jobs))
    monkeypatch.setattr(
        trial.examination,
        "conclude",
        lambda kind, engines, *_: [
            msgspec.structs.replace(faultless(kind), engine=each.manifest.name) for each in engines
        ],
    )
    monkeypatch.setattr(trial.examination, "add_times", lambda *_: None)
    names = ["ultrasound-clarity-large", "fluoroscopy-clarity-large", "ultrasound-clarity-small"]
    judged = trial.judge([shipped_folder() / name for name in names], TINY, lambda _kind, _words: None)
    assert [one.engine for one in judged] == names


def test_what_is_outside_the_picture_and_what_has_colour_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    field = examination.take_part("ultrasound", [read_engine(SMALL)], TINY, 1)
    who = next(each for each in field.contestants if each.role == "engine")
    assert lasting.outside_unchanged(field, who, "ultrasound")
    screens: list[Pixels] = []
    whole = lasting.composed

    def careless(frame: Frame, found: Region, enhanced: Pixels) -> Pixels:
        screens.append(frame.pixels)
        shown = whole(frame, found, enhanced)
        if frame.pixels.ndim == 3:
            coloured = np.ptp(frame.pixels.astype(int), axis=2) > 100
            assert coloured[found.box.slices][found.mask > 0].sum() > 1000, "it lies within the picture"
            shown[coloured] += 1
        return shown

    monkeypatch.setattr(lasting, "composed", careless)
    assert not lasting.outside_unchanged(field, who, "ultrasound")
    assert [screen.ndim for screen in screens] == [2, 3]


class Combed:
    """Darkens the first column of every block that it is given, where a picture is bright."""

    name = "combed"

    def forget(self) -> None: ...

    def __call__(self, pixels: Pixels) -> Pixels:
        first = np.arange(pixels.shape[1]) % 4 == 0
        return np.where(first & (pixels > 150), pixels - 20, pixels).astype(pixels.dtype)


@pytest.mark.parametrize("kind", ["ultrasound", "fluoroscopy"])
def test_a_grid_along_what_is_bright_is_told(kind: Kind) -> None:
    field = Field([unprocessed(kind), Contestant("combed", "engine", lambda _bits: Combed())])
    found = grid.examine(field, kind, TINY)
    assert found["input"] == 0
    assert found["combed"] > (4 if kind == "ultrasound" else 0.3), "20 levels: of 255, of 4095"


def test_a_treatment_is_timed_in_turns_whose_first_frames_do_not_count() -> None:
    given: list[int] = []

    def slow(_pixels: Pixels) -> Pixels:
        given.append(1)
        return _pixels

    treatment = cast("Treatment", slow)
    pictures = [np.zeros((4, 4), np.uint8)]
    assert len(timing.turn(treatment, pictures)) == timing.TURN
    assert len(given) == timing.TURN + timing.COLD
    assert len(timing.turn(treatment, pictures, cold=0, most_ms=0.0)) == 1, "one at least"


def test_what_must_hold_exactly_holds_and_what_has_no_twin_is_not_vouched_for(judged: Judged) -> None:
    assert judged.gates["strength_nought_exact"]
    assert judged.gates["outside_unchanged"]
    assert not judged.gates["int8_psnr"]
    assert set(judged.gates) == {rule.name for rule in GATES if "ultrasound" in rule.kinds}
    assert set(judged.targets) == {rule.name for rule in TARGETS if "ultrasound" in rule.kinds}
    assert any("quick run" in note for note in judged.notes)


def test_json_is_one_object_without_numbers_that_json_has_not(judged: Judged) -> None:
    text = command.in_json([judged], True, timing.machine(2))
    told = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    assert set(told) == {"judge", "quick", "machine", "engines"}
    assert told["engines"]["handbuilt-small"]["int8_minus_fp32_db"] is None


def test_engines_that_are_not_there_are_the_operators_mistake() -> None:
    with pytest.raises(ConfigError, match="name one"):
        command._folders([], every=False)
    with pytest.raises(SystemExit) as ended:
        command.main(["no-such-engine"])
    assert ended.value.code == command.ERROR


# ------------------------------------------------ small parts


def test_an_engine_judged_is_the_engine_as_the_daemon_runs_it() -> None:
    engine = read_engine(SMALL)
    treatment = EngineTreatment(engine, 8, OpenVinoCpu(1))
    clip = film(UltrasoundScene.of("linear", width=96, height=80), range(3), (2,))
    first = [treatment(picture) for picture in clip.pictures]
    treatment.forget()
    again = [treatment(picture) for picture in clip.pictures]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[0], clip.pictures[0])
    assert np.array_equal(treatment.at(0.0)(clip.pictures[0]), clip.pictures[0])
    treatment.forget()
    assert np.array_equal(treatment(clip.pictures[0]), first[0])


def test_strata_are_named_by_what_a_reader_knows() -> None:
    ultrasound = UltrasoundScene.of("curved", depth_mm=130.0, gain_db=-4.0, noise_db=-60.0)
    assert strata_of(ultrasound) == ("probe: curved", "depth: over 120 mm", "gain: low", "noise: high")
    fluoroscopy = FluoroscopyScene.of("hip", dose=0.25, bits=10)
    assert strata_of(fluoroscopy) == ("dose: a quarter to a half", "view: hip", "depth of samples: 10 bits")


def test_the_worst_stratum_is_where_least_is_gained_not_where_the_picture_is_worst() -> None:
    groups = {
        "noisy": general.Stratum(3, psnr_db=20.0, psnr_input_db=12.0, ssim=0.5, edges=0.5),
        "calm": general.Stratum(3, psnr_db=30.0, psnr_input_db=29.0, ssim=0.9, edges=0.9),
    }
    assert general.worst(groups) == "calm"
    assert general.worst({}) == ""


def test_strata_of_one_scene_alone_are_left_out() -> None:
    rows = [
        general.Row(who, scene, ("all", f"only {scene}"), 20.0 + scene + gain, 0.5, 0.5, 0.0)
        for who, gain in (("input", 0.0), ("engine", 2.0))
        for scene in range(2)
    ]
    found = general.strata(rows, "engine")
    assert set(found) == {"all"}
    assert found["all"].gain_db == pytest.approx(2.0)


@pytest.mark.parametrize(
    "condition",
    [
        lesions.Condition("ultrasound", True),
        lesions.Condition("ultrasound", False),
        lesions.Condition("fluoroscopy", True, 0.25),
    ],
)
def test_pairs_differ_in_their_lesions_alone_and_each_is_found_where_it_lies(condition: lesions.Condition) -> None:
    pair = lesions.pair(condition, 3, 2)
    signal = np.abs(pair.present.truths[0] - pair.absent.truths[0])
    assert len(pair.lesions) == 12
    assert pair.seed >= HELD_OUT
    for placed in pair.lesions:
        square = lesions.crop(signal, placed)
        if square is not None:
            middle = square[lesions.HALF - 2 : lesions.HALF + 3, lesions.HALF - 2 : lesions.HALF + 3]
            assert middle.max() > 0.5 * square.max()
    outside = signal.copy()
    for placed in pair.lesions:
        rows = slice(max(0, placed.row - lesions.HALF), placed.row + lesions.HALF + 1)
        outside[rows, max(0, placed.column - lesions.HALF) : placed.column + lesions.HALF + 1] = 0
    assert outside.max() < 0.1 * signal.max()


def test_lesions_change_places_from_seed_to_seed() -> None:
    condition = lesions.Condition("ultrasound", False)
    places = [{(p.size, p.variant): (p.row, p.column) for p in lesions.pair(condition, n, 0).lesions} for n in (0, 1)]
    assert len(places[0]) == len(places[1]) == 12
    assert sum(np.hypot(*np.subtract(places[0][at], places[1][at])) > 40 for at in places[0]) == 12


class Trailing:
    """A treatment with a fault that is known: so much of the picture before is mixed in."""

    name = "trailing"

    def __init__(self, kept: float) -> None:
        self._kept, self._last = kept, None

    def forget(self) -> None:
        self._last = None

    def __call__(self, pixels: Pixels) -> Pixels:
        last, self._last = self._last, pixels
        if last is None:
            return pixels
        return np.rint((1 - self._kept) * pixels + self._kept * last.astype(np.float32)).astype(pixels.dtype)


def against_input(kept: float) -> Field:
    return Field([unprocessed("fluoroscopy"), Contestant("trailing", "engine", lambda _bits: Trailing(kept))])


def test_a_tenth_of_the_frame_before_is_a_ghost_of_a_tenth() -> None:
    found = passing.examine(against_input(0.1), "fluoroscopy", TINY)
    assert found["trailing"].ghost_percent == pytest.approx(10.0, abs=1.5)
    assert found["input"].ghost_percent < 0.5
    assert found["input"].width_ratio == 1.0
    assert found["trailing"].added_percent == pytest.approx(10.0, abs=1.5)
    assert found["input"].added_percent == 0.0
    assert found["trailing"].kept == pytest.approx(0.9, abs=0.015), "what was not there a moment ago is missing"
    assert found["input"].kept == 1.0


def test_what_is_in_the_picture_itself_is_no_ghost_but_only_at_its_own_age() -> None:
    given = [[0.2, 3.0, 1.0], [0.4, 3.0, 1.0]]
    same_age, other_age = [[0.3, 4.0, 1.0], [0.5, 4.2, 1.0]], [[3.2, 3.0, 1.0], [3.0, 3.0, 1.0]]
    assert passing._most_added(same_age, given) == (pytest.approx(1.1), pytest.approx(0.1))
    assert passing._most_added(other_age, given) == (pytest.approx(2.8), pytest.approx(0.2))
    assert passing._most_added([[-2.8, 3.0, 1.0], [-2.6, 3.0, 1.0]], given)[0] == pytest.approx(3.0)
    assert passing._most_added([[0.3, 3.0, 1.0]], given)[1] == math.inf, "of one scene nothing is known"


class Blind(Trailing):
    """Whatever it is shown, the picture is grey."""

    def __call__(self, pixels: Pixels) -> Pixels:
        return np.full_like(pixels, 1000)


def test_artefacts_are_counted_against_all_of_them() -> None:
    field = against_input(0.0)
    field.contestants.append(Contestant("blind", "engine", lambda _bits: Blind(0.0)))
    found = passing.artefacts(field, "fluoroscopy", TINY)
    for left in found.values():
        assert left["input"] == left["trailing"] == pytest.approx(100.0)
        assert left["blind"] == 0.0


class Fading(Trailing):
    """Every frame a little darker than the one before, for ever."""

    def __call__(self, pixels: Pixels) -> Pixels:
        self._kept *= 0.99
        return (pixels * self._kept).astype(pixels.dtype)


def test_a_treatment_that_gets_worse_drifts() -> None:
    fading = Field([unprocessed("fluoroscopy"), Contestant("fading", "engine", lambda _bits: Fading(1.0))])
    plan = dataclasses.replace(TINY, drift_frames=24)
    assert lasting.drift(fading, "fluoroscopy", plan)["fading"] < -1.0
    assert lasting.drift(against_input(0.0), "fluoroscopy", plan)["trailing"] == pytest.approx(0.0, abs=1e-9)


def test_strength_nought_is_not_believed_but_looked_at() -> None:
    assert lasting.strength_nought(Trailing(0.0), "fluoroscopy")
    assert not lasting.strength_nought(Trailing(0.2), "fluoroscopy")


def test_super_resolution_is_given_half_the_sides_and_held_against_all_of_it() -> None:
    field = Field([unprocessed("superres"), *of_peers("superres")], enlarges=True)
    rows = general.examine(field, "superres", dataclasses.replace(TINY, enlarging_scenes=2))
    means = general.means(rows, "psnr_db")
    assert means["lanczos"] > means["input"]
    swings = enlarging.overshoots_percent(field, 2)
    assert swings["input"] < 1.0 < swings["bicubic"]
    grainy = enlarging.likeness_of_grainy(field, dataclasses.replace(TINY, enlarging_scenes=2))
    assert grainy["input"] < grainy["lanczos"] < means["lanczos"]  # the finest grain is lost for good


def test_pictures_are_black_outside_the_region_and_even_of_side() -> None:
    exposure = UltrasoundPhantom(UltrasoundScene.of("curved", width=161, height=121)).frame(0)
    picture = boxed(exposure, exposure.pixels)
    assert all(side % 2 == 0 for side in picture.shape)
    rows, columns = picture.shape
    assert not picture[exposure.mask[exposure.region.slices][:rows, :columns] == 0].any()
    assert halved(picture).shape == (rows // 2, columns // 2)


def test_peers_without_memory_are_spared_the_warm_up() -> None:
    given: list[int] = []

    class Counting(Trailing):
        def __call__(self, pixels: Pixels) -> Pixels:
            given.append(1)
            return pixels

    clip = Clip([np.zeros((8, 8), np.uint8)] * 5, [], np.ones((8, 8), bool), (3, 4), 8, (1.0, 1.0), (0, 0))
    for remembers, calls in ((True, 5), (False, 2)):
        given.clear()
        list(Field([Contestant("c", "peer", lambda _bits: Counting(0), remembers)]).show(clip))
        assert len(given) == calls


def test_a_peer_that_can_take_the_past_in_computes_the_measured_moments_alone() -> None:
    """What it shows then is the same: see the peers' own tests."""
    seen: list[str] = []

    class Cheap(Trailing):
        def remember(self, pixels: Pixels) -> None:
            seen.append("taken in")

        def __call__(self, pixels: Pixels) -> Pixels:
            seen.append("computed")
            return pixels

    clip = Clip([np.zeros((8, 8), np.uint8)] * 5, [], np.ones((8, 8), bool), (3, 4), 8, (1.0, 1.0), (0, 0))
    list(Field([Contestant("c", "peer", lambda _bits: Cheap(0))]).show(clip))
    assert seen == ["taken in"] * 3 + ["computed"] * 2


def test_every_peer_takes_part_in_a_full_run_and_one_of_each_kind_in_a_quick_one() -> None:
    for kind in KINDS:
        assert [who.name for who in of_peers(kind, FULL.peers)] == list(PEERS[kind])
        assert len(of_peers(kind, QUICK.peers)) == 1


def test_kinds_are_told_by_the_manifest(tmp_path: Path) -> None:
    assert kind_of(read_engine(SMALL)) == "ultrasound"
    assert list(examination.by_kind([SMALL])) == ["ultrasound"]
    text = (SMALL / "manifest.toml").read_text()
    (tmp_path / "manifest.toml").write_text(text.replace("multiple = 4", "multiple = 4\nscale = 2"))
    assert kind_of(read_engine(tmp_path)) == "superres"
    (tmp_path / "manifest.toml").write_text(text.replace('["ultrasound", "fluoroscopy", "unknown"]', '["fluoroscopy"]'))
    assert kind_of(read_engine(tmp_path)) == "fluoroscopy"


def test_a_long_part_says_from_time_to_time_how_far_it_has_come() -> None:
    said: list[str] = []
    clock = itertools.count(0.0, 4.0)
    assert list(told("abcdefgh", 8, said.append, lambda: next(clock))) == list("abcdefgh")
    assert said == ["3 of 8", "7 of 8"]
