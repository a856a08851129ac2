"""Pictures side by side with words above them, and curves as SVG. Nothing is scaled: pixels are shown as they are."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.judging.clips import Floats
from edge.errors import ConfigError
from edge.frame import Pixels

Grey = NDArray[np.uint8]
ENHANCED = "ENHANCED"
_BAR, _GAP = 22, 6
_COLOURS = ("#444444", "#0b6e4f", "#b3541e", "#3b5ba5", "#8a4fa3", "#a3923b", "#5aa0a0", "#c0486a", "#777777")


def side_by_side(panels: Sequence[tuple[str, Pixels]]) -> Pixels:
    """8-bit panels in a row, each under its words."""
    colour = any(picture.ndim == 3 for _, picture in panels)
    height = max(picture.shape[0] for _, picture in panels) + _BAR
    columns: list[NDArray[np.uint8]] = []
    for words, picture in panels:
        plain = cast("Grey", picture if picture.ndim == 3 or not colour else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
        panel = np.zeros((height, max(plain.shape[1], 120), *plain.shape[2:]), np.uint8)
        panel[_BAR : _BAR + plain.shape[0], : plain.shape[1]] = plain
        white = (255, 255, 255) if colour else 255
        cv2.putText(panel, words, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, white, 1, cv2.LINE_AA)  # type: ignore[call-overload]
        columns += [panel, np.full((height, _GAP, *plain.shape[2:]), 90, np.uint8)]
    return np.concatenate(columns[:-1], axis=1)


def as_grey(levels: Floats) -> Grey:
    return np.rint(np.clip(levels, 0.0, 1.0) * 255).astype(np.uint8)


def windowed(pictures: Sequence[Pixels]) -> list[Pixels]:
    """16-bit pictures with one window for all, taken from the first; 8-bit ones as they are."""
    if pictures[0].dtype == np.uint8:
        return list(pictures)
    low, high = (float(value) for value in np.percentile(pictures[0], (0.5, 99.5)))
    span = max(1.0, high - low)
    return [as_grey((picture.astype(np.float32) - low) / span) for picture in pictures]


def save(path: Path, picture: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise ConfigError(f"{path} cannot be written")


def curves(title: str, across: str, up: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    """An SVG of lines with points; the first is drawn strongest."""
    points = [point for line in lines.values() for point in line if not math.isnan(point[1])]
    if not points:
        return ""
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top = max(0.5, max(y for _, y in points)) * 1.08
    bottom = min(0.0, min(y for _, y in points))
    span = (right - left) or 1.0

    def at(x: float, y: float) -> str:
        return f"{60 + 420 * (x - left) / span:.1f},{230 - 190 * (y - bottom) / (top - bottom):.1f}"

    parts = [
        f'<svg viewBox="0 0 700 280" role="img" aria-label="{html.escape(title)}">',
        f'<text x="60" y="20" font-size="14">{html.escape(title)}</text>',
        '<path d="M60,40 V230 H480" fill="none" stroke="#999"/>',
        f'<text x="270" y="268" font-size="12" text-anchor="middle">{html.escape(across)}</text>',
        f'<text x="16" y="135" font-size="12" transform="rotate(-90 16 135)">{html.escape(up)}</text>',
    ]
    for value in np.linspace(bottom, top, 5)[:-1]:
        x, y = at(left, float(value)).split(",")
        parts.append(
            f'<text x="{float(x) - 6:.0f}" y="{float(y) + 4:.0f}" font-size="11" text-anchor="end">{value:.1f}</text>'
        )
    parts += [
        f'<text x="{at(x, 0).split(",")[0]}" y="248" font-size="11" text-anchor="middle">{x:g}</text>'
        for x in sorted({x for x, _ in points})
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        known = [at(x, y) for x, y in line if not math.isnan(y)]
        width = 3 if number < 2 else 1.4
        parts.append(f'<polyline points="{" ".join(known)}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        parts += [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="{colour}"/>' for p in known]
        parts.append(f'<text x="496" y="{52 + 18 * number}" font-size="12" fill="{colour}">{html.escape(name)}</text>')
    return "\n".join([*parts, "</svg>"])
