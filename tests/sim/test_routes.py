"""Core NATS with nats-py's own clients, each on another server of a simulated cluster."""

import asyncio

import pytest
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from kvcore.sim.world import World

SOON = 0.01
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


def servers(world, *names):
    """Where a client looks that is to be on the first of these servers."""
    return [f"nats://{name}:{world.host(name).config.port}" for name in names]


async def on_each(world, **options):
    """A client of each server."""
    return [await world.connect(servers=servers(world, name), **options) for name in world.hosts]


@SEEDS
def test_a_subscriber_hears_publishers_of_all_servers_in_each_ones_order(seed):
    with World(servers=3, seed=seed) as world:

        async def main():
            clients = await on_each(world)
            heard = await clients[0].subscribe("news.*")
            await clients[0].flush()
            await asyncio.sleep(SOON)
            for number in range(50):
                for at, client in enumerate(clients):
                    await client.publish(f"news.{at}", b"%d" % number)
            for client in clients:
                await client.flush()
            await asyncio.sleep(SOON)
            found = {at: [] for at in range(3)}
            while heard.pending_msgs:
                message = await heard.next_msg()
                found[int(message.subject[-1])].append(int(message.data))
            assert found == {at: list(range(50)) for at in range(3)}

        world.run(main())


@SEEDS
def test_workers_of_one_group_on_three_servers_share_the_work(seed):
    with World(servers=3, seed=seed) as world:

        async def main():
            clients, done = await on_each(world), []

            def worker(name):
                async def work(message):
                    done.append((name, message.data))
                    await message.respond(name.encode())

                return work

            for at, client in enumerate(clients[1:], 2):
                for twin in "ab":
                    await client.subscribe("work", queue="w", cb=worker(f"n{at}{twin}"))
                await client.flush()
            await asyncio.sleep(SOON)
            asked = [clients[0].request("work", b"%d" % n, timeout=1) for n in range(60)]
            answers = await asyncio.gather(*asked)
            assert sorted(int(data) for _, data in done) == list(range(60))
            assert {answer.data for answer in answers} == {b"n2a", b"n2b", b"n3a", b"n3b"}

        world.run(main())


@SEEDS
def test_a_request_that_nobody_serves_fails_at_once_and_so_it_does_when_the_server_died(seed):
    with World(servers=3, seed=seed) as world:

        async def main():
            asker, answerer, _ = await on_each(world, allow_reconnect=False)
            with pytest.raises(NoRespondersError):
                await asker.request("help", b"", timeout=5)

            async def answer(message):
                await message.respond(b"!")

            await answerer.subscribe("help", cb=answer)
            await answerer.flush()
            await asyncio.sleep(SOON)
            assert (await asker.request("help", b"", timeout=1)).data == b"!"
            world.crash("n2")
            await asyncio.sleep(SOON)
            before = world.now
            with pytest.raises(NoRespondersError):
                await asker.request("help", b"", timeout=5)
            assert world.now - before < 10_000_000

        world.run(main())


def test_in_a_partition_a_request_waits_in_vain_for_interest_remains():
    with World(servers=2, seed=1) as world:

        async def main():
            asker, answerer = await on_each(world)

            async def answer(message):
                await message.respond(b"!")

            await answerer.subscribe("help", cb=answer)
            await answerer.flush()
            await asyncio.sleep(SOON)
            world.partition(["n1"], ["n2"])
            with pytest.raises(NatsTimeoutError):
                await asker.request("help", b"", timeout=1)
            world.heal()
            await asyncio.sleep(1)
            assert (await asker.request("help", b"", timeout=1)).data == b"!"

        world.run(main())


@SEEDS
def test_a_client_that_was_told_of_one_server_finds_another_when_that_dies(seed):
    with World(servers=3, seed=seed) as world:

        async def main():
            client = await world.connect(
                servers=servers(world, "n1"), reconnect_time_wait=0.1, max_reconnect_attempts=20
            )
            assert {url.netloc for url in client.discovered_servers} == {"n2:4223", "n3:4224"}
            other = await world.connect(servers=servers(world, "n3"))
            heard = await client.subscribe("news")
            await client.flush()
            world.crash("n1")
            await asyncio.sleep(2)
            assert client.is_connected
            assert client.connected_url.netloc in ("n2:4223", "n3:4224")
            await other.publish("news", b"still here")
            assert (await heard.next_msg(timeout=1)).data == b"still here"

        world.run(main())


def test_a_client_that_came_before_the_others_is_told_of_them():
    with World(servers=2, seed=1) as world:

        async def main():
            world.crash("n2")
            await asyncio.sleep(1)
            client = await world.connect(servers=servers(world, "n1"))
            assert client.discovered_servers == []
            world.restart("n2")
            await asyncio.sleep(1)
            assert [url.netloc for url in client.discovered_servers] == ["n2:4223"]

        world.run(main())
