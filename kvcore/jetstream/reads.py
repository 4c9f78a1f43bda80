"""Direct gets: reads of stored messages that come back as messages, not as JSON.

A get through the API wraps the value in JSON and base64. A direct get answers with the
message itself: its own headers, then four that say which stream, subject, sequence and time
it has. Batches go on, each message saying how many follow, and end with an empty message of
status 204. What was wrong is a status line as well, never an error object.

A batch may be long, so it is a generator: the host takes a slice a turn, and a message that
goes meanwhile is stepped over.

Left out: which replica answers, and whether its answer may be stale. The host decides that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kvcore import limits
from kvcore.jetstream.answers import Answer, Answers
from kvcore.jetstream.documents import read_object
from kvcore.jetstream.errors import ConfigError
from kvcore.jetstream.records import StoredMessage
from kvcore.jetstream.stream import Stream
from kvcore.jetstream.times import parse_rfc3339, rfc3339
from kvcore.limits import Nanos

_MAX_SEQ = (1 << 64) - 1
_MAX_INT = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a get asks for; 0, "" and None are "not said"."""

    seq: int = 0
    last_by_subj: str = ""
    next_by_subj: str = ""
    multi_last: tuple[str, ...] = ()
    batch: int = 0
    max_bytes: int = 0
    start_time: Nanos | None = None
    up_to_seq: int = 0
    up_to_time: Nanos | None = None
    no_hdr: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing says where to look."""
        where = self.seq or self.last_by_subj or self.next_by_subj or self.multi_last
        return not where and self.start_time is None

    @property
    def is_contradictory(self) -> bool:
        """Whether it says in two ways where to look."""
        starts = (self.seq > 0) + bool(self.last_by_subj) + (self.start_time is not None)
        return starts > 1 or bool(self.last_by_subj and self.next_by_subj)


class WrongFieldError(Exception):
    """A field of a get has a value of the wrong type."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(name)
        self.name = name
        self.value = value


def parse(payload: bytes) -> tuple[Request, str]:
    """The request, and the first unknown field ("" if all are known); raises `WrongFieldError`,
    and `ConfigError` for what is no JSON object."""
    document = read_object(payload)
    known: dict[str, object] = {}
    unknown = ""
    for name, value in document.items():
        if name not in Request.__slots__:
            unknown = unknown or name
        elif value is not None:
            known[name] = _checked(name, value)
    return Request(**known), unknown  # type: ignore[arg-type]  # the types were checked


def _checked(name: str, value: object) -> object:
    match name:
        case "seq" | "up_to_seq":
            fits = type(value) is int and 0 <= value <= _MAX_SEQ
        case "batch" | "max_bytes":
            fits = type(value) is int and abs(value) <= _MAX_INT
        case "no_hdr":
            fits = isinstance(value, bool)
        case "multi_last":
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "start_time" | "up_to_time":
            fits = isinstance(value, str) and parse_rfc3339(value) is not None
        case _:
            fits = isinstance(value, str)
    if not fits:
        raise WrongFieldError(name, value)
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, str) and name.endswith("_time"):
        return parse_rfc3339(value)
    return value


def direct_get(stream: Stream, reply: str, payload: bytes) -> Answer | Answers:
    """Answer `$JS.API.DIRECT.GET.<stream>`."""
    if not payload:
        return _status(reply, "408 Empty Request")
    try:
        request, _unknown = parse(payload)
    except (ConfigError, WrongFieldError):
        return _status(reply, "408 Malformed Request")
    if request.is_empty:
        return _status(reply, "408 Empty Request")
    contradictory = (
        request.is_contradictory
        or bool(request.last_by_subj and (request.batch > 0 or request.multi_last))
        or bool(request.next_by_subj and request.multi_last)
        or bool(request.up_to_seq and request.up_to_time is not None)
    )
    if contradictory:
        return _status(reply, "408 Bad Request")
    if request.multi_last:
        return _multi_last(stream, reply, request)
    if request.batch:
        return Answers(_batch(stream, reply, request))
    message = find(stream, request)
    if message is None:
        return _status(reply, "404 Message Not Found")
    return _answer(stream.config.name, reply, message, no_header=request.no_hdr)


def direct_get_last(stream: Stream, reply: str, subject: str, payload: bytes) -> Answer:
    """Answer `$JS.API.DIRECT.GET.<stream>.<subject>`."""
    no_header = False
    if payload:
        try:
            request, _unknown = parse(payload)
        except (ConfigError, WrongFieldError):
            return _status(reply, "408 Malformed Request")
        if not request.is_empty or request.batch or request.up_to_seq or request.up_to_time:
            return _status(reply, "408 Bad Request")
        no_header = request.no_hdr
    message = _last(stream, subject)
    if message is None:
        return _status(reply, "404 Message Not Found")
    return _answer(stream.config.name, reply, message, no_header=no_header)


