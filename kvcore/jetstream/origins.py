"""Where a stream's messages come from, if not from publishers: its mirror or its sources.

A mirror is another stream's copy, message for message, under the same sequences, subjects
and times. A stream with sources gathers what it wants of others beside its own messages, so
it gives them sequences of its own, and says in a header where each one is from:

    Nats-Stream-Source: origin 7 a.> x.> a.k 1f3c08aa
                        name, sequence, filters, targets, subject there, the origin's life

(several filters or targets are joined by form feeds). How far a mirror has come is its own last
sequence. For each source it is a position, kept beside the stream's record:

    S o key  sequence u64 | the origin's life

The key is a digest of name, filters and targets: a source that is changed begins anew, one
that is removed and comes back goes on. A life tells a stream from its namesake before it,
and a stream in memory from what it was before a restart.

Left out: origins on other servers (`external`), and a consumer made for it by hand.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from kvcore.jetstream.config import Json, StreamConfig
from kvcore.jetstream.records import decode_stamped, encode_stamped
from kvcore.jetstream.times import parse_rfc3339
from kvcore.jetstream.transform import Transform
from kvcore.limits import Nanos
from kvcore.nats import headers
from kvcore.nats import subject as subjects
from kvcore.storage import keys
from kvcore.storage.overlay import Records

SOURCE_HEADER = "Nats-Stream-Source"
_CONDITIONS = (  # they were met there, and say nothing here
    "Nats-Expected-Stream",
    "Nats-Expected-Last-Sequence",
    "Nats-Expected-Last-Subject-Sequence",
    "Nats-Expected-Last-Subject-Sequence-Subject",
    "Nats-Expected-Last-Msg-Id",
    "Nats-Batch-Id",
    "Nats-Batch-Sequence",
    "Nats-Batch-Commit",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """One stream to copy from; `key` is "" for a mirror. No filter is every subject; a
    target "" keeps the subject."""

    name: str
    key: str
    filters: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    start_seq: int = 0
    start_time: Nanos | None = None

    def subject(self, there: str) -> str:
        """What a subject of the origin, one that passes the filters, is called here."""
        for pattern, target in zip(self.filters, self.targets, strict=False):
            if target and subjects.matches(pattern, there):
                made = Transform.of(pattern, target)
                assert made is not None, "checked when the stream was made"
                return made.apply(there)
        return there

    def header(self, block: bytes | None, seq: int, there: str, life: str) -> bytes:
        """A message's header block here."""
        if block is not None and b"\r\nNats-" in block:
            block = headers.without(block, _CONDITIONS)
        if not self.key:
            return block or b""
        if block is not None and headers.find(block, SOURCE_HEADER.encode()) is not None:
            block = headers.without(block, (SOURCE_HEADER,))
        filters = "\f".join(self.filters) or ">"
        targets = "\f".join(target or ">" for target in self.targets) or ">"
        value = f"{self.name} {seq} {filters} {targets} {there} {life}"
        return headers.with_header(block, SOURCE_HEADER, value)


def origins_of(config: StreamConfig) -> tuple[Origin, ...]:
    """What a stream copies from: one for a mirror, its sources, or nothing."""
    if config.mirror is not None:
        return (_origin(config.mirror, is_mirror=True),)
    return tuple(_origin(source, is_mirror=False) for source in config.sources)


def _origin(document: Json, *, is_mirror: bool) -> Origin:
    name = str(document.get("name", ""))
    pairs = cast("list[dict[str, str]]", document.get("subject_transforms") or [])
    filters = tuple(pair.get("src") or ">" for pair in pairs)
    targets = tuple(pair.get("dest") or "" for pair in pairs)
    if not pairs and document.get("filter_subject"):
        filters = (str(document["filter_subject"]),)
    key = "" if is_mirror else digest(name, *filters, "", *targets)
    start = document.get("opt_start_time")
    return Origin(
        name, key, filters, targets,
        cast("int", document.get("opt_start_seq") or 0),
        parse_rfc3339(str(start)) if start else None,
    )  # fmt: skip


def digest(*parts: object) -> str:
    """Sixteen letters for a few facts."""
    text = "\n".join(map(str, parts))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Positions:
    """How far a stream has come with each of its sources, past ones included."""

    __slots__ = ("_at", "_prefix", "_records")

    def __init__(self, gid: int, records: Records) -> None:
        self._records = records
        self._prefix = keys.state(gid) + b"o"
        self._at: dict[str, tuple[str, int]] = {}

    def restore(self) -> None:
        """Read back what was kept."""
        end = self._prefix[:-1] + b"p"
        for key, record in self._records.scan(self._prefix, end):
            seq, life = decode_stamped(record)
            self._at[key[len(self._prefix) :].decode()] = (life.decode(), seq)

    def of(self, key: str, life: str) -> int:
        """The last sequence that was taken over from an origin in this life of it."""
        known, seq = self._at.get(key, ("", 0))
        return seq if known == life else 0

    def last(self, key: str) -> tuple[str, int]:
        """The origin's life that was copied last, and how far; ("", 0) before that."""
        return self._at.get(key, ("", 0))

    def set(self, key: str, life: str, seq: int) -> None:
        """One more was taken over."""
        self._at[key] = (life, seq)
        self._records.put(self._prefix + key.encode(), encode_stamped(seq, life.encode()))
