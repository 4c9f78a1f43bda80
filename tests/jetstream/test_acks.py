"""Acknowledgements: what is delivered again, when, and what the numbers say."""

from random import Random

import pytest

from kvcore.jetstream.acknowledgements import nak_delay
from kvcore.jetstream.commands import DeleteMessage, Purge
from kvcore.limits import SECOND_NS
from tests.support.desk import INBOX, Desk

NUMBERS = ("num_ack_pending", "num_redelivered", "num_pending")


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.make(max_msgs_per_subject=-1)
    desk.subscribe()
    return desk


def seqs(deliveries) -> list[int]:
    return [int(one.reply.split(".")[5]) for one in deliveries if one.reply]


def counts(deliveries) -> list[int]:
    return [int(one.reply.split(".")[4]) for one in deliveries if one.reply]


def floor(desk: Desk, consumer: str = "d") -> tuple[int, int]:
    at = desk.info(consumer)["ack_floor"]
    return at["consumer_seq"], at["stream_seq"]


def numbers(desk: Desk, consumer: str = "d") -> tuple[int, ...]:
    info = desk.info(consumer)
    return tuple(info[name] for name in NUMBERS)


def delivered(desk: Desk, *keys: str, **config: object):
    """Puts, and what a durable push consumer delivers of them."""
    for key in keys:
        desk.put(key)
    desk.durable(deliver_subject=INBOX, **config)
    return desk.poll()


def test_the_floor_rises_over_what_is_acknowledged_without_a_gap(desk):
    one, two, three = delivered(desk, "a", "b", "c")
    desk.say(two)
    assert floor(desk) == (0, 0)
    desk.say(one)
    assert floor(desk) == (2, 2)
    desk.say(three)
    assert floor(desk) == (3, 3)
    assert numbers(desk) == (0, 0, 0)


def test_the_floor_has_the_streams_sequences_and_those_have_gaps(desk):
    for key in ("a", "x", "a", "x", "a"):
        desk.put(key)
    one, two, _ = delivered(desk, filter_subject="$KV.b.a")
    desk.say(one)
    assert floor(desk) == (1, 2)
    desk.say(two)
    assert floor(desk) == (2, 4)


def test_all_acknowledges_what_came_before(desk):
    messages = delivered(desk, "a", "b", "c", ack_policy="all")
    desk.say(messages[1])
    assert floor(desk) == (2, 2)
    assert numbers(desk) == (1, 0, 0)


def test_what_nobody_acknowledged_in_time_comes_again_with_a_count(desk):
    delivered(desk, "a", "b", ack_wait=SECOND_NS)
    again = desk.pass_time(SECOND_NS)
    assert (seqs(again), counts(again)) == ([1, 2], [2, 2])
    assert numbers(desk) == (2, 2, 0)


def test_an_acknowledged_message_never_comes_again(desk):
    one, two = delivered(desk, "a", "b", ack_wait=SECOND_NS)
    desk.say(one)
    assert seqs(desk.pass_time(3 * SECOND_NS)) == [2, 2, 2]
    desk.say(two, b"+TERM no use")
    assert desk.pass_time(3 * SECOND_NS) == []


def test_nak_brings_a_message_at_once_and_before_what_is_new(desk):
    one, _ = delivered(desk, "a", "b")
    desk.put("c")
    assert seqs(desk.say(one, b"-NAK")) == [1, 3]


def test_nak_with_a_delay_brings_it_then(desk):
    (one,) = delivered(desk, "a")
    assert desk.say(one, b'-NAK {"delay": 2000000000}') == []
    assert desk.pass_time(2 * SECOND_NS - 1) == []
    assert seqs(desk.pass_time(1)) == [1]


@pytest.mark.parametrize(
    ("text", "delay"),
    [(b"", None), (b" 1.5s", 1_500_000_000), (b'{"delay":7}', 7), (b"soon", None), (b"{", None)],
)
def test_a_nak_delay_is_json_or_a_duration_and_else_nothing(text, delay):
    assert nak_delay(text) == delay


