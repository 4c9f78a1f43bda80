"""Each request has one answer, also while leaders change: never two, and none only in flight.

A client of one server asks this and that of the API while the meta group and a stream change
their leaders. Who answers is decided where the client is: a leader that listens, or the guard
that knows of none. A request that is on its way to a leader in the moment in which it steps
down stays without an answer, as with nats-server.

A change that one leader has committed and its successor applies may be answered by both: the
successor can't know whether the other came to it. So it is with PubAcks, too.
"""

import asyncio
import json
from collections import Counter
from random import Random

import pytest

from kvcore import limits
from kvcore.sim.world import World
from tests.support.driven import bucket

FLIGHT = 5 * limits.MILLISECOND_NS  # a step-down takes about as long
ROUNDS, BURST = 6, 24  # requests, about half a millisecond apart; amid them a leader changes
NO_BODY = {
    verb: f"$JS.API.{verb}"
    for verb in (
        "INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.KV_b", "STREAM.MSG.GET.KV_b",
        "CONSUMER.NAMES.KV_b", "CONSUMER.LIST.KV_b",
    )
}  # fmt: skip


def request(rng, number):
    verb = rng.choice([*NO_BODY, "UPDATE", "CREATE"])
    if verb in NO_BODY:
        return NO_BODY[verb], b""
    name = "b" if verb == "UPDATE" else f"n{number}"
    config = bucket(name, num_replicas=3, description=f"number {number}")
    return f"$JS.API.STREAM.{verb}.KV_{name}", json.dumps(config).encode()


async def ask_while_leaders_change(world, rng):
    """What was asked and when, when leaders changed, and who was answered how often."""
    client = await world.connect(servers=world.urls[:1])
    answers, asked, changes = Counter(), {}, []

    async def on_answer(message):
        number = int(message.subject.rpartition(".")[2])
        answers[number] += 1
        if world.now - asked[number][1] > 5 * limits.SECOND_NS:
            answers[number] += 100  # nobody waits so long

    await client.subscribe("_mine.*", cb=on_answer)
    create = json.dumps(bucket("b", num_replicas=3)).encode()
    await client.request("$JS.API.STREAM.CREATE.KV_b", create, timeout=5)

    for number in range(ROUNDS * BURST):
        if number % BURST == BURST // 4:
            changes.append(world.now)
            world.step_down(rng.choice(["KV_b", "KV_b", "_meta_"]))
        elif number % BURST == 0:
            await asyncio.sleep(1)
        subject, body = request(rng, number)
        asked[number] = subject, world.now
        await client.publish(subject, body, reply=f"_mine.{number}")
        await client.flush()
    await asyncio.sleep(6)
    return asked, changes, answers


@pytest.mark.parametrize("start", [0, 10, 20, 30])
def test_no_request_has_two_answers_and_none_goes_without_but_in_flight(start):
    unanswered = total = 0
    for seed in range(start, start + 10):
        with World(servers=3, seed=seed) as world:
            asked, changes, answers = world.run(ask_while_leaders_change(world, Random(seed)))
        assert len(changes) == ROUNDS
        for number, (subject, at) in asked.items():
            is_in_flight = any(abs(at - moment) < FLIGHT for moment in changes)
            most = 2 if is_in_flight and ".UPDATE." in subject else 1
            assert (not is_in_flight) <= answers[number] <= most, (seed, subject, answers[number])
            unanswered += not answers[number]
        total += len(asked)
    assert unanswered <= total // 20
