"""What users of NATS's key-value stores ask for again and again, shown with their own client.

Each test carries the number of a demand in the project's list, and plays the users'
complaint through unmodified nats-py in virtual time. `ELSEWHERE` names the demands that
other tests show: speed, other clients, and what only a real process can prove.
"""

import asyncio
import re
from pathlib import Path

import nats.errors
import pytest
from nats.js.api import ConsumerConfig, KeyValueConfig
from nats.js.errors import KeyWrongLastSequenceError, NoKeysError, NoStreamResponseError

from kvcore import limits
from kvcore.sim.world import World, disconnect

ELSEWHERE = {
    1: "tests/sim/test_durability.py and tests/server/test_syscalls.py",
    2: "one server answers every read, after what it has acknowledged; clusters come later",
    8: "tests/node/test_listing.py counts what a listing reads; the bench times it",
    14: "kvcore.testing: tests/server/test_testing.py",
    15: "the lessons run with top-level await: tests/lab",
    16: "the lessons call every method: course",
    17: "tests/interop/test_newer_python_packages.py",
    19: "the comparison with PySyncObj comes with replication",
}
COUNT = 19


def test_every_demand_has_a_test_here_or_its_place():
    names = [name for name in globals() if name.startswith("test_demand_")]
    tested = [int(found[1]) for name in names if (found := re.match(r"test_demand_(\d+)_", name))]
    assert sorted(dict.fromkeys(tested + list(ELSEWHERE))) == list(range(1, COUNT + 1))
    assert not [number for number in ELSEWHERE if number in tested]
    named = [word for text in ELSEWHERE.values() for word in re.findall(r"tests/[\w/.]+", text)]
    assert [name for name in named if not Path(name).exists()] == []


@pytest.fixture
def world():
    with World(seed=1) as made:
        yield made


async def bucket(world, **config):
    client = await world.connect()
    return client, await client.jetstream().create_key_value(KeyValueConfig("b", **config))


async def initial(watcher) -> list:
    """What a watch shows before the sign that it has shown everything."""
    found = []
    while (entry := await watcher.updates()) is not None:
        found.append(entry)
    return found


async def consumer_count(client) -> int:
    return (await client.jetstream().stream_info("KV_b")).state.consumer_count


@pytest.mark.parametrize("verb", ["crash", "restart", "power_cut"])
def test_demand_03_a_watch_goes_on_after_a_restart_of_the_server(world, verb):
    async def main():
        client, kv = await bucket(world)
        await kv.put("a", b"1")
        watcher = await kv.watchall()
        assert [entry.key for entry in await initial(watcher)] == ["a"]
        getattr(world, verb)()
        if verb != "restart":
            await asyncio.sleep(1)
            world.restart()
        if verb == "power_cut":  # the client can't know, until it says something
            disconnect(client)
        await asyncio.sleep(5)
        for value in (b"2", b"3"):
            await kv.put("b", value)
        entries = [await watcher.updates(timeout=30) for _ in range(2)]
        assert [(entry.key, entry.value) for entry in entries] == [("b", b"2"), ("b", b"3")]
        with pytest.raises(nats.errors.TimeoutError):
            await watcher.updates(timeout=30)

    world.run(main())


def test_demand_03_a_silent_watch_hears_that_the_server_lives(world):
    async def main():
        client, kv = await bucket(world)
        watcher = await kv.watchall()
        assert await initial(watcher) == []
        (name,) = [one.name for one in await client.jetstream().consumers_info("KV_b")]
        await asyncio.sleep(120)
        (still,) = [one.name for one in await client.jetstream().consumers_info("KV_b")]
        assert still == name, "without heartbeats the client would have made another one"

    world.run(main())


def test_demand_04_a_stale_revision_is_told_with_the_right_one_and_a_retry_wins(world):
    async def main():
        _, kv = await bucket(world)
        await kv.put("n", b"0")
        with pytest.raises(KeyWrongLastSequenceError) as refused:
            await kv.update("n", b"9", last=7)
        assert "wrong last sequence: 1" in str(refused.value)

        async def increment():
            while True:
                entry = await kv.get("n")
                try:
                    return await kv.update("n", b"%d" % (int(entry.value) + 1), entry.revision)
                except KeyWrongLastSequenceError:  # what nats-py makes of 10071 alone
                    continue

        revisions = await asyncio.gather(*(increment() for _ in range(20)))
        assert (await kv.get("n")).value == b"20"
        assert sorted(revisions) == list(range(2, 22))

    world.run(main())


