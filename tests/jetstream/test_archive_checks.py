"""Records of a backup that someone made by hand: sound checksums, impossible contents."""

import struct

import pytest

from kvcore import limits
from kvcore.jetstream.archive import ArchiveError, ArchiveReader, Pairs, written
from kvcore.jetstream.archive_checks import RecordChecks, stored_key
from kvcore.jetstream.checks import normalised
from kvcore.jetstream.commands import Acked, CreateConsumer, Publish
from kvcore.jetstream.ledger import delivery_move
from kvcore.jetstream.records import encode_message, encode_stamped
from kvcore.jetstream.shapes import from_json
from kvcore.jetstream.stream import Stream
from kvcore.storage import keys
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay

CONFIG = normalised(from_json(b'{"name":"S","subjects":["s.>"]}'))
NOW = 1_767_225_600_000_000_000
MSG_ID = b"NATS/1.0\r\nNats-Msg-Id: once\r\n\r\n"
BIG = limits.SEQUENCE_MAX + 1


def q(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}Q", *numbers)


@pytest.fixture(scope="module")
def records() -> tuple[tuple[bytes, bytes], ...]:
    """The records of a small stream with a durable that waits for message 1."""
    store = Overlay(MemoryStorage())
    stream = Stream(5, CONFIG, NOW, store)
    stream.apply(Publish("s.a", "", None, b"one", NOW), 1)
    stream.apply(Publish("s.b", "", MSG_ID, b"two", NOW + 1), 2)
    durable = b'{"durable_name":"d","ack_policy":"explicit"}'
    stream.apply(CreateConsumer(durable, "d", "", "", NOW + 2), 3)
    stream.apply(Acked("d", delivery_move(1, 1, 1), "", NOW + 3), 4)
    reader = ArchiveReader()
    for frame in written("S", 5, store, ["d"]):
        reader.feed(frame)
    frames = iter(reader.next, None)
    return tuple(pair for frame in frames if isinstance(frame, Pairs) for pair in frame.pairs)


def check(records, config=CONFIG) -> None:
    checks = RecordChecks(config)
    for key, value in records:
        checks.check(key, value)
    checks.finish()


def test_a_streams_own_records_are_sound(records):
    check(records)
    letters = b"".join(key[:1] for key, _ in records)
    assert letters == b"SSCAADMM"


MESSAGE_1, MESSAGE_2 = b"M" + q(1), b"M" + q(2)
ENTRY = b"Ad." + q(1)
MESSAGE = encode_message(b"s.a", b"", b"", NOW)

