"""What each part of a support bundle holds. Everything that could name somebody is numbered, hashed or left out here.

Streams are numbered, since whoever set up a scanner may have named one after a patient. UIDs and captures are hashed.
Of the configuration's texts only those stay that are one of a few known words.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from edge import __version__
from edge import config as configs
from edge.catalog import open_catalog, shipped_folder
from edge.client import Control, reachable
from edge.clock import MonotonicClock
from edge.commands.doctor import examine
from edge.commands.identity import key_for
from edge.config import Config
from edge.console.archive import Archive
from edge.errors import ConfigError, LimpidError, SourceUnavailable
from edge.event_table import level_of
from edge.places import quality_of, reports_of
from edge.process_report import Report, as_facts, read_all
from edge.quality import summary
from edge.quality_book import Book

PATIENCE_S = 3.0
JOURNAL_LINES = 500
LONGEST_TEXT = 200
PROCESSES = ("live", "forward", "console", "display", "run")
PLAIN = {  # keys of the configuration whose texts are words of ours
    "ultrasound", "fluoroscopy", "unknown", "backend", "rungs", "compression", "modality", "driver", "engine",
    "kind", "send", "priority", "roles",
}  # fmt: skip
NAMED = {"capture", "captures", "exam", "oldest", "to"}  # facts that name a capture or an exam
LEFT_OUT = {"address", "client", "folder", "user", "who", "screen"}
UID = re.compile(r"\b[0-2](\.(0|[1-9][0-9]*)){3,}\b")
CAPTURE = re.compile(r"\b[0-9]{8}T[0-9]{6}(\.[0-9]+)?-[0-9a-f]{4,}\b")
STREAM_LABEL = re.compile(r'stream="([^"]*)"')
BILLS = ("sbom.cdx.json", "sbom.json")


class NotHere(LimpidError):  # noqa: N818 - named for what it is
    """A part that this machine does not have; its words are ours."""


@dataclass
class Asked:
    config: Config
    path: Path | None
    fault: str = ""  # of the configuration
    streams: dict[str, str] = field(default_factory=dict[str, str])
    reports: dict[str, Report] = field(default_factory=dict[str, Report])

    @classmethod
    def of(cls, path: Path | None) -> Asked:
        try:
            asked = cls(configs.load(path), path)
        except ConfigError:
            asked = cls(Config(), path, "the configuration cannot be read: `limpid config check FILE` says why")
        asked.reports = read_all(reports_of(asked.config))
        return asked

    def stream(self, name: str) -> str:
        return self.streams.setdefault(name, f"stream-{len(self.streams) + 1}")


# ------------------------------------------------ the machine and the configuration


def versions(asked: Asked) -> object:
    del asked
    libraries = {
        name: importlib.metadata.version(name)
        for name in sorted({part.metadata["Name"] for part in importlib.metadata.distributions()}, key=str.lower)
    }
    return {
        "limpid": __version__, "python": platform.python_version(), "kernel": platform.release(),
        "machine": platform.machine(), "libraries": libraries,
    }  # fmt: skip


def settings(asked: Asked) -> object:
    if asked.fault:
        raise NotHere(asked.fault)
    return _shown(msgspec.to_builtins(asked.config), "")


def _shown(value: Any, key: str) -> Any:
    """Numbers and switches as they are, of texts whether there is one."""
    if isinstance(value, dict):
        return {str(name): _shown(inner, str(name)) for name, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_shown(inner, key) for inner in cast("list[Any]", value)]
    if isinstance(value, str) and key not in PLAIN:
        return "(set)" if value else ""
    return value


def doctor(asked: Asked) -> object:
    home = str(Path.home())
    findings = [asdict(finding) for finding in examine(None if asked.fault else asked.path)]
    return [{key: str(told).replace(home, "~") for key, told in finding.items()} for finding in findings]


def engines(asked: Asked) -> object:
    catalog = open_catalog(asked.config.engines.folders, asked.config.engines.keys)
    return {
        "engines": [msgspec.to_builtins(engine.manifest) for engine in catalog.engines.values()],
        "refused": [{"engine": Path(folder).name, "reason": why} for folder, why in catalog.refused.items()],
    }


def sbom(asked: Asked) -> object:
    del asked
    for folder in (shipped_folder().parent, Path("/usr/share/limpid"), Path("/usr/share/doc/limpid")):
        for name in BILLS:
            if (folder / name).is_file():
                return (folder / name).read_text(encoding="utf-8")
    raise NotHere("there is no bill of materials on this machine")


# ------------------------------------------------ what the processes say


def status(asked: Asked) -> object:
    address = asked.config.sockets.control
    try:
        key = key_for(asked.config, address)
    except ConfigError:
        raise NotHere("the daemon asks for a key, and this host has none that can be read") from None
    try:
        told = Control(reachable(address), PATIENCE_S, key).ask("status")
    except SourceUnavailable:
        raise NotHere("the daemon does not answer") from None
    told["streams"] = {asked.stream(name): facts for name, facts in told["streams"].items()}
    told["recording"] = [asked.stream(name) for name in told.get("recording", [])]
    return told


def processes(asked: Asked) -> object:
    now = MonotonicClock().now()
    return {name: as_facts(report, now) for name, report in asked.reports.items()}


def events(asked: Asked) -> object:
    lines = [
        {"process": name, **shown_event(event, asked)}
        for name, report in asked.reports.items()
        for event in report.events
    ]
    if not lines:
        raise NotHere("no process has reported any")
    return "".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda line: line["t_ns"]))


def shown_event(event: dict[str, Any], asked: Asked) -> dict[str, Any]:
    told = {key: _fact(key, value, asked) for key, value in event.items() if key not in LEFT_OUT}
    return {"severity": level_of(str(event.get("event"))), "t_ns": 0, **told}


def _fact(key: str, value: Any, asked: Asked) -> Any:
    if key == "stream":
        return asked.stream(str(value))
    if isinstance(value, dict):
        return {str(name): _fact(str(name), one, asked) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_fact(key, one, asked) for one in cast("list[Any]", value)]
    if key in NAMED and isinstance(value, str):
        return hashed(value)
    return _cleaned(value) if isinstance(value, str) else value


def _cleaned(text: str) -> str:
    """A reason may name a capture, an object or somebody's file."""
    for pattern in (UID, CAPTURE):
        text = pattern.sub(lambda found: hashed(found[0]), text)
    return text[:LONGEST_TEXT]


