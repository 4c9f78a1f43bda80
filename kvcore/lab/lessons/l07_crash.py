"""The check of 07c: the leader crashes at five moments of a put, and what comes of it.

Nobody needs to be believed: for each moment three servers are started in a world of their
own, a client puts a value, the leader is crashed at just that moment and stays down, and when
the two others have a leader the key is read. What came of it is the right answer.

Left out: power cuts, and a leader that comes back; lessons 10 and 08 have them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from kvcore.lab import quiz
from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import Exercise, declare
from kvcore.lab.feedback import Verdict, Word
from kvcore.lab.simulated import SimulatedCluster
from kvcore.lab.trial import in_world
from kvcore.sim.gate import Gate
from kvcore.sim.views import View

BUCKET, KEY = "prices", "tea"
GROUP = f"KV_{BUCKET}"
CLIENT = "till"
_STEP_SECONDS = 0.00001
_STEPS_COUNT = 5_000
_WAIT_SECONDS = 1.0  # for an ack
_TRIES_COUNT = 50

NO_GONE, NO_KEPT = "no ack, gone", "no ack, kept"
ACK_GONE, ACK_KEPT = "ack, gone", "ack, kept"
CHOICES = (NO_GONE, NO_KEPT, ACK_GONE, ACK_KEPT)


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster with a bucket on three servers, a client at its leader, and a put under way."""

    cluster: SimulatedCluster
    client: Client
    leader: str
    others: tuple[str, ...]
    start: int  # the log's end before the put

    def view(self, name: str) -> View:
        """A server's part in the bucket's group."""
        return next(v for v in self.cluster.simulation.views(GROUP) if v.server == name)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Time passes until it has happened."""
        for _ in range(_STEPS_COUNT):
            if happened():
                return
            await asyncio.sleep(_STEP_SECONDS)
        raise AssertionError("it never happens")


Moment = Callable[[Scene, "asyncio.Task[int]"], Awaitable[None]]


async def _before(scene: Scene, _put: "asyncio.Task[int]") -> None:
    """The request hasn't reached the leader: the check holds it at the gate."""


async def _alone(scene: Scene, _put: "asyncio.Task[int]") -> None:
    """Only the leader's log has it: what it sends the others is lost."""
    for name in scene.others:
        await scene.cluster.cut(scene.leader, name)
    await scene.until(lambda: scene.view(scene.leader).last_index > scene.start)
    await asyncio.sleep(0.005)  # its disk has it, too


async def _one(scene: Scene, _put: "asyncio.Task[int]") -> None:
    """One follower's log has it, and the leader doesn't know that yet."""
    near, far = scene.others
    await scene.cluster.cut(scene.leader, far)
    await scene.cluster.cut(near, scene.leader)
    await scene.until(lambda: scene.view(near).last_index > scene.start)
    await asyncio.sleep(0.005)
    await scene.cluster.heal()


async def _unheard(scene: Scene, _put: "asyncio.Task[int]") -> None:
    """It is committed and the ack is lost on the way."""
    await scene.until(lambda: scene.view(scene.leader).last_index > scene.start)
    await scene.cluster.partition([CLIENT])
    await scene.until(lambda: scene.view(scene.leader).commit > scene.start)


async def _told(scene: Scene, put: "asyncio.Task[int]") -> None:
    """The client has the ack; the followers don't know that the entry is committed."""
    await scene.until(lambda: scene.view(scene.leader).commit > scene.start)
    for name in scene.others:
        await scene.cluster.cut(scene.leader, name)
    await scene.until(put.done)
    assert all(scene.view(name).commit <= scene.start for name in scene.others)


# By the learner's key: the moment, and hints for tempting answers.
MOMENTS: dict[str, tuple[Moment, dict[object, str]]] = {
    "1 on its way": (_before, {NO_KEPT: "door"}),
    "2 leader alone": (_alone, {NO_KEPT: "alone", ACK_GONE: "M8"}),
    "3 one follower": (_one, {NO_GONE: "silence", ACK_KEPT: "unknown"}),
    "4 ack lost": (_unheard, {NO_GONE: "silence", ACK_KEPT: "heard"}),
    "5 ack heard": (_told, {ACK_GONE: "told", NO_KEPT: "has"}),
}


async def crashed(cluster: Cluster, moment: Moment, seed: int) -> tuple[str, tuple[str, ...]]:
    """What came of a put whose leader crashed at this moment, and the steps."""
    assert isinstance(cluster, SimulatedCluster), "checks run in the simulator"
    client, scene, kv = await _opened(cluster)
    gate = Gate(client)
    put = asyncio.ensure_future(kv.put(KEY, b"%d" % (20 + seed)))
    await gate.request()
    if moment is not _before:
        gate.open()
    await moment(scene, put)
    before = [repr(v) for v in cluster.simulation.views(GROUP)]
    await cluster.crash(scene.leader)
    done, _ = await asyncio.wait([put], timeout=_WAIT_SECONDS)
    has_ack = bool(done) and put.exception() is None
    put.cancel()
    await asyncio.gather(put, return_exceptions=True)
    gate.open()
    await cluster.heal()
    value = await _read(cluster)
    is_kept = value == b"%d" % (20 + seed)
    result = (ACK_KEPT if is_kept else ACK_GONE) if has_ack else NO_KEPT if is_kept else NO_GONE
    return result, (
        f"the moment: {(moment.__doc__ or '').splitlines()[0]}",
        *(f"  {line}" for line in before),
        f"{scene.leader} crashes; the client has {'an' if has_ack else 'no'} ack",
        f"then {await cluster.leader(BUCKET)} leads, and {KEY} is {value.decode()}",
    )


