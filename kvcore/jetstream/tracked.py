"""A consumer whose progress counts: acknowledged, pulled from, or durable.

To the cursor of `consumer.py` it adds three things, each in a file of its own: a ledger of
what was delivered and is not settled (`ledger.py`), alarms for what must be delivered again
(`redelivery.py`), and, if clients pull, their requests (`pulls.py`).

What is due again goes before what is new. When `max_ack_pending` deliveries are unsettled,
nothing new goes out until a client settles one. A message that was delivered `max_deliver`
times is given up.

Whatever changes the ledger is also noted as a move, and at the end of the turn all of them
become one `Acked` command. A client that asked whether its acknowledgement is safe is
answered when that command was applied. Deliveries don't wait for it: a crash can take back
the note that a message was delivered, which then comes again.

Left out: rate limits, replay at the original speed, priority groups.
"""

from collections.abc import Callable, Iterator, Sequence

from kvcore import limits
from kvcore.jetstream import acknowledgements, advisories, ledger, starting
from kvcore.jetstream.acknowledgements import Kind, Said
from kvcore.jetstream.answers import Delivery
from kvcore.jetstream.commands import Acked
from kvcore.jetstream.consumer import FLOW_REQUEST, Consumer, with_size
from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.jetstream.ledger import Ledger
from kvcore.jetstream.pulls import Pulls
from kvcore.jetstream.redelivery import Redelivery
from kvcore.jetstream.stream import Stream
from kvcore.jetstream.times import rfc3339
from kvcore.limits import Nanos


