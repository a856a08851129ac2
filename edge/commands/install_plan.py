"""What installing and uninstalling would do, step by step. Pure but for looking at what is there; `install.py` does it.

/opt/limpid/versions/VERSION/venv   the programs; `current` is a link to the version that runs
/etc/limpid/limpid.toml             the configuration; one that is there is never touched
/var/lib/limpid                     captures, exams, engines, keys, users: stays until somebody purges it
/run/limpid                         sockets
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.errors import ConfigError

Do = Literal["folder", "write", "replace", "keep", "link", "run", "remove", "leave"]
PROCESSES = ("live", "forward", "console", "display")
UNITS = ("limpid.target", *(f"limpid-{process}.service" for process in (*PROCESSES, "update")))
HIDDEN = ("/home", "/root", "/tmp", "/var/tmp", "/run")  # from the units, by ProtectHome= and PrivateTmp=
PLACES = {
    **{unit: f"etc/systemd/system/{unit}" for unit in UNITS},
    "limpid.sysusers": "etc/sysusers.d/limpid.conf",
    "limpid.tmpfiles": "etc/tmpfiles.d/limpid.conf",
}
CONFIG = "etc/limpid/limpid.toml"
CURRENT = "opt/limpid/current"
GOOD = "opt/limpid/good"  # the last version that held; updates turn it
COMMAND = "usr/local/bin/limpid"


@dataclass(frozen=True, slots=True)
class Step:
    do: Do
    path: str = ""
    why: str = ""
    content: str = ""  # of a file, or where a link leads
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ground:
    """Where it goes, and from where."""

    root: Path  # "/" on the machine itself
    shipped: Path  # the folder systemd/
    environment: Path  # the virtual environment that the units shall run
    version: str

    @property
    def is_here(self) -> bool:
        return self.root == Path("/")

    def at(self, place: str) -> Path:
        return self.root / place


def plan_install(ground: Ground, *, start: bool = False) -> list[Step]:
    refuse_a_packages_ground(ground)
    return [*_programs(ground), *_files(ground), _configuration(ground), *_commands(ground, start=start)]


def refuse_a_packages_ground(ground: Ground) -> None:
    if ground.at("usr/lib/systemd/system/limpid.target").exists():
        raise ConfigError(
            "the Debian package is installed here, and has done this already: `apt remove limpid` takes it away"
        )


def _programs(ground: Ground) -> Iterator[Step]:
    home = f"opt/limpid/versions/{ground.version}"
    yield from _folder(ground, home)
    wanted = Path("/") / home / "venv"
    if ground.environment != wanted:
        _refuse_hidden(ground.environment, wanted)
        yield _link(ground, f"{home}/venv", str(ground.environment))
    yield _link(ground, CURRENT, f"versions/{ground.version}")
    if not ground.at(GOOD).exists():
        yield _link(ground, GOOD, f"versions/{ground.version}")
    yield _link(ground, COMMAND, f"/{CURRENT}/venv/bin/limpid")


def _refuse_hidden(environment: Path, wanted: Path) -> None:
    for folder in HIDDEN:
        if environment.is_relative_to(folder):
            raise ConfigError(
                f"the units cannot see {environment} ({folder} is hidden from them): make a virtual environment in"
                f" {wanted}, install limpid-edge[all] there, and run its own `limpid install`"
            )


def _folder(ground: Ground, place: str) -> Iterator[Step]:
    if not ground.at(place).is_dir():
        yield Step("folder", str(ground.at(place)))


def _link(ground: Ground, place: str, to: str) -> Step:
    path = ground.at(place)
    if path.is_symlink() and str(path.readlink()) == to:
        return Step("keep", str(path), "it leads there already")
    if path.exists() and not path.is_symlink():
        raise ConfigError(f"{path} is in the way: a link to {to} belongs there")
    return Step("link", str(path), f"to {to}", content=to)


def _files(ground: Ground) -> Iterator[Step]:
    for name, place in PLACES.items():
        path, content = ground.at(place), (ground.shipped / name).read_text(encoding="utf-8")
        if not path.exists():
            yield Step("write", str(path), content=content)
        elif path.read_text(encoding="utf-8", errors="replace") != content:
            yield Step("replace", str(path), "another version of it; changes of your own belong in drop-ins", content)
        else:
            yield Step("keep", str(path), "unchanged")


def _configuration(ground: Ground) -> Step:
    path = ground.at(CONFIG)
    if path.exists():
        return Step("keep", str(path), "your configuration is never overwritten")
    return Step("write", str(path), "the example: look at it", (ground.shipped / "limpid.toml").read_text("utf-8"))


def _commands(ground: Ground, *, start: bool) -> Iterator[Step]:
    elsewhere = () if ground.is_here else (f"--root={ground.root}",)
    yield _run("the user limpid", "systemd-sysusers", *elsewhere, "limpid.conf")
    yield _run("folders and their owner", "systemd-tmpfiles", *elsewhere, "--create", "limpid.conf")
    if ground.is_here:
        yield _run("", "systemctl", "daemon-reload")
    yield _run("at every start of the machine", "systemctl", *elsewhere, "enable", "--quiet", *UNITS)
    if start and ground.is_here:
        yield _run("now", "systemctl", "start", "limpid.target")


def _run(why: str, *command: str) -> Step:
    return Step("run", why=why, command=command)


# ------------------------------------------------ and away again


@dataclass(frozen=True, slots=True)
class Purge:
    data: bool = False  # configuration, state and user as well
    captures: bool = False  # even where captures are among it


def plan_uninstall(ground: Ground, purge: Purge) -> list[Step]:
    refuse_a_packages_ground(ground)
    if purge.data:
        _refuse_captures(ground, purge)
    steps = [*_stopping(ground)]
    for place in (*PLACES.values(), COMMAND, CURRENT, GOOD, f"opt/limpid/versions/{ground.version}/venv"):
        path = ground.at(place)
        if path.is_symlink() or path.is_file():
            steps.append(Step("remove", str(path)))
        elif path.is_dir():
            steps.append(
                Step("leave", str(path), "this very program runs from there: `rm -r /opt/limpid` when it ends")
            )
    if ground.is_here:
        steps.append(_run("", "systemctl", "daemon-reload"))
    return [*steps, *_data(ground, purge)]


def _stopping(ground: Ground) -> Iterator[Step]:
    units = [unit for unit in UNITS if ground.at(PLACES[unit]).exists()]
    if units and ground.is_here:
        yield _run("", "systemctl", "disable", "--quiet", "--now", *units)
    elif units:
        yield _run("", "systemctl", f"--root={ground.root}", "disable", "--quiet", *units)


def _refuse_captures(ground: Ground, purge: Purge) -> None:
    folder = ground.at("var/lib/limpid/outbox/captures")
    count = sum(1 for one in folder.iterdir() if one.suffix != ".gone") if folder.is_dir() else 0
    if count and not purge.captures:
        raise ConfigError(
            f"{folder} holds {count} captures: export them (`limpid outbox export`), or say --even-captures"
        )


def _data(ground: Ground, purge: Purge) -> Iterator[Step]:
    kept = {
        "var/lib/limpid": "captures, exams, engines, keys, users",
        "etc/limpid": "the configuration",
        **{f"etc/systemd/system/{unit}.d": "your drop-ins" for unit in UNITS},
    }
    for place, what in kept.items():
        if ground.at(place).is_dir():
            yield Step("remove" if purge.data else "leave", str(ground.at(place)), what)
    if not purge.data:
        yield Step("leave", why="the user limpid, who owns them")
    elif ground.is_here:
        yield _run("", "userdel", "limpid")
