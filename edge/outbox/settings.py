"""[outbox]: where captures wait, how full the disk may be, how long they stay, and whether they are sealed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    folder: str = ""  # empty: where systemd keeps the service's state, or the user's own state folder
    watermark_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 90.0  # a fuller disk takes no new capture
    least_free_mb: Annotated[int, msgspec.Meta(ge=0)] = 512  # nor one with less room than this
    retention_hours: Annotated[float, msgspec.Meta(ge=0)] = 72.0  # after the last confirmation, of running time
    key_file: str = ""  # 32 bytes, or 64 hexadecimal digits; with a key, what is stored is sealed
    key_credential: str = ""  # the same, as a credential that systemd hands over

    @property
    def place(self) -> Path:
        if self.folder:
            return Path(self.folder)
        state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        if state:
            return Path(state) / "outbox"
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "limpid/outbox"
