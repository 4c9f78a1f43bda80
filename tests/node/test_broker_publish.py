"""PUB, SUB, UNSUB, queue groups, headers, no responders: nats-wire §1.5, §1.6, §1.7."""

import pytest

from kvcore import limits
from kvcore.node.broker import Message
from tests.support.conversation import FULL, QUIET, Conversation

BLOCK = b"NATS/1.0\r\nA: 1\r\n\r\n"


def test_subscribers_get_the_message_in_the_order_it_was_said() -> None:
    talk = Conversation()
    talk.connect(1)
    talk.connect(2)
    talk.say(2, b"SUB a.* 5\r\nSUB > 6\r\n")
    assert talk.say(1, b"PUB a.b r 2\r\nhi\r\nPUB c 0\r\n\r\n") == b""
    assert talk.hear(2) == b"MSG a.b 6 r 2\r\nhi\r\nMSG a.b 5 r 2\r\nhi\r\nMSG c 6 0\r\n\r\n"


def test_pong_comes_after_all_that_was_handled_before_the_ping() -> None:
    talk = Conversation()
    talk.connect(1)
    assert talk.say(1, b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n") == b"MSG a 1 1\r\nx\r\nPONG\r\n"


def test_verbose_client_gets_ok_before_its_own_delivery() -> None:
    talk = Conversation()
    talk.connect(1, b'CONNECT {"pedantic":false}\r\n')
    assert talk.say(1, b"SUB a 1\r\nPUB a 1\r\nx\r\n") == b"+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n"
    assert talk.say(1, b"UNSUB 7\r\nPONG\r\nPING\r\n") == b"+OK\r\nPONG\r\n"


@pytest.mark.parametrize("subject", [b"a..b", b">.a", b"a.", b".a", b".", b">.>"])
def test_invalid_subscription_is_told_and_the_connection_stays(subject: bytes) -> None:
    talk = Conversation()
    talk.connect(1)
    answer = talk.say(1, b"SUB " + subject + b" 1\r\nPING\r\n")
    assert answer == b"-ERR 'Invalid Subject'\r\nPONG\r\n"
    assert talk.broker.clients[1].session.subscriptions == {}


def test_invalid_subscription_gets_no_ok() -> None:
    talk = Conversation()
    talk.connect(1, b"CONNECT {}\r\n")
    assert talk.say(1, b"SUB a..b 1\r\n") == b"-ERR 'Invalid Subject'\r\n"


def test_publishing_to_a_wildcard_is_taken_word_for_word() -> None:
    talk = Conversation()
    talk.connect(1)
    talk.say(1, b"SUB a.x 1\r\nSUB a.* 2\r\nSUB a.> 3\r\n")
    assert talk.say(1, b"PUB a.* 1\r\nx\r\n") == b"MSG a.* 3 1\r\nx\r\nMSG a.* 2 1\r\nx\r\n"


def test_pedantic_client_is_told_of_an_odd_subject_and_its_message_goes_on() -> None:
    talk = Conversation()
    talk.connect(1, b'CONNECT {"verbose":false}\r\n')
    talk.say(1, b"SUB > 1\r\n")
    invalid = b"-ERR 'Invalid Publish Subject'\r\n"
    assert talk.say(1, b"PUB a.* 1\r\nx\r\n") == invalid + b"MSG a.* 1 1\r\nx\r\n"
    assert talk.say(1, b"PUB a..b 1\r\nx\r\nPING\r\n") == invalid + b"PONG\r\n"


@pytest.mark.parametrize("subject", [b"a..b", b"a.", b".a"])
def test_empty_token_reaches_nobody(subject: bytes) -> None:
    talk = Conversation()
    talk.connect(1)
    assert talk.say(1, b"SUB > 1\r\nPUB " + subject + b" 1\r\nx\r\n") == b""


def test_second_subscription_under_a_sid_is_ignored() -> None:
    talk = Conversation()
    talk.connect(1, b'CONNECT {"pedantic":false}\r\n')
    assert talk.say(1, b"SUB a 1\r\nSUB b 1\r\nSUB c..d 1\r\n") == b"+OK\r\n+OK\r\n+OK\r\n"
    assert talk.say(1, b"PUB b 0\r\n\r\n") == b"+OK\r\n"
    assert talk.say(1, b"UNSUB 1\r\nSUB b 1\r\nPUB b 0\r\n\r\n").endswith(b"MSG b 1 0\r\n\r\n")


def test_unsub_with_max_counts_from_the_subscription_on() -> None:
    talk = Conversation()
    talk.connect(1)
    one = b"PUB a 1\r\nx\r\n"
    got = b"MSG a 1 1\r\nx\r\n"
    assert talk.say(1, b"SUB a 1\r\n" + one + b"UNSUB 1 3\r\n" + one * 4) == got * 3
    assert talk.say(1, one) == b""
    assert talk.broker.stats.subscriptions == 0


def test_unsub_with_a_max_already_reached_ends_at_once() -> None:
    talk = Conversation()
    talk.connect(1)
    one = b"PUB a 0\r\n\r\n"
    assert talk.say(1, b"SUB a 1\r\n" + one * 2 + b"UNSUB 1 2\r\n" + one).count(b"MSG") == 2


def test_later_unsub_overrides_an_earlier_max() -> None:
    talk = Conversation()
    talk.connect(1)
    one = b"PUB a 0\r\n\r\n"
    assert talk.say(1, b"SUB a 1\r\nUNSUB 1 2\r\nUNSUB 1 5\r\n" + one * 9).count(b"MSG") == 5
    assert talk.say(1, b"SUB a 2\r\nUNSUB 2 2\r\nUNSUB 2\r\n" + one) == b""


def test_unsub_max_is_shared_by_nobody() -> None:
    talk = Conversation()
    talk.connect(1)
    talk.connect(2)
    talk.say(1, b"SUB a 1\r\nUNSUB 1 1\r\n")
    talk.say(2, b"SUB a 1\r\n")
    talk.say(2, b"PUB a 0\r\n\r\nPUB a 0\r\n\r\n")
    assert talk.hear(1).count(b"MSG") == 1


def test_echo_false_keeps_a_clients_own_messages_from_it() -> None:
    talk = Conversation()
    talk.connect(1, b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n')
    talk.connect(2)
    talk.say(2, b"SUB a 1\r\n")
    assert talk.say(1, b"SUB a 1\r\nPUB a 0\r\n\r\n") == b""
    assert talk.hear(2) == b"MSG a 1 0\r\n\r\n"
    talk.say(2, b"PUB a 0\r\n\r\n")
    assert talk.hear(1) == b"MSG a 1 0\r\n\r\n"


def test_queue_group_gives_each_message_to_one_member_and_plain_ones_all_get_it() -> None:
    talk = Conversation()
    for conn in (1, 2, 3, 4):
        talk.connect(conn)
        talk.say(conn, b"SUB a q 1\r\n" if conn < 4 else b"SUB a 1\r\n")
    talk.say(4, b"PUB a 0\r\n\r\n" * 60)
    shares = [talk.hear(conn).count(b"MSG") for conn in (1, 2, 3)]
    assert sum(shares) == 60
    assert min(shares) > 5


def test_queue_members_are_chosen_by_the_seed_alone() -> None:
    def shares(seed: int) -> list[bytes]:
        talk = Conversation(seed)
        for conn in (1, 2, 3):
            talk.connect(conn)
            talk.say(conn, b"SUB a q 1\r\n")
        for number in range(20):
            talk.say(1, b"PUB a 2\r\n%02d\r\n" % number)
        return [talk.hear(conn) for conn in (1, 2, 3)]

    assert shares(5) == shares(5)
    assert shares(5) != shares(6)


def test_members_of_one_group_through_different_patterns_share() -> None:
    talk = Conversation()
    talk.connect(1)
    answer = talk.say(1, b"SUB a.* q 1\r\nSUB a.b q 2\r\nSUB a.b z 3\r\nPUB a.b 0\r\n\r\n")
    assert answer.count(b"MSG") == 2


def test_queue_member_that_wants_no_echo_is_passed_over_for_another() -> None:
    talk = Conversation()
    talk.connect(1, b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\nSUB a q 1\r\n')
    talk.connect(2, QUIET + b"SUB a q 1\r\n")
    talk.say(1, b"PUB a 0\r\n\r\n" * 20)
    assert talk.hear(2).count(b"MSG") == 20


# Headers.


def test_header_block_is_passed_on_byte_for_byte() -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    answer = talk.say(1, b"SUB a 1\r\nHPUB a r 18 20\r\n" + BLOCK + b"hi\r\n")
    assert answer == b"HMSG a 1 r 18 20\r\n" + BLOCK + b"hi\r\n"
    assert talk.say(1, b"HPUB a 5 6\r\nhelloX\r\n") == b"HMSG a 1 5 6\r\nhelloX\r\n"


def test_client_without_headers_gets_the_message_without_them() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b"SUB a 1\r\n")
    talk.connect(2, QUIET + b"SUB a 1\r\n")
    assert talk.say(1, b"HPUB a 18 20\r\n" + BLOCK + b"hi\r\n").startswith(b"HMSG a 1 18 20\r\n")
    assert talk.hear(2) == b"MSG a 1 2\r\nhi\r\n"


def test_header_block_of_zero_length_makes_a_plain_message() -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    assert talk.say(1, b"SUB a 1\r\nHPUB a r 0 1\r\nx\r\n") == b"MSG a 1 r 1\r\nx\r\n"


@pytest.mark.parametrize("rest", [b"xx\r\n", b"x", b"", b"xxx\r\n", b"xx\n"])
def test_hpub_of_a_client_that_declared_no_headers_closes_even_before_its_payload(
    rest: bytes,
) -> None:
    talk = Conversation()
    assert talk.connect(1, QUIET + b"HPUB a 1 2\r\n" + rest) == b""
    assert talk.closed == [1]


# No responders.


def test_request_that_nobody_takes_is_answered_503_with_its_subject() -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    answer = talk.say(1, b"SUB i.* 2\r\nPUB nobody i.1 1\r\nx\r\n")
    assert answer == b"HMSG i.1 2 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"PUB nobody i.1 0\r\n\r\n",  # no inbox
        b"SUB i.* q 2\r\nPUB nobody i.1 0\r\n\r\n",  # a group is no inbox
        b"SUB i.* 2\r\nPUB nobody 0\r\n\r\n",  # no reply subject
        b"SUB > 2\r\nUNSUB 2\r\nPUB nobody i.1 0\r\n\r\n",
    ],
)
def test_no_503_without_a_plain_subscription_for_the_reply(said: bytes) -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    assert talk.say(1, said) == b""


