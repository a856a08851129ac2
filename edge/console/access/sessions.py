"""Who is logged in. In memory alone: a restart of the console logs everybody out. Owned by the event loop.

A cookie is a random number; what is kept is its sum, so that nothing here would let anybody in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from edge.clock import SECOND, Clock
from edge.console.access.users import User, Users

COOKIE = "limpid_session"
MOST = 200
TOKEN_BYTES = 32


@dataclass(slots=True)
class Session:
    user: User
    csrf: str
    began_ns: int
    heard_ns: int
    seen: set[str]  # the exams whose patient this session was told of

    @property
    def who(self) -> str:
        return self.user.name


def everybody() -> Session:
    """The one session of an open console."""
    return Session(User("local", "administer"), secrets.token_urlsafe(TOKEN_BYTES), 0, 0, set())


class Sessions:
    def __init__(self, users: Users, clock: Clock, idle_ns: int, longest_ns: int) -> None:
        self._users = users
        self._clock = clock
        self._idle_ns = idle_ns
        self._longest_ns = longest_ns
        self._sessions: dict[str, Session] = {}

    def begin(self, user: User) -> tuple[str, Session]:
        """The cookie's value, known to nobody but the client from now on, and the session."""
        self._tidy()
        if len(self._sessions) >= MOST:
            oldest = min(self._sessions, key=lambda key: self._sessions[key].heard_ns)
            del self._sessions[oldest]
        token, now = secrets.token_urlsafe(TOKEN_BYTES), self._clock.now()
        session = Session(user, secrets.token_urlsafe(TOKEN_BYTES), now, now, set())
        self._sessions[_sum(token)] = session
        return token, session

    def of(self, token: str, *, counts: bool = True) -> Session | None:
        """Its session, unless it is over; `counts`: somebody did something, so the idle time begins again."""
        session = self._sessions.get(_sum(token)) if token else None
        if session is None:
            return None
        if self._is_over(session):
            self.end(token)
            return None
        if counts:
            session.heard_ns = self._clock.now()
        return session

    def end(self, token: str) -> None:
        self._sessions.pop(_sum(token), None)

    def left_s(self, session: Session) -> float:
        now = self._clock.now()
        ends = min(session.heard_ns + self._idle_ns, session.began_ns + self._longest_ns)
        return max(0.0, (ends - now) / SECOND)

    def _is_over(self, session: Session) -> bool:
        """Too old, idle for too long, or the user is another one now: removed, another role, another password."""
        return self.left_s(session) <= 0 or self._users.all().get(session.user.name) != session.user

    def _tidy(self) -> None:
        over = [key for key, session in self._sessions.items() if self._is_over(session)]
        for key in over:
            del self._sessions[key]

    def __len__(self) -> int:
        return len(self._sessions)


def _sum(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def is_same(one: str, other: str) -> bool:
    """Without telling by the time it takes how much of it is right."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))
