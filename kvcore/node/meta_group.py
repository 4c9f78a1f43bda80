"""The meta group on this server: what it decides is carried out, and answered.

Every server applies the meta group's log, and so every server starts the group of a stream
that was assigned to it and ends that of a stream that was deleted. Only the leader serves
the requests of the JetStream API that are the meta group's business, and stamps proposals
with what it alone can know.

Who asked for a stream is answered when the stream stands: the host keeps the outcome until
its configuration is in force (`Host.unanswered`).

Left out: what the log says (`jetstream/meta.py`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeAlias, assert_never

from kvcore import limits
from kvcore.jetstream.advisories import stream_action
from kvcore.jetstream.commands import MetaCommand, UpdateConfig, decode_meta, encode
from kvcore.jetstream.meta import FIRST_STREAM_GID, Meta
from kvcore.jetstream.outcome import (
    MetaOutcome,
    Refused,
    RestoreBegun,
    RestoreRefused,
    StreamAssignment,
    StreamCreated,
    StreamDeleted,
    StreamMoved,
    StreamUpdated,
)
from kvcore.limits import Nanos
from kvcore.node.broker import InternalSubscription
from kvcore.node.config import NodeConfig
from kvcore.node.group_records import found
from kvcore.node.groups import FILE, Group, NotLeader, Wiring
from kvcore.node.hosting import Host, Surroundings
from kvcore.node.restores import Restores
from kvcore.node.streams import Streams
from kvcore.raft.entry import Members
from kvcore.raft.state import State, founded
from kvcore.storage import keys
from kvcore.trace import Field

_ALL = 1 << 64

MetaGroup: TypeAlias = Group[MetaCommand, MetaOutcome]


class Office(Protocol):
    """What there is to do in a cluster besides deciding."""

    def lead(self) -> None:
        """This server leads the meta group: it answers for the cluster."""

    def step_down(self) -> None:
        """It does so no more."""

    def poll(self) -> None:
        """While leading, whenever something has happened."""

    def deadline_of_leader(self) -> Nanos | None:
        """When `poll` wants to be called at the latest."""

    def assigned(self, stream: str, outcome: MetaOutcome) -> None:
        """While leading: whoever asked for a stream shall hear of it."""

    def moved(self, host: Host) -> None:
        """The assignment of a stream that is here has changed."""


class MetaReplica:
    """This server's part in the meta group: a `replicas.Replica`."""

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        config: NodeConfig,
        wiring: Wiring,
        make: Callable[[], Meta],
        around: Surroundings,
        streams: Streams,
        restores: Restores,
    ) -> None:
        founders: tuple[str, ...] | None = ()
        if config.cluster is not None:
            founders = config.cluster.members or None  # None: who has met will tell
        durable = wiring.records
        state = found(keys.META_GID, config.server_name, durable, durable, founders)
        self.machine = make()
        self.office: Office | None = None  # a server on its own has none
        self._wiring = wiring
        self._make = make
        self.group = self._grouped(state)
        has_nothing = self.group.raft.is_recovering and not self.group.last_index
        self._old_upto = _ALL if has_nothing else 0  # groups that it may have had and forgotten
        self.is_leading = False
        self._server_name = config.server_name
        self._around = around
        self._streams = streams
        self._restores = restores
        self._subscriptions: list[InternalSubscription] = []

    def _grouped(self, state: State) -> MetaGroup:
        group: MetaGroup = Group(
            keys.META_GID, FILE, self.machine, encode, decode_meta, state, self._wiring
        )
        group.on_installed = self._installed
        return group

    def join(self) -> None:
        """The group exists, and perhaps had this server before its disk was emptied: until its
        leader has sent the log, nothing is promised here."""
        group = self.group
        if not group.term and not group.last_index and not group.raft.is_recovering:
            durable = self._wiring.records
            durable.delete(keys.hard_state(keys.META_GID))
            name, gid = self._server_name, keys.META_GID
            self.group = self._grouped(found(gid, name, durable, durable, is_forgotten=True))
            self._old_upto = _ALL
            self._around.touch(self)

    def begin(self, founders: tuple[str, ...]) -> None:
        """Found the group with these others, unless somebody was faster: then his log will
        come."""
        if not self.group.term and not self.group.last_index:
            self.group = self._grouped(founded(self._server_name, Members(founders)))
            if self._server_name == min(founders):
                self.group.stand()  # nobody leads it, which no time-out has to find out
            self._around.touch(self)

    @property
    def is_restless(self) -> bool:
        """It waits for nothing but its log."""
        return False

    # -- leading ---------------------------------------------------------------------------

    def lead(self) -> None:
        """Serve the API."""
        self.is_leading = True
        around = self._around
        if self.office is not None:
            self.office.lead()
        else:
            subscribe = around.broker.subscribe
            self._subscriptions = [
                subscribe(subject, around.on_request) for subject in around.api.subscriptions()
            ]
        around.tell("meta-leader", term=self.group.term)

    def step_down(self) -> None:
        """Serve it no more; who waits for an answer gets none from here."""
        self.is_leading = False
        if self.office is not None:
            self.office.step_down()
        for subscription in self._subscriptions:
            self._around.broker.unsubscribe(subscription)
        self._subscriptions = []

    def poll(self) -> None:
        """Keep the cluster's house; a server on its own has none."""
        if self.office is not None:
            self.office.poll()

    def deadline(self) -> Nanos | None:
        """When that is due again."""
        return self.office.deadline_of_leader() if self.office is not None else None

    # -- deciding --------------------------------------------------------------------------

    def propose(self, command: MetaCommand) -> None:
        """Append to the log, stamped. Who comes too late, when leadership is lost, is not
        heard."""
        self._around.touch(self)
        try:
            self.group.propose(self.machine.stamped(command))
        except NotLeader:
            return

    def _installed(self) -> None:
        """A snapshot has brought other streams than were known here."""
        before, self.machine = self.machine.streams, self._make()
        self.group.machine = self.machine
        for name, assignment in before.items():
            now = self.machine.streams.get(name)
            if now is None or now.gid != assignment.gid:
                self._streams.end(assignment)
        self._streams.recover(self.machine.streams.values(), self._old_upto)

    def follow(self) -> None:
        """Carry out what was decided; whatever was decided before this process began is
        nobody's question any more."""
        if self._old_upto == _ALL and not self.group.raft.is_recovering:
            self._old_upto = FIRST_STREAM_GID + self.group.last_index
        for outcome in self.group.take_old():
            self._follow(replace(outcome, reply=""))
        for outcome in self.group.take():
            self._follow(outcome)

    def settled(self, host: Host) -> None:
        """A stream serves, and whoever asked for it hears so."""
        unanswered, host.unanswered = host.unanswered, []
        for each in unanswered:
            self._follow(each)

    def _follow(self, outcome: MetaOutcome) -> None:
        match outcome.result:
            case StreamCreated(assignment) | StreamUpdated(assignment):
                host = self._placed(assignment)
                if self.is_leading and self.office is not None:
                    self.office.assigned(assignment.config.name, outcome)
                if host is None or self._is_late(outcome):
                    return
                if not host.is_settled:
                    host.unanswered = [each for each in host.unanswered if not self._is_late(each)]
                    host.unanswered.append(outcome)
                    return
                if isinstance(outcome.result, StreamUpdated):
                    config = assignment.config.encode()
                    host.propose(UpdateConfig(config, outcome.reply, self._around.clock.now))
                elif not outcome.result.existed:
                    self._around.advisor.tell(stream_action(host.name, "create"))
            case StreamDeleted(assignment):
                self._streams.end(assignment)
            case StreamMoved(assignment, before):
                if before.gid != assignment.gid:
                    self._streams.end(before)
                    self._around.tell("stream-begun-anew", **_loss(assignment))
                self._placed(assignment)
            case RestoreBegun(assignment, holder) if holder in {"", self._server_name}:
                self._restores.begin(assignment, outcome.reply)
                return
            case RestoreRefused(gid):
                self._restores.drop(gid)
            case RestoreBegun():
                return
            case Refused():
                pass
            case _:
                assert_never(outcome.result)
        self._respond(outcome)

    def _placed(self, assignment: StreamAssignment) -> Host | None:
        """The host of a stream, if it is on this server."""
        host = self._streams.assign(assignment, is_old=assignment.gid <= self._old_upto)
        if host is not None and self.office is not None:
            self.office.moved(host)
        return host

    def _is_late(self, outcome: MetaOutcome) -> bool:
        """Whether whoever asked has been given up on by the meta group's leader."""
        is_ours = self.office is None or not outcome.reply
        return not is_ours and self._around.clock.now >= outcome.time + limits.UNSERVED_WAIT_NS

    def _respond(self, outcome: MetaOutcome) -> None:
        if not outcome.reply or not self._is_answering(outcome):
            return
        answer = self._around.api.respond_meta(outcome, self._around.clock.now)
        if answer is not None:
            self._around.advisor.answer(outcome.reply, answer)

    def _is_answering(self, outcome: MetaOutcome) -> bool:
        """Whether it is this server that answers: who leads the stream, if there is one now,
        else who leads the meta group."""
        match outcome.result:
            case StreamCreated() | StreamUpdated():
                return True  # only a host that leads comes this far
            case _:
                return self.group.is_leader


def _loss(assignment: StreamAssignment) -> dict[str, Field]:
    """What an operator has to know of a stream that had to begin again."""
    why = "a majority of its servers restarted, and it was in memory: it is empty now"
    servers = " ".join(assignment.peers)
    return {"stream": assignment.config.name, "servers": servers, "why": why}
