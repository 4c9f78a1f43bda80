"""Which promises wait for which sync.

In one turn many groups append to their logs. All of it goes to the disk as one batch, under
one sync, named by a ticket. When the driver says `Synced(ticket)`, every group that had
entries in that batch, or in one before it, has them durable: then, and only then, they
commit. This file is the bookkeeping between the two: who waits for which ticket, in order.

Left out: failing syncs. A disk that refuses stops the server; the driver sees to it.
"""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


@dataclass(frozen=True, slots=True)
class Covered(Generic[Waiter]):
    """A ticket, and who had entries in its batch: each with its last index there."""

    ticket: int
    entries: tuple[tuple[Waiter, int], ...]


class Tickets(Generic[Waiter]):
    """Hands out tickets in ascending order, and gives back who waited for them."""

    def __init__(self) -> None:
        self._last = 0
        self._waiting: deque[Covered[Waiter]] = deque()

    def issue(self, entries: list[tuple[Waiter, int]]) -> int:
        """A ticket for the batch that holds these entries."""
        self._last += 1
        self._waiting.append(Covered(self._last, tuple(entries)))
        return self._last

    def redeem(self, ticket: int) -> list[tuple[Waiter, int]]:
        """Who may commit now, oldest batch first."""
        assert ticket <= self._last, f"ticket {ticket} was never issued"
        ready: list[tuple[Waiter, int]] = []
        while self._waiting and self._waiting[0].ticket <= ticket:
            ready += self._waiting.popleft().entries
        return ready
