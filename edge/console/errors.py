"""What a call can be refused with: a status, a word for programs, and words for people that say who must act."""

from __future__ import annotations

from edge.errors import LimpidError


class Refusal(LimpidError):  # noqa: N818 - named for what it is
    """The answer to this request is no."""

    def __init__(self, status: int, code: str, words: str, retry_after_s: float = 0.0) -> None:
        super().__init__(words)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


def not_found(what: str) -> Refusal:
    return Refusal(404, "not-found", what)


def refused(words: str) -> Refusal:
    return Refusal(409, "refused", words)
