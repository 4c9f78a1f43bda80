"""The cluster as one server sees it: an answer to the API's questions (`cluster.ClusterView`).

Nothing is kept here but what servers that are away were like when they were last seen. Who
belongs to the cluster, and which streams there are, the meta group's log says; who is online,
the links; who leads a stream, the interest in its verbs, for leadership is a subscription.
A server that holds a replica knows better still, if it shall: its group may have lost its
leader while the one that was still looks subscribed.

Left out: what a server can't know. A peer that has fallen silent is online until its link is
given up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kvcore.jetstream.cluster import Follower, GroupSight
from kvcore.jetstream.outcome import StreamAssignment
from kvcore.jetstream.placement import Place
from kvcore.jetstream.planner import Planner
from kvcore.limits import Nanos
from kvcore.node.broker import Broker
from kvcore.node.config import NodeConfig
from kvcore.node.groups import Group
from kvcore.node.hosts import Hosts
from kvcore.node.meta_group import MetaGroup, MetaReplica
from kvcore.node.peers import Peers
from kvcore.node.wakeups import Clock
from kvcore.raft.state import Role

_LED = "$JS.API.STREAM.INFO."  # a stream's leader listens here, under its literal name


class View:
    """See the module's text."""

    def __init__(
        self, config: NodeConfig, clock: Clock, broker: Broker, peers: Peers, hosts: Hosts
    ) -> None:
        assert config.cluster is not None, "a server on its own sees nobody"
        self.name = config.cluster.name
        self.own = config.server_name
        self.planner = Planner(self.places, self.leader_of, self.own)
        self._config = config
        self._clock = clock
        self._broker = broker
        self._peers = peers
        self._hosts = hosts
        self._tags: dict[str, tuple[str, ...]] = {}  # of servers, as they were seen last
        self.replica: MetaReplica | None = None  # which is made with the planner

    @property
    def _group(self) -> MetaGroup:
        assert self.replica is not None, "nobody asks before the groups are there"
        return self.replica.group

    # -- servers ---------------------------------------------------------------------------

    def places(self) -> Sequence[Place]:
        """The members of the meta group."""
        members = self._group.members
        return [self._place(name) for name in sorted((*members.voters, *members.learners))]

    def _place(self, name: str) -> Place:
        if name == self.own:
            return Place(name, self.name, self._config.tags)
        hello = self._peers.hello(name)
        if hello is not None:
            self._tags[name] = hello.tags
        is_online = hello is not None and hello.jetstream and not hello.is_lame_duck
        return Place(name, self.name, self._tags.get(name, ()), is_online)

    def meta_leader(self) -> str:
        """Who leads the meta group, as far as this server knows."""
        return self._group.leader

    def meta_sight(self) -> GroupSight:
        """The meta group."""
        return self.sight_of(self._group, 0)

    # -- streams ---------------------------------------------------------------------------

    def streams(self) -> Mapping[str, StreamAssignment]:
        """All streams that the meta group knows, as far as its log has come here."""
        return {} if self.replica is None else self.replica.machine.streams

    def holds(self, stream: str) -> bool:
        """Whether a replica of it is on this server."""
        return self._hosts.get(stream) is not None

    def leader_of(self, stream: str) -> str:
        """Who serves it, "" if nobody is known to."""
        host = self._hosts.get(stream)
        if host is not None and host.is_leading:
            return self.own
        elsewhere = self._broker.router.elsewhere
        found = [] if elsewhere is None else elsewhere.servers(_LED + stream)
        if host is None or not self._is_wanted(stream):
            return found[0] if found else ""
        return host.group.leader if host.group.leader in found else ""

    def _is_wanted(self, stream: str) -> bool:
        """Whether this server shall hold a replica of it. One that shall not any more hears
        nothing of its group from some moment on, and may stay for a while."""
        assignment = self.streams().get(stream)
        return assignment is None or not assignment.peers or self.own in assignment.peers

    def sight(self, stream: str) -> GroupSight:
        """The group of a stream that has a replica on this server."""
        host = self._hosts[stream]
        return self.sight_of(host.group, host.leading_since)

    def remapped(self, stream: str, without: str) -> tuple[str, ...]:
        """Servers for a stream when one of its own is gone; raises `UnplacedError`."""
        assignment = self.streams()[stream]
        return self.planner.peers(
            assignment.config,
            self.streams(),
            now_at=assignment.peers,
            leader=self.leader_of(stream),
            without=(without,),
        )

    # -- groups ----------------------------------------------------------------------------

    def sight_of(self, group: Group[Any, Any], since: Nanos) -> GroupSight:
        """A group of this server, with all that its leader knows, or what a follower does."""
        members, raft = group.members, group.raft
        names = (*members.voters, *members.learners)
        if raft.role is Role.LEADER:
            followers = [
                Follower(
                    each.name,
                    is_current=raft.is_caught_up(each.name),
                    active=self._since(raft.heard(each.name)),
                    lag=max(raft.last_index - each.match, 0),
                    is_offline=self._is_away(each.name),
                )
                for each in raft.followers
            ]
        else:
            followers = [
                Follower(
                    name,
                    is_current=name == self.own and bool(group.leader),
                    active=0,
                    is_offline=self._is_away(name),
                )
                for name in names
                if name != group.leader
            ]
        followers.sort(key=lambda each: each.name)
        return GroupSight(names, group.leader, since, tuple(followers))

    def _since(self, heard: Nanos | None) -> Nanos:
        return 0 if heard is None else max(self._clock.now - heard, 1)

    def _is_away(self, name: str) -> bool:
        return name != self.own and self._peers.hello(name) is None
