"""The exams of this appliance on disk: one small file, replaced whole, readable by its owner alone.

It holds patients' identities, which is why nothing else does: events, logs and the outbox's listing name an exam by its
uid. Where the outbox is sealed, so is this, by the same key. Written by the capture thread alone.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Literal

import msgspec

from edge import durable
from edge.errors import ConfigError, OutboxFault
from edge.exam import Exam
from edge.outbox.seal import MAGIC, Key, Sealer, Unsealer

BOOK = "exams.json"
MOST_ENDED = 200  # exams that are over and settled; older ones are forgotten, the archive has them
Progress = Literal["open", "closed", "discarded"]


class Image(msgspec.Struct, frozen=True):
    """One object of an exam, for the notice that the exam is completed."""

    capture: str
    series_uid: str
    sop_class: str
    sop_uid: str
    modality: str


class Entry(msgspec.Struct, frozen=True):
    exam: Exam
    progress: Progress = "open"
    touched: str = ""  # wall time of the last thing done in it
    taken: int = 0  # captures so far: the next one's instance number is one more
    streams: tuple[str, ...] = ()  # in the order of their first capture: each has series numbers of its own
    captures: tuple[str, ...] = ()  # in the outbox
    images: tuple[Image, ...] = ()
    correcting: bool = False  # the identity was corrected here, and not yet in every stored object
    replaces: str = ""  # with `correcting`: the uid of the exam whose captures are copied

    @property
    def is_settled(self) -> bool:
        return self.progress != "open" and not self.exam.provisional and not self.correcting


class Pages(msgspec.Struct, frozen=True):
    """Everything in the book."""

    current: str = ""
    entries: dict[str, Entry] = {}

    def with_entry(self, entry: Entry, *, current: str | None = None) -> Pages:
        entries = {**self.entries, entry.exam.uid: entry}
        settled = [uid for uid, one in entries.items() if one.is_settled]
        for uid in settled[: max(0, len(settled) - MOST_ENDED)]:
            del entries[uid]
        return Pages(self.current if current is None else current, entries)


class Vault:
    """Small files with identities in them: for the owner alone, sealed where there is a key, whole or not there."""

    def __init__(self, folder: Path, key: Key | None = None) -> None:
        self.folder = folder
        self._key = key

    def write(self, name: str, content: bytes) -> None:
        """Durable when it returns. Raises OSError, and leaves what was there before."""
        durable.make_folder(self.folder)
        durable.write_durably(self.folder / name, self._sealed(content))

    def read(self, name: str) -> bytes:
        """Raises OSError; OutboxFault where it is not what was written; ConfigError where the key is not at hand.

        Each file says itself whether it is sealed: a key may be added at any time, and what was written before lies in
        plain until it is written again. So a key keeps these files secret; that nobody else puts one in their place
        is, as for the outbox's own records, up to the rights of the folder.
        """
        content = (self.folder / name).read_bytes()
        if not content.startswith(MAGIC):
            return content
        if self._key is None:
            raise ConfigError(f"[outbox] {name} is sealed with key {_key_id(content)}, and there is no key at hand")
        with Unsealer(io.BytesIO(content), self._key) as file:
            return file.read()

    def rename(self, name: str, new: str) -> None:
        durable.rename_durably(self.folder / name, self.folder / new)

    def remove(self, name: str) -> None:
        durable.remove_durably(self.folder / name)

    def names(self, pattern: str) -> list[str]:
        return sorted(path.name for path in self.folder.glob(pattern)) if self.folder.is_dir() else []

    def _sealed(self, content: bytes) -> bytes:
        if self._key is None:
            return content
        pieces: list[bytes] = []
        sealer = Sealer(self._key, pieces.append)
        sealer.write(content)
        sealer.finish()
        return b"".join(pieces)


def _key_id(sealed: bytes) -> str:
    return sealed[len(MAGIC) : len(MAGIC) + 8].hex()


class Book:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._unread: OSError | None = None  # the disk refused what is in the book: it must not be written over

    def read(self) -> Pages:
        """What was written last. What does not decode is set aside: the appliance goes on without it. ConfigError: it
        is sealed, and the key is not at hand. Where the disk refuses, the picture goes on, and no exam is recorded."""
        try:
            return msgspec.json.decode(self._vault.read(BOOK), type=Pages)
        except FileNotFoundError:
            return Pages()
        except OSError as error:
            self._unread = error
            return Pages()
        except (msgspec.MsgspecError, UnicodeDecodeError, OutboxFault):
            with contextlib.suppress(OSError):
                self._vault.rename(BOOK, BOOK + ".damaged")
            return Pages()

    def write(self, pages: Pages) -> None:
        """Durable when it returns. Raises OSError, and leaves what was written before."""
        if (error := self._unread) is not None:
            raise OSError(error.errno, f"the exams of before cannot be read ({error.strerror})") from error
        self._vault.write(BOOK, msgspec.json.encode(pages))
