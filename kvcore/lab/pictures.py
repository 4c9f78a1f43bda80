"""From a running cluster to a picture of it: cards of its servers, the log of a bucket.

A picture is only as honest as its source. The log of a bucket is read message by message
through the JetStream API, as any client could, so it is the same in every world, and a gap
in the numbers is drawn as what it is: a message that was there and is gone. The servers'
cards look inside the simulator, where looking disturbs nothing.

    show(server_cards(cluster))
    show(log_strip(await bucket_log(js, "config"), title="config"))

Left out: why a message is gone. The stream does not remember that; the lesson that removed
it says so with `because`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from kvcore.lab.cluster import Cluster
from kvcore.lab.simulated import SimulatedCluster
from kvcore.node.node import Node
from kvcore.sim.errors import NotInThisWorld
from kvcore.viz.figure import Picture
from kvcore.viz.logstrip import Entry, Operation
from kvcore.viz.nodecard import Node as Card
from kvcore.viz.nodecard import Role, node_cards

_OPERATIONS: Mapping[str, Operation] = {"DEL": "delete", "PURGE": "purge"}
GONE = "cause not kept"  # the stream forgets it
_last_seen: dict[str, Card] = {}  # of servers that are down: what they were


def server_cards(cluster: Cluster) -> Picture:
    """A card for each simulated server; one that is down keeps what was last known of it."""
    if not isinstance(cluster, SimulatedCluster):
        raise NotInThisWorld("server_cards looks inside servers, which Cluster.sim() allows.")
    world = cluster.simulation
    return node_cards([_card(f"{world.seed}/{name}", name, cluster) for name in world.hosts])


def _card(known_as: str, name: str, cluster: SimulatedCluster) -> Card:
    node = cluster.simulation.hosts[name].node
    if isinstance(node, Node):
        end, committed = node.log_end, node.committed
        role: Role = "leader" if node.is_leading else "candidate"
        card = Card(name, role, node.term, end, committed, "file", end - committed)
        _last_seen[known_as] = card
        return card
    last = _last_seen.get(known_as, Card(name))
    return Card(name, "follower", last.term, last.log_end, last.commit, down=True)


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
