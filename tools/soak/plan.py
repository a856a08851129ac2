"""What happens when. Pure: a shorter soak has the same in it, closer together, as far as its times allow."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_S = 60.0
HEAT_S = 20 * MINUTE_S  # one time up and down
LEAST_HEAT_S = 5 * MINUTE_S  # the ladder's own way up takes three minutes
ARCHIVE_S = 15 * MINUTE_S
AWAY = (1 / 3, 2 / 3)  # of each time around

# Of one time around, and degrees: the scripted sensor throttles at 95.
HEAT = (
    (0.0, 62), (0.15, 62), (0.22, 85), (0.28, 85), (0.32, 90), (0.36, 90), (0.38, 94.5), (0.40, 94.5), (0.46, 66),
    (1.0, 62),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float
    capture_s: float = MINUTE_S
    sample_s: float = 10.0
    minute_s: float = MINUTE_S
    report_s: float = 5 * MINUTE_S
    heat_s: float = HEAT_S
    archive_s: float = ARCHIVE_S
    clip_s: float = 5.0
    back_s: float = 10.0
    warm_up_s: float = 10 * MINUTE_S  # before memory is held to be what it stays
    loop_frames: int = 300  # made by the scanner at its start: what is measured is not the making of phantoms

    def archive_is_up(self, at_s: float) -> bool:
        part = at_s % self.archive_s / self.archive_s
        return not AWAY[0] <= part < AWAY[1]


def plan_of(seconds: float) -> Plan:
    if seconds >= 45 * MINUTE_S:
        return Plan(seconds)
    return Plan(
        seconds,
        capture_s=min(MINUTE_S, seconds / 6),
        sample_s=min(10.0, seconds / 30),
        minute_s=min(MINUTE_S, seconds / 8),
        report_s=min(5 * MINUTE_S, seconds / 3),
        heat_s=min(HEAT_S, max(LEAST_HEAT_S, seconds)),
        archive_s=min(ARCHIVE_S, seconds),
        clip_s=min(5.0, seconds / 15),
        back_s=min(10.0, seconds / 6),
        warm_up_s=seconds / 3,
        loop_frames=90,
    )


def heat_script(period_s: float) -> str:
    return "\n".join(f"{part * period_s:.1f} {degrees}" for part, degrees in HEAT) + "\n"
