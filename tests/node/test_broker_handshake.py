"""INFO, CONNECT and the first PING: nats-wire §1.2, §1.3, §1.8."""

import pytest

from kvcore.node.config import User
from tests.support.conversation import FULL, QUIET, Conversation, info

SECOND = 1_000_000_000
BOB = {"users": (User("bob", "s3"),)}
GOOD = b'CONNECT {"verbose":false,"user":"bob","pass":"s3"}\r\n'


def test_greeting_names_server_limits_and_client() -> None:
    talk = Conversation(port=4111, max_payload=77)
    talk.broker.connected(9, "10.0.0.7", 50009, 0)
    line = talk.hear(9)
    assert line.endswith(b"\r\n")
    assert info(line) == {
        "server_id": "ID",
        "server_name": "n1",
        "version": "2.11.0",
        "proto": 1,
        "go": "python",
        "host": "127.0.0.1",
        "port": 4111,
        "headers": True,
        "max_payload": 77,
        "jetstream": True,
        "api_lvl": 1,
        "client_id": 9,
        "client_ip": "10.0.0.7",
    }


def test_greeting_asks_for_a_secret_only_when_there_is_one_and_shows_none() -> None:
    talk = Conversation(**BOB, token="t0")
    talk.broker.connected(1, "h", 1, 0)
    line = talk.hear(1)
    assert info(line)["auth_required"] is True
    assert b"s3" not in line
    assert b"t0" not in line


@pytest.mark.parametrize(
    "hello",
    [b"CONNECT {}\r\n", b"CONNECT null\r\n", b"connect\t{}\n", b'CONNECT {"verbose":null}\r\n'],
)
def test_silence_about_an_option_means_verbose(hello: bytes) -> None:
    assert Conversation().connect(1, hello + b"PING\r\n") == b"+OK\r\nPONG\r\n"


def test_before_connect_an_open_server_takes_everything_and_is_verbose() -> None:
    talk = Conversation()
    answer = talk.connect(1, b"PING\r\nSUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\n")
    assert answer == b"PONG\r\n+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n+OK\r\n"


@pytest.mark.parametrize("hello", [b"", b"CONNECT {}\r\n"])
def test_silence_about_an_option_means_pedantic(hello: bytes) -> None:
    answer = Conversation().connect(1, hello + b"PUB a.* 1\r\nx\r\nPUB a..b 0\r\n\r\n")
    told = b"-ERR 'Invalid Publish Subject'\r\n+OK\r\n"
    assert answer == (b"+OK\r\n" if hello else b"") + told * 2


NO_OBJECT = [b"", b"{", b"[]", b"5", b'"x"', b"{} x", b'{"x":NaN}']
WRONG_TYPE = [b'{"verbose":1}', b'{"name":5}', b'{"sig":1}', b'{"import":[]}']
WRONG_NUMBER = [b'{"protocol":1.0}', b'{"protocol":true}', b'{"protocol":99999999999999999999}']
TOO_DEEP = [b'{"a":' + b"[" * 600 + b"]" * 600 + b"}"]


@pytest.mark.parametrize("options", NO_OBJECT + WRONG_TYPE + WRONG_NUMBER + TOO_DEEP)
def test_connect_that_is_no_good_object_closes_without_a_word(options: bytes) -> None:
    talk = Conversation()
    assert talk.connect(1, b"CONNECT " + options + b"\r\nPING\r\n") == b""
    assert talk.closed == [1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (b'{"protocol":2}', b"invalid client protocol"),
        (b'{"protocol":-1}', b"invalid client protocol"),
        (b'{"no_responders":true}', b"no responders requires headers support"),
        (b'{"no_responders":true,"headers":false}', b"no responders requires headers support"),
    ],
)
def test_connect_that_contradicts_the_protocol_is_told_and_closed(
    options: bytes, text: bytes
) -> None:
    talk = Conversation()
    assert talk.connect(1, b"CONNECT " + options + b"\r\n") == b"-ERR '" + text + b"'\r\n"
    assert talk.closed == [1]


def test_field_names_are_compared_without_case_and_unknown_ones_are_passed_over() -> None:
    hello = b'CONNECT {"VERBOSE":false,"Pedantic":false,"later":{"x":[1]}}\r\nPING\r\n'
    assert Conversation().connect(1, hello) == b"PONG\r\n"


def test_repeated_connect_amends_the_first() -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    assert talk.say(1, b'CONNECT {"echo":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n') == b""
    assert talk.say(1, b'CONNECT {"verbose":true}\r\n') == b"+OK\r\n"
    assert talk.broker.clients[1].session.options.headers


