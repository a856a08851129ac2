"""The archive of the soak: Orthanc where it is installed, the demo's otherwise. It goes away and returns."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from edge.errors import SourceUnavailable

ORTHANC = Path("/usr/sbin/Orthanc")
START_S = 60.0
TITLES = {"orthanc": "ORTHANC", "demo": "DEMO"}


@dataclass(slots=True)
class Archive:
    """Started, stopped and started again on the same port with what it holds."""

    folder: Path
    port: int
    page: int  # Orthanc's own HTTP port
    reports: int  # where the appliance listens for storage commitment
    kind: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + START_S
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > until:
                raise SourceUnavailable(f"the archive did not start: {self.folder / 'log'}")
            time.sleep(0.1)

    def _command(self) -> list[str]:
        if self.kind == "demo":
            words = [str(self.folder / "files"), str(self.reports), str(self.port)]
            return [sys.executable, "-m", "edge.commands.demo_archive", *words]
        us = {"AET": "LIMPID", "Host": "127.0.0.1", "Port": self.reports, "AllowStorageCommitment": True}
        settings = {
            "Name": "soak", "StorageDirectory": str(self.folder / "db"), "IndexDirectory": str(self.folder / "db"),
            "DicomAet": "ORTHANC", "DicomPort": self.port, "HttpPort": self.page, "AuthenticationEnabled": False,
            "DicomModalities": {"limpid": us}, "DicomCheckModalityHost": False, "Plugins": [],
        }  # fmt: skip
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(settings))
        return [str(ORTHANC), str(path)]

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def objects(self) -> list[str]:
        """The SOP instance UIDs that it holds, each as often as it holds it. Raises SourceUnavailable."""
        if self.kind == "demo":
            return [path.stem for path in (self.folder / "files").glob("*.dcm")]
        body = json.dumps({"Level": "Instance", "Query": {}, "Expand": True}).encode()
        url = f"http://127.0.0.1:{self.page}/tools/find"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=120) as answer:
                found = json.loads(answer.read())
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise SourceUnavailable(f"the archive does not say what it holds: {error}") from error
        return [one["MainDicomTags"]["SOPInstanceUID"] for one in found]


def choose(folder: Path, ports: tuple[int, int, int], kind: str = "") -> Archive:
    return Archive(folder, *ports, kind or ("orthanc" if ORTHANC.exists() else "demo"))