def find(stream: Stream, request: Request) -> StoredMessage | None:
    """The one message that a request without a batch means."""
    if request.last_by_subj:
        return _last(stream, request.last_by_subj)
    seq = request.seq
    if request.start_time is not None:
        seq = stream.seq_at_time(request.start_time)
    if request.next_by_subj:
        seq = stream.next_seq((request.next_by_subj,), seq)
    return stream.message(seq) if seq else None


def _last(stream: Stream, subject: str) -> StoredMessage | None:
    seq = stream.last_seq_for(subject)
    return stream.message(seq) if seq else None


def _batch(stream: Stream, reply: str, request: Request) -> Iterator[Answer | None]:
    """A batch, looked up when its turn comes, in slices: many may wait, and a list each would
    add up."""
    filters = (request.next_by_subj,) if request.next_by_subj else ()
    seq = request.seq
    if request.start_time is not None:
        seq = stream.seq_at_time(request.start_time)
    found: list[int] = []
    for part in stream.walk(filters, seq):
        if found:
            yield None
        found += part
    if request.batch < 0:
        yield Answer(reply, b"", _end(len(found), 0))
    elif not found:
        yield _status(reply, "404 Message Not Found")
    else:
        yield from _parts(stream, reply, request, found, None)


def _multi_last(stream: Stream, reply: str, request: Request) -> Answer | Answers:
    up_to = request.up_to_seq or stream.last_seq
    if request.up_to_time is not None:
        # The first message at or after the time is one too many.
        up_to = stream.seq_at_time(request.up_to_time) - 1
    found = []
    if stream.first_seq <= up_to <= stream.last_seq:
        found = stream.last_per_subject(request.multi_last, up_to)
    if not found:
        return _status(reply, "404 No Results")
    if len(found) > limits.BATCH_GET_COUNT:
        return _status(reply, "413 Too Many Results")
    found = [seq for seq in found if seq >= request.seq]
    return Answers(_parts(stream, reply, request, found, up_to))


def _parts(
    stream: Stream, reply: str, request: Request, found: list[int], up_to: int | None
) -> Iterator[Answer]:
    """The messages of a batch and its end; `up_to` is given for a `multi_last`."""
    name, last_known = stream.config.name, stream.last_seq
    no_header = request.no_hdr and up_to is None
    at = _Progress(len(found), 0)
    room = request.max_bytes or limits.PENDING_OUTPUT_BYTES
    for seq in found[: request.batch] if request.batch else found:
        message = stream.message(seq)
        if message is None:
            continue
        after = at if no_header else at._replace(pending=at.pending - 1)
        yield _answer(name, reply, message, no_header=no_header, progress=after)
        at = after._replace(last=seq)
        room -= len(message.subject) + len(message.header or b"") + len(message.payload)
        if room <= 0:
            break
    if up_to is not None:
        end = _end(at.pending, at.last).removesuffix(b"\r\n")
        yield Answer(reply, b"", b"%bNats-UpTo-Sequence: %d\r\n\r\n" % (end, up_to))
        return
    if stream.last_seq > last_known:
        filters = (request.next_by_subj,) if request.next_by_subj else ()
        at = at._replace(pending=len(stream.sequences(filters, at.last + 1)))
    yield Answer(reply, b"", _end(at.pending, at.last))


class _Progress(NamedTuple):
    """Where a batch stands: how many messages follow, and the last one sent."""

    pending: int
    last: int


def _status(reply: str, status: str) -> Answer:
    return Answer(reply, b"", f"NATS/1.0 {status}\r\n\r\n".encode())


def _end(pending: int, last: int) -> bytes:
    return b"NATS/1.0 204 EOB\r\nNats-Num-Pending: %d\r\nNats-Last-Sequence: %d\r\n\r\n" % (
        pending,
        last,
    )


def _answer(
    name: str,
    reply: str,
    message: StoredMessage,
    *,
    no_header: bool = False,
    progress: _Progress | None = None,
) -> Answer:
    """The message with its own headers first, then what is known about it."""
    if no_header:
        return Answer(reply, message.payload)
    own = message.header
    block = own.removesuffix(b"\r\n") if own else b"NATS/1.0\r\n"
    about = (
        f"Nats-Stream: {name}\r\nNats-Subject: {message.subject}\r\n"
        f"Nats-Sequence: {message.seq}\r\nNats-Time-Stamp: {rfc3339(message.time)}\r\n"
    )
    if progress is not None:
        about += f"Nats-Num-Pending: {progress.pending}\r\nNats-Last-Sequence: {progress.last}\r\n"
    return Answer(reply, message.payload, block + f"{about}\r\n".encode("utf-8", "surrogateescape"))
