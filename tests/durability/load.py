"""A mixed load whose outcome is known exactly, and the check of what a restart kept.

The client keeps a window of operations in flight over one raw connection and notes each ack.
When the server is killed, some operations have no answer: each of those either happened or
did not. So after the restart a key's stored messages must be the ones that the acked
operations left, followed by nothing or by unanswered operations; see `Model.check`.

Keys: `k.*` take puts, creates, updates, deletes and purges, in any order; `t.*` are created
once, with a TTL of a second.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.support.wait import eventually
from tests.support.wire import Delivery, Wire

STREAM = "KV_load"
SUBJECT = "$KV.load."
HISTORY = 5
KEYS = 150
WINDOW = 200
BATCH = 500  # messages per direct get
TTL_S = 1.0
TTL_SLACK_S = 1.0
CLOCKS_S = 0.05  # how far the server's clock may run ahead of ours within a TTL
CONFIG = {
    "name": STREAM,
    "subjects": ["$KV.load.>"],
    "storage": "file",
    "retention": "limits",
    "discard": "new",
    "max_msgs_per_subject": HISTORY,
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msg_size": -1,
    "num_replicas": 1,
    "deny_delete": True,
    "allow_rollup_hdrs": True,
    "allow_direct": True,
    "allow_msg_ttl": True,
}

_ACK = re.compile(rb'"seq":\s*(\d+)')
_CODE = re.compile(rb'"err_code":\s*(\d+)')


class LostError(AssertionError):
    """The store doesn't hold what was acked, or holds what it must not."""


@dataclass(slots=True)
class Operation:
    """One write. `seq` is its revision once acked, -1 when it was refused, 0 before.

    The server stamped it at some moment between `sent_at` and `acked_at`.
    """

    number: int
    kind: str
    key: str
    value: bytes
    expect: int | None = None
    seq: int = 0
    sent_at: float = 0.0
    acked_at: float = 0.0

    def frame(self) -> bytes:
        headers = b"NATS/1.0\r\n"
        if self.expect is not None:
            headers += b"Nats-Expected-Last-Subject-Sequence: %d\r\n" % self.expect
        if self.kind == "delete":
            headers += b"KV-Operation: DEL\r\n"
        elif self.kind == "purge":
            headers += b"KV-Operation: PURGE\r\nNats-Rollup: sub\r\n"
        elif self.kind == "ttl":
            headers += b"Nats-TTL: 1s\r\n"
        subject = (SUBJECT + self.key).encode()
        if len(headers) == 10:
            return b"PUB %s _INBOX.load.%d %d\r\n%s\r\n" % (
                *(subject, self.number, len(self.value), self.value),
            )
        headers += b"\r\n"
        sizes = (len(headers), len(headers) + len(self.value))
        return b"HPUB %s _INBOX.load.%d %d %d\r\n%s%s\r\n" % (
            *(subject, self.number, *sizes, headers, self.value),
        )

    def made(self, stored: "Stored") -> bool:
        """Whether `stored` is what this operation writes."""
        return stored.mark == _MARKS.get(self.kind, "") and stored.value == self.value


