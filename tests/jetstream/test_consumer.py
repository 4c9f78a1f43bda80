"""Push consumers as a client sees them: what is delivered, in which order, how many follow."""

import json

import pytest

from kvcore import limits
from kvcore.jetstream.commands import CreateConsumer, DeleteConsumer, DeleteMessage, Publish, Purge
from kvcore.jetstream.consumer import RESUMED
from kvcore.jetstream.consumers import Consumers
from kvcore.limits import MILLISECOND_NS, SECOND_NS
from tests.support.desk import INBOX, Desk


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.make(max_msgs_per_subject=5)
    return desk


def seen(deliveries) -> list[tuple[str, int, int, int]]:
    """Each message's key, stream sequence, consumer sequence and pending count."""
    out = []
    for one in deliveries:
        if one.reply.startswith("$JS.ACK."):
            tokens = one.reply.split(".")
            assert len(tokens) == 9
            out.append(
                (one.subject.removeprefix("$KV.b."), int(tokens[5]), int(tokens[6]), int(tokens[8]))
            )
    return out


def filled(desk: Desk, *keys: str) -> None:
    for key in keys:
        desk.put(key)
        desk.now += SECOND_NS


def test_pending_counts_down_to_zero_and_consumer_sequence_up_from_one(desk):
    filled(desk, "a", "b", "c")
    assert desk.watch()["num_pending"] == 3
    desk.subscribe()
    assert seen(desk.poll()) == [("a", 1, 1, 2), ("b", 2, 2, 1), ("c", 3, 3, 0)]
    desk.put("d")
    assert seen(desk.poll()) == [("d", 4, 4, 0)]


def test_ack_reply_names_stream_consumer_sequences_time_and_pending(desk):
    time = desk.now
    desk.put("a")
    desk.watch()
    desk.subscribe()
    (one,) = desk.poll()
    assert one.reply == f"$JS.ACK.KV_b.c1.1.1.1.{time}.0"
    assert (one.to, one.subject, one.header, one.payload) == (INBOX, "$KV.b.a", None, b"v")


def test_nothing_is_delivered_before_somebody_subscribes(desk):
    filled(desk, "a")
    desk.watch()
    assert desk.poll() == []
    assert desk.ask("CONSUMER.INFO.KV_b.c1")["num_pending"] == 1
    desk.subscribe()
    assert len(desk.poll()) == 1


def test_delivery_pauses_while_the_subscriber_is_away(desk):
    desk.watch()
    desk.subscribe()
    desk.poll()
    desk.unsubscribe()
    desk.put("a")
    assert desk.poll() == []
    desk.subscribe()
    assert seen(desk.poll()) == [("a", 1, 1, 0)]


POLICIES = [
    ({"deliver_policy": "all"}, [1, 2, 3, 4, 5], 0),
    ({"deliver_policy": "new"}, [], 5),
    ({"deliver_policy": "last"}, [5], 4),
    ({"deliver_policy": "last", "filter_subject": "$KV.b.a"}, [4], 3),
    ({"deliver_policy": "last", "filter_subject": "$KV.b.none"}, [], 0),
    ({"deliver_policy": "last_per_subject", "filter_subject": "$KV.b.>"}, [3, 4, 5], 2),
    ({"deliver_policy": "last_per_subject", "filter_subjects": ["$KV.b.a", "$KV.b.c"]}, [3, 4], 2),
    ({"deliver_policy": "last_per_subject", "filter_subject": "$KV.b.none"}, [], 4),
    ({"deliver_policy": "by_start_sequence", "opt_start_seq": 3}, [3, 4, 5], 2),
    ({"deliver_policy": "by_start_sequence", "opt_start_seq": 77}, [], 76),
    ({"deliver_policy": "by_start_time", "opt_start_time": "2026-01-01T00:00:02.5Z"}, [4, 5], 3),
    ({"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"}, range(1, 6), 0),
    ({"deliver_policy": "by_start_time", "opt_start_time": "2040-01-01T00:00:00Z"}, [], 5),
    ({"filter_subject": "$KV.b.a"}, [1, 4], 0),
    ({"filter_subjects": ["$KV.b.a", "$KV.b.b"]}, [1, 2, 4, 5], 0),
    ({"filter_subject": "other.>"}, [], 0),
]


