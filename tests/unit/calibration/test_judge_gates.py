"""Every gate and every target: met by a faultless engine, missed as soon as its one figure is spoilt."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from calibration.judging import gates
from calibration.judging.figures import Comparison, Found, Judged, RealFrames, Recovered, Time
from tests.unit.calibration.judged_engines import ENGINE, PEER, faultless

Spoil = Callable[[Judged], None]


def measure(name: str, **changes: object) -> Spoil:
    def spoil(judged: Judged) -> None:
        judged.measures[name] = msgspec.structs.replace(judged.measures[name], **changes)

    return spoil


def put(name: str, value: object) -> Spoil:
    return lambda judged: setattr(judged, name, value)


def detection(**changes: object) -> Spoil:
    def spoil(judged: Judged) -> None:
        judged.detections = [msgspec.structs.replace(row, **changes) for row in judged.detections]

    return spoil


def took(who: str, ms: float) -> Spoil:
    def spoil(judged: Judged) -> None:
        judged.times[who] = Time(ms, ms, 60)

    return spoil


PLAIN = Recovered("still", "1 mm, -10", 80, 0.96, 0.001, 0.97)
SPOILT_GATES: list[tuple[str, str, Spoil]] = [
    ("lesions_kept", "ultrasound", put("recovered", [Recovered("moving", "1 mm, -2.5", 80, 0.86, 0.001, 0.97)])),
    ("lesions_kept", "ultrasound", put("recovered", [Recovered("moving", "1 mm, -2.5", 80, 1.11, 0.001, 0.97)])),
    ("lesions_kept", "ultrasound", put("recovered", [Recovered("moving", "1 mm, -2.5", 80, 0.67, 0.001, 0.75)])),
    ("lesions_kept", "ultrasound", put("recovered", [])),
    (
        "lesions_kept",
        "ultrasound",
        put("recovered", [PLAIN, Recovered("still", "1 mm, +2", 80, 1.11, 0.001, 0.97, False)]),
    ),
    ("none_invented", "ultrasound", put("invented", Found(1000, 56, 50, 0, 6.0, 10.0))),
    ("none_invented", "ultrasound", put("invented", Found(1000, 1, 0, 0, 1.0, 1.0))),
    ("none_invented", "ultrasound", put("invented", Found(1000, 1020, 1000, 0, 20.0, 5.0))),
    ("none_invented", "ultrasound", put("invented", Found(0, 0, 0, 0, float("nan"), float("nan")))),
    ("detectability_kept", "ultrasound", detection(lead_over_input=-0.01, lead_stderr=0.001)),
    ("detectability_kept", "ultrasound", detection(lead_over_input=-0.9, lead_stderr=2.0)),
    ("detectability_kept", "ultrasound", put("detections", [])),
    ("int8_psnr", "ultrasound", measure("psnr_db", float_twin=31.21)),
    ("int8_psnr", "ultrasound", measure("psnr_db", float_twin=None)),
    ("int8_gcnr", "ultrasound", measure("gcnr", float_twin=0.961)),
    ("int8_detectability", "ultrasound", measure("cho", float_twin=2.07)),
    ("no_drift", "ultrasound", put("drift_db", -0.06)),
    ("no_drift", "ultrasound", put("drift_db", float("nan"))),
    ("no_ghost", "fluoroscopy", put("ghost_added", 2.01)),
    ("no_ghost", "fluoroscopy", put("ghost_added", float("nan"))),
    ("passing_kept", "ultrasound", measure("passing_kept", engine=0.74)),
    ("passing_kept", "fluoroscopy", measure("passing_kept", engine=float("nan"))),
    ("no_grid", "ultrasound", measure("grid_percent", engine=3.0)),
    ("no_grid", "superres", measure("grid_percent", engine=float("nan"))),
    ("no_grid", "fluoroscopy", put("real", RealFrames(91, 91, [], [], 0.01, 3.1, "still.png"))),
    ("strength_nought_exact", "ultrasound", put("strength_nought_exact", False)),
    ("repeatable", "superres", put("strength_nought_exact", False)),
    ("outside_unchanged", "ultrasound", put("outside_unchanged", False)),
    ("outside_unchanged", "ultrasound", put("real", RealFrames(91, 91, [], ["screen.png"], 0.01))),
]
SPOILT_TARGETS: list[tuple[str, str, Spoil]] = [
    (
        "faint_lesions_kept",
        "superres",
        put("recovered", [PLAIN, Recovered("still", "1 mm, +2", 80, 0.8, 0.001, 0.97, False)]),
    ),
    ("passing_whole", "ultrasound", measure("passing_kept", engine=0.89)),
    ("psnr_over_best_peer", "ultrasound", measure("psnr_db", engine=29.9)),
    ("psnr_over_best_peer", "fluoroscopy", measure("psnr_db", engine=28.9)),
    ("psnr_over_best_peer", "superres", measure("psnr_db", engine=27.9)),
    ("psnr_over_best_peer", "ultrasound", measure("psnr_db", peers={})),
    ("gcnr_over_best_peer", "ultrasound", measure("gcnr", engine=0.84)),
    ("detectability_over_input", "ultrasound", detection(lead_over_input=-0.01)),
    ("detectability_over_peers", "ultrasound", measure("cho", engine=1.6)),
    ("tenth_of_peer_time", "ultrasound", took(PEER, 49.0)),
    ("speckle_snr_doubled", "ultrasound", measure("speckle_snr", engine=5.9)),
    ("wire_width", "ultrasound", measure("wire_axial_mm", engine=0.37)),
    ("wire_width", "ultrasound", measure("wire_lateral_mm", engine=1.22)),
    ("quarter_dose", "fluoroscopy", detection(lead_over_full_dose=-0.01)),
    ("no_ringing", "superres", measure("overshoot_percent", engine=3.0)),
    ("time", "fluoroscopy", took(ENGINE, 12.1)),
    ("int8_speed", "ultrasound", took(f"{ENGINE} (float)", 6.9)),
    ("cost_per_pixel", "ultrasound", put("kmac_per_px", 25.1)),
    ("cost_per_pixel", "superres", put("kmac_per_px", 15.1)),
]


@pytest.mark.parametrize("kind", ["ultrasound", "fluoroscopy", "superres"])
def test_a_faultless_engine_meets_everything(kind: str) -> None:
    judged = faultless(kind)
    gates.decide(judged)
    assert judged.gates
    assert judged.targets
    assert all(judged.gates.values())
    assert judged.targets_missed == []
    assert gates.shortfalls(judged) == {}


@pytest.mark.parametrize(("gate", "kind", "spoil"), SPOILT_GATES)
def test_a_gate_is_missed_when_its_figure_is_spoilt_and_no_other_gate_with_it(
    gate: str, kind: str, spoil: Spoil
) -> None:
    judged = faultless(kind)
    spoil(judged)
    gates.decide(judged)
    assert [name for name, met in judged.gates.items() if not met] == [gate]


@pytest.mark.parametrize(("target", "kind", "spoil"), SPOILT_TARGETS)
def test_a_target_is_missed_when_its_figure_is_spoilt(target: str, kind: str, spoil: Spoil) -> None:
    judged = faultless(kind)
    spoil(judged)
    gates.decide(judged)
    assert target in judged.targets_missed
    assert "found: " in gates.shortfalls(judged)[target]


def test_every_rule_is_spoilt_by_a_test() -> None:
    assert {rule.name for rule in gates.GATES} == {gate for gate, _, _ in SPOILT_GATES}
    assert {rule.name for rule in gates.TARGETS} == {target for target, _, _ in SPOILT_TARGETS}


def test_where_the_input_itself_shows_less_an_engine_must_not_show_less_still() -> None:
    judged = faultless()
    judged.recovered = [Recovered("moving", "0.6 mm, +4", 80, 0.76, 0.001, 0.75)]
    gates.decide(judged)
    assert judged.gates["lesions_kept"]


def test_faint_lesions_do_not_refuse_an_engine_by_their_contrast() -> None:
    judged = faultless()
    judged.recovered = [PLAIN, Recovered("moving", "1 mm, -2.5", 80, 0.4, 0.001, 0.97, False)]
    gates.decide(judged)
    assert judged.gates["lesions_kept"]
    assert judged.targets_missed == ["faint_lesions_kept"]


def test_a_quick_run_refuses_only_what_it_is_sure_of() -> None:
    """The same figure with the same error: within its interval for a quick run, missed by a full one."""
    for quick, met in ((True, True), (False, False)):
        judged = faultless(quick=quick)
        judged.recovered = [Recovered("moving", "1 mm, -2.5", 12, 0.86, 0.03, 0.97)]
        judged.invented = Found(60, 4, 2, 0, 33.0, 41.0)
        judged.detections = [
            msgspec.structs.replace(row, lead_over_input=-0.4, lead_stderr=0.3) for row in judged.detections
        ]
        gates.decide(judged)
        assert judged.gates["lesions_kept"] is met
        assert judged.gates["none_invented"] is met
        assert judged.gates["detectability_kept"] is met


def test_a_quick_run_refuses_what_is_plainly_wrong() -> None:
    judged = faultless(quick=True)
    judged.recovered = [Recovered("moving", "1 mm, -2.5", 12, 0.5, 0.03, 0.97)]
    judged.invented = Found(60, 40, 2, 0, 633.0, 108.0)
    judged.detections = [
        msgspec.structs.replace(row, lead_over_input=-0.9, lead_stderr=0.2) for row in judged.detections
    ]
    gates.decide(judged)
    missed = [name for name, met in judged.gates.items() if not met]
    assert missed == ["lesions_kept", "none_invented", "detectability_kept"]


def test_an_engine_that_changes_nothing_is_not_refused_for_the_chance_of_a_full_run() -> None:
    judged = faultless()
    judged.invented = Found(1000, 54, 50, 0, 4.0, 10.2)
    judged.detections = [
        msgspec.structs.replace(row, lead_over_input=-0.05, lead_stderr=0.07) for row in judged.detections
    ]
    gates.decide(judged)
    assert judged.gates["none_invented"]
    assert judged.gates["detectability_kept"]
    assert "detectability_over_input" in judged.targets_missed


def test_one_size_surely_below_the_input_under_one_condition_is_enough() -> None:
    judged = faultless()
    first, second = judged.detections
    judged.detections = [msgspec.structs.replace(first, lead_over_input=-0.2), second]  # the mean is still above
    gates.decide(judged)
    assert not judged.gates["detectability_kept"]


@pytest.mark.parametrize(("quick", "stderr", "met"), [(True, 1.0, True), (True, 0.2, False), (False, 1.0, False)])
def test_a_quick_run_refuses_a_ghost_only_where_it_is_sure_of_it(quick: bool, stderr: float, met: bool) -> None:
    judged = faultless(quick=quick)
    judged.ghost_added, judged.ghost_added_stderr = 3.0, stderr
    gates.decide(judged)
    assert judged.gates["no_ghost"] is met


def test_the_best_peer_is_the_lowest_where_low_is_good() -> None:
    comparison = Comparison(1.0, peers={"a": 3.0, "b": 2.0, "c": float("nan")})
    assert comparison.best_peer(higher=True) == ("a", 3.0)
    assert comparison.best_peer(higher=False) == ("b", 2.0)
