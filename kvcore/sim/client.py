"""The official client's clock and chance, taken from the simulated world it runs in.

nats-py reads clocks and generators through a handful of module names. While a simulated
world is open those names lead here: code that runs on a virtual loop sees that loop's clock
and its seeded generator, all other code sees the real ones. nats-py's files and behaviour
stay as they are. Without this a reconnect would cost two virtual seconds for want of a
moving clock, pull requests would carry real microseconds, and inboxes would differ on
every run.

`NAMES` lists each name, and `HARMLESS` those that are left alone, with the reason. A test
scans the installed nats-py for uses that neither mentions.

Left out: `nats.micro` (services), which no lesson uses.
"""

import asyncio
import datetime as dt
import importlib
import random
import secrets
import time
from collections.abc import MutableSequence
from typing import Any

from kvcore import limits
from kvcore.sim.loop import VirtualLoop


def _world() -> VirtualLoop | None:
    loop = asyncio._get_running_loop()  # noqa: SLF001 - None outside a loop, without an exception
    return loop if isinstance(loop, VirtualLoop) else None


class _Time:
    """The module `time`, with the world's clock in it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        """Each look takes a nanosecond, or nats-py's `fetch`, which tries until its time is
        more than over, would try for ever at the moment when it is over."""
        loop = _world()
        if loop is None:
            return time.monotonic()
        loop.looks += 1
        return (loop.elapsed + loop.looks) / limits.SECOND_NS

    def time(self) -> float:
        loop = _world()
        return time.time() if loop is None else loop.now / limits.SECOND_NS


class _Datetime(dt.datetime):
    """The class `datetime`, whose `now` is the world's."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        loop = _world()
        if loop is None:
            return dt.datetime.now(tz)
        return dt.datetime.fromtimestamp(loop.now // 1000 / 1_000_000, tz)


class _DatetimeModule:
    """The module `datetime`, with that class in it."""

    datetime = _Datetime

    def __getattr__(self, name: str) -> Any:
        return getattr(dt, name)


def _shuffle(items: MutableSequence[Any]) -> None:
    loop = _world()
    (random.shuffle if loop is None else loop.client_chance.shuffle)(items)


def _token_bytes(count: int) -> bytes:
    loop = _world()
    return secrets.token_bytes(count) if loop is None else loop.client_chance.randbytes(count)


def _token_hex(count: int) -> str:
    return _token_bytes(count).hex()


def _randbelow(bound: int) -> int:
    loop = _world()
    return secrets.randbelow(bound) if loop is None else loop.client_chance.randrange(bound)


NAMES: dict[tuple[str, str], Any] = {
    ("nats.aio.client", "time"): _Time(),
    ("nats.aio.client", "shuffle"): _shuffle,
    ("nats.aio.client", "token_hex"): _token_hex,
    ("nats.js.client", "time"): _Time(),
    ("nats.js.client", "token_hex"): _token_hex,
    ("nats.js.kv", "datetime"): _DatetimeModule(),
    ("nats.js.object_store", "datetime"): _Datetime,
    ("nats.nuid", "randbelow"): _randbelow,
    ("nats.nuid", "token_bytes"): _token_bytes,
}

HARMLESS: dict[tuple[str, str], str] = {
    ("nats.nuid", "Random"): "seeded from randbelow, which is the world's",
    ("nats.aio.subscription", "uuid4"): "names an entry of a dict that nobody sees",
    ("nats.aio.msg", "datetime"): "only converts times that the server sent",
    ("nats.js.api", "datetime"): "only converts times that the server sent",
    ("nats.js.object_store", "timezone"): "a constant",
}


class ClientPatch:
    """Puts the names in place while at least one world is open."""

    def __init__(self) -> None:
        self._users = 0
        self._originals: dict[tuple[str, str], Any] = {}

    def install(self) -> None:
        """One more world is open."""
        self._users += 1
        if self._users == 1:
            for (module, name), ours in NAMES.items():
                home = importlib.import_module(module)
                self._originals[module, name] = getattr(home, name)
                setattr(home, name, ours)

    def remove(self) -> None:
        """One world less; with the last the names are nats-py's own again."""
        assert self._users > 0, "removed more often than installed"
        self._users -= 1
        if self._users == 0:
            for (module, name), original in self._originals.items():
                setattr(importlib.import_module(module), name, original)
            self._originals.clear()


PATCH = ClientPatch()
