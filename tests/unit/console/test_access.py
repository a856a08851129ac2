"""Users, sessions and the brake on guessing."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from argon2 import PasswordHasher
from starlette.requests import Request

from edge.clock import SECOND, ManualClock
from edge.console.access import users as users_module
from edge.console.access.sessions import COOKIE, MOST, Sessions
from edge.console.access.throttle import MOST_KEYS, Throttle
from edge.console.access.users import Users
from edge.console.app import BY_ITSELF, CALLS, _admit  # pyright: ignore[reportPrivateUsage]
from edge.console.office import Office
from edge.errors import ConfigError

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_module, "PasswordHasher", lambda: PasswordHasher(1, 8, 1))


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "console" / "users.json")


# ------------------------------------------------ users


def test_a_user_gets_in_by_the_password_alone(users: Users) -> None:
    users.add("anna", "operate", PASSWORD)
    anna = users.check("anna", PASSWORD)
    assert anna is not None
    assert [anna.may(role) for role in users_module.ROLES] == [True, True, False]
    for name, password in (("anna", "wrong"), ("anna", ""), ("bob", PASSWORD), ("Anna", PASSWORD), ("", "")):
        assert users.check(name, password) is None


def test_the_file_is_the_owners_alone_and_holds_no_password(users: Users, tmp_path: Path) -> None:
    users.add("anna", "operate", PASSWORD)
    path = tmp_path / "console" / "users.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()
    assert "$argon2id$" in path.read_text()


def test_what_another_process_writes_is_seen_at_once(users: Users, tmp_path: Path) -> None:
    other = Users(tmp_path / "console" / "users.json")
    assert users.all() == {}
    other.add("anna", "view", PASSWORD)
    assert list(users.all()) == ["anna"]
    other.change_password("anna", PASSWORD + "!")
    assert users.check("anna", PASSWORD) is None
    assert users.check("anna", PASSWORD + "!") is not None
    other.remove("anna")
    assert users.all() == {}


@pytest.mark.parametrize(
    ("name", "role", "password"),
    [("Anna", "view", PASSWORD), ("a/b", "view", PASSWORD), ("", "view", PASSWORD), ("anna", "root", PASSWORD),
     ("anna", "view", "short"), ("anna", "view", "x" * 300), ("anna\n", "view", PASSWORD)],
)  # fmt: skip
def test_what_cannot_be_a_user_is_refused_in_words(users: Users, name: str, role: str, password: str) -> None:
    with pytest.raises(ConfigError):
        users.add(name, role, password)
    assert users.all() == {}


def test_a_user_is_added_once(users: Users) -> None:
    users.add("anna", "view", PASSWORD)
    with pytest.raises(ConfigError, match="already"):
        users.add("anna", "administer", PASSWORD)
    with pytest.raises(ConfigError, match="no user"):
        users.remove("bob")


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"version": 9, "users": []}', '{"version": 1, "users": [{}]}', "\xff"]
)
def test_a_file_that_was_altered_lets_nobody_in(users: Users, tmp_path: Path, text: str) -> None:
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "users.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError):
        users.all()


# ------------------------------------------------ sessions


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sessions(users: Users, clock: ManualClock) -> Sessions:
    users.add("anna", "operate", PASSWORD)
    return Sessions(users, clock, idle_ns=60 * SECOND, longest_ns=600 * SECOND)


def test_a_session_ends_when_nothing_is_done(sessions: Sessions, users: Users, clock: ManualClock) -> None:
    token, session = sessions.begin(users.all()["anna"])
    for _ in range(5):
        clock.advance(50 * SECOND)
        assert sessions.of(token) is session
    clock.advance(50 * SECOND)
    assert sessions.of(token, counts=False) is session  # to look on is not to do something
    clock.advance(20 * SECOND)
    assert sessions.of(token) is None


@pytest.mark.parametrize(
    ("path", "header", "lives_on"),
    [
        ("/status", BY_ITSELF, False),
        ("/captures/{capture}/thumbnail", "sec-fetch-dest", False),
        ("/picture", BY_ITSELF, True),
        ("/status", "accept", True),
    ],
)
def test_what_the_page_asks_by_itself_keeps_no_session_alive(
    sessions: Sessions, users: Users, clock: ManualClock, path: str, header: str, lives_on: bool
) -> None:
    """Whatever changes something is somebody's doing."""
    token, session = sessions.begin(users.all()["anna"])
    office = cast("Office", SimpleNamespace(session_of=sessions.of))
    call = next(call for call in CALLS if call.path == path)
    headers = {"cookie": f"{COOKIE}={token}", "x-csrf-token": session.csrf, header: "image"}
    request = Request({"type": "http", "headers": [(name.encode(), text.encode()) for name, text in headers.items()]})
    clock.advance(50 * SECOND)
    assert _admit(office, call, request) is session
    clock.advance(20 * SECOND)
    assert (sessions.of(token) is session) == lives_on


def test_a_session_ends_after_its_longest_time_whatever_is_done(
    sessions: Sessions, users: Users, clock: ManualClock
) -> None:
    token, _ = sessions.begin(users.all()["anna"])
    for _ in range(59):
        clock.advance(10 * SECOND)
        assert sessions.of(token) is not None
    clock.advance(10 * SECOND)
    assert sessions.of(token) is None


