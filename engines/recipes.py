"""Which engines there are, how large each net is and how long it is trained. A table; nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["ultrasound", "fluoroscopy", "superres"]


@dataclass(frozen=True)
class Recipe:
    name: str
    task: Task
    size: Literal["large", "medium", "small"]
    channels: int
    middle: int  # convolutions between the first and the heads
    hidden: int  # recurrent feature channels beside the previous picture
    batch: int = 4
    crop: int = 96
    warm: int = 6  # at most so many frames run ahead without gradient, so that the steady state is trained too
    clip: int = 6  # frames with gradient
    rate: float = 2e-3
    minutes: float = 30.0  # on two CPU cores; a GPU gets further in the same time

    @property
    def modalities(self) -> tuple[str, ...]:
        return ("ultrasound", "fluoroscopy", "unknown") if self.task == "superres" else (self.task,)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("ultrasound-clarity-large", "ultrasound", "large", channels=64, middle=4, hidden=16, minutes=25),
        Recipe("ultrasound-clarity-medium", "ultrasound", "medium", channels=48, middle=3, hidden=16, minutes=12),
        Recipe("ultrasound-clarity-small", "ultrasound", "small", channels=32, middle=2, hidden=8, minutes=10),
        Recipe("fluoroscopy-clarity-large", "fluoroscopy", "large", channels=64, middle=4, hidden=16, minutes=25),
        Recipe("fluoroscopy-clarity-medium", "fluoroscopy", "medium", channels=48, middle=3, hidden=16, minutes=12),
        Recipe("fluoroscopy-clarity-small", "fluoroscopy", "small", channels=32, middle=2, hidden=8, minutes=10),
        Recipe("superres-2x", "superres", "large", channels=48, middle=3, hidden=0, batch=16, crop=64, minutes=8),
    )
}
