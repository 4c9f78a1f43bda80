"""What goes into a stream's log and into the meta log: the commands, and their bytes.

A server never changes a stream; it proposes a command, and every replica that applies the
log comes to the same state. So a command carries everything that the decision needs: the
time that the leader read from its clock, whether its server had room, and the subject that
the answer goes to. Expiry is a command as well, since a clock is not replicated but a log
entry is.

Each command is one letter and its fields, big-endian; text is UTF-8 with whatever bytes a
client sent kept as they were (`surrogateescape`):

    P  time u64, subject length u16, reply length u16, header length u32 | subject, reply,
       header, payload                                      (a message, the hot path)
    p  the same, for a message that came when the server was full
    others  a letter, then each field in turn: u64 for a number, u32 length and bytes for text,
            u32 count and so many texts for a list of names

A command may grow fields at its end, with defaults. The longer form gets a new letter, and
the old one goes on to mean the shorter: a log is read years after it was written.

Left out: what applying a command does (`stream.py`, `meta.py`).
"""

from dataclasses import dataclass, fields
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import TypeAlias

from kvcore.limits import Nanos


@dataclass(frozen=True, slots=True)
class Publish:
    """A message for the stream; `header` is the whole block or None. `is_full` says that
    the leader's server had no room left: a fact of one server, so the leader stamps it."""

    subject: str
    reply: str
    header: bytes | None
    payload: bytes
    time: Nanos
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Expire:
    """Drop what is past its age or its time to live at `time`, at most
    `limits.EXPIRED_PER_COMMAND_COUNT` messages: the leader then proposes another."""

    time: Nanos


@dataclass(frozen=True, slots=True)
class Purge:
    """Drop messages: of `filter` ("" is all), below `seq` (0: no bound), all but `keep`."""

    filter: str
    keep: int
    seq: int
    reply: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class DeleteMessage:
    """Drop one message; `no_erase` skips overwriting its bytes, which we never need."""

    seq: int
    no_erase: bool
    reply: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """Switch to a configuration that the meta group has already accepted."""

    config_json: bytes
    reply: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class CreateConsumer:
    """Add a consumer, or change one; `action` is "", "create" or "update", or "first": the
    request named none, and there was no such consumer when it came. Of several that come at
    once, as when a queue group starts, one is the first; the others must deliver where it
    does."""

    config_json: bytes
    name: str
    action: str
    reply: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class DeleteConsumer:
    """Forget a consumer; a server that reaps an abandoned one gives no reply subject."""

    name: str
    reply: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class Copy:
    """A message of another stream, as it shall stand here. `source` is the key of the source
    it came by, "" for a mirror; `after` is the sequence there that must have been the last
    one copied, `life` tells the origin from its namesakes. `header` may be empty."""

    source: str
    life: str
    after: int
    seq: int
    subject: str
    header: bytes
    payload: bytes
    stored: Nanos  # when it was stored there
    time: Nanos


@dataclass(frozen=True, slots=True)
class PauseConsumer:
    """Deliver nothing until a time; one that is past, such as 0, ends the pause."""

    name: str
    until: Nanos
    reply: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class Acked:
    """What a consumer delivered in one turn, and what was acknowledged to it (`ledger.py`
    has the form of `moves`). `replies` are the subjects, parted by spaces, of the clients
    that want to know when their acknowledgement is safe."""

    name: str
    moves: bytes
    replies: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class CreateStream:
    """Assign a new stream to `peers`. These, or in `unplaced` why there are none, and
    `over_quota` are stamped by the leader (`Meta.stamped`)."""

    config_json: bytes
    reply: str
    time: Nanos
    over_quota: bool = False
    peers: tuple[str, ...] = ()
    unplaced: str = ""


@dataclass(frozen=True, slots=True)
class UpdateStream:
    """Change a stream's assignment; its group switches over with an `UpdateConfig`."""

    config_json: bytes
    reply: str
    time: Nanos
    over_quota: bool = False
    peers: tuple[str, ...] = ()
    unplaced: str = ""


@dataclass(frozen=True, slots=True)
class DeleteStream:
    """Forget a stream and everything in it."""

    name: str
    reply: str
    time: Nanos


@dataclass(frozen=True, slots=True)
class BeginRestore:
    """Give the stream of a backup a group of its own, which nobody sees yet. Server `holder`
    gathers its records."""

    config_json: bytes
    reply: str
    time: Nanos
    holder: str = ""
    unplaced: str = ""


@dataclass(frozen=True, slots=True)
class CompleteRestore:
    """Its records are all in the store of group `gid`, on server `holder`: assign the stream."""

    gid: int
    config_json: bytes
    reply: str
    time: Nanos
    over_quota: bool = False
    peers: tuple[str, ...] = ()
    holder: str = ""


@dataclass(frozen=True, slots=True)
class AssignPeers:
    """Let a stream be on other servers than before; `gid` is the group that the leader saw.
    `anew`: in a new group without its messages, for they are lost (a stream in memory of
    which too few servers are left that remember)."""

    name: str
    gid: int
    peers: tuple[str, ...]
    reply: str
    time: Nanos
    anew: bool = False


StreamCommand: TypeAlias = (
    Publish
    | Expire
    | Purge
    | DeleteMessage
    | UpdateConfig
    | CreateConsumer
    | DeleteConsumer
    | PauseConsumer
    | Acked
    | Copy
)
MetaCommand: TypeAlias = (
    CreateStream | UpdateStream | DeleteStream | BeginRestore | CompleteRestore | AssignPeers
)
Command: TypeAlias = StreamCommand | MetaCommand


