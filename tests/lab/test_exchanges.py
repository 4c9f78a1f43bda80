import asyncio

import pytest
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from kvcore.lab.cluster import Cluster, NotInThisWorld, run_apart
from kvcore.lab.exchanges import record, told, wire_picture
from kvcore.lab.remote import to_the_end


def story(script):
    """What a script did on one client, in words and in short."""

    async def main(cluster):
        client = await cluster.connect()
        kv = await client.jetstream().create_key_value(bucket="c", history=5)
        wire = record(cluster, A=client)
        await script(kv)
        return [told(each) for each in wire.exchanges], wire_picture(wire, title="so it went")

    return run_apart(main, seed=1)


async def a_life(kv):
    await kv.put("k", b"5")
    await kv.get("k")
    await kv.update("k", b"6", last=1)
    with pytest.raises(KeyWrongLastSequenceError):
        await kv.update("k", b"7", last=1)
    with pytest.raises(KeyNotFoundError):
        await kv.get("none")
    await kv.delete("k")
    with pytest.raises(KeyNotFoundError):
        await kv.get("k")
    await kv.create("new", b"")
    await kv.get("k", revision=1)


def test_calls_are_told_in_words():
    calls, _ = story(a_life)
    assert [call.text for call in calls] == [
        "A puts k=5: stored as revision 1",
        "A reads k: 5, revision 1",
        "A updates k to 6 if it is still #1: stored as revision 2",
        "A updates k to 7 if it is still #1: refused, wrong last sequence: 2",
        "A reads none: no such key",
        "A deletes k: stored as revision 3",
        "A reads k: a tombstone, revision 3",
        "A creates new=: stored as revision 4",
        "A reads #1: 5, revision 1",
    ]
    assert [call.outcome for call in calls].count("failed") == 2


def test_the_picture_has_a_row_for_each_call():
    calls, picture = story(a_life)
    assert [row[1] for row in picture.table.rows] == [call.short for call in calls]
    assert picture.alt.startswith("so it went: lanes A, n1.")


def test_a_call_without_an_answer_is_unknown():
    async def main(cluster):
        client = await cluster.connect()
        kv = await client.jetstream().create_key_value(bucket="c")
        wire = record(cluster, A=client)
        await cluster.pause("n1")
        with pytest.raises(Exception, match="timeout"):
            await kv.put("k", b"5")
        early = [told(each) for each in wire.exchanges]
        await cluster.resume("n1")
        await asyncio.sleep(1)
        return early, [told(each).text for each in wire.exchanges]

    early, late = run_apart(main, seed=1)
    assert early == []  # a paused server's links keep what is on its way: nothing has arrived
    assert late == ["A puts k=5: stored as revision 1"]


def test_on_real_servers_the_clients_end_is_heard_and_the_servers_put_halfway():
    async def main():
        async with Cluster.processes(1) as cluster:
            nc = await cluster.connect()
            kv = await nc.jetstream().create_key_value(bucket="c")
            wire = record(cluster, A=nc)
            await kv.put("k", b"5")
            await kv.get("k")
            (put, get) = wire.exchanges
            assert told(put).text == "A puts k=5: stored as revision 1"
            assert told(get).text == "A reads k: 5, revision 1"
            assert put.arrived == put.answered == (put.sent + put.heard) // 2
            assert put.heard <= get.sent
            trace = cluster.trace_text()
            assert trace.index("PUB $KV.c.k") < trace.index('{"stream":"KV_c"')
            (line,) = [each for each in trace.splitlines() if "PUB $KV.c.k" in each]
            assert line.split()[1:4] == ["n1", "receive", "conn=1"]
            with pytest.raises(NotInThisWorld, match="connect"):
                record(cluster, B=Client())

    asyncio.run(to_the_end(main))
