"""A stream on the server that leads it: the group, its consumers, and its subscriptions.

**Leadership is a subscription.** The server that leads a stream's group subscribes to the
stream's subjects. Whatever a client publishes there finds its way by ordinary interest
routing; when nobody leads, nobody is subscribed, and a client learns at once that there are
no responders. A message that comes becomes a command in the group's log, and the answer
leaves when the command was applied.

A host carries out outcomes: it lets the consumers follow, publishes the answer, and
proposes what time demands (an expiry, the end of an abandoned consumer).

Left out: followers. Their groups apply the same log and say nothing.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from kvcore.jetstream import advisories
from kvcore.jetstream.advisories import Event, consumer_action, stream_action
from kvcore.jetstream.api import Api
from kvcore.jetstream.commands import (
    DeleteConsumer,
    Expire,
    Publish,
    StreamCommand,
    UpdateConfig,
)
from kvcore.jetstream.consumers import Consumers
from kvcore.jetstream.outcome import (
    Acknowledged,
    ConsumerCreated,
    ConsumerDeleted,
    ConsumerPaused,
    MetaOutcome,
    Outcome,
    StreamAssignment,
    StreamResult,
    Updated,
)
from kvcore.jetstream.republish import copy_of
from kvcore.jetstream.stream import Stream
from kvcore.limits import Nanos
from kvcore.node.broker import Broker, Handler, InternalSubscription, Message
from kvcore.node.groups import Group
from kvcore.node.wakeups import Clock

_NEXT = "$JS.API.CONSUMER.MSG.NEXT."

StreamGroup: TypeAlias = Group[StreamCommand, Outcome]


class Host:
    """One stream on this server. `touch` is told whenever there is something to do for it,
    `tell` of what others may want to know."""

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        group: StreamGroup,
        stream: Stream,
        broker: Broker,
        clock: Clock,
        touch: Callable[["Host"], None],
        tell: Callable[[Event], None],
    ) -> None:
        self.group = group
        self.stream = stream
        self.consumers = Consumers(stream)
        self.is_leading = False
        self.is_settled = False  # whether the configuration that was decided on is in force
        self.is_restored = False  # from a backup, whose limits nobody has enforced yet
        self._held_back: list[tuple[str, Outcome]] = []  # who waits for a consumer, by its name
        self.unanswered: list[MetaOutcome] = []  # who asked for the stream before it led
        self._broker = broker
        self._clock = clock
        self._touch = touch
        self._tell = tell
        self._subscriptions: list[InternalSubscription] = []
        self._of_consumers: dict[str, list[InternalSubscription]] = {}
        self._expiry_proposed = False

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.stream.config.name

    # -- leading ---------------------------------------------------------------------------

    def lead(self, assignment: StreamAssignment, api: Api, on_request: Handler) -> None:
        """Take up the stream's subjects; `on_request` gets its direct reads.

        A server that stopped between the meta group's decision and the stream's own finds
        two configurations; the meta group's is the later one. A backup may even hold any:
        until the decided one is in force, the stream takes no subjects.
        """
        self.is_leading = True
        self.consumers = Consumers(self.stream, self._clock.now)
        self.is_settled = assignment.config == self.stream.config and not self.is_restored
        if self.is_settled:
            self.subscribe(api, on_request)
        else:
            self.propose(UpdateConfig(assignment.config.encode(), "", self._clock.now))
        self._touch(self)

    def subscribe(self, api: Api, on_request: Handler) -> None:
        """Subscribe to what the configuration of now says; again after an update."""
        self.unsubscribe()
        wanted: list[tuple[str, Handler]] = []
        wanted += [(subject, self._on_publish) for subject in self.stream.config.subjects]
        wanted += [(subject, on_request) for subject in api.stream_subscriptions(self.stream)]
        stand_in = self._stand_in(api, on_request)
        wanted += [(subject, stand_in) for subject in api.origin_subscriptions(self.stream)]
        wanted.append((f"$JS.FC.{self.name}.>", self._on_flow_reply))
        self._subscriptions = [self._broker.subscribe(*pair) for pair in wanted]
        for name in self.stream.ledgers:
            self._subscribe_consumer(name)

    def _subscribe_consumer(self, name: str) -> None:
        """Hear acknowledgements and pull requests, of the consumers that know of any."""
        consumer = self.consumers.get(name)
        if consumer is None or name not in self.stream.ledgers or name in self._of_consumers:
            return
        wanted: list[tuple[str, Handler]] = [
            (f"{_NEXT}{self.name}.{name}", self._on_pull),
        ]
        if consumer.config.acks:
            wanted.append((f"$JS.ACK.{self.name}.{name}.>", self._on_ack))
        self._of_consumers[name] = [self._broker.subscribe(*pair) for pair in wanted]

    def _unsubscribe_consumer(self, name: str) -> None:
        for subscription in self._of_consumers.pop(name, ()):
            self._broker.unsubscribe(subscription)

    def _stand_in(self, api: Api, on_request: Handler) -> Handler:
        """A mirror answers for its origin only where the origin doesn't."""

        def answer(message: Message) -> None:
            if api.stands_in(self.name):
                on_request(message)

        return answer

    def unsubscribe(self) -> None:
        """Give the subjects up: from now on nobody answers there."""
        for subscription in self._subscriptions:
            self._broker.unsubscribe(subscription)
        self._subscriptions = []
        for name in list(self._of_consumers):
            self._unsubscribe_consumer(name)

    def dismiss(self) -> None:
        """The stream is deleted: nobody answers any more, and those who wait are told."""
        self.unsubscribe()
        self._broker.deliver(self.consumers.dismiss())
        for name in self.stream.consumers:
            self._tell(consumer_action(self.name, name, "delete"))
        self._tell(stream_action(self.name, "delete"))

    def take_leave(self) -> None:
        """The server stops: those who wait at a consumer are told."""
        self._broker.deliver(self.consumers.take_leave())

    # -- what arrives ----------------------------------------------------------------------

    def propose(self, command: StreamCommand) -> int:
        """Append to the group's log and return the index there; the outcome comes back when
        it is durable."""
        index = self.group.propose(command)
        self._touch(self)
        return index

    def _on_publish(self, message: Message) -> None:
        self.group.propose(
            Publish(
                message.subject,
                message.reply,
                message.header,
                message.payload,
                self._clock.now,
                not self.stream.has_room(),
            )
        )
        self._touch(self)

    def _on_flow_reply(self, message: Message) -> None:
        self.consumers.on_flow_reply(message.subject, self._clock.now)
        self._touch(self)

    def _on_ack(self, message: Message) -> None:
        self.consumers.on_acknowledgement(
            message.subject, message.reply, message.payload, self._clock.now
        )
        self._touch(self)

    def _on_pull(self, message: Message) -> None:
        name = message.subject.rpartition(".")[2]
        self.consumers.on_pull(name, message.reply, message.payload, self._clock.now)
        self._touch(self)

    # -- what was decided ------------------------------------------------------------------

    def follow(self, outcome: Outcome) -> None:
        """Let the consumers see what one command did. Outcomes come in the log's order."""
        self.consumers.follow(outcome, self._clock.now)
        match outcome.result:
            case Acknowledged(replies):
                for reply in replies:
                    self._broker.publish(reply, "", None, b"")
            case ConsumerCreated(name=name) if self.is_leading:
                self._subscribe_consumer(name)
            case ConsumerDeleted(name=name):
                self._unsubscribe_consumer(name)
            case _:
                pass
        if self.is_leading and outcome.result is not None:
            self._advise(outcome.result)
        copy = copy_of(self.stream, outcome)
        if copy is not None:
            self._broker.publish(copy.to, "", copy.header, copy.payload)
        if outcome.kind == "Expire":
            self._expiry_proposed = False
        self._touch(self)

    def holds_back(self, outcome: Outcome) -> bool:
        """Whether its answer must wait for a consumer that is not ready; see `released`."""
        match outcome.result:
            case ConsumerCreated(name=name) if not self.consumers.is_ready(name):
                self._held_back.append((name, outcome))
                return True
            case _:
                return False

    def released(self) -> list[Outcome]:
        """The outcomes that were held back and can be answered now."""
        if not self._held_back:
            return []
        is_ready = self.consumers.is_ready
        ready = [outcome for name, outcome in self._held_back if is_ready(name)]
        self._held_back = [each for each in self._held_back if not is_ready(each[0])]
        return ready

    def _advise(self, result: StreamResult) -> None:
        """Let those who listen know."""
        match result:
            case Updated() if self.is_settled:
                self._tell(stream_action(self.name, "modify"))
            case ConsumerCreated(name=name, existed=False):
                self._tell(consumer_action(self.name, name, "create"))
                record = self.stream.consumers.get(name)
                until = record.config.pause_until if record is not None else None
                if until is not None and until > self._clock.now:
                    self._tell(advisories.paused(self.name, name, until, self._clock.now))
            case ConsumerDeleted(name=name):
                self._tell(consumer_action(self.name, name, "delete"))
            case ConsumerPaused(name=name, until=until, is_changed=True):
                self._tell(advisories.paused(self.name, name, until, self._clock.now))
            case _:
                pass

    # -- what time demands -----------------------------------------------------------------

    def poll(self) -> None:
        """Deliver what is due, and propose what has expired."""
        now = self._clock.now
        self._broker.deliver(self.consumers.poll(now, self._broker.has_client))
        for event in self.consumers.events():
            self._tell(event)
        for command in self.consumers.progress():
            self.propose(command)
        for name in self.consumers.abandoned():
            self.propose(DeleteConsumer(name, "", now))
        due = self.stream.next_expiry()
        if due is not None and due <= now and not self._expiry_proposed:
            self._expiry_proposed = True
            self.propose(Expire(now))

    def deadline(self) -> Nanos | None:
        """When `poll` wants to be called next; a time in the past is at once."""
        times = [self.consumers.deadline()]
        if not self._expiry_proposed:
            times.append(self.stream.next_expiry())
        return min((at for at in times if at is not None), default=None)


