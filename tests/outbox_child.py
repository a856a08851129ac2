"""Real processes that put and send, to be killed at any moment. `python -m tests.outbox_child`; not a test itself.

Reads "put FOLDER SEED" or "send FOLDER SEED" and forks a worker for each line, so that a killed one costs no start of
an interpreter. A worker writes a line once what it says is durable; "ended PID" comes when it is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from pathlib import Path

from edge.errors import CaptureRefused
from edge.outbox import Item, Outbox, Settings
from tests.outbox_rig import draft, pair

SETTINGS = Settings(watermark_percent=100, least_free_mb=0, retention_hours=0)


def say(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def put(folder: Path, seed: int) -> None:
    box, chance = Outbox(folder, SETTINGS, who="put"), random.Random(seed)
    box.own_putting()
    for n in range(10_000):
        things = pair((seed, n), chance.choice((300, 30_000, 900_000)))
        try:
            name = box.put(draft(*things))
        except CaptureRefused as error:
            say("refused", error)
            return
        say("stored", name, *(hashlib.sha256(thing.content).hexdigest() for thing in things))


def send(folder: Path, seed: int) -> None:
    box, chance = Outbox(folder, SETTINGS, who="send"), random.Random(seed)
    box.own_sending()
    box.serve("pacs")
    while True:
        items = [item for state in ("waiting", "sent", "asked", "parked") for item in box.items("pacs", state)]
        for item in chance.sample(items, min(3, len(items))):
            if box.items("pacs", item.state):
                _one_step(box, item, chance)
        if chance.random() < 0.3:
            say("doing removal", "-", "-")
            for name in box.remove_confirmed():
                say("did removal", name, "-")


def _one_step(box: Outbox, item: Item, chance: random.Random) -> None:
    steps = {
        "waiting": ("sent", "sent", "parked"), "sent": ("asked", "asked", "retry"),
        "asked": ("confirmed", "confirmed", "retry"), "parked": ("retry",),
    }  # fmt: skip
    step = chance.choice(steps[item.state])
    say("doing", step, *item.key)
    {
        "sent": lambda: box.sent(item), "asked": lambda: box.asked([item], "2.25.4"), "retry": lambda: box.retry(item),
        "confirmed": lambda: box.confirmed(item), "parked": lambda: box.parked(item, "refused"),
    }[step]()  # fmt: skip
    say("did", step, *item.key)


def fill(folder: Path) -> dict[str, object]:
    """On a small disk: put until it is full, and say what was left then."""
    box, stored = Outbox(folder, SETTINGS, who="fill"), 0
    box.serve("pacs")
    try:
        for n in range(1000):
            box.put(draft(*pair(n, 300_000)))
            stored += 1
    except CaptureRefused as error:
        refused = str(error)
    else:
        refused = ""
    captures = box.captures()
    for capture in captures:
        for one in capture.objects:
            box.check(capture, one)
    left = [path.name for path in (folder / "captures").iterdir()]
    return {"stored": stored, "listed": len(captures), "left": len(left), "refused": refused}


def main() -> None:
    if sys.argv[1:2] == ["fill"]:
        print(json.dumps(fill(Path(sys.argv[2]))))
        return
    for line in sys.stdin:
        what, folder, seed = line.split()
        worker = os.fork()
        if worker == 0:
            say("worker", os.getpid())
            {"put": put, "send": send}[what](Path(folder), int(seed))
            os._exit(0)
        os.waitpid(worker, 0)
        say("ended", worker)


if __name__ == "__main__":
    main()
