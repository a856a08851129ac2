"""The whole appliance, to be killed at any moment: a scanner that never stops, somebody who presses the button, live
and forward as real processes, and an account of everything that was acknowledged. Not a test itself.

Each frame carries its number and is made from it, so that whatever arrives can be checked against the very frames that
were sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil

from edge.client import Control, Pusher
from edge.dicom.stored import Stored
from edge.errors import LimpidError, OutboxFault
from edge.frame import Frame, Modality
from edge.outbox import Capture, Outbox, Settings
from tests.archives import Orthanc, data_set_of, free_port, is_listening, until
from tests.system.process import ROOT, config_text

SIZE = (96, 128)
FPS = 20.0
PATIENT = {"name": "PHANTOM^ONE", "id": "PH-0001", "birth_date": "19700203", "sex": "F"}
SETTINGS = '[engines]\nrungs = ["classical", "original"]\n[live]\nrecent_seconds = 3\n'


def picture(number: int) -> np.ndarray:
    """Grain that only this number makes; the number itself is in the first eight pixels."""
    pixels = np.random.default_rng(number).integers(30, 220, SIZE, dtype=np.uint8)
    pixels[0, :8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
    return pixels


def number_of(pixels: np.ndarray) -> int:
    """Which frame this is; AssertionError where it is none that was sent."""
    number = int.from_bytes(pixels[0, :8].tobytes(), "little")
    assert number < 1 << 40
    assert np.array_equal(pixels, picture(number)), f"frame {number} is not what was sent"
    return number


class EndlessScanner(threading.Thread):
    """Sends on, whether somebody listens or not."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._pusher = Pusher(address)
        self._done = threading.Event()
        now = time.monotonic_ns()
        self._frame = Frame(picture(0), "probe", 0, now, now, modality=Modality.ULTRASOUND, session=1)

    def run(self) -> None:
        number = 0
        while not self._done.wait(1 / FPS):
            number += 1
            now = time.monotonic_ns()
            self._pusher.push(replace(self._frame, pixels=picture(number), seq=number, captured_ns=now, stamped_ns=now))

    def stop(self) -> None:
        self._done.set()
        self.join(10)
        self._pusher.close(0)


@dataclass
class Told:
    """What the user was told is stored."""

    frames: int
    sums: dict[str, str] | None  # of the decoded frames, by role, as they lay there right after; None: gone already


class Presser(threading.Thread):
    """Presses capture again and again, and remembers what was acknowledged."""

    KINDS = (
        ("capture-still", {}), ("capture-back", {"seconds": 0.7}), ("capture-burst", {"count": 2, "every_ms": 40}),
    )  # fmt: skip

    def __init__(self, home: Path, outbox: Outbox, seed: int) -> None:
        super().__init__(daemon=True)
        self._control = Control(f"ipc://{home}/control", timeout_s=5)
        self._outbox, self._chance, self._done = outbox, random.Random(seed), threading.Event()
        self.told: dict[str, Told] = {}
        self.faults: list[BaseException] = []
        self.is_pressed = False  # the button is down, and nothing is acknowledged yet

    def run(self) -> None:
        while not self._done.wait(self._chance.uniform(0.0, 0.4)):
            do, more = self._chance.choice(self.KINDS)
            self.is_pressed = True
            try:
                answer = self._control.ask(do, **more)
            except (LimpidError, ValueError):
                continue  # nobody is there, or it says no: then nothing was promised
            finally:
                self.is_pressed = False
            try:
                for name in answer["captures"]:
                    frames = answer["frames"] if answer["kind"] == "clip" else 1
                    self.told[name] = Told(frames, self._sums(name))
            except BaseException as fault:  # noqa: BLE001 - told to whoever looks after us
                self.faults.append(fault)
                return

    def _sums(self, name: str) -> dict[str, str] | None:
        """Meanwhile the darkroom may put other files in their place, and the forwarder take them away."""
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            try:
                return _sums_of(self._outbox, self._outbox.capture(name))
            except OutboxFault:
                if not (self._outbox.folder / "captures" / name).exists():
                    return None
        raise AssertionError(f"{name} was acknowledged and cannot be read")

    def stop(self) -> None:
        self._done.set()
        self.join(30)
        assert not self.is_alive()
        assert self.faults == []


def _sums_of(outbox: Outbox, capture: Capture) -> dict[str, str]:
    sums: dict[str, str] = {}
    for one in capture.objects:
        with outbox.read(capture, one) as file:
            sums[one.role] = frames_sum(Stored(file))
    return sums


def frames_sum(stored: Stored) -> str:
    """Of the decoded frames: whichever way they are compressed."""
    sha256 = hashlib.sha256()
    for pixels in stored.each_frame():
        sha256.update(np.ascontiguousarray(pixels))
    return sha256.hexdigest()


