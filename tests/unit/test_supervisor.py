"""The supervisor over real processes: `python -c`, and a clock that is turned by hand."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.clock import MS, SECOND, ManualClock
from edge.health import Events
from edge.supervisor import CONFIG_ERROR, PAUSES_S, STEADY, Supervisor, current_python, own_command

PATIENCE_S = 20.0
FOREVER = "import signal; signal.pause()"


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", code, *map(str, arguments)]


class WatchedClock(ManualClock):
    """Stands still, and tells when somebody has looked at it."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0
        self._looked = threading.Condition()

    def now(self) -> int:
        with self._looked:
            self._looks += 1
            self._looked.notify_all()
        return super().now()

    def wait_for_looks(self, more: int) -> None:
        with self._looked:
            wanted = self._looks + more
            assert self._looked.wait_for(lambda: self._looks >= wanted, PATIENCE_S)


class Minded:
    """A supervisor on its own thread, and the events it writes."""

    def __init__(
        self,
        commands: dict[str, Sequence[str]],
        on_event: Callable[[dict[str, Any]], None],
        renew: Callable[[], dict[str, Sequence[str]]] | None = None,
    ) -> None:
        self.clock = WatchedClock()
        self.stop = threading.Event()
        self.status: int | None = None
        events = Events(self.clock, io.StringIO())
        events.listen(on_event)
        events.start()
        self._events = events
        self.told: list[tuple[int, dict[str, int]]] = []
        supervisor = Supervisor(commands, self.clock, events, renew, lambda *facts: self.told.append(facts))
        self.again = supervisor.again
        self._thread = threading.Thread(target=lambda: setattr(self, "status", supervisor.run(self.stop)))
        self._thread.start()

    def join(self) -> int | None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self._events.close(PATIENCE_S)
        return self.status


@pytest.fixture
def mind() -> Any:
    """Makes supervisors, and ends them whatever happens to the test."""
    made: list[Minded] = []

    def make(
        commands: dict[str, Sequence[str]],
        on_event: Callable[[dict[str, Any]], None],
        renew: Callable[[], dict[str, Sequence[str]]] | None = None,
    ) -> Minded:
        made.append(Minded(commands, on_event, renew))
        return made[-1]

    yield make
    for each in made:
        each.stop.set()
        each.join()


