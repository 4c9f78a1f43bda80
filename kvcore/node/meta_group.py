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
from typing import TypeAlias, assert_never

from kvcore.jetstream.advisories import stream_action
from kvcore.jetstream.commands import MetaCommand, UpdateConfig, decode_meta, encode
from kvcore.jetstream.meta import Meta
from kvcore.jetstream.outcome import (
    MetaOutcome,
    Refused,
    RestoreBegun,
    RestoreRefused,
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
from kvcore.storage import keys

MetaGroup: TypeAlias = Group[MetaCommand, MetaOutcome]


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
        members = config.cluster.members if config.cluster is not None else ()
        durable = wiring.records
        state = found(keys.META_GID, config.server_name, durable, durable, members)
        self.machine = make()
        self.group: MetaGroup = Group(
            keys.META_GID, FILE, self.machine, encode, decode_meta, state, wiring
        )
        self.group.on_installed = self._installed
        self._make = make
        self.is_leading = False
        self._around = around
        self._streams = streams
        self._restores = restores
        self._subscriptions: list[InternalSubscription] = []

    # -- leading ---------------------------------------------------------------------------

    def lead(self) -> None:
        """Serve the API."""
        self.is_leading = True
        around = self._around
        subscribe = around.broker.subscribe
        self._subscriptions = [
            subscribe(subject, around.on_request) for subject in around.api.subscriptions()
        ]
        around.tell("meta-leader", term=self.group.term)

    def step_down(self) -> None:
        """Serve it no more; who waits for an answer gets none from here."""
        self.is_leading = False
        for subscription in self._subscriptions:
            self._around.broker.unsubscribe(subscription)
        self._subscriptions = []

    def poll(self) -> None:
        """Nothing is due here by time alone."""

    def deadline(self) -> Nanos | None:
        """Likewise."""
        return None

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
        self.machine = self.group.machine = self._make()
        self._streams.recover(self.machine.streams.values())

    def follow(self) -> None:
        """Carry out what was decided; whatever was decided before this process began is
        nobody's question any more."""
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
                host = self._streams.assign(assignment)
                if host is None:
                    return
                if not host.is_settled:
                    host.unanswered.append(outcome)
                    return
                if isinstance(outcome.result, StreamUpdated):
                    config = assignment.config.encode()
                    host.propose(UpdateConfig(config, outcome.reply, self._around.clock.now))
                elif not outcome.result.existed:
                    self._around.advisor.tell(stream_action(host.name, "create"))
            case StreamDeleted(assignment):
                self._streams.end(assignment)
            case RestoreBegun(assignment):
                self._restores.begin(assignment, outcome.reply)
                return
            case RestoreRefused(gid):
                self._restores.drop(gid)
            case StreamMoved() | Refused():
                pass
            case _:
                assert_never(outcome.result)
        self._respond(outcome)

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