def test_no_503_for_one_who_did_not_ask_for_it() -> None:
    talk = Conversation()
    talk.connect(1, b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n')
    assert talk.say(1, b"SUB i.* 2\r\nPUB nobody i.1 0\r\n\r\n") == b""


def test_503_goes_to_the_literal_inbox_first_and_counts_for_no_max() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b"SUB i.* 2\r\nSUB i.1 3\r\nUNSUB 3 1\r\n")
    answer = talk.say(1, b"PUB nobody i.1 0\r\n\r\n" * 2)
    assert answer.count(b"HMSG i.1 3 ") == 2


def test_own_subscription_without_echo_is_no_responder() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b'CONNECT {"echo":false}\r\nSUB i.* 2\r\nSUB n 3\r\n')
    assert talk.say(1, b"PUB n i.1 1\r\nx\r\n").startswith(b"HMSG i.1 2 33 33\r\nNATS/1.0 503")


# Errors that close.


@pytest.mark.parametrize(
    ("bad", "answer"),
    [
        (b"FOO\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"PUB a 1\r\nxx\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"PUB a 9\r\n", b"-ERR 'Maximum Payload Violation'\r\n"),
        (b"PUB " + b"a" * 5000, b"-ERR 'maximum control line exceeded'\r\n"),
        (b"PUB a -1\r\n", b""),
        (b"PUB a\r\n", b""),
        (b"SUB a\r\n", b""),
        (b"UNSUB 1 2 3\r\n", b""),
        (b"HPUB a 3 2\r\n", b""),
        (b"-ERR 'what'\r\n", b""),
    ],
)
def test_violation_ends_the_connection_after_what_came_before_it(bad: bytes, answer: bytes) -> None:
    talk = Conversation(max_payload=8)
    talk.connect(1)
    assert talk.say(1, b"PING\r\n" + bad + b"PING\r\n") == b"PONG\r\n" + answer
    assert talk.closed == [1]
    assert talk.say(1, b"PING\r\n") == b""


