"""Links between servers: bytes in order, silence in a cut, and a new link behind every gap."""

import asyncio
from dataclasses import replace

import pytest

from kvcore import limits
from kvcore.sim.world import World, disconnect
from tests.support.echo_node import EchoNode
from tests.support.peer_node import PEERS

SOON = 0.01
REDIAL = limits.PEER_REDIAL_NS / limits.SECOND_NS + SOON


def alone(config):
    return replace(config, cluster=None)


@pytest.fixture
def world():
    world = World(servers=3, seed=1, parts=PEERS)
    world.run(asyncio.sleep(SOON))
    yield world
    world.close()


def say(world, sender, to, data):
    world.host(sender).node.say(to, data)
    world.host(sender).wake()


def exchange(world, sender, to, data=b"x"):
    """Whether the bytes arrive."""
    before = world.host(to).node.taken.get(sender, b"")
    say(world, sender, to, data)
    world.run(asyncio.sleep(SOON))
    return world.host(to).node.taken.get(sender, b"") == before + data


def heard(world, name):
    found, world.host(name).node.heard = world.host(name).node.heard, []
    return found


def kinds(world, *wanted):
    return [record.kind for record in world.records if record.kind in wanted]


def test_servers_of_a_cluster_are_linked_from_the_start(world):
    assert sorted(heard(world, "n1")) == ["+n2", "+n3"]
    assert sorted(heard(world, "n3")) == ["+n1", "+n2"]


def test_servers_on_their_own_are_not_linked():
    with World(servers=2, seed=1, parts=PEERS, configure=alone) as world:
        world.run(asyncio.sleep(SOON))
        assert heard(world, "n1") == []


def test_bytes_arrive_in_order_after_a_delay(world):
    start = world.now

    async def main():
        for number in range(200):
            say(world, "n1", "n2", b"%d." % number)
            await asyncio.sleep(0.00001)

    world.run(main())
    world.run(asyncio.sleep(SOON))
    assert world.host("n2").node.taken["n1"] == b"".join(b"%d." % number for number in range(200))
    first = next(record for record in world.records if record.kind == "peer-receive")
    assert first.time - start >= limits.LINK_MIN_NS


def test_a_chunk_that_arrives_has_two_records_with_one_number(world):
    exchange(world, "n1", "n2", b"abc")
    sent, received = [r for r in world.records if r.kind in ("peer-send", "peer-receive")][-2:]
    assert (sent.server, sent.fields["to"]) == ("n1", "n2")
    assert (received.server, received.fields["from"]) == ("n2", "n1")
    assert sent.fields["id"] == received.fields["id"]


def test_a_partition_is_silence_and_what_was_said_into_it_is_lost(world):
    heard(world, "n1")
    world.partition(["n1"], ["n2", "n3"])
    assert not exchange(world, "n1", "n2")
    assert not exchange(world, "n3", "n1")
    assert exchange(world, "n2", "n3")
    assert heard(world, "n1") == []
    assert kinds(world, "peer-lost") == ["peer-lost"] * 2


def test_bytes_on_their_way_when_the_network_comes_apart_are_lost(world):
    say(world, "n1", "n2", b"late")
    world.run(asyncio.sleep(0))
    world.run(asyncio.sleep(0))
    world.partition(["n1"], ["n2", "n3"])
    world.run(asyncio.sleep(SOON))
    assert world.host("n2").node.taken["n1"] == b""


def test_after_the_heal_a_link_that_lost_bytes_is_made_anew_and_one_that_did_not_goes_on(world):
    world.partition(["n1"], ["n2", "n3"])
    exchange(world, "n1", "n2")
    for name in world.hosts:
        heard(world, name)
    world.heal()
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n1") == ["-n2", "+n2"]
    assert heard(world, "n2") == ["-n1", "+n1"]
    assert heard(world, "n3") == []
    assert exchange(world, "n1", "n2")
    assert exchange(world, "n3", "n1")


def test_servers_that_no_group_names_are_one_group_more(world):
    world.partition(["n1"])
    assert not exchange(world, "n1", "n2")
    assert exchange(world, "n3", "n2")


def test_a_second_partition_replaces_the_first(world):
    world.partition(["n1"], ["n2", "n3"])
    exchange(world, "n1", "n2")
    world.partition(["n1", "n2"], ["n3"])
    world.run(asyncio.sleep(SOON))
    assert exchange(world, "n1", "n2")
    assert not exchange(world, "n1", "n3")


def test_a_name_in_two_groups_is_refused(world):
    with pytest.raises(ValueError, match="two groups"):
        world.partition(["n1"], ["n1", "n2"])


def test_a_cut_is_one_way(world):
    world.cut("n1", "n2")
    assert not exchange(world, "n1", "n2")
    assert exchange(world, "n2", "n1")
    world.heal()
    world.run(asyncio.sleep(SOON))
    assert exchange(world, "n1", "n2")


