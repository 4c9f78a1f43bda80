"""Who has a bucket: what any client may ask a cluster about the servers behind a stream.

Each stream of a cluster is a group of its own, with a leader among its replicas. The leader
says who they are in the `cluster` part of STREAM.INFO, and hands over when it is told to.
So these questions are the same in every world, on a nats-server, too. While the network is cut,
servers may name different leaders, and no answer has a term in it that would tell which of them
is the later one; what most servers say is believed.

    await leader(cluster, "b")          "n2"
    await replicas(cluster, "b")        [n1 current, n2 leader, n3 3 behind]

Left out: what a client can't know: terms, votes and logs. A simulated cluster shows those.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from nats.aio.client import Client
from nats.errors import Error as NatsError

_ASK_SECONDS = 2.0


class Connectable(Protocol):
    """A cluster, as far as these questions go."""

    @property
    def urls(self) -> list[str]:
        """Where its servers listen."""

    async def connect(self, **options: Any) -> Client:
        """A client of it."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One server's part in a bucket, as the bucket's leader sees it."""

    server: str
    is_leader: bool = False
    is_current: bool = True
    lag: int = 0  # entries that it has yet to get
    is_offline: bool = False

    def __repr__(self) -> str:
        if self.is_leader:
            return f"{self.server} leader"
        if self.is_offline:
            return f"{self.server} offline"
        return f"{self.server} {'current' if self.is_current else f'{self.lag} behind'}"


async def leader(cluster: Connectable, bucket: str) -> str:
    """The name of the server that leads, as most servers say; empty when none is named most.

    Each is asked, since one that is cut off may name an old leader, or none.
    """
    answers = asyncio.gather(*(_named_by(cluster, url, bucket) for url in cluster.urls))
    named = Counter(name for name in await answers if name).most_common(2)
    is_tie = len(named) > 1 and named[0][1] == named[1][1]
    return "" if is_tie or not named else named[0][0]


async def _named_by(cluster: Connectable, url: str, bucket: str) -> str:
    """The leader as one server has it; empty when it says that nobody leads, or nothing."""
    try:
        async with _client(cluster, servers=[url], allow_reconnect=False) as client:
            return str((await _info(client, bucket)).get("leader") or "")
    except (NatsError, OSError, RuntimeError):
        return ""


async def replicas(cluster: Connectable, bucket: str) -> list[Replica]:
    """Each replica, in the order of the servers' names."""
    async with _client(cluster) as client:
        info = await _info(client, bucket)
    found = [
        Replica(
            server=each["name"],
            is_current=bool(each.get("current")),
            lag=int(each.get("lag", 0)),
            is_offline=bool(each.get("offline")),
        )
        for each in info.get("replicas") or ()
    ]
    if info.get("leader"):
        found.append(Replica(info["leader"], is_leader=True))
    return sorted(found, key=lambda each: each.server)


async def step_down(cluster: Connectable, bucket: str, to: str = "") -> None:
    """Asks the leader to hand over; RuntimeError with the server's words when it refuses."""
    body = json.dumps({"placement": {"preferred": to}}).encode() if to else b""
    async with _client(cluster) as client:
        await _ask(client, f"$JS.API.STREAM.LEADER.STEPDOWN.KV_{bucket}", body)


async def _info(client: Client, bucket: str) -> dict[str, Any]:
    answer = await _ask(client, f"$JS.API.STREAM.INFO.KV_{bucket}", b"")
    found: dict[str, Any] = answer.get("cluster") or {}
    return found


async def _ask(client: Client, subject: str, body: bytes) -> dict[str, Any]:
    message = await client.request(subject, body, timeout=_ASK_SECONDS)
    if not message.data:  # a status, and no words
        raise RuntimeError(f"nobody answers {subject}")
    answer: dict[str, Any] = json.loads(message.data)
    if "error" in answer:
        raise RuntimeError(answer["error"].get("description", "refused"))
    return answer


@asynccontextmanager
async def _client(cluster: Connectable, **options: Any) -> AsyncIterator[Client]:
    client = await cluster.connect(name="kvcore-lab", max_reconnect_attempts=1, **options)
    try:
        yield client
    finally:
        await client.close()