def test_violation_of_one_leaves_the_others_and_takes_its_subscriptions() -> None:
    talk = Conversation()
    talk.connect(1, QUIET + b"SUB a 1\r\n")
    talk.connect(2)
    talk.say(1, b"FOO\r\n")
    assert talk.say(2, b"PUB a 0\r\n\r\nPING\r\n") == b"PONG\r\n"
    assert talk.broker.stats.subscriptions == 0


# The server's own subscribers.


def test_handler_is_called_while_routing_and_its_answer_goes_out_in_the_same_turn() -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    got: list[Message] = []

    def answer(message: Message) -> None:
        got.append(message)
        assert talk.broker.publish(message.reply, "", None, b"yes") == 1

    talk.broker.subscribe("svc.>", answer)
    said = b"SUB i.* 1\r\nHPUB svc.x i.1 18 20\r\n" + BLOCK + b"hi\r\n"
    assert talk.say(1, said) == b"MSG i.1 1 3\r\nyes\r\n"
    assert [(m.subject, m.reply, m.header, m.payload) for m in got] == [
        ("svc.x", "i.1", BLOCK, b"hi")
    ]


def test_handler_counts_as_responder_until_it_is_unsubscribed() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b"SUB i.* 1\r\n")
    sub = talk.broker.subscribe("svc", lambda message: None)
    assert talk.say(1, b"PUB svc i.1 0\r\n\r\n") == b""
    talk.broker.unsubscribe(sub)
    assert b"503" in talk.say(1, b"PUB svc i.1 0\r\n\r\n")