class Hosts:
    """The streams of one server by name: what the API sees of it (`catalog.Catalog`)."""

    def __init__(self) -> None:
        self._by_name: dict[str, Host] = {}
        self.report: Callable[[str], dict[str, object]] = lambda _name: {}

    def __iter__(self) -> Iterator[Host]:
        return iter(self._by_name.values())

    def add(self, host: Host) -> None:
        """A stream was assigned to this server."""
        self._by_name[host.name] = host

    def remove(self, name: str) -> Host:
        """A stream is gone."""
        return self._by_name.pop(name)

    def __getitem__(self, name: str) -> Host:
        """The host of a stream that was assigned to this server."""
        return self._by_name[name]

    def get(self, name: str) -> Host | None:
        """The host of a stream, leading or not."""
        return self._by_name.get(name)

    def has(self, host: Host) -> bool:
        """Whether the host is still the one of its stream."""
        return self._by_name.get(host.name) is host

    def names(self) -> list[str]:
        """The streams that this server leads."""
        return [name for name, host in self._by_name.items() if host.is_leading]

    def stream(self, name: str) -> Stream | None:
        """A stream that this server leads."""
        host = self._by_name.get(name)
        return host.stream if host is not None and host.is_leading else None

    def consumers(self, name: str) -> Consumers:
        """Its consumers; the stream must exist."""
        return self._by_name[name].consumers

    def origins(self, name: str) -> dict[str, object]:
        """What it copies from, and how far it has come."""
        return self.report(name)
