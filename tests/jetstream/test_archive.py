"""The form of a backup: what the reader takes, and that it takes nothing else."""

import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcore import limits
from kvcore.jetstream.archive import ArchiveError, ArchiveReader, End, Head, Pairs, written
from kvcore.storage import keys
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay


def archive(count: int = 5, size: int = 20) -> list[bytes]:
    store = Overlay(MemoryStorage())
    store.put(keys.state(9), keys.encode_index(7) + b"state")
    store.put(keys.consumer(9, "d"), b"durable")
    store.put(keys.consumer(9, "w"), b"watch")
    store.put(keys.entry(9, 1), b"the log stays at home")
    store.put(keys.message(8, 1), b"another group's")
    for seq in range(1, count + 1):
        store.put(keys.message(9, seq), bytes([seq % 256]) * size)
    return list(written("S", 9, store, ["d"]))


def read(*pieces: bytes) -> list[object]:
    reader, frames = ArchiveReader(), []
    for piece in pieces:
        reader.feed(piece)
        while (frame := reader.next()) is not None:
            frames.append(frame)
    return frames


def read_whole(data: bytes) -> list[object]:
    frames = read(data)
    if not frames or frames[-1] != End():
        raise ArchiveError("cut short")
    return frames


def test_an_archive_has_a_head_the_groups_records_and_an_end():
    head, pairs, end = read(b"".join(archive(2, 1)))
    assert head == Head("S", 7)
    assert pairs == Pairs(
        (
            (b"S", keys.encode_index(7) + b"state"),
            (b"Cd", b"durable"),
            (b"M" + keys.encode_index(1), b"\x01"),
            (b"M" + keys.encode_index(2), b"\x02"),
        )
    )
    assert end == End()


DATA = b"".join(archive())


@given(st.lists(st.integers(0, len(DATA)), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_frames(places):
    cuts = [0, *sorted(places), len(DATA)]
    assert read(*(DATA[a:b] for a, b in itertools.pairwise(cuts))) == read(DATA)


def test_no_frame_is_larger_than_a_milliseconds_work():
    for frame in archive(2000, 10):
        assert len(frame) < limits.BACKUP_FRAME_BYTES
    assert max(len(frame) for frame in archive(500, 1000)) < limits.BACKUP_FRAME_BYTES + 1100


def test_a_flipped_bit_is_refused_wherever_it_is():
    for at in range(len(DATA)):
        for bit in range(8):
            changed = bytearray(DATA)
            changed[at] ^= 1 << bit
            with pytest.raises(ArchiveError):
                read_whole(bytes(changed))


def test_an_archive_that_is_cut_short_never_ends():
    for length in range(len(DATA)):
        assert End() not in read(DATA[:length])


def test_frames_that_are_dropped_repeated_or_swapped_are_refused():
    frames = archive(600)
    assert len(frames) == 5
    for place in range(1, len(frames) - 1):
        for changed in (
            frames[:place] + frames[place + 1 :],
            [*frames[: place + 1], frames[place], *frames[place + 1 :]],
            [*frames[:place], frames[place + 1], frames[place], *frames[place + 2 :]],
        ):
            with pytest.raises(ArchiveError):
                read_whole(b"".join(changed))


def test_two_archives_do_not_make_one():
    one, other = archive(600), archive(600, 3)
    with pytest.raises(ArchiveError):
        read_whole(b"".join([*one[:2], *other[2:]]))


def test_bytes_after_the_end_are_refused():
    with pytest.raises(ArchiveError, match="follow the end"):
        read(DATA + b"x")


def body_frame(body: bytes, check: int = 0) -> bytes:
    data = body + zlib.crc32(body, check).to_bytes(4)
    return b"\x9a" + len(data).to_bytes(3, "little") + data


IDENTIFIER = b"\xff\x06\x00\x00S2sTwO"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\x03\x04", "does not begin as one"),
        (IDENTIFIER + b"\x00\xd1\x00\x00", "not made by kvcore, but by nats-server"),
        (IDENTIFIER + b"\x9a\x00\x00\x00", "impossible length"),
        (IDENTIFIER + b"\x9a\xff\xff\xff", "impossible length"),
        (IDENTIFIER + body_frame(b"P"), "does not begin with its head"),
        (IDENTIFIER + body_frame(b"H\x00\x02{}"), "version 2, this server reads 1"),
        (IDENTIFIER + body_frame(b"H\x00\x01["), "not readable"),
        (IDENTIFIER + body_frame(b"H\x00\x01{}"), "not one of kvcore's"),
        (IDENTIFIER + body_frame(b"H\x00\x01" + b"[" * 100_000), "not readable"),
    ],
)
def test_what_is_no_backup_is_refused_with_the_reason(data, why):
    with pytest.raises(ArchiveError, match=why):
        read(data)


@pytest.mark.parametrize("body", [b"P\x00", b"P\x00\x01\x00\x00\x00\x09kv", b"P" + b"\x00" * 6])
def test_a_record_that_does_not_fit_its_frame_is_refused(body):
    (head, *_rest) = archive()
    check = zlib.crc32(head[14:-4])
    with pytest.raises(ArchiveError, match="cut short"):
        read(head, body_frame(body, check))
