"""Pull requests: who waits at a consumer, for how much, and for how long.

A client asks for a batch and is served message by message; when several wait, they take
turns. A request ends when its batch is full, when its time is over, when its bytes are
spent, when its client has gone away, and at the end of the stream if it said `no_wait`: or,
where unacknowledged messages hold the rest back, when a heartbeat or an end is due. The client
is told how it ended by a status instead of a message:

    400 Bad Request - ...                  a request that makes no sense
    404 No Messages                        no_wait, and there are no more
    408 Request Timeout                    its time is over
    408 Requests Pending                   no_wait, and others wait for all that there is
    409 Message Size Exceeds MaxBytes      the next message is larger than what is left
    409 Batch Completed                    the batch is full; there were bytes left
    409 Exceeded MaxWaiting, MaxRequest... the consumer doesn't allow it
    409 Consumer Deleted
    409 Server Shutdown                    on one server: ask again when it is back

Those that end early carry what was not delivered, `Nats-Pending-Messages` and `-Bytes`.

Left out: priority groups.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kvcore.jetstream.answers import Delivery
from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.jetstream.documents import read_object
from kvcore.jetstream.errors import ConfigError
from kvcore.jetstream.gojson import duration
from kvcore.limits import Nanos

_NEVER: Nanos = 1 << 63


@dataclass(slots=True)
class Request:
    """One pull request. `left` counts messages, `bytes_left` is 0 without a bound."""

    reply: str
    left: int = 1
    bytes_left: int = 0
    no_wait: bool = False
    expires: Nanos = _NEVER
    beat: Nanos = 0  # every how long the client wants to hear from us
    next_beat: Nanos = _NEVER
    delivered: int = 0

    def status(self, text: str) -> Delivery:
        """The end of it, with what was not delivered."""
        rest = f"Nats-Pending-Messages: {self.left}\r\nNats-Pending-Bytes: {self.bytes_left}\r\n"
        return status(self.reply, text, rest)


class BadRequestError(ValueError):
    """A request that makes no sense; the text says why."""


def status(to: str, text: str, fields: str = "") -> Delivery:
    """A message that is only a status line."""
    return Delivery(to, to, "", f"NATS/1.0 {text}\r\n{fields}\r\n".encode(), b"")


class Pulls:
    """The requests that wait at one consumer. `last` is when it last had to do with any."""

    def __init__(self, now: Nanos) -> None:
        self._waiting: deque[Request] = deque()
        self.last = now
        self.has_interest: Callable[[str], bool] = lambda _subject: True

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def count(self, now: Nanos) -> int:
        """How many wait whose time isn't over and whose client is there."""
        return sum(each.expires > now and self.has_interest(each.reply) for each in self._waiting)

    def waits_on(self, subject: str) -> bool:
        """Whether a request wants its messages on this subject."""
        return any(each.reply == subject for each in self._waiting)

    def ask(
        self, config: ConsumerConfig, reply: str, payload: bytes, now: Nanos, available: int
    ) -> list[Delivery]:
        """Take up a request, or say why not; `available` messages could be delivered now."""
        try:
            request = _read(reply, payload, now)
        except BadRequestError as bad:
            return [status(reply, f"400 Bad Request - {bad}")]
        refusal = self._refusal(config, request, now)
        if refusal:
            return [status(reply, refusal)]
        if request.no_wait:
            if not available and request.expires == _NEVER:
                self.last = now
                return [status(reply, "404 No Messages")]
            if 0 < available < sum(each.left for each in self._waiting):
                self.last = now
                return [status(reply, "408 Requests Pending")]
        if self.count(now) >= config.max_waiting:
            # A client that listens for heartbeats would ask again at once, in a hot loop.
            return [] if request.beat else [status(reply, "409 Exceeded MaxWaiting")]
        self._waiting.append(request)
        return []

    def _refusal(self, config: ConsumerConfig, request: Request, now: Nanos) -> str:
        if 0 < config.max_batch < request.left:
            return f"409 Exceeded MaxRequestBatch of {config.max_batch}"
        if request.expires != _NEVER and 0 < config.max_expires < request.expires - now:
            return f"409 Exceeded MaxRequestExpires of {duration(config.max_expires)}"
        if 0 < config.max_bytes < request.bytes_left:
            return f"409 Exceeded MaxRequestMaxBytes of {config.max_bytes}"
        return ""

    def take(self, size: int, now: Nanos, out: list[Delivery]) -> Request | None:
        """Who gets the next message, of `size` bytes; those that can't have it end."""
        waiting = self._waiting
        while waiting:
            request = waiting.popleft()
            if request.expires <= now:
                out.append(request.status("408 Request Timeout"))
                self.last = max(self.last, request.expires)
                continue
            if request.bytes_left:
                if size > request.bytes_left:
                    out.append(request.status("409 Message Size Exceeds MaxBytes"))
                    continue
                request.bytes_left -= size
                if not request.bytes_left:
                    request.left = 1
            if not self.has_interest(request.reply):
                continue
            request.delivered += 1
            request.left -= 1
            self.last = now
            if request.left > 0:
                if request.beat:
                    request.next_beat = now + request.beat
                waiting.append(request)
            return request
        return None

    def sweep(
        self, now: Nanos, beat: Callable[[str], Delivery], *, at_end: bool, held: bool
    ) -> list[Delivery]:
        """End those whose time is over or whose client has gone, and beat for the others.
        `at_end`: everything that there is was delivered; `held`: no more is, until clients
        acknowledge."""
        at_end = at_end or (held and self._is_due(now))
        out: list[Delivery] = []
        kept: deque[Request] = deque()
        for request in self._waiting:
            if request.expires <= now:
                out.append(request.status("408 Request Timeout"))
                self.last = max(self.last, request.expires)
            elif at_end and request.no_wait and (request.expires == _NEVER or request.delivered):
                out.append(status(request.reply, "404 No Messages"))
                self.last = now
            elif self.has_interest(request.reply):
                if request.next_beat <= now:
                    out.append(beat(request.reply))
                    request.next_beat = now + request.beat
                kept.append(request)
        self._waiting = kept
        return out

    def _is_due(self, now: Nanos) -> bool:
        """Whether a heartbeat or an end of any request is due."""
        first = self.deadline()
        return first is not None and first <= now

    def dismiss(self) -> list[Delivery]:
        """The consumer is deleted."""
        out = [status(each.reply, "409 Consumer Deleted") for each in self._waiting]
        self._waiting.clear()
        return out

    def take_leave(self) -> list[Delivery]:
        """The server stops."""
        out = [each.status("409 Server Shutdown") for each in self._waiting]
        self._waiting.clear()
        return out

    def deadline(self) -> Nanos | None:
        """When `sweep` has something to do."""
        times = [min(each.expires, each.next_beat) for each in self._waiting]
        first = min(times, default=_NEVER)
        return None if first == _NEVER else first


