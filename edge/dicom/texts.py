"""Values as their VR allows them: what a worklist or a keyboard gave is cut and cleaned. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from pydicom.dataset import Dataset

_LONGEST = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10_240, "UT": 1 << 20}
_PARAGRAPHS = ("ST", "LT", "UT")  # may hold line ends, and backslashes, which part values elsewhere
_TEXT_VRS = ("SH", "LO", "PN", "ST", "LT", "UT", "UC")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")
_PATTERNS = {
    "DA": re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]*"),
    "UI": re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+"),
}


def fit(vr: str, text: str) -> str:
    """The text as this VR may hold it; empty where nothing of it can stand."""
    if vr in _PARAGRAPHS:
        return _CONTROL_BUT_LINES.sub(" ", text).strip()[: _LONGEST[vr]]
    text = _CONTROL.sub(" ", text).replace("\\", "/").strip()
    if vr == "PN":
        return "=".join(_cut(group, 64) for group in text.split("=")[:3])
    if vr == "CS":
        text = text.upper()
    if vr in _PATTERNS and not _PATTERNS[vr].fullmatch(text):
        return ""
    return _cut(text, 64 if vr == "UI" else _LONGEST.get(vr, len(text)))


def _cut(text: str, longest: int) -> str:
    """Beyond ASCII the bytes may be odd in number; then a space is added, and strict readers count it."""
    return text[: longest if text.isascii() else longest - 1].rstrip()


def decimal(value: float) -> str:
    """A DS of at most 16 characters."""
    for digits in range(10, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return "0"


def date(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def time(moment: datetime) -> str:
    return moment.strftime("%H%M%S.") + f"{moment.microsecond // 1000:03d}"


def offset(moment: datetime) -> str:
    """As +0100; empty for a moment without one."""
    return moment.strftime("%z")[:5]


def date_time(moment: datetime) -> str:
    return date(moment) + time(moment) + offset(moment)


def character_set(dataset: Dataset) -> str:
    """The smallest that holds every text; empty where ASCII does."""
    found = "".join(_texts(dataset))
    if found.isascii():
        return ""
    try:
        found.encode("latin-1")
    except UnicodeEncodeError:
        return "ISO_IR 192"
    return "ISO_IR 100"


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in _TEXT_VRS and element.value:
            yield str(element.value)
