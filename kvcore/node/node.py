"""One whole server: clients on one side, replicated logs on the other, and the turn between.

A driver hands a `Node` events and drains its effects once a turn. Within the turn
everything happens in memory: bytes become operations, operations find subscribers, some of
those are streams, and streams append to their groups' logs. At the end of the turn the
logs' new entries go to the disk as one batch under one sync. What they promise leaves in a
later turn, after `Synced`:

    turn 1  ClientData "PUB $KV.b.k …"   → propose                   → batch, sync ticket 7
    turn 2  Synced(7)                    → commit, apply, deliver, ack → client writes

A group in memory promises nothing across a restart, so it commits in the turn itself.

A server starts as a group of one would: each group raises its term, and when that is
durable it leads. Until then nobody is subscribed to the JetStream API or to a stream's
subjects, so that a request gets "no responders".

Left out: other servers.
"""

from collections.abc import Mapping
from random import Random
from typing import assert_never

from kvcore.jetstream.advisories import stream_action
from kvcore.jetstream.answers import Answer, Answers, ProposeMeta, ProposeStream, SendBackup
from kvcore.jetstream.api import Api
from kvcore.jetstream.commands import (
    MetaCommand,
    UpdateConfig,
    decode_meta,
    decode_stream,
    encode,
)
from kvcore.jetstream.meta import Meta, Quota
from kvcore.jetstream.outcome import (
    MetaOutcome,
    Outcome,
    Refused,
    RestoreBegun,
    RestoreRefused,
    StreamAssignment,
    StreamCreated,
    StreamDeleted,
    StreamUpdated,
)
from kvcore.jetstream.state import Budget
from kvcore.jetstream.stream import Stream
from kvcore.limits import Nanos
from kvcore.node.advising import Advisor
from kvcore.node.answering import LongAnswers
from kvcore.node.backups import Backups
from kvcore.node.broker import Broker, Message
from kvcore.node.config import NodeConfig
from kvcore.node.following import Following
from kvcore.node.groups import FILE, MEMORY, Group, destroy_all_but
from kvcore.node.hosting import Host, Hosts
from kvcore.node.io import (
    ClientClosed,
    ClientConnected,
    ClientData,
    Effects,
    Event,
    Measured,
    Operator,
    PeerClosed,
    PeerConnected,
    PeerData,
    Synced,
    TimerFired,
)
from kvcore.node.observed import MetaGroup, Observed
from kvcore.node.orders import obey
from kvcore.node.restores import Restores
from kvcore.node.sight import Gauge
from kvcore.node.system import System
from kvcore.node.turns import Tickets
from kvcore.node.wakeups import Clock, Wakeups
from kvcore.storage import keys
from kvcore.storage.base import Storage
from kvcore.storage.overlay import Overlay
from kvcore.trace import Sink, Trace, ignore


