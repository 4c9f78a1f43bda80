"""`kvcore copy`: a bucket moves to another cluster, kvcore's or nats-server's, either way.

Backups are no way between the two: each keeps its own store's form. So the messages are read
and published again, each at its old number (`copy_wire.py`), and then compared one by one
(`copy_verify.py`). Revisions, their order and their gaps are therefore the same on both
sides, and a client that remembers a revision may go on with it.

    connect → is there an unfinished copy? → copy until nothing is left → remove the fillers
    → compare → set the rest of the configuration and take the mark away

The target's metadata carries a mark that names the source until the last step, which takes
it away in one update. A copier that was killed leaves the mark; the same command finds it and
goes on after the target's last number.

A message's own time to live goes on: the target is told what is left, rounded up to a whole
second. A bucket's maximum age begins anew on the target, since only the target's stream says
when it stored a message.

Writers at the source may go on. The copy ends when it has read all there is, and holds what
the source held at that moment; what is written later is not copied.

Left out: following the source afterwards; more than one bucket.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import nats.errors
from nats.aio.client import Client
from rich.console import Console

from kvcore.cli import copy_config
from kvcore.cli.bucket import ApiError, Buckets, Json, Server, connect
from kvcore.cli.commands import CommandError
from kvcore.cli.copy_progress import Steps
from kvcore.cli.copy_verify import Comparison, compare
from kvcore.cli.copy_wire import ANSWER_SECONDS, GAP_KEY, Message, Writer, messages
from kvcore.limits import SECOND_NS, Nanos

AGAIN = "run the same command again: it goes on where it stopped"
_NO_STREAM = 10059


@dataclass(slots=True)
class Side:
    """One of the two ends, with the bucket's stream as last seen."""

    name: str
    client: Client
    buckets: Buckets
    bucket: str
    ahead: Nanos = 0  # the server's clock before ours
    info: Json | None = None

    @property
    def stream(self) -> str:
        """The stream behind the bucket."""
        return f"KV_{self.bucket}"

    @property
    def known(self) -> Json:
        """The bucket's stream, which is there."""
        assert self.info is not None
        return self.info

    @property
    def last(self) -> int:
        """The last number that was given out."""
        return int(self.known["state"]["last_seq"])

    def now(self) -> Nanos:
        """The server's time."""
        return time.time_ns() + self.ahead

    async def look(self) -> Json | None:
        """The bucket's stream, or None if there is none."""
        try:
            self.info = await self.buckets.call(f"STREAM.INFO.{self.stream}")
        except ApiError as error:
            if error.err_code != _NO_STREAM:
                raise CommandError(f"the {self.name} refuses: {error.description}") from error
            self.info = None
        else:
            self.ahead = _nanos(self.info["ts"]) - time.time_ns()
        return self.info

    async def ask(self, request: str, body: Json) -> None:
        """An API request about the stream, which must succeed."""
        try:
            await self.buckets.call(f"{request}.{self.stream}", body)
        except ApiError as error:
            raise CommandError(f"the {self.name} refuses: {error.description}") from error