def test_a_crash_closes_the_links_and_a_restart_makes_new_ones(world):
    heard(world, "n2")
    world.crash("n1")
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n2") == ["-n1"]
    world.restart("n1")
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n2") == ["+n1"]
    assert exchange(world, "n1", "n2")


def test_a_quick_restart_closes_the_old_link_before_the_new_one(world):
    heard(world, "n2")
    world.restart("n1")
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n2") == ["-n1", "+n1"]
    assert exchange(world, "n2", "n1")


def test_a_power_cut_is_silent_until_the_machine_is_back(world):
    heard(world, "n2")
    world.power_cut("n1")
    assert not exchange(world, "n3", "n2") or heard(world, "n2") == []
    say(world, "n2", "n1", b"lost")
    world.run(asyncio.sleep(5))
    assert heard(world, "n2") == []
    world.restart("n1")
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n2") == ["-n1", "+n1"]
    assert exchange(world, "n2", "n1")


def test_a_crash_in_a_partition_is_heard_after_the_heal(world):
    heard(world, "n2")
    world.partition(["n1"], ["n2", "n3"])
    world.crash("n1")
    world.run(asyncio.sleep(1))
    assert heard(world, "n2") == []
    world.heal()
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n2") == ["-n1"]


def test_what_comes_for_a_paused_server_waits(world):
    world.pause("n2")
    assert not exchange(world, "n1", "n2", b"a")
    assert heard(world, "n1") == ["+n2", "+n3"]
    world.resume("n2")
    world.run(asyncio.sleep(SOON))
    assert world.host("n2").node.taken["n1"] == b"a"


def test_a_link_to_a_paused_server_is_made_when_it_goes_on(world):
    world.crash("n1")
    world.pause("n2")
    world.restart("n1")
    world.run(asyncio.sleep(1))
    assert heard(world, "n1") == ["+n3"]
    world.resume("n2")
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n1") == ["+n2"]
    assert exchange(world, "n2", "n1")


def test_a_server_that_closes_a_link_gets_a_new_one_after_a_while(world):
    heard(world, "n1")
    heard(world, "n2")
    world.host("n1").node.unlinks = ("n2",)
    world.host("n1").wake()
    world.run(asyncio.sleep(SOON))
    assert heard(world, "n1") == ["-n2"]
    assert heard(world, "n2") == ["-n1"]
    world.run(asyncio.sleep(REDIAL))
    assert heard(world, "n1") == ["+n2"]
    assert exchange(world, "n1", "n2")


def test_bytes_for_a_server_that_is_not_linked_are_dropped(world):
    world.crash("n2")
    world.run(asyncio.sleep(SOON))
    assert not kinds(world, "peer-lost")
    say(world, "n1", "n2", b"x")
    world.run(asyncio.sleep(SOON))
    assert not kinds(world, "peer-lost")


ECHO = replace(PEERS, make_node=EchoNode)


def test_clients_stay_connected_in_a_partition_unless_they_are_named():
    with World(servers=2, seed=1, parts=ECHO) as world:

        async def main():
            ann = await world.connect(name="ann", servers=["nats://n1:4222"])
            bob = await world.connect(name="bob", servers=["nats://n1:4222"])
            world.partition(["n1"], ["n2", "ann"])
            await bob.flush(timeout=1)
            with pytest.raises(Exception, match=r"[Tt]imeout"):
                await ann.flush(timeout=1)
            assert ann.is_connected  # silence, not a close
            world.heal()
            await asyncio.sleep(3)
            await ann.flush(timeout=1)
            assert (ann.stats["reconnects"], bob.stats["reconnects"]) == (1, 0)

        world.run(main())


def test_a_client_that_is_cut_off_from_one_server_finds_another():
    with World(servers=2, seed=1, parts=ECHO) as world:

        async def main():
            ann = await world.connect(name="ann", servers=["nats://n1:4222"])
            world.partition(["n1"], ["n2", "ann"])
            disconnect(ann)
            ann._server_pool.clear()
            other = await world.connect(
                name="ann", servers=world.urls, connect_timeout=1, dont_randomize=True
            )
            assert other.connected_url.netloc == "n2:4223"

        world.run(main())


def test_what_is_published_on_one_server_is_heard_on_another():
    with World(servers=3, seed=1) as world:

        async def main():
            ann = await world.connect(servers=["nats://n1:4222"])
            bob = await world.connect(servers=["nats://n3:4224"])
            heard = await bob.subscribe("news")
            await bob.flush()
            await asyncio.sleep(SOON)
            await ann.publish("news", b"!")
            assert (await heard.next_msg(timeout=1)).data == b"!"
            world.partition(["n3"])
            await ann.publish("news", b"lost")
            await asyncio.sleep(1)
            world.heal()
            await asyncio.sleep(1)
            await ann.publish("news", b"after")
            assert (await heard.next_msg(timeout=1)).data == b"after"

        world.run(main())
