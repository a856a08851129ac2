"""What somebody who looks at a stored object wants to know of it: whose it is, how fast it runs, how it is windowed."""

from __future__ import annotations

from typing import Any

from edge.dicom.stored import Stored, quiet

LONGEST_TEXT = 200
_SUBJECT = {
    "name": "PatientName",
    "id": "PatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "accession": "AccessionNumber",
    "study": "StudyDescription",
}


def subject_of(stored: Stored) -> dict[str, str]:
    """The patient, as text to be shown: bounded, and printable whatever the object says."""
    with quiet():
        return {name: _text(stored.elements.get(keyword, "")) for name, keyword in _SUBJECT.items()}


def _text(value: Any) -> str:
    letters = "".join(letter if letter.isprintable() else " " for letter in str(value)[:LONGEST_TEXT])
    return letters.strip()


def beat_of(stored: Stored) -> float | list[float]:
    """The milliseconds from one frame to the next: one number, or one for each frame (the first is 0)."""
    with quiet():
        vector = stored.elements.get("FrameTimeVector")
        if vector is not None and stored.frames > 1:
            times = [float(each) for each in (vector if hasattr(vector, "__len__") else [vector])]
            if len(times) == stored.frames:
                return times
        return float(stored.elements.get("FrameTime") or 0.0)


def window_of(stored: Stored) -> tuple[float, float]:
    """The levels that go from black to white: the object's own window, or all that its bits can say."""
    with quiet():
        centre, width = _first(stored.elements.get("WindowCenter")), _first(stored.elements.get("WindowWidth"))
    if centre is None or width is None or width < 1:
        return 0.0, float((1 << stored.layout.bits) - 1)
    return centre - width / 2, centre + width / 2


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value[0] if hasattr(value, "__getitem__") and not isinstance(value, str) else value)
