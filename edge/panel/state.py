"""Everything the panel knows and what becomes of it: by pictures, answers and fingers. Used by main alone; no screen.

What changes only how this display looks at a picture (original or enhanced, split, changes, brightness) stays here and
is instant. What concerns the appliance (strength, freeze, captures) is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge.clock import SECOND, Clock
from edge.config import Panel as Settings
from edge.frame import Treatment
from edge.panel import captures, words
from edge.panel.cine import Cine
from edge.panel.freeze import Frozen
from edge.panel.keys import Do, Intent
from edge.panel.news import News, Reply
from edge.panel.notes import Mood, Notes
from edge.panel.picture import PLAIN, Look, Tone, auto_tone
from edge.panel.tray import Figures
from edge.panel.watch import Seen, Watch
from edge.wire import Flag

STRENGTH_STEP = 10.0
LONG_SILENCE = 3 * SECOND  # of a daemon that is asked once a second
TICK = SECOND // 4  # an age that is shown is told again at least so often


Ask = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class View:
    """How this display looks at a picture."""

    original: bool = False
    split: bool = False
    divider: float = 0.5
    changes: bool = False
    light: bool = False  # the page of brightness and contrast
    tone: Tone = field(default=PLAIN)

    @property
    def look(self) -> Look:
        return Look(self.original, self.divider if self.split else None, self.changes, self.tone)


class State:
    def __init__(self, settings: Settings, clock: Clock, ask: Ask, cine: Cine) -> None:
        self._settings = settings
        self._stream = settings.stream  # the one that is shown; empty until the first is heard
        self._clock = clock
        self._ask = ask
        self._cine = cine
        self.view = View()
        self.watch = Watch()
        self.notes = Notes()
        self.clip = captures.Clip()
        self.seen: Seen | None = None  # the picture that is drawn, unless it is frozen
        self.frozen: Frozen | None = None
        self.tray: Figures | None = None
        self.strength: float | None = None  # per cent, as far as is known
        self.streams: tuple[str, ...] = ()
        self._held_over = False  # an enhanced picture stands in for one late frame
        self._status_ns: int | None = None  # when the daemon answered last
        self._wished_ns = 0  # when a strength was asked for: an older status says nothing of it

    # ------------------------------------------------ what can be read

    @property
    def shown(self) -> Seen | None:
        return self.frozen.seen if self.frozen is not None else self.seen

    @property
    def stream(self) -> str:
        return self._stream or (self.seen.report.stream if self.seen is not None else "")

    @property
    def cine_bytes(self) -> int:
        return self._cine.bytes

    @property
    def back_seconds(self) -> float:
        """How much the button "last seconds" stores."""
        return self._settings.back_seconds

    def answers(self, now_ns: int) -> bool:
        """Is the appliance there? It sends pictures and notices, or else answers when it is asked."""
        told_lately = self._status_ns is not None and now_ns - self._status_ns < LONG_SILENCE
        return self.watch.answers(now_ns) or (self.seen is None and told_lately)

    def due_ns(self) -> int:
        """When to look again although nothing comes."""
        now = self._clock.now()
        dues = [now + TICK, self.watch.due_ns(now), self.notes.due_ns()]
        dues += [self.frozen.due_ns()] if self.frozen is not None else []
        return min(at for at in dues if at is not None)

    # ------------------------------------------------ what came

    def hear(self, news: News) -> None:
        if news.status is not None:
            self._status(news.status)
        if news.tray is not None:
            self.tray = news.tray
        if news.picture is not None:
            self._picture(news.picture)
        if news.notice is not None:
            self._notice(news.notice)
        for reply in news.replies:
            self._reply(reply)
        self._tend()

    def _picture(self, seen: Seen) -> None:
        self.watch.picture(seen)
        if self.frozen is not None and self.frozen.thawing_ns is None and not self.frozen.confirmed:
            if not self.frozen.alone:
                self.frozen.append(seen)
            return
        self.frozen = None  # somebody let go
        if self._may_hold_over(seen):
            self._held_over = True
            return
        self.seen, self._held_over = seen, False

    def _may_hold_over(self, seen: Seen) -> bool:
        """One late frame: the enhanced picture before it stays, so that nobody sees a flash. Its age counts on."""
        last = self.seen
        return (
            bool(seen.report.flags & Flag.STAND_IN)
            and not self._held_over
            and not self.view.original
            and not self.view.split
            and last is not None
            and last.report.treatment is Treatment.ENHANCED
            and last.layout == seen.layout
        )

    def _notice(self, seen: Seen) -> None:
        self.watch.notice(seen)
        if not seen.report.flags & Flag.FROZEN or self.seen is None:
            return
        if self.frozen is None:
            self.frozen = Frozen.of(self._cine.snapshot(), self.seen, self._clock.now())
        if self.frozen.thawing_ns is None and not self.frozen.confirmed:
            self.frozen.confirm(seen.report.seq, self._cine.snapshot())

    def _status(self, status: dict[str, Any]) -> None:
        now = self._status_ns = self._clock.now()
        self.streams = tuple(name for name, facts in status["streams"].items() if facts.get("live"))
        facts = status["streams"].get(self.stream)
        if facts is None:
            return
        if now - self._wished_ns > SECOND:
            self.strength = facts["strength_percent"]
        if self.clip.told(self.stream in status.get("recording", ()), now):
            self._store("capture-clip-stop", words.STORING_CLIP)  # it reached its bound: what became of it?

    def _reply(self, reply: Reply) -> None:
        now = self._clock.now()
        if reply.do.startswith("capture-"):
            self.clip.replied(reply, now)
            text, mood = captures.outcome(reply)
            self.notes.say(text, mood, now, about=reply.do)
        elif reply.facts is None:
            text = words.REFUSED.format(reason=reply.error) if reply.answered else words.NO_REPLY
            self.notes.say(text, Mood.ALARM, now, about=reply.do)

    def _tend(self) -> None:
        """What time alone changes."""
        now = self._clock.now()
        frozen = self.frozen
        due = frozen.due_ns() if frozen is not None else None
        if frozen is not None and due is not None and now >= due:
            if frozen.thawing_ns is not None:
                self.frozen = None  # let go, and no picture came: the watch says what that means
            else:
                frozen.alone = True
                self.notes.say(words.FREEZE_ALONE, Mood.ALARM, now, about="freeze")
        if self.clip.is_running and self.seen is not None and not self.answers(now):
            self.clip.lost()
            self.notes.say(words.CLIP_BROKEN, Mood.ALARM, now, about="capture-clip-stop")

    # ------------------------------------------------ what is wanted

    def do(self, intent: Intent) -> None:
        """What the loop itself does not do (another stream, the end)."""
        if intent.do in _DEEDS:
            _DEEDS[intent.do](self, intent.value)

    def toggle_original(self) -> None:
        seen = self.shown
        if seen is not None and seen.report.flags & Flag.ORIGINAL_VIEW and self.frozen is None:
            # Somebody has switched the whole appliance over: only there can it be switched back.
            self.view.original = False
            self._ask("set", {"stream": self.stream, "view": "enhanced"})
        elif self.view.split:
            self.view.split, self.view.original = False, True
        else:
            self.toggle("original")

    def toggle(self, what: str) -> None:
        setattr(self.view, what, not getattr(self.view, what))

    def divide(self, at: float) -> None:
        self.view.divider = at

    def change_strength(self, by: float) -> None:
        if self.frozen is not None or self.seen is None:
            return
        known = self.seen.report.strength * 100 if self.strength is None else self.strength
        self.strength = min(max(known + by, 0.0), 100.0)
        now = self._wished_ns = self._clock.now()
        self._ask("set", {"stream": self.stream, "strength_percent": self.strength})
        self.notes.say(words.STRENGTH.format(percent=self.strength), Mood.PLAIN, now, about="strength")

    def freeze(self) -> None:
        now = self._clock.now()
        if self.frozen is not None:
            self.frozen.thawing_ns = now
            self._ask("unfreeze", {"stream": self.stream})
        elif self.seen is None:
            self.notes.say(words.NOTHING_TO_FREEZE, Mood.CAUTION, now, about="freeze")
        else:
            self.frozen = Frozen.of(self._cine.snapshot(), self.seen, now)
            self._ask("freeze", {"stream": self.stream})

    def step(self, by: int) -> None:
        if self.frozen is not None:
            self.frozen.step(by)

    def scroll(self, part: float) -> None:
        if self.frozen is not None:
            self.frozen.scroll(part)

    def still(self) -> None:
        refusal = captures.why_no_still(self.frozen)
        if refusal:
            self.notes.say(refusal, Mood.ALARM, self._clock.now(), about="capture-still")
        else:
            self._store("capture-still", words.STORING["capture-still"])

    def back(self) -> None:
        self._store("capture-back", words.STORING["capture-back"], seconds=self._settings.back_seconds)

    def clip_on_or_off(self) -> None:
        if self.clip.is_running:
            self._store("capture-clip-stop", words.STORING_CLIP)
        else:
            self._store("capture-clip-start", words.STARTING_CLIP)

    def _store(self, do: str, text: str, **more: Any) -> None:
        now = self._clock.now()
        if self.seen is None:
            self.notes.say(words.NOTHING_TO_STORE, Mood.ALARM, now, about=do)
            return
        self._ask(do, {"stream": self.stream, **more})
        self.notes.say(text, Mood.PLAIN, now, about=do, lasting_ns=captures.PATIENCE)

    def lighten(self, steps: float) -> None:
        self.view.tone = self.view.tone.brighter(steps)

    def sharpen(self, steps: float) -> None:
        self.view.tone = self.view.tone.steeper(steps)

    def auto(self) -> None:
        if self.shown is not None:
            self.view.tone = auto_tone(self.shown.report)

    def reset(self) -> None:
        self.view.tone = PLAIN

    def follow(self, stream: str) -> None:
        """Another stream from now on: nothing that was seen belongs to it."""
        self._stream = stream
        self.view, self.watch, self.clip = View(), Watch(), captures.Clip()
        self.seen, self.frozen, self.strength = None, None, None
        self.notes.say(words.FOLLOWING.format(stream=stream), Mood.PLAIN, self._clock.now(), about="stream")

    def other_stream(self) -> str:
        """The next of the live ones, or nothing."""
        others = [name for name in self.streams if name != self.stream]
        if not others:
            self.notes.say(words.ONE_STREAM, Mood.PLAIN, self._clock.now(), about="stream")
            return ""
        return next((name for name in others if name > self.stream), others[0])


_DEEDS: dict[Do, Callable[[State, float], None]] = {
    Do.ORIGINAL: lambda state, _: state.toggle_original(),
    Do.SPLIT: lambda state, _: state.toggle("split"),
    Do.CHANGES: lambda state, _: state.toggle("changes"),
    Do.LIGHT: lambda state, _: state.toggle("light"),
    Do.DIVIDE: lambda state, value: state.divide(value),
    Do.WEAKER: lambda state, _: state.change_strength(-STRENGTH_STEP),
    Do.STRONGER: lambda state, _: state.change_strength(STRENGTH_STEP),
    Do.FREEZE: lambda state, _: state.freeze(),
    Do.OLDER: lambda state, _: state.step(-1),
    Do.NEWER: lambda state, _: state.step(1),
    Do.SCROLL: lambda state, value: state.scroll(value),
    Do.STILL: lambda state, _: state.still(),
    Do.BACK: lambda state, _: state.back(),
    Do.CLIP: lambda state, _: state.clip_on_or_off(),
    Do.DARKER: lambda state, _: state.lighten(-1),
    Do.BRIGHTER: lambda state, _: state.lighten(1),
    Do.LIGHTEN: lambda state, value: state.lighten(value),
    Do.FLATTER: lambda state, _: state.sharpen(-1),
    Do.STEEPER: lambda state, _: state.sharpen(1),
    Do.SHARPEN: lambda state, value: state.sharpen(value),
    Do.AUTO: lambda state, _: state.auto(),
    Do.RESET: lambda state, _: state.reset(),
    Do.DISMISS: lambda state, _: state.notes.dismiss(),
}
