"""When each picture of a clip is due. Pure: the moments come in, nothing is waited for.

Open loop: the next moment follows from the last moment, not from when somebody came to fetch the picture, so
a slow reader loses pictures and never time.
"""

from __future__ import annotations

from edge.clock import SECOND

DEFAULT_FPS = 25.0
LONGEST_PAUSE_NS = 60 * SECOND  # a longer one in a file is taken for a damaged time stamp


class Pace:
    """`schedule` is called once for each picture, in order; `due_ns` is the last answer."""

    def __init__(self, fps: float, fast: bool) -> None:
        self._fixed = fps > 0
        self._fast = fast
        self.interval_ns = round(SECOND / (fps or DEFAULT_FPS))
        self.due_ns: int | None = None
        self._at_ns: int | None = None

    def schedule(self, at_ns: int | None, now_ns: int) -> int:
        """The moment of the picture that its file dates `at_ns`."""
        if self.due_ns is None or self._fast:
            self.due_ns = now_ns
        else:
            self.interval_ns = self._since_last(at_ns)
            self.due_ns += self.interval_ns
        self._at_ns = at_ns
        return self.due_ns

    def new_round(self) -> None:
        """The clip begins again: its times do, ours do not. The seam is as long as the last interval."""
        self._at_ns = None

    def has_passed(self, now_ns: int) -> bool:
        """Whether the moment of the picture after this one must be over, too."""
        return not self._fast and self.due_ns is not None and now_ns - self.due_ns >= max(self.interval_ns, 1)

    def start_over(self, now_ns: int) -> int:
        """Let the current picture be due now: the file is slower to decode than to play."""
        self.due_ns = now_ns
        return now_ns

    def _since_last(self, at_ns: int | None) -> int:
        if self._fixed or at_ns is None or self._at_ns is None:
            return self.interval_ns
        since = at_ns - self._at_ns
        return since if 0 <= since <= LONGEST_PAUSE_NS else self.interval_ns
