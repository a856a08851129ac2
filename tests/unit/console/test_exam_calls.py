"""Who may discard what was captured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.console import exam_calls
from edge.console.access.sessions import Session
from edge.console.access.users import ROLES, Role, User
from edge.console.calls import Asked
from edge.console.errors import Refusal
from edge.errors import ConfigError


class Exam:
    """The daemon's end: an exam that is ended with captures only where it is told so."""

    def __init__(self, *captures: str) -> None:
        self.captures = list(captures)
        self.open = True
        self.stored_meanwhile: list[str] = []

    def ask(self, asked: Asked, do: str, patience_s: float = 0.0, **more: Any) -> dict[str, Any]:
        del asked, patience_s
        if do == "exam-show":
            facts = {"exam": {"uid": "1.2", "captures": list(self.captures)} if self.open else None}
            self.captures += self.stored_meanwhile
            return facts
        assert do == "exam-discard"
        if self.captures and not more["captures_too"]:
            raise ConfigError("the exam has captures: close it, or discard it with its captures")
        self.open = False
        return {"exam": "1.2", "discarded": len(self.captures)}


@pytest.fixture
def exam(monkeypatch: pytest.MonkeyPatch) -> Exam:
    exam = Exam()
    monkeypatch.setattr(exam_calls, "ask_daemon", exam.ask)
    return exam


def discard(role: Role, *, captures_too: bool) -> None:
    office: Any = SimpleNamespace(pulse=SimpleNamespace(refresh=lambda _: None), note=lambda *_, **__: None)
    session = Session(User("olga", role), "", 0, 0, set())
    exam_calls._discard(Asked(office, session, {}, None, exam_calls.Discontinue(captures_too)))


def test_an_exam_is_discarded_with_its_captures_by_an_administrator_alone(exam: Exam) -> None:
    exam.captures = ["c1"]
    with pytest.raises(Refusal, match="needs the role administer") as refused:
        discard("operate", captures_too=True)
    assert (refused.value.status, refused.value.code, exam.open) == (403, "forbidden", True)
    discard("administer", captures_too=True)
    assert not exam.open


@pytest.mark.parametrize("role", ROLES[1:])
@pytest.mark.parametrize("captures_too", [True, False])
def test_an_exam_without_captures_is_discarded_by_whoever_operates(
    exam: Exam, role: Role, *, captures_too: bool
) -> None:
    discard(role, captures_too=captures_too)
    assert not exam.open


def test_a_capture_that_is_stored_in_this_very_moment_is_not_discarded_by_whoever_operates(exam: Exam) -> None:
    exam.stored_meanwhile = ["c1"]
    with pytest.raises(ConfigError, match="has captures"):
        discard("operate", captures_too=True)
    assert exam.open
