"""What the daemon does, in one answer."""

from __future__ import annotations

from typing import Any

from edge.console.calls import Answer, Asked, Call
from edge.console.office import Office

SAID_OF_THE_DAEMON = ("version", "pid", "backend", "backend_why", "rss_mb")


def status_of(office: Office) -> dict[str, Any]:
    """From what is known; asks nobody. From any thread."""
    beat, pulse = office.pulse.beat, office.pulse
    streams: dict[str, Any] = {
        name: {**facts, "recording": pulse.is_recording(name)} for name, facts in beat.status.get("streams", {}).items()
    }
    return {
        "daemon": {
            "answers": beat.answers,
            "error": beat.error,
            **{key: beat.status.get(key) for key in SAID_OF_THE_DAEMON if key in beat.status},
        },
        "streams": streams,
        "exam": beat.exam.get("exam"),
        "uncorrected": beat.exam.get("uncorrected", []),
        "outbox": pulse.outbox,
        "console": {
            "watching": len(office.gallery.viewers),
            "worklist": bool(office.config.worklist.host),
            "export": bool(office.config.console.export_folders),
        },
    }


def _status(asked: Asked) -> Answer:
    asked.office.pulse.refresh()
    return status_of(asked.office)


CALLS = (
    Call("GET", "/status", "view", "What the daemon, the exam and the outbox do; at most half a second old", _status),
)
