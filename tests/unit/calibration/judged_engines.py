"""An engine that met everything, as figures: tests then spoil one of them."""

from __future__ import annotations

from calibration.judging.figures import Comparison, Detection, Found, Group, Judged, RealFrames, Recovered, Time

ENGINE, PEER = "handbuilt-small", "nlm"  # a folder that is there


def seen(condition: str, dose: float, lead: float, over_full: float | None = None) -> Detection:
    return Detection(
        condition=condition,
        dose=dose,
        moves=True,
        radius_mm=1.5,
        samples={"input": 160, ENGINE: 160, PEER: 54},
        d_prime=Comparison(2.0, 2.01, 1.5, {PEER: 1.6}),
        lead_over_input=lead,
        lead_stderr=0.05,
        lead_over_full_dose=over_full,
        full_dose_stderr=0.05,
    )


def faultless(kind: str = "ultrasound", quick: bool = False) -> Judged:
    measures = {
        "psnr_db": Comparison(31.0, 31.1, 25.0, {PEER: 27.0, "median": 26.0}),
        "ssim": Comparison(0.9, 0.9, 0.5, {PEER: 0.7}),
        "edges": Comparison(0.8, 0.8, 0.5, {PEER: 0.6}),
        "flicker": Comparison(0.4, 0.4, 1.0, {PEER: 0.8}),
        "gcnr": Comparison(0.95, 0.952, 0.6, {PEER: 0.8}),
        "cho": Comparison(2.0, 2.01, 1.5, {PEER: 1.6}),
        "ghost_percent": Comparison(1.0, 1.0, 0.2, {PEER: 0.3}),
        "grid_percent": Comparison(0.8, 0.8, 0.0),
        "passing_kept": Comparison(0.96, 0.96, 1.0, {PEER: 0.9}),
    }
    if kind == "fluoroscopy":
        measures["moving_wire"] = Comparison(1.02, 1.02, 1.0, {PEER: 1.0})
    else:
        measures["speckle_snr"] = Comparison(8.0, 8.0, 3.0, {PEER: 5.0})
        measures["wire_axial_mm"] = Comparison(0.34, 0.34, 0.33, {PEER: 0.36})
        measures["wire_lateral_mm"] = Comparison(1.1, 1.1, 1.1, {PEER: 1.2})
    if kind == "superres":
        measures["overshoot_percent"] = Comparison(2.0, 2.0, 0.0, {PEER: 14.0})
    fluoroscopy = kind == "fluoroscopy"
    return Judged(
        engine=ENGINE,
        kind=kind,  # type: ignore[arg-type]
        size="large",
        sha256="a" * 64,
        quick=quick,
        kmac_per_px=12.0,
        measures=measures,
        detections=[
            seen("moving, dose 0.25", 0.25, 0.5, 0.1) if fluoroscopy else seen("moving", 1.0, 0.5),
            seen("still, dose 0.25", 0.25, 0.4) if fluoroscopy else seen("still", 1.0, 0.4),
        ],
        recovered=[Recovered("moving", "1 mm, -2.5", 80, 0.96, 0.01, 0.97)],
        invented=Found(1000, 10, 50, 0, 0.0, 7.7),
        artefacts={"lag" if fluoroscopy else "reverberation": Comparison(40.0, 41.0, 100.0, {PEER: 90.0})},
        drift_db=0.01,
        drift_frames=2000,
        strength_nought_exact=True,
        outside_unchanged=True,
        strata={
            "probe: linear": Group(4, 30.0, 25.0, 5.0, 0.9, 0.8),
            "probe: curved": Group(4, 29.0, 26.0, 3.0, 0.9, 0.8),
        },
        worst_stratum="probe: curved",
        plain_kept={ENGINE: 0.97, PEER: 0.44},
        times={ENGINE: Time(5.0, 6.0, 60), f"{ENGINE} (float)": Time(9.0, 11.0, 60), PEER: Time(200.0, 220.0, 8)},
        real=RealFrames(91, 91, [], [], 0.01, 1.2, "still.png"),
        notes=["Slow peers were shown one lesion in 3: nlm."],
    )
