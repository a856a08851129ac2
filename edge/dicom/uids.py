"""UIDs: fresh ones for objects, derived ones for whatever must come out the same each time. Pure but for chance."""

from __future__ import annotations

import hashlib
import hmac
import uuid

UUID_ROOT = "2.25"  # UIDs made of UUIDs, which need no registered root (PS3.5 B.2)
IMPLEMENTATION_CLASS = "2.25.213389559190955695754071223290004472911"
_LONGEST = 64


def fresh(root: str = UUID_ROOT) -> str:
    """A UID that nothing else has."""
    return _under(root, uuid.uuid4().int)


def derived(root: str, *names: str) -> str:
    """The same names give the same UID, on any machine, at any time."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return _under(root, uuid.UUID(bytes=digest[:16], version=5).int)


def keyed(key: bytes, uid: str) -> str:
    """The same UID gives the same pseudonym; without the key nobody can tell which, nor try."""
    digest = hmac.new(key, uid.encode(), hashlib.sha256).digest()
    return _under(UUID_ROOT, uuid.UUID(bytes=digest[:16], version=4).int)


def _under(root: str, number: int) -> str:
    root = root.rstrip(".")
    return f"{root}.{str(number)[: _LONGEST - len(root) - 1]}"
