"""Files played as a scanner would send them: DICOM, video, MetaImage, images, recordings.

Everything runs on the thread that calls `next`: a picture is decoded before its moment and held until then.
`stream` is made from the file's name where none is given: name it, where files are named after patients.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import cv2
import msgspec

from edge.clock import MS, SECOND, Clock
from edge.errors import ConfigError, SourceUnavailable
from edge.frame import Frame, PixelFormat
from edge.recording import MAGIC as RECORDING_MAGIC
from edge.sources._images import SUFFIXES as IMAGE_SUFFIXES
from edge.sources._images import open_folder, open_image
from edge.sources._metaimage import MetaImage
from edge.sources._movie import open_movie
from edge.sources._pace import Pace
from edge.sources._picture import MODALITIES, Clip, Picture, check_levels, checked_stream, legal_stream
from edge.sources._recorded import open_recorded

_PATIENCE_NS = 250 * MS  # catching up for longer than this means the file decodes slower than it plays


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[source.replay]"""

    path: str
    stream: str = ""  # empty: from the file's name; a recording's own names
    fps: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0  # 0: the file's own timing, or 25 where it has none
    fast: bool = False  # every picture, as fast as it is fetched
    loop: bool = False
    bits: Literal[0, 10, 11, 12, 13, 14, 15, 16] = 0  # significant bits of 16-bit samples; 0: as the file says
    modality: Literal["", "unknown", "ultrasound", "fluoroscopy"] = ""  # empty: as the file says


class Replay:
    """One clip, once or in a loop. `skipped` counts pictures whose moment passed before they were fetched."""

    def __init__(self, clip: Clip, options: Options, clock: Clock) -> None:
        self.skipped = 0
        self._clip = clip
        self._options = options
        self._clock = clock
        self._pace = Pace(options.fps, options.fast)
        self._name = options.stream
        self._fallback_name = legal_stream(Path(options.path).stem, "replay")
        self._session = secrets.randbits(63) | 1
        self._seqs: dict[str, int] = {}
        self._held: Frame | None = None
        self._round_pictures = 0
        self._cut = True
        self._ended = False
        self._closed = threading.Event()  # set by whoever closes; wakes a waiting `next`
        self._decoding = threading.Lock()  # a clip is not closed under the feet of its reader

    @property
    def ended(self) -> bool:
        return self._ended

    def next(self, timeout_s: float) -> Frame | None:
        """The picture whose moment has come, or None. Raises BadFrame for one that cannot be decoded."""
        if self._closed.is_set() or self._ended:
            return None
        if self._held is None:
            with self._decoding:
                self._held = None if self._closed.is_set() else self._prepared()
        if self._held is None:
            return None
        wait_s = (self._held.captured_ns - self._clock.now()) / SECOND
        if wait_s > 0:
            self._closed.wait(min(wait_s, timeout_s))
        now = self._clock.now()
        if now < self._held.captured_ns:
            return None
        frame, self._held = self._held, None
        return replace(frame, received_ns=now)

    def close(self) -> None:
        self._closed.set()
        with self._decoding:
            self._clip.close()

    def _prepared(self) -> Frame | None:
        """The next picture that is not over yet, decoded."""
        began = self._clock.now()
        while self._advance():
            due = self._pace.schedule(self._clip.at_ns, self._clock.now())
            now = self._clock.now()
            stream, seq = self._numbered()
            if self._pace.has_passed(now):
                if now - began <= _PATIENCE_NS:
                    self.skipped += 1
                    continue
                due = self._pace.start_over(now)
            return self._frame(self._decoded(), stream, seq, due)
        self._ended = True
        return None

    def _advance(self) -> bool:
        if self._clip.advance():
            self._round_pictures += 1
            return True
        if not self._options.loop or self._round_pictures == 0:
            return False
        # A still shown again is the same scene; a clip that begins again is a new one.
        self._cut = self._round_pictures > 1
        self._round_pictures = 0
        self._pace.new_round()
        self._rewind()
        if not self._clip.advance():
            return False
        self._round_pictures = 1
        return True

    def _rewind(self) -> None:
        try:
            self._clip.rewind()
        except ConfigError as error:  # it was good when it was opened
            self._ended = True
            raise SourceUnavailable(f"cannot be played again: {error}") from error

    def _numbered(self) -> tuple[str, int]:
        """The current picture's stream, and its number there: counted whether or not it is shown."""
        stream = self._name or self._clip.stream or self._fallback_name
        seq = self._seqs.get(stream, 0)
        self._seqs[stream] = seq + 1
        return stream, seq

    def _decoded(self) -> Picture:
        picture = self._clip.picture()
        if self._options.bits and picture.format is PixelFormat.GREY16:
            check_levels(picture.pixels, self._options.bits)
            picture = replace(picture, bits=self._options.bits)
        return picture

    def _frame(self, picture: Picture, stream: str, seq: int, due_ns: int) -> Frame:
        cut, self._cut = self._cut, False
        wanted = self._options.modality
        return Frame(
            pixels=picture.pixels,
            stream=stream,
            seq=seq,
            captured_ns=due_ns,
            received_ns=due_ns,
            format=picture.format,
            bits=picture.bits,
            modality=MODALITIES[wanted] if wanted else picture.modality,
            session=self._session,
            stamped_ns=due_ns,
            spacing_mm=picture.spacing_mm,
            region=picture.region,
            cut=cut,
        )


def open_source(options: Options, clock: Clock) -> Replay:
    if options.stream:
        checked_stream(options.stream)
    return Replay(open_clip(Path(options.path)), options, clock)


def open_clip(path: Path) -> Clip:
    """The reader for a file, chosen by what is in it. Raises ConfigError naming the file."""
    if path.is_dir():
        return open_folder(path)
    head = _head(path)
    if head.startswith(RECORDING_MAGIC[:4]) or path.suffix.lower() == ".lmpr":
        return open_recorded(path)
    if head[128:132] == b"DICM" or path.suffix.lower() == ".dcm":
        return _open_dicom(path)
    if path.suffix.lower() in (".mha", ".mhd") or head.startswith((b"ObjectType", b"NDims")):
        return MetaImage(path)
    if path.suffix.lower() in IMAGE_SUFFIXES or cv2.haveImageReader(str(path)):
        return open_image(path)
    return open_movie(path)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(132)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _open_dicom(path: Path) -> Clip:
    try:
        from edge.sources._dicom import open_dicom
    except ModuleNotFoundError as error:
        if error.name != "pydicom":
            raise
        raise ConfigError(f"{path} is DICOM, which needs pydicom: pip install 'limpid-edge[dicom]'") from error
    return open_dicom(path)
