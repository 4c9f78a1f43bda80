"""In a simulated world a server tells the truth about itself too, and the same in each run."""

import json

import pytest

from kvcore.sim.world import World


@pytest.fixture
def world():
    world = World(seed=1)
    yield world
    world.close()


async def asked(client, subject, **body):
    reply = await client.request(f"$SYS.REQ.{subject}", json.dumps(body).encode(), timeout=5)
    return json.loads(reply.data)


def test_every_count_equals_the_clients_own(world):
    async def main():
        writer, reader = await world.connect(), await world.connect()
        watcher = await world.connect()
        for n in range(5):
            await reader.subscribe(f"news.{n}")
        await reader.flush()
        kv = await writer.jetstream().create_key_value(bucket="b")
        for n in range(40):
            await writer.publish(f"news.{n % 5}", b"n" * n)
            await kv.put(f"k{n % 10}", b"v" * n)
        await writer.flush()
        await reader.flush()

        sent = {"msgs": writer.stats["out_msgs"], "bytes": writer.stats["out_bytes"]}
        varz = (await asked(watcher, "SERVER.PING.VARZ"))["data"]
        # The question itself was counted before it was answered: one message of two bytes.
        assert varz["in_msgs"] == sent["msgs"] + 1
        assert varz["in_bytes"] == sent["bytes"] + 2
        heard = {
            name: sum(client.stats[name] for client in (writer, reader))
            for name in ("in_msgs", "in_bytes")
        }
        assert varz["out_msgs"] == heard["in_msgs"]
        assert varz["out_bytes"] == heard["in_bytes"]
        assert varz["connections"] == varz["total_connections"] == 3
        assert varz["subscriptions"] == 5 + 1 + 1  # the writer's and the watcher's inboxes

        connz = (await asked(watcher, "SERVER.PING.CONNZ", sort="subs"))["data"]
        most = connz["connections"][0]
        assert (most["subscriptions"], most["out_msgs"]) == (5, reader.stats["in_msgs"])
        assert most["out_bytes"] == reader.stats["in_bytes"] == sum(range(40))
        subsz = (await asked(watcher, "SERVER.PING.SUBSZ", subscriptions=True))["data"]
        assert subsz["num_subscriptions"] == subsz["total"] == 7
        news = [each for each in subsz["subscriptions_list"] if each["subject"].startswith("news.")]
        assert [each["msgs"] for each in news] == [8] * 5

        status = await kv.status()
        jsz = (await asked(watcher, "SERVER.PING.JSZ"))["data"]
        assert jsz["messages"] == status.stream_info.state.messages == 10
        assert jsz["bytes"] == status.stream_info.state.bytes
        assert jsz["streams"] == 1
        (account,) = (await asked(watcher, "ACCOUNT.PING.STATZ"))["data"]["account_statz"]
        assert account["conns"] == 3
        assert account["num_subscriptions"] == 7
        assert (await asked(watcher, "SERVER.PING.HEALTHZ"))["data"]["status"] == "ok"

    world.run(main())


def test_memory_and_processor_time_are_absent(world):
    async def main():
        client = await world.connect()
        statsz = (await asked(client, "SERVER.PING"))["statsz"]
        assert not {"mem", "cpu", "cores"} & statsz.keys()

    world.run(main())


def test_a_restarted_server_counts_anew_and_keeps_what_it_stores(world):
    async def main():
        client = await world.connect()
        kv = await client.jetstream().create_key_value(bucket="b")
        for n in range(7):
            await kv.put(f"k{n}", b"v")
        world.crash("n1")
        world.restart("n1")
        client = await world.connect()
        varz = (await asked(client, "SERVER.PING.VARZ"))["data"]
        assert varz["in_msgs"] <= 2
        jsz = (await asked(client, "SERVER.PING.JSZ"))["data"]
        assert jsz["messages"] == 7

    world.run(main())


def test_two_runs_of_one_seed_tell_the_same():
    def told():
        with_seed = World(seed=7)

        async def main():
            client = await with_seed.connect()
            await client.jetstream().create_key_value(bucket="b")
            return [
                (await client.request(f"$SYS.REQ.SERVER.PING.{name}", b"{}", timeout=5)).data
                for name in ("VARZ", "CONNZ", "SUBSZ", "JSZ")
            ]

        try:
            return with_seed.run(main())
        finally:
            with_seed.close()

    assert told() == told()
