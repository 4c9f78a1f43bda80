"""What a server says of itself under `$SYS.REQ`.

nats-server answers these to a system account alone; we answer them to any client, since
there is one account. Only what was measured is told: memory and processor time are the
driver's to know, so they are absent.

Left out: VARZ, CONNZ, JSZ and the other reports.
"""

from kvcore.jetstream.documents import write
from kvcore.jetstream.times import rfc3339
from kvcore.limits import Nanos
from kvcore.node.clients import Stats
from kvcore.node.config import NodeConfig

SERVER_PING = "$SYS.REQ.SERVER.PING"


def statsz(config: NodeConfig, stats: Stats, started: Nanos, now: Nanos) -> bytes:
    """The answer to `$SYS.REQ.SERVER.PING`: who the server is, since when, and its counters."""
    server = {
        "name": config.server_name,
        "host": config.host,
        "id": config.server_id,
        "ver": config.version,
        "jetstream": config.jetstream,
        "time": rfc3339(now),
    }
    return write(
        {
            "server": server,
            "statsz": {
                "start": rfc3339(started),
                "connections": stats.connections,
                "total_connections": stats.total_connections,
                "subscriptions": stats.subscriptions,
                "sent": {"msgs": stats.out_msgs, "bytes": stats.out_bytes},
                "received": {"msgs": stats.in_msgs, "bytes": stats.in_bytes},
                "slow_consumers": stats.slow_consumers,
            },
        }
    )
