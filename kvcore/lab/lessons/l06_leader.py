"""The check of 06d: the learner's `leader_of` beside what the simulator knows.

The servers have names that nobody could guess, and their order is drawn. The same client asks
again after the leader has handed over, after it has crashed, and when nobody can lead.

Left out: who leads the cluster as a whole; the answer is about one bucket.
"""

import asyncio
from collections.abc import Iterable
from random import Random
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.simulated import SimulatedCluster
from kvcore.lab.trial import answer, in_world

NAMES = ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine")
SERVERS_COUNT = 5
_SETTLE_SECONDS = 0.05
_WAIT_SECONDS = 5.0


@exercise(
    "06d",
    names=("leader_of",),
    seeds=2,
    hints=(
        (
            "A bucket is a stream. The warm-up named a question about a stream: what does its "
            "answer say beside the messages?"
        ),
        (
            "STREAM.INFO of KV_<bucket> has a part named `cluster`, and there a `leader`. Ask "
            "each time anew. Without a leader the answer is an error, and that is None for you."
        ),
        (
            "reply = json.loads((await nc.request('$JS.API.STREAM.INFO.KV_' + bucket, timeout=2))"
            ".data); return reply.get('cluster', {}).get('leader') or None; and on "
            "nats.errors.Error return None."
        ),
    ),
    wrong={
        "hard": "No server has that name here. Who could tell you the names of this cluster?",
        "mine": "That is the server your client is connected to. It passes your requests on; "
        "does it lead this bucket?",
        "replica": "That server has a copy, and follows. Which field names the one that it "
        "follows?",
        "cached": "It was right before. The leader has changed since, and nobody told your "
        "variable: when do you ask?",
        "nobody": "With no majority nobody leads, and the answer to your question is an error. "
        "What does your caller get?",
        "somebody": "Somebody leads, and your answer names nobody. `nc` is connected to the "
        "check's own cluster, and the bucket is there: whom do you ask?",
        "dead": "A majority is gone, and you name a leader. Where did you get the name from, if "
        "nobody could answer?",
    },
    compare="One asks the API by its subject and reads JSON, the other lets nats-py do it. Both "
    "ask each time: a leader's name is true for as long as nothing happens.",
)
def check_06d(leader_of: Any, seeds: Iterable[int]) -> Verdict:
    """A fresh world of each seed: before and after two changes of leader, and without one."""
    for seed in seeds:
        names = Random(f"{seed}/names").sample(NAMES, SERVERS_COUNT)
        verdict = in_world(_asked, leader_of, seed=seed, servers=SERVERS_COUNT, names=names)
        if verdict is not None:
            return verdict
    return passed("worlds of other names: asked, handed over, crashed, without a majority")


async def _asked(cluster: Cluster, leader_of: Any, seed: int) -> Verdict | None:
    assert isinstance(cluster, SimulatedCluster)
    bucket = Random(f"{seed}/bucket").choice(("flags", "routes", "limits"))
    group, world = f"KV_{bucket}", cluster.simulation
    maker = await cluster.connect()
    await maker.jetstream().create_key_value(bucket=bucket, replicas=3)
    client = await _beside(cluster, group)
    told: list[str] = []
    seen: list[str] = []
    for what in ("at first", "after it handed over", "after it crashed"):
        old = world.leader(group)
        if what == "after it handed over":
            world.step_down(group)
        elif what == "after it crashed":
            await cluster.crash(old)
        await _until_another(cluster, client, group, "" if what == "at first" else old)
        leader = world.leader(group)
        got = await answer(leader_of, client, bucket)
        told.append(f"{what}: {leader} leads {bucket}, leader_of says {shown(got)}")
        if got != leader:
            key = _why(cluster, client, group, got, seen)
            return not_yet(
                f"{what}, leader_of(nc, {bucket!r}) is {shown(got)}",
                f"{leader!r}, which leads it then",
                seed=seed,
                hint=key,
                trace=told,
            )
        seen.append(leader)
    return await _without(cluster, client, bucket, (leader_of, seed, told))


async def _beside(cluster: SimulatedCluster, group: str) -> Client:
    """A client that is connected to a server without a copy."""
    parts = [view.server for view in cluster.simulation.views(group)]
    ordered = sorted(cluster.servers, key=lambda each: each.name in parts)
    return await cluster.connect(
        servers=[each.url for each in ordered],
        dont_randomize=True,
        reconnect_time_wait=0.05,
        max_reconnect_attempts=-1,
    )


async def _without(
    cluster: SimulatedCluster, client: Client, bucket: str, case: tuple[Any, int, list[str]]
) -> Verdict | None:
    """Two of three copies are down."""
    leader_of, seed, told = case
    await cluster.crash(cluster.simulation.leader(f"KV_{bucket}"))
    await asyncio.sleep(2.0)
    try:
        got = await answer(leader_of, client, bucket)
    except (NatsError, KeyError, TypeError, AttributeError, TimeoutError) as error:
        said, key = f"ends in {type(error).__name__}", "nobody"
    else:
        if got is None:
            return None
        said, key = f"is {shown(got)}", "dead" if got else "nobody"
    return not_yet(
        f"two of three copies are down, and leader_of(nc, {bucket!r}) {said}",
        "None while nobody leads",
        seed=seed,
        hint=key,
        trace=[*told, "two of three copies are down: nobody leads"],
    )


def _why(
    cluster: SimulatedCluster, client: Client, group: str, got: object, seen: list[str]
) -> str:
    world = cluster.simulation
    if got in seen:
        return "cached"
    if got not in world.hosts:
        return "hard" if got else "somebody"
    url = client.connected_url
    if url is not None and url.hostname == got:
        return "mine"
    return "replica" if any(view.server == got for view in world.views(group)) else "hard"


async def _until_another(cluster: SimulatedCluster, client: Client, group: str, old: str) -> None:
    """Waits for a leader that is not `old`, and for the client to be connected."""
    world = cluster.simulation
    waited = 0.0
    while waited < _WAIT_SECONDS:
        await asyncio.sleep(_SETTLE_SECONDS)
        waited += _SETTLE_SECONDS
        if world.leader(group) not in ("", old) and client.is_connected:
            break
    await asyncio.sleep(1.0)
