"""Pull requests: who is served, and how a request that isn't served in full ends."""

import pytest

from kvcore.limits import SECOND_NS
from tests.support.desk import INBOX, Desk


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.make(max_msgs_per_subject=-1)
    desk.subscribe()
    desk.durable()
    return desk


def told(deliveries) -> list[str]:
    """A status line and its fields as one line, or a message's key."""
    return [
        one.header.decode().removeprefix("NATS/1.0 ").strip().replace("\r\n", ", ")
        if one.header
        else one.subject.removeprefix("$KV.b.")
        for one in deliveries
    ]


def test_a_request_waits_for_messages_until_its_time_is_over(desk):
    assert desk.pull(body={"batch": 3, "expires": SECOND_NS}) == []
    desk.put("a")
    assert told(desk.poll()) == ["a"]
    assert told(desk.pass_time(SECOND_NS)) == [
        "408 Request Timeout, Nats-Pending-Messages: 2, Nats-Pending-Bytes: 0"
    ]
    assert desk.info()["num_waiting"] == 0


def test_no_wait_ends_where_the_messages_end(desk):
    assert told(desk.pull(body={"batch": 2, "no_wait": True})) == ["404 No Messages"]
    desk.put("a")
    assert told(desk.pull(body={"batch": 2, "no_wait": True})) == ["a", "404 No Messages"]


def test_no_wait_ends_at_a_heartbeat_while_acknowledgements_hold_the_rest_back(desk):
    desk.durable("strict", max_ack_pending=1)
    desk.put("a")
    desk.put("b")
    body = {"batch": 2, "no_wait": True, "expires": SECOND_NS, "idle_heartbeat": SECOND_NS // 4}
    assert told(desk.pull("strict", body=body)) == ["a"]
    assert told(desk.pass_time(SECOND_NS // 4)) == ["404 No Messages"]
    assert desk.info("strict")["num_waiting"] == 0


def test_no_wait_hears_of_no_end_while_an_acknowledgement_may_bring_more(desk):
    desk.durable("strict", max_ack_pending=1)
    desk.put("a")
    desk.put("b")
    body = {"batch": 2, "no_wait": True, "expires": SECOND_NS}
    assert told(desk.pull("strict", body=body)) == ["a"]
    assert told(desk.pass_time(SECOND_NS // 2)) == []


def test_requests_take_turns(desk):
    desk.subscribe("_I.b")
    desk.pull(body={"batch": 2})
    desk.pull(to="_I.b", body={"batch": 2})
    for key in "wxyz":
        desk.put(key)
    assert [one.to for one in desk.poll()] == [INBOX, "_I.b", INBOX, "_I.b"]


def test_a_request_whose_client_has_gone_is_forgotten(desk):
    desk.subscribe("_I.b")
    desk.pull(to="_I.b", body={"batch": 2})
    assert desk.info()["num_waiting"] == 1
    desk.unsubscribe("_I.b")
    assert desk.info()["num_waiting"] == 0
    desk.put("a")
    assert desk.poll() == []
    assert told(desk.pull()) == ["a"]


def test_a_message_larger_than_what_is_left_ends_the_request(desk):
    desk.put("a", b"x" * 100)
    assert told(desk.pull(body={"batch": 1, "max_bytes": 50})) == [
        "409 Message Size Exceeds MaxBytes, Nats-Pending-Messages: 1, Nats-Pending-Bytes: 50"
    ]
    assert told(desk.pull()) == ["a"]


def test_no_more_requests_wait_than_the_consumer_allows(desk):
    desk.durable("few", max_waiting=1)
    assert desk.pull("few", body={"batch": 1}) == []
    assert told(desk.pull("few", body={"batch": 1})) == ["409 Exceeded MaxWaiting"]


@pytest.mark.parametrize(
    "body",
    [b"{", {"batch": "x"}, {"expires": SECOND_NS, "idle_heartbeat": SECOND_NS}, {"no_wait": 1}],
)
def test_a_request_that_makes_no_sense_is_refused(desk, body):
    (line,) = told(desk.pull(body=body))
    assert line.startswith("400 Bad Request - ")


def test_heartbeats_come_while_a_request_waits(desk):
    desk.pull(body={"batch": 1, "expires": 4 * SECOND_NS, "idle_heartbeat": SECOND_NS})
    beats = told(desk.pass_time(3 * SECOND_NS))
    assert beats == ["100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0"] * 3


def test_deleting_the_consumer_tells_those_who_wait(desk):
    desk.pull(body={"batch": 1})
    desk.ask("CONSUMER.DELETE.KV_b.d")
    assert told(desk.poll()) == ["409 Consumer Deleted"]


def test_a_push_consumer_serves_no_requests(desk):
    desk.durable("push", deliver_subject="elsewhere")
    assert told(desk.pull("push")) == ["409 Consumer is push based"]


def test_an_ephemeral_that_nobody_pulls_from_is_abandoned(desk):
    body = {"stream_name": "KV_b", "config": {"ack_policy": "explicit"}}
    desk.ask("CONSUMER.CREATE.KV_b.e", body)
    desk.pull("e", body={"batch": 1, "expires": 20 * SECOND_NS})
    desk.pass_time(20 * SECOND_NS)
    assert desk.hosted["KV_b"].abandoned() == []
    desk.pass_time(5 * SECOND_NS)
    assert desk.hosted["KV_b"].abandoned() == ["e"]


class TestRetention:
    def test_a_work_queue_keeps_a_message_until_it_is_acknowledged(self):
        desk = Desk()
        desk.make(retention="workqueue", max_msgs_per_subject=-1)
        desk.subscribe()
        desk.durable()
        desk.put("a")
        desk.put("b")
        one, _ = desk.pull(body={"batch": 2})
        assert desk.streams["KV_b"].messages == 2
        desk.say(one)
        assert (desk.streams["KV_b"].first_seq, desk.streams["KV_b"].messages) == (2, 1)

    def test_an_interest_stream_keeps_a_message_until_all_have_acknowledged_it(self):
        desk = Desk()
        desk.make(retention="interest", max_msgs_per_subject=-1)
        desk.subscribe()
        for name in ("one", "two"):
            desk.durable(name)
        desk.put("a")
        (first,), (second,) = desk.pull("one"), desk.pull("two")
        desk.say(first)
        assert desk.streams["KV_b"].messages == 1
        desk.say(second)
        assert desk.streams["KV_b"].messages == 0

    def test_a_message_given_up_stays_in_a_work_queue(self):
        desk = Desk()
        desk.make(retention="workqueue", max_msgs_per_subject=-1)
        desk.subscribe()
        desk.durable(max_deliver=1, ack_wait=SECOND_NS)
        desk.put("a")
        desk.pull()
        desk.pass_time(2 * SECOND_NS)
        assert desk.info()["num_ack_pending"] == 0
        assert desk.streams["KV_b"].messages == 1