def test_repeated_connect_ends_subscriptions_and_the_first_keeps_earlier_ones() -> None:
    talk = Conversation()
    talk.connect(1, b"SUB a 1\r\n" + QUIET)
    assert talk.say(1, b"PUB a 0\r\n\r\n") == b"MSG a 1 0\r\n\r\n"
    assert talk.say(1, QUIET + b"PUB a 0\r\n\r\n") == b""
    assert talk.say(1, b"SUB a 1\r\nPUB a 0\r\n\r\n") == b"MSG a 1 0\r\n\r\n"


def test_second_info_follows_the_first_pong_when_the_client_speaks_protocol_1() -> None:
    talk = Conversation()
    answer = talk.connect(1, b"PING\r\n" + FULL + b"PING\r\nPING\r\n").split(b"\r\n")
    assert [line[:4] for line in answer] == [b"PONG", b"PONG", b"INFO", b"PONG", b""]
    fields = info(answer[2])
    assert fields["connect_info"] is True
    assert fields["remote_account"] == "$G"
    assert fields["client_id"] == 1


def test_protocol_0_is_told_nothing_more() -> None:
    assert Conversation().connect(1, QUIET + b"PING\r\nPING\r\n") == b"PONG\r\nPONG\r\n"


def test_good_password_is_admitted_and_judged_again_when_it_is_said_again() -> None:
    talk = Conversation(**BOB)
    assert talk.connect(1, GOOD + b"PING\r\n" + b'CONNECT {"echo":true}\r\n') == b"PONG\r\n"
    again = talk.say(1, b'CONNECT {"user":"eve"}\r\nPING\r\n')
    assert again == b"-ERR 'Authorization Violation'\r\n"
    assert talk.closed == [1]


def test_token_is_admitted_by_itself() -> None:
    talk = Conversation(token="t0")
    assert (
        talk.connect(1, b'CONNECT {"verbose":false,"auth_token":"t0"}\r\nPING\r\n') == b"PONG\r\n"
    )
    assert talk.connect(2, b'CONNECT {"auth_token":"t1"}\r\n').startswith(b"-ERR 'Authorization")


NO_CONNECT = [
    b"PING\r\n",
    b"P",
    b"X",
    b"\r\n",
    b"PUB a 1\r\nx\r\n",
    b"SUB a 1\r\n",
    b"PUB a -1\r\n",
]
NO_SECRET = [b"CONNECT {}\r\n", b'CONNECT {"user":"","pass":""}\r\n', b'CONNECT {"user":"bo"}\r\n']
BAD_SECRET = [b'CONNECT {"user":"bob","pass":"S3"}\r\n', b'CONNECT {"auth_token":"s3"}\r\n']
TWICE_WRONG = [b'CONNECT {"user":"bob","pass":"x","protocol":7}\r\n', b"PING\r\n" + GOOD]


@pytest.mark.parametrize("hello", NO_CONNECT + NO_SECRET + BAD_SECRET + TWICE_WRONG)
def test_everything_but_a_good_secret_is_an_authorization_violation(hello: bytes) -> None:
    talk = Conversation(**BOB)
    assert talk.connect(1, hello) == b"-ERR 'Authorization Violation'\r\n"
    assert talk.closed == [1]
    assert talk.say(1, GOOD) == b""


@pytest.mark.parametrize(
    ("hello", "answer"),
    [
        (b"CONX", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"CONNECT " + b"x" * 5000, b"-ERR 'maximum control line exceeded'\r\n"),
        (b"CONNECT {\r\n", b""),
        (
            b'CONNECT {"user":"bob","pass":"s3","protocol":3}\r\n',
            b"-ERR 'invalid client protocol'\r\n",
        ),
    ],
)
def test_broken_connect_on_a_guarded_server_is_told_what_is_broken(
    hello: bytes, answer: bytes
) -> None:
    talk = Conversation(**BOB)
    assert talk.connect(1, hello) == answer
    assert talk.closed == [1]


def test_client_that_shows_no_secret_in_time_is_told_and_closed() -> None:
    talk = Conversation(**BOB)
    talk.connect(1, b"CONN")
    talk.connect(2, GOOD)
    talk.pass_time(2 * SECOND - 1)
    assert talk.closed == []
    talk.pass_time(1)
    assert talk.hear(1) == b"-ERR 'Authentication Timeout'\r\n"
    assert talk.closed == [1]


def test_open_server_waits_for_connect_as_long_as_it_takes() -> None:
    talk = Conversation()
    talk.connect(1, b"")
    talk.pass_time(60 * SECOND)
    assert talk.closed == []


def test_one_connection_too_many_is_greeted_told_and_closed() -> None:
    talk = Conversation(max_connections=2)
    talk.connect(1)
    talk.connect(2)
    assert talk.connect(3, b"") == b"-ERR 'maximum connections exceeded'\r\n"
    assert talk.closed == [3]
    talk.broker.closed(1, "", 0)
    assert talk.connect(4, QUIET + b"PING\r\n") == b"PONG\r\n"
