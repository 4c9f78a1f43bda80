"""One stream's machine on a memory store, driven command by command in made-up time.

`Rig(max_msgs_per_subject=1)` is a bucket's stream named S on the subjects `s.>`. `put`
publishes and returns the decoded PubAck; time stands still unless a test moves `now`.
`reopened` builds the stream anew from what it has written.
"""

import json

from kvcore.jetstream.checks import normalised
from kvcore.jetstream.commands import (
    CreateConsumer,
    DeleteConsumer,
    DeleteMessage,
    Expire,
    Publish,
    Purge,
    StreamCommand,
    UpdateConfig,
)
from kvcore.jetstream.config import StreamConfig, from_document
from kvcore.jetstream.outcome import Outcome
from kvcore.jetstream.stream import Budget, Stream
from kvcore.limits import SECOND_NS
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay

START = 1_767_225_600 * SECOND_NS  # 2026-01-01T00:00:00Z


def stream_config(**fields: object) -> StreamConfig:
    return normalised(from_document({"name": "S", "subjects": ["s.>"], **fields}))


def header_block(headers: dict[str, str]) -> bytes | None:
    if not headers:
        return None
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()


class Rig:
    def __init__(self, *, budget: Budget | None = None, **fields: object) -> None:
        self.storage = MemoryStorage()
        self.records = Overlay(self.storage)
        self.stream = Stream(2, stream_config(**fields), START, self.records, budget)
        self.storage.write(self.records.take())
        self.now = START
        self.index = 0
        self.last = Outcome()

    def apply(self, command: StreamCommand) -> Outcome:
        self.index += 1
        self.last = self.stream.apply(command, self.index)
        self.storage.write(self.records.take())
        return self.last

    def put(self, subject: str, payload: bytes = b"v", headers: dict[str, str] | None = None):
        block = header_block(headers or {})
        is_full = not self.stream.has_room()
        command = Publish(subject, "inbox", block, payload, self.now, is_full)
        return json.loads(self.apply(command).payload)

    def error(self, subject: str, headers: dict[str, str] | None = None, payload: bytes = b"v"):
        """The three facts of a refused publish, as they stand in §2.4's table."""
        ack = self.put(subject, payload, headers)
        assert (ack["stream"], ack["seq"]) == ("S", 0)
        return "{code}/{err_code} {description}".format(**ack["error"])

    def expire(self, seconds: float = 0) -> Outcome:
        self.now += int(seconds * SECOND_NS)
        return self.apply(Expire(self.now))

    def purge(self, subject: str = "", keep: int = 0, seq: int = 0) -> Outcome:
        return self.apply(Purge(subject, keep, seq, "inbox", self.now))

    def delete(self, seq: int) -> Outcome:
        return self.apply(DeleteMessage(seq, no_erase=False, reply="inbox", time=self.now))

    def update(self, **fields: object) -> Outcome:
        config = stream_config(**fields)
        return self.apply(UpdateConfig(config.encode(), "inbox", self.now))

    def consume(self, name: str, pattern: str) -> Outcome:
        body = {"deliver_subject": "d", "filter_subject": pattern, "ack_policy": "none"}
        return self.apply(CreateConsumer(json.dumps(body).encode(), name, "", "inbox", self.now))

    def forget_consumer(self, name: str) -> Outcome:
        return self.apply(DeleteConsumer(name, "inbox", self.now))

    def left(self) -> list[int]:
        return self.stream.sequences()

    def reopened(self) -> Stream:
        return Stream(2, stream_config(), 0, Overlay(self.storage))
