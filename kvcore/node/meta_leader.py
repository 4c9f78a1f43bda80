"""What the meta group's leader does besides deciding: it keeps the cluster's house.

While it leads it looks, whenever something has happened, and now and then anyway:

    a fresh server is linked                  → it becomes a member of the meta group
    a server shall leave (SERVER.REMOVE)      → its replicas are given to others, then it goes
    a stream has no place noted               → it was made before there was a cluster: it is
                                                noted where it is
    a stream in memory, of which a majority
    of servers has forgotten everything       → it begins again, empty, in a new group
    a stream was assigned, and in time nobody
    leads it                                  → whoever asked for it is told (10008)

Everything that changes the cluster is a command in the log, or a change of the group's members;
what is remembered here can be lost with the leadership, and is found again by looking.

Left out: moving streams to where there is more room; a place is chosen once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kvcore import limits
from kvcore.jetstream.answers import Answer, RemoveServer
from kvcore.jetstream.api import Api
from kvcore.jetstream.commands import AssignPeers, MetaCommand
from kvcore.jetstream.errors import SYSTEM_UNAVAILABLE
from kvcore.jetstream.outcome import MetaOutcome
from kvcore.jetstream.placement import UnplacedError
from kvcore.limits import Nanos
from kvcore.node.cluster_view import View
from kvcore.node.meta_group import MetaGroup
from kvcore.node.peers import Peers
from kvcore.node.wakeups import Clock


@dataclass(frozen=True, slots=True)
class _Unserved:
    """Somebody asked for a stream, and shall hear of it at `until` at the latest."""

    stream: str
    reply: str
    what: str
    until: Nanos


class Housekeeper:
    """The leader's duties; it is asked to `work` at the end of each turn."""

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        view: View,
        peers: Peers,
        clock: Clock,
        api: Api,
        propose: Callable[[MetaCommand], None],
        send: Callable[[Answer], None],
    ) -> None:
        self._view = view
        self._peers = peers
        self._clock = clock
        self._api = api
        self._propose = propose
        self._send = send
        self._unserved: list[_Unserved] = []
        self._leaving: dict[str, RemoveServer] = {}
        self._proposed: dict[str, Nanos] = {}  # streams whose places are being changed

    def lead(self) -> None:
        """This server keeps house from now on."""
        self._proposed.clear()

    def step_down(self) -> None:
        """Another does; who waits is answered by nobody, for this server can't know."""
        self._unserved.clear()
        self._leaving.clear()
        self._view.planner.clear()

    # -- those who wait --------------------------------------------------------------------

    def assigned(self, stream: str, outcome: MetaOutcome) -> None:
        """A stream was assigned or changed: its leader answers, if there is one in time."""
        if outcome.reply and not self._view.leader_of(stream):
            until = self._clock.now + limits.UNSERVED_WAIT_NS
            what = self._api.kind_of(outcome)
            self._unserved.append(_Unserved(stream, outcome.reply, what, until))

    def deadline(self) -> Nanos | None:
        """When the first of them has waited long enough."""
        return self._unserved[0].until if self._unserved else None

    def _tell_unserved(self) -> None:
        leader_of, now = self._view.leader_of, self._clock.now
        self._unserved = [each for each in self._unserved if not leader_of(each.stream)]
        while self._unserved and self._unserved[0].until <= now:
            late = self._unserved.pop(0)
            refusal = self._api.refused(late.what, SYSTEM_UNAVAILABLE)
            self._send(Answer(late.reply, refusal))

    # -- the house -------------------------------------------------------------------------

    def remove(self, asked: RemoveServer) -> None:
        """A server shall leave."""
        self._leaving[asked.server] = asked

    def wanted(self, group: MetaGroup) -> tuple[str, ...]:
        """Who shall be in the meta group: its members, and fresh servers that are linked."""
        members = (*group.members.voters, *group.members.learners)
        stay = [name for name in members if name not in self._leaving]
        for name in self._peers.names:
            hello = self._peers.hello(name)
            if hello is not None and hello.is_fresh and hello.jetstream and name not in members:
                stay.append(name)
        return tuple(sorted(stay))

    def work(self, group: MetaGroup) -> None:
        """Do what is to be done now."""
        self._tell_unserved()
        for server in list(self._leaving):
            self._see_off(server, group)
        self._note_places()

    def _see_off(self, server: str, group: MetaGroup) -> None:
        """Give a leaving server's replicas to others; say so when it is out of the group."""
        asked = self._leaving[server]
        for name, assignment in self._view.streams().items():
            if server not in assignment.peers:
                continue
            try:
                peers = self._view.remapped(name, server)
            except UnplacedError:
                peers = tuple(each for each in assignment.peers if each != server)
            if peers:
                self._assign(name, assignment.gid, peers)
        if server not in (*group.members.voters, *group.members.learners):
            del self._leaving[server]
            if asked.reply:
                self._send(Answer(asked.reply, self._api.stepped_down(asked.what)))

    def _note_places(self) -> None:
        for name, assignment in self._view.streams().items():
            if not assignment.peers and self._view.holds(name):
                self._assign(name, assignment.gid, (self._view.own,))

    def forgotten(self, name: str, gid: int) -> bool:
        """A majority of a memory stream's servers have forgotten it: let it begin anew. Whether
        that was proposed now."""
        assignment = self._view.streams().get(name)
        if assignment is None or assignment.gid != gid:
            return False
        return self._assign(name, gid, assignment.peers, anew=True)

    def _assign(self, name: str, gid: int, peers: tuple[str, ...], *, anew: bool = False) -> bool:
        """Propose other places, once in a while until it has happened; whether it did now."""
        now = self._clock.now
        if now < self._proposed.get(name, 0):
            return False
        self._proposed[name] = now + limits.UNSERVED_WAIT_NS
        self._propose(AssignPeers(name, gid, peers, "", now, anew))
        return True
