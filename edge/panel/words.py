"""Every word on the panel, in one place: to translate the panel, translate this file. No logic, no thread."""

from __future__ import annotations

from edge.frame import Why

# What was done to the picture
ENHANCED = "ENHANCED"
RUNS_ON = {"openvino_cpu": "CPU", "classical": "CPU", "tensorrt_int8": "GPU"}  # by backend; another by its own name
ORIGINAL = "ORIGINAL"
CHOSEN_HERE = "chosen here"
OUTSIDE = "OUTSIDE"
OF_WHAT = "what this engine was judged on"
WHY = {
    Why.NOT_ORIGINAL: "",
    Why.OPERATOR: "switched over by an operator",
    Why.STRENGTH_ZERO: "strength is 0 %",
    Why.OPENING: "enhancement is starting",
    Why.NO_ENGINE: "no enhancement for this picture",
    Why.NO_REGION: "image area not found yet",
    Why.LATE: "this frame was late",
    Why.BUSY: "still busy with a late frame",
    Why.FAULT: "enhancement failed",
    Why.NOT_FINITE: "enhancement failed",
    Why.FIDELITY: "enhancement changed too much",
    Why.OVERLOAD: "device is overloaded",
    Why.HOT: "device is too hot",
    Why.UNKNOWN: "reason not known to this display",
}

WARM = "Device is warm: enhancement held back"

# Is it live?
NOT_LIVE = "NOT LIVE"
WAITING = "WAITING"
FROZEN = "FROZEN"
NO_FRAMES = "No frames from the scanner"
NO_ANSWER = "No connection to the appliance"
NO_PICTURE_YET = "No picture yet from the scanner"
NO_PICTURE_OF = "No picture yet of stream {stream}"
SCANNER_SILENT = "Scanner silent"
OLD_MS = "{ms:.0f} ms old"
OLD_S = "{s:.1f} s old"
OLD_MIN = "{min:.0f} min {s:.0f} s old"
BACK = "{s:.1f} s back"

# Recording and the outbox
RECORDING = "REC"
RECORDING_FOR = "REC {min:d}:{s:02d}"
OUTBOX = "Outbox {count}"
STORED_HERE = "Stored here {count}"
HELD = "{count} held"
PARKED = "{count} refused by archive"
DAMAGED = "{count} damaged"
WAITING_SINCE = "waiting {hours:.0f} h"
DISK_FULL = "DISK FULL: no captures"
OUTBOX_UNKNOWN = "Outbox cannot be read"

# Changes, brightness and contrast
CHANGES = "CHANGES: orange brighter, blue darker"
NO_CHANGES = "CHANGES: none, this is the original"
BRIGHTNESS = "Brightness {brightness:+.0f} %  contrast {contrast:.0f} %"
WINDOW = "Window {width:.0f}  level {centre:.0f}"

# Buttons; a line break is where the word may break
BUTTONS = {
    "original": "Original",
    "freeze": "Freeze",
    "split": "Split",
    "still": "Still",
    "changes": "Changes",
    "back": "Last\n{seconds:.0f} s",
    "light": "Brightness",
    "clip": "Clip",
    "weaker": "Strength\n-",
    "stronger": "Strength\n+",
    "older": "Older",
    "newer": "Newer",
    "darker": "Darker",
    "brighter": "Brighter",
    "flatter": "Contrast\n-",
    "steeper": "Contrast\n+",
    "auto": "Auto",
    "reset": "Reset",
}
UNFREEZE = "Go live"
STOP_CLIP = "Stop\nclip"

# What is told for a while
STORING = {"capture-still": "Storing the still ...", "capture-back": "Storing the last seconds ..."}
STORING_CLIP = "Storing the clip ..."
STARTING_CLIP = "Starting the clip ..."
STILL_STORED = "STORED: still"
CLIP_STORED = "STORED: clip of {seconds:.1f} s, {frames} frames"
CLIP_RUNS = "Recording, {seconds:.0f} s at most"
HELD_NOTE = "held until the patient is identified"
EMERGENCY = "no exam was open: an emergency exam was opened"
NOT_STORED = "NOT STORED: {reason}"
NOT_CONFIRMED = "NOT CONFIRMED: the appliance did not answer. Check whether it was stored."
REFUSED = "Not done: {reason}"
NO_REPLY = "Not done: the appliance does not answer"
STRENGTH = "Strength {percent:.0f} %"
NOTHING_TO_FREEZE = "There is no picture to freeze"
NOTHING_TO_STORE = "NOT STORED: there is no picture"
SCROLLED_BACK = "NOT STORED: a still stores the newest frozen picture. Scroll to the end, or store the last seconds."
FREEZE_PENDING = "NOT STORED: the freeze is not confirmed yet. Press again."
FREEZE_ALONE = "Frozen on this display only: the appliance did not confirm this picture"
FREEZE_ALONE_STILL = "NOT STORED: frozen on this display only. Go live, and press again."
CLIP_BROKEN = "Connection lost while recording: check whether the clip was stored"
FOLLOWING = "Showing stream {stream}"
ONE_STREAM = "There is no other stream"
