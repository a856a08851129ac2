"""Classical filters that look back: persistence, temporal median, motion-adaptive recursion, NVCA. Owned by one stream.

All are causal: they are fed the past and the present, and give the present. Those for X-rays compute where the noise is
1 at every level; medians know no scale, and persistence is what an ultrasound scanner does, on its own grey.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.peers._evening import Evening
from calibration.peers._field import inside
from calibration.peers._levels import Floats
from calibration.peers._noise import Stabiliser
from calibration.peers._spatial import Bilateral

_MAD = 1.4826
_COMPANY = 0.1  # of the pixels asked: with fewer that fit, a pixel is alone
_NEAR = (5, 5)  # the neighbourhood that shows whether a place has moved


class Persistence:
    """A bilateral filter, and of what has not moved, a part `kept` of the picture before.

    A place has moved when its local mean differs by `moved` levels; half of that keeps half as much.
    """

    def __init__(
        self, kept: float = 0.5, moved: float = 0.1, sigma_level: float = 0.2, sigma_space: float = 2.0
    ) -> None:
        self._kept, self._moved = np.float32(kept), np.float32(moved)
        self._calm = Bilateral(sigma_level=sigma_level, sigma_space=sigma_space)
        self._past: Floats | None = None

    def forget(self) -> None:
        self._past = None

    def __call__(self, levels: Floats) -> Floats:
        calm = self._calm(levels)
        if self._past is not None:
            news = calm - self._past
            kept = self._kept * np.maximum(1 - np.abs(cv2.blur(news, _NEAR)) / self._moved, 0)
            calm = calm - kept * news
        self._past = calm
        return calm


class TemporalMedian:
    """The median, over the last `frames` pictures, of the median over a square of `size` pixels."""

    def __init__(self, frames: float = 5, size: float = 5) -> None:
        self._size = int(size)
        self._past: deque[Floats] = deque(maxlen=int(frames))

    def forget(self) -> None:
        self._past.clear()

    def remember(self, levels: Floats) -> None:
        self._past.append(cv2.medianBlur(levels, self._size))

    def __call__(self, levels: Floats) -> Floats:
        self.remember(levels)
        return np.median(np.stack(self._past), axis=0).astype(np.float32)


class Recursive:
    """Motion-adaptive temporal recursive filter, with a bilateral filter behind it for what time alone leaves.

    A place that keeps still is the running mean of up to `memory` pictures; one that moves starts again. It has moved
    when its local mean differs by `moved` times what noise makes of it, and not at all below `still` times.
    """

    def __init__(
        self, memory: float = 12, still: float = 1.5, moved: float = 4.0, spread: float = 2.0, edge: float = 2.0
    ) -> None:
        self._memory, self._still, self._moved = np.float32(memory), still, moved
        self._calm = Bilateral(sigma_level=edge, sigma_space=spread)  # in deviations of one picture's noise
        self._evening = Evening()
        self._mean: Floats | None = None  # levels
        self._age: Floats = np.zeros((0, 0), np.float32)  # how many pictures a pixel is the mean of

    def forget(self) -> None:
        self._evening.forget()
        self._mean = None

    def remember(self, levels: Floats) -> None:
        self._steadied(levels)

    def __call__(self, levels: Floats) -> Floats:
        even, scale = self._steadied(levels)
        return scale.back(self._calm(even))

    def _steadied(self, levels: Floats) -> tuple[Floats, Stabiliser]:
        scale = self._evening.follow(levels)
        even = scale.even(levels)
        if self._mean is None:
            self._age = np.ones_like(levels)
        else:
            mean = scale.even(self._mean)
            news = even - mean
            self._age = np.minimum(self._age * (1 - self._motion(news, inside(levels))) + 1, self._memory)
            even = mean + news / self._age
        self._mean = scale.level(even)
        return even, scale

    def _motion(self, news: Floats, field: NDArray[np.bool_]) -> Floats:
        """0 where a place is still, 1 where it has moved. Most of a picture is still, and shows what noise does."""
        away = np.abs(cv2.blur(news, _NEAR))
        noise = _MAD * float(np.median(away[field])) if field.any() else 0.0
        away /= np.float32(max(noise, 1e-3))
        return np.clip((away - np.float32(self._still)) / np.float32(self._moved - self._still), 0, 1)


class Nvca:
    """Noise-variance conditioned averaging: of the pixels around, now and in the last pictures, the mean of those that
    differ from the one in the middle by less than `tolerance` deviations of the noise at its level.

    The pixel in the middle is noisy itself, which lets its own noise choose its company; a `guide` above 0 blurs what
    is compared with (0 is the authors' form). One that finds hardly any company is a speck, and becomes the mean of its
    neighbours, as in Lee's sigma filter.
    """

    def __init__(self, frames: float = 6, reach: float = 2, tolerance: float = 3.0, guide: float = 0.0) -> None:
        self._reach, self._tolerance, self._guide = int(reach), np.float32(tolerance), guide
        self._past: deque[Floats] = deque(maxlen=int(frames))
        self._evening = Evening()

    def forget(self) -> None:
        self._past.clear()
        self._evening.forget()

    def remember(self, levels: Floats) -> None:
        self._kept(levels)

    def _kept(self, levels: Floats) -> Stabiliser:
        self._past.append(levels)
        return self._evening.follow(levels)

    def __call__(self, levels: Floats) -> Floats:
        scale = self._kept(levels)
        middle = scale.even(levels)
        if self._guide:
            middle = cv2.GaussianBlur(middle, (0, 0), self._guide)
        total, count = np.zeros_like(levels), np.zeros_like(levels)
        for picture in self._past:
            self._gather(scale.even(picture), middle, total, count)
        alone = count < _COMPANY * len(self._past) * (2 * self._reach + 1) ** 2
        return scale.back(np.where(alone, cv2.blur(middle, (3, 3)), total / np.maximum(count, 1)))

    def _gather(self, even: Floats, middle: Floats, total: Floats, count: Floats) -> None:
        """Add one picture's fitting pixels."""
        reach = self._reach
        height, width = even.shape
        wide = cv2.copyMakeBorder(even, reach, reach, reach, reach, cv2.BORDER_REFLECT_101)
        for y in range(2 * reach + 1):
            for x in range(2 * reach + 1):
                other = wide[y : y + height, x : x + width]
                alike = (np.abs(other - middle) < self._tolerance).astype(np.float32)
                count += alike
                total += alike * other