async def _opened(cluster: SimulatedCluster) -> tuple[Client, Scene, KeyValue]:
    """A bucket with one value, and a client at its leader."""
    keeper = await cluster.connect(name="keeper")
    made = await keeper.jetstream().create_key_value(bucket=BUCKET, replicas=3)
    await made.put(KEY, b"10")
    await asyncio.sleep(0.5)
    leader = await cluster.leader(BUCKET)
    others = tuple(each.name for each in cluster.servers if each.name != leader)
    url = next(each.url for each in cluster.servers if each.name == leader)
    client = await cluster.connect(
        name=CLIENT, servers=[url], dont_randomize=True, allow_reconnect=False
    )
    kv = await client.jetstream(timeout=_WAIT_SECONDS).key_value(BUCKET)
    view = next(v for v in cluster.simulation.views(GROUP) if v.server == leader)
    return client, Scene(cluster, client, leader, others, view.last_index), kv


async def _read(cluster: SimulatedCluster) -> bytes:
    """The key's value, when somebody leads again."""
    for _ in range(_TRIES_COUNT):
        await asyncio.sleep(0.1)
        up = [each.url for each in cluster.servers if each.status == "up"]
        reader = await cluster.connect(name="reader", servers=up)
        try:
            if await cluster.leader(BUCKET):
                kv = await reader.jetstream(timeout=_WAIT_SECONDS).key_value(BUCKET)
                return (await kv.get(KEY)).value or b""
        except KeyNotFoundError:
            return b"gone"
        except (NatsError, TimeoutError):
            continue
        finally:
            await reader.close()
    raise AssertionError("the others elect nobody")


@lru_cache(maxsize=512)
def _truth(key: str, seed: int) -> tuple[str, tuple[str, ...]]:
    """What came of it in a world of its own."""
    found: tuple[str, tuple[str, ...]] = in_world(crashed, MOMENTS[key][0], seed=seed, servers=3)
    return found


def check_07c(learner: object, seeds: Iterable[int]) -> Verdict:
    """Five crashes decide, and with each further seed one of them again."""
    verdict: Verdict | None = None
    runs: dict[str, tuple[str, tuple[str, ...]]] = {}
    for seed in seeds:
        again = list(MOMENTS)[seed % len(MOMENTS)]
        runs |= {key: _truth(key, seed) for key in MOMENTS if key not in runs or key == again}
        questions = {
            key: quiz.Question(runs[key][0], wrong, CHOICES, required="what the run shows")
            for key, (_, wrong) in MOMENTS.items()
        }
        verdict = quiz.judge(learner, questions, "after_the_crash", "Real crashes agree.")
        if verdict.word is not Word.PASS:
            key = verdict.observed.partition(":")[0]
            trace = runs[key][1] if key in runs else ()
            return replace(verdict, seed=seed, trace=trace)
    assert verdict is not None, "one seed at least"
    return verdict


_RIGHT = dict(zip(MOMENTS, (NO_GONE, NO_GONE, NO_KEPT, NO_KEPT, ACK_KEPT), strict=True))

declare(
    Exercise(
        "07c",
        "prediction",
        ("after_the_crash",),
        (
            (
                "Two questions for each line: what has the client in hand, and what is in the logs "
                "of the two that are left?"
            ),
            (
                "An ack leaves when the leader knows of a majority. The two that are left elect "
                "the one with the newer log, and it commits what it has."
            ),
            (
                "An entry in either of the two logs is kept: its owner wins, for the other's log "
                "is older. An entry in none is gone. Only in line 5 has an ack arrived."
            ),
        ),
        check_07c,
        {
            "door": "The request was still outside. Whose log could have it?",
            "alone": "The only log that has it is down. Which two logs are left to go on with?",
            "M8": "One log of three is no majority. What does this leader wait for before it acks?",
            "silence": "No ack came. Which of the two servers that are left can be elected, and "
            "what is in its log?",
            "unknown": "Two of three have it. Who has to learn that before an ack can leave?",
            "heard": "It was acked, and the ack was lost. What did the client hear?",
            "told": "They have the entry and don't know that it is committed. Does a new leader "
            "cut off what is in its own log?",
            "has": "The line says what the client heard before the crash.",
        },
        ("M8",),
        2,
        "Silence says nothing: lines 1 to 4 look the same to the client, and two of them end "
        "one way, two the other.",
        tuple(
            (_RIGHT | {key: value}, hint)
            for key, (_, wrong) in MOMENTS.items()
            for value, hint in wrong.items()
        ),
    )
)
