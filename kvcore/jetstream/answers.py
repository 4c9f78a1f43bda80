"""What the API and the consumers ask of their server, as a closed union of values.

Nothing here is sent by the one who makes it. A request is answered at once (`Answer`), in
slices (`Answers`), or by proposing a command to a replicated log: then the answer is made
when the command has been applied (`Api.respond_meta`, `Api.respond_stream`), since only
apply decides.

A `Delivery` is a consumer's message to its client. It carries two subjects: `to` routes it,
`subject` is the one that the client sees, which is where the message was published.

Left out: who carries these out. That is the node's business.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from kvcore.jetstream.commands import MetaCommand, StreamCommand


@dataclass(frozen=True, slots=True)
class Answer:
    """One message to `to`; `header` is a whole block or None."""

    to: str
    payload: bytes = b""
    header: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Many messages, in order, or one that takes long to make. Take a slice of `parts` a turn
    (`limits.DELIVERIES_PER_TURN_COUNT`); reads happen as they are taken. None says that a
    step of work is done which has no message to show, enough for a turn."""

    parts: Iterator[Answer | None]


@dataclass(frozen=True, slots=True)
class ProposeMeta:
    """A command for the meta group; `command.reply` says whom to answer."""

    command: MetaCommand


@dataclass(frozen=True, slots=True)
class ProposeStream:
    """A command for the group of the stream of this name."""

    stream: str
    command: StreamCommand


@dataclass(frozen=True, slots=True)
class SendBackup:
    """Answer, then send the stream as it is now to `to`, in chunks of `chunk_bytes` and at
    most `window_bytes` ahead of what was acknowledged."""

    answer: Answer
    stream: str
    to: str
    consumers: tuple[str, ...]
    chunk_bytes: int
    window_bytes: int


@dataclass(frozen=True, slots=True)
class StepDown:
    """Let another server lead the stream, or the meta group where `stream` is empty; `to`
    names it, "" leaves the choice open. Answer of the kind `what` when it is on its way."""

    stream: str
    to: str
    what: str
    reply: str


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """Take a server out of the cluster, its replicas too; answer when it is decided."""

    server: str
    what: str
    reply: str


@dataclass(frozen=True, slots=True)
class Gather:
    """Ask every server for what it alone knows: of the streams `names` that it leads how
    they are, or with no names how much it holds. Answer with all of it (`Api.gathered`)."""

    what: str
    reply: str
    names: tuple[str, ...]
    numbers: Mapping[str, object]


Action: TypeAlias = (
    Answer | Answers | ProposeMeta | ProposeStream | SendBackup | StepDown | RemoveServer | Gather
)


class Delivery(NamedTuple):
    """A message, heartbeat or flow-control request to a push consumer's subscriber."""

    to: str
    subject: str
    reply: str
    header: bytes | None
    payload: bytes