def hashed(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def metrics(asked: Asked) -> object:
    console = asked.config.console
    host = f"[{console.host}]" if ":" in console.host else console.host
    address = f"{'https' if console.certificate else 'http'}://{host}:{console.port}/metrics"
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE  # our own console, on this very machine
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_S, context=unchecked) as answer:
            text = answer.read(1 << 20).decode("utf-8", "replace")
    except (urllib.error.URLError, OSError):
        raise NotHere("the console does not answer, or not to this host") from None
    return STREAM_LABEL.sub(lambda found: f'stream="{asked.stream(found[1])}"', text)


def journal(asked: Asked) -> object:
    if shutil.which("journalctl") is None:
        raise NotHere("there is no journal on this machine")
    wanted = [f"SYSLOG_IDENTIFIER=limpid-{name}" for name in PROCESSES]
    line = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--lines={JOURNAL_LINES}", *wanted]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    entries = [json.loads(entry) for entry in done.stdout.splitlines() if entry.startswith("{")]
    told = [_of_journal(entry, asked) for entry in entries if "LIMPID_EVENT" in entry]
    if not told:
        raise NotHere("the journal has no entry of ours, or does not let us read it")
    return "".join(json.dumps(one) + "\n" for one in told)


def _of_journal(entry: dict[str, Any], asked: Asked) -> dict[str, Any]:
    facts = {key[7:].lower(): value for key, value in entry.items() if key.startswith("LIMPID_")}
    return {"at_us": entry.get("__REALTIME_TIMESTAMP"), **shown_event(facts, asked)}


# ------------------------------------------------ counts and days


def outbox(asked: Asked) -> object:
    archive = Archive(asked.config)
    if not archive.is_there:
        raise NotHere("there is no outbox yet")
    captures = archive.captures()
    counts: dict[str, Counter[str]] = {}
    for capture in captures:
        for item in archive.items(capture):
            counts.setdefault(item.destination, Counter())[item.state] += 1
    return {
        "summary": archive.summary(),
        "by_destination": {name: dict(count) for name, count in counts.items()},
        "captures": [
            {
                "capture": hashed(capture.id), "kind": capture.record.kind, "held": capture.held,
                "objects": [
                    {"sop_uid": hashed(stored.sop_uid), "role": stored.role, "modality": stored.modality,
                     "frames": stored.frames, "bytes": stored.size, "transfer_syntax": stored.transfer_syntax}
                    for stored in capture.objects
                ],
            }
            for capture in captures[:200]
        ],
    }  # fmt: skip


def quality(asked: Asked) -> object:
    return [summary(day) for day in Book(quality_of(asked.config)).days()]
