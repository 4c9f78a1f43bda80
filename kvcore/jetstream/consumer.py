"""One push consumer: a cursor over a stream, and the promise to say how far it is.

A watch is a consumer. It sees the messages that match its filters, in the stream's order,
and is told with each how many are still to come (`num_pending`). Clients take "0 pending"
for "you have seen everything", so the number must be exact; here it is exact by
construction. `_pending` lists the sequences that are still to be delivered: the matches at
creation, then each match as it is stored, minus whatever is removed. The count is its
length.

In a big bucket it takes a while to find the matches, and others must not wait meanwhile. So
a new consumer is not ready: its owner calls `search` now and then, and answers the client
when `is_ready`. The search is frozen at its first step, and what is stored from then on is
put aside until it ends. Whoever asks for the count before makes it end at once.

A client can fall silent, and so can a server. Three devices handle that.

- Nothing is delivered while nobody is subscribed to the deliver subject, and a consumer
  without a subscriber for `inactive_threshold` is abandoned.
- After `idle_heartbeat` without a delivery the server says which consumer sequence it sent
  last. A client that has another number missed something, and makes a new consumer.
- With flow control, at most a window of bytes is under way. Past half of it the server asks
  the client to answer; past all of it, it stops until the answer. Each answer doubles the
  window, so fast clients are soon not slowed at all.

A consumer's position is in memory only. After a restart it starts at the stream's end, with
a consumer sequence that no client can have seen (`RESUMED`): the first heartbeat makes
ordered clients start again from their own last sequence.

Left out: acknowledgements and pull requests; `tracked.py` adds them.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from kvcore import limits
from kvcore.jetstream import advisories, starting
from kvcore.jetstream.advisories import Event
from kvcore.jetstream.answers import Delivery
from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.flow import Flow
from kvcore.jetstream.records import split
from kvcore.jetstream.stream import Stream
from kvcore.jetstream.times import rfc3339
from kvcore.limits import Nanos

RESUMED = 1 << 32
_MANY = 64  # from here on, removed sequences are filtered out in one pass
_DELIVERED_KEPT = 1024  # delivered sequences that may stand in front of the pending ones


class Consumer:
    """A cursor over `stream`; the host tells it of every change, and polls it.

    `last_seq` is the stream's last sequence when the consumer was created: later messages
    are new to it. `now` is the time of creation, or of the restart when `resumed`.
    """

    def __init__(
        self,
        stream: Stream,
        name: str,
        config: ConsumerConfig,
        created: Nanos,
        *,
        last_seq: int | None = None,
        now: Nanos | None = None,
        resumed: bool = False,
    ) -> None:
        self.stream = stream
        self.name = name
        self.config = config
        self.created = created
        self.interested = False
        self.wants = matcher(config.filters)  # whether it sees a subject's messages
        self._reply = f"$JS.ACK.{stream.config.name}.{name}.1."
        self._flow = Flow(stream.config.name, name) if config.flow_control else None
        self._consumer_seq = RESUMED if resumed else 0
        self._last_active: Nanos = 0
        self._active: Nanos = created if now is None else now  # the last sign of a subscriber
        self._spoke: Nanos = self._active  # the last delivery or heartbeat
        self.now: Nanos = self._active
        self.events: list[Event] = []  # what others may want to know; whoever tells it clears it
        self._was_paused = self._is_paused
        self._must_beat = resumed
        self._next = 0  # index in _pending of the next to deliver
        self._pending = array("Q")
        self._found = array("Q")  # what comes before _pending, while the search goes on
        self._has_begun = False
        at = stream.last_seq if last_seq is None else last_seq
        self._last_seq = at
        self._stream_seq = at
        self._seen = max(stream.last_seq, at)  # messages up to here were looked at
        self._place: Callable[[Sequence[int]], int] | None = None
        self._search = None if resumed else self._begin(at)

    def _begin(self, at: int) -> Iterator[Sequence[int]]:
        """Take up the position of a new consumer; the search for what there is to deliver."""
        config = self.config
        first = starting.first_seq(self.stream, config, at)
        self._place = lambda wanted: starting.position(self.stream, config, first, at, wanted)
        self._seen = first - 1
        return starting.search(self.stream, config, first, at)

    # What there is at its beginning.

    @property
    def is_ready(self) -> bool:
        """Whether the search is over."""
        return self._search is None

    def search(self) -> None:
        """Take one step more; the last one puts what was found before what came since."""
        if self._search is None:
            return
        if not self._has_begun:
            self._has_begun = True
            self._seen = max(self.stream.last_seq, self._seen)
        part = next(self._search, None)
        if part is not None:
            self._found.extend(part)
            return
        self._search, self._has_begun = None, False
        self._pending = self._found + self._pending
        self._found = array("Q")
        if self._place is not None:
            self._stream_seq = self._place(self._pending)
            self._place = None

    def _end_search(self) -> None:
        while self._search is not None:
            self.search()

    # What the stream tells it.

    def on_stored(self, seq: int) -> bool:
        """A message that it `wants` was stored; whether that is news."""
        if seq <= self._seen or (self._search is not None and not self._has_begun):
            return False
        self._seen = seq
        self._pending.append(seq)
        return True

    def on_removed(self, seqs: Sequence[int]) -> None:
        """Messages are gone; those not yet delivered never will be."""
        if self._found:
            self._found = _without(self._found, 0, seqs)
        if self._next < len(self._pending):
            before = self._pending
            self._pending = _without(before, self._next, seqs)
            self._next = self._next if self._pending is before else 0

    def update(self, config: ConsumerConfig) -> None:
        """A changed configuration is in force; new filters choose anew what is pending."""
        refiltered = config.filters != self.config.filters
        self.config = config
        self._was_paused = self._is_paused
        if refiltered:
            self.wants = matcher(config.filters)
            self._end_search()
            self._pending, self._next = array("Q"), 0
            at = self._stream_seq
            self._search = starting.remaining(self.stream, config, at, self._last_seq)

    # What its subscriber gets.

    @property
    def num_pending(self) -> int:
        """Messages that match and were not delivered yet."""
        self._end_search()
        return len(self._pending) - self._next

    @property
    def is_behind(self) -> bool:
        """Whether it must be told which messages are gone."""
        return self._search is not None or self._next < len(self._pending)

    def serve(self, now: Nanos, has_interest: Callable[[str], bool], budget: int) -> list[Delivery]:
        """As `poll`; `has_interest` says whether anyone is subscribed to a subject."""
        return self.poll(now, has_interest(self.config.deliver_subject), budget)

    def listens_to(self, subject: str) -> bool:
        """Whether it delivers to this subject."""
        return self.config.deliver_subject == subject

    def poll(self, now: Nanos, interested: bool, budget: int) -> list[Delivery]:
        """What is due, at most `budget` messages; `interested`: someone is subscribed.

        Heartbeats and flow-control requests come on top of the budget.
        """
        self._end_search()
        self.now = now
        if interested or self.interested:
            self._active = now
        if interested and not self.interested:
            self._spoke = now
        self.interested = interested
        if not interested:
            return []
        out: list[Delivery] = []
        if self._must_beat:
            self._must_beat = False
            out.append(self._heartbeat(self.config.deliver_subject))
        if self._has_work() and not self.is_stalled:
            self._deliver(out, budget)
        beat = self.config.idle_heartbeat
        if not out and beat and now >= self._spoke + beat:
            out.append(self._heartbeat(self.config.deliver_subject))
        if out:
            self._spoke = now
        return out

    def note_pause(self, now: Nanos) -> None:
        """Find out whether a pause is over."""
        self.now = now
        if self._was_paused and not self._is_paused:
            self._was_paused = False
            until = self.config.pause_until or 0
            self.events.append(advisories.paused(self.stream.config.name, self.name, until, now))

    def on_flow_reply(self, subject: str, now: Nanos) -> None:
        """The client answered a flow-control request; one that is old news is ignored."""
        self.now = now
        if self._flow is not None:
            self._flow.answered(subject)

    @property
    def is_stalled(self) -> bool:
        """Whether it waits for the client to answer a flow-control request."""
        return self._flow is not None and self._flow.is_full

    def deadline(self) -> Nanos | None:
        """When it wants to be polled next, at the latest; the past means at once."""
        if not self.interested:
            end = self._active + self.config.inactive_threshold
            return min(end, self.config.pause_until or end) if self._was_paused else end
        if self._has_work() and not self.is_stalled:
            return self.now
        beat = self.config.idle_heartbeat
        times = [self._spoke + beat if beat else None]
        if self._is_paused:
            times.append(self.config.pause_until)
        return min((at for at in times if at is not None), default=None)

    def farewell(self) -> Delivery:
        """A heartbeat that says: you have missed something."""
        self._consumer_seq = RESUMED
        return self._heartbeat(self.config.deliver_subject)

    def is_abandoned(self, now: Nanos) -> bool:
        """Whether nobody has listened for so long that it can go."""
        return not self.interested and now >= self._active + self.config.inactive_threshold

    def info(self, now: Nanos, version: str) -> dict[str, object]:
        """What CONSUMER.INFO says of it."""
        self._end_search()
        position: dict[str, object] = {
            "consumer_seq": self._consumer_seq,
            "stream_seq": self._stream_seq,
        }
        delivered = dict(position)
        if self._last_active:
            delivered["last_active"] = rfc3339(self._last_active)
        out: dict[str, object] = {
            "stream_name": self.stream.config.name,
            "name": self.name,
            "created": rfc3339(self.created),
            "config": self.config.echo(version),
            "delivered": delivered,
            "ack_floor": position,
            "num_ack_pending": 0,
            "num_redelivered": 0,
            "num_waiting": 0,
            "num_pending": self.num_pending,
        }
        if self.interested:
            out["push_bound"] = True
        if self.config.pause_until and now < self.config.pause_until:
            out["paused"] = True
            out["pause_remaining"] = self.config.pause_until - now
        out["ts"] = rfc3339(now)
        return out

    def _deliver(self, out: list[Delivery], budget: int) -> None:
        """Append up to `budget` messages to `out`; this is the hot path of a watch."""
        start, flow, consumer_seq = self._next, self._flow, self._consumer_seq
        to, reply_start = self.config.deliver_subject, self._reply
        headers_only = self.config.headers_only
        left = len(self._pending) - start
        room, last = limits.DELIVERIES_PER_TURN_BYTES, 0
        for seq, subject, record in self.stream.read(self._pending[start : start + budget]):
            time, header, payload_at = split(record)
            if headers_only:
                header, payload = with_size(header, len(record) - payload_at), b""
            else:
                payload = record[payload_at:]
            left, consumer_seq, last = left - 1, consumer_seq + 1, seq
            reply = f"{reply_start}{seq}.{consumer_seq}.{time}.{left}"
            out.append(Delivery(to, subject, reply, header, payload))
            room -= len(payload)
            if flow is not None:
                request = flow.sent(len(subject) + len(reply) + len(header or b"") + len(payload))
                if request:
                    out.append(Delivery(to, to, request, FLOW_REQUEST, b""))
                if flow.is_full:
                    break
            if room <= 0:
                break
        if last:
            self._stream_seq = last
            self._last_active = self.now
            self._advance(consumer_seq - self._consumer_seq)
            self._consumer_seq = consumer_seq

    def _advance(self, count: int) -> None:
        self._next += count
        if self._next == len(self._pending) or self._next > _DELIVERED_KEPT:
            del self._pending[: self._next]
            self._next = 0

    @property
    def _is_paused(self) -> bool:
        until = self.config.pause_until
        return until is not None and self.now < until

    def _has_work(self) -> bool:
        if self.config.pause_until and self._is_paused:
            return False
        return self._next < len(self._pending)

    def _heartbeat(self, to: str) -> Delivery:
        text = (
            "NATS/1.0 100 Idle Heartbeat\r\n"
            f"Nats-Last-Consumer: {self._consumer_seq}\r\nNats-Last-Stream: {self._stream_seq}\r\n"
        )
        if self._flow is not None and self._flow.request:
            text += f"Nats-Consumer-Stalled: {self._flow.request}\r\n"
        return Delivery(to, to, "", f"{text}\r\n".encode(), b"")


def _without(pending: "array[int]", start: int, seqs: Sequence[int]) -> "array[int]":
    """Ascending sequences from index `start` on without those that are gone: the same array,
    or one that begins there."""
    if isinstance(seqs, range) and seqs.step == 1:
        low = bisect_left(pending, seqs.start, start)
        del pending[low : bisect_left(pending, seqs.stop, low)]
    elif len(seqs) > _MANY:
        gone = frozenset(seqs)
        return array("Q", [seq for seq in pending[start:] if seq not in gone])
    else:
        for seq in seqs:
            at = bisect_left(pending, seq, start)
            if at < len(pending) and pending[at] == seq:
                del pending[at]
    return pending


FLOW_REQUEST = b"NATS/1.0 100 FlowControl Request\r\n\r\n"


def with_size(header: bytes | None, size: int) -> bytes:
    """The block with `Nats-Msg-Size` at its end, made if there is none."""
    block = header[:-2] if header else b"NATS/1.0\r\n"
    return b"%bNats-Msg-Size: %d\r\n\r\n" % (block, size)
