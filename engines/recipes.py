"""Which engines there are, how large each net is and how long it is trained. A table; nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["ultrasound", "fluoroscopy", "superres"]
Size = Literal["large", "medium", "small"]


@dataclass(frozen=True)
class Recipe:
    name: str
    task: Task
    size: Size
    channels: int
    middle: int  # convolutions between the first and the heads
    hidden: int  # recurrent feature channels beside the previous picture
    memory: float = 6.0  # a still pixel is the mean of so many frames, at most
    by_block: bool = False  # the net decides for whole blocks: by pixel it would follow speckle, and show as a grid
    smooth: tuple[float, float] = (1.2, 3.0)  # widths in pixels of the filters that tell grain, to begin with
    evens: bool = False  # whether a frame that is brighter as a whole is brought to the level of those before it
    soft: float = 0.1  # of full scale: smaller errors count as their square
    likeness: float = 2.5  # the weight of errors, beside that of edges
    alike: float = 0.0  # the weight of each picture's own error in dB, so that clean pictures count as grainy ones do
    bright: float = 0.05  # what a crop that became darker or brighter, by all of its range, adds to the loss
    ghost: float = 0.35  # what a ghost as strong as what has passed adds to the loss
    kept: float = 1.0  # what a disc that is lost altogether adds to the loss
    forgiven: float = 0.02  # of a disc, lost or added, costs nothing: grain could not be calmed otherwise
    gate: float = 0.02  # what movement that is seen where none is adds to the loss
    missed: float = 2.0  # times that: movement that is not seen
    grain: float = 0.085  # of full scale: what one frame has beside the truth; 0: measured in each frame
    doubt: float = 0.0  # how readily a young net takes a pixel for moved; of a sigmoid
    batch: int = 4
    crop: int = 96
    warm: int = 6  # at most so many frames run ahead without gradient, so that the steady state is trained too
    clip: int = 6  # frames with gradient
    rate: float = 1e-3
    minutes: float = 30.0  # on two CPU cores; a GPU gets further in the same time

    @property
    def modalities(self) -> tuple[str, ...]:
        return ("ultrasound", "fluoroscopy", "unknown") if self.task == "superres" else (self.task,)


# X-rays come in few quanta: averages are long, and grain is strong enough to let a little of a lesion go with it.
_LOW_DOSE: dict[str, Any] = {
    "memory": 16.0, "evens": True, "grain": 0.0, "doubt": -2.4, "warm": 16,
    "soft": 0.01, "likeness": 1.0, "alike": 0.02, "bright": 0.0,
    "ghost": 3.0, "gate": 0.03, "missed": 3.0, "kept": 0.5, "forgiven": 0.03,
}  # fmt: skip
# One picture at a time: many of them, and small.
_STILLS: dict[str, Any] = {"alike": 0.02, "batch": 16, "crop": 64}
_SIZES: dict[Size, dict[str, Any]] = {
    "large": {"channels": 64, "middle": 4, "hidden": 16, "minutes": 32},
    "medium": {"channels": 48, "middle": 3, "hidden": 16, "minutes": 18},
    "small": {"channels": 32, "middle": 2, "hidden": 8, "minutes": 12},
}
SCENES = {"ultrasound": 600, "fluoroscopy": 500}  # phantoms that the clips come from

RECIPES = {
    recipe.name: recipe
    for recipe in (
        *(
            Recipe(f"ultrasound-clarity-{size}", "ultrasound", size, **net, by_block=True)
            for size, net in _SIZES.items()
        ),
        *(
            Recipe(f"fluoroscopy-clarity-{size}", "fluoroscopy", size, **net, **_LOW_DOSE)
            for size, net in _SIZES.items()
        ),
        Recipe("superres-2x", "superres", "large", channels=48, middle=3, hidden=0, minutes=9, **_STILLS),
    )
}