@pytest.mark.parametrize(("config", "expected", "before"), POLICIES)
def test_deliver_policy_chooses_where_to_start(desk, config, expected, before):
    filled(desk, "a", "b", "c", "a", "b")
    created = desk.watch(**config)
    assert created["num_pending"] == len(expected)
    assert created["delivered"] == {"consumer_seq": 0, "stream_seq": before}
    desk.subscribe()
    assert [one[1] for one in seen(desk.poll())] == list(expected)


@pytest.mark.parametrize("key", ["none", "b"])
def test_with_a_history_of_one_the_last_of_each_subject_begins_at_the_first_message(key):
    desk = Desk()
    config = {"name": "KV_h", "subjects": ["$KV.h.>"], "max_msgs_per_subject": 1}
    desk.ask("STREAM.CREATE.KV_h", config)
    for each in ("a", "b", "a"):
        desk.put(each, name="KV_h")
    watch = {"deliver_policy": "last_per_subject", "filter_subject": f"$KV.h.{key}"}
    asked = {"stream_name": "KV_h", "config": {"deliver_subject": "to.me", **watch}}
    created = desk.ask("CONSUMER.CREATE.KV_h", asked)
    assert created["delivered"]["stream_seq"] == 1  # the stream begins at 2


def test_a_watch_of_an_emptied_stream_stands_at_its_end(desk):
    filled(desk, "a", "b")
    desk.ask("STREAM.PURGE.KV_b")
    for policy in ("last", "last_per_subject"):
        created = desk.watch(policy, deliver_policy=policy, filter_subject="$KV.b.>")
        assert created["delivered"]["stream_seq"] == 2


def test_new_messages_follow_the_snapshot_of_each_policy(desk):
    filled(desk, "a", "b", "a")
    desk.watch(deliver_policy="last_per_subject", filter_subject="$KV.b.>")
    desk.put("a")
    desk.put("z")
    desk.subscribe()
    assert [one[1] for one in seen(desk.poll())] == [2, 3, 4, 5]


def test_start_sequence_in_the_future_waits_for_it(desk):
    desk.watch(deliver_policy="by_start_sequence", opt_start_seq=3)
    filled(desk, "a", "b", "c", "d")
    desk.subscribe()
    assert [one[1] for one in seen(desk.poll())] == [3, 4]


def test_start_sequence_in_the_future_outlives_a_change_of_filters(desk):
    start = {"deliver_policy": "by_start_sequence", "opt_start_seq": 3}
    desk.watch(**start)
    assert "error" not in desk.watch(**start, filter_subject="$KV.b.>")
    filled(desk, "a", "b", "c", "d")
    desk.subscribe()
    assert [one[1] for one in seen(desk.poll())] == [3, 4]


def test_overwritten_value_leaves_the_snapshot_and_the_new_one_joins_it():
    desk = Desk()
    desk.make(max_msgs_per_subject=1)
    filled(desk, "a", "b", "c")
    desk.watch(deliver_policy="last_per_subject", filter_subject="$KV.b.>")
    desk.put("a")
    assert desk.ask("CONSUMER.INFO.KV_b.c1")["num_pending"] == 3
    desk.subscribe()
    assert seen(desk.poll()) == [("b", 2, 1, 2), ("c", 3, 2, 1), ("a", 4, 3, 0)]


@pytest.mark.parametrize(
    "command",
    [
        DeleteMessage(2, no_erase=False, reply="", time=0),
        Purge("$KV.b.b", 0, 0, "", 0),
    ],
)
def test_removed_messages_leave_the_count_at_once(desk, command):
    filled(desk, "a", "b", "c")
    desk.watch()
    desk.answered("KV_b", [desk.commit("KV_b", command)])
    assert desk.ask("CONSUMER.INFO.KV_b.c1")["num_pending"] == 2
    desk.subscribe()
    assert [one[1] for one in seen(desk.poll())] == [1, 3]


