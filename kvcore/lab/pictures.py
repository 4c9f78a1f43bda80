"""From a running cluster to a picture of it: cards of its servers, the log of a bucket.

A picture is only as honest as its source. The log of a bucket is read message by message
through the JetStream API, as any client could, so it is the same in every world, and a gap
in the numbers is drawn as what it is: a message that was there and is gone. The servers'
cards look inside the simulator, where looking disturbs nothing; of real servers they show
what can be known from outside: whether they run and, asked by `look`, who leads a bucket.

    show(server_cards(cluster))               # or server_cards(cluster, "config"), of its group
    show(log_strip(await bucket_log(js, "config"), title="config"))

Left out: why a message is gone. The stream does not remember that; the lesson that removed
it says so with `because`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from kvcore.lab.cluster import Cluster
from kvcore.lab.simulated import SimulatedCluster
from kvcore.limits import Nanos
from kvcore.node.node import Node
from kvcore.sim.errors import NotInThisWorld
from kvcore.sim.host import State
from kvcore.viz.figure import Picture
from kvcore.viz.logstrip import Entry, Operation
from kvcore.viz.nodecard import Node as Card
from kvcore.viz.nodecard import Role, node_cards
from kvcore.viz.replay import nodes_at, sides_of

_OPERATIONS: Mapping[str, Operation] = {"DEL": "delete", "PURGE": "purge"}
GONE = "cause not kept"  # the stream forgets it
_last_seen: dict[str, Card] = {}  # of servers that are down: what they were


def server_cards(cluster: Cluster, bucket: str = "") -> Picture:
    """A card for each server, of its part in the bucket's group if one is named.

    One that is down keeps what was last known of it.
    """
    if isinstance(cluster, SimulatedCluster):
        return node_cards(group_nodes(cluster, bucket), cut=cut_now(cluster))
    if not hasattr(cluster, "members"):
        raise NotInThisWorld("server_cards needs servers of ours: Cluster.sim() or processes().")
    return node_cards([_outside(each.name, each.status) for each in cluster.servers])


async def look(cluster: Cluster, bucket: str = "") -> Picture:
    """As `server_cards`; real servers are asked who leads the bucket and who is behind."""
    if isinstance(cluster, SimulatedCluster) or not bucket:
        return server_cards(cluster, bucket)
    try:
        known = {each.server: each for each in await cluster.replicas(bucket)}
    except (NatsError, OSError, RuntimeError, TimeoutError):
        known = {}  # nobody leads, or nobody answers
    cards = []
    for server in cluster.servers:
        card = _outside(server.name, server.status)
        found = known.get(server.name)
        if found is not None and not card.down and not found.is_offline:
            role: Role = "leader" if found.is_leader else "follower"
            card = replace(card, role=role, lag=found.lag)
        elif known and found is None:
            card = replace(card, role="no copy")
        cards.append(card)
    return node_cards(cards)


def _outside(name: str, status: str) -> Card:
    """What a status says."""
    down = status in ("crashed", "without power")
    doing = "" if status == "up" else "down" if status == "crashed" else status
    return Card(name, "unknown", 0, engine="?", down=down, doing=doing)


def group_nodes(
    cluster: SimulatedCluster, bucket: str = "", *, at: Nanos | None = None
) -> tuple[Card, ...]:
    """The servers as values, for `node_cards` and `server_ring`: from what runs, and the trace.

    `at` is a moment of the world's (`cluster.simulation.now`); without it, as they are.
    """
    world = cluster.simulation
    group = group_of(bucket)
    names = tuple(world.hosts)
    if len(names) == 1:
        return tuple(_card(f"{world.seed}/{name}", name, cluster) for name in names)
    told = nodes_at(world.records, group, at=world.now if at is None else at, servers=names)
    if at is not None:
        return told
    cards = []
    for card in told:
        state = world.hosts[card.name].state
        is_down, doing = state in (State.CRASHED, State.DARK), _doing(state)
        node = world.hosts[card.name].node
        part = node.groups.get(group) if isinstance(node, Node) else None
        seen = replace(card, down=is_down, doing=doing)
        if part is not None:
            leads: Role = "leader" if part.is_leader else card.role
            seen = replace(seen, term=part.term, engine=part.engine, role=leads)
        elif card.term == 0 and card.log_end == 0:
            seen = replace(seen, role="no copy", voted_for=None)
        cards.append(seen)
    return tuple(cards)


def cut_now(cluster: SimulatedCluster) -> tuple[tuple[str, ...], ...]:
    """The sides of the network as it is now; none if it is whole."""
    for record in reversed(cluster.simulation.records):
        if record.kind == "heal":
            return ()
        if record.kind == "partition":
            return sides_of(record)
    return ()


def group_of(bucket: str) -> str:
    """The name of a bucket's group in the trace; without a bucket, of that of all servers."""
    return f"KV_{bucket}" if bucket else "_meta_"


def _card(known_as: str, name: str, cluster: SimulatedCluster) -> Card:
    host = cluster.simulation.hosts[name]
    node, doing = host.node, _doing(host.state)
    if isinstance(node, Node):
        end, committed = node.log_end, node.committed
        role: Role = "leader" if node.is_leading else "candidate"
        card = Card(name, role, node.term, end, committed, "file", end - committed)
        _last_seen[known_as] = card
        return replace(card, doing=doing)
    last = _last_seen.get(known_as, Card(name))
    return Card(name, "follower", last.term, last.log_end, last.commit, down=True, doing=doing)


def _doing(state: State) -> str:
    """The word for a server that does nothing."""
    return "" if state is State.UP else "down" if state is State.CRASHED else state.value


async def bucket_log(
    js: JetStreamContext,
    bucket: str,
    *,
    text: bool = True,
    known: Iterable[Entry] = (),
    because: str = GONE,
) -> list[Entry]:
    """Every message of a bucket's stream, oldest first, with ghosts where one is gone.

    Values are decoded as UTF-8, undecodable bytes replaced; without `text` only their length
    is shown. NotFoundError if there is no such bucket. A ghost shows what an earlier look,
    given as `known`, saw in its place, and `because`, the reason that whoever removed the
    messages since can give.
    """
    seen = {each.revision: each for each in known}
    stream = f"KV_{bucket}"
    state = (await js.stream_info(stream)).state
    prefix = f"$KV.{bucket}."
    entries: list[Entry] = []
    for seq in range(1, state.last_seq + 1):
        try:
            message = await js.get_msg(stream, seq)
        except NotFoundError:
            ghost = replace(seen.get(seq, Entry(seq, "")), state="removed")
            entries.append(replace(ghost, reason=ghost.reason or because))
            continue
        headers = message.headers or {}
        operation = _OPERATIONS.get(headers.get("KV-Operation", ""), "put")
        data = message.data or b""
        value = data.decode("utf-8", "replace") if text else f"{len(data)} B"
        key = (message.subject or "").removeprefix(prefix)
        entries.append(Entry(seq, key, value, operation))
    return entries
