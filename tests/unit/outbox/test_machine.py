"""Whatever is done, in whatever order and through whatever restarts: the outbox says what a simple model says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.errors import CaptureRefused
from edge.outbox import Item
from tests.outbox_rig import Rig, draft, memory_disk, pair

T = TypeVar("T")
PACS, SECOND = "pacs", "second"
RETENTION_HOURS = 72
MOST_CAPTURES = 4
ORDER = ("waiting", "sent", "asked", "parked", "confirmed")


Key = tuple[str, int, str]  # capture, object, destination


class OutboxMachine(RuleBasedStateMachine):
    picks = st.integers(0, 999)  # of what there is when the rule runs

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(dir=memory_disk()))
        self.rig = Rig(self.home, destinations=(PACS, SECOND))
        self.contents: dict[str, list[bytes]] = {}
        self.states: dict[str, dict[tuple[int, str], str]] = {}
        self.stat: set[str] = set()
        self.confirmed_hours: dict[str, float] = {}  # since the last word of every archive
        self.serial = 0

    def teardown(self) -> None:
        self.rig.box.close()
        shutil.rmtree(self.home)

    def item(self, name: str, number: int, destination: str) -> Item:
        capture = self.rig.box.capture(name)
        return Item(capture, capture.objects[number], destination)

    def names(self, *states: str) -> list[str]:
        """Captures all of whose objects are in one of these states."""
        return sorted(name for name, found in self.states.items() if set(found.values()) <= set(states))

    def keys(self, *states: str) -> list[Key]:
        found = ((name, *key) for name, known in self.states.items() for key, state in known.items() if state in states)
        return sorted(found)

    @precondition(lambda self: len(self.states) < MOST_CAPTURES)
    @rule(held=st.booleans(), stat=st.booleans())
    def put(self, held: bool, stat: bool) -> None:
        self.serial += 1
        things = pair(self.serial, 200)
        name = self.rig.box.put(draft(*things, held=held, priority="stat" if stat else "routine"))
        self.contents[name] = [thing.content for thing in things]
        self.states[name] = {(n, to): "held" if held else "waiting" for n in (0, 1) for to in (PACS, SECOND)}
        if stat:
            self.stat.add(name)

    @precondition(lambda self: self.names("held"))
    @rule(pick=picks, held=st.booleans())
    def replace(self, pick: int, held: bool) -> None:
        name = picked(self.names("held"), pick)
        self.serial += 1
        things = pair(self.serial, 200)
        self.rig.box.replace(name, draft(*things, held=held, priority=self.rig.box.capture(name).priority))
        self.contents[name] = [thing.content for thing in things]
        if not held:
            self.to_all(name, "waiting")

    @precondition(lambda self: self.states.keys() - set(self.names("held")))
    @rule(pick=picks)
    def replace_too_late(self, pick: int) -> None:
        name = picked(sorted(self.states.keys() - set(self.names("held"))), pick)
        with pytest.raises(CaptureRefused):
            self.rig.box.replace(name, draft(*pair()))

    @precondition(lambda self: self.names("held"))
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        name = picked(self.names("held"), pick)
        self.rig.box.release(name)
        self.to_all(name, "waiting")

    @initialize()
    def some_are_there(self) -> None:
        for held, stat in ((False, False), (True, False), (False, True)):
            self.put(held, stat)

    def to_all(self, name: str, state: str) -> None:
        self.states[name] = dict.fromkeys(self.states[name], state)

    @precondition(lambda self: self.keys(*ORDER))
    @rule(pick=picks, step=st.sampled_from(["sent", "asked", "confirmed", "parked"]))
    def happens(self, pick: int, step: str) -> None:
        name, number, destination = picked(self.keys(*ORDER), pick)
        self.say(self.item(name, number, destination), step)
        before = self.states[name][number, destination]
        self.states[name][number, destination] = max(before, step, key=ORDER.index)
        if before != "confirmed" and self.names("confirmed").count(name):
            self.confirmed_hours[name] = 0.0

    @precondition(lambda self: self.names("waiting", "sent", "asked"))
    @rule(pick=picks)
    def all_of_it_is_confirmed(self, pick: int) -> None:
        name = picked(self.names("waiting", "sent", "asked"), pick)
        for number, destination in self.states[name]:
            self.say(self.item(name, number, destination), "confirmed")
        self.to_all(name, "confirmed")
        self.confirmed_hours[name] = 0.0

    def say(self, item: Item, step: str) -> None:
        {
            "sent": lambda: self.rig.box.sent(item),
            "asked": lambda: self.rig.box.asked([item], "2.25.3"),
            "confirmed": lambda: self.rig.box.confirmed(item),
            "parked": lambda: self.rig.box.parked(item, "refused"),
        }[step]()

    @precondition(lambda self: self.keys("sent", "asked", "parked"))
    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        name, number, destination = picked(self.keys("sent", "asked", "parked"), pick)
        self.rig.box.retry(self.item(name, number, destination))
        self.states[name][number, destination] = "waiting"

    @rule(hours=st.sampled_from([1, 30, 73]))
    def time_passes(self, hours: int) -> None:
        self.rig.hours_pass(hours)
        self.rig.wall.now = self.rig.wall.now.replace(year=2016 if self.rig.wall.now.year == 2026 else 2026)
        self.confirmed_hours = {name: past + hours for name, past in self.confirmed_hours.items()}

    @rule()
    def remove(self) -> None:
        over = {name for name, hours in self.confirmed_hours.items() if hours >= RETENTION_HOURS}
        assert set(self.rig.box.remove_confirmed()) == over
        for name in over:
            del self.states[name], self.contents[name], self.confirmed_hours[name]

    @rule()
    def restart(self) -> None:
        self.rig.box.remove_confirmed()  # which also keeps the count of time
        removed = self.states.keys() - {capture.id for capture in self.rig.box.captures()}
        assert all(self.confirmed_hours.get(name, -1) >= RETENTION_HOURS for name in removed)
        for name in removed:
            del self.states[name], self.contents[name], self.confirmed_hours[name]
        self.rig.clock.advance(1)
        self.rig.restart()

    @invariant()
    def it_lists_what_the_model_knows(self) -> None:
        found = {capture.id: capture for capture in self.rig.box.captures()}
        assert found.keys() == self.states.keys()
        for name, capture in found.items():
            for (number, destination), state in self.states[name].items():
                assert capture.state(capture.objects[number], destination) == state
        assert not self.rig.box.broken()

    @invariant()
    def it_gives_out_the_first_that_waits_whole(self) -> None:
        for destination in (PACS, SECOND):
            waiting = [
                (name not in self.stat, name, number)
                for name, states in self.states.items()
                for (number, to), state in states.items()
                if to == destination and state == "waiting"
            ]
            item = self.rig.box.next(destination)
            if not waiting:
                assert item is None
                continue
            _, name, number = min(waiting)
            assert item is not None
            assert item.key == (name, item.capture.objects[number].name)
            with self.rig.box.open(item) as file:
                assert file.read() == self.contents[name][number]


def picked(of: list[T], pick: int) -> T:
    return of[pick % len(of)]


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        OutboxMachine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_outbox_behaves_as_its_model():
    run(50, 30)


@pytest.mark.soak
def test_the_outbox_behaves_as_its_model_for_long():
    run(400, 60)
