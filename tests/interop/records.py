"""Writes down what calls gave, as plain values, and compares two such records.

A record is a list of `Fact`s: case, call, path inside the result, value. A result is a
value (its fields are walked) or an exception (class, text, code, err_code, description).
What may differ is a list of `Allowed`: case, path, reason. An allowed fact must still be
there on both sides, and be of the same type.
"""

import asyncio
import dataclasses
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import nats
import nats.js
import nats.js.errors
import nats.js.kv

CALL_S = 20.0


class Fact(NamedTuple):
    """One leaf of one call's result."""

    case: str
    call: str
    path: str
    value: object

    def __str__(self) -> str:
        return f"{self.case}: {self.call} {self.path} = {self.value!r}"


@dataclass(frozen=True)
class Allowed:
    """A field that may differ: patterns for `case: call` and for the path, and the reason."""

    call: str
    path: str
    reason: str

    def covers(self, fact: Fact) -> bool:
        whole = re.fullmatch(self.path, fact.path) is not None
        return whole and re.search(self.call, f"{fact.case}: {fact.call}") is not None


def walk(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The leaves of a value, each with its path."""
    match value:
        case nats.js.kv.KeyValue():
            yield from walk({"stream": value._stream, "direct": value._direct}, path)
        case BaseException():
            yield from walk(_exception(value), path)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [f.name for f in dataclasses.fields(value)]
            yield from walk({name: getattr(value, name) for name in names}, path)
        case dict():
            yield f"{path}{{}}", sorted(value)
            for key in sorted(value):
                yield from walk(value[key], f"{path}.{key}".lstrip("."))
        case list() | tuple():
            yield f"{path}[]", len(value)
            for at, item in enumerate(value):
                yield from walk(item, f"{path}[{at}]")
        case nats.aio.msg.Msg():
            yield from walk(
                {"subject": value.subject, "data": value.data, "headers": value.headers}, path
            )
        case _:
            yield path, value


def _exception(error: BaseException) -> dict[str, object]:
    kind = type(error)
    facts: dict[str, object] = {
        "raises": f"{kind.__module__}.{kind.__qualname__}",
        "text": str(error),
    }
    for name in ("code", "err_code", "description"):
        if hasattr(error, name):
            facts[name] = getattr(error, name)
    return facts


class _Nothing:
    """Stands for the result of a call that raised, so that the case can go on."""

    def __init__(self, call: str) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def method(*_: object, **__: object) -> None:
            raise LookupError(f"{self._call} gave nothing to call {name} on")

        return method


@dataclass
class Recorder:
    """Calls made in one case, on one connection."""

    case: str
    nc: nats.NATS
    facts: list[Fact] = field(default_factory=list)

    @property
    def js(self) -> nats.js.JetStreamContext:
        return self.nc.jetstream()

    async def __call__(self, call: str, result: Awaitable[Any]) -> Any:
        """Await, write down, and hand on the result; when it raised, what raises again."""
        try:
            value = await asyncio.wait_for(result, CALL_S)
        except Exception as error:  # noqa: BLE001 (an exception is a result here)
            self.note(call, error)
            return _Nothing(call)
        self.note(call, value)
        return value

    def note(self, call: str, value: object) -> None:
        self.facts += [Fact(self.case, call, path, leaf) for path, leaf in walk(value)]

    async def watching(self, kv: Any, pattern: str = ">", **options: Any) -> "Watching":
        """Start a watch and wait for the end of its initial values."""
        before = (await self.js.stream_info(kv._stream)).state.last_seq
        watching = Watching(await kv.watch(pattern, **options), before)
        await watching.read(lambda update: update is None)
        return watching

    async def live(self, call: str, watching: "Watching", last: Callable[[Any], bool]) -> None:
        """Write down what a watch said up to the update that is `last`, and stop it.

        nats-py may hand out the end-of-initial-values marker before values that were
        delivered already, so only its number counts, and a revision tells initial from live.
        """
        await watching.read(last)
        await watching.watcher.stop()
        entries = [update for update in watching.updates if update is not None]
        self.note(f"{call}, markers", len(watching.updates) - len(entries))
        initial = [entry for entry in entries if entry.revision <= watching.before]
        self.note(f"{call}, initial", initial)
        self.note(f"{call}, live", entries[len(initial) :])

    async def until(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Look again until it is so; time passes in whichever world this is."""
        never = asyncio.Event()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CALL_S
        while not await look():
            assert loop.time() < deadline, f"{self.case}: never came true"
            try:
                await asyncio.wait_for(never.wait(), 0.02)
            except TimeoutError:
                continue


@dataclass
class Watching:
    """A watch, the stream's last revision when it began, and the updates so far."""

    watcher: Any
    before: int
    updates: list[Any] = field(default_factory=list)

    async def read(self, last: Callable[[Any], bool]) -> None:
        while True:
            self.updates.append(await self.watcher.updates(timeout=CALL_S))
            if last(self.updates[-1]):
                return


Case = Callable[[Recorder], Awaitable[None]]


async def record(connect: Callable[[], Awaitable[nats.NATS]], cases: dict[str, Case]) -> list[Fact]:
    """Run the cases side by side, each on its own connection; their facts in order."""

    async def one(name: str, case: Case) -> list[Fact]:
        nc = await connect()
        recorder = Recorder(name, nc)
        try:
            await case(recorder)
        except Exception as error:  # noqa: BLE001 (one case must not end the others)
            recorder.note("the case ended early", error)
        finally:
            await nc.close()
        return recorder.facts

    parts = await asyncio.gather(*(one(name, case) for name, case in cases.items()))
    return [fact for part in parts for fact in part]


def compare(ours: Sequence[Fact], theirs: Sequence[Fact], allowed: Sequence[Allowed]) -> list[str]:
    """What differs, for a reader; empty when nothing does."""
    found = []
    mine = {fact[:3]: fact for fact in ours}
    other = {fact[:3]: fact for fact in theirs}
    told: set[tuple[str, str]] = set()  # calls that ended otherwise: one line says all
    for key, fact in other.items():
        if key[:2] in told:
            continue
        if key not in mine:
            found.append(f"missing  {fact}")
        elif not _same(mine[key], fact, allowed):
            found.append(f"ours     {mine[key]}\n  theirs {' ' * 7}{fact.value!r}")
            if key[2] == "{}":
                told.add((key[0], key[1]))
                text = mine.get((*key[:2], "text")) or other.get((*key[:2], "text"))
                found[-1] += f"\n  text   {text.value!r}" if text else ""
    found += [
        f"too many {fact}" for key, fact in mine.items() if key not in other and key[:2] not in told
    ]
    return found


def _same(a: Fact, b: Fact, allowed: Sequence[Allowed]) -> bool:
    if a.value == b.value and type(a.value) is type(b.value):
        return True
    return type(a.value) is type(b.value) and any(entry.covers(a) for entry in allowed)


def unused(facts: Sequence[Fact], allowed: Sequence[Allowed]) -> list[Allowed]:
    """Entries that cover no fact."""
    return [entry for entry in allowed if not any(entry.covers(fact) for fact in facts)]
