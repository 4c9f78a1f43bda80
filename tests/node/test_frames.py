"""Frames between servers: what was said is what is read, and nothing else is believed."""

import itertools
import json
from dataclasses import asdict, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcore import limits
from kvcore.node import frames
from kvcore.node.config import ClusterConfig, NodeConfig
from kvcore.node.frames import (
    Beats,
    Carried,
    ForGroup,
    FrameError,
    Heard,
    Hello,
    Note,
    Reader,
    Want,
)
from kvcore.node.peers import introduction
from kvcore.raft.messages import Beat

ME = introduction(NodeConfig("a", "ID", tags=("x:1",), cluster=ClusterConfig("C", 3)))


def written(frame: frames.Frame) -> bytes:
    match frame:
        case Hello():
            return frames.hello(frame)
        case Want(is_added, is_server, queue, subject):
            return frames.want(is_added=is_added, is_server=is_server, queue=queue, subject=subject)
        case Carried(to, subject, reply, header, payload, is_plain, queues, clients_only, user):
            pieces = frames.carried(
                to, subject, reply, header, payload,
                is_plain=is_plain, queues=queues, clients_only=clients_only, user=user,
            )  # fmt: skip
            assert pieces is not None
            return b"".join(pieces)
        case ForGroup(gid, data):
            return b"".join(frames.for_group(gid, data))
        case Note(gid, fields):
            return frames.note(gid, fields)
        case Beats(beats):
            return frames.beats(beats)
        case Heard(taken):
            return frames.heard(taken)


EXAMPLES: list[frames.Frame] = [
    ME,
    replace(ME, is_fresh=False, founders=("a", "b"), is_lame_duck=True, max_memory=2**70),
    Want(is_added=True, is_server=False, queue="", subject="a.*.>"),
    Want(is_added=False, is_server=True, queue="q", subject="a"),
    Carried(
        "to",
        "s",
        "r",
        b"NATS/1.0\r\n\r\n",
        b"\r\n\x00",
        is_plain=True,
        queues=("q", "r"),
        clients_only=True,
        user="u v",
    ),
    Carried("a.b", "a.b", "", None, b"", is_plain=True, queues=(), clients_only=False),
    Carried(
        "a", "\udcff", "", b"", b"x" * 70_000, is_plain=False, queues=("q",), clients_only=False
    ),
    ForGroup(2**64 - 1, b""),
    ForGroup(0, bytes(1000)),
    Note(7, {"do": "destroy", "n": [1, None, {"a": 1.5}]}),
    Beats(((1, Beat(2, 3, 2)), (2**64 - 1, Beat(2**64 - 1, 0, 1)))),
    Heard(((1, 2, 3), (4, 5, 2**64 - 1))),
]
BYTES = b"".join(map(written, EXAMPLES))


def read(pieces) -> tuple[list[frames.Frame], str]:
    reader, found = Reader(), []
    try:
        for piece in pieces:
            found.extend(reader.feed(piece))
    except FrameError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_a_frame_is_read_as_it_was_written(frame):
    assert read([written(frame)]) == ([frame], "")


@given(st.lists(st.integers(0, len(BYTES)), max_size=30))
def test_any_split_gives_the_same_frames(cuts):
    edges = [0, *sorted(cuts), len(BYTES)]
    pieces = [BYTES[a:b] for a, b in itertools.pairwise(edges)]
    assert read(pieces) == (EXAMPLES, "")


def test_byte_by_byte_gives_the_same_frames():
    assert read(bytes([byte]) for byte in BYTES) == (EXAMPLES, "")


@pytest.mark.parametrize("length", [0, limits.PEER_FRAME_BYTES + 1, 2**32 - 1])
def test_a_length_is_judged_before_its_bytes_have_come(length):
    found, error = read([length.to_bytes(4, "big") + b"\x04"])
    assert (found, error) == ([], f"a frame of {length} bytes")


@pytest.mark.parametrize("kind", [0, 8, 255])
def test_an_unknown_kind_is_refused_before_its_bytes_have_come(kind):
    found, error = read([(100).to_bytes(4, "big") + bytes([kind])])
    assert (found, error) == ([], f"a frame of the unknown kind {kind}")