def test_demand_05_of_those_who_create_a_deleted_key_one_wins(world):
    async def main():
        _, kv = await bucket(world)
        for _ in range(5):
            taken = await asyncio.gather(
                *(kv.create("lock", b"%d" % at) for at in range(20)), return_exceptions=True
            )
            winners = [at for at, each in enumerate(taken) if isinstance(each, int)]
            losers = [each for each in taken if isinstance(each, KeyWrongLastSequenceError)]
            assert (len(winners), len(losers)) == (1, 19)
            assert (await kv.get("lock")).value == b"%d" % winners[0]
            await kv.delete("lock")

    world.run(main())


def test_demand_06_an_empty_bucket_is_told_at_once(world):
    async def main():
        _, kv = await bucket(world)
        start = world.loop.elapsed
        watcher = await kv.watchall()
        assert await watcher.updates() is None
        with pytest.raises(NoKeysError):
            await kv.keys()
        await kv.put("k", b"v")
        await kv.delete("k")
        with pytest.raises(NoKeysError):
            await kv.keys()
        assert world.loop.elapsed - start < limits.SECOND_NS

    world.run(main())


def test_demand_07_a_watch_and_a_consumer_with_filters_bring_these_keys_and_no_others(world):
    async def main():
        client, kv = await bucket(world)
        for at in range(120):
            await kv.put(f"a.{at}", b"v")
        assert [entry.key for entry in await initial(await kv.watch("a.1"))] == ["a.1"]
        wanted = ["$KV.b.a.1", "$KV.b.a.11"]
        config = ConsumerConfig(filter_subjects=wanted, deliver_policy="last_per_subject")
        info = await client.jetstream().add_consumer("KV_b", config, durable_name="two")
        assert info.num_pending == 2
        sub = await client.jetstream().pull_subscribe_bind("two", "KV_b")
        assert [message.subject for message in await sub.fetch(2)] == wanted

    world.run(main())


def test_demand_09_a_key_ends_at_its_own_time_and_watchers_hear_of_it(world):
    async def main():
        _, kv = await bucket(world, limit_marker_ttl=60)
        watcher = await kv.watchall()
        assert await watcher.updates() is None
        await kv.create("lease", b"mine", msg_ttl=10)
        await kv.put("other", b"stays")
        start = world.loop.elapsed
        entries = [await watcher.updates(timeout=30) for _ in range(3)]
        assert [(entry.key, entry.operation) for entry in entries] == [
            ("lease", None),
            ("other", None),
            ("lease", "PURGE"),
        ]
        assert 9.9 < (world.loop.elapsed - start) / limits.SECOND_NS < 11
        assert await kv.keys() == ["other"]
        await asyncio.sleep(60)  # nats-py's create takes the marker for a value while it stands
        assert await kv.create("lease", b"yours") > entries[2].revision

    world.run(main())


def test_demand_10_twenty_abandoned_watches_are_gone_after_their_threshold(world):
    async def main():
        client, kv = await bucket(world)
        leaver = await world.connect()
        theirs = await leaver.jetstream().key_value("b")
        mine = await kv.watchall()
        for _ in range(20):
            await theirs.watchall()
        await leaver.close()
        assert await consumer_count(client) == 21
        unheard = [
            one for one in await client.jetstream().consumers_info("KV_b") if not one.push_bound
        ]
        assert len(unheard) == 20
        threshold = unheard[0].config.inactive_threshold
        await asyncio.sleep(threshold - 5)
        assert await consumer_count(client) == 21, "a client may yet come back"
        await asyncio.sleep(10)
        assert await consumer_count(client) == 1
        await kv.put("k", b"v")
        assert await mine.updates() is None
        assert (await mine.updates()).key == "k"
        await mine.stop()

    world.run(main())


