"""A walk through nats-core, nats-jetstream and nats-key-value, the newer Python packages.

Runs in an interpreter of its own (they want Python 3.13, and their `nats` is not nats-py's):
prints a line for each step, so that two servers' answers can be compared as text.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta

from nats.client import connect
from nats.jetstream import StreamConfig
from nats.jetstream import new as jetstream
from nats.jetstream.consumer import ConsumerConfig
from nats.key_value import (
    KeyValue,
    KeyValueConfig,
    create_key_value,
    create_or_update_key_value,
    delete_key_value,
    key_value,
    key_value_bucket_names,
    update_key_value,
)

STEP_S = 20.0


async def step(name: str, call: Awaitable[object]) -> object:
    """Awaits `call` and prints what came of it, a refusal too."""
    try:
        async with asyncio.timeout(STEP_S):
            answer = await call
    except Exception as error:  # noqa: BLE001  # whatever the client raises is the answer
        answer = None
        print(f"{name}: {type(error).__name__} {error}")
    else:
        print(f"{name}: {answer!r}")
    return answer


async def entries(source: Awaitable[AsyncIterator], count: int | None = None) -> list[object]:
    """What a watch, a history or a listing yields: all of it, or the first `count`."""
    found = []
    iterator = await source
    async for entry in iterator:
        found.append(shown(entry))
        if len(found) == count:
            break
    if hasattr(iterator, "stop"):
        await iterator.stop()
    return found


def shown(entry: object) -> object:
    if not hasattr(entry, "revision"):
        return entry
    return (entry.key, entry.value, entry.revision, entry.operation.value)


async def one(call: Awaitable[object]) -> object:
    return shown(await call)


async def values(kv: KeyValue) -> None:
    await step("put", kv.put("a", b"1"))
    await step("put again", kv.put("a", b"2"))
    await step("put empty", kv.put("empty", b""))
    await step("get", one(kv.get("a")))
    await step("get empty", one(kv.get("empty")))
    await step("get of a revision", one(kv.get("a", revision=1)))
    await step("get of another key's revision", one(kv.get("a", revision=3)))
    await step("get of nothing", one(kv.get("nothing")))
    await step("create", kv.create("b", b"1"))
    await step("create again", kv.create("b", b"2"))
    await step("update", kv.update("b", b"3", 4))
    await step("update with a stale revision", kv.update("b", b"4", 4))
    await step("delete with a stale revision", kv.delete("b", last_revision=4))
    await step("delete", kv.delete("b", last_revision=5))
    await step("get of a deleted key", one(kv.get("b")))
    await step("create after delete", kv.create("b", b"5"))
    await step("purge", kv.purge("a"))
    await step("put after purge", kv.put("a", b"6"))
    await step("ttl", kv.create("short", b"1", ttl=timedelta(hours=1)))
    await step("put deep", kv.put("deep.er.key", b"7"))
    await step("delete once more", kv.delete("b"))
    await step("history", entries(kv.history("a")))
    await step("history of all", entries(kv.history("b")))
    await step("history of nothing", entries(kv.history("nothing")))
    await step("keys", entries(kv.keys()))
    await step("keys of a pattern", entries(kv.keys("deep.>")))
    await step("keys of none", entries(kv.keys("none.>")))


async def watches(kv: KeyValue) -> None:
    await step("watch", entries(kv.watch_all(), 4))
    await step("watch one", entries(kv.watch("a"), 1))
    await step("watch with history", entries(kv.watch("b", include_history=True), 4))
    await step("watch several", entries(kv.watch_filtered(["a", "deep.*.key"]), 2))
    await step("watch without deletes", entries(kv.watch_all(ignore_deletes=True), 3))
    await step("watch headers", entries(kv.watch_all(meta_only=True), 4))
    await step("watch from a revision", entries(kv.watch_all(resume_from_revision=8), 3))
    watcher = await kv.watch("live.*", updates_only=True)
    await step("live put", kv.put("live.1", b"8"))
    await step("live delete", kv.delete("live.1"))
    await step("live first", one(anext(watcher)))
    await step("live second", one(anext(watcher)))
    await watcher.stop()


async def buckets(js: object) -> None:
    await step("no bucket", key_value(js, "config"))
    config = KeyValueConfig(bucket="config", history=5, limit_marker_ttl=timedelta(hours=2))
    kv = await create_key_value(js, config)
    await step("create with other settings", create_key_value(js, KeyValueConfig(bucket="config")))
    await values(kv)
    await watches(kv)
    await step("purge deletes", kv.purge_deletes(older_than=timedelta(seconds=-1)))
    await step("keys after it", entries(kv.keys()))
    status = await kv.status()
    print("status:", status.bucket, status.values, status.history, status.ttl, status.bytes)
    print("status:", status.backing_store, status.compressed, status.limit_marker_ttl)
    config = KeyValueConfig(bucket="config", history=9, limit_marker_ttl=timedelta(hours=2))
    kv = await update_key_value(js, config)
    print("updated:", (await kv.status()).history)
    await create_or_update_key_value(js, KeyValueConfig(bucket="second", storage="memory"))
    names = [name async for name in key_value_bucket_names(js)]
    print("buckets:", sorted(names))
    await step("delete bucket", delete_key_value(js, "second"))
    await step("delete bucket again", delete_key_value(js, "second"))


async def streams(js: object) -> None:
    stream = await js.create_stream(StreamConfig(name="ORDERS", subjects=["orders.*"]))
    for number in range(6):
        await step("publish", js.publish(f"orders.{number}", b"%d" % number, headers={"N": "1"}))
    await step("publish elsewhere", js.publish("nowhere", b"", retry_attempts=0))
    info = await js.get_stream_info("ORDERS")
    print("state:", info.state.messages, info.state.first_sequence, info.state.last_sequence)
    await step("message", fact(stream.get_message(2)))
    await step("last", fact(stream.get_last_message_for_subject("orders.3")))
    await step("no message", fact(stream.get_message(99)))
    await step("delete message", stream.delete_message(3))
    consumer = await stream.create_consumer(ConsumerConfig(name="worker", ack_policy="explicit"))
    first = await consumer.next()
    print("next:", first.subject, first.data, first.metadata.num_delivered)
    await first.ack()
    batch = await consumer.fetch(max_messages=3)
    got = [message async for message in batch]
    print("fetch:", [message.data for message in got])
    await got[0].nak()
    await got[1].term()
    await got[2].double_ack()
    rest = await consumer.fetch(max_messages=2)
    print("again:", sorted([(m.data, m.metadata.num_delivered) async for m in rest]))
    nobody = await consumer.fetch(max_messages=1, max_wait=0.2)
    print("empty:", [message.data async for message in nobody])
    print("consumers:", [name async for name in js.consumer_names("ORDERS")])
    print("streams:", sorted([name async for name in js.stream_names()]))
    ordered = await stream.ordered_consumer()
    print("ordered:", [(await ordered.next()).data for _ in range(5)])
    await step("pause", stream.pause_consumer("worker", 4102444800.0))
    print("paused:", (await stream.get_consumer_info("worker")).paused)
    await step("resume", stream.resume_consumer("worker"))
    await step("delete consumer", stream.delete_consumer("worker"))
    await step("no consumer", stream.get_consumer("worker"))
    await step("purge", stream.purge())
    await step("delete stream", js.delete_stream("ORDERS"))
    await step("no stream", js.get_stream("ORDERS"))


async def fact(call: Awaitable[object]) -> object:
    message = await call
    return (
        message.subject,
        message.sequence,
        message.data,
        message.headers and message.headers.get("N"),
    )


async def core(client: object) -> None:
    subscription = await client.subscribe("greet.*")

    async def answer() -> None:
        message = await subscription.next()
        await client.publish(message.reply, b"hello " + message.data)

    answering = asyncio.create_task(answer())
    reply = await client.request("greet.me", b"you")
    await answering
    print("request:", reply.data)
    await step("nobody", client.request("nobody", b""))


async def main(url: str) -> None:
    client = await connect(url, allow_reconnect=False)
    js = jetstream(client, strict=True)
    await core(client)
    await buckets(js)
    await streams(js)
    account = await js.account_info()
    print("account:", account.streams)
    await client.close()


asyncio.run(main(sys.argv[1]))
