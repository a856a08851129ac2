"""Real archives for tests: Orthanc, dcmtk's storescp, a proxy that cuts and delays, and phantom objects to send them.

Not a test itself. A program that is missing is a skip with its reason, and a failure where CI says it must be there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless

from edge.dicom import uids
from edge.outbox import Draft, Outbox
from edge.sinks import Parcel

ORTHANC, STORESCP, OPENSSL = "/usr/sbin/Orthanc", "/usr/bin/storescp", "/usr/bin/openssl"
DICOMWEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
US, US_CLIP = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
PATIENCE_S = 30.0


def need(*programs: str) -> None:
    for program in programs:
        if not Path(program).exists():
            reason = f"{program} is not installed"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)


def until(met: Callable[[], object], what: str, patience_s: float = PATIENCE_S, look_every_s: float = 0.02) -> None:
    end = time.monotonic() + patience_s
    while not met():
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s:g} s in vain: {what}")
        time.sleep(look_every_s)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


# Objects


@dataclass
class Phantom:
    """A small DICOM object of nobody, as `edge.outbox` takes them."""

    content: bytes = field(repr=False)
    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax: str
    frames: int
    role: str = "original"
    modality: str = "US"

    def write(self, to: BinaryIO) -> None:
        to.write(self.content)

    def parcel(self, name: str = "1-original.dcm", capture: str = "20260101T000000.000000-abcdef") -> Parcel:
        size = len(self.content)
        return Parcel(
            capture, name, self.sop_class, self.sop_uid, self.transfer_syntax, size, lambda: BytesIO(self.content)
        )


def phantom(seed: int = 0, *, frames: int = 1, size: int = 64, compressed: bool = False, bits: int = 8) -> Phantom:
    rng = np.random.default_rng(seed)
    kind = np.uint8 if bits == 8 else np.uint16
    pixels = rng.integers(0, 1 << bits, (frames, size, size), dtype=kind)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.SOPClassUID = US_CLIP if frames > 1 else US
    data.SOPInstanceUID = uids.fresh()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.PatientName, data.PatientID, data.Modality = "PHANTOM^ONE", "PH-0001", "US"
    data.StudyInstanceUID = uids.derived("2.25", "study")
    data.SeriesInstanceUID = uids.derived("2.25", "series")
    data.Rows = data.Columns = size
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = kind().itemsize * 8, bits, bits - 1
    data.PixelRepresentation = 0
    if frames > 1:
        data.NumberOfFrames = frames
    data.PixelData = pixels.tobytes()
    if compressed:
        data.compress(JPEGLSLossless, generate_instance_uid=False)
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    syntax = str(UID(data.file_meta.TransferSyntaxUID))
    uids_of = (str(data.SOPClassUID), str(data.SOPInstanceUID), str(data.SeriesInstanceUID), str(data.StudyInstanceUID))
    return Phantom(file.getvalue(), *uids_of, syntax, frames)


def put(outbox: Outbox, *objects: Phantom, priority: Any = "routine", held: bool = False) -> str:
    return outbox.put(Draft("exam-1", "US", priority, "still", "2026-01-01T00:00:00+00:00", held, objects))


# Archives


@contextlib.contextmanager
def process(line: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        running = subprocess.Popen(line, stdout=out, stderr=out, cwd=log.parent)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextlib.contextmanager
def storescp(home: Path, *switches: str, port: int = 0) -> Iterator[tuple[int, Path]]:
    """(port, folder of what it has stored)"""
    need(STORESCP)
    port = port or free_port()
    stored = home / "stored"
    stored.mkdir(parents=True, exist_ok=True)
    with process([STORESCP, "-od", str(stored), *switches, str(port)], home / "storescp.log"):
        until(lambda: is_listening(port), "storescp listens")
        yield port, stored


@dataclass
class Orthanc:
    dicom: int
    http: int
    log: Path
    down: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # what was started again

    @property
    def config(self) -> Path:
        return self.log.with_name("orthanc.json")

    def start_again(self) -> None:
        """After it was killed."""
        self.down.enter_context(process([ORTHANC, str(self.config)], self.log))
        until(lambda: _is_up(self), f"Orthanc is up again, see {self.log}")

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def instances(self) -> dict[str, str]:
        """SOP instance UID -> Orthanc's own id"""
        found = json.loads(self.ask("/tools/find", "POST", {"Level": "Instance", "Query": {}, "Expand": True}))
        return {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in found}

    def file(self, sop_uid: str) -> bytes:
        return self.file_of(self.instances()[sop_uid])

    def file_of(self, own_id: str) -> bytes:
        """Of many, ask by Orthanc's own id: it lists all it has for every look-up by UID."""
        return self.ask(f"/instances/{own_id}/file")

    def delete(self, sop_uid: str) -> None:
        self.ask(f"/instances/{self.instances()[sop_uid]}", "DELETE")


