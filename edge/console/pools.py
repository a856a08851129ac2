"""Work that must not be done on the event loop: so many at once, so many waiting; the next is told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edge.console.errors import Refusal

T = TypeVar("T")


class Pool:
    """Threads of one kind of work. Its counts are the event loop's."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self._threads = ThreadPoolExecutor(threads, name)
        self._most = threads + waiting
        self._busy = 0

    async def do(self, work: Callable[[], T]) -> T:
        if self._busy >= self._most:
            raise Refusal(429, "throttled", "too much is being asked at once: try again", 1.0)
        self._busy += 1
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        done.add_done_callback(self._finished)  # not when the client has gone: when the thread is free
        return await asyncio.shield(done)

    def _finished(self, done: asyncio.Future[T]) -> None:
        self._busy -= 1
        if not done.cancelled():
            done.exception()  # whoever asked may have gone: then nobody else would look at it

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Pools:
    def __init__(self) -> None:
        self.quick = Pool("quick", 6, 60)  # the control socket, the disk
        self.slow = Pool("slow", 6, 6)  # what the daemon answers when it is done
        self.images = Pool("images", 1, 40)  # decoding what is stored
        self.passwords = Pool("passwords", 1, 4)  # 64 MiB and a tenth of a second each

    def close(self) -> None:
        for pool in (self.quick, self.slow, self.images, self.passwords):
            pool.close()
