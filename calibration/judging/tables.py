"""The figures as tables, once for the card and once for the report. Cells are plain text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from calibration.judging.figures import MEASURES, Comparison, Judged
from calibration.judging.gates import Rule
from calibration.judging.observer import SURE


@dataclass(frozen=True)
class Table:
    head: list[str]
    rows: list[list[str]]


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def interval(value: float, stderr: float) -> str:
    return f"{value:.2f} ± {SURE * stderr:.2f}"


def verdicts(rules: tuple[Rule, ...], judged: Judged, found: dict[str, bool]) -> Table:
    rows = [
        [rule.words, rule.measured(judged), "met" if found[rule.name] else "missed"]
        for rule in rules
        if rule.name in found
    ]
    return Table(["asked", "found", ""], rows)


def figures(judged: Judged) -> Table:
    rows: list[list[str]] = []
    for name, comparison in judged.measures.items():
        measure = MEASURES[name]
        words = f"{measure.name}, {measure.unit}" if measure.unit else measure.name
        cells = _row(comparison, measure.higher, measure.digits)
        rows.append([words, measure.words, measure.good, *cells])
    for name, comparison in judged.artefacts.items():
        rows.append([f"{name}, % left", "how much of an artefact remains", "lower", *_row(comparison, False, 0)])
    return Table(["measure", "what it is", "good is", "unprocessed", "this engine", "in float", "best peer"], rows)


def _row(comparison: Comparison, higher: bool, digits: int) -> list[str]:
    ours = (comparison.input, comparison.engine, comparison.float_twin)
    return [*(number(value, digits) for value in ours), _best(comparison, higher, digits)]


def _best(comparison: Comparison, higher: bool = True, digits: int = 2) -> str:
    peer, value = comparison.best_peer(higher)
    return f"{number(value, digits)} ({peer})" if peer else "-"


def detections(judged: Judged) -> Table:
    rows = [
        [
            row.condition,
            f"{row.radius_mm:g} mm",
            str(row.samples.get("input", 0)),
            number(row.d_prime.input),
            number(row.d_prime.engine),
            number(row.d_prime.float_twin),
            _best(row.d_prime),
            "-" if row.lead_over_input is None else interval(row.lead_over_input, row.lead_stderr),
        ]
        for row in judged.detections
    ]
    head = ["patient", "radius", "lesions", "unprocessed d'", "this engine", "in float", "best peer", "lead, 95 %"]
    return Table(head, rows)


def recoveries(judged: Judged) -> Table:
    rows = [
        [
            row.condition,
            f"{row.lesion}{'' if row.plain else ' (faint)'}",
            str(row.count),
            number(row.input),
            interval(row.value, row.stderr),
        ]
        for row in judged.recovered
    ]
    return Table(["patient", "lesion", "lesions", "unprocessed shows", "this engine shows, 95 %"], rows)


def peers(judged: Judged) -> Table:
    """What each of them gains, and what of a lesion that goes with it."""
    names = [judged.engine, *sorted(judged.measures["psnr_db"].peers)]
    rows = [
        [
            who,
            *(number(_of(judged.measures[name], who, judged.engine), 2) for name in ("psnr_db", "gcnr", "cho")),
            number(judged.plain_kept.get(who)),
            number(judged.ms(who)),
        ]
        for who in names
    ]
    return Table(["", "PSNR, dB", "gCNR", "d'", "plain lesions keep at least", "ms a frame"], rows)


def held(judged: Judged) -> Table:
    """The same, where each may change a picture only as far as its lesions allow."""
    rows = [
        [who, f"{100 * one.strength:.0f} %", number(one.psnr_db), number(one.gcnr)]
        for who, one in sorted(judged.peers_held.items())
    ]
    ours = [[judged.engine, "100 %", *(number(judged.measures[name].engine) for name in ("psnr_db", "gcnr"))]]
    return Table(["held to the gate of lesions", "of its strength", "PSNR, dB", "gCNR"], ours + rows if rows else [])


def _of(comparison: Comparison, who: str, engine: str) -> float | None:
    return comparison.engine if who == engine else comparison.peers.get(who)


def strata(judged: Judged) -> Table:
    rows = [
        [
            name,
            str(group.scenes),
            number(group.psnr_input_db),
            number(group.psnr_db),
            f"{group.gain_db:+.2f}",
            number(group.ssim, 3),
            number(group.edges, 3),
        ]
        for name, group in judged.strata.items()
    ]
    return Table(["scenes", "how many", "unprocessed, dB", "PSNR, dB", "gain", "SSIM", "edges"], rows)


def times(judged: Judged) -> Table:
    rows = [
        [who, number(time.median_ms), number(time.p90_ms), str(time.runs)]
        for who, time in sorted(judged.times.items(), key=lambda item: item[1].median_ms)
    ]
    return Table(["", "median, ms", "nine of ten below", "runs"], rows)


def invented(judged: Judged) -> str:
    found = judged.invented
    shown = "small frames as they are, pixel by pixel," if judged.kind == "superres" else "unprocessed frames"
    return (
        f"In {found.frames} frames without lesions {found.engine} structures stood out that the truth does not hold; "
        f"in the {shown} {found.input}. Without a cause in the input: {found.unsupported}."
    )


def real(judged: Judged) -> str:
    seen = judged.real
    if seen is None:
        return "None were at hand in this run."
    missing, changed = (", ".join(names) or "none" for names in (seen.without_region, seen.changed_outside))
    return (
        f"{seen.frames} frames of {seen.files} files; mean change {100 * seen.mean_change:.1f} % of full scale. "
        f"The net's own blocks show by {seen.grid_percent:.1f} % of full scale at the worst place ({seen.grid_in}). "
        f"Changed outside the region: {changed}. No picture found in: {missing}."
    )
