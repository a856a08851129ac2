"""`python -m tools.soak --minutes 120 --report DIR --json`: the whole appliance at real time, and what became of it.

One thread does what is due: samples, captures, the archive's comings and goings, a report every five minutes. SIGTERM
or Ctrl-C ends it early, with its report. Exit status 0 where every verdict is good.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import LimpidError
from edge.threads import stop_on_signals
from tools.soak import report
from tools.soak.button import Button
from tools.soak.gauge import Gauge
from tools.soak.house import House, built
from tools.soak.log import Log
from tools.soak.plan import Plan, plan_of

TICK_S = 0.1
DRAIN_S = 600.0
DRAIN_STOPPED_S = 90.0  # after SIGTERM somebody waits
FIRST_PICTURE_S = 120.0


@dataclass(slots=True)
class Soak:
    """What one run knows. Used by main alone; presses are written by their own threads."""

    plan: Plan
    house: House
    folder: Path  # of the report
    button: Button
    log: Log
    gauge: Gauge = field(default_factory=Gauge)
    began: float = field(default_factory=time.monotonic)
    minutes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    away: list[tuple[float, float | None]] = field(default_factory=list[tuple[float, float | None]])
    troubles: list[str] = field(default_factory=list[str])  # of the soak itself
    status: dict[str, Any] = field(default_factory=dict[str, Any])
    scraped: int = 0
    unscraped: int = 0
    ended: bool = False
    facts: dict[str, Any] = field(default_factory=dict[str, Any])  # the last report

    @property
    def at_s(self) -> float:
        return time.monotonic() - self.began

    def run(self, stop: threading.Event) -> None:
        due: list[tuple[float, Callable[[], None]]] = [
            (self.plan.sample_s, self.sample), (self.plan.minute_s, self.note_minute),
            (self.plan.capture_s, self.capture), (self.plan.report_s, self.write),
        ]  # fmt: skip
        next_s = {every.__name__: first for first, every in due}
        while not stop.is_set() and self.at_s < self.plan.seconds and not self._is_over():
            for every_s, do in due:
                if self.at_s >= next_s[do.__name__]:
                    next_s[do.__name__] += every_s
                    self._try(do)
            self._try(self.mind_archive)
            stop.wait(TICK_S)

    def _is_over(self) -> bool:
        """Without its appliance or its scanner there is nothing left to watch."""
        for name in ("appliance", "scanner", "subscriber"):
            part = getattr(self.house, name)
            process = part.process if name == "subscriber" else part
            if process.poll() is not None:
                self._trouble(f"the {name} ended with status {process.returncode}")
                return True
        return False

    def _try(self, do: Callable[[], None]) -> None:
        """Whatever goes wrong with watching, the soak goes on, and says so."""
        try:
            do()
        except (LimpidError, OSError, ValueError, KeyError) as error:
            self._trouble(f"{do.__name__}: {type(error).__name__}: {error}"[:200])

    def _trouble(self, words: str) -> None:
        if len(self.troubles) < 200:
            self.troubles.append(f"{self.at_s:.0f} s: {words}")

    # ------------------------------------------------ what is due

    def sample(self) -> None:
        self.gauge.look(self.at_s, self.house.processes())
        self.status = self.house.status()
        if self.house.console:
            try:
                with urllib.request.urlopen(f"{self.house.console}metrics", timeout=5) as answer:
                    self.scraped += b"limpid_frames_in_total" in answer.read()
            except (urllib.error.URLError, OSError):
                self.unscraped += 1

    def note_minute(self) -> None:
        heat = self.status.get("health", {}).get("heat", {})
        self.minutes.append(report.minute(self.at_s, self.house.subscriber.said, heat, self.minutes))

    def capture(self) -> None:
        self.button.press(self.at_s, self.status.get("health", {}).get("heat", {}).get("step", ""))

    def mind_archive(self) -> None:
        wanted = self.plan.archive_is_up(self.at_s)
        if wanted and not self.house.archive.is_up:
            self.house.archive.start()
            if self.away and self.away[-1][1] is None:
                self.away[-1] = (self.away[-1][0], round(self.at_s, 1))
        elif not wanted and self.house.archive.is_up:
            self.away.append((round(self.at_s, 1), None))
            self.house.archive.stop()

    def write(self) -> None:
        self.log.read()
        self.facts = report.facts_of(self)
        report.write(self.folder, self.facts)
        picture = self.house.picture()
        if picture is not None:
            report.write_picture(self.folder / f"shown-{self.at_s / 60:06.1f}-min.png", picture)

    # ------------------------------------------------ the end

    def end(self, *, stopped: bool) -> None:
        """The scanner first, then what is on its way; then the sums."""
        self.button.join(60.0)
        self.house.stop_scanner()
        time.sleep(1.5)  # the last pictures, and the subscriber's last line
        self._try(self.sample)
        self.house.subscriber.end(self.house.reader)
        self._try(self._archive_back)
        self._drain(DRAIN_STOPPED_S if stopped else DRAIN_S)
        self._try(self.note_minute)
        self.log.read()
        self.ended = True
        self.facts = report.facts_of(self)
        report.write(self.folder, self.facts)

    def _archive_back(self) -> None:
        if not self.house.archive.is_up:
            self.house.archive.start()
            if self.away and self.away[-1][1] is None:
                self.away[-1] = (self.away[-1][0], round(self.at_s, 1))

    def _drain(self, patience_s: float) -> None:
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            with contextlib.suppress(LimpidError):
                if not report.not_in_archive(self.button.acknowledged, self.house.archive.objects()):
                    return
            time.sleep(1.0)


def soak(plan: Plan, folder: Path, stop: threading.Event, archive_kind: str = "", *, faces: bool = True) -> Soak:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="limpid-soak-") as home, ExitStack() as stack:
        house = built(stack, Path(home), plan, archive_kind=archive_kind, faces=faces)
        button = Button(house.control, house.outbox, plan.clip_s, plan.back_s)
        _wait_for_picture(house, stop)
        watched = Soak(plan, house, folder, button, Log(house.log, time.monotonic_ns()))
        button.open_exam()
        try:
            watched.run(stop)
        finally:
            watched.end(stopped=stop.is_set())
            _keep_log(house.log, folder)
    return watched


def _wait_for_picture(house: House, stop: threading.Event) -> None:
    until = time.monotonic() + FIRST_PICTURE_S
    while not house.subscriber.said.get("received") and time.monotonic() < until and not stop.is_set():
        time.sleep(TICK_S)
    if not house.subscriber.said.get("received"):
        raise LimpidError(f"no picture came within {FIRST_PICTURE_S:.0f} s, see {house.log}")


def _keep_log(log: Path, folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / "appliance.log").write_bytes(log.read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--report", type=Path, default=Path("out/soak"), help="a folder: soak.json, soak.md, pictures")
    parser.add_argument("--archive", choices=("orthanc", "demo"), default="", help="Orthanc where it is installed")
    parser.add_argument("--json", action="store_true", help="the report on standard output as well")
    asked = parser.parse_args()
    stop = threading.Event()
    stop_on_signals(stop)
    try:
        watched = soak(plan_of(asked.minutes * 60), asked.report, stop, asked.archive)
    except LimpidError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    facts = watched.facts
    print(json.dumps(facts) if asked.json else report.markdown(facts))
    return 0 if facts["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
