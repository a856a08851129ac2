"""What a re-fitted engine must show on the site's own recording. Each gate says what was found, in figures.

There is no clean truth on a recording: the measure is the same net in float. INT8 with the new ranges has to follow it
at least as closely as INT8 with the shipped ones does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from calibration.site.recording import Shot, SiteRecording, Tell
from edge import fidelity
from edge import region as regions
from edge.backends import Backend, Session
from edge.catalog import Engine, float_twin
from edge.clock import SECOND
from edge.errors import ConfigError, EngineFault
from edge.frame import Pixels

PATIENCE = 60 * SECOND
CEILING_DB = 99.0  # two equal pictures
STRENGTH_FRAMES = 10
LAP_FRAMES, LAPS = 60, 3  # to and fro, so that no lap begins with a jump
SETTLED = 10  # frames after which a fresh start is forgotten
FEWEST_ON_END = 20  # frames without an interruption: fewer show neither drift nor that strength 0 is the original
DRIFT_DB = 0.5


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    met: bool
    found: str


@dataclass(slots=True)
class Likeness:
    """How near one stream of pictures is to another, inside the region."""

    full_scale: int
    inside: np.ndarray
    squares: float = 0.0
    count: int = 0

    def add(self, one: Pixels, other: Pixels) -> None:
        apart = (one.astype(np.int32) - other)[self.inside]
        self.squares += float(np.square(apart, dtype=np.float64).sum())
        self.count += apart.size

    @property
    def decibels(self) -> float:
        if self.count == 0:
            return math.nan  # nothing was compared: no bar is met by it
        if self.squares == 0:
            return CEILING_DB
        return min(CEILING_DB, 10 * math.log10(self.full_scale**2 * self.count / self.squares))


@dataclass(slots=True)
class Sessions:
    """The three that are compared."""

    refitted: Session
    shipped: Session
    float32: Session

    def close(self) -> None:
        for session in (self.refitted, self.shipped, self.float32):
            session.close()


@dataclass(slots=True)
class Findings:
    gates: list[Gate] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, met: bool, found: str, **figures: float) -> None:
        self.gates.append(Gate(name, met, found))
        self.figures |= {key: round(value, 4) for key, value in figures.items()}


def judge(
    refitted: Engine, shipped: Engine, recording: SiteRecording, backend: Backend, most_change: float, tell: Tell
) -> Findings:
    """All gates on the frames that were not fitted. Raises ConfigError where they are too often interrupted."""
    shape = recording.shape
    sessions = Sessions(*(backend.open(each, shape) for each in (refitted, shipped, float_twin(shipped))))
    found = Findings()
    try:
        kept = _side_by_side(sessions, recording, most_change, tell, found)
        _strength_zero(sessions.refitted, kept[:STRENGTH_FRAMES], found)
        _lasting(sessions, kept, recording, tell, found)
    except EngineFault as fault:
        found.add("finite", False, str(fault))
    else:
        found.add("finite", True, f"{len(recording.judging)} frames, none with NaN or infinity")
    finally:
        sessions.close()
    return found


def treated(session: Session, grey: Pixels, begins: bool, strength: float = 1.0) -> Pixels:
    """One picture; valid until the session's next one."""
    if begins:
        session.forget()
    session.start(grey, strength)
    if not session.wait(PATIENCE):
        raise EngineFault("hung", "no result in a minute")
    return session.result()


def _side_by_side(
    sessions: Sessions, recording: SiteRecording, most_change: float, tell: Tell, found: Findings
) -> list[Pixels]:
    """One pass over all judging frames. Gives the longest run of their pictures that nothing interrupts, its last ones,
    for what needs more passes.
    """
    ours, theirs = _likeness(recording), _likeness(recording)
    change, altered = 0.0, 0
    run: list[Pixels] = []
    kept: list[Pixels] = []
    for index, shot in enumerate(recording.shots(recording.judging, tell, "judging on the recording")):
        begins = shot.begins or index == 0
        wanted = treated(sessions.float32, shot.grey, begins)
        theirs.add(treated(sessions.shipped, shot.grey, begins), wanted)
        result = treated(sessions.refitted, shot.grey, begins)
        ours.add(result, wanted)
        change = max(change, fidelity.mean_change(shot.grey, result, shot.frame.full_scale))
        altered += _altered_outside(shot, result, recording)
        run = [*run[1 - LAP_FRAMES :], shot.grey] if not begins else [shot.grey]
        kept = run if len(run) >= len(kept) else kept
    if len(kept) < FEWEST_ON_END:
        raise ConfigError(
            f"{recording.path}: of the frames that judge, at most {len(kept)} follow each other without an "
            f"interruption; {FEWEST_ON_END} are needed: `limpid record --seconds 20`, without touching the scanner's "
            "settings"
        )
    gained = ours.decibels - theirs.decibels
    found.add(
        "near_float",
        gained >= 0,
        f"{ours.decibels:.2f} dB from the net in float; with the shipped ranges {theirs.decibels:.2f} dB",
        refitted_db=ours.decibels,
        shipped_db=theirs.decibels,
        gained_db=gained,
    )
    found.add(
        "change_bounded",
        change <= most_change,
        f"mean change at most {100 * change:.2f} % of full scale; {100 * most_change:g} % is allowed",
        change_percent=100 * change,
    )
    found.add("outside_unchanged", altered == 0, f"{altered} pixels outside the region differ")
    return kept


def _likeness(recording: SiteRecording) -> Likeness:
    return Likeness(recording.shape.full_scale, recording.region.mask != 0)


def _altered_outside(shot: Shot, result: Pixels, recording: SiteRecording) -> int:
    """Pixels outside the region that would not be shown as they came."""
    box, mask = recording.region.box, recording.region.mask
    shown = cast("Pixels", np.array(shot.frame.pixels))
    regions.put_back(shot.frame.pixels[box.slices], shot.frame.format, result, recording.region, shown[box.slices])
    differs = shown != shot.frame.pixels
    differs = differs if differs.ndim == 2 else differs.any(axis=2)
    differs[box.slices][mask != 0] = False
    return int(np.count_nonzero(differs))


def _strength_zero(session: Session, greys: Sequence[Pixels], found: Findings) -> None:
    equal = sum(np.array_equal(treated(session, grey, n == 0, 0.0), grey) for n, grey in enumerate(greys))
    found.add("strength_zero", equal == len(greys), f"at strength 0, {equal} of {len(greys)} frames are the input's")


def _lasting(sessions: Sessions, greys: list[Pixels], recording: SiteRecording, tell: Tell, found: Findings) -> None:
    """The same frames to and fro without a new start: what INT8 adds must not pile up in the state."""
    first = last = CEILING_DB
    for lap in range(LAPS):
        last = _lap(sessions, greys, recording, begins=lap == 0)
        first = last if lap == 0 else first
        tell("looking for drift", (lap + 1) / LAPS)
    found.add(
        "no_drift",
        last >= first - DRIFT_DB,
        f"{last:.2f} dB from the net in float on the last of {LAPS} laps, {first:.2f} dB on the first",
        drift_db=last - first,
    )


def _lap(sessions: Sessions, greys: list[Pixels], recording: SiteRecording, *, begins: bool) -> float:
    likeness = _likeness(recording)
    for n, grey in enumerate([*greys, *greys[-2:0:-1]]):
        wanted = treated(sessions.float32, grey, begins and n == 0)
        result = treated(sessions.refitted, grey, begins and n == 0)
        if n >= SETTLED:
            likeness.add(result, wanted)
    return likeness.decibels