def test_the_largest_frame_is_read_and_a_larger_one_is_not_written():
    room = limits.PEER_FRAME_BYTES - len(b"".join(frames.carried("a", "a", "", None, b""))) + 4
    pieces = frames.carried("a", "a", "", None, bytes(room))
    assert len(b"".join(pieces)) == limits.PEER_FRAME_BYTES + 4
    assert read(pieces)[1] == ""
    assert frames.carried("a", "a", "", None, bytes(room + 1)) is None


@pytest.mark.parametrize("blank", [" ", "\t", "\r", "\n"])
def test_a_subject_with_blanks_in_it_does_not_travel(blank):
    for place in range(3):
        names = ["a", "b", "c"]
        names[place] += blank
        assert frames.carried(*names, None, b"") is None
        good = b"".join(frames.carried("a_", "b_", "c_", None, b""))
        bad = good.replace(f"{'abc'[place]}_".encode(), names[place].encode())
        assert read([bad]) == ([], "a message with blanks in its subjects")


@pytest.mark.parametrize("queues", [b" q", b"q ", b"q  r", b"q\nr"])
def test_names_of_queues_are_words_with_one_blank_between(queues):
    good = b"".join(frames.carried("a", "a", "", None, b"", queues=("_" * len(queues),)))
    assert read([good.replace(b"_" * len(queues), queues)])[1]


def test_a_message_with_a_header_but_no_flag_for_it_is_refused():
    good = bytearray(b"".join(frames.carried("a", "a", "", b"NATS/1.0\r\n\r\n", b"")))
    good[5] &= ~2
    assert read([bytes(good)])[1] == "flags 0x4 of a message"


@pytest.mark.parametrize("subject", ["", "a..b", ".a", "a.", ">.a", "a b"])
def test_interest_in_what_nobody_can_subscribe_to_is_refused(subject):
    bad = frames.want(is_added=True, is_server=False, queue="", subject=subject)
    assert read([bad])[1].startswith("interest in")


@pytest.mark.parametrize("field", asdict(ME))
def test_each_field_of_a_hello_is_there_and_of_its_type(field):
    said = {"protocol": frames.PROTOCOL, **asdict(ME)}
    for wrong in (None, {}, [1], 1.5, True if field != "jetstream" else 1):
        if isinstance(said[field], bool) and isinstance(wrong, bool):
            continue
        text = json.dumps({**said, field: wrong}).encode()
        head = (1 + len(text)).to_bytes(4, "big") + b"\x01"
        assert read([head + text])[1].startswith(f"{field} of a HELLO is"), wrong


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"nan", b"[" * 100, b'{"protocol":2}', b"{}", b"\xff"]
)
def test_a_hello_that_is_no_introduction_is_refused(text):
    assert read([(1 + len(text)).to_bytes(4, "big") + b"\x01" + text])[1]


def test_ten_thousand_mutated_streams_give_frames_or_a_frame_error_whatever_the_split():
    rng, refused = Random(5), 0
    short = b"".join(written(frame) for frame in EXAMPLES if len(written(frame)) < 2000)
    for _ in range(10_000):
        data = bytearray(short)
        for _ in range(rng.randint(1, 4)):
            match rng.randrange(3):
                case 0:
                    data[rng.randrange(len(data))] = rng.randrange(256)
                case 1:
                    at = rng.randrange(len(data))
                    del data[at : at + rng.randint(1, 8)]
                case _:
                    at = rng.randrange(len(data))
                    data[at:at] = rng.randbytes(rng.randint(1, 8))
        raw = bytes(data)
        whole = read([raw])
        at = rng.randrange(len(raw))
        assert read([raw[:at], raw[at:]]) == whole
        refused += bool(whole[1])
    assert 5_000 < refused < 10_000


@pytest.mark.parametrize("size", [0, 31, 47])
@pytest.mark.parametrize("kind", [6, 7])
def test_heartbeats_that_are_none_or_end_in_the_middle_of_one_are_refused(kind, size):
    body = bytes([kind]) + bytes(size)
    assert read([len(body).to_bytes(4, "big") + body]) == ([], "a frame is cut short")
