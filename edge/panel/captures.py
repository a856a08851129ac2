"""The capture button as the panel has it: what may be asked, what runs, what the answer means. Pure; used by main."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.clock import SECOND
from edge.panel import words
from edge.panel.freeze import Frozen
from edge.panel.news import Reply
from edge.panel.notes import Mood

PATIENCE = 90 * SECOND  # longer than the question itself waits for its answer
SETTLING = 2 * SECOND  # after an answer of its own the panel knows better than an older status
REFUSAL = "not stored: "


def why_no_still(frozen: Frozen | None) -> str:
    """The daemon stores the newest picture it has. Where another one is looked at, that would be the wrong one."""
    if frozen is None or frozen.thawing_ns is not None:
        return ""
    if frozen.alone or not frozen.confirmed:
        return words.FREEZE_ALONE_STILL if frozen.alone else words.FREEZE_PENDING
    return "" if frozen.is_at_end else words.SCROLLED_BACK


@dataclass(slots=True)
class Clip:
    """Is a clip being recorded, by whomever it was started?"""

    is_running: bool = False
    since_ns: int | None = None  # where it was started here
    _answered_ns: int | None = None

    def replied(self, reply: Reply, now_ns: int) -> None:
        if reply.do == "capture-clip-start" and reply.facts is not None:
            self.is_running, self.since_ns, self._answered_ns = True, now_ns, now_ns
        elif reply.do == "capture-clip-stop" and reply.answered:
            self.is_running, self.since_ns, self._answered_ns = False, None, now_ns

    def told(self, is_running: bool, now_ns: int) -> bool:
        """By a status. True where a clip that was started here has ended by itself: somebody should ask how."""
        if self._answered_ns is not None and now_ns - self._answered_ns < SETTLING:
            return False
        ended = self.since_ns is not None and not is_running
        self.is_running = is_running
        self.since_ns = self.since_ns if is_running else None
        return ended

    def lost(self) -> None:
        self.is_running, self.since_ns = False, None


def outcome(reply: Reply) -> tuple[str, Mood]:
    """What is told of an answer."""
    if reply.facts is None:
        if not reply.answered:
            return words.NOT_CONFIRMED, Mood.ALARM
        reason = reply.error.removeprefix(REFUSAL)
        refused = (
            words.REFUSED if reply.do.startswith("capture-clip-st") and not _lost_pictures(reply) else words.NOT_STORED
        )
        return refused.format(reason=reason), Mood.ALARM
    if reply.facts.get("recording"):
        said = [words.CLIP_RUNS.format(seconds=reply.facts["longest_s"])]
        return _joined([*said, *_emergency(reply.facts)]), Mood.GOOD
    held = [words.HELD_NOTE] if reply.facts["held"] else []
    said = [_stored(reply.facts), *held, *_emergency(reply.facts), *reply.facts["notices"]]
    return _joined(said), Mood.CAUTION if reply.facts["notices"] else Mood.GOOD


def _lost_pictures(reply: Reply) -> bool:
    """A clip that could not be stopped because none was running lost nothing."""
    return reply.error.startswith(REFUSAL)


def _stored(facts: dict[str, Any]) -> str:
    if facts["kind"] == "clip":
        return words.CLIP_STORED.format(seconds=facts["seconds"], frames=facts["frames"])
    return words.STILL_STORED


def _emergency(facts: dict[str, Any]) -> list[str]:
    return [words.EMERGENCY] if facts.get("opened_exam") else []


def _joined(said: list[str]) -> str:
    return "; ".join(said)
