"""The check of 03b: a lock on one key, which lets go by itself after ten seconds.

Each case is a short story on a fresh lock: who takes it, who gives it back, how much time
passes. Virtual time makes the ten seconds free. Two cases need an order that chance would
rarely draw: two clients that ask at the same moment (every order is run), and a lock that
expires and is taken by another while its old owner is about to give it back (a gate holds
that owner's last request).

Left out: locks that are renewed, and fencing, which belongs to what the lock protects.
"""

import asyncio
from collections.abc import Iterable
from random import Random
from typing import Any

from nats.aio.client import Client
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exchanges import told
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.places import files_of, learners_line
from kvcore.lab.trial import answer, in_world
from kvcore.sim.gate import Gate, play
from kvcore.sim.orders import Orders
from kvcore.sim.wire import Wire

TTL_SECONDS = 10
AT_ONCE_SECONDS = 4.0
ORDERS_BOUND = 200
WRONG_LAST_SEQUENCE = 10071


@exercise(
    "03b",
    names=("acquire", "release"),
    seeds=3,
    hints=(
        "Which of your requests decides who has the lock, and can two clients both win it?",
        (
            "`create` lets the server decide who was first. To give back, the server must compare "
            "too: is the last message still the one that you made?"
        ),
        (
            "acquire: try return await kv.create(lock, owner.encode()); on "
            "KeyWrongLastSequenceError return None. release: try await kv.delete(lock, "
            "last=token), return True; on APIError return False."
        ),
    ),
    wrong={
        "M4": "Both looked, both saw a free lock, both wrote. Which call looks and writes in one "
        "request?",
        "both": "Two owners at once. What does your write do when somebody's name is there "
        "already?",
        "other": "The lock was another's by then, and it is gone. What do you know at a release "
        "that tells your hold from theirs?",
        "race": "It was yours when you looked. A moment passes between your look and your "
        "delete: who may have come in?",
        "expired": "The ten seconds were over, and release said that the lock had been yours "
        "until now. Who would have told you?",
        "waits": "acquire answers at once: a token, or None. Who would go on waiting, and for "
        "how long?",
        "stuck": "The lock was free, and nobody could take it. What does the key hold after a "
        "release, and after an expiry?",
        "kept": "release said True, and the lock was still taken. What did you remove?",
        "refused": "A refusal is an answer here, and it went to the caller as an accident. Which "
        "class of error does each call raise, and what does the caller hear instead?",
        "honest": "It was yours until that moment, and you gave it back: what does release "
        "return then?",
    },
    compare="One removes the key, the other keeps it and writes an empty name; each writes only "
    "on the revision it knows. Without the comparison in the server neither would be a lock.",
)
def check_03b(learner: Any, seeds: Iterable[int]) -> Verdict:
    """Each story on locks of its own, in each seed's world."""
    acquire, release = learner
    orders = 0
    for seed in seeds:
        try:
            found: Verdict | int = in_world(_stories, acquire, release, seed=seed)
        except APIError as error:
            is_put = isinstance(error, KeyWrongLastSequenceError)  # which carries no code
            if not is_put and error.err_code != WRONG_LAST_SEQUENCE:
                raise
            return _let_out(error, learner, seed)
        if isinstance(found, Verdict):
            return found
        orders = found
    return passed(f"giving back, expiring, a late release; two at once in all {orders} orders")


def _let_out(error: APIError, learner: tuple[Any, Any], seed: int) -> Verdict:
    """A refusal that acquire or release did not catch, with the line it came through."""
    line = learners_line(error, files_of(learner))
    return not_yet(
        f"a request was refused, and {type(error).__name__} came out" + f" at {line}" * bool(line),
        "acquire answers a token or None, release True or False",
        seed=seed,
        hint="refused",
    )


class _Story:
    """One lock and what was done to it, told line by line."""

    def __init__(self, learner: tuple[Any, Any], lock: str, seed: int) -> None:
        self.acquire_, self.release_ = learner
        self.lock = lock
        self.seed = seed
        self.lines: list[str] = []

    async def acquire(self, kv: KeyValue, owner: str) -> Any:
        token = await answer(self.acquire_, kv, self.lock, owner, seconds=60)
        self.lines.append(f"acquire(kv, {self.lock!r}, {owner!r}) → {shown(token)}")
        return token

    async def release(self, kv: KeyValue, token: Any, who: str) -> Any:
        said = await answer(self.release_, kv, self.lock, token, seconds=60)
        self.lines.append(f"{who}: release(kv, {self.lock!r}, {shown(token)}) → {shown(said)}")
        return said

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.lines.append(f"{seconds:g} s pass")

    def wrong(self, required: str, hint: str) -> Verdict:
        story = "; ".join(self.lines[-3:])
        return not_yet(story, required, seed=self.seed, hint=hint, trace=tuple(self.lines))


def _has(token: object) -> bool:
    return token is not None and token is not False


