"""What an engine must show. One table; each rule is pure and says where its bar comes from.

Gates are about safety: an engine that misses one is refused by the catalogue. Targets are about merit: one that is
missed is said, and the engine may still be shipped.

How intervals are used
    A quick run looks at few lesions. It refuses only what it can be sure of: a figure counts against an engine when
    even the favourable end of its 95 % interval misses the bar. Where there is none (INT8 beside float, drift, what of
    a needle is kept: all of them the same pictures twice) the figure itself is held to the bar. A full run always does
    that, but for comparisons with the input that doing nothing would lose as often as it wins: those are lost surely,
    or by a tenth. So a quick run never vouches for an engine; it finds broken ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from calibration.judging.contestants import KINDS, Kind
from calibration.judging.figures import Detection, Judged, Recovered, least_kept, percent_of_float
from calibration.judging.observer import SURE

# --- bars. Kept at the purpose's own words: plain lesions kept within a tenth, none invented, nothing lost by INT8.
RECOVERY_LEAST, RECOVERY_MOST = 0.9, 1.1  # contrast shown over true contrast
DETECTABILITY_LOST = 0.1  # of the input's d' at a size
INVENTED_MORE = 0.1  # of what the input itself shows
INT8_LOST_DB, INT8_LOST_GCNR, INT8_LOST_CHO = 0.2, 0.01, 3.0  # against float: dB, gCNR, per cent of d'
DRIFT_DB = 0.05  # the last frames of a long film against all of it
GRID_MOST = 3.0  # % of full scale
GHOST = 2.0  # per cent of the contrast of what has passed
PASSING_LEAST = 0.75  # of the contrast, as the input shows it, of a needle, or of a wire while it moves
# --- targets
PASSING_WHOLE = 0.9  # of the same
PSNR_LEAD_DB: dict[Kind, float] = {"ultrasound": 3.0, "fluoroscopy": 2.0, "superres": 1.0}  # over the best peer
GCNR_LEAD = 0.05  # over the best peer, ultrasound
SPECKLE_TIMES = 2.0  # the input's speckle SNR
WIRE_TIMES = 1.1  # the input's wire width
OVERSHOOT = 3.0  # per cent of a step, super-resolution
PEER_TIME = 0.1  # of the best peer's time
MS: dict[str, float] = {"large": 12.0, "medium": 7.0, "small": 3.5}  # at 640x480 on two cores
INT8_SPEED = 1.4  # times faster than float
KMAC: dict[str, float] = {"large": 25.0, "medium": 12.0, "small": 5.0}  # per pixel
KMAC_SUPERRES = 15.0  # per output pixel


_IN_PLACE: tuple[Kind, ...] = ("ultrasound", "fluoroscopy")  # shown inside the screen that they came in


@dataclass(frozen=True)
class Rule:
    name: str
    words: str  # for a reader: what was asked
    met: Callable[[Judged], bool]
    measured: Callable[[Judged], str]  # for a reader: what was found
    kinds: tuple[Kind, ...] = KINDS


def verdicts(judged: Judged, rules: tuple[Rule, ...]) -> dict[str, bool]:
    return {rule.name: bool(rule.met(judged)) for rule in rules if judged.kind in rule.kinds}


def shortfalls(judged: Judged) -> dict[str, str]:
    """Target -> what was asked and what was found, of those that were missed."""
    return {
        rule.name: f"{rule.words}; found: {rule.measured(judged)}"
        for rule in TARGETS
        if not judged.targets.get(rule.name, True)
    }


def decide(judged: Judged) -> None:
    """Put the verdicts beside the figures."""
    judged.gates = verdicts(judged, GATES)
    judged.targets = verdicts(judged, TARGETS)


# ------------------------------------------------ safety


def kept(judged: Judged) -> bool:
    """Of every size, those that one frame shows plainly keep their contrast; none, however faint, is exaggerated.

    Of what the unprocessed picture shows of it: a blur of the scanner's own is not ours. Of lesions near what can be
    seen at all, grain of the same size cannot be told apart, and whoever calms it takes some of their contrast along;
    whether they are *found* as well as before is the business of `detectability_kept`, their contrast that of a target.
    """
    plain = [row for row in judged.recovered if row.plain]
    whole = all(_row_kept(row, judged.quick) for row in plain)
    return bool(plain) and whole and all(_not_exaggerated(row, judged.quick) for row in judged.recovered)


def _row_kept(row: Recovered, quick: bool) -> bool:
    room = SURE * row.stderr if quick else 0.0
    return row.value + room >= RECOVERY_LEAST * min(1.0, row.input)


def _not_exaggerated(row: Recovered, quick: bool) -> bool:
    return row.value - (SURE * row.stderr if quick else 0.0) <= RECOVERY_MOST


def _faint_kept(judged: Judged) -> bool:
    return all(_row_kept(row, judged.quick) for row in judged.recovered if not row.plain)


def none_invented(judged: Judged) -> bool:
    """Not surely more structures than the input itself shows where there is none; and where that is known well enough,
    in a full run, not by a tenth. An engine that passes on what it is given, grain and all, shows a few more than its
    input in one run of two.
    """
    found = judged.invented
    surplus = (found.engine - found.input) * 1000.0 / found.frames if found.frames else math.nan
    within = judged.quick or found.engine - found.input <= INVENTED_MORE * found.input
    return within and surplus - SURE * found.stderr_per_1000 <= 0.0


def as_detectable(judged: Judged) -> bool:
    """At no size surely below the unprocessed picture's, under any condition or over all of them; and where that is
    known well enough, in a full run, at none by a tenth. An engine that changes nothing would lie below it at one of
    four sizes in fifteen runs of sixteen, so that the figure itself is a target's business.
    """
    sizes = _by_size(judged)
    return bool(sizes) and all(_size_holds(rows, judged.quick) for rows in sizes)


def as_detectable_as_the_input(judged: Judged) -> bool:
    sizes = _by_size(judged)
    return bool(sizes) and all(_mean_lead(rows) >= 0.0 for rows in sizes)


def _by_size(judged: Judged) -> list[list[Detection]]:
    rows = [row for row in judged.detections if row.lead_over_input is not None]
    return [[row for row in rows if row.radius_mm == size] for size in sorted({row.radius_mm for row in rows})]


def _size_holds(rows: list[Detection], quick: bool) -> bool:
    error = math.sqrt(sum(row.lead_stderr**2 for row in rows)) / len(rows)
    each = all((row.lead_over_input or 0.0) + SURE * row.lead_stderr >= 0.0 for row in rows)
    given = sum(row.d_prime.input or 0.0 for row in rows) / len(rows)
    within = quick or _mean_lead(rows) >= -DETECTABILITY_LOST * given
    return each and within and _mean_lead(rows) + SURE * error >= 0.0


def _mean_lead(rows: list[Detection]) -> float:
    return sum(row.lead_over_input or 0.0 for row in rows) / len(rows)


def grid(judged: Judged) -> float:
    """Per cent of full scale, at the worst place of all pictures."""
    return max(judged.measures["grid_percent"].engine, judged.real.grid_percent if judged.real else 0.0)


def _leaves_no_ghost(judged: Judged) -> bool:
    room = SURE * judged.ghost_added_stderr if judged.quick else 0.0
    return judged.ghost_added - room < GHOST


def _least_lead(judged: Judged) -> float:
    return min((_mean_lead(rows) for rows in _by_size(judged)), default=math.nan)


GATES: tuple[Rule, ...] = (
    Rule("lesions_kept", f"plain lesions keep {RECOVERY_LEAST:g} of their contrast, none has over {RECOVERY_MOST:g}",
         kept, lambda j: f"at least {least_kept(j.recovered, True):.2f}; of all, {j.recovery[2]:.2f} at most"),
    Rule("none_invented", "not surely more structures than the input itself shows where there is none, nor by a tenth",
         none_invented,
         lambda j: f"{j.invented.engine} in {j.invented.frames} frames, the input {j.invented.input}"),
    Rule("detectability_kept",
         "lesions of no size surely harder to find than in the unprocessed picture, nor by a tenth", as_detectable,
         lambda j: f"least lead {_least_lead(j):+.2f} d'"),
    Rule("int8_psnr", f"INT8 at most {INT8_LOST_DB:g} dB below float",
         lambda j: j.measures["psnr_db"].minus_float >= -INT8_LOST_DB,
         lambda j: f"{j.measures['psnr_db'].minus_float:+.2f} dB"),
    Rule("int8_gcnr", f"INT8 at most {INT8_LOST_GCNR:g} gCNR below float",
         lambda j: j.measures["gcnr"].minus_float >= -INT8_LOST_GCNR,
         lambda j: f"{j.measures['gcnr'].minus_float:+.3f}"),
    Rule("int8_detectability", f"INT8 at most {INT8_LOST_CHO:g} % of d' below float",
         lambda j: percent_of_float(j.measures["cho"]) >= -INT8_LOST_CHO,
         lambda j: f"{percent_of_float(j.measures['cho']):+.1f} %"),
    Rule("no_drift", f"the last frames of a long film within {DRIFT_DB:g} dB of all of it",
         lambda j: abs(j.drift_db) <= DRIFT_DB,
         lambda j: f"{j.drift_db:+.3f} dB in {j.drift_frames} frames"),
    Rule("no_ghost", f"less than {GHOST:g} % left of what has passed, beyond what is in the picture itself",
         _leaves_no_ghost, lambda j: f"{j.ghost_added:.2f} %, give or take {j.ghost_added_stderr:.2f}"),
    Rule("passing_kept", f"a needle, or a wire while it moves, keeps {PASSING_LEAST:g} of its contrast",
         lambda j: j.measures["passing_kept"].engine >= PASSING_LEAST,
         lambda j: f"{j.measures['passing_kept'].engine:.2f}", _IN_PLACE),
    Rule("no_grid", f"the net's own blocks show nowhere by {GRID_MOST:g} % of full scale, on phantoms or real frames",
         lambda j: grid(j) < GRID_MOST, lambda j: f"{grid(j):.1f} %"),
    Rule("strength_nought_exact", "strength 0 is the original, bit for bit", lambda j: j.strength_nought_exact,
         lambda j: "exact" if j.strength_nought_exact else "differs", _IN_PLACE),
    Rule("repeatable", "the same picture gives the same result, bit for bit", lambda j: j.strength_nought_exact,
         lambda j: "the same" if j.strength_nought_exact else "differs", ("superres",)),
    Rule("outside_unchanged", "nothing outside the region changes",
         lambda j: j.outside_unchanged and not (j.real and j.real.changed_outside),
         lambda j: f"{len(j.real.changed_outside)} real files changed" if j.real else "on phantom screens", _IN_PLACE),
)  # fmt: skip

# ------------------------------------------------ merit


def _psnr_lead(judged: Judged) -> bool:
    psnr = judged.measures["psnr_db"]
    return psnr.engine >= psnr.best_peer()[1] + PSNR_LEAD_DB[judged.kind]


def _quarter_dose(judged: Judged) -> bool:
    rows = [row for row in judged.detections if row.lead_over_full_dose is not None]
    return bool(rows) and all(
        (row.lead_over_full_dose or 0.0) + (SURE * row.full_dose_stderr if judged.quick else 0.0) >= 0.0 for row in rows
    )


def _least_full_dose_lead(judged: Judged) -> float:
    leads = (row.lead_over_full_dose for row in judged.detections)
    return min((lead for lead in leads if lead is not None), default=math.nan)


def _wires(judged: Judged) -> bool:
    rows = [judged.measures["wire_axial_mm"], judged.measures["wire_lateral_mm"]]
    return all(row.input is not None and row.engine <= WIRE_TIMES * row.input for row in rows)


def _speckle(judged: Judged) -> bool:
    row = judged.measures["speckle_snr"]
    return row.input is not None and row.engine >= SPECKLE_TIMES * row.input


def _peer_time(judged: Judged) -> bool:
    best, _ = judged.measures["psnr_db"].best_peer()
    return judged.ms(judged.engine) <= PEER_TIME * judged.ms(best)


def _light(judged: Judged) -> bool:
    return judged.kmac_per_px <= (KMAC_SUPERRES if judged.kind == "superres" else KMAC[judged.size])


def _lead(name: str, digits: int = 2) -> Callable[[Judged], str]:
    """Said of a measure: by how much it lies above its best peer's."""

    def said(judged: Judged) -> str:
        peer, value = judged.measures[name].best_peer()
        return f"{judged.measures[name].engine - value:+.{digits}f} against {peer or 'no peer'}"

    return said