def copy(source: str, target: str, bucket: str, replicas: int | None) -> int:
    """Copy the bucket; the exit code: 0 when the target was compared and is the same."""
    try:
        said = asyncio.run(_copied(source, target, bucket, replicas))
    except (CommandError, nats.errors.Error) as error:
        sys.stderr.write(f"kvcore copy: {str(error).removeprefix('nats: ')}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"kvcore copy: interrupted; {AGAIN}\n")
        return 1
    sys.stdout.write(said + "\n")
    return 0


async def _copied(source_url: str, target_url: str, bucket: str, replicas: int | None) -> str:
    async with AsyncExitStack() as stack:
        source = await _side(stack, "source", source_url, bucket)
        target = await _side(stack, "target", target_url, bucket)
        if await source.look() is None:
            raise CommandError(f"the source has no bucket {bucket}: `kvcore kv ls` lists them")
        config = source.known["config"]
        copy_config.check(config)
        with Steps(Console(stderr=True)) as steps:
            if await target.look() is None:
                for line in copy_config.notes(config):
                    steps.say(line)
                await target.ask("STREAM.CREATE", copy_config.first(source.known, replicas))
                await target.look()
            elif not _is_marked(source, target):
                return await _same_already(source, target, steps)
            else:
                steps.say(f"an unfinished copy is there: going on after revision {target.last}")
            return await _fill_and_verify(source, target, steps)


async def _side(stack: AsyncExitStack, name: str, url: str, bucket: str) -> Side:
    try:
        client = await connect(Server(url, timeout=ANSWER_SECONDS))
    except (CommandError, ValueError) as error:
        said = str(error).removeprefix("nats: ")
        raise CommandError(f"no connection to the {name} at {url}: {said}") from error
    stack.push_async_callback(client.close)
    return Side(name, client, Buckets(client, ANSWER_SECONDS), bucket)


def _is_marked(source: Side, target: Side) -> bool:
    mark = (target.known["config"].get("metadata") or {}).get(copy_config.MARK)
    return bool(mark == copy_config.mark_of(source.known))


async def _same_already(source: Side, target: Side, steps: Steps) -> str:
    """A bucket without our mark: right if it is the same, otherwise not ours to touch."""
    upto = source.last
    if target.last == upto and not (await _compared(source, target, upto, steps)).wrong:
        return f"{target.bucket} is on the target already, and the same up to revision {upto}"
    said = f"the target has a bucket {target.bucket} with other content, which is left alone"
    raise CommandError(f"{said}: delete it there if it is not needed, or copy to another cluster")


async def _fill_and_verify(source: Side, target: Side, steps: Steps) -> str:
    try:
        upto = await _fill(source, target, steps)
        await target.ask("STREAM.PURGE", {"filter": f"$KV.{target.bucket}.{GAP_KEY}"})
        found = await _compared(source, target, upto, steps)
    except (nats.errors.Error, OSError) as error:
        said = str(error).removeprefix("nats: ") or "the connection is lost"
        raise CommandError(f"{said}; {AGAIN}") from error
    except CommandError as error:
        raise CommandError(f"{error}; {AGAIN}") from error
    if found.wrong:
        lines = "\n  ".join(found.differences)
        said = f"{found.wrong} revisions differ:\n  {lines}\nthe source was purged or the target"
        said += " written to during the copy. Delete the bucket on the target and copy it again"
        raise CommandError(said)
    await target.look()
    await target.ask("STREAM.UPDATE", copy_config.last(source.known, target.known))
    gone = f", {found.gone} expired or replaced meanwhile" if found.gone else ""
    said = f"{target.bucket}: {found.same} messages compared and the same{gone}"
    return f"{said}; revisions are kept, the next is {upto + 1}"


async def _fill(source: Side, target: Side, steps: Steps) -> int:
    """Copy what is missing; the last number that the target now has."""
    upto = source.last
    if target.last > upto:
        raise CommandError(f"the target is at revision {target.last}, the source at {upto} only")
    limit = int(target.known["config"].get("max_msg_size", -1))
    room = target.client.max_payload
    writer = Writer(
        target.client, target.bucket, target.last, min(room, limit) if limit > 0 else room
    )
    await writer.open()
    steps.begin("copy", writer.last, upto)
    found = messages(source.client, source.buckets, source.stream, writer.last + 1)
    async with aclosing(found):
        async for message in found:
            ttl = _left(message, source.now())
            if ttl is None or ttl > 0:
                await writer.put(message, ttl)
            steps.at(message.seq)
    await writer.fill(max(upto, writer.last))
    await writer.drained()
    steps.at(writer.last)
    return writer.last


def _left(message: Message, now: Nanos) -> Nanos | None:
    """The time that a message has left by its own header; None if that is unlimited."""
    return None if message.lives is None else message.stamp + message.lives - now


async def _compared(source: Side, target: Side, upto: int, steps: Steps) -> Comparison:
    """Compare; once more, and milder, if the source was written to while we did."""

    async def once() -> Comparison:
        steps.begin("verify", 0, upto)
        may_age = source.last > upto or bool(source.known["config"].get("max_age"))
        ours = messages(source.client, source.buckets, source.stream, 1)
        theirs = messages(target.client, target.buckets, target.stream, 1)
        async with aclosing(ours), aclosing(theirs):
            return await compare(
                ours,
                theirs,
                upto=upto,
                now=source.now,
                may_lose=lambda message: may_age or message.lives is not None,
                step=steps.at,
            )

    await _still_there(source)
    has_moved = source.last > upto
    found = await once()
    if found.wrong and not has_moved:
        await _still_there(source)
        if source.last > upto:
            found = await once()
    return found


async def _still_there(side: Side) -> None:
    if await side.look() is None:
        raise CommandError(f"the {side.name}'s bucket was deleted during the copy")


def _nanos(moment: str) -> Nanos:
    """RFC 3339 in UTC, as both servers write it."""
    seconds = datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC).timestamp()
    fraction = moment[19:].rstrip("Z")
    return round(seconds) * SECOND_NS + round(float(f"0{fraction}") * SECOND_NS)
