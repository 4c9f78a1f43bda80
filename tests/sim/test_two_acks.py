"""A successor answers what it inherits: nats-py must take a second PubAck as nothing."""

import asyncio

from kvcore.sim.world import World


def test_nats_py_ignores_a_second_ack():
    async def main():
        complaints = []

        async def complain(error):
            complaints.append(error)

        client = await world.connect(error_cb=complain)
        number = 0

        async def twice(message):
            nonlocal number
            number += 1
            ack = b'{"stream":"KV_b","seq":%d}' % number
            await client.publish(message.reply, ack)
            await client.publish(message.reply, ack)

        await client.subscribe("two.*", cb=twice)
        js = client.jetstream()
        assert [(await js.publish("two.a", b"")).seq for _ in range(3)] == [1, 2, 3]
        futures = [await js.publish_async("two.b", b"") for _ in range(3)]
        assert [ack.seq for ack in await asyncio.gather(*futures)] == [4, 5, 6]
        await asyncio.sleep(1)
        assert not complaints
        assert js.publish_async_pending() == 0

    with World(seed=1) as world:
        world.run(main())
