"""What the threads of one process share, and who writes each. Made once by the daemon, handed to all."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.clock import Clock
from edge.config import Config
from edge.health import Events, Vitals
from edge.way import RightOfWay
from edge.wishes import Wishes


@dataclass(frozen=True, slots=True)
class Shared:
    config: Config  # frozen
    clock: Clock
    events: Events  # any thread emits; the events thread writes
    vitals: Vitals  # written by live, read by the watchdog
    wishes: Wishes  # written by control, read by live
    way: RightOfWay = field(default_factory=RightOfWay)  # written by live, read by who stores
