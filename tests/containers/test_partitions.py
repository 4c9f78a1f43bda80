"""A partition that the engine makes, on kvcore's containers and on nats-server's.

One script for both: the leader of a bucket is cut off with a client on it. The client's
connection holds (its server answers each PING); its puts first time out, then are refused;
the majority acks; after the heal nothing acked is missing. The script's transcript says what
happened without times, so that the two can lie side by side.

That the script can tell a bad server from a good one is shown by an image whose leader acks
what it alone has.
"""

import asyncio
import io
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError, NoStreamResponseError

from kvcore.lab import Cluster, images
from kvcore.lab.engine import connect
from tests.support.require import missing, require

BUCKET = "live"
WITHIN_S = 60.0  # nats-server gives up its leadership after 10 s, and elects within 4 to 9 s
MINORITY_PUTS = 40
HASTY = "kvcore-hasty:tests"


@dataclass
class Story:
    """What the client saw, and which values were acked."""

    lines: list[str] = field(default_factory=list)
    acked: dict[bytes, int] = field(default_factory=dict)

    def tell(self, line: str) -> None:
        if not self.lines or self.lines[-1] != line:
            self.lines.append(line)


async def put(kv, value: bytes, story: Story) -> str:
    """`acked`, `timed out` or `refused`."""
    try:
        story.acked[value] = await kv.put("k", value)
    except NatsTimeoutError:
        return "timed out"
    except (NoStreamResponseError, NoRespondersError, APIError):
        return "refused"
    return "acked"


async def until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await look():
            await asyncio.sleep(0.05)


async def live(cluster: Cluster, *, cut: bool = True) -> Story:
    """The script; `cut=False` leaves the network whole."""
    story = Story()
    first = await cluster.connect()
    await first.jetstream().create_key_value(bucket=BUCKET, replicas=3, history=64)
    leader = await led(cluster)
    at = {card.name: card.url for card in cluster.servers}
    other = next(name for name in at if name != leader)
    lone = await cluster.connect(servers=[at[leader]], allow_reconnect=False)
    lone_kv = await lone.jetstream(timeout=1.0).key_value(BUCKET)
    rest = await cluster.connect(servers=[at[other]], allow_reconnect=False)
    rest_kv = await rest.jetstream(timeout=1.0).key_value(BUCKET)
    story.tell(f"before: a put at the leader is {await put(lone_kv, b'before', story)}")
    if cut:
        await cluster.partition([leader], [name for name in at if name != leader])
        story.tell("the leader is cut off")
    for number in range(MINORITY_PUTS):
        said = await put(lone_kv, b"minority %d" % number, story)
        story.tell(f"at the old leader: a put is {said}")
        await lone.flush(2)  # its server answers the PING, or this raises
        if said == "refused":
            break
    else:
        story.tell("at the old leader: never refused")

    async def majority_acks() -> bool:
        return await put(rest_kv, b"majority", story) == "acked"

    await until(majority_acks, "the majority acks")
    story.tell("at the majority: a put is acked")
    await cluster.heal()
    story.tell("the network is whole again")

    async def healed_acks() -> bool:
        return await put(lone_kv, b"after", story) == "acked"

    await until(healed_acks, "the old leader's client is served again")
    story.tell("at the old leader: a put is acked")
    history: dict[int, bytes] = {}

    async def history_is_read() -> bool:
        """A consumer is made for it, and so whoever leads all servers must be known again."""
        with suppress(NatsTimeoutError, APIError):
            history.update({each.revision: each.value for each in await rest_kv.history("k")})
        return bool(history)

    await until(history_is_read, "the history is read")
    lost = [value for value, revision in story.acked.items() if history.get(revision) != value]
    story.tell(f"acked and not there: {len(lost)}")
    return story


async def led(cluster: Cluster) -> str:
    async def found() -> bool:
        return await cluster.leader(BUCKET) != ""

    await until(found, "the bucket has a leader")
    return await cluster.leader(BUCKET)


def told(image: str, *, cut: bool = True, beside: bool = False) -> Story:
    async def main() -> Story:
        async with Cluster.docker(3, image=image, beside=beside) as cluster:
            return await live(cluster, cut=cut)

    return asyncio.run(main())


EXPECTED = [
    "before: a put at the leader is acked",
    "the leader is cut off",
    "at the old leader: a put is timed out",
    "at the old leader: a put is refused",
    "at the majority: a put is acked",
    "the network is whole again",
    "at the old leader: a put is acked",
    "acked and not there: 0",
]


@pytest.fixture(scope="module")
def nats_story(engine: None) -> Iterator[Future[Story] | None]:
    """nats-server's story: half a minute of its own time-outs, so it's told beside the others."""
    with ThreadPoolExecutor(1) as pool:
        is_here = not missing("go")
        yield pool.submit(told, "nats", beside=True) if is_here else None


@pytest.mark.usefixtures("engine", "nats_story")
def test_a_cut_off_leader_times_out_then_refuses_and_the_majority_goes_on() -> None:
    assert told("kvcore").lines == EXPECTED


@pytest.mark.usefixtures("engine")
def test_without_the_cut_the_same_script_acks_every_put() -> None:
    story = told("kvcore", cut=False)
    assert len(story.acked) == MINORITY_PUTS + 3
    assert story.lines[1:3] == [
        "at the old leader: a put is acked",
        "at the old leader: never refused",
    ]
    assert story.lines[-1] == "acked and not there: 0"


@pytest.mark.usefixtures("engine")
def test_a_server_that_acks_what_its_leader_alone_has_is_caught() -> None:
    client = connect()
    try:
        make_hasty(client)
    finally:
        client.close()
    story = told(HASTY)
    assert "at the old leader: a put is acked" in story.lines[:4]
    assert story.lines[-1] != "acked and not there: 0"


def make_hasty(client) -> None:
    """The image of today's kvcore with `hasty.py` in front."""
    base = images.image(client, "kvcore", say=lambda line: None)
    served = '["python3", "/opt/hasty.py", "-a", "0.0.0.0", "-sd", "/data"]'
    recipe = f"FROM {base}\nCOPY hasty.py /opt/hasty.py\nENTRYPOINT {served}\n".encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(recipe)
        tar.addfile(entry, io.BytesIO(recipe))
        tar.add(Path(__file__).with_name("hasty.py"), "hasty.py")
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=HASTY, rm=True)


def test_three_nats_servers_tell_the_same_story(nats_story: Future[Story]) -> None:
    require("go")
    assert nats_story.result().lines == EXPECTED
