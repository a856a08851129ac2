"""Peers held to the gate that an engine must pass.

Each is tuned for likeness alone, and pays for it with lesions. So each is also mixed with the picture as it came, and
told at the largest strength at which plain lesions would pass, found on the judge's own lesions: kinder to a peer than
any tuning could be. A mixture keeps of a lesion's contrast what its parts keep, in proportion.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from calibration.judging.clips import Floats
from calibration.judging.contestants import Contestant
from calibration.judging.figures import Held, Recovered
from calibration.judging.gates import RECOVERY_LEAST, RECOVERY_MOST

STRENGTHS = tuple(step / 20 for step in range(21))


class Mixed:
    """What measures find in mixtures of a peer's results with the pictures as they came, at each of `STRENGTHS`."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[list[float]]] = {}  # measure, contestant -> of each picture

    def note(
        self, measure: str, who: Contestant, shown: Floats, came: Floats, measured: Callable[[Floats], float]
    ) -> None:
        if who.role == "peer":
            more = shown - came
            values = [measured(came + strength * more) for strength in STRENGTHS]
            self._found.setdefault((measure, who.key), []).append(values)

    def at(self, measure: str, who: str, strength: float) -> float:
        each = self._found[measure, who]
        return statistics.fmean(values[STRENGTHS.index(strength)] for values in each)

    def held(self, who: str, lesions: Sequence[Recovered]) -> Held | None:
        """None of one that was not mixed, or was shown no lesion that is plain."""
        if ("psnr_db", who) not in self._found or not any(row.plain for row in lesions):
            return None
        strength = largest_strength(lesions)
        return Held(strength, self.at("psnr_db", who, strength), self.at("gcnr", who, strength))


def largest_strength(lesions: Sequence[Recovered]) -> float:
    """At which all that is plain is kept and nothing exaggerated; as an engine's gate asks it in a full run."""
    return max(strength for strength in STRENGTHS if strength == 0 or all(_passes(row, strength) for row in lesions))


def _passes(row: Recovered, strength: float) -> bool:
    shown = (1 - strength) * row.input + strength * row.value
    return shown <= RECOVERY_MOST and (not row.plain or shown >= RECOVERY_LEAST * min(1.0, row.input))
