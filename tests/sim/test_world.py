"""A world: the official client on a whole server, and what can befall both."""

import asyncio
from dataclasses import replace

import nats
import pytest
from nats.errors import NoServersError
from nats.js.errors import KeyNotFoundError

from kvcore import limits
from kvcore.sim.errors import NotInThisWorld, SimulationStalled
from kvcore.sim.host import State
from kvcore.sim.run import Parts
from kvcore.sim.world import PARTS, World, disconnect
from tests.support.echo_node import EchoNode


@pytest.fixture
def world():
    world = World(seed=1)
    yield world
    world.close()


async def bucket(world, **options):
    client = await world.connect()
    return client, await client.jetstream().create_key_value(bucket="b", **options)


def test_the_client_puts_and_gets(world):
    async def main():
        _, kv = await bucket(world)
        assert await kv.put("key", b"value") == 1
        assert (await kv.get("key")).value == b"value"

    world.run(main())
    assert world.loop.elapsed < limits.SECOND_NS


def test_the_clients_default_address_finds_the_server(world):
    async def main():
        client = await nats.connect()
        assert client.is_connected
        await client.close()

    world.run(main())


def test_an_ack_takes_at_least_a_sync(world):
    async def main():
        _, kv = await bucket(world)
        start = world.loop.elapsed
        await kv.put("key", b"value")
        assert world.loop.elapsed - start >= limits.DISK_SYNC_MIN_NS + 2 * limits.LINK_MIN_NS

    world.run(main())


def test_puts_that_come_together_share_a_sync(world):
    async def main():
        _, kv = await bucket(world)
        before = world.host().syncs
        await asyncio.gather(*[kv.put(f"key{number}", b"") for number in range(200)])
        assert world.host().syncs - before < 20

    world.run(main())


def test_a_watch_ends_its_snapshot_and_goes_on(world):
    async def main():
        _, kv = await bucket(world)
        await kv.put("a", b"1")
        watcher = await kv.watchall()
        assert (await watcher.updates()).key == "a"
        assert await watcher.updates() is None
        await kv.put("b", b"2")
        assert (await watcher.updates()).key == "b"
        await watcher.stop()

    world.run(main())


def test_a_value_expires_in_virtual_time(world):
    async def main():
        _, kv = await bucket(world, ttl=60.0)
        await kv.put("key", b"value")
        await asyncio.sleep(61)
        with pytest.raises(KeyNotFoundError):
            await kv.get("key")

    world.run(main())


def test_a_crash_loses_nothing_that_was_acked_and_clients_come_back(world):
    async def main():
        client, kv = await bucket(world)
        await kv.put("key", b"value")
        world.crash()
        await asyncio.sleep(1)
        assert world.host().state is State.CRASHED
        assert not client.is_connected
        world.restart()
        await asyncio.sleep(3)
        assert (await kv.get("key")).value == b"value"

    world.run(main())


def test_a_restart_of_a_running_server_keeps_its_streams(world):
    async def main():
        _, kv = await bucket(world)
        await kv.put("key", b"value")
        world.restart()
        await asyncio.sleep(3)
        assert await kv.put("key", b"other") == 2

    world.run(main())


def test_a_paused_server_answers_when_it_goes_on(world):
    async def main():
        _, kv = await bucket(world)
        world.pause()
        put = asyncio.create_task(kv.put("key", b"value"))
        await asyncio.sleep(3)
        assert not put.done()
        world.resume()
        assert await put == 1

    world.run(main())


def test_a_power_cut_is_silent_until_the_machine_is_back(world):
    async def main():
        client, kv = await bucket(world)
        await kv.put("key", b"value")
        world.power_cut()
        await asyncio.sleep(30)
        assert client.is_connected  # it has not heard
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection("n1", 4222), 5)
        world.restart()
        with pytest.raises(nats.errors.TimeoutError):
            await client.request("nobody.listens", b"", timeout=0.5)
        await asyncio.sleep(3)
        assert (await kv.get("key")).value == b"value"

    world.run(main())


def test_nobody_answers_where_a_server_has_crashed(world):
    async def main():
        world.crash()
        with pytest.raises(NoServersError):
            await nats.connect("nats://n1:4222", max_reconnect_attempts=1, error_cb=_ignore)

    world.run(main())


async def _ignore(_error):
    pass