_COUNTS = ("batch", "max_bytes", "expires", "idle_heartbeat")


def _read(reply: str, payload: bytes, now: Nanos) -> Request:
    """The request in a payload: JSON, a bare number, or nothing, which means one message."""
    text = payload.strip()
    if not text.startswith(b"{"):
        number = text.decode("ascii", "replace")
        return Request(reply, int(number) if _is_number(number) else 1)
    try:
        document = read_object(text)
    except ConfigError as refused:
        raise BadRequestError(refused.error.description) from None
    values: dict[str, int] = {}
    for name in _COUNTS:
        value = document.get(name) or 0
        if type(value) is not int or abs(value) >= _NEVER:
            raise BadRequestError(f"{name} is no number")
        values[name] = value
    no_wait = document.get("no_wait") or False
    if not isinstance(no_wait, bool):
        raise BadRequestError("no_wait is neither true nor false")
    expires, beat = values["expires"], max(values["idle_heartbeat"], 0)
    if beat and 2 * beat > expires:
        raise BadRequestError("heartbeat value too large")
    return Request(
        reply,
        values["batch"],
        max(values["max_bytes"], 0),
        no_wait,
        now + expires if expires else _NEVER,
        beat,
        now + beat if beat else _NEVER,
    )


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdigit() and len(text) < 20
