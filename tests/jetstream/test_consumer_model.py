"""A consumer against a model that recomputes everything: pending is exact, always.

Random streams of puts, deletes, purges, rollups, expiries and polls, several commands a
turn, with watches of every policy that come, stall, go and are told of each outcome.
"""

from random import Random

import pytest

from kvcore import limits
from kvcore.jetstream.commands import CreateConsumer, DeleteMessage, Expire, Publish, Purge
from kvcore.limits import SECOND_NS
from kvcore.nats.subject import matches
from tests.support.desk import Desk

POLICIES = [
    '"deliver_policy":"all"',
    '"deliver_policy":"new"',
    '"deliver_policy":"last"',
    '"deliver_policy":"last_per_subject"',
    '"deliver_policy":"by_start_sequence","opt_start_seq":7',
]
FILTERS = ["$KV.b.>", "$KV.b.k1", "$KV.b.*.x"]
LASTING = ',"inactive_threshold":3600000000000'
FLOW = LASTING + ',"flow_control":true,"idle_heartbeat":5000000000'
KEYS = ["k0", "k1", "k2", "k1.x", "k2.x"]


def random_command(random: Random, desk: Desk):
    subject = f"$KV.b.{random.choice(KEYS)}"
    stream = desk.streams["KV_b"]
    header = None
    if random.random() < 0.1:
        header = b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n"
    elif random.random() < 0.1:
        header = b"NATS/1.0\r\nNats-TTL: 1\r\n\r\n"
    match random.randrange(10):
        case 0 | 1:
            seq = random.randint(1, stream.last_seq + 1)
            return DeleteMessage(seq, no_erase=False, reply="", time=desk.now)
        case 2:
            return Purge(random.choice(["", subject]), random.choice([0, 0, 1]), 0, "", desk.now)
        case 3:
            return Expire(desk.now)
        case _:
            return Publish(subject, "", header, b"v", desk.now)


def new_consumer(random: Random, name: str, now: int, more: str = "") -> CreateConsumer:
    config = f'{{"deliver_subject":"i.{name}","filter_subject":"{random.choice(FILTERS)}",'
    config += random.choice(POLICIES) + more + "}"
    return CreateConsumer(config.encode(), name, "", "", now)


@pytest.fixture(params=[1, 4096])
def slices(request, monkeypatch):
    """How much a search looks at in one step: in small steps, others change the stream."""
    monkeypatch.setattr(limits, "SEARCH_SLICE_COUNT", request.param)
    monkeypatch.setattr(limits, "SEARCHED_PER_TURN_COUNT", 2 * request.param)
    return request.param


@pytest.mark.parametrize("seed", range(25))
def test_pending_equals_what_is_left_to_deliver(seed, slices):
    random = Random(seed)
    desk = Desk()
    desk.make(
        max_msgs_per_subject=random.choice([1, 3]),
        allow_rollup_hdrs=True,
        allow_msg_ttl=True,
        subject_delete_marker_ttl=random.choice([0, SECOND_NS]),
    )
    delivered: dict[str, list[int]] = {}
    unready = 0
    for turn in range(60):
        desk.now += random.randrange(SECOND_NS)
        count = random.randrange(8)
        create_at = random.randint(0, count) if turn % 10 == 3 else -1
        outcomes = []
        for number in range(count + 1):
            if number == create_at:
                command = new_consumer(random, f"c{turn}", desk.now)
                delivered[command.name] = []
                outcomes.append(desk.commit("KV_b", command))
            elif number < count:
                outcomes.append(desk.commit("KV_b", random_command(random, desk)))
        desk.answered("KV_b", outcomes)
        check(desk, delivered)
        unready += sum(not consumer.is_ready for consumer in desk.hosted["KV_b"])
        present = random.random() < 0.7
        for one in desk.hosted["KV_b"].poll(desk.now, lambda _subject: present, 5):  # noqa: B023
            tokens = one.reply.split(".")
            name, seq, number, pending = tokens[3], *map(int, tokens[5:7]), int(tokens[8])
            assert seq > (delivered[name] or [0])[-1], "in the stream's order"
            delivered[name].append(seq)
            assert number == len(delivered[name]), "consumer sequences have no gap"
            assert pending >= 0
        for consumer in desk.hosted["KV_b"]:  # so that nothing sleeps for good
            desk.hosted["KV_b"].wake(consumer.config.deliver_subject)
        check(desk, delivered)
    desk.now += 100
    while desk.hosted["KV_b"].poll(desk.now, lambda _subject: True, 1000) or not all(
        consumer.is_ready for consumer in desk.hosted["KV_b"]
    ):
        pass
    assert bool(unready) == (slices == 1)
    assert all(consumer.num_pending == 0 for consumer in desk.hosted["KV_b"])


