"""The groups of several servers that this one is in, as monitoring shows them: `/raftz`.

A server on its own has none worth showing. In a cluster the meta group stands under `$SYS`,
as nats-server has it, and the streams' groups under the account, by their groups' names; the
name of the stream is beside it, since a group's name doesn't tell.

Left out: queues inside the server, and the log's bytes.
"""

from typing import Any

from kvcore.jetstream.cluster import META_GROUP, GroupSight, group_name
from kvcore.node.clients import ACCOUNT
from kvcore.node.groups import Group
from kvcore.node.questions import Question
from kvcore.node.sight import Document, Sight
from kvcore.raft.state import Role


def raftz(sight: Sight, _question: Question) -> Document:
    """Each group: what this server is in it, how far its log has come, and the others."""
    cluster = sight.hosts.cluster
    if cluster is None or sight.meta_group is None:
        return {}
    streams: dict[str, object] = {}
    for host in sorted(sight.hosts, key=lambda host: host.name):
        if len(host.assignment.peers) > 1:
            shown = _group(sight, host.group, cluster.sight(host.name))
            streams[group_name(host.assignment)] = {"stream": host.name, **shown}
    meta = {META_GROUP: _group(sight, sight.meta_group, cluster.meta_sight())}
    return {"$SYS": meta, **({ACCOUNT: streams} if streams else {})}


def _group(sight: Sight, group: Group[Any, Any], seen: GroupSight) -> dict[str, object]:
    state = group.raft.state
    return {
        "id": sight.config.server_name,
        "state": group.role.name if group.role in {Role.FOLLOWER, Role.LEADER} else "CANDIDATE",
        "size": len(seen.members),
        "quorum_needed": group.members.majority,
        "committed": group.raft.commit,
        "applied": group.applied,
        "leader": group.leader,
        "term": group.term,
        "voted_for": state.hard.voted_for,
        "pterm": state.log.term(state.last_index) if state.last_index else 0,
        "pindex": state.last_index,
        "peers": {
            each.name: {"name": each.name, "known": not each.is_offline, "lag": each.lag}
            for each in seen.followers
        },
    }