def test_demand_10_a_durable_consumer_lives_as_long_as_its_client_asked(world):
    async def main():
        client, _ = await bucket(world)
        js = client.jetstream()
        await js.add_consumer("KV_b", durable_name="for_ever", ack_policy="explicit")
        for name, subject in (("pull", None), ("push", "nobody.listens")):
            await js.add_consumer(
                "KV_b",
                durable_name=name,
                deliver_subject=subject,
                ack_policy="explicit",
                inactive_threshold=60,
            )
        await asyncio.sleep(55)
        assert await consumer_count(client) == 3
        await asyncio.sleep(10)
        assert [one.name for one in await js.consumers_info("KV_b")] == ["for_ever"]

    world.run(main())


@pytest.mark.parametrize(
    ("pattern", "means"),
    [("a.*", r"a\.\d+"), ("a.>", r"a\.\d+"), ("*.7", r"[abc]\.7"), (">", r".*"), ("z.*", r"z.*")],
)
def test_demand_11_a_filtered_watch_shows_every_key_and_then_the_end(world, pattern, means):
    async def main():
        _, kv = await bucket(world, history=3)
        for at in range(300):
            key = f"{'abc'[at % 3]}.{at % 90}"
            await (kv.delete(key) if at % 7 == 0 else kv.put(key, b"%d" % at))
        last = {f"{'abc'[at % 3]}.{at % 90}": at for at in range(300)}
        wanted = {key for key in last if re.fullmatch(means, key)}
        entries = await initial(await kv.watch(pattern))
        assert len(entries) == len(wanted)
        assert {entry.key for entry in entries} == wanted
        assert [entry.revision for entry in entries] == sorted(last[key] + 1 for key in wanted)

    world.run(main())


def test_demand_12_a_bad_key_is_an_error_at_once_and_the_connection_stays(world):
    async def main():
        client, kv = await bucket(world)
        start = world.loop.elapsed
        for key in ("a..b", "", "a."):
            with pytest.raises(NoStreamResponseError):
                await client.jetstream().publish(f"$KV.b.{key}", b"v")
        for key in ("a.*", "a.>"):
            answer = await client.request(f"$KV.b.{key}", b"v")
            assert b'"err_code":10003' in answer.data
        for key in ("a/b", "a=b", "a_b", "A-b.c.1"):
            await kv.put(key, b"v")
        assert sorted(await kv.keys()) == ["A-b.c.1", "a/b", "a=b", "a_b"]
        assert world.loop.elapsed - start < limits.SECOND_NS
        assert client.stats["reconnects"] == 0

    world.run(main())


def test_demand_13_markers_of_deletes_pile_up_until_they_are_purged(world):
    async def main():
        _, kv = await bucket(world, history=5)
        for at in range(50):
            await kv.put(f"k{at}", b"v")
            await kv.delete(f"k{at}")
        await kv.put("stays", b"v")
        await kv.purge("k0")
        assert (await kv.status()).values == 100  # 49 values, 50 markers, one that stays
        await kv.purge_deletes()
        assert (await kv.status()).values == 51, "young markers stay: watchers may be behind"
        await asyncio.sleep(31 * 60)
        await kv.purge_deletes()
        assert (await kv.status()).values == 1
        assert await kv.keys() == ["stays"]

    world.run(main())


def test_demand_18_who_never_reads_is_cut_off_and_nobody_else_notices(world, monkeypatch):
    monkeypatch.setattr(limits, "PENDING_OUTPUT_BYTES", 100_000)

    async def main():
        client, kv = await bucket(world)
        reader, writer = await asyncio.open_connection("n1", 4222)
        await reader.readline()
        reader._transport.pause_reading()
        writer.write(b'CONNECT {"verbose":false}\r\nSUB $KV.b.> 1\r\n')
        watcher = await kv.watchall()
        assert await watcher.updates() is None
        before = world.host().connections
        for at in range(20):
            await kv.put(f"k{at}", bytes(10_000))
            assert (await watcher.updates()).key == f"k{at}"
        assert (before, world.host().connections) == (2, 1)
        assert client.stats["reconnects"] == 0
        writer.close()

    world.run(main())
