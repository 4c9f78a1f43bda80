"""A server's JetStream side without logs and sockets: commands are applied where they arise.

`Desk` is the API, the meta machine, the streams and their consumers on one memory store.
`ask` sends a request and returns what came back; `subscribed` names the subjects that
somebody listens to; `deliveries` collects what the consumers sent. Time stands still until
a test moves it.
"""

import json
from random import Random

from kvcore.jetstream.answers import Answer, Answers, Delivery, ProposeMeta, ProposeStream
from kvcore.jetstream.api import Api
from kvcore.jetstream.catalog import Identity
from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.commands import Publish, StreamCommand, UpdateConfig
from kvcore.jetstream.consumers import Consumers
from kvcore.jetstream.meta import Meta
from kvcore.jetstream.outcome import (
    Acknowledged,
    Outcome,
    StreamCreated,
    StreamDeleted,
    StreamUpdated,
)
from kvcore.jetstream.stream import Stream
from kvcore.limits import SECOND_NS
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay

START = 1_767_225_600 * SECOND_NS  # 2026-01-01T00:00:00Z
INBOX = "_INBOX.x"


class Desk:
    def __init__(self, identity: Identity = Identity("n1", "ID1", "2.11.0")) -> None:  # noqa: B008
        self.now = START
        self.records = Overlay(MemoryStorage())
        self.meta = Meta(self.records)
        self.streams: dict[str, Stream] = {}
        self.hosted: dict[str, Consumers] = {}
        self.api = Api(identity, self, Random(7))
        self.subscribed: dict[str, None] = {}
        self.deliveries: list[Delivery] = []
        self.safe: list[str] = []  # whom an acknowledgement was confirmed to
        self.index = 0

    # -- the catalog that the API sees

    cluster: ClusterView | None = None

    def names(self) -> list[str]:
        return list(self.streams)

    def stream(self, name: str) -> Stream | None:
        return self.streams.get(name)

    def consumers(self, name: str) -> Consumers:
        return self.hosted[name]

    def origins(self, _name: str) -> dict[str, object]:
        return {}

    # -- requests

    def send(self, subject: str, body: object = b"", reply: str = "reply") -> list[Answer]:
        """What a request brings back, in full."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        out: list[Answer] = []
        for action in self.api.handle(subject, reply, payload, self.now):
            match action:
                case Answer():
                    out.append(action)
                case Answers(parts):
                    out += filter(None, parts)
                case ProposeMeta(command):
                    out += self.apply_meta(command)
                case ProposeStream(stream, command):
                    out += self.answered(stream, [self.commit(stream, command)])
        return out

    def ask(self, verb: str, body: object = b"") -> dict:
        """The JSON body of the one answer to `$JS.API.<verb>`."""
        (answer,) = self.send(f"$JS.API.{verb}", body)
        return json.loads(answer.payload)

    def refused(self, verb: str, body: object = b"") -> tuple[int, int, str]:
        """The code, number and text of the error that a request brings."""
        error = self.ask(verb, body)["error"]
        return error["code"], error["err_code"], error["description"]

    def apply_meta(self, command) -> list[Answer]:
        self.index += 1
        outcome = self.meta.apply(self.meta.stamped(command), self.index)
        match outcome.result:
            case StreamCreated(assignment, existed) if not existed:
                stream = Stream(assignment.gid, assignment.config, assignment.created, self.records)
                self.streams[assignment.config.name] = stream
                self.hosted[assignment.config.name] = Consumers(stream)
            case StreamUpdated(assignment):
                name = assignment.config.name
                update = UpdateConfig(assignment.config.encode(), outcome.reply, self.now)
                return self.answered(name, [self.commit(name, update)])
            case StreamDeleted(assignment):
                del self.streams[assignment.config.name]
        body = self.api.respond_meta(outcome, self.now)
        return [Answer(outcome.reply, body)] if body is not None and outcome.reply else []

    def commit(self, name: str, command: StreamCommand) -> Outcome:
        """Apply a command, without telling the consumers yet."""
        self.index += 1
        return self.streams[name].apply(command, self.index)

    def answered(self, name: str, outcomes: list[Outcome]) -> list[Answer]:
        """Tell the consumers of outcomes and make the answers, in order."""
        out = []
        for outcome in outcomes:
            self.hosted[name].follow(outcome, self.now)
            if isinstance(outcome.result, Acknowledged):
                self.safe += outcome.result.replies
            if outcome.reply:
                body = self.api.respond_stream(name, outcome, self.now)
                out.append(Answer(outcome.reply, body))
        return out

    # -- streams and watches

    def make(self, name: str = "KV_b", **config: object) -> Stream:
        given = {"name": name, "subjects": [f"$KV.{name[3:]}.>"], "max_msgs_per_subject": 1}
        answer = self.ask(f"STREAM.CREATE.{name}", {**given, "allow_direct": True, **config})
        assert "error" not in answer, answer
        return self.streams[name]

    def put(self, key: str, value: bytes = b"v", header: bytes | None = None, name="KV_b") -> int:
        outcome = self.commit(name, Publish(f"$KV.{name[3:]}.{key}", "", header, value, self.now))
        self.answered(name, [outcome])
        return outcome.stored

    def watch(self, consumer: str = "c1", name: str = "KV_b", **config: object) -> dict:
        given = {"deliver_subject": INBOX, "ack_policy": "none", **config}
        return self.ask(
            f"CONSUMER.CREATE.{name}.{consumer}", {"stream_name": name, "config": given}
        )

    def subscribe(self, subject: str = INBOX) -> None:
        self.subscribed[subject] = None
        for consumers in self.hosted.values():
            consumers.wake(subject)

    def unsubscribe(self, subject: str = INBOX) -> None:
        del self.subscribed[subject]
        for consumers in self.hosted.values():
            consumers.wake(subject)

    def poll(self, name: str = "KV_b", budget: int = 500) -> list[Delivery]:
        """What one turn delivers."""
        out = self.hosted[name].poll(self.now, self.subscribed.__contains__, budget)
        self.deliveries += out
        for command in self.hosted[name].progress():
            self.answered(name, [self.commit(name, command)])
        return out

    def durable(self, consumer: str = "d", name: str = "KV_b", **config: object) -> dict:
        given = {"durable_name": consumer, "ack_policy": "explicit", **config}
        body = {"stream_name": name, "config": given}
        return self.ask(f"CONSUMER.DURABLE.CREATE.{name}.{consumer}", body)

    def pull(self, consumer: str = "d", to: str = INBOX, body: object = b"", name="KV_b"):
        """Send a pull request, and poll."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.hosted[name].on_pull(consumer, to, payload, self.now)
        return self.poll(name)

    def say(self, delivery: Delivery, what: bytes = b"+ACK", reply: str = "", name="KV_b"):
        """What a client says of a delivery, and what the next turn delivers."""
        self.hosted[name].on_acknowledgement(delivery.reply, reply, what, self.now)
        return self.poll(name)

    def info(self, consumer: str = "d", name: str = "KV_b") -> dict:
        return self.ask(f"CONSUMER.INFO.{name}.{consumer}")

    def restarted(self, name: str = "KV_b") -> None:
        """The stream and its consumers as a restart finds them."""
        old = self.streams[name]
        self.streams[name] = Stream(old.gid, old.config, old.created, self.records)
        self.hosted[name] = Consumers(self.streams[name], self.now)

    def pass_time(self, nanos: int, name: str = "KV_b") -> list[Delivery]:
        """Let time pass, polling at each deadline as a driver does."""
        end, out = self.now + nanos, []
        while True:
            due = self.hosted[name].deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            out += self.poll(name)
        self.now = end
        return out
