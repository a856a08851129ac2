"""Version numbers of engines and of the application, and which comes first. Pure."""

from __future__ import annotations

import re

VERSION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})(?:\+([a-z0-9]+(?:\.[a-z0-9]+){0,5}))?")


def ordered(version: str) -> tuple[tuple[int, ...], str]:
    """What to compare. A site's own edition of a version comes after it. ValueError where it is no version."""
    found = VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f'version "{version}" is not of the form 1.2.3 or 1.2.3+site.20261120')
    numbers = [int(number) for number in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), found[2] or ""