class Heard:
    """Events as they come; a test waits for the one it needs."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()

    def __call__(self, event: dict[str, Any]) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def wait_for(self, name: str, count: int) -> list[dict[str, Any]]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.named(name)) >= count, PATIENCE_S), self.events
        return self.named(name)


def test_a_process_that_ends_is_started_again_at_once(mind: Any, tmp_path: Path) -> None:
    heard = Heard()
    first_ends = (
        "import pathlib,sys,signal; p=pathlib.Path(sys.argv[1]); p.exists() and signal.pause(); p.touch(); sys.exit(75)"
    )
    mind({"live": python(first_ends, tmp_path / "once")}, heard)
    started = heard.wait_for("process.started", 2)  # the clock stands still: no pause at all
    assert started[0]["pid"] != started[1]["pid"]
    assert heard.named("process.ended")[0] == heard.named("process.ended")[0] | {"status": 75, "again_in_s": 0.0}


def test_one_that_keeps_ending_is_started_with_growing_pauses(mind: Any) -> None:
    heard = Heard()
    minded = mind({"live": python("raise SystemExit(1)")}, heard)
    for count, pause in enumerate([*PAUSES_S, PAUSES_S[-1]], start=1):
        ended = heard.wait_for("process.ended", count)
        assert ended[-1]["again_in_s"] == pause
        if pause:
            minded.clock.advance(int(pause * SECOND) - MS)
            minded.clock.wait_for_looks(3)  # it has looked, and found that it is not time yet
            assert len(heard.named("process.started")) == count
            minded.clock.advance(MS)


def test_a_steady_run_is_forgiven_its_past(mind: Any, tmp_path: Path) -> None:
    heard = Heard()
    # Ends twice at once; the third run lasts until it is killed.
    code = (
        "import pathlib,sys,signal; n=len(list(pathlib.Path(sys.argv[1]).iterdir()));"
        "pathlib.Path(sys.argv[1], str(n)).touch(); sys.exit(1) if n<2 else signal.pause()"
    )
    minded = mind({"live": python(code, tmp_path)}, heard)
    assert heard.wait_for("process.ended", 2)[1]["again_in_s"] == PAUSES_S[1]
    minded.clock.advance(SECOND)
    pid = heard.wait_for("process.started", 3)[2]["pid"]
    minded.clock.advance(STEADY + SECOND)
    kill(pid)
    assert heard.wait_for("process.ended", 3)[2]["again_in_s"] == PAUSES_S[0]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_an_operators_mistake_is_not_repeated_and_takes_the_others_down(mind: Any) -> None:
    heard = Heard()
    minded = mind({"other": python(FOREVER), "live": python(f"raise SystemExit({CONFIG_ERROR})")}, heard)
    assert minded.join() == CONFIG_ERROR
    assert len(heard.named("process.started")) == 2
    for event in heard.named("process.started"):
        assert not Path(f"/proc/{event['pid']}").exists()


def test_one_that_ends_costs_the_other_nothing(mind: Any) -> None:
    heard = Heard()
    minded = mind({"steady": python(FOREVER), "flaky": python("raise SystemExit(1)")}, heard)
    heard.wait_for("process.ended", 2)
    minded.stop.set()
    assert minded.join() == 0
    assert [event["process"] for event in heard.named("process.started")].count("steady") == 1
    assert {event["process"] for event in heard.named("process.ended")} == {"flaky"}


def test_a_stop_is_passed_on_as_sigterm(mind: Any, tmp_path: Path) -> None:
    heard, note = Heard(), tmp_path / "fifo"
    os.mkfifo(note)
    code = (
        "import os,signal,sys; fd=os.open(sys.argv[1],os.O_WRONLY);"  # a file's write may not be entered twice
        "signal.signal(15, lambda *_: (os.write(fd,b'term\\n'), os._exit(0))); os.write(fd,b'ready\\n');"
        "[signal.pause() for _ in iter(int, 1)]"
    )
    minded = mind({"live": python(code, note)}, heard)
    with note.open() as said:
        assert said.readline() == "ready\n"
        minded.stop.set()
        assert said.readline() == "term\n"
    assert minded.join() == 0


def test_one_that_does_not_heed_sigterm_is_killed(mind: Any, tmp_path: Path) -> None:
    heard, note = Heard(), tmp_path / "fifo"
    os.mkfifo(note)
    code = "import signal,sys; signal.signal(15, signal.SIG_IGN); open(sys.argv[1],'w').write('deaf'); signal.pause()"
    minded = mind({"live": python(code, note)}, heard)
    with note.open() as said:
        assert said.read() == "deaf"
    minded.stop.set()
    assert minded.join() == 0
    assert not Path(f"/proc/{heard.named('process.started')[0]['pid']}").exists()


def test_our_own_processes_run_on_this_very_interpreter() -> None:
    assert own_command("live", "--config", "x") == [sys.executable, "-m", "edge", "live", "--config", "x"]


def test_told_so_it_starts_everything_again_with_what_is_current_then(mind: Any) -> None:
    heard = Heard()
    commands = {"live": python(FOREVER), "old": python(FOREVER)}
    minded = mind(commands, heard, lambda: {"live": python(FOREVER), "console": python(FOREVER)})
    heard.wait_for("process.started", 2)
    minded.again.set()
    started = heard.wait_for("process.started", 4)
    assert [event["process"] for event in started] == ["live", "old", "live", "console"]
    assert heard.named("process.ended") == []  # none of them ended by itself
    for event in started[:2]:
        assert not Path(f"/proc/{event['pid']}").exists()
    minded.stop.set()
    assert minded.join() == 0
    assert minded.told[0] == (0, {"live": 0, "old": 0})
    assert minded.told[-1] == (1, {"live": 0, "console": 0})


def test_of_a_version_that_was_switched_to_a_refusal_does_not_end_everything(mind: Any) -> None:
    heard = Heard()
    minded = mind({"live": python(FOREVER)}, heard, lambda: {"live": python(f"raise SystemExit({CONFIG_ERROR})")})
    heard.wait_for("process.started", 1)
    minded.again.set()
    assert heard.wait_for("process.ended", 1)[0]["status"] == CONFIG_ERROR
    heard.wait_for("process.started", 3)  # tried again, for its trial to count
    assert minded.status is None


def test_processes_run_the_version_that_is_current_by_its_own_path(tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        (tmp_path / "versions" / version / "venv/bin").mkdir(parents=True)
        (tmp_path / "versions" / version / "venv/bin/python").touch()
    mine = tmp_path / "versions/1.0/venv/bin/python"
    assert current_python(mine) == mine
    (tmp_path / "current").symlink_to("versions/2.0")
    assert current_python(mine) == tmp_path / "versions/2.0/venv/bin/python"
    assert current_python(Path("/usr/bin/python3")) == Path("/usr/bin/python3")
