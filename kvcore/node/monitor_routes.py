"""The other servers of the cluster, as monitoring shows them: `/routez`, and what others say.

nats-server keeps several connections to each peer and lists each; here a peer has one link,
so there is one row for each. Messages and bytes are those of clients and of the servers' own
publications; what consensus says is not counted among them. A link has no number of its own:
`rid` is the place of the peer's name among all.

Left out: addresses and ports of links, which the driver knows, and round trips, which nobody
measures.
"""

from kvcore.jetstream.times import rfc3339
from kvcore.node.links import Link
from kvcore.node.questions import Question
from kvcore.node.sight import Document, Sight, uptime


def routez(sight: Sight, _question: Question) -> Document:
    """The servers that this one is linked to and knows."""
    rows = [
        {
            "rid": rid,
            "remote_id": hello.id,
            "remote_name": hello.name,
            "start": rfc3339(link.since),
            "uptime": uptime(sight.now - link.since),
            "pending_size": link.pending_bytes,
            "in_msgs": link.in_msgs,
            "out_msgs": link.out_msgs,
            "in_bytes": link.in_bytes,
            "out_bytes": link.out_bytes,
            "subscriptions": sight.peers.wanted_by(link.peer),
            "compression": "off",
        }
        for rid, link in _numbered(sight)
        if (hello := link.hello) is not None
    ]
    return {
        "server_id": sight.config.server_id,
        "server_name": sight.config.server_name,
        "now": rfc3339(sight.now),
        "num_routes": len(rows),
        "routes": rows,
    }


def of_server(sight: Sight) -> Document:
    """What `/varz` says of the cluster, and of where clients find its servers."""
    cluster = sight.config.cluster
    if cluster is None:
        return {"cluster": {}}
    urls = sight.peers.urls
    known = {"connect_urls": urls} if urls else {}
    return {"cluster": {"name": cluster.name}, **known}


def counters(sight: Sight) -> Document:
    """The routes as `statsz` counts them; nothing on a server without any."""
    rows = [
        {
            "rid": rid,
            "name": link.peer,
            "sent": {"msgs": link.out_msgs, "bytes": link.out_bytes},
            "received": {"msgs": link.in_msgs, "bytes": link.in_bytes},
            "pending": link.pending_bytes,
        }
        for rid, link in _numbered(sight)
    ]
    return {"routes": rows} if rows else {}


def _numbered(sight: Sight) -> list[tuple[int, Link]]:
    peers = sight.peers
    return [(rid, peers.links[name]) for rid, name in enumerate(peers.names, 1)]
