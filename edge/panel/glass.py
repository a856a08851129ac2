"""The screen, through SDL: the one door to pygame. Bare console (KMS/DRM), Wayland or X11, whatever SDL finds.

Used by main alone. It knows colours and letters, and nothing of what they mean.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from edge.errors import ScreenUnavailable
from edge.frame import Box
from edge.panel.face import Button, Face, Placed
from edge.panel.keys import Finger, Key
from edge.panel.kms import Console
from edge.panel.notes import Mood
from edge.panel.picture import Bytes
from edge.panel.screen import WINDOW, Screen

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame

Colour = tuple[int, int, int]
BLACK, WHITE, LINE = (0, 0, 0), (255, 255, 255), (96, 96, 96)
GROUNDS: dict[Mood, tuple[Colour, Colour]] = {  # letters, ground: at least 4.5 to 1
    Mood.PLAIN: (WHITE, (28, 28, 28)),
    Mood.GOOD: (WHITE, (0, 98, 48)),
    Mood.CAUTION: (BLACK, (255, 190, 0)),
    Mood.ALARM: (WHITE, (200, 0, 0)),
    Mood.COLD: (WHITE, (0, 80, 170)),
}
BUTTON, LIT, FAINT = (40, 40, 40), (228, 228, 228), (120, 120, 120)
PAD = 6
DIRECT = ("x11",)  # a window that can be drawn into without a renderer; a console (KMS/DRM) and Wayland have none
BLIND = ("offscreen", "dummy")  # what SDL falls back to; nobody sees it
FINGERS = {pygame.MOUSEBUTTONDOWN: "down", pygame.MOUSEBUTTONUP: "up", pygame.MOUSEMOTION: "move"}


class Glass:
    def __init__(self, screen: Screen) -> None:
        self._drawn_buttons: tuple[Button, ...] | None = None
        self._has_mouse = not screen.fullscreen
        try:
            self._surface = _opened(screen)
        except ScreenUnavailable:
            pygame.display.quit()
            raise
        self.driver = pygame.display.get_driver()
        self.size = self._surface.get_size()
        pygame.font.init()
        pygame.display.set_caption("Limpid")
        pygame.display.set_allow_screensaver(False)
        pygame.mouse.set_visible(not screen.fullscreen)
        self._font = functools.lru_cache(maxsize=32)(lambda letters: pygame.font.Font(None, _points(letters)))
        self._text = functools.lru_cache(maxsize=512)(self._rendered)
        self._surface.fill(BLACK)

    # ------------------------------------------------ letters

    def measure(self, text: str, letters: int) -> tuple[int, int]:
        return self._font(letters).size(text)

    def _rendered(self, text: str, letters: int, colour: Colour, ground: Colour) -> pygame.Surface:
        return self._font(letters).render(text, antialias=True, color=colour, bgcolor=ground).convert(self._surface)

    # ------------------------------------------------ drawing

    def paint(self, work: Callable[[Bytes], None]) -> None:
        """`work` writes into the screen's own memory: (height, width, 4), blue first."""
        columns = pygame.surfarray.pixels2d(self._surface)  # locks the surface for as long as it lives
        width, height = self.size
        work(columns.T.view(np.uint8).reshape(height, width, 4))

    def clear(self, area: Box, but: Box | None) -> None:
        """Black, but for where the picture goes."""
        if but is None:
            self._surface.fill(BLACK, _rect(area))
            return
        right, bottom = but.x + but.width, but.y + but.height
        for bar in (
            (area.x, area.y, area.width, but.y - area.y),
            (area.x, bottom, area.width, area.y + area.height - bottom),
            (area.x, but.y, but.x - area.x, but.height),
            (right, but.y, area.x + area.width - right, but.height),
        ):
            if bar[2] > 0 and bar[3] > 0:
                self._surface.fill(BLACK, bar)

    def draw(self, face: Face, area: Box) -> None:
        """Over the picture, and the buttons where they have changed."""
        if face.divider is not None and face.picture is not None:
            self._surface.fill(BLACK, (face.divider - 2, face.picture.y, 4, face.picture.height))
            self._surface.fill(WHITE, (face.divider - 1, face.picture.y, 2, face.picture.height))
        if face.scale is not None:
            self._scale(face.scale.box, face.scale.part)
        if face.border is not None:
            pygame.draw.rect(self._surface, GROUNDS[face.border][1], _rect(area), 4)
        for plate in face.plates:
            self._plate(plate)
        if face.buttons != self._drawn_buttons:
            self._drawn_buttons = face.buttons
            for button in face.buttons:
                self._button(button)

    def _plate(self, plate: Placed) -> None:
        colour, ground = GROUNDS[plate.mood]
        self._surface.fill(ground, _rect(plate.box))
        y = plate.box.y + PAD // 2
        for line in plate.lines:
            text = self._text(line, plate.letters, colour, ground)
            self._surface.blit(text, (plate.box.x + PAD, y))
            y += text.get_height()

    def _scale(self, box: Box, part: float) -> None:
        """A line and a handle, no ground: the picture behind it is what matters."""
        middle, most = box.y + box.height // 2, box.width - 24
        self._surface.fill(BLACK, (box.x + 12, middle - 3, most, 6))
        self._surface.fill(WHITE, (box.x + 12, middle - 1, most, 2))
        at = box.x + 12 + round(part * most)
        self._surface.fill(BLACK, (at - 7, box.y + 5, 14, box.height - 10))
        self._surface.fill(WHITE, (at - 5, box.y + 7, 10, box.height - 14))

    def _button(self, button: Button) -> None:
        ground = LIT if button.lit else BUTTON
        colour = BLACK if button.lit else WHITE if button.usable else FAINT
        self._surface.fill(BLACK, _rect(button.box))
        inner = _rect(button.box).inflate(-4, -4)
        pygame.draw.rect(self._surface, ground, inner, border_radius=6)
        pygame.draw.rect(self._surface, LINE, inner, width=1, border_radius=6)
        texts = [self._text(line, button.letters, colour, ground) for line in button.lines]
        y = inner.centery - sum(text.get_height() for text in texts) // 2
        for text in texts:
            self._surface.blit(text, (inner.centerx - text.get_width() // 2, y))
            y += text.get_height()

    def flip(self) -> None:
        """Onto the screen; with vsync, when the screen is ready."""
        pygame.display.flip()

    def grab(self) -> Bytes:
        """What was drawn: (height, width, 3), blue first."""
        return np.ascontiguousarray(pygame.surfarray.array3d(self._surface).transpose(1, 0, 2)[:, :, ::-1])

    # ------------------------------------------------ fingers

    def events(self) -> Iterator[Key | Finger]:
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                yield Key("q", control=True)
            elif event.type == pygame.KEYDOWN:
                yield Key(pygame.key.name(event.key), bool(event.mod & pygame.KMOD_CTRL))
            elif event.type == pygame.MOUSEWHEEL:
                yield Key("right" if event.y > 0 else "left")
            elif event.type in FINGERS:
                yield from self._finger(event)

    def _finger(self, event: pygame.Event) -> Iterator[Finger]:
        if event.type == pygame.MOUSEMOTION and not getattr(event, "touch", False):
            # The first one only tells where the pointer is; there is a mouse where it moves.
            pygame.mouse.set_visible(self._has_mouse)
            self._has_mouse = True
        held = event.buttons[0] if event.type == pygame.MOUSEMOTION else event.button == 1
        if held:
            x, y = event.pos
            yield Finger(x, y, FINGERS[event.type])

    def close(self) -> None:
        pygame.quit()


def _points(letters: int) -> int:
    """Of the font that comes with pygame, for letters about so high."""
    return max(round(letters * 1.25), 8)


def _rect(box: Box) -> pygame.Rect:
    return pygame.Rect(box.x, box.y, box.width, box.height)


def _opened(screen: Screen) -> pygame.Surface:
    if screen.driver:
        os.environ["SDL_VIDEODRIVER"] = screen.driver
    try:
        pygame.display.init()
        if not screen.vsync and pygame.display.get_driver() in DIRECT:
            # Straight from memory to the window: where nothing is to be waited for, a renderer in between only costs.
            os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
        if pygame.display.get_driver() in BLIND and "SDL_VIDEODRIVER" not in os.environ:
            raise ScreenUnavailable(
                f"no screen can be opened: neither a console (KMS/DRM) nor Wayland nor X11 is there{_why()}"
            )
        return _surface(screen)
    except pygame.error as error:
        bare = pygame.display.get_driver() == "KMSDRM" if pygame.display.get_init() else screen.driver == "kmsdrm"
        raise ScreenUnavailable(f"no screen can be opened: {error}{_why() if bare else ''}") from error


def _why() -> str:
    """What the console lacks: SDL does not tell."""
    return "".join(f"; {each.what} ({each.remedy})" for each in Console().obstacles())


def _surface(screen: Screen) -> pygame.Surface:
    sizes = pygame.display.get_desktop_sizes()
    if screen.index >= len(sizes):
        raise ScreenUnavailable(f"there is no screen {screen.index}: {len(sizes)} found, counted from 0")
    size = screen.size if all(screen.size) else sizes[screen.index] if screen.fullscreen else WINDOW
    flags = pygame.FULLSCREEN if screen.fullscreen else 0
    if screen.vsync:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "no fast renderer": then it is better without one
            try:
                return pygame.display.set_mode(size, flags | pygame.SCALED, display=screen.index, vsync=1)
            except (pygame.error, Warning):
                pygame.display.quit()
                pygame.display.init()
    return pygame.display.set_mode(size, flags, 32, display=screen.index)
