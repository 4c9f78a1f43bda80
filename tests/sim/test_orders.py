"""Orders: the walk itself, and two clients' requests led through their gates."""

import asyncio
import math

import pytest
from nats.js.errors import KeyWrongLastSequenceError

from kvcore.sim.errors import NotInThisWorld
from kvcore.sim.gate import Gate, play, transport_of
from kvcore.sim.orders import Orders
from kvcore.sim.wire import Wire
from kvcore.sim.world import World


def walked(depths, bound=1000):
    """The leaves of a tree: at depth d there are depths[d] options."""
    orders, leaves = Orders(bound), []
    while orders.more():
        leaves.append(tuple(orders.pick(range(n)) for n in depths))
    return orders, leaves


def test_each_order_is_run_exactly_once():
    orders, leaves = walked([2, 3, 2])
    assert orders.count == len(leaves) == len(set(leaves)) == 12
    assert leaves == sorted(leaves)
    assert orders.complete


def test_a_tree_whose_later_choices_depend_on_the_earlier_is_walked_whole():
    orders, leaves = Orders(), []
    while orders.more():
        left = {"A": 4, "B": 4}
        order = ""
        while ready := [name for name, count in left.items() if count]:
            order += orders.pick(ready)
            left[order[-1]] -= 1
        leaves.append(order)
    assert len(set(leaves)) == len(leaves) == math.comb(8, 4)


def test_beyond_the_bound_the_walk_ends_and_says_that_it_is_not_complete():
    orders, leaves = walked([2, 2, 2], bound=3)
    assert len(leaves) == 3
    assert not orders.complete


def test_a_run_without_choices_is_one_order():
    orders, leaves = walked([])
    assert (orders.count, leaves, orders.complete) == (1, [()], True)


def test_a_run_that_cannot_be_repeated_is_an_error():
    orders = Orders()
    assert orders.more()
    orders.pick("AB")
    orders.pick("AB")
    assert orders.more()
    with pytest.raises(RuntimeError, match="not repeatable"):
        orders.pick("ABC")


async def put_after_get(kv, key):
    entry = await kv.get(key)
    await kv.put(key, b"%d" % (int(entry.value) + 1))


async def compare_and_set(kv, key):
    while True:
        entry = await kv.get(key)
        try:
            await kv.update(key, b"%d" % (int(entry.value) + 1), last=entry.revision)
        except KeyWrongLastSequenceError:
            continue
        return


def every_order(increment, times, seed=1):
    """Each order of two clients that increment so often, with what the key ends at."""

    async def main():
        clients = {name: await world.connect() for name in "AB"}
        handles = {}
        for name, client in clients.items():
            handles[name] = await client.jetstream().create_key_value(bucket="c")
        gates = {name: Gate(client) for name, client in clients.items()}
        other = await (await world.connect()).jetstream().key_value("c")
        orders, ends = Orders(), {}

        async def work(kv, key):
            for _ in range(times):
                await increment(kv, key)

        while orders.more():
            key = f"k{orders.count}"
            await other.put(key, b"0")
            jobs = {name: work(kv, key) for name, kv in handles.items()}
            played = await play(jobs, gates, orders.pick)
            assert played.text not in ends
            ends[played.text] = int((await other.get(key)).value)
        return orders, ends

    with World(seed=seed) as world:
        return world.run(main())


def test_every_order_of_get_and_put_is_run_and_four_of_six_lose_an_increment():
    orders, ends = every_order(put_after_get, 1)
    assert orders.complete
    assert ends == {
        "A A B B": 2, "A B A B": 1, "A B B A": 1, "B A A B": 1, "B A B A": 1, "B B A A": 2,
    }  # fmt: skip


def test_two_increments_each_make_seventy_orders():
    orders, ends = every_order(put_after_get, 2)
    assert orders.count == len(ends) == math.comb(8, 4)
    assert sum(end < 4 for end in ends.values()) == 64
    assert min(ends.values()) == 2


def test_compare_and_set_loses_nothing_in_any_order():
    orders, ends = every_order(compare_and_set, 1)
    assert orders.complete
    assert len(ends) == 6
    assert set(ends.values()) == {2}


def test_the_walk_is_the_same_for_the_same_seed_and_finds_the_same_with_another():
    first, again, other = (every_order(put_after_get, 1, seed)[1] for seed in (1, 1, 2))
    assert list(first.items()) == list(again.items()) == list(other.items())


def in_a_world(main):
    with World(seed=1) as world:
        return world.run(main(world))


async def with_bucket(world):
    client = await world.connect()
    return client, await client.jetstream().create_key_value(bucket="c")


def test_a_request_at_its_gate_has_not_reached_the_server():
    async def main(world):
        client, kv = await with_bucket(world)
        _, other = await with_bucket(world)
        with Gate(client) as gate:
            late = asyncio.create_task(kv.put("k", b"late"))
            await gate.request()
            assert await other.put("k", b"first") == 1
            gate.let_through()
            assert await late == 2
        assert await kv.put("k", b"open again") == 3

    in_a_world(main)


def test_who_spins_is_stopped_at_the_bound_and_named():
    async def main(world):
        client, kv = await with_bucket(world)

        async def spin():
            while True:
                await kv.put("k", b"again")

        played = await play({"A": spin()}, {"A": Gate(client)}, min, bound=9)
        assert played.endless == ("A",)
        assert played.order == ["A"] * 9

    in_a_world(main)


def test_who_sleeps_does_not_hold_up_the_others():
    async def main(world):
        (a, kv_a), (b, kv_b) = await with_bucket(world), await with_bucket(world)

        async def sleepy():
            await asyncio.sleep(4)
            await kv_a.put("k", b"A")

        gates = {"A": Gate(a), "B": Gate(b)}
        played = await play({"A": sleepy(), "B": kv_b.put("k", b"B")}, gates, min)
        assert played.order == ["B", "A"]

    in_a_world(main)


def test_an_error_of_one_client_is_kept_with_its_name():
    async def main(world):
        client, kv = await with_bucket(world)
        played = await play({"A": kv.update("k", b"x", last=7)}, {"A": Gate(client)}, min)
        assert isinstance(played.errors["A"], KeyWrongLastSequenceError)
        assert played.values == {}

    in_a_world(main)


def test_the_wire_knows_all_four_times_of_a_request():
    async def main(world):
        client, kv = await with_bucket(world)
        wire = Wire({"A": client})
        await kv.update("k", b"1", last=0)
        (each,) = wire.exchanges
        assert each.sent < each.arrived < each.answered < each.heard
        assert (each.client, each.subject, each.payload) == ("A", "$KV.c.k", b"1")
        assert b"Nats-Expected-Last-Subject-Sequence: 0" in each.headers
        assert b'"seq":1' in each.answer
        await world.clients[0].publish("lonely", b"x")
        await client.flush()
        assert (wire.exchanges[-1].reply_to, wire.exchanges[-1].answered) == ("", None)

    in_a_world(main)


def test_the_wire_shows_what_a_break_lost():
    async def main(world):
        client, kv = await with_bucket(world)
        wire = Wire({"A": client})
        late = asyncio.create_task(kv.put("k", b"lost"))
        with Gate(client) as gate:
            await gate.request()
            transport_of(client).abort()
            with pytest.raises(Exception, match="timeout"):
                await late
        (each,) = wire.exchanges
        assert (each.arrived, each.answered, each.heard) == (None, None, None)

    in_a_world(main)


def test_a_gate_needs_a_simulated_connection():
    class Other:
        _transport = None

    with pytest.raises(NotInThisWorld):
        transport_of(Other())
