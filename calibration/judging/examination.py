"""All measures for the engines of one kind, on the same films: the sizes of a family share pictures and peers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2

from calibration.judging import contrast, enlarging, fidelity, general, grid, lasting, observer, passing, timing
from calibration.judging.clips import Field
from calibration.judging.contestants import (
    INPUT,
    SLOW,
    Contestant,
    EngineTreatment,
    Kind,
    kind_of,
    of_engine,
    of_peers,
    unprocessed,
)
from calibration.judging.figures import Comparison, Detection, Found, Group, Held, Judged, Recovered, Time, least_kept
from calibration.judging.holding import Mixed
from calibration.judging.plan import Plan
from calibration.judging.progress import Tell
from calibration.measures import Invented, lead
from edge import processor
from edge.backends.openvino_cpu import OpenVinoCpu
from edge.catalog import Engine, read_engine

Scores = dict[str, float]  # contestant -> figure
Part = Literal["lesions", "pictures"]
PARTS: tuple[Part, ...] = ("lesions", "pictures")  # of an examination: about half of the work each


@dataclass(eq=False)
class Evidence:
    """What was measured, before it is sorted by engine; each part of an examination fills in some of it."""

    rows: list[general.Row] = field(default_factory=list[general.Row])
    scores: dict[str, Scores] = field(default_factory=dict[str, Scores])  # measure -> contestant -> figure
    mixed: Mixed = field(default_factory=Mixed)
    sightings: list[observer.Sighting] = field(default_factory=list[observer.Sighting])
    kept: fidelity.Kept = field(default_factory=fidelity.Kept)
    invented: dict[str, Invented] = field(default_factory=dict[str, Invented])
    passed: dict[str, passing.Passed] = field(default_factory=dict[str, passing.Passed])
    artefacts: dict[str, Scores] = field(default_factory=dict[str, Scores])
    drift: Scores = field(default_factory=dict[str, float])
    exact_at_nought: dict[str, bool] = field(default_factory=dict[str, bool])
    outside_unchanged: dict[str, bool] = field(default_factory=dict[str, bool])


def by_kind(folders: list[Path]) -> dict[Kind, list[Engine]]:
    """Engines sorted by the scenes they are judged on."""
    found: dict[Kind, list[Engine]] = {}
    for folder in folders:
        engine = read_engine(folder)
        found.setdefault(kind_of(engine), []).append(engine)
    return found


def take_part(kind: Kind, engines: list[Engine], plan: Plan, threads: int) -> Field:
    backend = OpenVinoCpu(threads)
    ours = [contestant for engine in engines for contestant in of_engine(engine, backend)]
    return Field([unprocessed(kind), *ours, *of_peers(kind, plan.peers)], enlarges=kind == "superres")


def gather(part: Part, kind: Kind, engines: list[Engine], plan: Plan, threads: int, tell: Tell) -> Evidence:
    """One part, for everyone of a kind."""
    cv2.setNumThreads(threads)
    taking_part = take_part(kind, engines, plan, threads)
    if part == "lesions":
        return _of_lesions(taking_part, kind, plan, tell)
    evidence = _of_pictures(taking_part, kind, plan, tell)
    tell("strength 0, outside the region")
    for who in taking_part.contestants:
        if who.role == "engine":
            evidence.exact_at_nought[who.name] = _exact_at_nought(who, taking_part, kind)
            evidence.outside_unchanged[who.name] = lasting.outside_unchanged(taking_part, who, kind)
    return evidence


def _of(part: str, tell: Tell) -> Tell:
    """Says that a part begins, and then how far it has come."""
    tell(part)
    return lambda words: tell(f"{part}: {words}")


def _of_lesions(field: Field, kind: Kind, plan: Plan, tell: Tell) -> Evidence:
    """About half of all the work."""
    evidence = Evidence()
    evidence.sightings = observer.examine(
        field, kind, plan, evidence.kept.listen, _of("detectability of lesions", tell)
    )
    evidence.scores["cho"] = observer.mean_d_prime(observer.main_conditions(kind, evidence.sightings))
    return evidence


def _of_pictures(field: Field, kind: Kind, plan: Plan, tell: Tell) -> Evidence:
    """All else, but the times, which need the machine to themselves. From ghosts on, no verdict asks what float twins
    and peers do: a quick run does not show them any of it.
    """
    mixed = Mixed()
    # An enlarged picture has nothing to be mixed with; a few lesions do not tell how strongly.
    mixing = None if plan.quick or kind == "superres" else mixed
    rows = general.examine(field, kind, plan, mixing, _of("likeness to the truth", tell))
    scores = {measure: general.means(rows, measure) for measure in ("psnr_db", "ssim", "edges", "flicker")}
    scores["flicker"] = {who: 100.0 * value for who, value in scores["flicker"].items()}
    tell("contrast and wires")
    scores |= contrast.examine(field, kind, plan, mixing)
    invented = fidelity.search(field, kind, plan, _of("invented structures", tell))
    watched = field.without("float", "peer") if plan.quick else field
    passed = passing.examine(watched, kind, plan, _of("ghosts", tell))
    scores["ghost_percent"] = {who: each.ghost_percent for who, each in passed.items()}
    scores["passing_kept"] = {who: each.kept for who, each in passed.items()}
    tell("grid of blocks")
    scores["grid_percent"] = grid.examine(watched, kind, plan)
    if kind == "fluoroscopy":
        scores["moving_wire"] = {who: each.width_ratio for who, each in passed.items()}
    if kind == "superres":
        scores["grainy_psnr_db"] = enlarging.likeness_of_grainy(field, plan)
        scores["overshoot_percent"] = enlarging.overshoots_percent(field, plan.enlarging_scenes)
    tell("artefacts")
    artefacts = passing.artefacts(watched, kind, plan)
    tell("drift")
    drift = lasting.drift(field, kind, plan)
    return Evidence(rows, scores, mixed=mixed, invented=invented, passed=passed, artefacts=artefacts, drift=drift)


def conclude(kind: Kind, engines: list[Engine], plan: Plan, parts: dict[Part, Evidence]) -> list[Judged]:
    """Both parts together, sorted by engine."""
    evidence, lesions = parts["pictures"], parts["lesions"]
    evidence.scores |= lesions.scores
    evidence.sightings, evidence.kept = lesions.sightings, lesions.kept
    peers = [who.key for who in of_peers(kind, plan.peers)]
    return [_judged(engine, kind, plan, peers, evidence) for engine in engines]


def add_times(judged: list[Judged], engines: list[Engine], plan: Plan, threads: int) -> None:
    """Alone on the machine: milliseconds a frame of everyone, in turn."""
    cv2.setNumThreads(threads)
    kind: Kind = judged[0].kind
    taking_part = take_part(kind, engines, plan, threads)
    costs = timing.examine(taking_part, kind, plan)
    for each in judged:
        each.times = {who: Time(cost.median_ms, cost.p90_ms, cost.runs) for who, cost in costs.items()}
        each.processor = processor.exactly(processor.described())


def _judged(engine: Engine, kind: Kind, plan: Plan, peers: list[str], evidence: Evidence) -> Judged:
    name = engine.manifest.name
    groups = general.strata(evidence.rows, name)
    passed = evidence.passed[name]
    return Judged(
        engine=name,
        kind=kind,
        size=engine.manifest.size,
        sha256=engine.manifest.sha256,
        quick=plan.quick,
        kmac_per_px=engine.manifest.kmac_per_px,
        measures={measure: _compared(name, scores, peers) for measure, scores in evidence.scores.items()},
        detections=_detections(name, peers, evidence.sightings),
        recovered=_recovered(name, evidence.kept),
        invented=_found(evidence.invented.get(name, Invented())),
        artefacts={what: _compared(name, scores, peers) for what, scores in evidence.artefacts.items()},
        drift_db=evidence.drift.get(name, math.nan),
        drift_frames=plan.drift_frames,
        strength_nought_exact=evidence.exact_at_nought[name],
        outside_unchanged=evidence.outside_unchanged[name],
        strata={
            what: Group(g.scenes, g.psnr_db, g.psnr_input_db, g.gain_db, g.ssim, g.edges) for what, g in groups.items()
        },
        worst_stratum=general.worst(groups),
        ghost_added=passed.added_percent,
        ghost_added_stderr=passed.added_stderr,
        peers_held=_held(peers, evidence),
        plain_kept={who: least_kept(_recovered(who, evidence.kept), plain=True) for who in (name, *peers)},
        notes=_notes(plan, peers),
    )


def _compared(name: str, scores: Scores, peers: list[str]) -> Comparison:
    return Comparison(
        engine=scores.get(name, math.nan),
        float_twin=scores.get(f"{name} (float)"),
        input=scores.get(INPUT),
        peers={peer: scores[peer] for peer in peers if peer in scores},
    )


def _exact_at_nought(who: Contestant, field: Field, kind: Kind) -> bool:
    treatment = field.treatment(who, 12 if kind == "fluoroscopy" else 8)
    assert isinstance(treatment, EngineTreatment)
    return lasting.strength_nought(treatment if kind == "superres" else treatment.at(0.0), kind)


def _detections(name: str, peers: list[str], sightings: list[observer.Sighting]) -> list[Detection]:
    return [_detection(name, peers, sighting, sightings) for sighting in sightings]


def _detection(name: str, peers: list[str], sighting: observer.Sighting, others: list[observer.Sighting]) -> Detection:
    primes = {who: found.d_prime for who, found in sighting.found.items()}
    condition = sighting.condition
    over_input = sighting.lead_over_input(name) if name in sighting.found else (None, 0.0)
    over_full = _over_full_dose(name, sighting, others)
    return Detection(
        condition.words, condition.dose, condition.moves, sighting.radius_mm,
        samples={who: count for who, count in sighting.samples.items() if who in (name, INPUT, *peers)},
        d_prime=_compared(name, primes, peers),
        lead_over_input=over_input[0], lead_stderr=over_input[1],
        lead_over_full_dose=over_full[0], full_dose_stderr=over_full[1],
    )  # fmt: skip


def _over_full_dose(
    name: str, sighting: observer.Sighting, others: list[observer.Sighting]
) -> tuple[float | None, float]:
    """The engine at a quarter of the dose against the unprocessed picture at all of it: the same seeds, so paired."""
    here = sighting.condition
    if here.kind != "fluoroscopy" or here.dose != observer.QUARTER or not here.moves or name not in sighting.found:
        return None, 0.0
    for other in others:
        there = other.condition
        same = there.moves == here.moves and there.dose == observer.FULL_DOSE
        if same and other.radius_mm == sighting.radius_mm:
            return lead(sighting.found[name], other.found[INPUT])
    return None, 0.0


def _recovered(name: str, kept: fidelity.Kept) -> list[Recovered]:
    given = {(row.condition, row.lesion): row.value for row in kept.of(INPUT, shown_to=name)}
    return [
        Recovered(
            row.condition, row.lesion, row.count, row.value, row.stderr, given[row.condition, row.lesion], row.plain
        )
        for row in sorted(kept.of(name), key=lambda row: (row.condition, row.lesion))
    ]


def _held(peers: list[str], evidence: Evidence) -> dict[str, Held]:
    found = {who: evidence.mixed.held(who, _recovered(who, evidence.kept)) for who in peers}
    return {who: held for who, held in found.items() if held is not None}


def _found(counts: Invented) -> Found:
    return Found(
        counts.frames, counts.treated, counts.given, counts.unsupported, counts.per_1000, counts.stderr_per_1000
    )


def _notes(plan: Plan, peers: list[str]) -> list[str]:
    notes: list[str] = []
    if plan.quick:
        notes.append(
            "A quick run: few scenes, wide intervals. It refuses only what it can be sure of and vouches for nothing."
        )
        notes.append(f"Peers in this run: {', '.join(peers)}; all of them only in a full one.")
    slow = sorted(SLOW & set(peers))
    if slow and plan.thin > 1:
        notes.append(
            f"Slow peers were shown one lesion in {plan.thin}: {', '.join(slow)}. "
            "So few train a model reader less well: their d' is told somewhat too low."
        )
    return notes