def _times(name: str) -> Callable[[Judged], str]:
    """Said of a measure: how many times the input's it is."""

    def said(judged: Judged) -> str:
        row = judged.measures[name]
        return f"{row.engine / row.input:.2f} times the input's" if row.input else "not measured"

    return said


TARGETS: tuple[Rule, ...] = (
    Rule("passing_whole", f"a needle, or a wire while it moves, keeps {PASSING_WHOLE:g} of its contrast",
         lambda j: j.measures["passing_kept"].engine >= PASSING_WHOLE,
         lambda j: f"{j.measures['passing_kept'].engine:.2f}", _IN_PLACE),
    Rule("faint_lesions_kept", f"lesions near what can be seen keep {RECOVERY_LEAST:g} of the contrast in the input",
         _faint_kept, lambda j: f"at least {least_kept(j.recovered, False):.2f}"),
    Rule("psnr_over_best_peer", "PSNR 3 dB (fluoroscopy 2, super-resolution 1) above the best peer's",
         _psnr_lead, _lead("psnr_db")),
    Rule("gcnr_over_best_peer", f"gCNR {GCNR_LEAD:g} above the best peer's",
         lambda j: j.measures["gcnr"].engine >= j.measures["gcnr"].best_peer()[1] + GCNR_LEAD,
         _lead("gcnr", 3), ("ultrasound",)),
    Rule("detectability_over_input", "lesions of each size found at least as well as in the unprocessed picture",
         as_detectable_as_the_input, lambda j: f"least lead {_least_lead(j):+.2f} d'"),
    Rule("detectability_over_peers", "detectability above every peer's",
         lambda j: j.measures["cho"].engine > j.measures["cho"].best_peer()[1], _lead("cho"), ("ultrasound",)),
    Rule("tenth_of_peer_time", "a tenth of the best peer's time, or less", _peer_time,
         lambda j: f"{j.ms(j.engine):.1f} ms, the peer {j.ms(j.measures['psnr_db'].best_peer()[0]):.1f}",
         ("ultrasound",)),
    Rule("speckle_snr_doubled", f"speckle SNR at least {SPECKLE_TIMES:g} times the input's", _speckle,
         _times("speckle_snr"), ("ultrasound",)),
    Rule("wire_width", "points drawn at most a tenth wider than in the input", _wires,
         lambda j: f"axial {_times('wire_axial_mm')(j)}, lateral {_times('wire_lateral_mm')(j)}", ("ultrasound",)),
    Rule("quarter_dose", "at a quarter of the dose as detectable as unprocessed at full dose, at each size",
         _quarter_dose, lambda j: f"least lead {_least_full_dose_lead(j):+.2f} d'", ("fluoroscopy",)),
    Rule("no_ringing", f"edges swing less than {OVERSHOOT:g} % beyond their levels",
         lambda j: j.measures["overshoot_percent"].engine < OVERSHOOT,
         lambda j: f"{j.measures['overshoot_percent'].engine:.1f} %", ("superres",)),
    Rule("time", "at 640x480 on two cores 12 ms (large), 7 ms (medium), 3.5 ms (small)",
         lambda j: j.ms(j.engine) <= MS[j.size], lambda j: f"{j.ms(j.engine):.1f} ms", ("ultrasound", "fluoroscopy")),
    Rule("int8_speed", f"INT8 at least {INT8_SPEED:g} times faster than float",
         lambda j: j.ms(j.float_key) >= INT8_SPEED * j.ms(j.engine),
         lambda j: f"{j.ms(j.float_key) / j.ms(j.engine):.2f} times"),
    Rule("cost_per_pixel", "at most 25, 12, 5 kMAC a pixel; super-resolution 15", _light,
         lambda j: f"{j.kmac_per_px:.1f} kMAC"),
)  # fmt: skip
