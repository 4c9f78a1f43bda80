"""Bugs planted into a whole cluster, each of which a judge must convict, and each of which
goes unconvicted where it isn't planted.

What a judge has never convicted it may be blind to. An ack before a quorum shows in any storm.
The others need the world to go just so, and are led there: by cuts at the very turn in which a
server becomes leader, or has an entry committed.
"""

import asyncio
from dataclasses import replace

from kvcore import limits
from kvcore.check.observer import watch
from kvcore.check.storm import Weather, contents, storm
from kvcore.raft.entry import decode_hard_state, encode_hard_state
from kvcore.sim.views import META
from kvcore.sim.workload import Settings
from kvcore.sim.world import PARTS, World
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage

SEEDS = 20
INNOCENT = 5  # seeds that are run without the bug
WEATHER = Weather(
    work=Settings(clients=5, watchers=0, pause=0.03),
    faults={"isolate": 2, "crash": 1},
    count=3,
    is_watched=False,
    operations=0,
)


def ack_before_quorum(matches, _log, _term, commit):
    """The leader counts itself alone."""
    return max(commit, *matches)


def commit_by_counting_any_term(matches, _log, _term, commit):
    """Figure 8: an entry of an earlier term is committed because a majority has it."""
    return max(commit, sorted(matches, reverse=True)[len(matches) // 2])


def vote_for_any_log(me, request):
    """Whoever asks first has the vote, whatever its log: a leader that lacks committed entries
    makes its followers truncate them."""
    if request.term > me.term:
        return True
    return request.term == me.term and me.voted_for in {"", request.sender}


class Forgetful(AppendFile):
    """Writes each group's term, and not for whom it voted in it."""

    def write(self, batch):
        writes = [(key, _without_vote(key, value)) for key, value in batch.writes]
        super().write(replace(batch, writes=writes))


def _without_vote(key, value):
    if key[:1] != b"H" or value is None:
        return value
    return encode_hard_state(replace(decode_hard_state(value), voted_for=""))


FORGETFUL = replace(
    PARTS, make_engines=lambda disk: {"file": Forgetful(disk), "memory": MemoryStorage()}
)


def first(convicts):
    """The first seed that is convicted, and of what."""
    for seed in range(SEEDS):
        if found := convicts(seed):
            return seed, found
    return None


def test_an_ack_before_a_quorum_is_convicted():
    guilty = replace(WEATHER, rules={"advance_commit": ack_before_quorum})
    found = first(lambda seed: [str(each) for each in storm(seed, guilty).violations])
    print(found)
    assert found
    seed, _ = found
    assert storm(seed, WEATHER).violations == []


def others(world, *names):
    return [name for name in world.hosts if name not in names]


async def when(world, condition, act, seconds=5):
    """Does `act` at the end of the very turn in which the condition comes true."""
    done = asyncio.Event()
    before = {name: host.on_turn for name, host in world.hosts.items()}

    def look(name):
        before[name]()
        if not done.is_set() and condition():
            act()
            done.set()

    for name, host in world.hosts.items():
        host.on_turn = lambda name=name: look(name)
    try:
        await asyncio.wait_for(done.wait(), seconds)
    finally:
        for name, host in world.hosts.items():
            host.on_turn = before[name]


def two_votes(seed, parts):
    """P leads with Q's vote, and Q restarts before it hears from P. Does L have it, too?"""
    with World(3, seed=seed, parts=parts) as world:
        observer = watch(world)

        async def main():
            old = world.leader(META)
            world.crash(old)
            await when(
                world,
                lambda: world.leader(META) != "",
                lambda: world.partition(*[[name] for name in world.hosts]),
            )
            voter = next(name for name in others(world, old) if name != world.leader(META))
            world.restart(voter)
            world.restart(old)
            world.partition([old, voter])
            await asyncio.sleep(2)

        world.run(main())
        return observer.violation and str(observer.violation)


def test_a_vote_that_is_not_persisted_is_convicted():
    found = first(lambda seed: two_votes(seed, FORGETFUL))
    print(found)
    assert found
    assert "Election Safety" in found[1]
    assert [two_votes(seed, PARTS) for seed in range(INNOCENT)] == [None] * INNOCENT


def stale_winner(seed, rules):
    """A server that has missed acknowledged writes comes back when the leader falls silent."""
    with World(3, seed=seed) as world:
        observer = watch(world)

        async def main():
            client = await world.connect()
            kv = await client.jetstream(timeout=1).create_key_value(
                bucket="b", replicas=3, history=10
            )
            for name in world.hosts:
                world.swap(name, **rules)
            leader = world.leader("KV_b")
            behind = others(world, leader)[0]
            at = await world.connect(servers=[f"nats://{leader}:422{1 + int(leader[1:])}"])
            kv = await at.jetstream(timeout=1).key_value("b")
            world.partition([behind])
            acked = [await kv.put("key", b"%d" % number) for number in range(3)]
            world.partition([leader])
            await asyncio.sleep(3)
            world.heal()
            await asyncio.sleep(3)
            held = contents(world.host(world.leader("KV_b")), "KV_b")
            return [seq for seq in acked if seq not in [entry.revision for entry in held]]

        lost = world.run(main())
        return (lost or observer.violation) and (lost, str(observer.violation))


def test_the_truncation_of_committed_entries_is_convicted():
    found = first(lambda seed: stale_winner(seed, {"can_grant_vote": vote_for_any_log}))
    print(found)
    assert found
    assert found[1][0]
    assert [stale_winner(seed, {}) for seed in range(INNOCENT)] == [None] * INNOCENT


def figure_8(seed, rules):
    """An entry of an earlier term gets to a majority, and its leader is cut off before an entry
    of its own term does. Whoever has the later term may still overwrite it."""
    with World(3, seed=seed) as world:
        observer = watch(world)

        async def main():
            client = await world.connect()
            await client.jetstream(timeout=1).create_key_value(bucket="b", replicas=3, direct=True)
            for name in world.hosts:
                world.swap(name, **rules)
            first = world.leader("KV_b")
            at = await world.connect(servers=[f"nats://{first}:422{1 + int(first[1:])}"])
            world.partition([first])
            large = bytes(limits.PAYLOAD_BYTES)  # so that it travels alone
            await at.publish("$KV.b.key", large)
            await when(
                world,
                lambda: world.leader("KV_b") not in (first, ""),
                lambda: world.partition(*[[name] for name in world.hosts]),
            )
            second = world.leader("KV_b")
            world.partition([second])
            entry = view_of(world, first).last_index
            await when(
                world,
                lambda: view_of(world, first).commit >= entry,
                lambda: world.partition([first]),
            )
            await asyncio.sleep(3)
            world.heal()
            await asyncio.sleep(3)

        try:
            world.run(main())
        except TimeoutError:
            return None  # it went another way
        return observer.violation and str(observer.violation)


def view_of(world, name):
    return next(view for view in world.views("KV_b") if view.server == name)


def test_a_commit_by_counting_an_earlier_term_is_convicted():
    found = first(lambda seed: figure_8(seed, {"advance_commit": commit_by_counting_any_term}))
    print(found)
    assert found
    assert "Leader Completeness" in found[1] or "State Machine Safety" in found[1]
    assert [figure_8(seed, {}) for seed in range(INNOCENT)] == [None] * INNOCENT