async def _stories(cluster: Cluster, acquire: Any, release: Any, seed: int) -> Verdict | int:
    rng = Random(seed)
    one, two = rng.sample(("ann", "bo", "cy", "di"), 2)
    nc = {name: await cluster.connect() for name in (one, two)}
    js = nc[one].jetstream()
    kv = {one: await js.create_key_value(bucket="locks", ttl=TTL_SECONDS)}
    kv[two] = await nc[two].jetstream().key_value("locks")
    learner = (acquire, release)
    locks = (f"{word}-{rng.randrange(10, 99)}" for word in ("door", "gate", "deploy", "late"))
    verdict = (
        await _given_back(_Story(learner, next(locks), seed), kv, one, two)
        or await _expired(_Story(learner, next(locks), seed), kv, one, two)
        or await _late_release(_Story(learner, next(locks), seed), kv, one, two, nc[one])
    )
    return verdict or await _at_once(cluster, learner, seed)


async def _given_back(s: _Story, kv: dict[str, KeyValue], one: str, two: str) -> Verdict | None:
    loop = asyncio.get_running_loop()
    token = await s.acquire(kv[one], one)
    if not _has(token):
        return s.wrong("a token: the lock is free", "stuck")
    begin = loop.time()
    second = await s.acquire(kv[two], two)
    if loop.time() - begin > AT_ONCE_SECONDS:
        return s.wrong("None, at once", "waits")
    if _has(second):
        return s.wrong(f"None: {one} has it", "both")
    said = await s.release(kv[one], token, one)
    if said is not True:
        return s.wrong("True: it was theirs until now", "honest")
    third = await s.acquire(kv[two], two)
    if not _has(third):
        entry = await _entry(kv[two], s.lock)
        return s.wrong("a token: the lock was given back", "kept" if entry else "stuck")
    if await s.release(kv[one], token, one) is not False or not await _entry(kv[two], s.lock):
        return s.wrong(f"False, and {two} keeps the lock", "other")
    if await s.release(kv[two], third, two) is not True:
        return s.wrong("True: it was theirs until now", "honest")
    return None


async def _expired(s: _Story, kv: dict[str, KeyValue], one: str, two: str) -> Verdict | None:
    token = await s.acquire(kv[one], one)
    if not _has(token):
        return s.wrong("a token: the lock is free", "stuck")
    await s.wait(TTL_SECONDS + 2)
    if await s.release(kv[one], token, one) is not False:
        return s.wrong("False: it has expired", "expired")
    first = await s.acquire(kv[one], one)
    if not _has(first):
        return s.wrong("a token: the lock is free", "stuck")
    await s.wait(TTL_SECONDS + 2)
    second = await s.acquire(kv[two], two)
    if not _has(second):
        return s.wrong("a token: the lock has expired", "stuck")
    said = await s.release(kv[one], first, one)
    if said is not False or not await _entry(kv[two], s.lock):
        return s.wrong(f"False, and {two} keeps the lock", "other")
    return None


async def _late_release(
    s: _Story, kv: dict[str, KeyValue], one: str, two: str, owner: Client
) -> Verdict | None:
    """The owner's last request is on its way while the lock expires and another takes it."""
    token = await s.acquire(kv[one], one)
    await s.wait(TTL_SECONDS - 1)
    wire = Wire({one: owner})
    with Gate(owner) as gate:
        call = asyncio.ensure_future(s.release(kv[one], token, one))
        await _until(call, gate)
        while not call.done() and b"PUB $KV." not in gate.head:
            gate.let_through()
            await _until(call, gate)
        s.lines.append(f"{one} begins to release")
        await s.wait(2)
        new = await s.acquire(kv[two], two)
    said = await call
    s.lines += [told(each).text for each in wire.exchanges]
    if not _has(new):
        return s.wrong("a token: the lock has expired", "stuck")
    if said is not False or not await _entry(kv[two], s.lock):
        s.lines.append(f"release returned {said}; {two} had the lock")
        return s.wrong(f"False, and {two} keeps the lock", "race")
    return None


async def _until(call: "asyncio.Future[Any]", gate: Gate) -> None:
    """Returns when the call is over or has another request at the gate."""
    waiting = asyncio.ensure_future(gate.request())
    await asyncio.wait([call, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _at_once(cluster: Cluster, learner: tuple[Any, Any], seed: int) -> Verdict | int:
    """Two clients ask at the same moment: every order of their requests."""
    handles, gates, clients = {}, {}, {}
    for name in ("A", "B"):
        clients[name] = await cluster.connect()
        handles[name] = await clients[name].jetstream().key_value("locks")
        gates[name] = Gate(clients[name])
    wire = Wire(clients)
    orders = Orders(ORDERS_BOUND)
    while orders.more():
        wire.clear()
        lock = f"race{orders.count}"
        work = {n: answer(learner[0], kv, lock, n, seconds=60) for n, kv in handles.items()}
        played = await play(work, gates, orders.pick)
        for error in played.errors.values():
            raise error
        owners = [name for name, token in played.values.items() if _has(token)]
        if len(owners) != 1:
            steps = [told(each).text for each in wire.exchanges]
            calls = ", ".join(f"{told(e).client} {told(e).short}" for e in wire.exchanges)
            return not_yet(
                f"order {played.text}: {calls}: {len(owners)} owners",
                "one owner, in every order",
                seed=seed,
                hint="M4" if owners else "stuck",
                trace=[f"order {played.text}:", *(f"  {step}" for step in steps)],
            )
    return orders.count


async def _entry(kv: KeyValue, lock: str) -> bool:
    """Whether the lock's key is there with a name in it."""
    try:
        return bool((await kv.get(lock)).value)
    except KeyNotFoundError:
        return False
