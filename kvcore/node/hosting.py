"""A stream on the server that leads it: the group, its consumers, and its subscriptions.

**Leadership is a subscription.** The server that leads a stream's group subscribes to the
stream's subjects. Whatever a client publishes there finds its way by ordinary interest
routing; when nobody leads, nobody is subscribed, and a client learns at once that there are
no responders. A message that comes becomes a command in the group's log, and the answer
leaves when the command was applied.

A host carries out outcomes: it lets the consumers follow, publishes the answer, and
proposes what time demands (an expiry, the end of an abandoned consumer).

A server that doesn't lead the stream applies the same log and says nothing. When it begins
to lead, it has the stream already, and makes the consumers from it; when it ceases, it
unsubscribes and forgets them. Whoever waits for an answer then gets none: a proposal whose
fate is open may still be committed, so that an error would be a lie.

Left out: the log (`groups.py`), and when it is whose turn (`replicas.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kvcore.jetstream import advisories
from kvcore.jetstream.advisories import consumer_action, stream_action
from kvcore.jetstream.answers import Action, Delivery
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
from kvcore.node.advising import Advisor
from kvcore.node.anywhere import ReadsAnywhere, may_be_stale
from kvcore.node.broker import Broker, Handler, InternalSubscription, Message
from kvcore.node.ears import Ears
from kvcore.node.groups import Group, NotLeader
from kvcore.node.replicas import Replica
from kvcore.node.wakeups import Clock
from kvcore.trace import Field

StreamGroup: TypeAlias = Group[StreamCommand, Outcome]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a host uses of its server.

    `on_request` gets what the API is asked, `act` carries out what it answers. `touch` is told
    whenever there is something to do for a group, `on_lead` that a host leads, `on_settled`
    that its stream serves, `on_moved` that it changed. `make_stream` makes a host's stream anew
    from its records; `trace` takes a record. `tend` sees to it that a group has the members
    that its assignment names.
    """

    server_name: str
    broker: Broker
    clock: Clock
    api: Api
    advisor: Advisor
    on_request: Handler
    touch: Callable[[Replica], None]
    on_lead: Callable[["Host"], None]
    on_settled: Callable[["Host"], None]
    on_moved: Callable[["Host"], None]
    trace: Callable[[str, Mapping[str, Field]], None]
    make_stream: Callable[["Host"], Stream]
    act: Callable[[list[Action]], None]
    tend: Callable[["Host"], None]

    def tell(self, kind: str, **fields: Field) -> None:
        """Put a record into the server's trace."""
        self.trace(kind, fields)


