"""What servers of one cluster say to each other, as bytes: frames on a link.

A link is a stream of bytes, split wherever the network liked. On it go frames, each as long
as it says it is:

    frame     length u32 | kind u8 | body       the length is of kind and body

    HELLO     JSON: who I am, always first; said again when something of it has changed
    INTEREST  flags u8 | queue | subject        somebody here wants this, or nobody any more
    MESSAGE   flags u8 | to | subject | reply | queues | user | header | payload
    RAFT      group u64 | bytes                 consensus; `raft/codec.py` knows them
    NOTE      group u64 | JSON [| line end | bytes]     what servers tell each other besides
    BEAT      of each: group u64 | term u64 | last u64 | its term u64    heartbeats of idle groups
    HEARD     of each: group u64 | term u64 | last u64                   those that were taken

`to` is the subject that leads to a message's takers, `subject` the one that they see, and
`queues` names, separated by blanks, the groups of which one member is to be served. `user` is
who published it, if there is anything that he may not do: what he may say was judged where he
said it, but what he asks a server to say is judged there. The lengths of parts stand before
them; what comes last has what is left.

Whoever reads believes nothing. A length is judged before its bytes are waited for, a frame
is whole and sound before anything is done about it, and the first that makes no sense raises
`FrameError`: there is no way to find the next one after that.

Left out: encryption, and who may link at all; those are the driver's.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from struct import Struct
from typing import NamedTuple, TypeAlias, TypeVar

from kvcore import limits
from kvcore.nats.json_text import Json, loads
from kvcore.nats.subject import is_well_formed
from kvcore.raft.messages import Beat

PROTOCOL = 2  # a server that says another number in its HELLO isn't understood

_HELLO, _INTEREST, _MESSAGE, _RAFT, _NOTE, _BEAT, _HEARD = range(1, 8)
_KINDS = range(1, 8)
_HEAD = Struct(">IB")
_GID = Struct(">Q")
_OF_BEAT = Struct(">QQQQ")
_OF_HEARD = Struct(">QQQ")
_OF_INTEREST = Struct(">BI")  # flags, length of the queue's name
_OF_MESSAGE = Struct(">B6I")  # flags, lengths of to, subject, reply, queues, user, header
_BLANK = re.compile(r"[ \t\r\n]")
_BLANK_BYTES = re.compile(rb"[ \t\r\n]")

_ADDED, _SERVER = 1, 2  # flags of INTEREST
_CLIENTS_ONLY, _HEADER, _PLAIN = 1, 2, 4  # flags of MESSAGE


class FrameError(ValueError):
    """Bytes that no server of ours would have sent."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A server, as it introduces itself.

    `urls` is where clients reach it, `size` how many servers its cluster began with, `is_fresh`
    that it belongs to no meta group yet, `founders` the members that its meta group was founded
    with. Memory and storage are bytes, -1 for no bound.
    """

    name: str
    id: str
    urls: tuple[str, ...]
    http: str
    cluster: str
    version: str
    tags: tuple[str, ...]
    jetstream: bool
    size: int
    is_fresh: bool
    founders: tuple[str, ...]
    is_lame_duck: bool
    max_memory: int
    max_storage: int


@dataclass(frozen=True, slots=True)
class Want:
    """From now on somebody there wants a subject, or nobody does. `is_server`: the server
    itself, for a stream or the API."""

    is_added: bool
    is_server: bool
    queue: str
    subject: str


class Carried(NamedTuple):
    """A message for those who hear it there: all plain takers if `is_plain`, and one member
    of each of `queues`."""

    to: str
    subject: str
    reply: str
    header: bytes | None
    payload: bytes
    is_plain: bool
    queues: tuple[str, ...]
    clients_only: bool
    user: str = ""


@dataclass(frozen=True, slots=True)
class ForGroup:
    """Consensus: bytes for one group."""

    gid: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """What a server tells another about a group, or about itself."""

    gid: int
    fields: Mapping[str, Json]
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Beats:
    """Heartbeats of groups that the sender leads: each group's id, and the beat."""

    beats: tuple[tuple[int, Beat], ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """Beats that were taken: of each the group's id, the term, and the last entry."""

    taken: tuple[tuple[int, int, int], ...]


Frame: TypeAlias = Hello | Want | Carried | ForGroup | Note | Beats | Heard


# Writing.


def hello(said: Hello) -> bytes:
    """The frame of an introduction."""
    text = json.dumps({"protocol": PROTOCOL, **asdict(said)}, separators=(",", ":"))
    return _framed(_HELLO, text.encode())


def want(*, is_added: bool, is_server: bool, queue: str, subject: str) -> bytes:
    """The frame that tells of interest."""
    flags = _ADDED * is_added | _SERVER * is_server
    name = _encoded(queue)
    return _framed(_INTEREST, _OF_INTEREST.pack(flags, len(name)) + name + _encoded(subject))


def carried(
    to: str,
    subject: str,
    reply: str,
    header: bytes | None,
    payload: bytes,
    *,
    is_plain: bool = True,
    queues: tuple[str, ...] = (),
    clients_only: bool = False,
    user: str = "",
) -> tuple[bytes, bytes] | None:
    """The frame of a message in two pieces, the payload apart; None if it can't travel: its
    subjects have blanks in them, or it is too large."""
    if not is_speakable(to, subject, reply):
        return None
    parts = [_encoded(each) for each in (to, subject, reply, " ".join(queues), user)]
    flags = _CLIENTS_ONLY * clients_only | _PLAIN * is_plain
    if header is not None:
        flags |= _HEADER
    else:
        header = b""
    sizes = _OF_MESSAGE.pack(flags, *map(len, parts), len(header))
    head = b"".join((sizes, *parts, header))
    length = 1 + len(head) + len(payload)
    if length > limits.PEER_FRAME_BYTES:
        return None
    return _HEAD.pack(length, _MESSAGE) + head, payload


def for_group(gid: int, data: bytes) -> tuple[bytes, bytes]:
    """The frame of consensus, in two pieces."""
    return _HEAD.pack(1 + _GID.size + len(data), _RAFT) + _GID.pack(gid), data


def is_speakable(*names: str) -> bool:
    """Whether they can be told to another server, which would say them to its clients."""
    return _BLANK.search("".join(names)) is None


def note(gid: int, fields: Mapping[str, object], data: bytes = b"") -> bytes:
    """The frame of a note; JSON as it is written here has no line end in it."""
    text = json.dumps(fields, separators=(",", ":")).encode()
    return _framed(_NOTE, _GID.pack(gid) + text + (b"\n" + data if data else b""))


def beats(said: Iterable[tuple[int, Beat]]) -> bytes:
    """The frame of heartbeats."""
    return _framed(_BEAT, b"".join([_OF_BEAT.pack(gid, *beat) for gid, beat in said]))


def heard(taken: Iterable[tuple[int, int, int]]) -> bytes:
    """The frame of heartbeats that were taken."""
    return _framed(_HEARD, b"".join([_OF_HEARD.pack(*each) for each in taken]))


def _framed(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(1 + len(body), kind) + body


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# Reading.


class Reader:
    """Turns one link's bytes into frames; any split of the bytes gives the same ones."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes; raises `FrameError`, and is of no use then."""
        rest = self._rest
        rest += data
        at = 0
        while len(rest) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(rest, at)
            if not 1 <= length <= limits.PEER_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes")
            if kind not in _KINDS:
                raise FrameError(f"a frame of the unknown kind {kind}")
            end = at + _HEAD.size - 1 + length
            if len(rest) < end:
                break
            body = bytes(memoryview(rest)[at + _HEAD.size : end])
            at = end
            yield _READERS[kind](body)
        del rest[:at]


def _read_hello(body: bytes) -> Hello:
    said = _object(body)
    if said.get("protocol") != PROTOCOL:
        raise FrameError(f"protocol {said.get('protocol')!r}, not {PROTOCOL}")
    found = Hello(
        name=_typed(said, "name", str),
        id=_typed(said, "id", str),
        urls=_texts(said, "urls"),
        http=_typed(said, "http", str),
        cluster=_typed(said, "cluster", str),
        version=_typed(said, "version", str),
        tags=_texts(said, "tags"),
        jetstream=_typed(said, "jetstream", bool),
        size=_typed(said, "size", int),
        is_fresh=_typed(said, "is_fresh", bool),
        founders=_texts(said, "founders"),
        is_lame_duck=_typed(said, "is_lame_duck", bool),
        max_memory=_typed(said, "max_memory", int),
        max_storage=_typed(said, "max_storage", int),
    )
    if not found.name or _BLANK.search(found.name):
        raise FrameError(f"a server's name can't be {found.name!r}")
    return found


def _read_want(body: bytes) -> Want:
    flags, size = _unpacked(_OF_INTEREST, body)
    if flags & ~(_ADDED | _SERVER):
        raise FrameError(f"flags {flags:#x} of an interest")
    at = _OF_INTEREST.size
    if at + size > len(body):
        raise FrameError("an interest is cut short")
    queue, subject = _decoded(body[at : at + size]), _decoded(body[at + size :])
    if _BLANK.search(queue) or _BLANK.search(subject) or not is_well_formed(subject):
        raise FrameError(f"interest in {subject[:80]!r}, queue {queue[:80]!r}")
    return Want(bool(flags & _ADDED), bool(flags & _SERVER), queue, subject)


def _read_carried(body: bytes) -> Carried:
    flags, to, subject, reply, queues, user, header = _unpacked(_OF_MESSAGE, body)
    if flags & ~(_CLIENTS_ONLY | _HEADER | _PLAIN) or (header and not flags & _HEADER):
        raise FrameError(f"flags {flags:#x} of a message")
    a = _OF_MESSAGE.size
    b = a + to
    c = b + subject
    d = c + reply
    e = d + queues
    f = e + user
    g = f + header
    if g > len(body):
        raise FrameError("a message is cut short")
    if _BLANK_BYTES.search(body, a, d) or (queues and not _are_names(body[d:e])):
        raise FrameError("a message with blanks in its subjects")
    return Carried(
        _decoded(body[a:b]),
        _decoded(body[b:c]),
        _decoded(body[c:d]),
        body[f:g] if flags & _HEADER else None,
        body[g:],
        bool(flags & _PLAIN),
        tuple(_decoded(body[d:e]).split(" ")) if queues else (),
        bool(flags & _CLIENTS_ONLY),
        _decoded(body[e:f]),
    )


def _are_names(queues: bytes) -> bool:
    return all(queues.split(b" ")) and not _BLANK_BYTES.search(queues.replace(b" ", b""))


def _read_raft(body: bytes) -> ForGroup:
    (gid,) = _unpacked(_GID, body)
    return ForGroup(gid, body[_GID.size :])


def _read_note(body: bytes) -> Note:
    (gid,) = _unpacked(_GID, body)
    text, _, data = body[_GID.size :].partition(b"\n")
    return Note(gid, _object(text), data)


def _read_beats(body: bytes) -> Beats:
    rows = _rows(_OF_BEAT, body)
    return Beats(tuple([(gid, Beat(term, last, by)) for gid, term, last, by in rows]))


def _read_heard(body: bytes) -> Heard:
    return Heard(tuple([(gid, term, last) for gid, term, last in _rows(_OF_HEARD, body)]))


def _rows(form: Struct, body: bytes) -> Iterator[tuple[int, ...]]:
    if not body or len(body) % form.size:
        raise FrameError("a frame is cut short")
    return form.iter_unpack(body)


_READERS: Mapping[int, Callable[[bytes], Frame]] = {
    _HELLO: _read_hello,
    _INTEREST: _read_want,
    _MESSAGE: _read_carried,
    _RAFT: _read_raft,
    _NOTE: _read_note,
    _BEAT: _read_beats,
    _HEARD: _read_heard,
}


def _unpacked(form: Struct, body: bytes) -> tuple[int, ...]:
    if len(body) < form.size:
        raise FrameError("a frame is cut short")
    return form.unpack_from(body)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _object(raw: bytes) -> dict[str, Json]:
    try:
        said = loads(raw)
    except ValueError as error:
        raise FrameError(f"no JSON: {error}") from error
    if not isinstance(said, dict):
        raise FrameError("JSON that is no object")
    return said


T = TypeVar("T", str, bool, int)


def _typed(said: Mapping[str, Json], key: str, kind: type[T]) -> T:
    value = said.get(key)
    if type(value) is not kind:
        raise FrameError(f"{key} of a HELLO is {value!r}"[:200])
    return value


def _texts(said: Mapping[str, Json], key: str) -> tuple[str, ...]:
    value = said.get(key)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise FrameError(f"{key} of a HELLO is {value!r}"[:200])
    return tuple(str(each) for each in value)