def test_a_handler_is_no_client_that_waits_for_deliveries() -> None:
    talk = Conversation()
    got: list[str] = []
    talk.broker.subscribe("a", lambda message: got.append(message.subject))
    assert not talk.broker.has_client("a")
    talk.connect(1, FULL + b"SUB a 1\r\n")
    assert talk.broker.has_client("a")
    talk.broker.deliver([("a", "seen", "", None, b"")])
    assert talk.hear(1) == b"MSG seen 1 0\r\n\r\n"
    assert got == []


def test_handler_that_ends_another_keeps_it_from_the_message_on_its_way() -> None:
    talk = Conversation()
    got: list[str] = []
    first = talk.broker.subscribe("a", lambda message: talk.broker.unsubscribe(second))
    second = talk.broker.subscribe("a", lambda message: got.append(message.subject))
    assert talk.broker.publish("a", "", None, b"") == 1
    assert got == []
    talk.broker.unsubscribe(first)


def test_delivery_shows_the_stored_subject_to_a_subscriber_of_another() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b"SUB inbox.1 7\r\n")
    header = b"NATS/1.0\r\nA: b\r\n\r\n"
    talk.broker.deliver(
        [
            ("inbox.1", "$KV.b.k", "ack", None, b"v"),
            ("inbox.2", "$KV.b.k", "", None, b"v"),
            ("inbox.1", "$KV.b.l", "", header, b"v"),
        ]
    )
    assert talk.hear(1) == b"MSG $KV.b.k 7 ack 1\r\nv\r\nHMSG $KV.b.l 7 18 19\r\n%bv\r\n" % header


_RUN = [("a", f"s{number}", f"r{number}", None, b"%d" % number) for number in range(3)]


