"""Runs a script on one server through nats-py, and writes down what each call gave.

nats-py is used as it is. What the helpers add is patience, so that the same script gives
the same results on every run: after each operation an open watch is read up to the last
message that it must hear, and the calls that trust nats-py's end-of-initial-values marker
(`keys`, `history`, `purge_deletes`) are asked again when they came back empty: the marker
can overtake the values.

Left out: the comparison of two runs (`comparer.py`).
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import nats
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import api

from tests.differential.script import CODE, Latest, Op, Script, Seq, Subject
from tests.interop.records import walk

CALL_S = 20.0
STEP_S = 3 * CALL_S  # a step may be several calls
EXPIRY_S = 8.0  # what expires has two seconds to live, and this long to be gone
PAUSE_S = 0.002
SILENCE_S = 6.0
IDLE_S = 300.0  # no consumer is abandoned while its script runs
EMPTY_ANSWERS = 2  # as often must an empty answer come before it is believed

Facts = dict[str, object]

logging.getLogger("nats.js.kv").setLevel(logging.ERROR)  # it warns of each keys() with filters


@dataclass(frozen=True, slots=True)
class Step:
    """An operation that ran: its arguments as they were then, and the leaves of its result."""

    op: Op
    args: Mapping[str, object]
    facts: Facts

    @property
    def call(self) -> str:
        return self.op.call(self.args)

    @property
    def outcome(self) -> str:
        """`ok`, or the kind of exception with its number."""
        raised = self.facts.get("raises")
        if raised is None:
            return "ok"
        number = self.facts.get("err_code")
        return str(raised).rpartition(".")[2] + (f" {number}" if number else "")

    @property
    def is_late(self) -> bool:
        """Whether something was awaited in vain: an answer, a message, the end of a watch."""
        return self.outcome in {"NotYetError", "TimeoutError"}


async def pause() -> None:
    try:
        await asyncio.wait_for(asyncio.Event().wait(), PAUSE_S)
    except TimeoutError:
        return


class NotYetError(AssertionError):
    """A condition that should have come true did not."""


@dataclass
class Open:
    """A watch or an ordered consumer that is open, and how to take what it has heard."""

    sub: Any
    pattern: str
    take: Callable[[], list[Any]]
    close: Callable[[], Awaitable[None]]
    is_begun: Callable[[], bool] = lambda: True  # whether all that was there has come
    start: int = 0
    gone: bool = False


@dataclass
class Session:
    """One bucket on one server, and what the script has done with it so far."""

    nc: nats.NATS
    bucket: str
    kv: Any = None
    last_seq: int = 0
    writes: dict[str, list[int]] = field(default_factory=dict)
    taken: list[Msg] = field(default_factory=list)
    heard: list[Msg] = field(default_factory=list)  # what the bucket republishes
    open: Open | None = None

    def __post_init__(self) -> None:
        self.js = self.nc.jetstream(timeout=CALL_S)
        self.stream = f"KV_{self.bucket}"
        self.prefix = f"$KV.{self.bucket}."
        self.names = {
            "js": self.js,
            "nc": self.nc,
            "bucket": self.bucket,
            "stream": self.stream,
            "prefix": self.prefix,
        }
        self.kv = nats.js.kv.KeyValue(self.bucket, self.stream, self.prefix, self.js, direct=False)

    async def step(self, op: Op) -> Step:
        args = {name: self.resolve(value) for name, value in op.args.items()}
        if op.kind == "publish" and args["headers"]:
            args["headers"] = {name: str(value) for name, value in args["headers"].items()}
        names = {**self.names, "s": self, "kv": self.kv, **args}
        try:
            value = await asyncio.wait_for(eval(CODE[op.kind], names), STEP_S)
        except Exception as error:  # noqa: BLE001 (an exception is a result here)
            value = error
        else:
            self.learn(op.kind, args, value)
        try:
            await self.settle()
        except NotYetError as error:
            value = error
        return Step(op, args, dict(walk(value)))

    def resolve(self, value: object) -> object:
        match value:
            case Latest(key, back):
                known = self.writes.get(key, [])
                return known[-1 - back] if len(known) > back else 0
            case Seq(offset):
                return max(0, self.last_seq + offset)
            case Subject(key):
                return self.prefix + key
            case dict():
                return {name: self.resolve(inner) for name, inner in value.items()}
            case _:
                return value

    def learn(self, kind: str, args: Mapping[str, Any], value: Any) -> None:
        """Remember the revision that a write got."""
        seq: int
        match kind:
            case "put" | "create" | "update":
                seq = value
            case "delete" | "purge":
                seq = self.last_seq + 1
            case "publish" if not value.duplicate:
                seq = value.seq
            case "burst":
                for seq in (each for each in value["revisions"] if isinstance(each, int)):
                    self.last_seq = seq
                    self.writes.setdefault(args["key"], []).append(seq)
                return
            case "expired":
                self.last_seq = max(self.last_seq, value["last_seq"])
                return
            case "delete_bucket":
                self.last_seq, self.writes = 0, {}
                return
            case _:
                return
        self.last_seq = seq
        self.writes.setdefault(args["key"], []).append(seq)

    async def until(
        self, look: Callable[[], Awaitable[bool]], what: str, within: float = CALL_S
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not await look():
            if loop.time() > deadline:
                raise NotYetError(f"{self.bucket}: never {what}")
            await pause()

    # -- buckets

    async def make(self, config: Mapping[str, Any]) -> Any:
        given = {name: value for name, value in config.items() if name != "republish"}
        if "republish" in config:
            republish = api.RePublish(src=self.prefix + ">", dest=f"copy.{self.bucket}.>")
            republish.headers_only = config["republish"] == "headers"
            given["republish"] = republish
        raw = given.pop("stream", None)
        if raw is None:
            self.kv = await self.js.create_key_value(bucket=self.bucket, **given)
        else:  # a bucket that KV clients take, with a stream's own settings
            config = api.StreamConfig(
                name=self.stream,
                subjects=[self.prefix + ">"],
                max_msgs_per_subject=given.pop("history"),
                max_age=given.pop("ttl", None),
                allow_direct=given.pop("direct", False),
                max_msg_size=given.pop("max_value_size", None),
                subject_delete_marker_ttl=given.pop("limit_marker_ttl", None),
            )
            await self.js.add_stream(config.evolve(**given, **raw))
            self.kv = await self.js.key_value(self.bucket)
        return self.kv

    async def edit(self, changes: Mapping[str, Any]) -> Any:
        """Update the stream: its configuration as it is now, with these changes."""
        config = (await self.js.stream_info(self.stream)).config
        given = dict(changes)
        if "republish" in given:
            given["republish"] = given["republish"] and api.RePublish(
                src=self.prefix + ">", dest=f"copy.{self.bucket}.>"
            )
        if "subjects" in given:
            given["subjects"] = [self.prefix + key for key in given["subjects"]]
        answer = await self.js.update_stream(config.evolve(**given))
        self.last_seq = answer.state.last_seq
        return answer

    async def purge_deletes(self, olderthan: int) -> Any:
        for _ in range(EMPTY_ANSWERS):  # an empty watch purges nothing, and purging is idempotent
            answer = await self.kv.purge_deletes(olderthan=olderthan)
        return answer

    async def burst(self, key: str, count: int) -> dict[str, list[Any]]:
        """Puts that don't wait for each other. What is open is closed first: a watch may or
        may not hear of a value that is overwritten at once."""
        before = await self.stop()
        puts = (self.kv.put(key, b"%d" % at) for at in range(count))
        return {"heard": before, "revisions": await asyncio.gather(*puts, return_exceptions=True)}

    async def again(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        for _ in range(EMPTY_ANSWERS - 1):
            try:
                return await ask()
            except nats.js.errors.NoKeysError:
                await self.forget_watch()
        return await ask()

    async def forget_watch(self) -> None:
        """Delete the newest consumer: a call that is asked again leaves as many as another."""
        known = await self.js.consumers_info(self.stream)
        newest = max(known, key=lambda consumer: consumer.created)
        await self.js.delete_consumer(self.stream, newest.name)

    async def expired(self, key: str) -> dict[str, int]:
        """Wait until the key's last message is gone."""
        seq = self.writes[key][-1]

        async def look() -> bool:
            try:
                await self.js.get_msg(self.stream, seq=seq)
            except nats.js.errors.NotFoundError:
                return True
            return False

        await self.until(look, f"expired {key}", EXPIRY_S)
        return {"last_seq": (await self.js.stream_info(self.stream)).state.last_seq}

    # -- watches

    async def watch(self, pattern: str, options: Mapping[str, Any]) -> list[Any]:
        """Open a watch; whatever was open is closed, and what it had heard is the result."""
        before = await self.stop()
        watcher = await self.kv.watch(pattern, **options)

        def take() -> list[Any]:
            updates = [watcher._updates.get_nowait() for _ in range(watcher._updates.qsize())]
            return sorted(updates, key=lambda update: update is None)  # it may overtake values

        def is_begun() -> bool:
            return bool(watcher._init_done)

        self.open = Open(watcher._sub, self.prefix + pattern, take, watcher.stop, is_begun)
        return before

    async def listen(self, pattern: str, policy: str, start: int, headers_only: bool) -> list[Any]:
        """The same with an ordered consumer, which has more ways to begin."""
        before = await self.stop()
        messages: list[Msg] = []

        async def hear(message: Msg) -> None:
            messages.append(message)

        async def close() -> None:
            await sub.unsubscribe()

        def take() -> list[Any]:
            return [told(message) for message in messages]

        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy(policy),
            opt_start_seq=start or None,
            headers_only=headers_only,
            inactive_threshold=IDLE_S,
        )
        first = max(start, self.last_seq + 1 if policy == "new" else 0)
        sub = await self.js.subscribe(
            self.prefix + pattern, stream=self.stream, cb=hear, ordered_consumer=True, config=config
        )
        self.open = Open(sub, self.prefix + pattern, take, close, start=first)
        return before

    async def settle(self) -> None:
        """Wait until the open watch has heard the last message that is there for it, and that
        it has heard all that was there when it began."""
        watch = self.open
        if watch is None or watch.gone:
            return
        inner, awaited = watch.sub._sub, 0

        async def heard_all() -> bool:
            nonlocal awaited
            try:
                awaited = (await self.js.get_last_msg(self.stream, watch.pattern)).seq
            except nats.js.errors.NotFoundError as error:
                watch.gone = error.err_code == 10059
                return watch.gone or watch.is_begun()
            behind = awaited >= watch.start and inner._jsi._sseq < awaited
            return not behind and inner._pending_queue.empty() and watch.is_begun()

        try:
            await self.until(heard_all, f"heard the last of {watch.pattern}")
        except NotYetError as error:
            heard, begun = inner._jsi._sseq, watch.is_begun()
            raise NotYetError(f"{error}: {heard} of {awaited}, begun: {begun}") from None
        await asyncio.sleep(0)

    async def stop(self) -> list[Any]:
        if self.open is None:
            return []
        await self.settle()
        watch, self.open = self.open, None
        seen = watch.take()
        await watch.close()
        return seen

    # -- consumers

    async def consumer(self, name: str, config: Mapping[str, Any]) -> Any:
        given = dict(config)
        if "filter_subject" in given:
            given["filter_subject"] = self.prefix + given["filter_subject"]
        if "filter_subjects" in given:
            given["filter_subjects"] = [self.prefix + key for key in given["filter_subjects"]]
        return await self.js.add_consumer(self.stream, name=name, durable_name=name, **given)

    async def pull(self, name: str, batch: int) -> list[Any]:
        """What a pull request that doesn't wait is sent, up to its status."""
        inbox = self.nc.new_inbox()
        sub = await self.nc.subscribe(inbox)
        body = json.dumps({"batch": batch, "no_wait": True}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{name}"
        await self.nc.publish(subject, body, reply=inbox)
        found: list[Msg] = []
        while len(found) < batch and not (found and "Status" in (found[-1].headers or {})):
            found.append(await sub.next_msg(CALL_S))
        await sub.unsubscribe()
        self.taken += [message for message in found if message.reply.startswith("$JS.ACK")]
        return [told(message) for message in found]

    async def ack(self, at: int, how: str) -> bytes | None:
        """Answer one of the messages that were pulled, and wait until the server has it. A
        new consumer of the name may not know of the message: then it says nothing (None)."""
        if not self.taken:
            raise LookupError("nothing was pulled")
        message = self.taken[at % len(self.taken)]
        try:
            return (await self.nc.request(message.reply, how.encode(), timeout=SILENCE_S)).data
        except nats.errors.TimeoutError:
            return None

    # -- republished copies

    async def follow_copies(self) -> None:
        async def hear(message: Msg) -> None:
            self.heard.append(message)

        await self.nc.subscribe(f"copy.{self.bucket}.>", cb=hear)
        await self.nc.flush()

    async def copies(self) -> list[Any]:
        """What was republished since the last time, up to a message published now."""
        config = (await self.js.stream_info(self.stream)).config
        if not config.republish:
            await self.nc.flush()
            return [told(message) for message in self.heard]
        ack = await self.js.publish(self.prefix + "copies", b"")
        self.last_seq = ack.seq

        async def last_is_here() -> bool:
            return bool(self.heard) and self.heard[-1].headers["Nats-Sequence"] == str(ack.seq)

        await self.until(last_is_here, "heard the last copy")
        heard, self.heard = self.heard, []
        return [told(message) for message in heard]


def told(message: Msg) -> dict[str, object]:
    """A message as plain values; an acknowledgement's subject without its moment."""
    words = message.reply.split(".")
    numbers = words[4:7] + words[8:] if message.reply.startswith("$JS.ACK") else []
    return {
        "subject": message.subject if numbers or "copy" in message.subject else "",
        "data": message.data,
        "headers": message.headers or {},
        "delivered, sequence, consumer sequence, pending": " ".join(numbers),
    }


async def _quiet(_: Exception) -> None:
    """nats-py tells of a watch that lost its bucket; the results tell it too."""


@asynccontextmanager
async def opened(url: str, bucket: str) -> Any:
    """A session on a connection of its own; the bucket is deleted at the end."""
    nc = await nats.connect(url, allow_reconnect=False, error_cb=_quiet)
    session = Session(nc, bucket)
    try:
        yield session
    finally:
        with suppress(nats.js.errors.APIError):  # it may be gone already
            await session.js.delete_key_value(bucket)
        await nc.close()


async def say(result: Awaitable[Any]) -> None:
    """Print a result as a failing script's program does."""
    try:
        print(await result)
    except Exception as error:  # noqa: BLE001 (an exception is a result here)
        print(repr(error))


async def run(url: str, bucket: str, script: Script) -> list[Step]:
    """Every step of a script, on a fresh bucket; what is still open at the end is stopped."""
    async with opened(url, bucket) as session:
        if "republish" in script.config:
            await session.follow_copies()
        return [await session.step(op) for op in whole(script)]


def whole(script: Script) -> Sequence[Op]:
    """A script's operations with the bucket's creation before them, and the ends after them."""
    ends = [Op("copies")] if "republish" in script.config else []
    if any(op.kind in {"watch", "listen"} for op in script.ops):
        ends.append(Op("stop"))
    return [Op("make", {"config": script.config}), *script.ops, *ends]
