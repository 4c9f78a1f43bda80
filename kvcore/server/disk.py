"""One thread that syncs, so that the next batch fills while the last one reaches the disk.

A sync takes milliseconds whether it covers one record or a thousand; that one number
decides how fast a durable server can be. So the loop never waits for it. It writes a
turn's batch (memory and page cache, microseconds), asks for a sync with the turn's ticket,
and goes on serving. Tickets that arrive meanwhile coalesce: the next sync covers them all,
since a sync covers everything that was written before it began.

A sync that failed is final. What it covered may be gone although a second attempt would
"succeed" (the kernel forgets dirty pages that it could not write), so nothing is retried.

Left out: writes. They are done by the loop, because a server reads what it wrote.
"""

import asyncio
import queue
import threading
from collections.abc import Callable

from kvcore.storage.base import StorageError


class Disk:
    """Calls `sync` on its own thread, and `done(ticket)` or `failed(text)` on the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sync: Callable[[], None],
        done: Callable[[int], None],
        failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._sync = sync
        self._done = done
        self._failed = failed
        self._orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._busy = False
        self._wanted: int | None = None
        self.syncs = 0
        self._thread: threading.Thread | None = None  # a store that never syncs needs none

    @property
    def busy(self) -> bool:
        """Whether a sync is under way."""
        return self._busy

    def request(self, ticket: int) -> None:
        """Sync all that has been written; tickets ascend, and a later one covers the earlier."""
        if self._busy:
            self._wanted = max(ticket, -1 if self._wanted is None else self._wanted)
            return
        self._busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
            self._thread.start()
        self._orders.put(ticket)

    def stop(self) -> None:
        """Wait for the sync that is under way and end the thread; nothing is called back."""
        self._orders.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (ticket := self._orders.get()) is not None:
            try:
                self._sync()
                problem = ""
            except (StorageError, OSError) as error:
                problem = str(error)
            try:
                self._loop.call_soon_threadsafe(self._finished, ticket, problem)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _finished(self, ticket: int, problem: str) -> None:
        self._busy = False
        if problem:
            self._failed(problem)
            return
        self.syncs += 1
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self.request(wanted)
        self._done(ticket)