def counted(talk: Conversation) -> tuple[int, int, int]:
    stats = talk.broker.stats
    return stats.out_msgs, stats.out_bytes, talk.broker.clients[1].session.pending_bytes


@pytest.mark.parametrize("subs", [b"SUB a 1\r\n", b"SUB * 1\r\n", b"SUB a q 1\r\n"])
def test_a_run_of_deliveries_is_heard_and_counted_as_one_by_one(subs: bytes) -> None:
    together, apart = Conversation(), Conversation()
    for talk in (together, apart):
        talk.connect(1, FULL + subs)
    together.broker.deliver(_RUN)
    for each in _RUN:
        apart.broker.publish("a", "r", None, each[4])
    assert counted(together)[:2] == counted(apart)[:2] == (3, 3)
    heard = together.hear(1)
    assert heard == b"".join(b"MSG s%d 1 r%d 1\r\n%d\r\n" % (n, n, n) for n in range(3))


def test_two_subscribers_of_a_run_each_hear_all_of_it_in_order() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b"SUB a 1\r\n")
    talk.connect(2, FULL + b"SUB > 5\r\n")
    talk.broker.deliver(_RUN)
    assert talk.hear(1).split(b"\r\n")[::2] == [b"MSG s%d 1 r%d 1" % (n, n) for n in range(3)] + [
        b""
    ]
    assert talk.hear(2).count(b" 5 r") == 3


def test_a_subscription_that_wants_two_gets_two_of_a_run() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b"SUB a 1\r\nUNSUB 1 2\r\n")
    talk.broker.deliver(_RUN)
    assert talk.hear(1).count(b"MSG ") == 2
    assert not talk.broker.has_client("a")


def test_a_run_counts_for_the_number_after_which_a_subscription_ends() -> None:
    talk = Conversation()
    talk.connect(1, FULL + b"SUB a 1\r\n")
    talk.broker.deliver(_RUN)
    assert talk.say(1, b"UNSUB 1 4\r\n").count(b"MSG ") == 3
    talk.broker.deliver(_RUN)
    assert talk.hear(1).count(b"MSG ") == 1


def test_a_run_that_is_more_than_may_be_unread_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PENDING_OUTPUT_BYTES", 30)
    talk = Conversation()
    talk.connect(1, FULL + b"SUB a 1\r\n")
    talk.broker.deliver(_RUN)
    assert talk.hear(1) == b"-ERR 'Slow Consumer'\r\n"
    talk.broker.deliver(_RUN)
    assert talk.broker.stats.slow_consumers == 1


def test_a_client_without_headers_hears_a_run_without_them() -> None:
    talk = Conversation()
    talk.connect(1, b'CONNECT {"verbose":false,"headers":false}\r\nSUB a 1\r\n')
    talk.broker.deliver([("a", "s", "", b"NATS/1.0\r\n\r\n", b"v")])
    assert talk.hear(1) == b"MSG s 1 1\r\nv\r\n"


def test_change_of_interest_is_told_after_it_holds() -> None:
    talk = Conversation()
    told: list[tuple[str, bool]] = []
    talk.broker.on_interest = lambda s: told.append((s, talk.broker.has_client(s)))
    talk.connect(1)
    talk.say(1, b"SUB a 1\r\nSUB a 1\r\nSUB b.> 2\r\nSUB c..d 9\r\nUNSUB 1\r\nUNSUB 1\r\n")
    talk.say(1, b"SUB c 3\r\nUNSUB 3 1\r\nPUB c 0\r\n\r\n")
    talk.broker.closed(1, "gone", 0)
    first, later = [("a", True), ("b.>", True), ("a", False)], [("c", True), ("c", False)]
    assert told == [*first, *later, ("b.>", False)]


def test_what_wakes_by_interest_may_deliver_at_once() -> None:
    talk = Conversation()
    talk.broker.on_interest = lambda s: talk.broker.deliver([(s, "x", "", None, b"1")])
    talk.connect(1, b'CONNECT {"pedantic":false}\r\n')
    assert talk.say(1, b"SUB a 1\r\n") == b"+OK\r\nMSG x 1 1\r\n1\r\n"