HOSTILE = {
    "an unknown letter": (b"X", b""),
    "an entry of the log": (b"E" + q(1), b""),
    "no key": (b"", b""),
    "a short state": (b"S", b"short"),
    "a sequence beyond all": (b"S", q(4, BIG, 1, NOW, NOW)),
    "a time beyond all": (b"S", q(4, 2, 1, BIG, NOW)),
    "a beginning after the end": (b"S", q(4, 2, 9, NOW, NOW)),
    "an end before a message": (b"S", q(4, 1, 1, NOW, NOW)),
    "another stream": (b"Sc", encode_stamped(NOW, b'{"name":"T","subjects":["s.>"]}')),
    "a path for a name": (b"Sc", encode_stamped(NOW, b'{"name":"../S","subjects":["s.>"]}')),
    "other storage": (b"Sc", encode_stamped(NOW, b'{"name":"S","storage":"memory"}')),
    "no JSON": (b"Sc", encode_stamped(NOW, b"{")),
    "JSON too deep": (b"Sc", encode_stamped(NOW, b'{"name":' + b"[" * 9999)),
    "an unsound setting": (b"Sc", encode_stamped(NOW, b'{"name":"S","max_age":5}')),
    "an unknown state record": (b"Sx", b""),
    "a position of no source": (b"So\xff", q(1)),
    "a position that is cut short": (b"Sokey", b"123"),
    "a path for a consumer": (b"C../../x", encode_stamped(NOW, b'{"durable_name":"../../x"}')),
    "a consumer of another name": (b"Cd", encode_stamped(NOW, b'{"durable_name":"e"}')),
    "a consumer without a name": (b"Cd", encode_stamped(NOW, b"{}")),
    "a consumer with a raw setting": (
        b"Cd",
        encode_stamped(NOW, b'{"durable_name":"d","ack_policy":"explicit","max_deliver":-7}'),
    ),
    "a consumer that breaks a rule": (
        b"Cd",
        encode_stamped(NOW, b'{"durable_name":"d","ack_policy":"none","backoff":[5,6]}'),
    ),
    "a consumer that is no JSON": (b"Cd", encode_stamped(NOW, b"\xff")),
    "a name that is no text": (b"C\xff", encode_stamped(NOW, b"{}")),
    "progress of nobody": (b"Ae", q(0, 0, 0, 0, 0)),
    "progress cut short": (b"Ad", q(0, 0)),
    "progress beyond all": (b"Ad", q(1, BIG, 0, 0, 2)),
    "a delivery before it": (ENTRY, q(9, 0) + b"\x01"),
    "a delivery of nothing": (ENTRY, q(0, 0) + b"\x00"),
    "a delivery beyond the last": (b"Ad." + q(2), q(1, 0) + b"\x01"),
    "a delivery cut short": (ENTRY, q(1)),
    "a delivery that is neither": (ENTRY, q(1, 0) + b"\x07"),
    "a delivery without a number": (b"Ad.1", q(1, 0) + b"\x01"),
    "an id of no message": (b"D" + q(9), encode_stamped(NOW, b"x")),
    "an id twice": (b"D" + q(1), encode_stamped(NOW, b"once")),
    "an id cut short": (b"D" + q(2), b"1"),
    "a message cut short": (MESSAGE_1, MESSAGE[:5]),
    "a subject beyond the record": (MESSAGE_1, struct.pack(">QHI", NOW, 900, 0) + b"s.a"),
    "a header beyond the record": (MESSAGE_1, struct.pack(">QHI", NOW, 3, 900) + b"s.a"),
    "a header that is none": (MESSAGE_1, encode_message(b"s.a", b"X-Y: 1\r\n\r\n", b"", NOW)),
    "a wildcard": (MESSAGE_1, encode_message(b"s.*", b"", b"", NOW)),
    "a line end in a subject": (MESSAGE_1, encode_message(b"s.\r\nPUB", b"", b"", NOW)),
    "no subject": (MESSAGE_1, encode_message(b"", b"", b"", NOW)),
    "a stored time beyond all": (MESSAGE_1, encode_message(b"s.a", b"", b"", BIG)),
    "a message without a number": (b"M1", MESSAGE),
    "message 0": (b"M" + q(0), MESSAGE),
    "a message after the end": (b"M" + q(3), MESSAGE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_impossible_record_is_refused(records, name):
    key, value = HOSTILE[name]
    changed = dict(records) | {key: value}
    order = b"SCADM"
    pairs = sorted(changed.items(), key=lambda pair: (order.find(pair[0][:1]), pair[0]))
    with pytest.raises(ArchiveError):
        check(pairs)


def test_records_out_of_order_are_refused(records):
    for place in range(len(records) - 1):
        swapped = list(records)
        swapped[place : place + 2] = swapped[place + 1], swapped[place]
        with pytest.raises(ArchiveError):
            check(swapped)


def test_a_record_that_is_there_twice_is_refused(records):
    for place, record in enumerate(records):
        with pytest.raises(ArchiveError):
            check([*records[: place + 1], record, *records[place + 1 :]])


@pytest.mark.parametrize("missing", [b"S", b"Sc", b"Cd", b"Ad", MESSAGE_1])
def test_records_that_lack_one_that_others_need_are_refused(records, missing):
    with pytest.raises(ArchiveError):
        check([(key, value) for key, value in records if key != missing])


def test_a_record_stands_under_the_new_group_alone():
    low, high = keys.span(b"M", 77)
    assert low <= stored_key(77, b"M" + b"\xff" * 8) < high
    assert keys.group(stored_key(77, b"S")) == 77
