"""What is written on the picture, and how it looks. Pure; used by main alone."""

from __future__ import annotations

from dataclasses import dataclass

from edge.clock import MS, SECOND
from edge.frame import Treatment, Why
from edge.panel import words
from edge.panel.freeze import Frozen
from edge.panel.notes import Mood
from edge.panel.picture import PLAIN, Tone
from edge.panel.state import State, View
from edge.panel.tray import Figures
from edge.panel.watch import Liveness, Seen
from edge.wire import Flag, Report

MINUTE = 60 * SECOND
ROUND = 10 * MS
DOT = "  "


@dataclass(frozen=True, slots=True)
class Plate:
    """A few words on a ground of their own. `soft`: the part that may be shortened where there is no room."""

    text: str
    mood: Mood = Mood.PLAIN
    soft: str = ""


def treatment(report: Report, view: View) -> Plate:
    """ENHANCED by what, on what and how strongly, or ORIGINAL and why."""
    if report.treatment is Treatment.ENHANCED:
        if view.original and not view.split:
            return Plate(f"{words.ORIGINAL}{DOT}{words.CHOSEN_HERE}", Mood.CAUTION)
        name, strength = report.engine.name, f"{report.strength * 100:.0f} %"
        return Plate(f"{words.ENHANCED}{DOT}{name}{_runs_on(report)}{DOT}{strength}", Mood.GOOD, soft=name)
    why = words.WHY.get(report.why, words.WHY[Why.UNKNOWN])
    return Plate(f"{words.ORIGINAL}{DOT}{why}".rstrip(), Mood.CAUTION, soft=why)


def _runs_on(report: Report) -> str:
    backend = report.engine.backend
    return f"{DOT}{words.RUNS_ON.get(backend, backend)}" if backend else ""


def heat(report: Report) -> Plate | None:
    """The original says itself that the device is too hot."""
    held_back = report.flags & Flag.WARM and report.why is not Why.HOT
    return Plate(words.WARM, Mood.CAUTION) if held_back else None


def drift(report: Report, view: View) -> Plate | None:
    """The engine does its work, on pictures that nobody has judged it on."""
    sees_original = view.original and not view.split
    if sees_original or not report.flags & Flag.OUTSIDE:
        return None
    return Plate(f"{words.OUTSIDE} {words.OF_WHAT}", Mood.CAUTION, soft=words.OF_WHAT)


def age(age_ns: int) -> str:
    """Rounded up: a figure that changes with every frame cannot be read."""
    if age_ns < SECOND:
        return words.OLD_MS.format(ms=-(-age_ns // ROUND) * ROUND / MS)
    if age_ns < MINUTE:
        return words.OLD_S.format(s=age_ns / SECOND)
    return words.OLD_MIN.format(min=age_ns // MINUTE, s=age_ns % MINUTE / SECOND)


def frozen(what: Frozen) -> Plate:
    back = f"{DOT}{words.BACK.format(s=what.back_ns / SECOND)}" if not what.is_at_end else ""
    return Plate(f"{words.FROZEN}{back}", Mood.COLD)


def not_live(state: State, now_ns: int) -> tuple[str, str] | None:
    """Over the picture, large, and why below; None while it is live or frozen."""
    liveness = state.watch.liveness(now_ns)
    if liveness is Liveness.LIVE or state.frozen is not None:
        return None
    if liveness is Liveness.WAITING or state.seen is None:
        stream = state.stream
        if not state.answers(now_ns):
            return words.WAITING, words.NO_ANSWER
        return words.WAITING, words.NO_PICTURE_OF.format(stream=stream) if stream else words.NO_PICTURE_YET
    return words.NOT_LIVE, words.NO_FRAMES if state.answers(now_ns) else words.NO_ANSWER


def link_trouble(state: State, now_ns: int) -> Plate | None:
    """While frozen, too, it is told that nothing would come."""
    if state.frozen is None:
        return None
    if not state.answers(now_ns):
        return Plate(words.NO_ANSWER, Mood.ALARM)
    return Plate(words.SCANNER_SILENT, Mood.CAUTION) if state.watch.is_silent else None


def recording(state: State, now_ns: int) -> Plate | None:
    if not state.clip.is_running:
        return None
    if state.clip.since_ns is None:
        return Plate(words.RECORDING, Mood.ALARM)
    seconds = (now_ns - state.clip.since_ns) // SECOND
    return Plate(words.RECORDING_FOR.format(min=seconds // 60, s=seconds % 60), Mood.ALARM)


def changes(seen: Seen, view: View) -> Plate | None:
    if not view.changes:
        return None
    altered = seen.report.treatment is Treatment.ENHANCED
    return Plate(words.CHANGES if altered else words.NO_CHANGES, Mood.CAUTION)


def tone(how: Tone, bits: int) -> Plate | None:
    """Window and level where the picture has many levels, brightness and contrast where it has 256."""
    if how == PLAIN:
        return None
    if bits > 8:
        full = (1 << bits) - 1
        return Plate(words.WINDOW.format(width=how.width * full, centre=how.centre * full))
    return Plate(words.BRIGHTNESS.format(brightness=(0.5 - how.centre) * 200, contrast=100 / how.width))


def tray(figures: Figures) -> Plate:
    """How many captures are on their way, and what stands in it."""
    if not figures.readable:
        return Plate(words.OUTBOX_UNKNOWN, Mood.CAUTION)
    counted = words.OUTBOX.format(count=figures.on_the_way) if figures.archives else ""
    said = [counted or words.STORED_HERE.format(count=figures.here)]
    said += [words.HELD.format(count=figures.held)] if figures.held else []
    said += [words.PARKED.format(count=figures.parked)] if figures.parked else []
    said += [words.DAMAGED.format(count=figures.damaged)] if figures.damaged else []
    said += [words.WAITING_SINCE.format(hours=figures.oldest_hours)] if figures.oldest_hours else []
    said += [words.DISK_FULL] if figures.is_full else []
    trouble = figures.parked or figures.oldest_hours
    alarm = figures.damaged or figures.is_full
    return Plate(", ".join(said), Mood.ALARM if alarm else Mood.CAUTION if trouble else Mood.PLAIN)
