"""An engine as one signed file, for a folder, a stick or a web server. The form is `sealed.py`'s, with "LIMPENG" at its
beginning; what an engine must be is `engine_store`'s to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from edge import sealed
from edge.errors import EngineRefused
from edge.sealed import HEAD_FILE, PREFIX, SIGNATURE, Digest, Kind, Stream
from edge.signing import Keyring, Signer

__all__ = [
    "FORMAT", "HEAD_FILE", "KIND", "LARGEST_BUNDLE", "LARGEST_LISTING", "MAGIC", "PREFIX", "SIGNATURE", "SIGNED_AS",
    "SUFFIX", "Head", "Listed", "Listing", "Stream", "check_folder", "pack", "read_head", "unpack",
]  # fmt: skip

FORMAT = 1
SUFFIX = ".limpid-engine"
MAGIC = b"LIMPENG"
SIGNED_AS = b"limpid engine bundle\0"
OF_A_MODEL = {  # each names the sha256 of the model that it tells of; and what writes it anew
    "judged.json": "python -m calibration.judge NAME --write",
    "profile.json": "python -m calibration.profile NAME",
}
LARGEST_LISTING = 64 << 10
LARGEST_FILE = 256 << 20
LARGEST_BUNDLE = 512 << 20

FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")]


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: FileName
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_FILE)]
    sha256: Digest


class Told(msgspec.Struct, frozen=True):
    """What is looked at in a file of `OF_A_MODEL`."""

    sha256: str = ""


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    contract: int
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,47}\Z")]
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    key: sealed.KeyId
    files: Annotated[tuple[Listed, ...], msgspec.Meta(min_length=2, max_length=32)]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


Head = sealed.Head[Listing]
KIND = Kind("engine bundle", MAGIC, FORMAT, SIGNED_AS, Listing, LARGEST_LISTING, LARGEST_BUNDLE, EngineRefused)


def pack(name: str, version: str, contract: int, files: Mapping[str, bytes], signer: Signer) -> bytes:
    """Refuses what `read_head` would refuse, and figures that are of another model than the one beside them."""
    listed = tuple(
        Listed(file, len(content), hashlib.sha256(content).hexdigest()) for file, content in sorted(files.items())
    )
    _check_told(name, files, {one.sha256 for one in listed})
    head = sealed.signed_head(KIND, Listing(FORMAT, contract, name, version, signer.id, listed), signer)
    return head + b"".join(files[one.name] for one in listed)


def _check_told(name: str, files: Mapping[str, bytes], digests: set[str]) -> None:
    for file, writer in OF_A_MODEL.items():
        if file in files and _told_of(files[file]) not in digests:
            raise EngineRefused(f"{name}: {file} tells of another model: {writer.replace('NAME', name)}")


def _told_of(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=Told).sha256
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def read_head(stream: Stream, keys: Keyring) -> Head:
    """The listing, once a trusted key is seen to have signed it. Raises EngineRefused."""
    return sealed.read_head(KIND, stream, keys)


def unpack(stream: Stream, head: Head, into: Path) -> None:
    sealed.unpack(KIND, stream, head, into)


def check_folder(folder: Path, keys: Keyring) -> Listing | None:
    """What came as a bundle is still what was signed, and the key still trusted; None where it did not come so."""
    return sealed.check_folder(KIND, folder, keys)
