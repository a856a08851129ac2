"""`limpid update ...`: from a built version to a signed bundle, from the bundle to what runs, and back again. What only
shows is in `update_view.py`. Each command gives its exit status.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from edge import bundle_source, sealed
from edge import config as configs
from edge.activation import login
from edge.client import Control, reachable
from edge.clock import MonotonicClock
from edge.commands.identity import key_for
from edge.config import Config
from edge.errors import ConfigError, LimpidError, UpdateRefused
from edge.health import notify
from edge.signing import load_signer
from edge.threads import stop_on_signals
from edge.update import bundle, processes
from edge.update.processes import Nothing, Systemd
from edge.update.settling import Outcome, Settling, Terms
from edge.update.store import VersionStore, utc_now

REFUSED = 1
BACK = 3  # it was tried, and taken back
ON_TRIAL = 4  # this command has ended before the trial has
USUAL_CONFIG = Path("/etc/limpid/limpid.toml")


@dataclass(frozen=True, slots=True)
class Desk:
    store: VersionStore
    config: Path | None
    as_json: bool

    def answer(self, facts: dict[str, Any], words: str) -> None:
        if self.as_json:
            print(json.dumps(facts))
        else:
            Console(highlight=False, soft_wrap=True).print(words, markup=False)

    @contextmanager
    def progress(self) -> Generator[bundle.Progress, None, None]:
        """A bar on stderr, where somebody sees it."""
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        quiet = self.as_json or not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
            task = bar.add_task("", total=None)
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)


def open_desk(root: Path, state: Path, keys: Path, config: Path | None, *, as_json: bool) -> Desk:
    store = VersionStore(root, state, bundle.keyring(keys), login())
    return Desk(store, config or (USUAL_CONFIG if USUAL_CONFIG.is_file() else None), as_json)


# ------------------------------------------------ the maker's


def make(source: Path, key: Path, to: Path, minimum: str, notes: str, *, as_json: bool) -> int:
    """Sign a wheelhouse, or the site-packages of an environment that was installed elsewhere."""
    signer = load_signer(key)
    desk = Desk(VersionStore(Path(), Path(), bundle.keyring(Path()), ""), None, as_json)
    text = _notes(notes)
    with tempfile.TemporaryDirectory(prefix="limpid-update-") as work, desk.progress() as progress:
        wheels = any(source.glob("*.whl"))
        progress("reading", 0, 0)
        made = bundle.wheelhouse(source) if wheels else bundle.tree(_site_packages(source), Path(work, bundle.TREE))
        place, listing = bundle.write(made, minimum, text, signer, to, progress)
    facts = {**_listed(listing), "bundle": str(place), "files": len(listing.files)}
    words = (
        f"{place}: {listing.version}, {listing.holds}, {len(listing.files)} files, {listing.size} bytes, "
        f"for {_for(listing)}, key {signer.id}"
    )
    desk.answer(facts, words)
    return 0


def _notes(told: str) -> str:
    """A text, or @FILE."""
    if not told.startswith("@"):
        return told
    try:
        return Path(told[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigError(f"the notes {told[1:]}: {why}") from error


def _site_packages(source: Path) -> Path:
    """SOURCE itself, or that of the virtual environment SOURCE."""
    found = sorted(source.glob("lib/python3.*/site-packages"))
    if len(found) > 1:
        raise ConfigError(f"{source} holds more than one Python: {', '.join(str(path) for path in found)}")
    return found[0] if found else source


# ------------------------------------------------ the appliance's: bringing in


def check(desk: Desk, source: str, *, head_only: bool) -> int:
    """What SOURCE holds, and whether it could be staged. Nothing is written."""
    found = [_checked(desk, one, head_only=head_only) for one in bundle_source.bundles_at(source, bundle.SUFFIX)]
    newer = [one["version"] for one in found if one["ok"] and one["newer"]]
    words = "\n".join(_check_line(one) for one in found)
    desk.answer({"current": desk.store.current, "newer": newer, "bundles": found}, words)
    return 0 if all(one["ok"] for one in found) else REFUSED


def _checked(desk: Desk, source: str, *, head_only: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"source": bundle_source.shown(source)}
    try:
        with bundle_source.opened(source, bundle.MOST_BYTES) as stream, desk.progress() as progress:
            head = bundle.read_head(stream, desk.store.keys)
            facts |= _listed(head.listing)
            if not head_only:
                _read_through(stream, head, progress)
        desk.store.fits(head.listing)
        desk.store.has_room(head.listing)
    except LimpidError as error:
        return {**facts, "ok": False, "newer": False, "error": str(error)}
    current = desk.store.current
    newer = not current or bundle.compared(head.listing.version) > bundle.compared(current)
    return {**facts, "ok": True, "newer": newer, "verified": "signature" if head_only else "all of it"}


def _read_through(stream: sealed.Stream, head: bundle.Head, progress: bundle.Progress) -> None:
    read = 0

    def more(count: int) -> None:
        nonlocal read
        read += count
        progress("verifying", read, head.listing.size)

    sealed.read_through(bundle.KIND, stream, head, more)


def _check_line(facts: dict[str, Any]) -> str:
    if not facts["ok"]:
        return f"refused: {facts['source']}: {facts['error']}"
    news = "newer" if facts["newer"] else "not newer"
    notes = f"\n    {facts['notes']}" if facts["notes"] else ""
    signed = f"signed with key {facts['key']}, verified: {facts['verified']}"
    return f"{news}: {facts['version']} for {facts['for']}, {signed}{notes}"


def stage(desk: Desk, source: str) -> int:
    """Every bundle that SOURCE stands for and that is newer. One that is refused keeps no other one out."""
    desk.store.check_place()
    told = [_staged(desk, one) for one in bundle_source.bundles_at(source, bundle.SUFFIX)]
    lines = [_stage_line(one) for one in told]
    lines += ["Not current yet: limpid update apply"] if any(one["ok"] for one in told) else []
    desk.answer(
        {"ok": all(one["ok"] for one in told), "current": desk.store.current, "bundles": told}, "\n".join(lines)
    )
    return 0 if all(one["ok"] for one in told) else REFUSED


def _staged(desk: Desk, source: str) -> dict[str, Any]:
    shown = bundle_source.shown(source)
    try:
        with bundle_source.opened(source, bundle.MOST_BYTES) as stream, desk.progress() as progress:
            version, new = desk.store.stage(stream, progress)
    except UpdateRefused as error:
        desk.store.tell("update-refused", Path(shown).name, {"why": str(error)})
        return {"source": shown, "ok": False, "error": str(error)}
    except LimpidError as error:
        return {"source": shown, "ok": False, "error": str(error)}
    assert version.listing is not None
    return {"source": shown, "ok": True, "new": new, "home": str(version.home), **_listed(version.listing)}


def _stage_line(facts: dict[str, Any]) -> str:
    if not facts["ok"]:
        return f"refused: {facts['source']}: {facts['error']}"
    return f"{'staged' if facts['new'] else 'here already'}: {facts['version']} in {facts['home']}"


def _listed(listing: bundle.Listing) -> dict[str, Any]:
    return {
        "version": listing.version, "holds": listing.holds, "for": _for(listing), "python": listing.python,
        "machine": listing.machine, "minimum": listing.minimum, "bytes": listing.size, "unpacked": listing.unpacked,
        "key": listing.key, "notes": listing.notes,
    }  # fmt: skip


def _for(listing: bundle.Listing) -> str:
    python = "any Python" if listing.python == "any" else f"Python {listing.python}"
    return f"{python}, {'any machine' if listing.machine == 'any' else listing.machine}"


# ------------------------------------------------ the appliance's: what runs


def apply(desk: Desk, number: str, terms: Terms, *, check_first: bool = True) -> int:
    """Switch to a staged version and watch it. Exit status 3 where it was taken back."""
    desk.store.check_place()
    version = desk.store.find(number)
    with _settling(desk) as settling:
        if check_first:
            settling.check(version, desk.config)
        settling.switch(version, utc_now(), terms)
        outcome = _tried(desk, settling)
    return _ended(desk, outcome)


def _tried(desk: Desk, settling: Settling) -> Outcome:
    runs = processes.found(desk.store.state)
    trial = desk.store.trial()
    if trial is None:
        return Outcome("held", desk.store.current, "nothing ran here before")
    if isinstance(runs, Nothing):
        return Outcome("waits", trial.version, "nothing runs: its trial begins with the next start")
    if isinstance(runs, Systemd) and runs.settles():
        return settling.follow(trial.version, trial.before)  # it goes on when this terminal is closed
    return settling.settle()


def settle(desk: Desk) -> int:
    """For the service, and for `limpid run`: a trial that is due or was cut off, to its end."""
    with _settling(desk) as settling:
        outcome = settling.settle(lambda: notify("READY=1"))
    desk.answer(outcome.as_dict(), _outcome_words(outcome))
    return 0


def roll_back(desk: Desk, reason: str) -> int:
    with _settling(desk) as settling:
        outcome = settling.roll_back(reason)
    desk.answer({"ok": True, **outcome.as_dict()}, f"current: {outcome.version}")
    return 0


def remove(desk: Desk, number: str) -> int:
    desk.store.remove(number)
    desk.answer({"ok": True, "version": number}, f"removed: {number}")
    return 0


def trust(desk: Desk, public: Path) -> int:
    key = desk.store.keys.trust(public)
    desk.store.check_place()
    desk.store.tell("update-key-trusted", key, {})
    desk.answer({"key": key, "state": "trusted"}, f"key {key} is trusted: compare the id with what its owner told you")
    return 0


def revoke(desk: Desk, key: str) -> int:
    desk.store.keys.revoke(key)
    desk.store.check_place()
    desk.store.tell("update-key-revoked", key, {})
    desk.answer({"key": key, "state": "revoked"}, f"key {key} is revoked: what it signed is neither staged nor applied")
    return 0


@dataclass
class Live:
    """This site's live process. Asked each time with the key of that moment; what is wrong with key or configuration is
    no answer, so that neither stands in the way back."""

    path: Path | None

    @cached_property
    def _config(self) -> Config:
        return configs.load(self.path)

    def ask(self, do: str, /) -> dict[str, Any]:
        address = self._config.sockets.control
        return Control(reachable(address), key=key_for(self._config, address)).ask(do)


@contextmanager
def _settling(desk: Desk) -> Generator[Settling, None, None]:
    stop = threading.Event()
    stop_on_signals(stop)
    with desk.progress() as progress:
        yield Settling(
            desk.store, processes.found(desk.store.state), Live(desk.config), MonotonicClock(),
            lambda what: progress(what, 0, 0), stop,
        )  # fmt: skip


def _ended(desk: Desk, outcome: Outcome) -> int:
    ok = outcome.outcome in ("held", "waits")
    desk.answer({"ok": ok, **outcome.as_dict()}, _outcome_words(outcome))
    return 0 if ok else BACK if outcome.outcome == "back" else ON_TRIAL


def _outcome_words(outcome: Outcome) -> str:
    words = {
        "held": f"current: {outcome.version}; it holds",
        "back": f"current: {outcome.version}; taken back: {outcome.why}",
        "waits": f"current: {outcome.version}; {outcome.why}", "nothing": "no version is on trial",
        "watched": f"{outcome.version} is watched by another process already",
        "interrupted": f"{outcome.version} is still on trial: {outcome.why or '`limpid update settle` goes on'}",
    }[outcome.outcome]  # fmt: skip
    if outcome.picture_back_s is not None:
        words += f"; the picture was back after {outcome.picture_back_s:.1f} s"
    return words + (f"; removed: {', '.join(outcome.removed)}" if outcome.removed else "")
