"""What the API sees of the servers around it, and how it shows them.

On a cluster an answer about a stream has a `cluster` object: who leads, who follows, and how
far behind. A client's tools read it to say whether a bucket is safe. A stream in one copy
has no group worth showing, so only its leader is named.

The API asks a `ClusterView`, which the node implements on its groups and links, and a test
on a few values. A server on its own has none.

Left out: `desired`, what nats-server tells of a change of replicas under way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kvcore.jetstream.outcome import StreamAssignment
from kvcore.jetstream.placement import Place
from kvcore.jetstream.times import rfc3339
from kvcore.limits import Nanos

META_GROUP = "_meta_"
_NAME_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Follower:
    """A member of a group as its leader sees it. `active` is the time since it was last
    heard, 0 for never; `lag` counts the entries that it has yet to confirm."""

    name: str
    is_current: bool
    active: Nanos
    lag: int = 0
    is_offline: bool = False


@dataclass(frozen=True, slots=True)
class GroupSight:
    """A group as this server sees it; `leader` is "" while it knows of none, `since` is 0
    where it isn't the leader, for only the leader knows."""

    members: tuple[str, ...]
    leader: str
    since: Nanos = 0
    followers: tuple[Follower, ...] = ()


class ClusterView(Protocol):
    """The cluster as this server sees it just now."""

    @property
    def name(self) -> str:
        """What the cluster is called."""

    def places(self) -> Sequence[Place]:
        """The members of the meta group, this server included."""

    def meta_leader(self) -> str:
        """Who leads the meta group, "" if this server knows of nobody."""

    def meta_sight(self) -> GroupSight:
        """The meta group."""

    def streams(self) -> Mapping[str, StreamAssignment]:
        """All streams there are, wherever they may be."""

    def holds(self, stream: str) -> bool:
        """Whether a replica of it is on this server."""

    def leader_of(self, stream: str) -> str:
        """Who serves it, "" if nobody is known to."""

    def sight(self, stream: str) -> GroupSight:
        """The group of a stream that has a replica on this server."""

    def remapped(self, stream: str, without: str) -> tuple[str, ...]:
        """Servers for a stream when one of its own is gone; raises `UnplacedError`."""


def block(cluster: str, assignment: StreamAssignment, sight: GroupSight) -> dict[str, object]:
    """The `cluster` object of a stream's answers."""
    if len(assignment.peers) < 2 and len(sight.members) < 2:
        leader = {"leader": sight.leader} if sight.leader else {}
        return {"name": cluster, **leader}
    leader = {"leader": sight.leader} if sight.leader else {}
    since = {"leader_since": rfc3339(sight.since)} if sight.leader and sight.since else {}
    out: dict[str, object] = {
        "name": cluster,
        "raft_group": group_name(assignment),
        **leader,
        **since,
        "system_account": True,
        "traffic_account": "$SYS",
    }
    if sight.followers:
        out["replicas"] = [follower(each) for each in sight.followers]
    return out


def meta_block(cluster: str, own: str, sight: GroupSight) -> dict[str, object]:
    """The `meta_cluster` object of a server's report."""
    size = len(sight.members)
    out: dict[str, object] = {
        "name": cluster,
        **({"leader": sight.leader} if sight.leader else {}),
        "peer": own,
    }
    if sight.followers:
        out["replicas"] = [follower(each) for each in sight.followers]
    return {**out, "cluster_size": size, "quorum_needed": size // 2 + 1, "pending": 0}


def follower(seen: Follower) -> dict[str, object]:
    """One of `replicas`. The servers' names are unique, so they serve as ids as well."""
    out: dict[str, object] = {"name": seen.name, "current": seen.is_current}
    if seen.is_offline:
        out["offline"] = True
    out["active"] = seen.active
    if seen.lag:
        out["lag"] = seen.lag
    return {**out, "peer": seen.name}


def group_name(assignment: StreamAssignment) -> str:
    """A group's name, made as nats-server makes it: replicas, storage, and what tells it
    from others."""
    config = assignment.config
    storage = "F" if config.storage == "file" else "M"
    return f"S-R{config.num_replicas}{storage}-{assignment.gid:0{_NAME_DIGITS}d}"
