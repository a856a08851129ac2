"""Everything that is on the screen beside the picture itself, each thing at its place. Pure; used by main alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.frame import Box, Treatment
from edge.panel import badge, words
from edge.panel.badge import Plate
from edge.panel.keys import Do, Ground, buttons
from edge.panel.layout import Layout
from edge.panel.notes import Mood
from edge.panel.picture import fit
from edge.panel.state import State
from edge.panel.watch import Seen

Measure = Callable[[str, int], tuple[int, int]]  # words and height of the letters -> their size in pixels
PAD = 6
NOTE_LINES = 3
DOTS = "..."


@dataclass(frozen=True, slots=True)
class Placed:
    """Lines of text in a box with a ground of its own."""

    box: Box
    lines: tuple[str, ...]
    letters: int
    mood: Mood


@dataclass(frozen=True, slots=True)
class Button:
    do: Do
    box: Box
    lines: tuple[str, ...]
    letters: int
    lit: bool
    usable: bool


@dataclass(frozen=True, slots=True)
class Scale:
    """The bar to scroll in, while frozen."""

    box: Box
    part: float


@dataclass(slots=True)
class Face:
    plates: list[Placed] = field(default_factory=list[Placed])
    buttons: tuple[Button, ...] = ()
    picture: Box | None = None
    divider: int | None = None  # x
    scale: Scale | None = None
    border: Mood | None = None  # around the picture area, while the picture stands still

    @property
    def boxes(self) -> list[Box]:
        """All that must not lie on each other."""
        bar = [self.scale.box] if self.scale is not None else []
        return [*(plate.box for plate in self.plates), *(button.box for button in self.buttons), *bar]


class Painter:
    """Places things; `measure` knows how large words will be."""

    def __init__(self, layout: Layout, measure: Measure) -> None:
        self._layout = layout
        self._measure = measure

    def ground(self, state: State) -> Ground:
        """What lies under a finger."""
        return Ground(
            self._layout, self._picture(state.shown), _buttons(state),
            state.view.divider if state.view.split else None, state.frozen is not None, state.view.light,
        )  # fmt: skip

    def face(self, state: State, now_ns: int) -> Face:
        face = Face(buttons=self._buttons(state), picture=self._picture(state.shown))
        seen = state.shown
        if seen is not None:
            self._tell_picture(face, state, seen, now_ns)
        elif (said := badge.recording(state, now_ns)) is not None:
            self._column(face, [said], right=True)
        if state.frozen is not None:
            face.scale = Scale(self._layout.scroll_bar, state.frozen.part)
            face.border = Mood.COLD
        self._tell_rest(face, state, now_ns)
        return face

    def _picture(self, seen: Seen | None) -> Box | None:
        if seen is None or seen.report.pixels is None:
            return None
        high, wide = seen.report.pixels.shape[:2]
        return fit(self._layout.area, wide, high, seen.report.spacing_mm)

    # ------------------------------------------------ on the picture

    def _tell_picture(self, face: Face, state: State, seen: Seen, now_ns: int) -> None:
        right = [Plate(badge.age(seen.age_ns(now_ns))), badge.recording(state, now_ns)]
        treated = badge.treatment(seen.report, state.view)
        if _is_split(state):
            assert face.picture is not None
            face.divider = face.picture.x + round(state.view.divider * face.picture.width)
            right.insert(0, treated)  # each side's name on its side
            treated = Plate(words.ORIGINAL, Mood.CAUTION)
        left = [
            treated,
            badge.drift(seen.report, state.view),
            badge.frozen(state.frozen) if state.frozen is not None else None,
            badge.heat(seen.report),
            badge.link_trouble(state, now_ns),
            badge.changes(seen, state.view),
            badge.tone(state.view.tone, seen.report.bits),
        ]
        self._column(face, right, right=True)
        self._column(face, left, right=False)

    def _column(self, face: Face, plates: Sequence[Plate | None], *, right: bool) -> None:
        """From a corner downwards. On the left each gives way to what is on the right at its height."""
        area, gap, letters = self._layout.area, self._layout.gap, self._layout.letters
        y = area.y + gap
        for plate in plates:
            if plate is None:
                continue
            most = area.width - 2 * gap
            if right and len(plates) > 2:
                most = area.width * 2 // 3  # the other side's name is a short word
            beside = [one.box for one in face.plates if one.box.y < y + 2 * letters and one.box.y + one.box.height > y]
            if not right:
                most = min([most, *(box.x - gap - area.x - gap for box in beside)])
            text = self._shortened(plate, most - 2 * PAD, letters)
            wide, high = self._measure(text, letters)
            box_wide, box_high = wide + 2 * PAD, high + PAD
            x = area.x + area.width - gap - box_wide if right else area.x + gap
            face.plates.append(Placed(Box(x, y, box_wide, box_high), (text,), letters, plate.mood))
            y += box_high + gap

    def _shortened(self, plate: Plate, most: int, letters: int) -> str:
        """Where there is no room, the soft part is cut: never ENHANCED or ORIGINAL, never the strength."""
        text, soft = plate.text, plate.soft
        while self._measure(text, letters)[0] > most and soft:
            soft = soft[:-1]
            text = plate.text.replace(plate.soft, f"{soft}{DOTS}" if soft else "", 1).rstrip()
        return text

    # ------------------------------------------------ at the foot, and over all

    def _tell_rest(self, face: Face, state: State, now_ns: int) -> None:
        area, gap, letters = self._layout.area, self._layout.gap, self._layout.letters
        foot = area.y + area.height - (face.scale.box.height if face.scale is not None else 0)
        told = [(note.text, note.mood) for note in state.notes.now(now_ns)]
        if state.tray is not None:
            plate = badge.tray(state.tray)
            told.append((plate.text, plate.mood))
        for text, mood in reversed(told):
            foot = self._foot(face, self._wrapped(text, area.width - 2 * gap - 2 * PAD, letters), mood, foot)
        said = badge.not_live(state, now_ns)
        if said is not None:
            face.border = Mood.ALARM
            self._over_all(face, *said, foot)

    def _foot(self, face: Face, lines: tuple[str, ...], mood: Mood, foot: int) -> int:
        """Upwards from `foot`. Gives where the next one ends."""
        area, gap, letters = self._layout.area, self._layout.gap, self._layout.letters
        wide, high = self._size(lines, letters)
        top = foot - gap - high
        face.plates.append(Placed(Box(area.x + gap, top, wide, high), lines, letters, mood))
        return top

    def _size(self, lines: Sequence[str], letters: int) -> tuple[int, int]:
        sizes = [self._measure(line, letters) for line in lines]
        return max(wide for wide, _ in sizes) + 2 * PAD, sum(high for _, high in sizes) + PAD

    def _over_all(self, face: Face, large: str, below: str, foot: int) -> None:
        """NOT LIVE across the middle: two plates, one above the other."""
        area, letters = self._layout.area, self._layout.large_letters
        wide, high = self._size((large,), letters)
        lines = self._wrapped(below, area.width - 4 * PAD, self._layout.letters)
        wide_below, high_below = self._size(lines, self._layout.letters)
        top = min(area.y + (area.height - high - high_below) // 2, foot - self._layout.gap - high - high_below)
        x = area.x + (area.width - wide) // 2
        face.plates.append(Placed(Box(x, top, wide, high), (large,), letters, Mood.ALARM))
        x = area.x + (area.width - wide_below) // 2
        face.plates.append(Placed(Box(x, top + high, wide_below, high_below), lines, self._layout.letters, Mood.ALARM))

    def _wrapped(self, text: str, most: int, letters: int) -> tuple[str, ...]:
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if self._measure(longer, letters)[0] <= most or not lines[-1]:
                lines[-1] = longer
            else:
                lines.append(word)
        if len(lines) > NOTE_LINES:
            lines = [*lines[: NOTE_LINES - 1], f"{lines[NOTE_LINES - 1]} {DOTS}"]
        return tuple(self._cut(line, most, letters) for line in lines)

    def _cut(self, line: str, most: int, letters: int) -> str:
        while self._measure(line, letters)[0] > most:
            line = line.removesuffix(DOTS)[:-1] + DOTS
        return line

    # ------------------------------------------------ buttons

    def _buttons(self, state: State) -> tuple[Button, ...]:
        slots = self._layout.slots
        made: list[Button] = []
        for do, box in zip(_buttons(state), slots, strict=False):
            lines = tuple(_label(do, state).split("\n"))
            letters = self._layout.button_letters
            widest = max(self._measure(line, letters)[0] for line in lines)
            while widest > box.width - 8 and letters > 8:
                letters -= 1
                widest = max(self._measure(line, letters)[0] for line in lines)
            made.append(Button(do, box, lines, letters, _is_lit(do, state), _is_usable(do, state)))
        return tuple(made)


def _buttons(state: State) -> tuple[Do, ...]:
    return buttons(frozen=state.frozen is not None, light=state.view.light)


def _is_split(state: State) -> bool:
    """There are two sides only of a picture that was enhanced."""
    seen = state.shown
    return state.view.split and seen is not None and seen.report.treatment is Treatment.ENHANCED


def _label(do: Do, state: State) -> str:
    if do is Do.FREEZE and state.frozen is not None:
        return words.UNFREEZE
    if do is Do.CLIP and state.clip.is_running:
        return words.STOP_CLIP
    return words.BUTTONS[do.value].format(seconds=state.back_seconds)


def _is_lit(do: Do, state: State) -> bool:
    view = state.view
    lit = {
        Do.ORIGINAL: view.original, Do.SPLIT: view.split, Do.CHANGES: view.changes, Do.LIGHT: view.light,
        Do.FREEZE: state.frozen is not None, Do.CLIP: state.clip.is_running,
    }  # fmt: skip
    return lit.get(do, False)


def _is_usable(do: Do, state: State) -> bool:
    if do is Do.OLDER:
        return state.frozen is not None and state.frozen.at > 0
    if do is Do.NEWER:
        return state.frozen is not None and not state.frozen.is_at_end
    return state.seen is not None or do in (Do.LIGHT,)
