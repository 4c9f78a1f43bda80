"""The parser: every form a client may use, every form it may not, at every split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcore.nats.ops import Connect, Ignored, Op, Ping, Pong, Pub, Sub, Unsub, Violation
from kvcore.nats.parser import Parser

UNKNOWN = Violation("Unknown Protocol Operation")
MALFORMED = Violation("")


def ops(*pieces: bytes, max_payload: int = 1024, max_control_line: int = 4096) -> list[Op]:
    parser = Parser(max_payload, max_control_line)
    return [op for piece in pieces for op in parser.feed(piece)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"PING\r\n", [Ping()]),
        (b"PING\n", [Ping()]),
        (b"pInG\r\n", [Ping()]),
        (b"PING and more\r\n", [Ping()]),
        (b"PONG\r\n", [Pong()]),
        (b'CONNECT {"a":1}\r\n', [Connect(b'{"a":1}')]),
        (b"CONNECT   {} \r\n", [Connect(b"{}")]),
        (b"CONNECT{}\r\n", [Connect(b"{}")]),
        (b"CONNECT\n{}\r\n", [Connect(b"{}")]),
        (b"CONNECT\r\n", [Connect(b"")]),
        (b"PUB s 2\r\nhi\r\n", [Pub("s", "", None, b"hi")]),
        (b"PUB s 2\nhi\r\n", [Pub("s", "", None, b"hi")]),
        (b"pub\ts \t r   2 \r\nhi\r\n", [Pub("s", "r", None, b"hi")]),
        (b"PUB s  2\r\nhi\r\n", [Pub("s", "", None, b"hi")]),
        (b"PUB s 0\r\n\r\n", [Pub("s", "", None, b"")]),
        (b"PUB s 000000002\r\nhi\r\n", [Pub("s", "", None, b"hi")]),
        (b"PUB s 4\r\n\r\n\r\n\r\n", [Pub("s", "", None, b"\r\n\r\n")]),
        (b"PUB a\x0bb\x0cc 2\r\nhi\r\n", [Pub("a\x0bb\x0cc", "", None, b"hi")]),
        (b"PUB a\xffb 0\r\n\r\n", [Pub("a\udcffb", "", None, b"")]),
        (
            b"HPUB s 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            [Pub("s", "", b"NATS/1.0\r\n\r\n", b"hi", has_header_verb=True)],
        ),
        (b"hpub s r 2 2\r\nxx\r\n", [Pub("s", "r", b"xx", b"", has_header_verb=True)]),
        (b"HPUB s r 0 1\r\nx\r\n", [Pub("s", "r", None, b"x", has_header_verb=True)]),
        (b"SUB s 1\r\n", [Sub("s", "", "1")]),
        (b"SUB s  1\r\n", [Sub("s", "", "1")]),
        (b"sub s\tq 1\n", [Sub("s", "q", "1")]),
        (b"UNSUB 1\r\n", [Unsub("1", 0)]),
        (b"UNSUB 5 \r\n", [Unsub("5", 0)]),
        (b"UNSUB 1 7\r\n", [Unsub("1", 7)]),
        (b"UNSUB 1 x\r\n", [Unsub("1", 0)]),
        (b"UNSUB 1 -7\r\n", [Unsub("1", 0)]),
        (b"UNSUB \n1\r\n", [Unsub("1", 0)]),
        (b"SUB a\r1\r\n", [Sub("a", "", "1")]),
        (b"UNSUB 3 2\rx\n", [Unsub("3", 2)]),
        (b"+OK\r\n+ok then\n", [Ignored(), Ignored()]),
        (b'INFO {"x":1}\r\n', [Ignored()]),
    ],
)
def test_each_form_that_a_client_may_use(line: bytes, expected: list[Op]) -> None:
    assert ops(line) == expected
    assert ops(line + b"PING\r\n") == [*expected, Ping()]


@pytest.mark.parametrize(
    ("line", "violation"),
    [
        (b"\r\n", UNKNOWN),
        (b" PING\r\n", UNKNOWN),
        (b"PIN\r\n", UNKNOWN),
        (b"XYZ", UNKNOWN),
        (b"PX", UNKNOWN),
        (b"PUBx", UNKNOWN),
        (b"PUB\r\n", UNKNOWN),
        (b"SUB\r\n", UNKNOWN),
        (b"UNSUB\r\n", UNKNOWN),
        (b"CONX", Violation("Unknown Protocol Operation", of_connect=True)),
        (b"CONN\r\n", Violation("Unknown Protocol Operation", of_connect=True)),
        (b"HMSG a 1 2\r\n", UNKNOWN),
        (b"MSG a 1 2\r\n", UNKNOWN),
        (b"RS+ a b\r\n", UNKNOWN),
        (b"PUB s 2\nhi\n", UNKNOWN),
        (b"PUB s 2\r\nhiX", UNKNOWN),
        (b"PUB s 2\r\nhi\rX", UNKNOWN),
        (b"PUB s 2\r\nhi!\r\n", UNKNOWN),
        (b"PUB \r\n", MALFORMED),
        (b"PUB \ns 2\r\nhi\r\n", MALFORMED),
        (b"PUB a\rb 2\r\nhi\r\n", MALFORMED),
        (b"PUB a 2\r \r\nhi\r\n", MALFORMED),
        (b"PUB a 22\r\r\n", MALFORMED),
        (b"PUB s\r\n", MALFORMED),
        (b"PUB a b c 1\r\n", MALFORMED),
        (b"PUB s x\r\n", MALFORMED),
        (b"PUB s -1\r\n", MALFORMED),
        (b"PUB s +1\r\n", MALFORMED),
        (b"PUB s 1_0\r\n", MALFORMED),
        (b"PUB s 0000000002\r\n", MALFORMED),
        (b"PUB s 99999999999999999999\r\n", MALFORMED),
        (b"HPUB s 2\r\n", MALFORMED),
        (b"HPUB s r q 2 2\r\n", MALFORMED),
        (b"HPUB s 3 2\r\n", MALFORMED),
        (b"HPUB s -1 2\r\n", MALFORMED),
        (b"HPUB s 2 -1\r\n", MALFORMED),
        (b"SUB  \r\n", MALFORMED),
        (b"SUB s\r\n", MALFORMED),
        (b"SUB s q 1 2\r\n", MALFORMED),
        (b"UNSUB \r\n", MALFORMED),
        (b"UNSUB 1 2 3\r\n", MALFORMED),
        (b"INFO {bad\r\n", MALFORMED),
        (b"INFOx\r\n", MALFORMED),
        (b"-ERR 'no'\r\n", MALFORMED),
        (b"PUB s 1025\r\n", Violation("Maximum Payload Violation")),
        (b"HPUB s 2 1025\r\n", Violation("Maximum Payload Violation")),
    ],
)
def test_each_form_that_is_refused_ends_the_stream(line: bytes, violation: Violation) -> None:
    assert ops(b"PING\r\n" + line) == [Ping(), violation]
    assert ops(line, b"PING\r\n") == [violation]


def test_payload_is_refused_by_its_size_before_it_arrives() -> None:
    assert ops(b"PUB s 1024\r\n") == []
    assert ops(b"PUB s 1025\r\n") == [Violation("Maximum Payload Violation")]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_control_line_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(end: bytes) -> None:
    for verb in (b"PUB", b"SUB", b"UNSUB", b"CONNECT", b"PING"):
        fits = verb + b" " + b"a" * 28 + b" 2 " + b" "
        taken = ops(fits + end + b"hi\r\n", max_control_line=32)
        assert taken[:1] != [], verb
        assert not isinstance(taken[0], Violation), verb
        assert ops(fits + b" " + end, max_control_line=32) == [
            Violation("maximum control line exceeded", of_connect=verb == b"CONNECT")
        ]


def test_endless_line_is_refused_before_it_ends() -> None:
    assert ops(b"PUB " + b"a" * 5000) == [Violation("maximum control line exceeded")]
    assert ops(b"PUB" + b" " * 5000) == [Violation("maximum control line exceeded")]
    assert ops(b"PING" + b"x" * 5000) == [Violation("maximum control line exceeded")]


def test_header_publication_on_the_way_is_known_before_its_payload_arrives() -> None:
    parser = Parser()
    assert parser.feed(b"PING\r\nHPUB s 2 4\r\nxx") == [Ping()]
    assert parser.awaits_headers
    assert parser.partial == b"HPUB s 2"
    assert len(parser.feed(b"yy\r\n")) == 1
    assert not parser.awaits_headers
    assert parser.partial == b""


def test_subject_of_a_message_on_the_way_is_known_before_its_payload_arrives() -> None:
    parser = Parser()
    parser.feed(b"PUB a.* 4\r\nxx")
    assert parser.awaited_subject == "a.*"
    parser.feed(b"x")
    assert parser.awaited_subject == "a.*"
    assert parser.feed(b"y\r\nPUB b 1\r\nxx\r\n")[1:] == [Violation("Unknown Protocol Operation")]
    assert parser.awaited_subject == "b"


STREAMS = [
    (
        b'CONNECT {"verbose":false}\r\nPING\r\nSUB a.* q 1\r\nPUB a.b r 3\r\nx\ny\r\nUNSUB 1 4\r\n'
        b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nz\r\nPONG\n+OK\r\npub a 0\r\n\r\nINFO {}\r\nPING\r\n"
    ),
    b"PUB s 2\r\nhi\r\nPUB s 2\nhi\r\nPUB s 2\r\nhi\n",
    b"SUB a 1\r\nPUB a\x0bb 1\r\nx\r\nPUB \nq 1\r\n\n\r\nCONNECT\n{}\r\nPUB \r\n",
    b"PING\r\nHPUB a 3 2\r\nxx\r\n",
    b"PING\r\nPUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1\r\nx\r\n",
    b"PING\r\nPUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1\r\nx\r\nFOO",
]


@pytest.mark.parametrize("stream", STREAMS)
def test_any_one_cut_and_any_byte_by_byte_delivery_give_the_same_operations(stream: bytes) -> None:
    whole = ops(stream, max_control_line=45)
    for cut in range(len(stream) + 1):
        assert ops(stream[:cut], stream[cut:], max_control_line=45) == whole, cut
    singles = [stream[at : at + 1] for at in range(len(stream))]
    assert ops(*singles, max_control_line=45) == whole


LINES = [b"pub a 2\r\n", b"HPUB a 2 4\r\n", b"hi\r\n", b"abcd\r\n", b"SUB a 1\r\n", b"+OK\r\n"]
STARTS = [b"PUB ", b"PING", b"UNSUB 1 2\r\n", b"CONNECT {}", b"INFO {}", b"a" * 30]
BYTES = [bytes([byte]) for byte in b"\r\n \t\x0b09CP-\xff"]
FRAGMENTS = st.sampled_from(LINES + STARTS + BYTES)


@settings(deadline=None)
@given(st.lists(st.one_of(FRAGMENTS, st.binary(max_size=3)), max_size=12), st.data())
def test_every_split_of_any_bytes_gives_the_same_operations(
    parts: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(parts)
    whole = ops(stream, max_payload=6, max_control_line=24)
    for cut in range(1, len(stream)):
        assert ops(stream[:cut], stream[cut:], max_payload=6, max_control_line=24) == whole
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert ops(*pieces, max_payload=6, max_control_line=24) == whole
    assert all(not isinstance(op, Violation) for op in whole[:-1])