@pytest.mark.parametrize("count", [10, 100])
def test_purging_everything_leaves_nothing_pending(desk, count):
    filled(desk, *(f"k{n}" for n in range(count)))
    desk.watch()
    desk.subscribe()
    desk.poll(budget=5)
    desk.ask("STREAM.PURGE.KV_b")
    assert desk.poll() == []
    assert desk.ask("CONSUMER.INFO.KV_b.c1")["num_pending"] == 0
    desk.put("z")
    assert seen(desk.poll()) == [("z", count + 1, 6, 0)]


def test_range_of_removed_sequences_leaves_the_count_at_once(desk):
    filled(desk, "a", "b", "c", "d")
    desk.watch()
    consumer = desk.hosted["KV_b"].get("c1")
    consumer.on_removed(range(2, 4))
    assert consumer.num_pending == 2


def test_commands_of_one_turn_are_followed_one_by_one(desk):
    """All of a turn is applied before the host looks at the first outcome."""
    config = b'{"deliver_subject":"_INBOX.x","deliver_policy":"new"}'
    outcomes = [
        desk.commit("KV_b", Publish("$KV.b.a", "", None, b"", 0)),
        desk.commit("KV_b", CreateConsumer(config, "n", "", "r", 0)),
        desk.commit("KV_b", Publish("$KV.b.b", "", None, b"", 0)),
        desk.commit("KV_b", CreateConsumer(config, "gone", "", "r", 0)),
        desk.commit("KV_b", DeleteConsumer("gone", "r", 0)),
    ]
    desk.answered("KV_b", outcomes)
    desk.subscribe()
    assert seen(desk.poll()) == [("b", 2, 1, 0)]
    assert desk.hosted["KV_b"].get("gone") is None


def test_of_a_queue_group_that_starts_at_once_one_member_makes_the_consumer(desk):
    """Each looked before and found none; the others shall join the first with their next call."""
    actions = []
    for member in ("x", "y", "x"):
        config = {"durable_name": "d", "deliver_subject": f"_I.{member}", "deliver_group": "g"}
        body = json.dumps({"stream_name": "KV_b", "config": config}).encode()
        subject = "$JS.API.CONSUMER.DURABLE.CREATE.KV_b.d"
        actions += desk.api.handle(subject, f"r{len(actions)}", body, desk.now)
    outcomes = [desk.commit("KV_b", action.command) for action in actions]
    answers = [json.loads(one.payload) for one in desk.answered("KV_b", outcomes)]
    assert [one.get("error", {}).get("err_code") for one in answers] == [None, 10013, None]
    assert desk.info("d")["config"]["deliver_subject"] == "_I.x"


