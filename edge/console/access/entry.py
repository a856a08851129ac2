"""Logging in and out, and who is it: what needs no session. On the event loop; passwords on a thread of their own."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edge import __version__
from edge.clock import SECOND
from edge.console.access.sessions import COOKIE, Session, is_same
from edge.console.access.users import LONGEST_PASSWORD, User
from edge.console.errors import Refusal
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.console.office import Office

WRONG = "the name or the password is wrong"


class LogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    password: str


class First(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first administrator names himself, with the token that `limpid setup` printed on the device."""

    user: str
    password: str
    token: str


class Entry:
    def __init__(self, office: Office) -> None:
        self._office = office

    async def answer(self, request: Request) -> Response:
        token = request.cookies.get(COOKIE, "")
        session = self._office.session_of(token)
        if request.method == "POST":
            return await self._log_in(request, token)
        if request.method == "DELETE":
            return await self._log_out(request, token, session)
        return self._who(session)

    async def _log_in(self, request: Request, token: str) -> Response:
        from edge.console.app import read_json

        told = await read_json(request, 4096)
        try:
            asked = msgspec.convert(told, First if isinstance(told, dict) and "token" in told else LogIn)
        except msgspec.ValidationError as error:
            raise Refusal(422, "invalid", str(error)) from None
        address = request.client.host if request.client is not None else ""
        if isinstance(asked, First):
            await self._make_first(asked, address)
            asked = LogIn(asked.user, asked.password)
        if self._office.is_open:
            raise Refusal(409, "refused", "there are no users to log in: everybody on this machine may do everything")
        user = await self._check(asked, address)
        self._office.sessions.end(token)  # a session that was there before does not become this one
        token, session = self._office.sessions.begin(user)
        await self._note(session.who, "log-in", address)
        answer = self._who(session)
        longest_s = int(self._office.config.console.session_hours * 3600)
        answer.set_cookie(
            COOKIE, token, max_age=longest_s, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return answer

    async def _make_first(self, asked: First, address: str) -> None:
        """Counted as a wrong password is, before it is known to be wrong."""
        office = self._office
        wait_ns = office.throttle.wait(address, "", office.clock.now())
        if wait_ns:
            raise Refusal(429, "throttled", "too many wrong tokens: wait, then try again", wait_ns / SECOND)
        office.throttle.wrong(address, "", office.clock.now())
        try:
            opened = await office.pools.passwords.do(lambda: self._claim(asked))
        except ConfigError as error:
            raise Refusal(422, "invalid", str(error)) from None
        if not opened:
            office.throttle.refused(address, "", office.clock.now())
            office.events.emit("log-in.refused")
            await self._note("?", "first-refused", address)
            raise Refusal(401, "log-in", "the token is wrong, was used, or is older than a day: `limpid setup --token`")
        office.throttle.right(address, "")
        await self._note(asked.user, "first-administrator", address)

    def _claim(self, asked: First) -> bool:
        """One at a time: the pool of passwords has one thread."""
        office = self._office
        if office.users.all() or not office.first.opens(asked.token):
            return False
        office.users.add(asked.user, "administer", asked.password)
        office.first.spend()
        return True

    async def _check(self, asked: LogIn, address: str) -> User:
        office, name = self._office, asked.user[:64]
        wait_ns = office.throttle.wait(address, name, office.clock.now())
        if wait_ns:
            raise Refusal(429, "throttled", "too many wrong passwords: wait, then try again", wait_ns / SECOND)
        if len(asked.password) > LONGEST_PASSWORD:
            raise Refusal(401, "log-in", WRONG)
        # Counted before it is known to be wrong: many tries at once must not all be free.
        office.throttle.wrong(address, name, office.clock.now())
        user = await office.pools.passwords.do(functools.partial(office.users.check, asked.user, asked.password))
        if user is None:
            office.throttle.refused(address, name, office.clock.now())
            # The name is told only where it is one: people type passwords into the wrong field.
            known = name if name in office.users.all() else "?"
            office.events.emit("log-in.refused")
            await self._note(known, "log-in-refused", address)
            raise Refusal(401, "log-in", WRONG)
        office.throttle.right(address, name)
        return user

    async def _log_out(self, request: Request, token: str, session: Session | None) -> Response:
        if session is not None and not self._office.is_open:
            if not is_same(request.headers.get("x-csrf-token", ""), session.csrf):
                raise Refusal(403, "csrf", "the header X-CSRF-Token is missing or old: ask for the session again")
            self._office.sessions.end(token)
            await self._note(session.who, "log-out", "")
            session = None
        answer = self._who(session)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    async def _note(self, who: str, did: str, address: str) -> None:
        facts = {"from": address} if address else {}
        await self._office.pools.quick.do(lambda: self._office.note(who, did, "session", **facts))

    def _is_first(self) -> bool:
        """Nobody is a user yet, and a token waits for the first."""
        try:
            return not self._office.users.all() and self._office.first.waits
        except ConfigError:
            return False

    def _who(self, session: Session | None) -> Response:
        from edge.console.office import OPEN_NOTICE

        office, is_open = self._office, self._office.is_open
        facts: dict[str, Any] = {
            "open": is_open,
            "user": session.who if session is not None else "",
            "role": session.user.role if session is not None else "",
            "csrf": session.csrf if session is not None else "",
            "expires_s": round(office.sessions.left_s(session)) if session is not None and not is_open else 0,
            "notice": OPEN_NOTICE if is_open else "",
            "first": self._is_first(),
            "version": __version__,
            "station": office.config.station.name,
        }
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        return Response(json.dumps(facts).encode(), headers=headers)