class Node(Observed):
    """One server, as both drivers hold it; see the module's text.

    `stores` has an engine for "file" and one for "memory", read here and written by the
    driver alone. Raises `StorageError` for a store that contradicts itself.
    """

    def __init__(
        self,
        config: NodeConfig,
        stores: Mapping[str, Storage],
        rng: Random,
        now: Nanos,
        trace: Sink = ignore,
    ) -> None:
        self.config = config
        self._clock = Clock(now)
        self._started = now
        self._trace = trace
        self._overlays = {engine: Overlay(store) for engine, store in stores.items()}
        self._broker = Broker(config, rng, now, trace)
        self._broker.on_interest = self._on_interest
        self._advisor = Advisor(config, self._broker, self._clock, rng)
        self._tickets: Tickets[Host | None] = Tickets()  # None is the meta group
        self._wakeups: Wakeups[Host] = Wakeups()
        self._touched: dict[Host, None] = {}
        self._answers = LongAnswers(self._send)
        self._hosts = Hosts()
        self._following = Following(self._hosts, self._clock)
        self._hosts.report = self._following.report
        self._budgets = {FILE: Budget(config.max_storage), MEMORY: Budget(config.max_memory)}
        quota = Quota(memory_bytes=config.max_memory, file_bytes=config.max_storage)
        self._meta = Meta(self._overlays[FILE], quota)
        self._meta_group = self._recover_meta()
        self._meta_touched = config.jetstream
        self._api_served = False
        self._api = Api(config.identity, self._hosts, rng)
        shared = (self._broker, self._clock, rng, self._api, self._advisor)
        self._backups = Backups(*shared, self._hosts, self._overlays)
        self._restores = Restores(*shared, self._propose_meta, self._overlays, self._budgets)
        if config.jetstream:
            live = {keys.META_GID, *(each.gid for each in self._meta.streams.values())}
            destroy_all_but(live, self._overlays[FILE])
            for assignment in self._meta.streams.values():
                self._host(assignment)
        self._gauge = Gauge()
        System(self._broker, lambda: self._sight(self._clock.now))

    # -- the waist -------------------------------------------------------------------------

    def handle(self, event: Event, now: Nanos) -> None:
        """Take in one event; `now` never goes back."""
        self._clock.now = now
        match event:
            case ClientData(conn, data):
                self._broker.data(conn, data, now)
            case Synced(ticket):
                self._commit(ticket)
            case ClientConnected(conn, host, port):
                self._broker.connected(conn, host, port, now)
            case ClientClosed(conn, reason):
                self._broker.closed(conn, reason, now)
            case TimerFired():
                self._on_timer(now)
            case Measured():
                self._gauge.read(event, now)
            case PeerConnected() | PeerData() | PeerClosed():
                raise AssertionError("a server on its own has no peers")
            case Operator(order):
                obey(order, self._broker, self._hosts, now)
            case _:
                assert_never(event)

    def effects(self) -> Effects:
        """What this turn asks of the driver; see `Effects` for the order."""
        for part in (self._answers, self._following, self._backups, self._restores):
            part.work()
        awaiting: list[tuple[Host | None, int]] = []
        if self._meta_touched:
            self._meta_touched = False
            if self._meta_group.flush():
                awaiting.append((None, self._meta_group.last_index))
        while self._touched:
            host = next(iter(self._touched))
            del self._touched[host]
            self._finish_turn(host, awaiting)
        writes, closes = self._broker.drain()
        batches = {engine: batch for engine, o in self._overlays.items() if (batch := o.take())}
        sync = self._tickets.issue(awaiting) if awaiting else None
        return Effects(writes, closes, batches, sync)

    def deadline(self) -> Nanos | None:
        """When the next `TimerFired` is wanted; a time in the past is at once."""
        if self._answers:
            return self._clock.now
        parts = (self._broker, self._following, self._backups, self._restores)
        times = (self._wakeups.next(), *(part.deadline() for part in parts))
        return min((at for at in times if at is not None), default=None)

    # -- a turn ----------------------------------------------------------------------------

    def _touch(self, host: Host) -> None:
        self._touched[host] = None

    def _finish_turn(self, host: Host, awaiting: list[tuple[Host | None, int]]) -> None:
        """Put the turn's entries into the batch or, in memory, commit them; then deliver."""
        if not self._hosts.has(host):
            self._wakeups.set(host, None)
            return
        group, flushed, is_polled = host.group, -1, False
        while group.last_index != flushed:  # delivering may propose: acks, an expiry
            flushed = group.last_index
            if group.flush():
                awaiting.append((host, flushed))
            elif group.engine == MEMORY and flushed > group.applied:
                self._persisted(host, flushed)
            if host.is_leading and not is_polled:
                is_polled = True
                host.poll()
                self._respond_all(host, host.released())
        self._touched.pop(host, None)
        self._wakeups.set(host, host.deadline() if host.is_leading else None)

    def _commit(self, ticket: int) -> None:
        for host, index in self._tickets.redeem(ticket):
            if host is None:
                for outcome in self._meta_group.persisted(index):
                    self._follow_meta(outcome)
                self._meta_touched = True
                self._lead()
            elif self._hosts.has(host):
                self._persisted(host, index)

    def _persisted(self, host: Host, index: int) -> None:
        for outcome in host.group.persisted(index):
            host.follow(outcome)
            if not host.holds_back(outcome):
                self._respond(host, outcome)
        if not host.is_leading and host.group.is_leader:
            host.lead(self._meta.streams[host.name], self._api, self._on_request)
            self._tell("stream-leader", stream=host.name, term=host.group.term)
            if host.is_settled:
                self._settled(host)
        self._following.moved(host)
        self._touch(host)

    def _settled(self, host: Host) -> None:
        """The stream serves, and whoever asked for it hears so."""
        host.is_settled = True
        self._following.arrange(host)
        unanswered, host.unanswered = host.unanswered, []
        for each in unanswered:
            self._follow_meta(each)

    def _on_timer(self, now: Nanos) -> None:
        self._broker.on_timer(now)
        for host in self._wakeups.take_due(now):
            self._touch(host)

    # -- what clients ask ------------------------------------------------------------------

    def _send(self, answer: Answer) -> None:
        self._advisor.answer(answer.to, answer.payload, answer.header)

    def _on_request(self, message: Message) -> None:
        self._advisor.asked(message)
        now = self._clock.now
        for action in self._api.handle(message.subject, message.reply, message.payload, now):
            match action:
                case Answer():
                    self._send(action)
                case Answers():
                    self._answers.add(action)
                case ProposeMeta(command):
                    self._propose_meta(command)
                case ProposeStream(name, command):
                    self._hosts[name].propose(command)
                case SendBackup():
                    self._send(self._backups.begin(action))
                case _:
                    assert_never(action)

    def _propose_meta(self, command: MetaCommand) -> None:
        self._meta_group.propose(self._meta.stamped(command))
        self._meta_touched = True

    def _on_interest(self, subject: str) -> None:
        for host in self._hosts:
            if len(host.consumers):
                host.consumers.wake(subject)
                self._touch(host)

    # -- what was decided ------------------------------------------------------------------

    def _respond(self, host: Host, outcome: Outcome) -> None:
        if outcome.kind == "UpdateConfig" and host.is_leading:
            host.subscribe(self._api, self._on_request)
            self._settled(host)
        if outcome.reply:
            answer = outcome.payload or self._api.respond_stream(
                host.name, outcome, self._clock.now
            )
            self._advisor.answer(outcome.reply, answer)

    def _respond_all(self, host: Host, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._respond(host, outcome)

    def _follow_meta(self, outcome: MetaOutcome) -> None:
        match outcome.result:
            case StreamCreated(assignment) | StreamUpdated(assignment):
                host = self._hosts.get(assignment.config.name) or self._host(assignment)
                if not host.is_settled:
                    host.unanswered.append(outcome)
                    return
                if isinstance(outcome.result, StreamUpdated):
                    config = assignment.config.encode()
                    host.propose(UpdateConfig(config, outcome.reply, self._clock.now))
                elif not outcome.result.existed:
                    self._advisor.tell(stream_action(host.name, "create"))
            case StreamDeleted(assignment):
                host = self._hosts[assignment.config.name]
                host.dismiss()
                self._respond_all(host, host.released())
                self._hosts.remove(host.name)
                self._following.forget(host)
                host.stream.release()
                host.group.destroy()
                self._wakeups.set(host, None)
                self._tell("stream-deleted", stream=assignment.config.name)
            case RestoreBegun(assignment):
                self._restores.begin(assignment, outcome.reply)
                return
            case RestoreRefused(gid):
                self._restores.drop(gid)
            case Refused():
                pass
            case _:
                assert_never(outcome.result)
        self._respond_meta(outcome)

    def _respond_meta(self, outcome: MetaOutcome) -> None:
        answer = self._api.respond_meta(outcome, self._clock.now)
        if answer is not None and outcome.reply:
            self._advisor.answer(outcome.reply, answer)

    # -- starting --------------------------------------------------------------------------

    def _recover_meta(self) -> MetaGroup:
        file = self._overlays[FILE]
        name = self.config.server_name
        return Group(keys.META_GID, FILE, file, file, self._meta, encode, decode_meta, name)

    def _host(self, assignment: StreamAssignment) -> Host:
        """Start the group of a stream that the meta group has assigned."""
        engine = FILE if assignment.config.storage == "file" else MEMORY
        records = self._overlays[engine]
        restored = self._restores.take(assignment.gid)
        stream = restored or Stream(
            assignment.gid, assignment.config, assignment.created, records, self._budgets[engine]
        )
        group = Group(
            assignment.gid, engine, records, self._overlays[FILE], stream, encode,
            decode_stream, self.config.server_name,
        )  # fmt: skip
        host = Host(group, stream, self._broker, self._clock, self._touch, self._advisor.tell)
        host.is_restored = restored is not None
        self._hosts.add(host)
        self._touch(host)
        return host

    def _lead(self) -> None:
        """Serve the API, once the meta group's term is durable."""
        if self._api_served or not self._meta_group.is_leader:
            return
        self._api_served = True
        for subject in self._api.subscriptions():
            self._broker.subscribe(subject, self._on_request)
        self._tell("meta-leader", term=self._meta_group.term)

    def _tell(self, kind: str, **fields: str | int) -> None:
        self._trace(Trace(self._clock.now, self.config.server_name, kind, fields))