def test_working_on_it_counts_the_time_anew(desk):
    (one,) = delivered(desk, "a", ack_wait=SECOND_NS)
    desk.pass_time(SECOND_NS * 3 // 4)
    desk.say(one, b"+WPI")
    assert desk.pass_time(SECOND_NS * 3 // 4) == []
    assert seqs(desk.pass_time(SECOND_NS // 4)) == [1]


def test_backoff_gives_each_delivery_its_own_time(desk):
    delivered(desk, "a", backoff=[SECOND_NS, 3 * SECOND_NS])
    assert counts(desk.pass_time(SECOND_NS)) == [2]
    assert desk.pass_time(3 * SECOND_NS - 1) == []
    assert counts(desk.pass_time(1)) == [3]


def test_a_message_is_given_up_after_max_deliver(desk):
    delivered(desk, "a", ack_wait=SECOND_NS, max_deliver=2)
    assert counts(desk.pass_time(9 * SECOND_NS)) == [2]
    assert numbers(desk) == (0, 1, 0)


def test_max_ack_pending_holds_back_what_is_new(desk):
    one, two = delivered(desk, "a", "b", "c", max_ack_pending=2)
    assert numbers(desk) == (2, 0, 1)
    assert seqs(desk.say(one)) == [3]
    assert seqs(desk.say(two, b"-NAK")) == [2], "a redelivery takes no more room"


def test_a_message_that_is_gone_needs_no_acknowledgement(desk):
    delivered(desk, "a", "b", "c", ack_wait=SECOND_NS)
    outcome = desk.commit("KV_b", DeleteMessage(1, no_erase=False, reply="", time=desk.now))
    desk.answered("KV_b", [outcome])
    assert floor(desk) == (1, 1)
    outcome = desk.commit("KV_b", Purge("", 0, 3, "", desk.now))
    desk.answered("KV_b", [outcome])
    assert seqs(desk.pass_time(SECOND_NS)) == [3]


def test_who_asks_is_told_when_the_acknowledgement_is_in_the_log(desk):
    (one,) = delivered(desk, "a")
    desk.hosted["KV_b"].on_acknowledgement(one.reply, "_I.ack", b"", desk.now)
    assert desk.safe == []
    desk.poll()
    assert desk.safe == ["_I.ack"]


def test_what_was_never_delivered_cannot_be_acknowledged(desk):
    (one,) = delivered(desk, "a")
    forged = one._replace(reply="$JS.ACK.KV_b.d.1.7.7.0.0")
    desk.say(forged, reply="_I.ack")
    assert desk.safe == []
    assert numbers(desk) == (1, 0, 0)


def test_a_forged_consumer_sequence_does_not_move_the_floor_of_all(desk):
    one, _two = delivered(desk, "a", "b", ack_policy="all")
    desk.say(one._replace(reply="$JS.ACK.KV_b.d.1.1.9999.0.0"), reply="_I.ack")
    assert floor(desk) == (0, 0)
    desk.say(one)
    assert floor(desk) == (1, 1)


def test_a_reply_subject_may_hold_any_character_but_a_space(desk):
    (one,) = delivered(desk, "a")
    desk.say(one, reply="_I.no\u00a0break")
    assert desk.safe == ["_I.no\u00a0break"]


@pytest.mark.parametrize(("purged", "safe"), [(True, ["_I.ack"]), (False, [])])
def test_an_acknowledgement_to_a_new_consumer_of_the_name_is_safe_once_its_message_is_gone(
    desk, purged, safe
):
    desk.put("a")
    desk.durable()
    (one,) = desk.pull()
    desk.ask("CONSUMER.DELETE.KV_b.d")
    if purged:
        desk.ask("STREAM.PURGE.KV_b")
    desk.durable(deliver_policy="by_start_sequence", opt_start_seq=1)
    desk.say(one, reply="_I.ack")
    assert desk.safe == safe
    assert floor(desk)[0] == 0


def test_the_floor_crosses_a_gap_of_any_size(desk):
    desk.put("a")
    for _ in range(200):
        desk.put("x")
    one, _two = delivered(desk, "a", filter_subject="$KV.b.a")
    desk.say(one)
    assert floor(desk) == (1, 201)


@pytest.mark.parametrize(
    "subject",
    ["$JS.ACK.KV_b.d.1.x.1.0.0", "$JS.ACK.KV_b.d.1.-1.1.0.0", "$JS.ACK.KV_b.d.1", "$JS.ACK.KV_b.z"],
)
def test_a_malformed_acknowledgement_is_ignored(desk, subject):
    (one,) = delivered(desk, "a")
    assert desk.say(one._replace(reply=subject), reply="_I.ack") == []
    assert numbers(desk) == (1, 0, 0)


def test_acknowledgements_of_a_turn_become_one_command(desk):
    messages = delivered(desk, "a", "b", "c")
    consumers = desk.hosted["KV_b"]
    for message in messages:
        consumers.on_acknowledgement(message.reply, "", b"+ACK", desk.now)
    consumers.poll(desk.now, desk.subscribed.__contains__)
    assert len(consumers.progress()) == 1
    assert consumers.progress() == []


def test_a_watch_puts_nothing_into_the_log(desk):
    desk.put("a")
    desk.watch()
    index = desk.index
    assert seqs(desk.poll()) == [1]
    assert desk.index == index


def test_a_durable_goes_on_after_a_restart(desk):
    one, _two, _three = delivered(desk, "a", "b", "c", ack_wait=SECOND_NS)
    desk.put("d")
    desk.say(one)
    before = desk.info()
    desk.restarted()
    after = desk.info()
    for name in ("ack_floor", "delivered", *NUMBERS):
        for facts in (before, after):
            if isinstance(facts[name], dict):
                facts[name].pop("last_active", None)
        assert after[name] == before[name], name
    assert desk.poll() == []
    again = desk.pass_time(SECOND_NS)
    assert (seqs(again), counts(again)) == ([2, 3, 4], [2, 2, 2])
    desk.put("e")
    assert seqs(desk.poll()) == [5]


def test_a_durable_of_each_subjects_last_goes_on_after_a_restart(desk):
    for key in ("a", "b", "a", "c", "b"):
        desk.put(key)
    desk.durable(deliver_policy="last_per_subject", filter_subject="$KV.b.>")
    (first,) = desk.pull()
    desk.put("a")
    desk.restarted()
    rest = desk.pull(body={"batch": 9})
    assert (seqs([first]), seqs(rest)) == ([3], [4, 5, 6])


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize(
    ("filters", "later", "left"),
    [
        (["a", "b"], "", [2, 4]),  # each subject's last at the creation, never an older one
        (["b"], "", [4]),
        (["a", "b"], "ab", [2, 4, 5, 6]),  # and all that came since
        (["c"], "cc", [5, 6]),
    ],
)
def test_new_filters_of_a_durable_of_each_subjects_last_choose_as_its_creation_did(
    desk, filters, later, left, is_restarted
):
    for key in "aabb":
        desk.put(key)
    policy = {"deliver_policy": "last_per_subject"}
    desk.durable(**policy, filter_subject="$KV.b.a")
    for key in later:
        desk.put(key)
    changed = desk.durable(**policy, filter_subjects=[f"$KV.b.{key}" for key in filters])
    assert changed["num_pending"] == len(left)
    if is_restarted:
        desk.restarted()
        assert desk.info()["num_pending"] == len(left)
    assert seqs(desk.pull(body={"batch": 9})) == left


@pytest.mark.parametrize("is_restarted", [False, True])
def test_new_filters_of_a_durable_of_the_last_go_on_from_where_it_is(desk, is_restarted):
    for key in "aabb":
        desk.put(key)
    desk.durable(deliver_policy="last", filter_subject="$KV.b.a")
    desk.durable(deliver_policy="last", filter_subject="$KV.b.*")
    if is_restarted:
        desk.restarted()
    assert seqs(desk.pull(body={"batch": 9})) == [2, 3, 4]


def test_a_deleted_durable_leaves_nothing_behind(desk):
    before = dict(desk.records.scan(b"", b"\xff"))
    desk.durable(deliver_subject=INBOX)
    desk.poll()
    desk.ask("CONSUMER.DELETE.KV_b.d")
    left = dict(desk.records.scan(b"", b"\xff"))
    assert [key for key in left if key not in before] == []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("policy", ["explicit", "all", "none"])
def test_the_log_and_the_live_consumer_agree_whatever_happens(seed, policy):
    random = Random(seed)
    desk = Desk()
    desk.make(max_msgs_per_subject=random.choice([1, 3, -1]))
    desk.subscribe()
    desk.durable(
        deliver_subject=INBOX,
        ack_policy=policy,
        max_deliver=random.choice([-1, 2, 3]),
        max_ack_pending=0 if policy == "none" else 5,
        **({} if policy == "none" else {"ack_wait": SECOND_NS}),
    )
    for _ in range(120):
        got = [one for one in desk.deliveries if one.reply]
        match random.randrange(6):
            case 0 | 1:
                desk.put(random.choice("abc"))
            case 2 if got:
                words = [b"+ACK", b"-NAK", b"+TERM", b"+WPI", b"-NAK 2s"]
                desk.say(random.choice(got[-6:]), random.choice(words))
            case 3:
                desk.pass_time(random.choice([1, SECOND_NS]))
            case 4 if random.random() < 0.2:
                last = desk.streams["KV_b"].last_seq
                purge = Purge("", 0, random.randint(0, last + 1), "", desk.now)
                desk.answered("KV_b", [desk.commit("KV_b", purge)])
            case 5 if random.random() < 0.2:
                desk.restarted()
            case _:
                desk.poll()
    desk.poll()
    desk.poll()
    known = desk.streams["KV_b"].ledgers["d"]
    info = desk.info()
    assert info["num_ack_pending"] == len(known.pending)
    assert info["num_redelivered"] == len(known.again)
    assert info["ack_floor"]["stream_seq"] == known.floor_stream
    assert info["ack_floor"]["consumer_seq"] == known.floor_consumer
    assert info["delivered"]["consumer_seq"] == known.delivered_consumer
    desk.restarted()
    again = desk.streams["KV_b"].ledgers["d"]
    assert again.pending == known.pending
    assert again.again == known.again
