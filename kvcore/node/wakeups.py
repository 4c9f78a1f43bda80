"""When does a server next have something to do?

A server has no ticks: it tells its driver one deadline, the earliest of all the times at
which anything in it wants to be woken. Streams and consumers each keep one such time, and
move it far more often than it comes due: a follower's with each heartbeat. So a time that moves
away leaves the heap as it is, and the entry is put where it belongs when it surfaces; one
that moves nearer leaves its old entry behind, recognised as stale then. Ties are broken by age,
never by the key, so that a run is the same on every machine.

Left out: repeating timers. Whoever is woken says when it wants to be woken again.
"""

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

from kvcore.limits import Nanos

Key = TypeVar("Key")


@dataclass(slots=True)
class Clock:
    """The time of the event that is being handled; the node sets it, its parts read it."""

    now: Nanos


class Wakeups(Generic[Key]):
    """One time per key; the earliest first."""

    def __init__(self) -> None:
        self._at: dict[Key, tuple[Nanos, int]] = {}  # the time, and the number of its entry
        self._heap: list[tuple[Nanos, int, Key]] = []
        self._made = 0

    def set(self, key: Key, at: Nanos | None) -> None:
        """Wake `key` at `at` and at no other time; None: don't."""
        known = self._at.get(key)
        if at is None:
            self._at.pop(key, None)
        elif known is not None and known[0] <= at:
            self._at[key] = at, known[1]
        else:
            self._made += 1
            self._at[key] = (at, self._made)
            heapq.heappush(self._heap, (at, self._made, key))
            if len(self._heap) > 64 and len(self._heap) > 4 * len(self._at):
                self._heap = [(t, n, k) for k, (t, n) in self._at.items()]
                heapq.heapify(self._heap)

    def next(self) -> Nanos | None:
        """The earliest time, None if nobody waits."""
        heap = self._heap
        while heap:
            at, number, key = heap[0]
            known = self._at.get(key)
            if known is None or known[1] != number:
                heapq.heappop(heap)
            elif known[0] > at:
                self._made += 1
                self._at[key] = known[0], self._made
                heapq.heapreplace(heap, (known[0], self._made, key))
            else:
                return at
        return None

    def take_due(self, now: Nanos) -> list[Key]:
        """The keys whose time has come, earliest first; they wait no longer."""
        due = []
        while (at := self.next()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            due.append(key)
        return due
