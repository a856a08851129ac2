"""The error tree. Each class says who must act, so that a catcher never has to guess.

LimpidError
├── ConfigError        the operator: the configuration or a command line is wrong; nothing was started
├── BadFrame           nobody: one message is malformed; it is dropped and counted
├── EngineRefused      the engine's maker: this engine may not be opened; the last good one stays
├── UpdateRefused      the update's maker: this version may not be installed or used; the one that runs stays
├── EngineFault        the pipeline: this frame's result is unusable; the original is shown
├── SourceUnavailable  the integrator: the frames cannot be reached now; wait and try again
├── ScreenUnavailable  the technician: no screen can be opened now (cable, rights); tried again
├── SensorsLost        nobody yet: no temperature can be read now; what heat allows stays as it is, asked again
├── CaptureRefused     the clinician: it was not stored, and is told so at once, with the reason
├── OutboxFault        the operator: a stored object is not what was written; it is set aside, the queue goes on
├── SinkUnavailable    nobody yet: the archive cannot be reached, or does not answer; the object is sent again
└── SinkRejected       the technician: the archive refused this object for good; it is parked with its reason
"""

from __future__ import annotations


class LimpidError(Exception):
    """Root of everything Limpid raises on purpose."""


class ConfigError(LimpidError):
    """The operator must act: a setting is wrong. Raised before anything is started."""


class BadFrame(LimpidError):  # noqa: N818 - named for what it is, not for being an error
    """One message cannot be a frame. It is dropped and counted under `reason`; the stream goes on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class EngineRefused(LimpidError):  # noqa: N818
    """An engine folder is damaged, altered or not for this contract. It is never opened."""


class UpdateRefused(LimpidError):  # noqa: N818
    """An update is unsigned, damaged, not for this machine, or did not hold here. What runs is what ran."""


class EngineFault(LimpidError):  # noqa: N818
    """An open engine gave no usable result for one frame: the original goes out instead."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SourceUnavailable(LimpidError):  # noqa: N818
    """The source of frames is not there (camera unplugged, server down). Worth trying again."""


class ScreenUnavailable(LimpidError):  # noqa: N818
    """No screen can be opened: none is connected, or it may not be used. Worth trying again."""


class SensorsLost(LimpidError):  # noqa: N818
    """No sensor can be read: the health of the machine is not known until one can."""


class CaptureRefused(LimpidError):  # noqa: N818
    """A capture cannot be stored (disk full or read-only, nothing to capture). Whoever asked hears it at once."""


class OutboxFault(LimpidError):  # noqa: N818
    """A stored object is damaged, or cannot be opened with the key at hand. It is never sent."""


class SinkUnavailable(LimpidError):  # noqa: N818
    """The destination did not take the object now, or it is not known whether it did. The same one is sent again."""


class SinkRejected(LimpidError):  # noqa: N818
    """The destination refused the object for good, or took it with a reason to look at. It is parked, never dropped."""