_MARKS = {"delete": "DEL", "purge": "PURGE"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was found after a restart."""

    seq: int
    key: str
    mark: str
    value: bytes


@dataclass
class Model:
    """What must be there: each key's acked messages, oldest first, and the unanswered writes.

    Without `whole_history` only each key's last message counts. nats-server 2.15.2 needs that:
    after a kill it brings back messages that a rollup had removed.
    """

    whole_history: bool = True
    kept: dict[str, list[Operation]] = field(default_factory=dict)
    unanswered: dict[str, list[Operation]] = field(default_factory=dict)
    last_seq: int = 0
    gone: dict[str, float] = field(default_factory=dict)
    acked: int = 0

    def answered(self, operation: Operation) -> None:
        """Take an ack into account. Revisions only ever grow."""
        if operation.seq < 0:
            return
        if operation.seq <= self.last_seq:
            raise LostError(f"revision {operation.seq} after {self.last_seq}: {operation}")
        self.last_seq = operation.seq
        self.acked += 1
        messages = self.kept.setdefault(operation.key, [])
        if operation.kind == "purge":
            messages.clear()
        messages.append(operation)
        del messages[:-HISTORY]

    def check(self, found: list[Stored], now: float) -> None:
        """Compare with the store after a restart, then take over which unanswered writes it has."""
        stored: dict[str, list[Stored]] = {}
        before = 0
        for message in found:
            if message.seq <= before:
                raise LostError(f"messages out of order at {message}")
            before = message.seq
            stored.setdefault(message.key, []).append(message)
        for key in dict.fromkeys([*self.kept, *stored]):
            if key.startswith("t."):
                self._check_ttl(key, stored.get(key, []), now)
            else:
                self._check_key(key, stored.get(key, []))
        self.last_seq = max(self.last_seq, before)
        self.unanswered.clear()

    def _check_key(self, key: str, stored: list[Stored]) -> None:
        acked = self.kept.get(key, [])
        last = acked[-1].seq if acked else 0
        tail = [message for message in stored if message.seq > last]
        adopted = self._adopt(key, tail)
        want = list(acked)
        for operation in adopted:
            if operation.kind == "purge":
                want.clear()
            want.append(operation)
        del want[:-HISTORY]
        expected = want
        if not self.whole_history:
            stored, expected = stored[-1:], want[-1:]
        if [message.seq for message in stored] != [operation.seq for operation in expected]:
            raise LostError(
                f"{key}: stored revisions {[m.seq for m in stored]}, "
                f"expected {[o.seq for o in expected]} (acked up to {last})"
            )
        for message, operation in zip(stored, expected, strict=True):
            if not operation.made(message):
                raise LostError(f"{key}: stored {message}, but acked {operation}")
        self.kept[key] = want

    def _adopt(self, key: str, tail: list[Stored]) -> list[Operation]:
        """The unanswered operations that the messages after the last ack came from."""
        candidates = list(self.unanswered.get(key, []))
        adopted = []
        for message in tail:
            match = next((c for c in candidates if c.made(message)), None)
            if match is None:
                raise LostError(f"{key}: {message} was never written, or was removed before")
            candidates.remove(match)
            match.seq = message.seq
            adopted.append(match)
        return adopted

    def _check_ttl(self, key: str, stored: list[Stored], now: float) -> None:
        acked = self.kept.get(key, [])
        if not acked and not stored:
            return
        if not acked:
            (operation,) = self._adopt(key, stored)
            operation.acked_at = now
            self.kept[key] = [operation]
            return
        (operation,) = acked
        if not stored:
            if now < operation.sent_at + TTL_S - CLOCKS_S:
                raise LostError(f"{key}: expired {operation.sent_at + TTL_S - now:.2f} s early")
            self.gone.setdefault(key, now)
            return
        if key in self.gone:
            raise LostError(f"{key}: expired, and now it is back: {stored}")
        if [message.seq for message in stored] != [operation.seq]:
            raise LostError(f"{key}: stored {stored}, but acked {operation}")

    def overdue(self, stored: list[Stored], now: float) -> list[str]:
        """Keys that are still there though their time was up a while ago."""
        present = {message.key for message in stored}
        return [
            key
            for key, operations in self.kept.items()
            if key.startswith("t.") and key in present
            if now > operations[-1].acked_at + TTL_S + TTL_SLACK_S
        ]


class Load:
    """The client: picks operations from a seed and keeps a window of them in flight."""

    def __init__(self, model: Model, random: Random) -> None:
        self.model = model
        self.random = random
        self.number = 0
        self.flying: dict[int, Operation] = {}
        self.refused = 0

    def run(self, wire: Wire, acks: int, kill: Callable[[], None]) -> int:
        """Write until `acks` acks came, then `kill` with writes in flight; how many were.

        What the server still managed to answer before it died counts as acked.
        """
        self.flying.clear()
        wire.send(b"SUB _INBOX.load.* 7\r\n")
        got = 0
        self._fill(wire)
        while got < acks:
            frame = wire.frame()
            assert frame is not None, "the server closed the connection in mid-load"
            if isinstance(frame, Delivery):
                got += self._answer(frame)
            else:
                assert frame in ("PING", "PONG"), frame
            if len(self.flying) <= WINDOW // 2:
                self._fill(wire)
        self._fill(wire)
        flying = len(self.flying)
        kill()
        while (frame := wire.frame()) is not None:
            if isinstance(frame, Delivery):
                self._answer(frame)
        for operation in self.flying.values():
            self.model.unanswered.setdefault(operation.key, []).append(operation)
        return flying

    def _fill(self, wire: Wire) -> None:
        frames = []
        while len(self.flying) < WINDOW:
            operation = self._next()
            operation.sent_at = time.monotonic()
            self.flying[operation.number] = operation
            frames.append(operation.frame())
        wire.send(b"".join(frames))

    def _answer(self, frame: Delivery) -> int:
        operation = self.flying.pop(int(frame.subject.rsplit(".", 1)[1]))
        operation.acked_at = time.monotonic()
        if (code := _CODE.search(frame.payload)) is not None:
            assert code[1] == b"10071", (operation, frame.payload)
            operation.seq = -1
            self.refused += 1
            return 0
        match = _ACK.search(frame.payload)
        assert match is not None, (operation, frame)
        operation.seq = int(match[1])
        self.model.answered(operation)
        return 1 if operation.kind in ("put", "create", "update", "ttl") else 0

    def _next(self) -> Operation:
        self.number += 1
        r = self.random
        key = f"k.{r.randrange(KEYS)}"
        kind = r.choices(
            ("put", "create", "update", "delete", "purge", "ttl"), (62, 8, 14, 7, 4, 5)
        )[0]
        value = b"%d %s" % (self.number, r.randbytes(r.randint(0, 60)).hex().encode())
        last = self.model.kept.get(key, [])
        match kind:
            case "create":
                fresh = r.random() < 0.3
                return Operation(
                    self.number, kind, f"{key}.{self.number}" if fresh else key, value, 0
                )
            case "update":
                return Operation(self.number, kind, key, value, last[-1].seq if last else 0)
            case "delete" | "purge":
                return Operation(self.number, kind, key, b"")
            case "ttl":
                return Operation(self.number, kind, f"t.{self.number}", value, 0)
            case _:
                return Operation(self.number, kind, key, value)


def everything(wire: Wire) -> list[Stored]:
    """All messages of the stream, by direct gets in batches."""
    found: list[Stored] = []
    inbox = f"_INBOX.all.{time.monotonic_ns()}"
    wire.send(f"SUB {inbox} 8\r\n".encode())
    while True:
        seq = found[-1].seq + 1 if found else 1
        body = json.dumps({"seq": seq, "batch": BATCH, "next_by_subj": f"{SUBJECT}>"}).encode()
        subject = f"$JS.API.DIRECT.GET.{STREAM}"
        wire.send(b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), inbox.encode(), len(body), body))
        while True:
            frame = wire.frame()
            assert isinstance(frame, Delivery), frame
            if frame.header.startswith(b"NATS/1.0 404"):
                wire.send(b"UNSUB 8\r\n")
                return found
            if frame.header.startswith(b"NATS/1.0 204"):
                break
            found.append(_stored(frame))


def _stored(frame: Delivery) -> Stored:
    seq = re.search(rb"Nats-Sequence: (\d+)", frame.header)
    subject = re.search(rb"Nats-Subject: (\S+)", frame.header)
    assert seq is not None, frame
    assert subject is not None, frame
    mark = re.search(rb"KV-Operation: (\w+)", frame.header)
    key = subject[1].decode().removeprefix(SUBJECT)
    return Stored(int(seq[1]), key, mark[1].decode() if mark else "", frame.payload)


def settled(wire: Wire, model: Model, *, all_expired: bool) -> list[Stored]:
    """The store's content once nothing overdue is in it; or, asked so, nothing with a TTL."""

    def look() -> list[Stored] | None:
        found = everything(wire)
        if all_expired and any(message.key.startswith("t.") for message in found):
            return None
        return None if model.overdue(found, time.monotonic()) else found

    found = eventually(look, 10.0, "what has expired leaves the stream")
    assert found is not None
    return found