class TrackedConsumer(Consumer):
    """A cursor with a ledger; see the module's text. It goes on from where `known`, the
    stream's ledger of it, stands, be it new or known from before a restart."""

    def __init__(
        self,
        stream: Stream,
        name: str,
        config: ConsumerConfig,
        created: Nanos,
        known: Ledger,
        *,
        now: Nanos,
    ) -> None:
        self._ledger = known.copy()
        self._redelivery = Redelivery(config)
        self._pulls = Pulls(now) if config.is_pull else None
        self._moves: list[bytes] = []
        self._replies: list[str] = []
        self._said: list[Delivery] = []  # answers for the next turn's deliveries
        self._last_ack: Nanos = 0
        super().__init__(stream, name, config, created, last_seq=known.last_seq, now=now)
        self._consumer_seq = known.delivered_consumer
        self._prefix = self._reply.removesuffix("1.")
        for seq in known.pending:
            self._redelivery.sent(seq, known.again.get(seq, 0), now)

    def _begin(self, _at: int) -> Iterator[Sequence[int]]:
        known = self._ledger
        self._seen = self._stream_seq = known.delivered_stream
        return starting.remaining(self.stream, self.config, known.delivered_stream, known.last_seq)

    # -- what the stream and the API tell it -----------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether anything is undelivered or not settled."""
        return super().is_behind or bool(self._ledger.pending or self._ledger.again)

    def on_removed(self, seqs: Sequence[int]) -> None:
        """Messages are gone, and with them the wait for their acknowledgement."""
        super().on_removed(seqs)
        known = self._ledger
        if known.pending or known.again:
            for seq in seqs:
                if known.settle(seq):
                    self._redelivery.forget(seq)
                    self._last_ack = self.now

    def update(self, config: ConsumerConfig) -> None:
        """As a watch's; clients' times change too."""
        super().update(config)
        self._redelivery.update(config)

    def listens_to(self, subject: str) -> bool:
        """Whether it delivers to this subject, or a request waits there."""
        if self._pulls is not None:
            return self._pulls.waits_on(subject)
        return super().listens_to(subject)

    # -- what clients say ------------------------------------------------------------------

    def pull(self, reply: str, payload: bytes, now: Nanos) -> None:
        """A client asks for messages."""
        self.now = now
        if self._pulls is None:
            text = b"NATS/1.0 409 Consumer is push based\r\n\r\n"
            self._said.append(Delivery(reply, reply, "", text, b""))
        else:
            available = self.num_pending + len(self._redelivery.queue)
            self._said += self._pulls.ask(self.config, reply, payload, now, available)

    def acknowledge(self, said: Said, now: Nanos) -> None:
        """A client says something of a delivery."""
        self.now = now
        answers_at_once = False
        match said.kind:
            case Kind.ACK | Kind.TERM | Kind.NEXT:
                self._advise(said)
                is_ours = self._settle(said)
                if said.kind is Kind.NEXT:
                    if said.reply:
                        self.pull(said.reply, said.rest, now)
                elif is_ours and said.reply:
                    self._replies.append(said.reply)
            case Kind.NAK:
                self._refused(said)
                answers_at_once = True
            case Kind.WORKING:
                if said.seq in self._ledger.pending:
                    again = self._ledger.again.get(said.seq, 0)
                    self._redelivery.sent(said.seq, again, now)
                answers_at_once = True
            case Kind.UNKNOWN:
                answers_at_once = True
        if answers_at_once and said.reply:
            self._said.append(Delivery(said.reply, said.reply, "", None, b""))

    def _advise(self, said: Said) -> None:
        """Tell others that a message is done with, if they may want to know."""
        stream, seq, percent = self.stream.config.name, said.seq, self.config.sample_percent
        if said.kind is Kind.TERM:
            self.events.append(advisories.terminated(stream, said))
        elif percent and self.config.ack_policy == "explicit" and seq in self._ledger.pending:
            took = self._redelivery.taken(seq, self._ledger.again.get(seq, 0), self.now)
            self.events.append(advisories.acknowledged(stream, said, took, percent))

    def _settle(self, said: Said) -> bool:
        """Whether the acknowledgement is of something that was delivered, or is gone: a client
        may hold a message that an earlier consumer of this name delivered."""
        if said.seq > self._ledger.delivered_stream:
            is_gone = said.seq < self.stream.first_seq
            self._last_ack = self.now if is_gone else self._last_ack
            return is_gone
        if self.config.ack_policy == "all" and said.consumer_seq > self._consumer_seq:
            return False
        before = self._ledger.floor_stream
        settled = self._ledger.ack(said.seq, said.consumer_seq)
        for seq in settled:
            self._redelivery.forget(seq)
        if settled or self._ledger.floor_stream != before:
            self._moves.append(ledger.ack_move(said.seq, said.consumer_seq))
            self._last_ack = self.now
        return True

    def _refused(self, said: Said) -> None:
        known = self._ledger
        is_current = known.floor_consumer < said.consumer_seq <= known.delivered_consumer
        if not is_current or said.seq not in known.pending:
            return
        self.events.append(advisories.naked(self.stream.config.name, said))
        delay = acknowledgements.nak_delay(said.rest)
        if delay is None:
            self._redelivery.demand(said.seq)
        else:
            again = known.again.get(said.seq, 0)
            self._redelivery.delay(said.seq, again, self.now, delay)

    def progress(self) -> Acked | None:
        """The command that records what happened since the last time, if anything did."""
        self._ledger.touched.clear()
        if not self._moves and not self._replies:
            return None
        moves, replies = b"".join(self._moves), " ".join(self._replies)
        self._moves, self._replies = [], []
        return Acked(self.name, moves, replies, self.now)

    def dismiss(self) -> list[Delivery]:
        """It is deleted: what to tell those who wait."""
        waiting = self._pulls.dismiss() if self._pulls is not None else []
        return self._said + waiting

    def take_leave(self) -> list[Delivery]:
        """The server stops: what to tell those who wait."""
        return self._pulls.take_leave() if self._pulls is not None else []

    # -- what its clients get --------------------------------------------------------------

    def serve(self, now: Nanos, has_interest: Callable[[str], bool], budget: int) -> list[Delivery]:
        """What is due: answers, deliveries, then the ends of pull requests."""
        self._end_search()
        self.now = now
        self._expire()
        said, self._said = self._said, []
        if self._pulls is None:
            return said + super().serve(now, has_interest, budget)
        self._pulls.has_interest = has_interest
        out = said
        if self._has_work():
            self._deliver(out, budget)
        idle = not self._has_work()
        held = idle and self._is_full and not self._is_paused
        return out + self._pulls.sweep(now, self._heartbeat, at_end=idle and not held, held=held)

    def _expire(self) -> None:
        """Queue what clients were silent about for too long, or give it up."""
        known, most = self._ledger, self.config.max_deliver
        for seq in self._redelivery.expired(self.now):
            if seq not in known.pending:
                continue
            count = max(known.again.get(seq, 0), 1)
            if 0 < most <= count:
                self._give_up(seq, count)
            else:
                self._redelivery.demand(seq)

    def _give_up(self, seq: int, count: int) -> None:
        if count == self.config.max_deliver:
            self.events.append(advisories.given_up(self.stream.config.name, self.name, seq, count))
        self._redelivery.forget(seq)
        self._ledger.give_up(seq)
        self._moves.append(ledger.spent_move(seq))

    @property
    def _is_full(self) -> bool:
        """Whether as much is unsettled as may be."""
        return 0 < self.config.max_ack_pending <= len(self._ledger.pending)

    def _has_work(self) -> bool:
        if self._is_paused or (self._pulls is not None and not self._pulls):
            return False
        return bool(self._redelivery.queue or (self.num_pending and not self._is_full))

    def _choose(self) -> tuple[int, int]:
        """The next message, and how often it was delivered again before; (0, 0): none."""
        known, most = self._ledger, self.config.max_deliver
        while self._redelivery.queue:
            seq = next(iter(self._redelivery.queue))
            again = known.again.get(seq, 0)
            if seq not in known.pending:
                self._redelivery.forget(seq)
            elif 0 < most < again + 2:
                self._give_up(seq, again + 1)
            else:
                return seq, again + 1
        if not self.num_pending or self._is_full:
            return 0, 0
        return self._pending[self._next], 0

    def _deliver(self, out: list[Delivery], budget: int) -> None:
        room = limits.DELIVERIES_PER_TURN_BYTES
        while budget > 0 and room > 0 and not self.is_stalled:
            seq, again = self._choose()
            message = self.stream.message(seq) if seq else None
            if message is None:
                return
            is_new = not again
            consumer_seq = self._consumer_seq + 1
            header, payload = message.header, message.payload
            if self.config.headers_only:
                header, payload = with_size(header, len(payload)), b""
            left = self.num_pending - is_new
            counts = f"{again + 1}.{seq}.{consumer_seq}"
            reply = f"{self._prefix}{counts}.{message.time}.{left}"
            size = len(message.subject) + len(reply) + len(header or b"") + len(payload)
            to, status = self._taker(size, out)
            if not to:
                return
            out.append(Delivery(to, message.subject, reply, header, payload))
            out += status
            self._delivered(seq, consumer_seq, again)
            budget -= 1
            room -= len(payload)
            if self._flow is not None:
                request = self._flow.sent(size)
                if request:
                    out.append(Delivery(to, to, request, FLOW_REQUEST, b""))

    def _taker(self, size: int, out: list[Delivery]) -> tuple[str, list[Delivery]]:
        """Where a message of this size goes, and what follows it; "" if nobody wants it."""
        if self._pulls is None:
            return self.config.deliver_subject, []
        request = self._pulls.take(size, self.now, out)
        if request is None:
            return "", []
        is_done = request.left <= 0 and request.bytes_left > 0
        return request.reply, [request.status("409 Batch Completed")] if is_done else []

    def _delivered(self, seq: int, consumer_seq: int, again: int) -> None:
        self._consumer_seq = consumer_seq
        self._last_active = self.now
        if not again:
            self._stream_seq = seq
            self._advance(1)
        self._ledger.deliver(seq, consumer_seq, again + 1)
        self._moves.append(ledger.delivery_move(seq, consumer_seq, again + 1))
        if self.config.acks:
            self._redelivery.sent(seq, again, self.now)

    # -- time ------------------------------------------------------------------------------

    def deadline(self) -> Nanos | None:
        """When it wants to be served next; alarms and pull requests count."""
        times = [self._redelivery.next_alarm()]
        if self._is_paused:
            times.append(self.config.pause_until)
        if self._pulls is not None:
            times += [self.now if self._has_work() else None, self._pulls.deadline()]
        elif self.interested:
            times.append(super().deadline())
        if self.config.inactive_threshold and not self.interested and not self._pulls:
            times.append(self._end())
        return min((at for at in times if at is not None), default=None)

    def is_abandoned(self, now: Nanos) -> bool:
        """Whether nobody has had to do with it for its threshold."""
        if not self.config.inactive_threshold or self.interested or self._pulls:
            return False
        return now >= self._end()

    def _end(self) -> Nanos:
        """When it may go, if nothing happens: a client may be at work on what it pulled."""
        last = self._active
        if self._pulls is not None:
            last = max(self._pulls.last, self._redelivery.last_alarm())
        return last + self.config.inactive_threshold

    def info(self, now: Nanos, version: str) -> dict[str, object]:
        """What CONSUMER.INFO says of it."""
        known = self._ledger
        floor: dict[str, object] = {
            "consumer_seq": known.floor_consumer,
            "stream_seq": known.floor_stream,
        }
        if self._last_ack:
            floor["last_active"] = rfc3339(self._last_ack)
        out = super().info(now, version)
        out["ack_floor"] = floor
        out["num_ack_pending"] = len(known.pending)
        out["num_redelivered"] = 0 if self.config.max_deliver == 1 else len(known.again)
        out["num_waiting"] = self._pulls.count(now) if self._pulls is not None else 0
        return out
