"""jetson-stats as `edge.sensors.jetson` uses it, for machines that are no Jetson. Not a test itself."""

from __future__ import annotations

from typing import ClassVar


class JtopException(Exception):  # noqa: N818 - its name there
    pass


class FakeJtop:
    """`down`: its service does not run."""

    down: ClassVar[bool] = False
    opened: ClassVar[int] = 0

    def __init__(self, interval: float = 1.0) -> None:
        self.interval = interval
        self.nvpmodel = "15W"
        self.temperature = {"CPU": {"temp": 51.5, "online": True}, "GPU": {"temp": 49.0}, "cv0": {"temp": -256.0}}
        self.gpu = {"gpu": {"freq": {"cur": 612000, "max": 918000}}}
        self._runs = False

    def start(self) -> None:
        FakeJtop.opened += 1
        if FakeJtop.down:
            raise JtopException("The jtop.service is not active")
        self._runs = True

    def ok(self, spin: bool = False) -> bool:
        return self._runs and not FakeJtop.down

    def close(self) -> None:
        self._runs = False
