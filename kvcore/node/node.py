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

Left out: what the servers of a cluster decide together.
"""

from collections.abc import Mapping
from random import Random
from typing import assert_never

from kvcore.jetstream.answers import (
    Action,
    Answer,
    Answers,
    Gather,
    ProposeMeta,
    ProposeStream,
    RemoveServer,
    SendBackup,
    StepDown,
)
from kvcore.jetstream.api import Api
from kvcore.jetstream.commands import MetaCommand
from kvcore.jetstream.meta import Meta, Quota
from kvcore.jetstream.state import Budget
from kvcore.jetstream.stream import Stream
from kvcore.limits import Nanos
from kvcore.node.advising import Advisor
from kvcore.node.answering import LongAnswers
from kvcore.node.backups import Backups
from kvcore.node.broker import Broker, Message
from kvcore.node.cluster import Cluster
from kvcore.node.cluster_view import View
from kvcore.node.config import NodeConfig, Timers
from kvcore.node.engines import hard_of
from kvcore.node.fetching import Fetching
from kvcore.node.following import Following
from kvcore.node.group_trace import untold
from kvcore.node.groups import FILE, MEMORY, Wiring
from kvcore.node.hosting import Host, Surroundings
from kvcore.node.hosts import Hosts
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
from kvcore.node.meta_group import MetaReplica
from kvcore.node.observed import Observed
from kvcore.node.orders import obey
from kvcore.node.peers import Peers
from kvcore.node.replicas import Replicas
from kvcore.node.restores import Restores
from kvcore.node.sight import Gauge
from kvcore.node.streams import Streams
from kvcore.node.system import System
from kvcore.node.wakeups import Clock
from kvcore.storage.base import Storage
from kvcore.storage.overlay import Overlay
from kvcore.trace import Field, Sink, Trace, ignore, is_quiet


class Node(Observed):
    """One server, as both drivers hold it; see the module's text.

    `stores` has an engine for "file", one for "memory" and perhaps one for "rocksdb", read
    here and written by the driver alone. Raises `StorageError` for a store that contradicts itself.
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
        self._rng = rng
        self._overlays = {engine: Overlay(store) for engine, store in stores.items()}
        self._broker = Broker(config, rng, now, trace)
        self._broker.on_interest = self._on_interest
        self.peers = Peers(config, self._broker, self._clock, rng, trace)
        self._advisor = Advisor(config, self._broker, self._clock, rng)
        self._replicas = Replicas(self.peers)
        self._answers = LongAnswers(self._send)
        self._hosts = Hosts()
        self._following = Following(self._hosts, self._clock)
        self._hosts.report = self._following.report
        self._budgets = dict.fromkeys(stores, Budget(config.max_storage))
        self._budgets[MEMORY] = Budget(config.max_memory)
        self._api = Api(config.identity, self._hosts, rng)
        shared = (self._broker, self._clock, rng, self._api, self._advisor)
        self._backups = Backups(*shared, self._hosts, self._overlays)
        self._restores = Restores(
            *shared, self._propose_meta, self._replicas.after_sync, self._overlays,
            self._budgets, config.engines[0],
        )  # fmt: skip
        self._cluster: Cluster | None = None
        self._found_groups()
        self.peers.on_raft = self._replicas.receive
        self.peers.on_beats = self._replicas.on_beats
        self.peers.on_heard = self._replicas.on_heard
        self.peers.on_hello = self._on_hello
        self.peers.on_gone = self._on_gone
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
                self._replicas.synced(ticket)
            case ClientConnected(conn, host, port):
                self._broker.connected(conn, host, port, now)
            case ClientClosed(conn, reason):
                self._broker.closed(conn, reason, now)
            case TimerFired():
                self._broker.on_timer(now)
                self._replicas.on_timer(now)
            case Measured():
                self._gauge.read(event, now)
            case PeerConnected() | PeerData() | PeerClosed():
                self.peers.handle(event)
            case Operator(order):
                obey(order, self._broker, self._hosts, self._hand_over_all, now)
            case _:
                assert_never(event)

    def hand_over(self, group: str, to: str) -> None:
        """An operator wants another server to lead a group that this one leads."""
        self._replicas.hand_over(self.groups[group], to)

    def effects(self) -> Effects:
        """What this turn asks of the driver; see `Effects` for the order."""
        for part in (self._answers, self._following, self._backups, self._restores, self.peers):
            part.work()
        if self._cluster is not None:
            self._cluster.work()
        sync = self._replicas.finish_turn()
        writes, closes = self._broker.drain()
        batches = {engine: batch for engine, o in self._overlays.items() if (batch := o.take())}
        peers, unlinks = self.peers.drain()
        is_vital = self._replicas.is_vital
        return Effects(writes, closes, batches, sync, peers, unlinks, is_vital)

    def deadline(self) -> Nanos | None:
        """When the next `TimerFired` is wanted; a time in the past is at once."""
        if self._answers:
            return self._clock.now
        parts = (self._broker, self._following, self._backups, self._restores, self.peers)
        times = [self._replicas.deadline(), *(part.deadline() for part in parts)]
        if self._cluster is not None:
            times.append(self._cluster.deadline())
        return min((at for at in times if at is not None), default=None)

    # -- what clients ask ------------------------------------------------------------------

    def _send(self, answer: Answer) -> None:
        self._advisor.answer(answer.to, answer.payload, answer.header)

    def _on_request(self, message: Message) -> None:
        self._advisor.asked(message)
        host = None
        if self.config.cluster is not None:
            read = self._api.direct.read_by(message.subject)
            host = self._hosts.get(read.config.name) if read is not None else None
        if host is None:
            self._carry_out(message)
        else:
            host.read(lambda: self._carry_out(message))

    def _carry_out(self, message: Message) -> None:
        now = self._clock.now
        self._act(self._api.handle(message.subject, message.reply, message.payload, now))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
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
                case StepDown() | RemoveServer() | Gather():
                    assert self._cluster is not None, "a server on its own asks nobody"
                    self._cluster.act(action)
                case _:
                    assert_never(action)

    def _propose_meta(self, command: MetaCommand) -> None:
        self._meta_replica.propose(command)

    def _on_interest(self, subject: str) -> None:
        for host in self._hosts:
            if len(host.consumers):
                host.consumers.wake(subject)
                self._replicas.touch(host)

    # -- the groups ------------------------------------------------------------------------

    def _found_groups(self) -> None:
        """Take up the groups that the store knows."""
        config, overlays = self.config, self._overlays
        around = Surroundings(
            config.server_name, self._broker, self._clock, self._api, self._advisor,
            self._on_request, self._replicas.touch, self._on_lead, self._on_settled,
            self._following.moved, self._record, self._remake, self._act,
            self._tend,
        )  # fmt: skip
        quota = Quota(memory_bytes=config.max_memory, file_bytes=config.max_storage)
        view = planner = None
        if config.cluster is not None and config.jetstream:
            view = View(config, self._clock, self._broker, self.peers, self._hosts)
            planner, self._hosts.cluster = view.planner, view
        self._streams = Streams(
            config, overlays, self._budgets, self._replicas, self._hosts, self._following,
            self._restores, around, self._wiring,
        )  # fmt: skip
        self._meta_replica = MetaReplica(
            config, self._wiring(FILE, "_meta_"), lambda: Meta(overlays[FILE], quota, planner),
            around, self._streams, self._restores,
        )  # fmt: skip
        if view is not None:
            view.replica = self._meta_replica
            self._following.fetching = Fetching(view, self.peers, self._hosts, self._clock)
            self._cluster = Cluster(
                view, self.peers, self._hosts, around, self._meta_replica, self._streams,
                self._act, self._rng, self._following.fetching,
            )  # fmt: skip
        if config.jetstream:
            self._replicas.add(self._meta_replica)
            self._streams.recover(self._meta.streams.values())

    @property
    def _meta(self) -> Meta:
        return self._meta_replica.machine

    def _wiring(self, engine: str, name: str) -> Wiring:
        """What the group of this name on this engine uses of the server."""

        def tell(kind: str, /, **fields: Field) -> None:
            self._record(kind, {"group": name, **fields})

        cluster = self.config.cluster
        return Wiring(
            self._overlays[engine], hard_of(engine, self._overlays), self._clock,
            cluster.timers if cluster is not None else Timers(), self._rng,
            self.peers.send_raft, untold if is_quiet(self._trace) else tell,
        )  # fmt: skip

    def _hand_over_all(self) -> None:
        self._replicas.hand_over_all(self.peers.names)

    def _on_hello(self, peer: str) -> None:
        self._replicas.peer_known(peer)
        if self._cluster is not None:
            self._cluster.on_hello(peer)

    def _on_gone(self, peer: str) -> None:
        self._replicas.peer_closed(peer)
        if self._cluster is not None:
            self._cluster.on_gone(peer)

    def _tend(self, host: Host) -> None:
        if self._cluster is not None:
            self._cluster.tend_host(host)

    def _remake(self, host: Host) -> Stream:
        return self._streams.remake(host)

    def _on_lead(self, host: Host) -> None:
        self._record("stream-leader", {"stream": host.name, "term": host.group.term})
        self._following.moved(host)

    def _on_settled(self, host: Host) -> None:
        self._following.arrange(host)
        self._meta_replica.settled(host)

    def _record(self, kind: str, fields: Mapping[str, Field]) -> None:
        self._trace(Trace(self._clock.now, self.config.server_name, kind, fields))