class Host:
    """One stream on this server: a `replicas.Replica`. `assignment` is what the meta group
    decided last."""

    def __init__(
        self, group: StreamGroup, stream: Stream, assignment: StreamAssignment, around: Surroundings
    ) -> None:
        self.group = group
        self.stream = stream
        self.assignment = assignment
        self.consumers = Consumers(stream)
        self.is_leading = False
        self.leading_since: Nanos = 0
        self.is_settled = False  # whether the configuration that was decided on is in force
        self.is_restored = False  # from a backup, whose limits nobody has enforced yet
        self._held_back: list[tuple[str, Outcome]] = []  # who waits for a consumer, by its name
        self._inherited: list[Outcome] = []  # of a predecessor's term, not answered yet
        self.unanswered: list[MetaOutcome] = []  # who asked for the stream before it led
        self._around = around
        self._broker = around.broker
        self._clock = around.clock
        self._tell = around.advisor.tell
        self._subscriptions: list[InternalSubscription] = []
        self._anywhere = ReadsAnywhere(
            group, around.broker, around.api, around.act, around.server_name
        )
        self._farewells: list[Delivery] = []  # to be sent when another leads
        self._ears = Ears(around.broker, around.clock, lambda: around.touch(self))
        self._expiry_proposed = False
        group.on_wiped = group.on_installed = self._remake

    def _remake(self) -> None:
        """A snapshot has begun, and everything is gone; or it has come, and all is new."""
        self.stream.release()
        self.stream = self.group.machine = self._around.make_stream(self)
        self.consumers = Consumers(self.stream)

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.stream.config.name

    @property
    def is_restless(self) -> bool:
        """Whether it has farewells to say as soon as another server serves the stream."""
        return bool(self._farewells)

    # -- leading ---------------------------------------------------------------------------

    def lead(self) -> None:
        """Take up the stream's subjects.

        A server that stopped between the meta group's decision and the stream's own finds
        two configurations; the meta group's is the later one. A backup may even hold any:
        until the decided one is in force, the stream takes no subjects.
        """
        self.is_leading = True
        self.leading_since = self._clock.now
        self.consumers = Consumers(self.stream, self._clock.now)
        self._farewells.clear()
        decided = self.assignment.config
        self.is_settled = decided == self.stream.config and not self.is_restored
        self._around.on_lead(self)
        if self.is_settled:
            self._subscribe()
            self._around.on_settled(self)
        else:
            self.propose(UpdateConfig(decided.encode(), "", self._clock.now))
        inherited, self._inherited = self._inherited, []
        for outcome in inherited:
            if outcome.reply:
                self._answer(outcome)

    def step_down(self) -> None:
        """Give everything up; those who wait for an answer get none from here.

        A watcher's place is in this server's memory. Its client begins again when it is told of
        a delivery that it doesn't know. But it must not be told before somebody else serves, or
        it would ask in vain, and then wait for long.
        """
        self.is_leading = self.is_settled = False
        self.unsubscribe()
        self._held_back.clear()
        self._expiry_proposed = False
        self._farewells = self.consumers.farewells()
        self.consumers = Consumers(self.stream)

    def _subscribe(self) -> None:
        """Subscribe to what the configuration of now says; again after an update."""
        before, self._subscriptions = self._subscriptions, []
        direct, on_request = self._around.api.direct, self._around.on_request
        wanted: list[tuple[str, Handler]] = []
        wanted += [(subject, self._on_publish) for subject in self.stream.config.subjects]
        wanted += [(subject, on_request) for subject in self._around.api.verbs_of(self.name)]
        if not may_be_stale(self.stream.config):
            wanted += [(subject, on_request) for subject in direct.subscriptions(self.stream)]
        wanted += [
            (subject, self._stand_in) for subject in direct.origin_subscriptions(self.stream)
        ]
        self._subscriptions = [self._broker.subscribe(*pair) for pair in wanted]
        self._ears.open(self.consumers)
        for subscription in before:
            self._broker.unsubscribe(subscription)  # now, so that peers see no gap

    def _is_served_elsewhere(self) -> bool:
        """Whether another server leads the stream, and its subjects are known here."""
        return self.group.leader != "" and self._broker.is_served(f"$JS.FC.{self.name}.-")

    def _stand_in(self, message: Message) -> None:
        """A mirror answers for its origin only where the origin doesn't."""
        if self._around.api.direct.stands_in(self.name):
            self._around.on_request(message)

    def unsubscribe(self) -> None:
        """Give the subjects up: from now on nobody answers there."""
        for subscription in self._subscriptions:
            self._broker.unsubscribe(subscription)
        self._subscriptions = []
        self._ears.close()

    def withdraw(self) -> None:
        """This server has no more part in the stream."""
        self.unsubscribe()
        self._anywhere.close()

    def dismiss(self) -> None:
        """The stream is deleted: nobody answers any more, and those who wait are told."""
        self.withdraw()
        if not (self.is_leading or self.group.is_alone):
            return
        self._broker.deliver(self.consumers.dismiss())
        for name in self.stream.consumers:
            self._tell(consumer_action(self.name, name, "delete"))
        self._tell(stream_action(self.name, "delete"))
        self._release_held_back()

    def take_leave(self) -> None:
        """The server stops: those who wait at a consumer are told."""
        self._broker.deliver(self.consumers.take_leave())

    # -- what arrives ----------------------------------------------------------------------

    def propose(self, command: StreamCommand) -> int:
        """Append to the group's log and return the index there; the outcome comes back when
        it is committed. Who comes too late, when leadership is lost, is not heard: 0."""
        self._around.touch(self)
        try:
            return self.group.propose(command)
        except NotLeader:
            return 0

    def read(self, then: Callable[[], None]) -> None:
        """Call `then` when this server has made sure that it leads still."""
        self.group.read(then)
        self._around.touch(self)

    def _on_publish(self, message: Message) -> None:
        self.propose(
            Publish(
                message.subject,
                message.reply,
                message.header,
                message.payload,
                self._clock.now,
                not self.stream.has_room(),
            )
        )

    # -- what was decided ------------------------------------------------------------------

    def follow(self) -> None:
        """Answer what was applied, and let the consumers see what it did."""
        self.group.take_old()
        outcomes = self.group.take()
        if self.is_leading:
            for outcome in outcomes:
                self._follow(outcome)
                if not self._holds_back(outcome):
                    self._respond(outcome)
        elif self.group.is_leader:
            self._inherited += outcomes
        else:
            self._inherited.clear()
            if self.group.leader:
                self.unanswered.clear()
        if outcomes:
            self._around.on_moved(self)
        self._anywhere.refresh(self.stream)
        if self._farewells and self._is_served_elsewhere():
            farewells, self._farewells = self._farewells, []
            self._broker.deliver(farewells)

    def _follow(self, outcome: Outcome) -> None:
        self.consumers.follow(outcome, self._clock.now)
        match outcome.result:
            case Acknowledged(replies):
                for reply in replies:
                    self._broker.publish(reply, "", None, b"")
            case ConsumerCreated(name=name):
                self._ears.add(name)
            case ConsumerDeleted(name=name):
                self._ears.remove(name)
            case _:
                pass
        if outcome.result is not None:
            self._advise(outcome.result)
        copy = copy_of(self.stream, outcome)
        if copy is not None:
            self._broker.publish(copy.to, "", copy.header, copy.payload)
        if outcome.kind == "Expire":
            self._expiry_proposed = False

    def _respond(self, outcome: Outcome) -> None:
        if outcome.kind == "UpdateConfig":
            self._subscribe()
            self.is_settled = True
            self._around.on_settled(self)
        if outcome.reply:
            self._answer(outcome)

    def _answer(self, outcome: Outcome) -> None:
        around = self._around
        answer = outcome.payload or around.api.respond_stream(self.name, outcome, self._clock.now)
        around.advisor.answer(outcome.reply, answer)

    def _holds_back(self, outcome: Outcome) -> bool:
        """Whether its answer must wait for a consumer that is not ready."""
        match outcome.result:
            case ConsumerCreated(name=name) if not self.consumers.is_ready(name):
                self._held_back.append((name, outcome))
                return True
            case _:
                return False

    def _release_held_back(self) -> None:
        """Answer those whose consumer is ready now."""
        if not self._held_back:
            return
        is_ready = self.consumers.is_ready
        ready = [outcome for name, outcome in self._held_back if is_ready(name)]
        self._held_back = [each for each in self._held_back if not is_ready(each[0])]
        for outcome in ready:
            self._respond(outcome)

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
        self._release_held_back()
        self._around.tend(self)

    def deadline(self) -> Nanos | None:
        """When `poll` wants to be called next; a time in the past is at once."""
        times = [self.consumers.deadline()]
        if not self._expiry_proposed:
            times.append(self.stream.next_expiry())
        return min((at for at in times if at is not None), default=None)
