"""`python -m tests.system.brisk_live CONFIG`: the real live process, whose ladder of heat holds a second, not a minute.

No configuration may ask for that: a minute is the least. Everything else is as it ships.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import msgspec

from edge import config as configs
from edge.daemon import run_live

if __name__ == "__main__":
    config = configs.load(Path(sys.argv[1]))
    brisk = msgspec.structs.replace(config, heat=msgspec.structs.replace(config.heat, hold_s=1.0))
    sys.exit(run_live(brisk, threading.Event()))
