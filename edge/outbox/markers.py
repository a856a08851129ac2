"""Marker files: what was done with an object and a destination, one small durable file each. Called from any thread.

1-original.dcm@pacs.sent | .asked | .confirmed | .parked     no such file: it waits
1-original.dcm.damaged                                       it is not what was written
released                                                     the identity is right now: it may be sent
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from edge import durable
from edge.errors import OutboxFault
from edge.outbox.listing import DAMAGED, RELEASED
from edge.outbox.record import Facts, Step

# Taken back in this order: whenever a power cut comes in between, what is left is true, if early.
_TAKEN_BACK: tuple[Step, ...] = ("asked", "sent", "parked")


def mark(folder: Path, name: str, destination: str, step: Step, facts: Facts) -> None:
    _write(folder / f"{name}@{destination}.{step}", facts)


def mark_damaged(folder: Path, name: str, facts: Facts) -> None:
    _write(folder / f"{name}{DAMAGED}", facts)


def mark_released(folder: Path, facts: Facts) -> None:
    _write(folder / RELEASED, facts)


def has(folder: Path, name: str, destination: str, step: Step) -> bool:
    return (folder / f"{name}@{destination}.{step}").exists()


def take_back(folder: Path, name: str, destination: str) -> None:
    """It waits again."""
    for step in _TAKEN_BACK:
        _remove(folder / f"{name}@{destination}.{step}")


def clear_damage(folder: Path, name: str) -> None:
    _remove(folder / f"{name}{DAMAGED}")


def facts_of(folder: Path, name: str, destination: str, step: Step) -> Facts | None:
    return read_facts(folder / f"{name}@{destination}.{step}")


def damage_of(folder: Path, name: str) -> Facts | None:
    return read_facts(folder / f"{name}{DAMAGED}")


def read_facts(path: Path) -> Facts | None:
    """That the file is there says what happened; where its content is lost, the details are."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Facts)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        return Facts(reason="the details of this marker are lost", served_s=math.inf)


def _write(path: Path, facts: Facts) -> None:
    try:
        durable.write_durably(path, msgspec.json.encode(facts))
    except FileNotFoundError as error:
        raise OutboxFault(f"{path.parent.name} is not in the outbox any more") from error
    except OSError as error:
        raise OutboxFault(f"the outbox cannot note what was done ({error.strerror}): look after its disk") from error


def _remove(path: Path) -> None:
    try:
        if path.exists():
            durable.remove_durably(path)
    except OSError as error:
        raise OutboxFault(f"the outbox cannot note what was done ({error.strerror}): look after its disk") from error
