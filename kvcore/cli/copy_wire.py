"""Reading and writing a bucket's messages so that each keeps its number.

A stream gives out numbers itself, one after the other; nobody can ask for one. But a
publish may say which number must be the last (`Nats-Expected-Last-Sequence`), so a message
lands at exactly its old number or nowhere, many may be under way at once, and one that is
sent twice is refused the second time. A number that the source no longer has is used up by
a filler: an empty purge marker of the key `kvcore-copy-gap`, which the copy removes in the
end. The target's last number is therefore all that a resumed copy must know.

Reading is a pull consumer without acks, asked for at most `BATCH` messages and
`BATCH_BYTES` at a time: the source never sends more than the copier can hold. It
ends when a look at the stream finds no later message: nats-server's count of what is pending
is too low at times.

Left out: headers of the same name twice, which nats-py reads as one; reconnecting, because
starting again costs nothing.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from kvcore.cli.bucket import ApiError, Buckets
from kvcore.cli.commands import CommandError
from kvcore.cli.values import read_duration
from kvcore.limits import MIB, MINUTE_NS, SECOND_NS, Nanos

BATCH = 500
BATCH_BYTES = 8 * MIB
WINDOW = 256  # messages on their way
ANSWER_SECONDS = 15.0
FRUITLESS = 15  # requests in a row that bring nothing while there is something
GAP_KEY = "kvcore-copy-gap"
_LOOK_SECONDS = 0.5  # how often a wait looks whether the connection is still there
_HEADERS_ROOM_BYTES = 256  # what the copy's own headers take at most
_WRONG_LAST = (10071, 10070)
_ENDINGS = ("404", "408", "409")  # of a request that is not answered in full
_NO_MESSAGE = 10037
_V1_TOKENS = 9  # in an ack subject without domain and account


@dataclass(frozen=True, slots=True)
class Message:
    """One stored message; `stamp` is when its stream stored it."""

    seq: int
    subject: str
    data: bytes
    headers: Mapping[str, str]
    stamp: Nanos

    @property
    def said(self) -> Mapping[str, str]:
        """The headers that mean something after the publish: conditions and ids are spent."""
        return {
            name: value
            for name, value in self.headers.items()
            if not name.startswith("Nats-Expected-") and name != "Nats-Msg-Id"
        }

    @property
    def lives(self) -> Nanos | None:
        """How long it was given by its own header."""
        word = self.headers.get("Nats-TTL", "never")
        if word == "never":
            return None
        return int(word) * SECOND_NS if word.isdecimal() else read_duration(word)


async def messages(
    client: Client, buckets: Buckets, stream: str, start: int
) -> AsyncGenerator[Message, None]:
    """What the stream holds from number `start` on to its end."""
    config = {
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": start,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": MINUTE_NS,
    }
    made = await buckets.call(
        f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config}
    )
    name, reached, delivered, fruitless = made["name"], start - 1, 0, 0
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox, pending_bytes_limit=-1)
    body = {
        "batch": BATCH,
        "max_bytes": max(BATCH_BYTES, 2 * client.max_payload),
        "expires": SECOND_NS,
    }
    try:
        while last := await _last_from(buckets, stream, reached + 1):
            if fruitless == FRUITLESS:
                raise CommandError("the source has more messages and does not send them")
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
            await client.publish(subject, json.dumps(body).encode(), reply=inbox)
            fruitless += 1
            for _ in range(BATCH):
                answer = await _next(client, answers)
                if status := (answer.headers or {}).get("Status"):
                    if status not in _ENDINGS:
                        raise CommandError(f"the source's consumer answered {status}")
                    break
                message, count = _read(answer)
                if count != delivered + 1:
                    raise CommandError("the source left a message out on the way")
                delivered, reached, fruitless = count, message.seq, 0
                yield message
                if reached >= last:
                    break
    finally:
        if client.is_connected:
            with suppress(CommandError, nats.errors.Error):
                await answers.unsubscribe()
                await buckets.call(f"CONSUMER.DELETE.{stream}.{name}")


async def _last_from(buckets: Buckets, stream: str, start: int) -> int:
    """The stream's last number if it holds a message from `start` on, else 0."""
    try:
        body = {"seq": start, "next_by_subj": ">"}
        await buckets.call(f"STREAM.MSG.GET.{stream}", body)
    except ApiError as error:
        if error.err_code == _NO_MESSAGE:
            return 0
        raise
    return int((await buckets.call(f"STREAM.INFO.{stream}"))["state"]["last_seq"])