class Ledger(threading.Thread):
    """Keeps every file that was ever whole in the outbox, by a link of its own: what arrives must be one of them."""

    def __init__(self, outbox: Path, kept: Path) -> None:
        super().__init__(daemon=True)
        self._captures, self._kept, self._done = outbox / "captures", kept, threading.Event()
        kept.mkdir()

    def run(self) -> None:
        while not self._done.wait(0.01):
            self.look()

    def look(self) -> None:
        for folder in self._captures.glob("*"):
            if folder.suffix in (".tmp", ".gone"):
                continue
            with contextlib.suppress(FileNotFoundError):  # it left meanwhile
                for file in [one for one in folder.iterdir() if one.suffix == ".dcm"]:
                    self._keep(file)

    def _keep(self, file: Path) -> None:
        """A name may be written twice, where the first writer was killed; a file is kept once."""
        with contextlib.suppress(FileExistsError):
            (self._kept / f"{file.name}_{file.stat().st_ino}").hardlink_to(file)

    def stop(self) -> None:
        self._done.set()
        self.join(30)

    def sums(self) -> set[str]:
        """Of the data sets: their UIDs are in them, so equal ones are the same object."""
        return {hashlib.sha256(data_set_of(file.read_bytes())).hexdigest() for file in self._kept.glob("*")}


@dataclass
class Appliance:
    home: Path
    archive: Orthanc
    report_port: int = field(default_factory=free_port)
    struck: Counter[str] = field(default_factory=Counter)  # what the disk looked like when somebody was killed
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def write_config(self) -> None:
        outbox = f'[outbox]\nfolder = "{self.home}/outbox"\nleast_free_mb = 0\nwatermark_percent = 100\n'
        pacs = f"""retention_hours = 0
[destination.pacs]
ask_every_s = 0.2
commitment_minutes = 0.05
first_retry_s = 0.1
longest_retry_s = 0.5
[destination.pacs.dimse]
host = "127.0.0.1"
port = {self.archive.dicom}
called = "ORTHANC"
associations = 2
listen = "127.0.0.1:{self.report_port}"
"""
        self.home.mkdir(exist_ok=True)
        (self.home / "limpid.toml").write_text(config_text(self.home, SETTINGS + outbox + pacs))

    def outbox(self) -> Outbox:
        folder = self.home / "outbox"
        return Outbox(folder, Settings(folder=str(folder), least_free_mb=0, watermark_percent=100, retention_hours=0))

    @property
    def control(self) -> Control:
        return Control(f"ipc://{self.home}/control", timeout_s=5)

    def log(self, what: str) -> str:
        path = self.home / f"{what}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start_missing(self, *, wait: bool = True) -> None:
        for what in ("live", "forward"):
            if what in self._running and self._running[what].poll() is None:
                continue
            if what == "forward":
                until(lambda: not is_listening(self.report_port), "the port for reports is free")
            before = self.log(what).count(f"{what}.ready")
            with (self.home / f"{what}.log").open("ab") as log:
                line = [sys.executable, "-m", "edge", what, "--config", str(self.home / "limpid.toml")]
                self._running[what] = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)
            if wait:
                self._wait_for(what, before)

    def _wait_for(self, what: str, before: int) -> None:
        until(lambda: self.log(what).count(f"{what}.ready") > before, f"{what} runs: {self.log(what)[-1500:]}", 60)

    def kill(self, what: str) -> None:
        """-9, and at once. "archive" is Orthanc, which is up again when this returns."""
        process: subprocess.Popen[bytes] | psutil.Process | None
        process = self._child(what) if what in ("darkroom", "archive") else self._running[what]
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        if what in self._running:
            self._running.pop(what).wait()
        self.struck[f"{what} killed"] += 1
        self._look_at_the_disk()
        if what == "archive":
            process.wait(10)
            self.archive.start_again()

    def _child(self, what: str) -> psutil.Process | None:
        of, word = (self._running["live"].pid, "edge.darkroom") if what == "darkroom" else (None, self.archive.config)
        for child in psutil.Process(of).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # also where it is dead and nobody has looked
                if str(word) in child.cmdline():
                    return child
        return None

    def _look_at_the_disk(self) -> None:
        """Where it struck: in the middle of a put, a correction, a transfer, a question, a removal."""
        for folder in (self.home / "outbox" / "captures").glob("*"):
            kind = folder.suffix if folder.suffix in (".tmp", ".gone") else ""
            self.struck[{".tmp": "while stored", ".gone": "while removed", "": "captures there"}[kind]] += 1
        outbox = self.outbox()
        for capture in outbox.captures():
            for one in capture.objects:
                self.struck[capture.state(one, "pacs")] += 1

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def stored_uids(self) -> dict[str, list[str]]:
        """Capture -> SOP instance UIDs, as the audit log has them: it outlives the captures."""
        entries = self.outbox().audit.entries()
        return {entry.to: entry.facts["objects"] for entry in entries if entry.did == "stored"}


@contextlib.contextmanager
def appliance(home: Path, archive: Orthanc, report_port: int) -> Iterator[Appliance]:
    one = Appliance(home, archive, report_port)
    one.write_config()
    try:
        yield one
    finally:
        one.stop()