def test_headers_only_drops_the_value_and_says_how_long_it_was(desk):
    desk.put("a", b"hello")
    desk.put("b", b"hi", b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n")
    desk.watch(headers_only=True)
    desk.subscribe()
    first, second = desk.poll()
    assert (first.header, first.payload) == (b"NATS/1.0\r\nNats-Msg-Size: 5\r\n\r\n", b"")
    assert second.header == b"NATS/1.0\r\nKV-Operation: DEL\r\nNats-Msg-Size: 2\r\n\r\n"


def test_long_snapshot_is_sent_in_slices_and_the_deadline_says_at_once(desk):
    filled(desk, *(f"k{n}" for n in range(25)))
    desk.watch()
    desk.subscribe()
    sizes = []
    while desk.hosted["KV_b"].deadline() == 0:
        sizes.append(len(desk.poll(budget=10)))
    assert sizes == [10, 10, 5]
    assert seen(desk.deliveries)[-1] == ("k24", 25, 25, 0)


def test_two_watches_take_turns(desk):
    filled(desk, *(f"k{n}" for n in range(20)))
    desk.watch("c1")
    desk.watch("c2", deliver_subject="_INBOX.y")
    desk.subscribe("_INBOX.x")
    desk.subscribe("_INBOX.y")
    assert [desk.poll(budget=5)[0].to for _ in range(4)] == ["_INBOX.x", "_INBOX.y"] * 2


def test_heartbeat_comes_after_the_interval_without_a_delivery(desk):
    desk.watch(idle_heartbeat=5 * SECOND_NS)
    desk.subscribe()
    desk.poll()
    desk.pass_time(3 * SECOND_NS)
    desk.put("a")
    desk.poll()
    assert desk.pass_time(5 * SECOND_NS - 1) == []
    (beat,) = desk.pass_time(1)
    assert (beat.to, beat.subject, beat.reply, beat.payload) == (INBOX, INBOX, "", b"")
    assert beat.header == (
        b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\n\r\n"
    )
    assert len(desk.pass_time(20 * SECOND_NS)) == 4


def test_no_heartbeat_goes_where_nobody_listens(desk):
    desk.watch(idle_heartbeat=SECOND_NS, inactive_threshold=60 * SECOND_NS)
    assert desk.pass_time(30 * SECOND_NS) == []


def flooded(desk: Desk, count: int = 40, size: int = 100_000) -> None:
    for n in range(count):
        desk.put(f"k{n}", bytes(size))
    desk.watch(flow_control=True, idle_heartbeat=5 * SECOND_NS)
    desk.subscribe()


def requests(deliveries) -> list[str]:
    return [one.reply for one in deliveries if one.reply.startswith("$JS.FC.")]


def test_flow_control_asks_at_half_a_window_and_stops_after_a_whole_one(desk):
    flooded(desk)
    out = desk.poll()
    (request,) = requests(out)
    assert request.startswith("$JS.FC.KV_b.c1.")
    assert len(request.split(".")[-1]) == 4
    at = [one.reply for one in out].index(request)
    assert at == limits.FLOW_WINDOW_FIRST_BYTES // 2 // 100_000 + 1
    assert len(out) - 1 == limits.FLOW_WINDOW_FIRST_BYTES // 100_000 + 1
    assert desk.poll() == []
    assert out[at].header == b"NATS/1.0 100 FlowControl Request\r\n\r\n"


def test_stalled_consumer_says_so_in_its_heartbeats_and_goes_on_when_answered(desk):
    flooded(desk)
    (request,) = requests(desk.poll())
    (beat,) = desk.pass_time(5 * SECOND_NS)
    assert f"Nats-Consumer-Stalled: {request}\r\n\r\n".encode() in beat.header
    consumers = desk.hosted["KV_b"]
    consumers.on_flow_reply("$JS.FC.KV_b.c1.zzzz", desk.now)
    assert desk.poll() == []
    consumers.on_flow_reply(request, desk.now)
    more = desk.poll()
    assert len(more) > 15
    assert seen(desk.deliveries)[-1][3] == 0


def test_window_doubles_with_each_answer_up_to_its_bound(desk):
    flooded(desk, count=1)
    flow = desk.hosted["KV_b"].get("c1")._flow
    windows = []
    for _ in range(7):
        request = ""
        while not request:
            request = flow.sent(1000_000)
        flow.answered(request)
        windows.append(flow.window // limits.MIB)
    assert windows == [4, 8, 16, 32, 32, 32, 32]


def test_consumer_without_a_subscriber_is_abandoned_after_its_threshold(desk):
    desk.watch(inactive_threshold=10 * SECOND_NS)
    desk.subscribe()
    desk.poll()
    desk.pass_time(60 * SECOND_NS)
    assert desk.hosted["KV_b"].abandoned() == []
    desk.unsubscribe()
    desk.poll()
    desk.pass_time(10 * SECOND_NS - 1)
    assert desk.hosted["KV_b"].abandoned() == []
    desk.pass_time(1)
    assert desk.hosted["KV_b"].abandoned() == ["c1"]
    assert desk.hosted["KV_b"].abandoned() == []
    assert desk.hosted["KV_b"].deadline() is None


def test_threshold_is_five_seconds_unless_asked_otherwise(desk):
    assert desk.watch()["config"]["inactive_threshold"] == 5 * SECOND_NS


def test_subscriber_that_comes_back_in_time_keeps_the_consumer(desk):
    desk.watch()
    for _ in range(3):
        desk.subscribe()
        desk.poll()
        desk.pass_time(60 * SECOND_NS)
        desk.unsubscribe()
        desk.poll()
        desk.pass_time(4 * SECOND_NS)
    assert desk.hosted["KV_b"].abandoned() == []


def test_info_reports_what_was_delivered_and_that_somebody_listens(desk):
    filled(desk, "a", "b")
    desk.watch()
    desk.subscribe()
    desk.poll()
    info = desk.ask("CONSUMER.INFO.KV_b.c1")
    assert info["delivered"]["consumer_seq"] == info["delivered"]["stream_seq"] == 2
    assert info["delivered"]["last_active"] == info["ts"]
    assert info["ack_floor"] == {"consumer_seq": 2, "stream_seq": 2}
    assert info["push_bound"] is True
    assert (info["num_ack_pending"], info["num_redelivered"], info["num_waiting"]) == (0, 0, 0)


def test_restarted_server_sends_a_heartbeat_that_no_client_can_match(desk):
    filled(desk, "a", "b")
    desk.watch(idle_heartbeat=5 * SECOND_NS)
    desk.hosted["KV_b"] = Consumers(desk.streams["KV_b"], desk.now)
    desk.subscribe()
    (beat,) = desk.poll()
    assert f"Nats-Last-Consumer: {RESUMED}\r\n".encode() in beat.header
    desk.put("c")
    assert seen(desk.poll()) == [("c", 3, RESUMED + 1, 0)]


def test_update_with_another_filter_chooses_anew_what_is_pending(desk):
    filled(desk, "a", "b", "c")
    desk.watch(filter_subject="$KV.b.a")
    assert desk.watch(filter_subject="$KV.b.*")["num_pending"] == 3
    desk.put("d")
    desk.subscribe()
    assert [one[1] for one in seen(desk.poll())] == [1, 2, 3, 4]


def test_another_filter_of_a_watch_of_each_subjects_last_chooses_each_subjects_last(desk):
    filled(desk, "a", "b", "a", "b")
    policy = {"deliver_policy": "last_per_subject"}
    desk.watch(**policy, filter_subject="$KV.b.b")
    desk.put("b")
    assert desk.watch(**policy, filter_subject="$KV.b.*")["num_pending"] == 2
    desk.subscribe()
    assert [one[1] for one in seen(desk.poll())] == [4, 5]


def test_only_the_consumers_that_want_a_message_are_looked_at(desk):
    for n in range(50):
        desk.watch(f"c{n}", filter_subject=f"$KV.b.k{n}", deliver_subject=f"_INBOX.{n}")
        desk.subscribe(f"_INBOX.{n}")
    desk.poll()
    asked = []
    desk.put("k7")
    desk.hosted["KV_b"].poll(desk.now, lambda subject: asked.append(subject) or True, 500)
    assert asked == ["_INBOX.7"]


def test_flow_ids_never_repeat_soon(desk):
    flooded(desk, count=1)
    flow = desk.hosted["KV_b"].get("c1")._flow
    ids = [flow._next_id() for _ in range(2000)]
    assert len(dict.fromkeys(ids)) == len(ids)


def test_deadline_is_none_when_there_is_nothing_to_wait_for(desk):
    assert desk.hosted["KV_b"].deadline() is None
    desk.watch()
    desk.subscribe()
    desk.poll()
    desk.pass_time(MILLISECOND_NS)
    assert desk.hosted["KV_b"].deadline() is None or desk.hosted["KV_b"].deadline() > desk.now