def check(desk: Desk, delivered: dict[str, list[int]]) -> None:
    """Pending sequences exist, match, lie after what was delivered, and miss nothing new."""
    stream = desk.streams["KV_b"]
    for consumer in desk.hosted["KV_b"]:
        if not consumer.is_ready:
            continue
        pending = list(consumer._pending[consumer._next :])
        assert consumer.num_pending == len(pending)
        assert pending == sorted(dict.fromkeys(pending))
        last = (delivered[consumer.name] or [0])[-1]
        (pattern,) = consumer.config.filters
        matching = [
            seq for seq in stream.sequences() if matches(pattern, stream.message(seq).subject)
        ]
        assert [seq for seq in pending if seq not in matching or seq <= last] == []
        if consumer.config.deliver_policy in ("all", "by_start_sequence"):
            start = max(consumer.config.opt_start_seq, last + 1)
            assert pending == [seq for seq in matching if seq >= start]


@pytest.mark.parametrize("seed", range(25))
def test_a_watch_is_told_its_end_by_a_host_that_polls_only_when_it_is_due(
    seed, slices, monkeypatch
):
    """The host wakes consumers when interest changes, and polls at their deadline, no more."""
    monkeypatch.setattr(limits, "FLOW_WINDOW_FIRST_BYTES", 150)
    monkeypatch.setattr(limits, "FLOW_WINDOW_MAX_BYTES", 300)
    random = Random(1000 + seed)
    desk = Desk()
    desk.make(
        max_msgs_per_subject=random.choice([1, 3]),
        allow_rollup_hdrs=True,
        allow_msg_ttl=True,
        subject_delete_marker_ttl=random.choice([0, SECOND_NS]),
    )
    consumers = desk.hosted["KV_b"]
    listening: set[str] = set()
    pending: dict[str, int] = {}

    def is_heard(subject: str) -> bool:
        return subject in listening

    def run() -> None:
        while (due := consumers.deadline()) is not None and due <= desk.now:
            for one in consumers.poll(desk.now, is_heard, random.choice([1, 3, 500])):
                if one.header and b"FlowControl" in one.header:
                    consumers.on_flow_reply(one.reply, desk.now)
                elif one.reply:
                    name, count = one.reply.split(".")[3], int(one.reply.split(".")[8])
                    pending[name] = count

    for turn in range(80):
        desk.now += random.randrange(SECOND_NS)
        outcomes = [desk.commit("KV_b", random_command(random, desk)) for _ in range(2)]
        if turn % 4 == 3:
            command = new_consumer(random, f"c{turn}", desk.now, random.choice([LASTING, FLOW]))
            outcomes.append(desk.commit("KV_b", command))
        outcomes.append(desk.commit("KV_b", random_command(random, desk)))
        desk.answered("KV_b", outcomes)
        if random.random() < 0.6:
            run()
        if known := [consumer.config.deliver_subject for consumer in consumers]:
            changed = random.choice(known)
            listening ^= {changed}
            consumers.wake(changed)
    for consumer in consumers:
        if consumer.config.deliver_subject not in listening:
            listening.add(consumer.config.deliver_subject)
            consumers.wake(consumer.config.deliver_subject)
    run()
    assert [consumer.name for consumer in consumers if consumer.num_pending] == []
    desk.put("k1")  # who lost what was pending for him hears the next message
    desk.put("k1.x")
    run()
    assert pending
    assert [name for name, left in pending.items() if left] == []
