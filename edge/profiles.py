"""Which pictures an engine was judged on: `profile.json` in its folder, for its very model. Read by the lookout thread.

An engine's profile travels with it: in its folder, in its bundle (and then signed with the rest). One that names
another model than the manifest's is not taken.
"""

from __future__ import annotations

import contextlib

import msgspec

from edge.catalog import Catalog, Engine
from edge.drift import FORMAT, Profile

PROFILE_FILE = "profile.json"
LARGEST = 256 << 10


def read_profile(engine: Engine) -> Profile | None:
    """None where there is none for this very model."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        with (engine.folder / PROFILE_FILE).open("rb") as file:
            profile = msgspec.json.decode(file.read(LARGEST), type=Profile)
        if profile.format == FORMAT and profile.sha256 == engine.manifest.sha256:
            return profile
    return None


class Profiles:
    """Of all engines in the catalogue, by their model. One thread's."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._edition = -1
        self._known: dict[str, Profile | None] = {}

    def of(self, sha256: str) -> Profile | None:
        """By the model that runs: an engine's own, or its float twin."""
        if self._edition != self._catalog.edition:
            self._edition, self._known = self._catalog.edition, {}
        if sha256 not in self._known:
            self._known[sha256] = self._read(sha256)
        return self._known[sha256]

    def _read(self, sha256: str) -> Profile | None:
        for engine in self._catalog.engines.values():
            if sha256 and sha256 in (engine.manifest.sha256, engine.manifest.fp32_sha256):
                return read_profile(engine)
        return None
