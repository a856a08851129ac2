"""An engine's folder, as those write it who train, convert, trim and judge engines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge.durable import write_durably

MANIFEST = "manifest.toml"
READABLE = 0o644  # by the daemon's user, whoever made it


def write_files(home: Path, files: Mapping[str, bytes]) -> None:
    """Each file is the old one or the new one, whole, whatever interrupts this. The manifest comes last: cut off before
    it, the folder is refused for a model that it does not vouch for, and none is taken for another.
    """
    for name, content in sorted(files.items(), key=lambda file: file[0] == MANIFEST):
        write_durably(home / name, content, mode=READABLE)