def test_a_disconnected_client_is_back_within_milliseconds(world):
    async def main():
        client, kv = await bucket(world)
        await asyncio.sleep(10)
        start = world.loop.elapsed
        disconnect(client)
        while client.stats["reconnects"] == 0:
            await asyncio.sleep(0.001)
        assert world.loop.elapsed - start < 20 * limits.MILLISECOND_NS
        assert await kv.put("key", b"value") == 1

    world.run(main())


def test_a_verb_that_makes_no_sense_says_why(world):
    world.crash()
    with pytest.raises(ValueError, match="n1 is crashed; restart it first"):
        world.pause()
    with pytest.raises(ValueError, match="no server 'n9'; there are n1"):
        world.crash("n9")


def test_other_hosts_do_not_exist(world):
    async def main():
        with pytest.raises(NotInThisWorld, match=r"example\.com"):
            await asyncio.open_connection("example.com", 4222)

    world.run(main())


@pytest.mark.parametrize("servers", [1, 3])
def test_a_watch_that_never_hears_stalls_after_a_virtual_hour(servers):
    with World(servers=servers, configure=lambda each: replace(each, cluster=None)) as world:

        async def main():
            _, kv = await bucket(world)
            watcher = await kv.watchall()
            assert await watcher.updates() is None
            async for _entry in watcher:
                pass

        start = world.loop.elapsed
        with pytest.raises(SimulationStalled, match="async for _entry in watcher"):
            world.run(main())
        waited = world.loop.elapsed - start
        assert limits.HOUR_NS < waited < limits.HOUR_NS + 2 * limits.MINUTE_NS


def test_a_long_time_out_of_the_learners_is_not_a_stall(world):
    async def main():
        client = await world.connect()
        subscription = await client.subscribe("silence")
        with pytest.raises(nats.errors.TimeoutError):
            await subscription.next_msg(timeout=4 * 3600)

    world.run(main())
    assert world.loop.elapsed > 4 * limits.HOUR_NS


def test_waiting_for_a_server_that_is_down_stalls_too(world):
    async def main():
        client = await world.connect(max_reconnect_attempts=-1)
        world.crash()
        await client.flush(timeout=1)

    with pytest.raises((nats.errors.Error, TimeoutError)):
        world.run(main())

    async def forever():
        await asyncio.Future()

    with pytest.raises(SimulationStalled):
        world.run(forever())


def test_closing_ends_every_task_and_closing_again_does_nothing():
    world = World(seed=1)

    async def main():
        _, kv = await bucket(world)
        await kv.watchall()

    world.run(main())
    assert world.loop.unfinished()
    world.close()
    assert world.loop.unfinished() == []
    assert world.loop.is_closed()
    world.close()


def test_two_worlds_do_not_disturb_each_other():
    with World(seed=1) as one, World(seed=2) as two:

        async def main(world):
            _, kv = await bucket(world)
            return await kv.put("key", b"value")

        assert one.run(main(one)) == two.run(main(two)) == 1
        assert one.trace_text() != two.trace_text()


def test_a_world_in_a_world_is_possible():
    with World(seed=1) as outer:

        async def check():
            with World(seed=2) as inner:

                async def main():
                    _, kv = await bucket(inner)
                    return await kv.put("key", b"value")

                return inner.run(main())

        async def main():
            _, kv = await bucket(outer)
            assert await check() == 1
            assert await kv.put("key", b"value") == 1

        outer.run(main())


def test_server_names_and_settings_can_be_chosen():
    with World(names=["harbor"]) as world:

        async def main():
            client = await world.connect()
            assert client._server_info["server_name"] == "harbor"
            assert client.connected_url.hostname == "harbor"

        world.run(main())


def test_a_reader_who_never_reads_is_a_slow_consumer(monkeypatch):
    monkeypatch.setattr(limits, "PENDING_OUTPUT_BYTES", 100_000)
    with World(parts=Parts(EchoNode, PARTS.make_engines)) as world:

        async def main():
            reader, writer = await asyncio.open_connection("n1", 4222)
            await reader.readline()
            reader._transport.pause_reading()
            writer.write(b"SUB flood 1\r\n")
            client = await world.connect()
            for _ in range(20):
                await client.publish("flood", bytes(10_000))
                await client.flush()
            assert world.host().connections == 1
            writer.close()

        world.run(main())


def test_every_record_is_a_line_of_the_trace(world):
    async def main():
        _, kv = await bucket(world)
        await kv.put("key", b"value")

    world.run(main())
    text = world.trace_text()
    assert text.startswith("1767225600000000000 n1 start\n")
    kinds = {line.split()[2] for line in text.splitlines()}
    assert kinds >= {"start", "client-connected", "receive", "send", "sync"}
