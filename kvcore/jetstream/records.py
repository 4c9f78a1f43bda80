"""What a stream writes into its store: three kinds of record, and their bytes.

Values live in the store and the index over them lives in memory, so a restart reads the
messages once and rebuilds everything else. What a scan of the messages could not tell is in
the state record: how far the log was applied, the last sequence and time (the last message
may be gone), and the configuration that is in force.

    M seq    time u64, subject length u16, header length u32 | subject, header, payload
    S        applied index u64, last sequence u64, first sequence when empty u64,
             time of the last command u64, last message's time u64 | last message id
    S c      created u64 | configuration JSON
    D seq    time u64 | message id
    C name   created u64 | configuration JSON

Left out: checksums. The storage engine has one per record.
"""

from struct import Struct
from typing import NamedTuple

from kvcore.limits import Nanos

MESSAGE = Struct(">QHI")
_STATE = Struct(">QQQQQ")
_U64 = Struct(">Q")


class StoredMessage(NamedTuple):
    """A message as it stands in its stream; `header` is the whole block or None."""

    seq: int
    subject: str
    header: bytes | None
    payload: bytes
    time: Nanos


def encode_message(subject: bytes, header: bytes, payload: bytes, time: Nanos) -> bytes:
    """A message's record."""
    return MESSAGE.pack(time, len(subject), len(header)) + subject + header + payload


def decode_message(seq: int, record: bytes, subject: str = "") -> StoredMessage:
    """The message in a record; who knows its subject spares decoding it."""
    time, header, payload_at = split(record)
    if not subject:
        length = int.from_bytes(record[8:10], "big")
        subject = record[MESSAGE.size : MESSAGE.size + length].decode("utf-8", "surrogateescape")
    return StoredMessage(seq, subject, header, record[payload_at:], time)


def split(record: bytes) -> tuple[Nanos, bytes | None, int]:
    """A message's time, its header, and where in the record its payload begins."""
    time, subject_length, header_length = MESSAGE.unpack_from(record)
    header_at: int = MESSAGE.size + subject_length
    payload_at: int = header_at + header_length
    return time, record[header_at:payload_at] if header_length else None, payload_at


def is_message(record: bytes) -> bool:
    """Whether a record from elsewhere can be taken apart: it has a subject, and its lengths fit."""
    if len(record) < MESSAGE.size:
        return False
    _, subject, header = MESSAGE.unpack_from(record)
    is_whole: bool = 0 < subject <= len(record) - MESSAGE.size - header
    return is_whole


def message_time(record: bytes) -> Nanos:
    """When the message in a record was stored."""
    time: Nanos = _U64.unpack_from(record)[0]
    return time


def message_bytes(record: bytes, *, in_file: bool) -> int:
    """What a message counts for in a stream's `bytes`, in nats-server's accounting.

    A file stream counts 30 bytes of framing, and 4 more if there are headers; a memory
    stream counts 16.
    """
    payload = len(record) - MESSAGE.size
    if not in_file:
        return payload + 16
    return payload + (34 if record[10:14] != b"\0\0\0\0" else 30)


def bytes_of(subject: str, header: bytes | None, payload: bytes, *, in_file: bool) -> int:
    """As `message_bytes`, for a message that isn't stored yet."""
    length = len(subject.encode("utf-8", "surrogateescape")) + len(payload)
    if not in_file:
        return 16 + length + (len(header) if header else 0)
    return 30 + length + (4 + len(header) if header else 0)


class StreamRecord(NamedTuple):
    """The part of a stream's state that its messages don't tell."""

    applied: int
    last_seq: int
    first_seq: int  # matters while the stream is empty
    time: Nanos  # of the last command: time never goes back
    last_time: Nanos  # of the last message stored
    last_msg_id: str


def encode_state(record: StreamRecord) -> bytes:
    """A state record."""
    applied, last_seq, first_seq, time, last_time, last_msg_id = record
    return _STATE.pack(applied, last_seq, first_seq, time, last_time) + last_msg_id.encode(
        "utf-8", "surrogateescape"
    )


def decode_state(data: bytes) -> StreamRecord:
    """The state in a record."""
    applied, last_seq, first_seq, time, last_time = _STATE.unpack_from(data)
    msg_id = data[_STATE.size :].decode("utf-8", "surrogateescape")
    return StreamRecord(applied, last_seq, first_seq, time, last_time, msg_id)


def encode_stamped(time: Nanos, data: bytes) -> bytes:
    """A time and some bytes: a configuration, a message id."""
    return _U64.pack(time) + data


def decode_stamped(record: bytes) -> tuple[Nanos, bytes]:
    """What `encode_stamped` put together."""
    return _U64.unpack_from(record)[0], record[8:]
