"""An engine as one signed file, for a folder, a stick or a web server. Only the format: what an engine must be is
`engine_store`'s to say.

    "LIMPENG" + version 1 | length of the listing, 4 bytes | the listing, JSON | Ed25519 signature, 64 bytes
    the files' contents, one after the other, as the listing has them, and nothing behind

The listing names the engine, the signer's key, and each file with its size and SHA-256; its JSON has one form only, so
that no two readers can read it differently. It is checked before anything else is read: what follows it is measured
against what was signed, byte by byte, as it comes. Files lie in one folder and have plain names: there are no paths, no
links and no modes that a bundle could bring along. The head stays with the installed files (`bundle.head`): they can be
checked against the signature again, at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import msgspec

from edge.errors import EngineRefused
from edge.signing import Keyring, Signer

FORMAT = 1
SUFFIX = ".limpid-engine"
HEAD_FILE = "bundle.head"
MAGIC = b"LIMPENG"
PREFIX = struct.Struct(">7sBI")
SIGNATURE = 64
SIGNED_AS = b"limpid engine bundle\0"  # so that a signature under this is none under anything else
LARGEST_LISTING = 64 << 10
LARGEST_FILE = 256 << 20
LARGEST_BUNDLE = 512 << 20
CHUNK = 1 << 20

FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Stream(Protocol):
    """What a bundle is read from: a file, or an answer that is still coming in."""

    def read(self, size: int, /) -> bytes: ...


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: FileName
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_FILE)]
    sha256: Digest


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    contract: int
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,47}\Z")]
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    files: Annotated[tuple[Listed, ...], msgspec.Meta(min_length=2, max_length=32)]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class _Format(msgspec.Struct):
    format: int


@dataclass(frozen=True, slots=True)
class Head:
    """A listing whose signature holds, and its very bytes."""

    listing: Listing
    content: bytes


# ------------------------------------------------ making one


def pack(name: str, version: str, contract: int, files: Mapping[str, bytes], signer: Signer) -> bytes:
    """Refuses what `read_head` would refuse."""
    listed = tuple(
        Listed(file, len(content), hashlib.sha256(content).hexdigest()) for file, content in sorted(files.items())
    )
    listing = _canonical(Listing(FORMAT, contract, name, version, signer.id, listed))
    _parsed(listing)
    head = PREFIX.pack(MAGIC, FORMAT, len(listing)) + listing + signer.sign(SIGNED_AS + listing)
    return head + b"".join(files[one.name] for one in listed)


def _canonical(listing: Listing) -> bytes:
    return msgspec.json.encode(listing, order="deterministic")


# ------------------------------------------------ reading one


def read_head(stream: Stream, keys: Keyring) -> Head:
    """The listing, once a trusted key is seen to have signed it. Raises EngineRefused."""
    prefix = _up_to(stream, PREFIX.size)
    if len(prefix) < PREFIX.size or not prefix.startswith(MAGIC):
        raise EngineRefused("it is no engine bundle")
    _, form, length = PREFIX.unpack(prefix)
    if form != FORMAT:
        raise EngineRefused(f"it is a bundle of format {form}; this version reads format {FORMAT}")
    if not 0 < length <= LARGEST_LISTING:
        raise EngineRefused("its head is damaged")
    text = _exactly(stream, length)
    signature = _exactly(stream, SIGNATURE)
    if not any(signature):
        raise EngineRefused("it is not signed")
    listing = _parsed(text)
    keys.check(listing.key, SIGNED_AS + text, signature)
    return Head(listing, prefix + text + signature)


def _parsed(text: bytes) -> Listing:
    try:
        if (found := msgspec.json.decode(text, type=_Format).format) != FORMAT:
            raise EngineRefused(f"its listing is of format {found}; this version reads format {FORMAT}")
        listing = msgspec.json.decode(text, type=Listing)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EngineRefused(f"its listing is damaged: {error}") from error
    if _canonical(listing) != text:
        raise EngineRefused("its listing is not written in the one form that it may have")
    names = [file.name.lower() for file in listing.files]
    if len(set(names)) != len(names) or HEAD_FILE in names:
        raise EngineRefused("its listing names one file twice, or one that no bundle may hold")
    if listing.size > LARGEST_BUNDLE:
        raise EngineRefused(f"it holds {listing.size >> 20} MB; at most {LARGEST_BUNDLE >> 20} are taken")
    return listing


def unpack(stream: Stream, head: Head, into: Path) -> None:
    """Every file into an empty folder, durably; each must be what was signed. The caller removes INTO if not."""
    for listed in head.listing.files:
        with _created(into / listed.name) as fd:
            _copy(stream, listed, fd)
    if stream.read(1):
        raise EngineRefused("something follows its last file")
    with _created(into / HEAD_FILE) as fd:
        _write(fd, head.content)


def _copy(stream: Stream, listed: Listed, fd: int) -> None:
    digest, left = hashlib.sha256(), listed.size
    while left:
        piece = stream.read(min(left, CHUNK))
        if not piece:
            raise EngineRefused(f"it is cut short: {listed.name} lacks {left} of {listed.size} bytes")
        digest.update(piece)
        _write(fd, piece)
        left -= len(piece)
    if digest.hexdigest() != listed.sha256:
        raise EngineRefused(f"{listed.name} in it is damaged or altered: it is not what was signed")


def check_folder(folder: Path, keys: Keyring) -> Listing | None:
    """What came as a bundle is still what was signed, and the key still trusted; None where it did not come so."""
    try:
        file = (folder / HEAD_FILE).open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineRefused(f"{folder / HEAD_FILE}: {error.strerror}") from error
    with file:
        listing = read_head(file, keys).listing
    for listed in listing.files:
        _check_file(folder / listed.name, listed)
    return listing


def _check_file(path: Path, listed: Listed) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.sha256(file.read(listed.size + 1)).hexdigest()
    except OSError as error:
        raise EngineRefused(f"{path.name}: {error.strerror}") from error
    if found != listed.sha256:
        raise EngineRefused(f"{path.name} is damaged or altered: it is not what was signed")


def _exactly(stream: Stream, count: int) -> bytes:
    found = _up_to(stream, count)
    if len(found) < count:
        raise EngineRefused("it is cut short in its head")
    return found


def _up_to(stream: Stream, count: int) -> bytes:
    """A stream from a network gives what has come so far."""
    found = b""
    while len(found) < count and (piece := stream.read(count - len(found))):
        found += piece
    return found


@contextlib.contextmanager
def _created(path: Path) -> Generator[int, None, None]:
    """A new file, durable when it is left without an error. Never an existing one, never through a link."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        yield fd
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
