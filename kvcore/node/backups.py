"""Backups under way: a stream as it was at one index, sent to whoever asked.

The stream goes on while its backup is sent. So a backup reads a view, which stays as the
stream was when the request came (clients are promised one state, not a mixture), and it is
made a few frames a turn, so that nobody waits for it. Nothing but the chunk that is being
filled is in memory.

The client says how fast: each full chunk carries a reply subject, and at most a window of
chunks is on its way unanswered. A client that falls silent, or is not there any more, is
told why (it may only be slow) and the view is closed.

    chunk             to the client's subject, reply $JS.SNAPSHOT.ACK.<stream>.<id>.<size>.<n>
    the last chunk    without a reply
    the end           empty, status 204; or 408 and the reason

Left out: what is in the chunks (`jetstream/archive.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from kvcore import limits
from kvcore.jetstream import advisories, archive
from kvcore.jetstream.answers import Answer, SendBackup
from kvcore.jetstream.api import Api
from kvcore.jetstream.errors import snapshot_failed
from kvcore.limits import Nanos
from kvcore.nats import headers
from kvcore.node.advising import Advisor
from kvcore.node.broker import Broker, InternalSubscription, Message
from kvcore.node.hosts import Hosts
from kvcore.node.wakeups import Clock
from kvcore.storage.overlay import Overlay, OverlayView

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_id(rng: Random) -> str:
    """A token for a subject that nobody guesses."""
    return "".join(rng.choices(_ALPHABET, k=22))


@dataclass(slots=True)
class _Sending:
    """One backup: `room` is how many chunks may leave before one is acknowledged."""

    asked: SendBackup
    view: OverlayView
    frames: Iterator[bytes]
    acks: str
    room: int
    wait_until: Nanos
    asked_at: Nanos
    has_begun: bool = False
    sent: int = 0
    chunk: bytearray = field(default_factory=bytearray)
    subscription: InternalSubscription | None = None


class Backups:
    """The backups that one server sends."""

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        broker: Broker,
        clock: Clock,
        rng: Random,
        api: Api,
        advisor: Advisor,
        hosts: Hosts,
        overlays: Mapping[str, Overlay],
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._rng = rng
        self._api = api
        self._advisor = advisor
        self._hosts = hosts
        self._overlays = overlays
        self._sendings: list[_Sending] = []

    def begin(self, asked: SendBackup) -> Answer:
        """Send a stream as it is now, after the answer that is returned."""
        if len(self._sendings) >= limits.BACKUPS_COUNT:
            refusal = snapshot_failed(f"{limits.BACKUPS_COUNT} others are being made")
            return Answer(asked.answer.to, self._api.refused("stream_snapshot", refusal))
        host = self._hosts[asked.stream]
        view = self._overlays[host.group.engine].view()
        acks = f"$JS.SNAPSHOT.ACK.{asked.stream}.{new_id(self._rng)}"
        sending = _Sending(
            asked,
            view,
            archive.written(asked.stream, host.group.gid, view, asked.consumers),
            acks,
            asked.window_bytes // asked.chunk_bytes,
            self._clock.now + limits.SNAPSHOT_INTEREST_NS,
            self._clock.now,
        )

        def on_ack(_message: Message) -> None:
            sending.room = min(sending.room + 1, asked.window_bytes // asked.chunk_bytes)
            sending.wait_until = self._clock.now + limits.SNAPSHOT_ACK_NS

        sending.subscription = self._broker.subscribe(f"{acks}.>", on_ack)
        self._sendings.append(sending)
        self._advisor.tell(advisories.snapshot_created(asked.stream, host.stream.state()))
        return asked.answer

    def deadline(self) -> Nanos | None:
        """When `work` has something to do; now if it has already."""
        if any(each.has_begun and each.room > 0 for each in self._sendings):
            return self._clock.now
        return min((each.wait_until for each in self._sendings), default=None)

    def work(self) -> None:
        """Make and send a turn's worth, of one backup after the other."""
        left = limits.BACKUP_FRAMES_PER_TURN
        for sending in list(self._sendings):
            if left and self._may_send(sending):
                left = self._send(sending, left)
                if self._sendings[:1] == [sending]:  # the others come first in the next turn
                    self._sendings.append(self._sendings.pop(0))

    def _may_send(self, sending: _Sending) -> bool:
        """Whether its client is there and has room; ends it if that has been so for long."""
        now, to = self._clock.now, sending.asked.to
        is_late = now >= sending.wait_until
        if not sending.has_begun:
            # A client's inbox has had takers all along, if only by a wildcard that routes its
            # replies; whoever asked subscribes to the subject itself when it has our answer.
            is_named = any(taker.subject == to for taker in self._broker.takers(to))
            if is_named or (is_late and self._broker.has_client(to)):
                sending.has_begun = True
                sending.wait_until = now + limits.SNAPSHOT_ACK_NS
            elif is_late:
                self._finish(sending, "408", "No Interest")
        elif not self._broker.has_client(to):
            self._finish(sending, "408", "No Interest")
            return False
        elif sending.room <= 0 and is_late:
            self._finish(sending, "408", "No Flow Response")
        return sending.has_begun and sending.room > 0

    def _send(self, sending: _Sending, left: int) -> int:
        """Fill chunks with at most `left` frames; how many frames are left."""
        size, chunk = sending.asked.chunk_bytes, sending.chunk
        while sending.room > 0:
            while len(chunk) < size and left:
                frame = next(sending.frames, None)
                if frame is None:
                    self._send_last(sending)
                    return left
                chunk += frame
                left -= 1
            if len(chunk) < size:
                break
            sending.sent += 1
            sending.room -= 1
            sending.wait_until = self._clock.now + limits.SNAPSHOT_ACK_NS
            reply = f"{sending.acks}.{size}.{sending.sent}"
            self._publish(sending, reply, None, bytes(chunk[:size]))
            del chunk[:size]
        return left

    def _send_last(self, sending: _Sending) -> None:
        size, chunk = sending.asked.chunk_bytes, sending.chunk
        for start in range(0, len(chunk), size):
            self._publish(sending, "", None, bytes(chunk[start : start + size]))
        self._finish(sending, "204", "")

    def _publish(self, sending: _Sending, reply: str, header: bytes | None, payload: bytes) -> None:
        """To clients alone: a backup must not end up in a stream that came meanwhile."""
        to = sending.asked.to
        self._broker.deliver([(to, to, reply, header, payload)])

    def _finish(self, sending: _Sending, status: str, why: str) -> None:
        self._publish(sending, "", headers.encode((), status, why), b"")
        assert sending.subscription is not None
        self._broker.unsubscribe(sending.subscription)
        self._sendings.remove(sending)
        sending.view.close()
        error = "" if status == "204" else why.lower()
        stream, began = sending.asked.stream, sending.asked_at
        self._advisor.tell(advisories.snapshot_completed(stream, began, self._clock.now, error))
