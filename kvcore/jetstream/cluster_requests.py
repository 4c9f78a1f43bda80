"""The API's verbs of a cluster: who leads, who holds what, who belongs to it.

    STREAM.LEADER.STEPDOWN.<stream>     to its leader: let another lead
    STREAM.PEER.REMOVE.<stream>         to the meta leader: take one server's replica away
    CONSUMER.LEADER.STEPDOWN.<s>.<c>    as the stream's: its leader leads the consumers too
    META.LEADER.STEPDOWN                to the meta leader, likewise
    SERVER.REMOVE                       a server leaves the cluster for good

nats-server hears the last two from its system account alone. Here there is one account, so
a user with permissions needs the right to publish to them.

Left out: EVACUATE, which moves a replica slowly where PEER.REMOVE is abrupt; here PEER.REMOVE
lets the new replica catch up before the old one goes. MOVE and CANCEL_MOVE.
"""

from collections.abc import Sequence

from kvcore.jetstream import errors
from kvcore.jetstream.answers import Action, ProposeMeta, RemoveServer, StepDown
from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.commands import AssignPeers
from kvcore.jetstream.documents import read_object
from kvcore.jetstream.errors import BAD_REQUEST, ConfigError, invalid_json, unplaced
from kvcore.jetstream.gojson import quoted
from kvcore.jetstream.placement import Place, UnplacedError, has_tags, in_cluster
from kvcore.jetstream.requests import Asked, Call, Context, Fields, is_empty, wrong_type

_PLACEMENT: dict[str, type] = {"cluster": str, "tags": list, "preferred": str}


def stream_step_down(context: Context, call: Call) -> Action | Fields:
    """STREAM.LEADER.STEPDOWN."""
    name = call.names[0]
    cluster = _cluster(context)
    context.stream(name)
    return _step_down(cluster, call, name)


def consumer_step_down(context: Context, call: Call) -> Action | Fields:
    """CONSUMER.LEADER.STEPDOWN."""
    name, consumer = call.names
    cluster = _cluster(context)
    context.stream(name)
    if context.catalog.consumers(name).get(consumer) is None:
        raise ConfigError(errors.CONSUMER_NOT_FOUND)
    return _step_down(cluster, call, name)


def meta_step_down(context: Context, call: Call) -> Action | Fields:
    """META.LEADER.STEPDOWN."""
    cluster = _cluster(context)
    target = _target(call.payload, cluster.places(), cluster.meta_leader())
    if len(cluster.places()) < 2:
        return {"success": True}
    return StepDown("", target, call.what, call.reply)


def remove_peer(context: Context, call: Call) -> Action:
    """STREAM.PEER.REMOVE."""
    name = call.names[0]
    cluster = _cluster(context)
    peer = Asked(_given(call.payload), peer="").text("peer")
    if not peer:
        raise ConfigError(BAD_REQUEST)
    assignment = cluster.streams().get(name)
    if assignment is None:
        raise ConfigError(errors.STREAM_NOT_FOUND)
    if peer not in assignment.peers:
        raise ConfigError(errors.PEER_NOT_MEMBER)
    try:
        peers = cluster.remapped(name, peer)
    except UnplacedError:
        raise ConfigError(errors.PEER_REMAP_FAILED) from None
    return ProposeMeta(AssignPeers(name, assignment.gid, peers, call.reply, call.now))


def remove_server(context: Context, call: Call) -> Action:
    """SERVER.REMOVE; the server may be named as a peer or as a peer's id, which are one."""
    cluster = _cluster(context)
    asked = Asked(_given(call.payload), peer="", peer_id="")
    server = asked.text("peer_id") or asked.text("peer")
    if server not in [place.name for place in cluster.places()]:
        raise ConfigError(errors.SERVER_NOT_MEMBER)
    return RemoveServer(server, call.what, call.reply)


def _cluster(context: Context) -> ClusterView:
    cluster = context.catalog.cluster
    if cluster is None:
        raise ConfigError(errors.CLUSTER_REQUIRED)
    return cluster


def _given(payload: bytes) -> bytes:
    if is_empty(payload):
        raise ConfigError(BAD_REQUEST)
    return payload


def _step_down(cluster: ClusterView, call: Call, stream: str) -> Action | Fields:
    sight = cluster.sight(stream)
    if len(sight.members) < 2:
        return {"success": True}
    members = [place for place in cluster.places() if place.name in sight.members]
    return StepDown(stream, _target(call.payload, members, sight.leader), call.what, call.reply)


def _target(payload: bytes, members: Sequence[Place], leader: str) -> str:
    """Who shall lead next, "" if the caller doesn't mind; what isn't JSON asks for nothing."""
    if payload.lstrip()[:1] not in (b"{", b"["):
        return ""
    placement = _placement(payload)
    preferred = str(placement.get("preferred") or "")
    if preferred == leader != "":
        raise ConfigError(
            unplaced(f"preferred server {quoted(preferred, html=False)} is already leader")
        )
    if preferred:
        if preferred not in [place.name for place in members]:
            raise ConfigError(
                unplaced(f"preferred server {quoted(preferred, html=False)} not known")
            )
        return preferred
    if not any(placement.values()):
        return ""
    fitting = [
        place.name
        for place in members
        if place.name != leader
        and place.is_online
        and in_cluster(placement, place)
        and has_tags(placement, place)
    ]
    if not fitting:
        raise ConfigError(unplaced("no replacement peer connected"))
    return fitting[0]


def _placement(payload: bytes) -> dict[str, object]:
    document = read_object(payload)
    for name in document:
        if name != "placement":
            raise ConfigError(invalid_json(f"json: unknown field {quoted(name)}"))
    placement = document.get("placement") or {}
    if not isinstance(placement, dict):
        raise wrong_type("placement", placement)
    for name, value in placement.items():
        if name not in _PLACEMENT:
            raise ConfigError(invalid_json(f"json: unknown field {quoted(name)}"))
        if value is not None and not isinstance(value, _PLACEMENT[name]):
            raise wrong_type(name, value)
    return placement
