"""A signed file of files: the form that engine bundles and updates share. What each holds is its own module's to say.

    seven letters of its kind + format | length of the listing, 4 bytes | listing, JSON | Ed25519 signature, 64 bytes
    the files' contents, one after the other, as the listing has them, and nothing behind

The listing names the signer's key, and each file with its size and SHA-256; its JSON has one form only, so that no two
readers can read it differently. It is checked before anything else is read: what follows it is measured against what
was signed, byte by byte, as it comes. Files lie in one folder and have plain names: there are no paths, no links and no
modes that a bundle could bring along. The head stays with what was installed (`bundle.head`): it can be checked against
the signature again, at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Protocol, TypeVar

import msgspec

from edge.durable import write_all
from edge.errors import LimpidError
from edge.signing import Keyring, Signer

HEAD_FILE = "bundle.head"
PREFIX = struct.Struct(">7sBI")
SIGNATURE = 64
CHUNK = 1 << 20

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
KeyId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Progress = Callable[[int], None]  # so many bytes more


class Stream(Protocol):
    """What a bundle is read from: a file, or an answer that is still coming in."""

    def read(self, size: int, /) -> bytes: ...


class Listed(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Listing(Protocol):
    @property
    def format(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def files(self) -> Sequence[Listed]: ...
    @property
    def size(self) -> int: ...


class _Format(msgspec.Struct):
    format: int


L = TypeVar("L", bound=Listing)


@dataclass(frozen=True, slots=True)
class Kind(Generic[L]):
    """What tells one kind of bundle from another."""

    noun: str
    magic: bytes
    form: int
    signed_as: bytes  # so that a signature under this is none under anything else
    listing: type[L]
    largest_listing: int
    largest_bundle: int
    refused: type[LimpidError]


@dataclass(frozen=True, slots=True)
class Head(Generic[L]):
    """A listing whose signature holds, and its very bytes."""

    listing: L
    content: bytes


# ------------------------------------------------ making one


def signed_head(kind: Kind[L], listing: L, signer: Signer) -> bytes:
    """What comes before the files. Refuses what `read_head` would refuse."""
    text = _canonical(listing)
    _parsed(kind, text)
    if len(text) > kind.largest_listing:
        raise kind.refused("its listing is too long")
    return PREFIX.pack(kind.magic, kind.form, len(text)) + text + signer.sign(kind.signed_as + text)


def _canonical(listing: Listing) -> bytes:
    return msgspec.json.encode(listing, order="deterministic")


# ------------------------------------------------ reading one


def read_head(kind: Kind[L], stream: Stream, keys: Keyring) -> Head[L]:
    """The listing, once a trusted key is seen to have signed it. Raises what the kind raises."""
    prefix = _up_to(stream, PREFIX.size)
    if len(prefix) < PREFIX.size or not prefix.startswith(kind.magic):
        raise kind.refused(f"it is no {kind.noun}")
    _, form, length = PREFIX.unpack(prefix)
    if form != kind.form:
        raise kind.refused(f"it is a bundle of format {form}; this version reads format {kind.form}")
    if not 0 < length <= kind.largest_listing:
        raise kind.refused("its head is damaged")
    text = _exactly(kind, stream, length)
    signature = _exactly(kind, stream, SIGNATURE)
    if not any(signature):
        raise kind.refused("it is not signed")
    listing = _parsed(kind, text)
    keys.check(listing.key, kind.signed_as + text, signature)
    return Head(listing, prefix + text + signature)


def _parsed(kind: Kind[L], text: bytes) -> L:
    try:
        if (found := msgspec.json.decode(text, type=_Format).format) != kind.form:
            raise kind.refused(f"its listing is of format {found}; this version reads format {kind.form}")
        listing = msgspec.json.decode(text, type=kind.listing)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise kind.refused(f"its listing is damaged: {error}") from error
    if _canonical(listing) != text:
        raise kind.refused("its listing is not written in the one form that it may have")
    names = [file.name.lower() for file in listing.files]
    if len(set(names)) != len(names) or HEAD_FILE in names:
        raise kind.refused("its listing names one file twice, or one that no bundle may hold")
    if listing.size > kind.largest_bundle:
        raise kind.refused(f"it holds {listing.size >> 20} MB; at most {kind.largest_bundle >> 20} are taken")
    return listing


def unpack(kind: Kind[L], stream: Stream, head: Head[L], into: Path, progress: Progress = lambda _bytes: None) -> None:
    """Every file into an empty folder, durably; each must be what was signed. The caller removes INTO if not."""
    for listed in head.listing.files:
        with _created(into / listed.name) as fd:
            _copy(kind, stream, listed, fd, progress)
    if stream.read(1):
        raise kind.refused("something follows its last file")
    with _created(into / HEAD_FILE) as fd:
        write_all(fd, head.content)


def read_through(kind: Kind[L], stream: Stream, head: Head[L], progress: Progress = lambda _bytes: None) -> None:
    """Whether all of it is what was signed; nothing is kept."""
    for listed in head.listing.files:
        _copy(kind, stream, listed, None, progress)
    if stream.read(1):
        raise kind.refused("something follows its last file")


def _copy(kind: Kind[L], stream: Stream, listed: Listed, fd: int | None, progress: Progress) -> None:
    digest, left = hashlib.sha256(), listed.size
    while left:
        piece = stream.read(min(left, CHUNK))
        if not piece:
            raise kind.refused(f"it is cut short: {listed.name} lacks {left} of {listed.size} bytes")
        digest.update(piece)
        if fd is not None:
            write_all(fd, piece)
        left -= len(piece)
        progress(len(piece))
    if digest.hexdigest() != listed.sha256:
        raise kind.refused(f"{listed.name} in it is damaged or altered: it is not what was signed")


def check_folder(kind: Kind[L], folder: Path, keys: Keyring) -> L | None:
    """What came as a bundle is still what was signed, and the key still trusted; None where it did not come so."""
    listing = head_of(kind, folder, keys)
    for listed in listing.files if listing is not None else ():
        _check_file(kind, folder / listed.name, listed)
    return listing


def head_of(kind: Kind[L], folder: Path, keys: Keyring) -> L | None:
    """The listing that stayed with what was installed, its signature checked again; None where there is none."""
    try:
        file = (folder / HEAD_FILE).open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise kind.refused(f"{folder / HEAD_FILE}: {error.strerror}") from error
    with file:
        return read_head(kind, file, keys).listing


def _check_file(kind: Kind[L], path: Path, listed: Listed) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.sha256(file.read(listed.size + 1)).hexdigest()
    except OSError as error:
        raise kind.refused(f"{path.name}: {error.strerror}") from error
    if found != listed.sha256:
        raise kind.refused(f"{path.name} is damaged or altered: it is not what was signed")


def _exactly(kind: Kind[L], stream: Stream, count: int) -> bytes:
    found = _up_to(stream, count)
    if len(found) < count:
        raise kind.refused("it is cut short in its head")
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