async def _next(client: Client, answers: Subscription) -> Msg:
    """The next message, or a sentence when the connection is gone or silent."""
    waited = 0.0
    while waited < ANSWER_SECONDS:
        try:
            found: Msg = await answers.next_msg(timeout=_LOOK_SECONDS)
        except TimeoutError:
            waited += _LOOK_SECONDS
            if not client.is_connected:
                raise CommandError("the connection to the source is lost") from None
        else:
            return found
    raise CommandError(f"the source was silent for {ANSWER_SECONDS:.0f} s")


def _read(answer: Msg) -> tuple[Message, int]:
    """A delivery: the message, and its count among the deliveries."""
    tokens = answer.reply.split(".")
    at = 4 if len(tokens) == _V1_TOKENS else 6
    _, seq, count, stamp = (int(token) for token in tokens[at : at + 4])
    found = Message(seq, answer.subject, answer.data, answer.headers or {}, stamp)
    return found, count


class Writer:
    """Puts messages at their numbers in a stream whose last number is `last`."""

    def __init__(self, client: Client, bucket: str, last: int, max_bytes: int) -> None:
        self.last = last
        self._client = client
        self._gap = f"$KV.{bucket}.{GAP_KEY}"
        self._max_bytes = max_bytes
        self._inbox = client.new_inbox()
        self._open: dict[int, int] = {}  # numbers that wait for their ack, and their bytes
        self._changed = asyncio.Event()
        self._error: CommandError | None = None

    async def open(self) -> None:
        """Listen for acks."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._acked)

    async def put(self, message: Message, ttl: Nanos | None) -> None:
        """Send it, after fillers for the numbers before it; `ttl` is the time it has left."""
        if message.subject == self._gap:
            key = f"the source has a key {GAP_KEY}, the name that a copy needs for itself"
            raise CommandError(f"{key}: purge it there, or rename it")
        await self.fill(message.seq - 1)
        headers = dict(message.said)
        if ttl is not None:
            headers["Nats-TTL"] = f"{-(-ttl // SECOND_NS)}s"
        await self._send(message.subject, message.data, headers)

    async def fill(self, upto: int) -> None:
        """Use up the numbers to `upto`."""
        while self.last < upto:
            await self._send(self._gap, b"", {"KV-Operation": "PURGE"})

    async def drained(self) -> None:
        """Wait until all that was sent is stored."""
        await self._until(0)

    async def _send(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        size = len(data) + sum(len(name) + len(value) + 4 for name, value in headers.items())
        is_alone = size + _HEADERS_ROOM_BYTES > self._max_bytes
        if is_alone:  # no room for the condition: then nothing else may be on its way
            await self.drained()
        else:
            headers["Nats-Expected-Last-Sequence"] = str(self.last)
            await self._until(WINDOW - 1, size)
        number = self.last + 1
        self._open[number] = size
        reply = f"{self._inbox}.{number}"
        try:
            await self._client.publish(subject, data, reply=reply, headers=headers or None)
        except nats.errors.MaxPayloadError as error:
            said = f"revision {number} has {len(data):,} bytes, more than the target takes"
            raise CommandError(f"{said}: raise its max_payload") from error
        self.last = number
        if is_alone:
            await self.drained()

    async def _until(self, most: int, more: int = 0) -> None:
        """Wait until at most `most` wait for their ack, and `more` bytes have room."""
        silent = 0.0
        while self._error is None and (
            len(self._open) > most or (self._open and sum(self._open.values()) + more > BATCH_BYTES)
        ):
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), _LOOK_SECONDS)
                silent = 0.0
            except TimeoutError:
                silent += _LOOK_SECONDS
                if not self._client.is_connected:
                    raise CommandError("the connection to the target is lost") from None
                if silent >= ANSWER_SECONDS:
                    said = f"the target was silent for {ANSWER_SECONDS:.0f} s"
                    raise CommandError(said) from None
        if self._error is not None:
            raise self._error

    async def _acked(self, answer: Msg) -> None:
        number = int(answer.subject.rsplit(".", 1)[1])
        self._open.pop(number, None)
        if (answer.headers or {}).get("Status"):
            self._fail(CommandError("the target's stream does not answer: it has no leader"))
        else:
            found = json.loads(answer.data)
            if "error" in found:
                self._fail(_refused(number, ApiError(found["error"])))
            elif found["seq"] != number or found.get("duplicate"):
                self._fail(CommandError(_OTHERS))
        self._changed.set()

    def _fail(self, error: CommandError) -> None:
        self._error = self._error or error


_OTHERS = "somebody else wrote to the target while it was copied"


def _refused(number: int, error: ApiError) -> CommandError:
    if error.err_code in _WRONG_LAST:
        return CommandError(_OTHERS)
    return CommandError(f"the target refused revision {number}: {error.description}")
