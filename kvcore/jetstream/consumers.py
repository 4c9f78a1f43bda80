"""All consumers of one stream: who is told what, and whose turn it is.

A busy stream may have a thousand idle watches. Asking each of them at every turn would cost
more than serving them, so a consumer is looked at only when something happened to it: a
message that it wants was stored, its subscriber came or went, or its own deadline passed.
Which consumers want a subject is remembered per subject.

The host calls `follow` with each outcome of the stream's log, in order, before it answers
the client; then `poll`, whose deliveries it sends in order. So a consumer never tells a
client of a message that is not committed, and a message that was counted as delivered is on
its way before any later answer says so.

A new consumer that has much to search for is made ready over several turns. Until then
`is_ready` says no, nothing is delivered, and the host holds back the answer to its client.

Consumers whose progress the log keeps ask for commands of their own: `progress` hands them
out after a poll, at most one per consumer.

Left out: what a consumer is (`consumer.py`, `tracked.py`).
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from kvcore import limits
from kvcore.jetstream import acknowledgements
from kvcore.jetstream.advisories import Event
from kvcore.jetstream.answers import Delivery
from kvcore.jetstream.commands import Acked
from kvcore.jetstream.consumer import Consumer
from kvcore.jetstream.outcome import ConsumerCreated, ConsumerDeleted, ConsumerPaused, Outcome
from kvcore.jetstream.stream import Stream
from kvcore.jetstream.tracked import TrackedConsumer
from kvcore.limits import Nanos

_SLACK_COUNT = 64  # stale entries that are not worth a rebuild


class Consumers:
    """The consumers of `stream`, by name. At a restart (`now` given) the configurations
    that the stream's log holds are taken up again."""

    def __init__(self, stream: Stream, now: Nanos | None = None) -> None:
        self.stream = stream
        self._by_name: dict[str, Consumer] = {}
        self._wanted: dict[str, tuple[Consumer, ...]] = {}  # subject → who wants it
        self._awake: dict[str, None] = {}  # names to look at, in this order
        self._behind: dict[str, None] = {}  # names of those that have messages to deliver
        self._queued: dict[str, Nanos] = {}  # name → when to look at it again
        self._deadlines: list[tuple[Nanos, str]] = []  # a heap of these, and of stale entries
        self._unready: dict[str, None] = {}  # names of those whose search goes on
        self._room = limits.SEARCHED_PER_TURN_COUNT  # what searches may look at in this turn
        self._reaped: dict[str, None] = {}  # abandoned, to be deleted
        self._abandoned: list[str] = []  # and those of them that nobody was told of yet
        self._progress: list[Acked] = []
        self._events: list[Event] = []
        self._has_interest: Callable[[str], bool] = lambda _subject: False
        self._parting: list[Delivery] = []  # what those are told who waited at one that is gone
        for name in stream.consumers if now is not None else ():
            assert now is not None
            self._add(self._made(name, now, None))

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Consumer]:
        """The consumers in the order of their names."""
        return (self._by_name[name] for name in sorted(self._by_name))

    def get(self, name: str) -> Consumer | None:
        """The consumer of this name."""
        return self._by_name.get(name)

    def follow(self, outcome: Outcome, now: Nanos) -> None:
        """Take in what one command did to the stream."""
        if outcome.stored:
            self._stored(outcome.stored, outcome.subject)
        for seq, subject in outcome.markers:
            self._stored(seq, subject)
        if outcome.removed:
            for name in self._behind:
                self._by_name[name].on_removed(outcome.removed)
        match outcome.result:
            case ConsumerCreated(name=name, last_seq=last_seq):
                self._created(name, last_seq, now)
            case ConsumerPaused(name=name):
                self._changed(name, now)
            case ConsumerDeleted(name=name):
                self._forget(name)
            case _:
                pass

    def poll(
        self,
        now: Nanos,
        has_interest: Callable[[str], bool],
        budget: int = limits.DELIVERIES_PER_TURN_COUNT,
    ) -> list[Delivery]:
        """What is due now, at most `budget` messages; send them in this order.

        Who has more to deliver goes to the end of the queue: `deadline` is then in the past,
        and the next poll goes on.
        """
        while self._deadlines and self._deadlines[0][0] <= now:
            at, name = heappop(self._deadlines)
            if self._queued.get(name) == at:
                del self._queued[name]
                self._awake[name] = None
        self._has_interest = has_interest
        out, self._parting = self._parting, []
        size = 0
        for name in list(self._awake):
            if len(out) >= budget or size >= limits.DELIVERIES_PER_TURN_BYTES:
                break
            del self._awake[name]
            consumer = self._by_name.get(name)
            if consumer is None or not consumer.is_ready:
                continue
            if consumer.config.pause_until:
                consumer.note_pause(now)
            due = consumer.serve(now, has_interest, budget - len(out))
            if consumer.events:
                self._events += consumer.events
                consumer.events.clear()
            out += due
            size += sum(len(delivery.payload) for delivery in due)
            if consumer.is_abandoned(now) and name not in self._reaped:
                self._reaped[name] = None
                self._abandoned.append(name)
            if isinstance(consumer, TrackedConsumer) and (command := consumer.progress()):
                self._progress.append(command)
            if consumer.is_behind:
                self._behind[name] = None
            else:
                self._behind.pop(name, None)
            self._queue(consumer)
        self._room = limits.SEARCHED_PER_TURN_COUNT
        for name in list(self._unready):
            if not self._prepare(self._by_name[name]):
                break
        return out

    def is_ready(self, name: str) -> bool:
        """Whether the client that made the consumer can be answered; it may be gone again."""
        return name not in self._unready

    def _prepare(self, consumer: Consumer) -> bool:
        """Let a consumer search for what it has to deliver, one after the other; whether it
        is ready. It is served in a later turn: first of all its client is answered."""
        name = consumer.name
        self._unready[name] = None
        while not consumer.is_ready:
            if self._room <= 0:
                return False
            before = self.stream.looked
            consumer.search()
            self._room -= self.stream.looked - before
        del self._unready[name]
        self._awake[name] = self._behind[name] = None
        return True

    def wake(self, subject: str) -> None:
        """Somebody subscribed to `subject`, a pattern perhaps, or ceased to."""
        for consumer in self._by_name.values():
            if "*" in subject or ">" in subject or consumer.listens_to(subject):
                self._awake[consumer.name] = None

    def on_flow_reply(self, subject: str, now: Nanos) -> None:
        """A client published to `$JS.FC.<stream>.<consumer>.<id>`."""
        name = subject.rsplit(".", 2)[-2] if subject.count(".") >= 4 else ""
        consumer = self._by_name.get(name)
        if consumer is not None:
            consumer.on_flow_reply(subject, now)
            self._awake[name] = None

    def on_acknowledgement(self, subject: str, reply: str, payload: bytes, now: Nanos) -> None:
        """A client published to the reply subject of a delivery."""
        said = acknowledgements.read(subject, reply, payload)
        consumer = self._by_name.get(said.consumer) if said is not None else None
        if said is not None and isinstance(consumer, TrackedConsumer):
            consumer.acknowledge(said, now)
            self._awake[consumer.name] = None

    def on_pull(self, name: str, reply: str, payload: bytes, now: Nanos) -> None:
        """A client asks the consumer of this name for messages."""
        consumer = self._by_name.get(name)
        if reply and isinstance(consumer, TrackedConsumer):
            consumer.pull(reply, payload, now)
            self._awake[name] = None

    def progress(self) -> list[Acked]:
        """Commands to propose, each only once; call it after `poll`."""
        due, self._progress = self._progress, []
        return due

    def events(self) -> list[Event]:
        """What others may want to know of, each only once; call it after `poll`."""
        due, self._events = self._events, []
        return due

    def dismiss(self) -> list[Delivery]:
        """The stream is deleted: what to tell those who wait."""
        for name in list(self._by_name):
            self._forget(name)
        return self._parting

    def take_leave(self) -> list[Delivery]:
        """The server stops: what to tell those who wait."""
        tracked = [each for each in self._by_name.values() if isinstance(each, TrackedConsumer)]
        return [one for consumer in tracked for one in consumer.take_leave()]

    def farewells(self) -> list[Delivery]:
        """Another server will lead: what has the clients of watches begin again there."""
        watches = (each for each in self._by_name.values() if not isinstance(each, TrackedConsumer))
        return [each.farewell() for each in watches]

    def deadline(self) -> Nanos | None:
        """When `poll` and `abandoned` want to be called next; 0 is at once."""
        if self._awake or self._parting or self._unready:
            return 0
        return self._deadlines[0][0] if self._deadlines else None

    def abandoned(self) -> list[str]:
        """Names to propose a DeleteConsumer for, each only once; call it after `poll`."""
        due, self._abandoned = self._abandoned, []
        return due

    def _stored(self, seq: int, subject: str) -> None:
        if not self._by_name:
            return
        wanted = self._wanted.get(subject)
        if wanted is None:
            if len(self._wanted) >= limits.INTEREST_CACHE_COUNT:
                self._wanted.clear()
            wanted = tuple(c for c in self._by_name.values() if c.wants(subject))
            self._wanted[subject] = wanted
        for consumer in wanted:
            if consumer.on_stored(seq):
                self._awake[consumer.name] = self._behind[consumer.name] = None

    def _created(self, name: str, last_seq: int, now: Nanos) -> None:
        record = self.stream.consumers.get(name)
        if record is None:  # deleted again by a later command of the same turn
            return
        known = self._by_name.get(name)
        if known is None:
            consumer = self._made(name, now, last_seq)
            consumer.interested = self._has_interest(record.config.deliver_subject)
            self._add(consumer)
            return
        self._changed(name, now)

    def _changed(self, name: str, now: Nanos) -> None:
        """The configuration that the log holds is another one."""
        record, known = self.stream.consumers.get(name), self._by_name.get(name)
        if record is not None and known is not None:
            known.now = now
            known.update(record.config)
            self._wanted.clear()
            self._behind[name] = None
            self._prepare(known)

    def _made(self, name: str, now: Nanos, last_seq: int | None) -> Consumer:
        """The consumer of a record; without a `last_seq` it is known from before a restart."""
        config, created = self.stream.consumers[name]
        known = self.stream.ledgers.get(name)
        if known is not None:
            return TrackedConsumer(self.stream, name, config, created, known, now=now)
        is_resumed = last_seq is None
        return Consumer(
            self.stream, name, config, created, last_seq=last_seq, now=now, resumed=is_resumed
        )

    def _add(self, consumer: Consumer) -> None:
        self._by_name[consumer.name] = consumer
        self._behind[consumer.name] = None
        self._wanted.clear()
        self._prepare(consumer)

    def _forget(self, name: str) -> None:
        consumer = self._by_name.pop(name, None)
        if isinstance(consumer, TrackedConsumer):
            self._parting += consumer.dismiss()
        self._awake.pop(name, None)
        self._behind.pop(name, None)
        self._unready.pop(name, None)
        self._reaped.pop(name, None)
        self._queued.pop(name, None)
        if len(self._deadlines) > 2 * len(self._queued) + _SLACK_COUNT:
            self._deadlines = sorted((due, name) for name, due in self._queued.items())
        self._wanted.clear()

    def _queue(self, consumer: Consumer) -> None:
        """Note when a consumer wants to be looked at again, if that is earlier than noted:
        a look that turns out to be early costs little."""
        due = consumer.deadline()
        name = consumer.name
        if due is None or name in self._reaped:
            return
        if due <= consumer.now:
            self._awake[name] = None
        elif name not in self._queued or due < self._queued[name]:
            self._queued[name] = due
            heappush(self._deadlines, (due, name))
