"""Every event that a process of the appliance may tell, how serious it is, and what it says. Pure values.

docs/observability.md shows this table; a test holds the table, the code and the page together.

error    somebody must act, or something that was promised is in danger
warning  it was worked around or put off; somebody should look when it goes on
notice   what a person at the device would want to read in the log of that day
info     the ordinary course of things
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "notice", "info"]
PRIORITY: dict[str, int] = {"error": 3, "warning": 4, "notice": 5, "info": 6}  # syslog's

EVENTS: dict[str, tuple[Level, str]] = {
    # ------------------------------------------------ processes
    "process.started": ("info", "the supervisor started a process"),
    "process.ended": ("error", "a process ended by itself and is started again"),
    "processes.start-again": ("notice", "all processes are started again, in another version"),
    "live.ready": ("notice", "the live process takes frames"),
    "live.stopping": ("notice", "it was asked to end"),
    "forward.ready": ("notice", "the forward process sends"),
    "forward.stopping": ("notice", "it was asked to end"),
    "console.ready": ("notice", "the console listens; `open` where nobody has to log in"),
    "console.fault": ("error", "a fault of the console's own, and where"),
    "panel.ready": ("notice", "the panel draws"),
    "watchdog.restart": ("error", "a process ends itself because something in it hung"),
    "report.not-written": ("warning", "a process cannot write its report or the day's figures"),
    # ------------------------------------------------ frames and streams
    "stream.opened": ("notice", "a stream came"),
    "stream.new-session": ("notice", "another sender, or the same one anew, on a stream"),
    "stream.not-live": ("warning", "a stream fell silent"),
    "stream.refused": ("warning", "one stream too many"),
    "frame.refused": ("warning", "a message that is no frame"),
    "frame.dropped": ("info", "a frame that may not join its stream"),
    "frame.too-old": ("warning", "a frame that came too late to be shown"),
    "frame.missed": ("warning", "a frame shown as original because the engine was late or failed"),
    "source.unavailable": ("warning", "there is nothing to read frames from"),
    "source.ended": ("notice", "the source has come to its end"),
    "survey.failed": ("warning", "the search for the image stumbled over a frame"),
    "drift.outside": ("warning", "the pictures are outside what the engine was judged on, and by which figures"),
    "drift.inside": ("notice", "they are inside it again, or not judged any more: `reason`"),
    # ------------------------------------------------ treatment and engines
    "treatment.changed": ("notice", "the treatment in force, and why where it is the original"),
    "lane.prepared": ("info", "a stream took up new engines"),
    "engine.opened": ("info", "engines opened for a stream, and what they cost"),
    "engine.noted": ("notice", "what an opening worked round: a plan not loaded and why, one built, no CUDA graph"),
    "engine.refused": ("error", "an engine is damaged, unsafe or of no use here"),
    "engine.none": ("error", "no engine fits a stream"),
    "engine.on-trial": ("notice", "an activated engine is being watched"),
    "engine.held": ("notice", "it held through its trial"),
    "engine.rolled-back": ("error", "it did not, and the one before is back"),
    "engine.not-rolled-back": ("error", "it did not, and the one before is not to be had"),
    "engine.trial-not-kept": ("warning", "the outcome of a trial could not be written down"),
    "preset.no-engine": ("warning", "a preset names an engine that is not there"),
    # ------------------------------------------------ captures and exams
    "capture.stored": ("notice", "a capture is stored durably"),
    "capture.refused": ("error", "a capture was refused, and why"),
    "capture.fault": ("error", "a capture failed by a fault of our own"),
    "clip.started": ("info", "a clip is being recorded"),
    "clip.ended": ("info", "the recording ended"),
    "darkroom.ended": ("warning", "the process that compresses ended by itself"),
    "darkroom.failed": ("error", "an object could not be compressed or put right"),
    "darkroom.skipped": ("warning", "an object stays as it was stored"),
    "exam.opened": ("notice", "an exam began"),
    "exam.resumed": ("notice", "an exam goes on after a restart"),
    "exam.corrected": ("notice", "an exam's identity was put right"),
    "exam.closed": ("notice", "an exam ended"),
    "exam.discarded": ("notice", "an exam was discarded; its captures with it, where that was asked"),
    "exam.closed-idle": ("notice", "an exam was closed because nothing happened in it"),
    "exam.not-recorded": ("error", "the exam could not be written down"),
    "worklist.unavailable": ("warning", "the worklist does not answer"),
    "mpps.told": ("info", "the archive was told that an exam began or ended"),
    "mpps.unavailable": ("warning", "it could not be told; later again"),
    "mpps.parked": ("error", "it refuses to be told"),
    "mpps.not-queued": ("error", "the notice could not be written down"),
    # ------------------------------------------------ the outbox and the archives
    "object.sent": ("info", "an archive took an object"),
    "object.confirmed": ("info", "an archive has it safe"),
    "object.later": ("warning", "it could not be sent; later again"),
    "object.lost": ("error", "an archive does not have what it took; it is sent again"),
    "object.parked": ("error", "an archive refuses it for good"),
    "object.damaged": ("error", "it is not what was written"),
    "commitment.later": ("warning", "an archive could not be asked; later again"),
    "commitment.stray": ("warning", "an answer to a question that nobody asked"),
    "destination.back": ("notice", "an archive takes objects again"),
    "queue.old": ("error", "objects wait longer than they should"),
    "queue.well": ("notice", "they do not any more"),
    "outbox.removed": ("info", "what every archive has was removed"),
    "outbox.swept": ("warning", "what a power cut left half done was taken away"),
    "outbox.trouble": ("error", "the disk does not take the outbox's notes"),
    "outbox.unavailable": ("error", "the outbox cannot be opened"),
    # ------------------------------------------------ the machine
    "heat.changed": ("warning", "another step of the thermal ladder"),
    "heat.known": ("notice", "a processor's temperature can be read again"),
    "heat.not-known": ("warning", "no processor's temperature can be read"),
    "health.not-known": ("warning", "a part of the machine's condition cannot be read"),
    # ------------------------------------------------ people and the audit
    "access.refused": ("warning", "somebody without a key, or with one that is not known here, was turned away"),
    "access.cut": ("warning", "a connection was cut: its key was revoked, or the list was altered"),
    "access.key-changed": ("notice", "the server has another key"),
    "access.unreadable": ("error", "a file of keys cannot be read"),
    "access.shut-out": ("error", "a door cannot open again: another program took its address meanwhile"),
    "log-in.refused": ("warning", "somebody could not log in at the console"),
    "audit.not-written": ("error", "the audit log did not take a line"),
    "audit.altered": ("error", "an audit log is not what was written"),
    "audit.unreadable": ("error", "an audit log cannot be read"),
    "audit.not-sealed": ("error", "an audit log could not be sealed"),
    "audit.behind": ("warning", "the audit repository has not been told for hours"),
    "audit.caught-up": ("notice", "it has been told of everything"),
    "audit.repository-away": ("warning", "the audit repository does not answer; later again"),
    "audit.repository-untrusted": ("error", "the audit repository is not who it should be"),
    "audit.repository-back": ("notice", "it answers again"),
}  # fmt: skip


def level_of(event: str) -> Level:
    """Of an event that is not in the table: it is told all the same."""
    return EVENTS[event][0] if event in EVENTS else "info"
