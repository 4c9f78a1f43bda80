"""When messages are due to go: their own time to live, kept in a heap.

A stream's `max_age` needs no structure, since the oldest message is the first. A message's
own `Nats-TTL` does: the next one due may be anywhere. A heap gives it in O(1); a message
that went for another reason leaves a stale entry behind, which is skipped when it comes up.
A lock that is refreshed every second would leave many of those, so the heap is rebuilt when
more than half of it is stale.

`Nats-TTL: never` exempts a message from `max_age`.

Left out: the clock. The leader asks `next_due`, and proposes an `Expire` when it is time.
"""

from heapq import heapify, heappop, heappush

from kvcore.limits import SECOND_NS, Nanos

_SLACK_COUNT = 64  # stale entries that are not worth a rebuild


class Expiry:
    """Sequence → when it is due, and the sequences that never are."""

    __slots__ = ("_due_at", "_heap", "_never")

    def __init__(self) -> None:
        self._heap: list[tuple[Nanos, int]] = []
        self._due_at: dict[int, Nanos] = {}
        self._never: dict[int, None] = {}

    def add(self, seq: int, stored: Nanos, ttl: int) -> None:
        """A message stored at a time lives `ttl` seconds; below zero is for ever."""
        if ttl < 0:
            self._never[seq] = None
        elif ttl:
            due = stored + ttl * SECOND_NS
            self._due_at[seq] = due
            heappush(self._heap, (due, seq))

    def is_never(self, seq: int) -> bool:
        """Whether no age touches it."""
        return seq in self._never

    def forget(self, seq: int) -> None:
        """A message is gone, whether or not it was known here."""
        self._never.pop(seq, None)
        if self._due_at.pop(seq, None) is None:
            return
        if len(self._heap) > 2 * len(self._due_at) + _SLACK_COUNT:
            self._heap = [(due, seq) for seq, due in self._due_at.items()]
            heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._due_at or self._never)

    def next_due(self) -> Nanos | None:
        """When the next message goes."""
        heap = self._heap
        while heap and self._due_at.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: Nanos, most: int) -> list[int]:
        """The messages that are due, at most so many, ascending; they stay known until
        `forget`."""
        found: list[int] = []
        while len(found) < most and (due := self.next_due()) is not None and due <= now:
            found.append(heappop(self._heap)[1])
        for seq in found:
            heappush(self._heap, (self._due_at[seq], seq))
        found.sort()
        return found