def test_a_session_ends_with_its_user_and_with_the_password(sessions: Sessions, users: Users) -> None:
    token, _ = sessions.begin(users.all()["anna"])
    users.change_password("anna", PASSWORD + "!")
    assert sessions.of(token) is None
    token, _ = sessions.begin(users.all()["anna"])
    users.remove("anna")
    assert sessions.of(token) is None


@pytest.mark.parametrize("token", ["", "x", "\udcff", "0" * 64])
def test_a_token_that_was_not_given_out_is_no_session(sessions: Sessions, users: Users, token: str) -> None:
    sessions.begin(users.all()["anna"])
    assert sessions.of(token) is None


def test_sessions_are_bounded_and_the_oldest_goes(sessions: Sessions, users: Users, clock: ManualClock) -> None:
    first, _ = sessions.begin(users.all()["anna"])
    for _ in range(MOST):
        clock.advance(SECOND // 1000)
        last, _ = sessions.begin(users.all()["anna"])
    assert len(sessions) == MOST
    assert sessions.of(first) is None
    assert sessions.of(last) is not None


# ------------------------------------------------ guessing


def test_a_few_wrong_passwords_cost_nothing_and_many_ever_more() -> None:
    throttle, now, waits = Throttle(), 0, list[int]()
    for _ in range(16):
        throttle.wrong("1.2.3.4", "anna", now)
        waits.append(throttle.wait("1.2.3.4", "anna", now) // SECOND)
        now += waits[-1] * SECOND
    assert waits[:5] == [0] * 5
    assert waits[5:10] == [1, 2, 4, 8, 16]
    assert waits[-1] == 900


def test_a_pause_begins_with_the_answer_however_long_the_check_took() -> None:
    throttle = Throttle()
    for _ in range(6):
        throttle.wrong("1.2.3.4", "anna", 0)
    throttle.refused("1.2.3.4", "anna", 5 * SECOND)
    assert throttle.wait("1.2.3.4", "anna", 5 * SECOND) == SECOND
    assert throttle.wait("1.2.3.4", "anna", 6 * SECOND) == 0


def test_who_is_attacked_is_slowed_but_never_locked_out() -> None:
    throttle = Throttle()
    for n in range(1000):
        throttle.wrong(f"10.0.{n // 250}.{n % 250}", "anna", 0)
    assert 0 < throttle.wait("192.168.1.1", "anna", 0) <= 2 * SECOND


def test_an_address_that_tries_many_names_is_slowed() -> None:
    throttle = Throttle()
    for n in range(40):
        throttle.wrong("1.2.3.4", f"user{n}", 0)
    assert throttle.wait("1.2.3.4", "another", 0) > 10 * SECOND
    assert throttle.wait("5.6.7.8", "another", 0) == 0


def test_the_right_password_forgives_what_was_mistyped() -> None:
    throttle = Throttle()
    for _ in range(8):
        throttle.wrong("1.2.3.4", "anna", 0)
    throttle.right("1.2.3.4", "anna")
    assert throttle.wait("1.2.3.4", "anna", 0) == 0


def test_right_passwords_never_slow_the_workstation_that_many_share() -> None:
    """Each log-in is counted as wrong until it is known to be right."""
    throttle = Throttle()
    for n in range(100):
        assert throttle.wait("1.2.3.4", f"nurse{n % 8}", n * 60 * SECOND) == 0
        throttle.wrong("1.2.3.4", f"nurse{n % 8}", n * 60 * SECOND)
        throttle.right("1.2.3.4", f"nurse{n % 8}")


def test_what_was_mistyped_before_the_right_password_is_not_held_against_the_workstation() -> None:
    throttle = Throttle()
    for n in range(30):
        for _ in range(3):
            throttle.wrong("1.2.3.4", f"nurse{n % 8}", n * 60 * SECOND)
        throttle.right("1.2.3.4", f"nurse{n % 8}")
    assert throttle.wait("1.2.3.4", "doctor", 30 * 60 * SECOND) == 0


def test_a_right_password_forgives_nothing_that_was_tried_on_other_names() -> None:
    throttle = Throttle()
    for n in range(40):
        throttle.wrong("1.2.3.4", f"user{n}", 0)
    waits = throttle.wait("1.2.3.4", "another", 0)
    for n in range(1, 4):
        throttle.wrong("1.2.3.4", "mine", n * SECOND)
        throttle.right("1.2.3.4", "mine")
    assert throttle.wait("1.2.3.4", "another", 0) == waits


def test_an_address_is_forgiven_after_an_hour_without_a_wrong_password_whoever_logs_in_meanwhile() -> None:
    throttle = Throttle()
    for n in range(40):
        throttle.wrong("1.2.3.4", f"user{n}", 0)
    for minute in range(10, 70, 10):
        throttle.wrong("1.2.3.4", "mine", minute * 60 * SECOND)
        throttle.right("1.2.3.4", "mine")
    assert throttle.wait("1.2.3.4", "another", 3601 * SECOND) == 0


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for n in range(3 * MOST_KEYS):
        throttle.wrong(f"a{n}", f"n{n}", 0)
    assert len(throttle._counts) <= MOST_KEYS
