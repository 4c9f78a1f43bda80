"""What a server does because there are others: it meets them, asks them, and minds its share.

Links carry bytes (`peers.py`) and groups agree on logs (`replicas.py`). Here is the rest: who
founds the cluster, who answers which request, what every server is asked for, how a group
comes by the members that it should have. A server on its own has none of this.

A replica that is wanted no more stays until it is told to go, since its group may need it for
the very change that removes it. Whoever has such a replica asks those who should know, now
and then; the leader answers when the change is committed:

    → {"leaving": gid}
    ← {"left": gid}

Left out: each of the parts; they have files of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from kvcore import limits
from kvcore.jetstream import advisories
from kvcore.jetstream.answers import Action, Answer, Gather, RemoveServer, StepDown
from kvcore.jetstream.api import Api
from kvcore.jetstream.outcome import MetaOutcome
from kvcore.limits import Nanos
from kvcore.nats.json_text import Json
from kvcore.node import founding, membership
from kvcore.node.cluster_view import View
from kvcore.node.fetching import Fetching
from kvcore.node.forgetting import Forgetting
from kvcore.node.founding import Found, Join, Propose
from kvcore.node.gathering import Gathering
from kvcore.node.groups import AnyGroup, NotLeader
from kvcore.node.guards import Guards
from kvcore.node.held import Held
from kvcore.node.hosting import Host, Surroundings
from kvcore.node.hosts import Hosts
from kvcore.node.membership import Change, HandOver
from kvcore.node.meta_group import MetaReplica
from kvcore.node.meta_leader import Housekeeper
from kvcore.node.peers import Peers
from kvcore.node.streams import Streams
from kvcore.raft.entry import CodecError
from kvcore.raft.state import ChangeUnderWay


class Cluster:
    """One server's dealings with the others; made when its groups are found again."""

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        view: View,
        peers: Peers,
        hosts: Hosts,
        around: Surroundings,
        meta: MetaReplica,
        streams: Streams,
        act: Callable[[list[Action]], None],
        rng: Random,
        fetching: Fetching,
    ) -> None:
        self.view = view
        self._peers = peers
        self._hosts = hosts
        self._around = around
        self._meta = meta
        self._streams = streams
        self._fetching = fetching
        clock, broker, advisor, api = around.clock, around.broker, around.advisor, around.api
        own = Api(api.identity, Held(hosts, view), rng)
        self._guards = Guards(broker, clock, advisor, api, own, view, around.on_request, act)
        self._gathering = Gathering(peers, clock, api, self._send)
        self._keeper = Housekeeper(view, peers, clock, api, meta.propose, self._send)
        self._forgetting = Forgetting(view, peers, hosts, clock, self._begin_anew)
        self._asked_at: dict[Host, Nanos] = {}  # replicas that should go, and when they asked
        meta.office = self
        peers.on_note = self._on_note
        self._introduce()
        self._meet()

    def _send(self, answer: Answer) -> None:
        self._around.advisor.answer(answer.to, answer.payload, answer.header)

    # -- meeting ---------------------------------------------------------------------------

    def on_hello(self, _peer: str) -> None:
        """Somebody introduced himself: there may be a cluster to found, or one to grow."""
        self._around.touch(self._meta)
        self._meet()

    def _meet(self) -> None:
        for _ in range(2):  # a proposal may be all that was missing
            me = self._peers.me
            hellos = [hello for name in self._peers.names if (hello := self._peers.hello(name))]
            match founding.next_step(me, hellos):
                case Propose(founders):
                    self._peers.introduce(founding.proposing(me, founders))
                case Found(founders):
                    self._meta.begin(founders)
                    self._introduce()
                    return
                case Join():
                    self._meta.join()
                    return
                case None:
                    return

    def on_gone(self, peer: str) -> None:
        """A link is gone."""
        self._gathering.on_gone(peer)
        self._forgetting.on_gone(peer)
        self._fetching.on_gone(peer)
        self._around.touch(self._meta)

    def _introduce(self) -> None:
        """Say of this server what is true now."""
        group, me = self._meta.group, self._peers.me
        if group.last_index == 0:
            return
        is_new = group.raft.commit <= 1
        founders = group.members.voters if is_new else ()
        if me.is_fresh or me.founders != founders:
            self._peers.introduce(founding.settled(me, founders))

    def _on_note(self, peer: str, gid: int, fields: Mapping[str, Json], data: bytes) -> None:
        if self._gathering.on_note(peer, fields) or self._forgetting.on_note(peer, gid, fields):
            return
        if self._fetching.on_note(peer, gid, fields, data):
            return
        if "leaving" in fields:
            self._let_go(peer, gid)
        elif "left" in fields:
            self._leave(gid)
        else:
            raise CodecError("a note about nothing")

    # -- the meta group --------------------------------------------------------------------

    def lead(self) -> None:
        """This server leads the meta group."""
        self._guards.lead()
        self._keeper.lead()
        self._forgetting.clear()

    def step_down(self) -> None:
        """Another does, or nobody."""
        self._guards.step_down()
        self._keeper.step_down()
        self._forgetting.clear()

    def poll(self) -> None:
        """While leading the meta group, whenever something has happened in it."""
        self._keeper.work(self._meta.group)
        self.tend(self._meta.group, self._keeper.wanted(self._meta.group))

    def deadline_of_leader(self) -> Nanos | None:
        """When `poll` wants to be called at the latest."""
        return self._keeper.deadline()

    def assigned(self, stream: str, outcome: MetaOutcome) -> None:
        """A stream was assigned or changed: see that whoever asked hears of it."""
        self._keeper.assigned(stream, outcome)

    def _begin_anew(self, stream: str, gid: int) -> None:
        """A majority of a stream's servers have forgotten it; all who listen shall know."""
        assignment = self.view.streams()[stream]
        if self._keeper.forgotten(stream, gid):
            self._around.advisor.tell(advisories.quorum_lost(stream, assignment.peers))
            self._around.touch(self._meta)

    # -- what time demands -----------------------------------------------------------------

    def work(self) -> None:
        """At the end of a turn."""
        self._introduce()
        self._guards.work()
        self._gathering.work()
        self._forgetting.work()
        now = self._around.clock.now
        for host, at in list(self._asked_at.items()):
            if not self._hosts.has(host) or self.view.own in host.assignment.peers:
                del self._asked_at[host]
            elif at <= now:
                self._ask_to_go(host)

    def deadline(self) -> Nanos | None:
        """When there is something to do next."""
        times = [part.deadline() for part in (self._guards, self._gathering, self._forgetting)]
        times += self._asked_at.values()
        return min((at for at in times if at is not None), default=None)

    # -- what the API asks -----------------------------------------------------------------

    def act(self, action: StepDown | RemoveServer | Gather) -> None:
        """Carry out what concerns other servers."""
        match action:
            case Gather():
                self._gathering.begin(action)
            case RemoveServer():
                self._keeper.remove(action)
                self._around.touch(self._meta)
            case StepDown(stream, to, what, reply):
                host = self._hosts.get(stream)
                if self._hand_over(host.group if host is not None else self._meta.group, to):
                    self._send(Answer(reply, self._around.api.stepped_down(what)))
                self._around.touch(host if host is not None else self._meta)

    def _hand_over(self, group: AnyGroup, to: str) -> bool:
        """Let another voter lead: the named one, else the first that has everything."""
        own, raft = self.view.own, group.raft
        if not group.is_leader:
            return False
        others = [name for name in group.members.voters if name != own]
        fresh = [name for name in others if raft.is_caught_up(name) and name in self._peers.names]
        chosen = to or next(iter(fresh or others), "")
        if chosen:
            group.transfer(chosen)
        return True

    # -- members ---------------------------------------------------------------------------

    def tend(self, group: AnyGroup, wanted: Sequence[str]) -> None:
        """Take the next step towards the members that are wanted."""
        members = group.members
        if not wanted or (not members.learners and sorted(members.voters) == sorted(wanted)):
            return
        if not group.is_serving:
            return
        own = self.view.own
        match membership.next_step(members, wanted, own, group.raft.is_caught_up):
            case Change(after):
                try:
                    group.change(after)
                except (ChangeUnderWay, NotLeader):
                    return
            case HandOver(to):
                group.transfer(to)
            case None:
                return

    def tend_host(self, host: Host) -> None:
        """The same for a stream, whose assignment says who is wanted."""
        self.tend(host.group, host.assignment.peers)

    def moved(self, host: Host) -> None:
        """A stream has other peers than before: this server may be wanted no more."""
        self._around.touch(host)
        if host.assignment.peers and self.view.own not in host.assignment.peers:
            self._asked_at.setdefault(host, self._around.clock.now + limits.LEAVING_ASK_NS)

    def _ask_to_go(self, host: Host) -> None:
        """Ask those who should know whether the group can do without this replica."""
        self._asked_at[host] = self._around.clock.now + limits.LEAVING_ASK_NS
        for peer in host.assignment.peers:
            self._peers.note(peer, host.group.gid, {"leaving": True})

    def _let_go(self, peer: str, gid: int) -> None:
        host = next((host for host in self._hosts if host.group.gid == gid), None)
        if host is None or not host.is_leading or host.group.is_changing:
            return
        members = host.group.members
        if peer not in (*members.voters, *members.learners):
            self._peers.note(peer, gid, {"left": True})

    def _leave(self, gid: int) -> None:
        host = next((host for host in self._asked_at if host.group.gid == gid), None)
        if host is not None and self.view.own not in host.assignment.peers:
            del self._asked_at[host]
            self._streams.leave(host)
