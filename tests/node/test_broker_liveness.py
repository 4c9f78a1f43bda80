"""PING, stale connections, slow consumers, lame duck, counters: nats-wire §1.4, §1.8."""

from kvcore import limits
from kvcore.node.broker import Message
from kvcore.node.clients import Stats
from tests.support.conversation import FULL, QUIET, Conversation, info

SECOND = 1_000_000_000


def test_silent_client_is_asked_twice_and_then_stale() -> None:
    talk = Conversation(ping_interval=10 * SECOND, ping_max=2)
    talk.connect(1)
    talk.pass_time(10 * SECOND - 1)
    assert talk.hear(1) == b""
    talk.pass_time(1)
    assert talk.hear(1) == b"PING\r\n"
    talk.pass_time(10 * SECOND)
    assert talk.hear(1) == b"PING\r\n"
    talk.pass_time(10 * SECOND)
    assert talk.hear(1) == b"-ERR 'Stale Connection'\r\n"
    assert talk.closed == [1]
    assert talk.broker.deadline() is None


def test_client_that_answers_is_never_stale() -> None:
    talk = Conversation(ping_interval=10 * SECOND, ping_max=2)
    talk.connect(1)
    for _ in range(10):
        talk.pass_time(10 * SECOND)
        assert talk.hear(1) in (b"PING\r\n", b"")
        talk.say(1, b"PONG\r\n")
    assert talk.closed == []


def test_client_that_has_just_sent_something_is_asked_later() -> None:
    talk = Conversation(ping_interval=10 * SECOND)
    talk.connect(1)
    talk.pass_time(7 * SECOND)
    talk.say(1, b"PUB a 0\r\n\r\n")
    talk.pass_time(10 * SECOND - 1)
    assert talk.hear(1) == b""
    talk.pass_time(1)
    assert talk.hear(1) == b"PING\r\n"


def test_idle_server_without_clients_wants_no_alarm() -> None:
    talk = Conversation()
    assert talk.broker.deadline() is None
    talk.connect(1)
    assert talk.broker.deadline() == limits.PING_INTERVAL_NS
    talk.broker.closed(1, "", 0)
    assert talk.broker.deadline() is None


def test_client_given_more_in_one_turn_than_it_may_have_unread_is_slow() -> None:
    talk = Conversation()
    talk.connect(1, QUIET + b"SUB a 1\r\nSUB a 2\r\nUNSUB 2 900\r\n")
    big = bytes(limits.MIB)
    for _ in range(40):
        talk.broker.publish("a", "", None, big)
    assert talk.hear(1) == b"-ERR 'Slow Consumer'\r\n"
    assert talk.closed == [1]
    assert talk.broker.stats.slow_consumers == 1
    assert talk.broker.publish("a", "", None, big) == 0


def test_what_stands_before_a_payload_counts_as_unread_too() -> None:
    talk = Conversation()
    talk.connect(1, QUIET + b"".join(b"SUB > %d\r\n" % sid for sid in range(1000)))
    long = "s" * 4000
    for _ in range(20):
        talk.broker.publish(long, "", None, b"")
    assert talk.hear(1) == b"-ERR 'Slow Consumer'\r\n"


def test_turns_that_are_drained_never_make_a_client_slow() -> None:
    talk = Conversation()
    talk.connect(1, QUIET + b"SUB a 1\r\n")
    for _ in range(80):
        talk.broker.publish("a", "", None, bytes(limits.MIB))
        assert len(talk.hear(1)) > limits.MIB
    assert talk.closed == []


def test_slow_consumer_found_by_the_driver_is_counted() -> None:
    talk = Conversation()
    talk.connect(1)
    talk.broker.closed(1, "Slow Consumer", 0)
    assert talk.broker.stats.slow_consumers == 1
    assert talk.closed == []


