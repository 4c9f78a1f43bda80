"""`--sync interval`, three servers, and the power goes on two of them: the third begins anew.

It has applied what the others lost, and its log no longer reaches back to where theirs end. The
bucket must not wait for it until a client happens to write.
"""

import asyncio

import nats.errors
import pytest

from kvcore import limits
from kvcore.sim.host import State
from kvcore.sim.world import World

BUCKET = "KV_b"


async def until(condition, seconds=10):
    for _ in range(int(seconds * 100)):
        if found := condition():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to pass")


def stream(world, name):
    node = world.hosts[name].node
    return node._hosts[BUCKET]


def contents(world, name):
    machine = stream(world, name).stream
    return [machine.message(seq) for seq in machine.sequences()]


async def write(kv, numbers):
    for number in numbers:
        try:
            await kv.put(f"k{number % 7}", b"%d" % number)
        except (nats.errors.Error, TimeoutError):
            return


async def cut_two(world, written):
    """The leader, down, with its log's base and what it applied; the others lead again."""
    client = await world.connect()
    kv = await client.jetstream().create_key_value(bucket="b", replicas=3)
    await write(kv, range(100))
    first = world.leader(BUCKET)
    others = [name for name in world.hosts if name != first]
    state = stream(world, first).group.raft.state
    await client.close()
    world.crash(first)
    for name in others:
        world.power_cut(name)
    for name in others:
        world.restart(name)
    await until(lambda: world.leader(BUCKET))
    client = await world.connect()
    kv = await client.jetstream().key_value("b")
    await write(kv, range(written))
    await client.close()
    return first, others, state


@pytest.mark.parametrize("written", [0, 30, 200])
def test_a_server_that_applied_what_the_others_lost_begins_anew_within_a_second(
    written, monkeypatch
):
    monkeypatch.setattr(limits, "LOG_KEPT_COUNT", 8)
    lost = 0

    async def main():
        nonlocal lost
        first, others, state = await cut_two(world, written)
        behind = stream(world, world.leader(BUCKET)).group.raft.state
        lost += written == 0 and behind.last_index < state.log.base
        world.restart(first)
        asked = world.now
        await until(lambda: stream(world, first).group.raft.state.commit)
        await until(lambda: not stream(world, first).group.raft.is_recovering)
        leader = stream(world, world.leader(BUCKET)).group
        await until(lambda: stream(world, first).group.applied == leader.applied)
        assert world.now - asked < limits.SECOND_NS
        assert contents(world, first) == contents(world, others[0]) == contents(world, others[1])
        assert all(host.state is State.UP for host in world.hosts.values())

    for seed in range(12):
        with World(servers=3, seed=seed, sync="interval") as world:
            world.run(main())
    assert lost > 0 or written
