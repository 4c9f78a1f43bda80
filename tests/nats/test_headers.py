"""Header blocks: written, read, searched and amended without judging them."""

from kvcore.nats.headers import Headers, encode, find, parse, with_header, without

BLOCK = b"NATS/1.0\r\nNats-Msg-Id: x\r\nA:1\r\na:  2 \r\nA: 3\r\n\r\n"


def test_block_is_the_version_line_the_labels_and_a_blank_line() -> None:
    assert encode([]) == b"NATS/1.0\r\n\r\n"
    assert encode([("A", "1"), ("A", "é")]) == "NATS/1.0\r\nA: 1\r\nA: é\r\n\r\n".encode()
    assert encode([("S", "x")], "503") == b"NATS/1.0 503\r\nS: x\r\n\r\n"
    assert encode([], "404", "No Messages") == b"NATS/1.0 404 No Messages\r\n\r\n"


def test_reading_keeps_order_case_and_trailing_space() -> None:
    headers = parse(BLOCK)
    assert headers == Headers("", "", (("Nats-Msg-Id", "x"), ("A", "1"), ("a", "2 "), ("A", "3")))
    assert headers.get("A") == "1"
    assert headers.get("a") == "2 "
    assert headers.get("nats-msg-id") is None
    assert headers.get_all("A") == ("1", "3")


def test_status_line_is_read_as_code_and_text() -> None:
    assert parse(b"NATS/1.0 503\r\n\r\n") == Headers("503")
    assert parse(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n") == Headers("100", "Idle Heartbeat")


def test_bytes_that_are_no_block_are_read_without_complaint() -> None:
    assert parse(b"hello").pairs == ()
    assert parse(b"").pairs == ()
    assert find(b"hello", b"A") is None


def test_one_key_is_found_without_parsing_the_rest() -> None:
    assert find(BLOCK, b"Nats-Msg-Id") == "x"
    assert find(BLOCK, b"A") == "1"
    assert find(BLOCK, b"a") == "2 "
    assert find(BLOCK, b"Msg-Id") is None
    assert find(b"NATS/1.0\r\nK:\r\n\r\n", b"K") == ""
    assert find(b"NATS/1.0\r\nK: cut", b"K") == "cut"


def test_label_is_appended_at_the_end() -> None:
    assert with_header(None, "A", "1") == b"NATS/1.0\r\nA: 1\r\n\r\n"
    assert with_header(b"NATS/1.0\r\nA: 1\r\n\r\n", "B", "2") == b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n"


def test_labels_are_taken_out_and_an_empty_block_is_none() -> None:
    assert without(BLOCK, ["A", "a"]) == b"NATS/1.0\r\nNats-Msg-Id: x\r\n\r\n"
    assert without(b"NATS/1.0\r\nA: 1\r\n\r\n", ["A"]) is None
    assert without(b"NATS/1.0 404\r\nA: 1\r\n\r\n", ["A"]) == b"NATS/1.0 404\r\n\r\n"
    assert without(BLOCK, []) == BLOCK