def test_client_that_left_hears_nothing_more_and_is_not_closed_again() -> None:
    talk = Conversation()
    talk.connect(1, QUIET + b"SUB a 1\r\n")
    talk.broker.publish("a", "", None, b"x")
    talk.broker.closed(1, "gone", 0)
    talk.broker.closed(1, "gone", 0)
    assert talk.broker.publish("a", "", None, b"x") == 0
    assert talk.hear(1) == b""
    assert talk.closed == []


def test_lame_duck_is_told_to_those_who_understand_and_lets_go_one_by_one() -> None:
    talk = Conversation(lame_duck_grace=10 * SECOND, lame_duck_duration=40 * SECOND)
    for conn in (1, 2, 3):
        talk.connect(conn, FULL + b"PING\r\n" if conn == 1 else FULL if conn == 2 else QUIET)
    talk.broker.lame_duck(0)
    talk.broker.lame_duck(0)
    assert talk.broker.is_lame_duck
    assert info(talk.hear(1))["ldm"] is True
    assert (talk.hear(2), talk.hear(3)) == (b"", b"")
    assert b'"ldm":true' in talk.say(2, b"PING\r\n")
    for second, gone in [(9, []), (10, [1]), (19, [1]), (20, [1, 2]), (30, [1, 2, 3])]:
        talk.pass_time(second * SECOND - talk.now)
        assert talk.closed == gone, second
    assert not talk.broker.clients
    assert talk.broker.deadline() is None


def test_lame_duck_goes_on_serving_and_takes_nobody_new() -> None:
    talk = Conversation()
    talk.connect(1)
    talk.broker.lame_duck(0)
    assert talk.say(1, b"SUB a 1\r\nPUB a 0\r\n\r\n") == b"MSG a 1 0\r\n\r\n"
    talk.broker.connected(2, "h", 1, 0)
    assert info(talk.hear(2))["ldm"] is True
    assert talk.closed == [2]


def test_counters_equal_what_the_clients_did_even_after_they_left() -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    talk.connect(2, QUIET + b"SUB a 1\r\nSUB a 2\r\nSUB b 3\r\n")
    talk.broker.subscribe("svc", lambda message: None)
    talk.say(1, b"PUB a 3\r\nabc\r\nHPUB a 5 6\r\nhelloX\r\nPUB svc 2\r\nhi\r\n")
    talk.broker.publish("a", "", None, b"12345")
    expected = Stats(
        in_msgs=3,
        in_bytes=11,
        out_msgs=6,
        out_bytes=2 * (3 + 6 + 5),
        connections=2,
        total_connections=2,
        subscriptions=3,  # the server's own listener is no client's
    )
    assert talk.broker.stats == expected
    one, two = talk.broker.clients[1].session, talk.broker.clients[2].session
    assert (one.in_msgs, one.in_bytes, one.out_msgs) == (3, 11, 0)
    assert (two.in_msgs, two.out_msgs, two.out_bytes) == (0, 6, 28)
    talk.broker.closed(1, "", 0)
    talk.broker.closed(2, "", 0)
    after = talk.broker.stats
    assert (after.in_msgs, after.out_bytes, after.connections) == (3, 28, 0)
    assert (after.total_connections, after.subscriptions) == (2, 0)


def test_trace_tells_who_came_and_why_they_went_without_secrets() -> None:
    talk = Conversation(token="t0")
    talk.connect(1, b'CONNECT {"auth_token":"t0","name":"app","lang":"python3"}\r\n')
    talk.say(1, b"PUB a -1\r\n")
    talk.connect(2, b"CONNECT {}\r\n")
    lines = [record.line() for record in talk.records]
    assert lines == [
        "0 n1 client-connected conn=1 host='127.0.0.1' port=50001",
        "0 n1 client-connect conn=1 name='app' lang='python3'",
        "0 n1 client-closed conn=1 reason='malformed command'",
        "0 n1 client-connected conn=2 host='127.0.0.1' port=50002",
        "0 n1 client-closed conn=2 reason='Authorization Violation'",
    ]


def test_message_prints_as_what_it_is() -> None:
    assert repr(Message("a", "r", None, b"x")) == "Message('a', 'r', None, b'x')"