class CodecError(ValueError):
    """Bytes that are no command: a damaged log, or a newer version's."""


_PUBLISH = Struct(">cQHHI")
_U64 = Struct(">Q")
_U32 = Struct(">I")
_LETTERS: dict[bytes, type[Command]] = {
    b"E": Expire,
    b"U": Purge,
    b"D": DeleteMessage,
    b"C": UpdateConfig,
    b"K": CreateConsumer,
    b"k": DeleteConsumer,
    b"O": Copy,
    b"W": PauseConsumer,
    b"A": Acked,
    b"N": CreateStream,
    b"n": UpdateStream,
    b"s": DeleteStream,
    b"B": BeginRestore,
    b"b": CompleteRestore,
    b"G": AssignPeers,
}
_LETTER_OF = {kind: letter for letter, kind in _LETTERS.items()}
_FIELDS = {kind: tuple((f.name, f.type) for f in fields(kind)) for kind in _LETTER_OF}
_FORMS = {letter: (kind, len(_FIELDS[kind])) for letter, kind in _LETTERS.items()} | {
    b"S": (CreateStream, 4),  # before servers had peers
    b"T": (UpdateStream, 4),
    b"R": (BeginRestore, 3),
    b"r": (CompleteRestore, 5),
}


def encode(command: Command) -> bytes:
    """A command's bytes, as they stand in the log."""
    if isinstance(command, Publish):
        subject = command.subject.encode("utf-8", "surrogateescape")
        reply = command.reply.encode("utf-8", "surrogateescape")
        header = command.header or b""
        letter = b"p" if command.is_full else b"P"
        return b"".join(
            (
                _PUBLISH.pack(letter, command.time, len(subject), len(reply), len(header)),
                subject,
                reply,
                header,
                command.payload,
            )
        )
    parts = [_LETTER_OF[type(command)]]
    for name, _kind in _FIELDS[type(command)]:
        value = getattr(command, name)
        if isinstance(value, int):
            parts.append(_U64.pack(value))
        elif isinstance(value, tuple):
            parts.append(_U32.pack(len(value)))
            for each in value:
                parts += _text(each)
        else:
            parts += _text(value)
    return b"".join(parts)


def _text(value: str | bytes) -> tuple[bytes, bytes]:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return _U32.pack(len(data)), data


def decode(data: bytes) -> Command:
    """The command that `encode` wrote; raises `CodecError` for anything else."""
    letter = data[:1]
    try:
        if letter in (b"P", b"p"):
            return _decode_publish(data)
        form = _FORMS.get(letter)
        if form is None:
            raise CodecError(f"no command has the letter {letter!r}")
        return _decode_fields(*form, data)
    except (IndexError, UnicodeDecodeError, StructError) as error:
        raise CodecError(f"a damaged command {letter!r}: {error}") from error


def decode_stream(data: bytes) -> StreamCommand:
    """As `decode`, for a stream's log."""
    command = decode(data)
    if isinstance(command, MetaCommand):
        raise CodecError(f"a stream's log holds a {type(command).__name__}")
    return command


def decode_meta(data: bytes) -> MetaCommand:
    """As `decode`, for the meta group's log."""
    command = decode(data)
    if not isinstance(command, MetaCommand):
        raise CodecError(f"the meta log holds a {type(command).__name__}")
    return command


def _decode_publish(data: bytes) -> Publish:
    letter, time, subject_length, reply_length, header_length = _PUBLISH.unpack_from(data)
    start = _PUBLISH.size
    reply_at = start + subject_length
    header_at = reply_at + reply_length
    payload_at = header_at + header_length
    if payload_at > len(data):
        raise CodecError("a publish command is cut short")
    return Publish(
        data[start:reply_at].decode("utf-8", "surrogateescape"),
        data[reply_at:header_at].decode("utf-8", "surrogateescape"),
        data[header_at:payload_at] or None,
        data[payload_at:],
        time,
        letter == b"p",
    )


def _decode_fields(kind: type[Command], count: int, data: bytes) -> Command:
    values: list[object] = []
    at = 1
    for _name, field_type in _FIELDS[kind][:count]:
        value: object
        if field_type in (int, bool):
            number: int = _U64.unpack_from(data, at)[0]
            value = bool(number) if field_type is bool else number
            at += _U64.size
        elif field_type in (str, bytes):
            text, at = _decode_text(kind, data, at)
            value = text.decode("utf-8", "surrogateescape") if field_type is str else text
        else:
            value, at = _decode_names(kind, data, at)
        values.append(value)
    if at != len(data):
        raise CodecError(f"a {kind.__name__} command has {len(data) - at} bytes too many")
    return kind(*values)  # type: ignore[arg-type]  # the field types were read above


def _decode_text(kind: type[Command], data: bytes, at: int) -> tuple[bytes, int]:
    length: int = _U32.unpack_from(data, at)[0]
    at += _U32.size
    if at + length > len(data):
        raise CodecError(f"a {kind.__name__} command is cut short")
    return data[at : at + length], at + length


def _decode_names(kind: type[Command], data: bytes, at: int) -> tuple[tuple[str, ...], int]:
    count: int = _U32.unpack_from(data, at)[0]
    at += _U32.size
    names = []
    for _ in range(count):
        name, at = _decode_text(kind, data, at)
        names.append(name.decode("utf-8", "surrogateescape"))
    return tuple(names), at
