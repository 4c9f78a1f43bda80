"""When a delivered message is due again, and which is next.

A client that got a message has `ack_wait` to say something. Silence, or a NAK, puts the
message into a queue that is served before anything new. With `backoff` each further
delivery may have longer. A client that needs more time says so (WPI), and one that wants
the message later names a delay.

Times are kept in a heap. An entry whose message was settled, or got another time, is stale
and recognised when it surfaces.

Left out: how often is too often; the consumer decides that.
"""

from heapq import heapify, heappop, heappush

from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.limits import Nanos


class Redelivery:
    """The alarms and the queue of one consumer."""

    def __init__(self, config: ConsumerConfig) -> None:
        self._config = config
        self._due: dict[int, Nanos] = {}
        self._heap: list[tuple[Nanos, int]] = []
        self.queue: dict[int, None] = {}  # sequences to deliver again, in this order

    def wait_of(self, again: int) -> Nanos:
        """How long a client may take, after `again` repeated deliveries."""
        backoff = self._config.backoff
        return backoff[min(again, len(backoff) - 1)] if backoff else self._config.ack_wait

    def sent(self, seq: int, again: int, now: Nanos) -> None:
        """The message went out, or its client asked for the time anew."""
        self.queue.pop(seq, None)
        self._set(seq, now + self.wait_of(again))

    def delay(self, seq: int, again: int, now: Nanos, delay: Nanos) -> None:
        """The client wants it again after a while; nats-server reckons from the ack wait."""
        self.queue.pop(seq, None)
        self._set(seq, now + delay + self.wait_of(again) - self._config.ack_wait)

    def demand(self, seq: int) -> None:
        """The client wants it again at once."""
        self._due.pop(seq, None)
        self.queue.setdefault(seq)

    def forget(self, seq: int) -> None:
        """It is settled."""
        self._due.pop(seq, None)
        self.queue.pop(seq, None)

    def taken(self, seq: int, again: int, now: Nanos) -> Nanos:
        """How long the client has had it; 0 if it awaits its next delivery."""
        due = self._due.get(seq)
        return 0 if due is None else max(now - due + self.wait_of(again), 0)

    def expired(self, now: Nanos) -> list[int]:
        """The messages whose time has run out, ascending; they have no alarm any more."""
        found = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, seq = heappop(heap)
            if self._due.get(seq) == at:
                del self._due[seq]
                found.append(seq)
        return sorted(found)

    def next_alarm(self) -> Nanos | None:
        """The earliest time that a message is due."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def last_alarm(self) -> Nanos:
        """The latest, 0 if there is none."""
        return max(self._due.values(), default=0)

    def update(self, config: ConsumerConfig) -> None:
        """Another configuration is in force: clients' times change with the ack wait."""
        difference = config.ack_wait - self._config.ack_wait
        self._config = config
        if difference:
            self._due = {seq: at + difference for seq, at in self._due.items()}
            self._heap = [(at, seq) for seq, at in self._due.items()]
            heapify(self._heap)

    def _set(self, seq: int, at: Nanos) -> None:
        self._due[seq] = at
        heappush(self._heap, (at, seq))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._due):
            self._heap = [(at, seq) for seq, at in self._due.items()]
            heapify(self._heap)