@contextlib.contextmanager
def orthanc(
    home: Path, *, report_port: int = 0, web: bool = False, dicom: int = 0, http: int = 0, **more: object
) -> Iterator[Orthanc]:
    need(ORTHANC, *([DICOMWEB_PLUGIN] if web else []))
    home.mkdir(parents=True, exist_ok=True)
    archive = Orthanc(dicom or free_port(), http or free_port(), home / "orthanc.log")
    us = {"AET": "LIMPID", "Host": "127.0.0.1", "Port": report_port or 1, "AllowStorageCommitment": True}
    tls = {"UseDicomTls": True} if more.get("DicomTlsEnabled") else {}
    config = {
        "Name": "test", "StorageDirectory": str(home / "db"), "IndexDirectory": str(home / "db"),
        "DicomAet": "ORTHANC", "DicomPort": archive.dicom, "HttpPort": archive.http, "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False, "DicomModalities": {"limpid": {**us, **tls}},
        "DicomCheckModalityHost": False, "Plugins": [DICOMWEB_PLUGIN] if web else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}, **more,
    }  # fmt: skip
    archive.config.write_text(json.dumps(config))
    with archive.down, process([ORTHANC, str(archive.config)], archive.log):
        until(lambda: _is_up(archive), f"Orthanc is up, see {archive.log}")
        yield archive


def _is_up(archive: Orthanc) -> bool:
    with contextlib.suppress(urllib.error.URLError, OSError):
        archive.ask("/system")
        return is_listening(archive.dicom)
    return False


def data_set_of(file: bytes) -> bytes:
    """A DICOM file without its meta information, which every archive writes anew."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]


# Certificates


def certificates(folder: Path) -> dict[str, str]:
    """A small authority, and a certificate each for us and for the archive: names -> paths."""
    need(OPENSSL)
    folder.mkdir(parents=True, exist_ok=True)

    def run(*words: str) -> None:
        subprocess.run([OPENSSL, *words], cwd=folder, check=True, capture_output=True, timeout=30)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test authority")
    (folder / "names.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("us", "archive"):
        run("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "30", "-extfile", "names.cnf")  # fmt: skip
    return {path.name: str(path) for path in folder.iterdir()}


# A bad line


class Proxy:
    """Between us and an archive. After `cut_after` bytes of ours it breaks the line; `hold` lets nothing pass."""

    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self.cut_after: int | None = None
        self.hold = False
        self.delay_s = 0.0
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self.connections += 1
                try:
                    far = socket.create_connection(("127.0.0.1", self._to), 10)
                except OSError:
                    near.close()
                    continue
                self._sockets += [near, far]
                threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.hold:
                    time.sleep(0.02)
                if self.delay_s:
                    time.sleep(self.delay_s)
                passed += len(data)
                if counts and self.cut_after is not None and passed > self.cut_after:
                    break
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.hold = False
        self._server.close()
        for sock in self._sockets:
            sock.close()


def forget(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
