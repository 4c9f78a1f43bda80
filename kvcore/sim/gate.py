"""Who goes next: a test decides which client's request reaches the server, one at a time.

On a real network nobody chooses the order in which two clients' requests arrive, so a test
that needs one order in particular can only wait for luck. Here each client gets a `Gate`,
which holds what the client sends. `play` starts the clients' code and waits until each of
them has a request at its gate or is done; then `pick` says whose goes through, and the same
again until all are done. With `Orders.pick` that is every order there is.

    gates = {"A": Gate(client_a), "B": Gate(client_b)}
    played = await play({"A": work(kv_a), "B": work(kv_b)}, gates, orders.pick)

A request is a chunk with a PUB in it; what else a client sends (SUB, PING) passes with the
next one. A client that neither asks nor ends for `patience` seconds of virtual time sleeps,
or waits for another: the others go on without it.

Left out: orders of answers. Each client waits for its own; and a paused server, which
would open the gate when it goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from nats.aio.client import Client

from kvcore.sim.errors import NotInThisWorld
from kvcore.sim.transport import Link, Transport

PATIENCE_SECONDS = 1.0
REQUESTS_COUNT = 200


def transport_of(client: Client) -> Transport:
    """The client's end of its connection; NotInThisWorld if that is a real one."""
    writer = getattr(client._transport, "_io_writer", None)  # noqa: SLF001 - no public way
    transport = writer.transport if writer is not None else None
    if not isinstance(transport, Transport):
        raise NotInThisWorld("This client has no connection to a simulated server.")
    return transport


class Gate:
    """Holds what one client sends from now on, until `open`."""

    def __init__(self, client: Client) -> None:
        self._link: Link = transport_of(client).out
        self._news = asyncio.Event()
        self._link.on_held = self._news.set
        self._link.hold(held=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.open()

    @property
    def waiting(self) -> bool:
        """Whether a request stands at the gate. What is no request is let through here."""
        while (head := self._link.head) is not None and b"PUB " not in head:
            self._link.let_through()
        return head is not None

    @property
    def head(self) -> bytes:
        """The request at the gate, as it goes over the wire; empty when there is none."""
        return (self._link.head or b"") if self.waiting else b""

    async def request(self) -> None:
        """Returns when a request stands at the gate."""
        while not self.waiting:
            self._news.clear()
            await self._news.wait()

    def let_through(self) -> None:
        """The request goes to the server, now."""
        assert self.waiting
        self._link.let_through()

    def call(self, news: asyncio.Event) -> None:
        """`news` is set whenever something comes to the gate."""
        self._news = news
        self._link.on_held = news.set

    def open(self) -> None:
        """Holds nothing back any more."""
        self._link.on_held = _nothing
        self._link.hold(held=False)


@dataclass(slots=True)
class Played:
    """What came of it: whose request went through when, and each client's value or error."""

    order: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    endless: tuple[str, ...] = ()  # who had not come to an end within the bound

    @property
    def text(self) -> str:
        """The order on one line, as "A B B A"."""
        return " ".join(self.order)


async def play(
    work: Mapping[str, Awaitable[Any]],
    gates: Mapping[str, Gate],
    pick: Callable[[Sequence[str]], str],
    *,
    bound: int = REQUESTS_COUNT,
    patience: float = PATIENCE_SECONDS,
) -> Played:
    """Runs the clients' code; each time all stand at their gates, `pick` names who goes.

    After `bound` requests what still runs is cancelled.
    """
    played = Played()
    news = asyncio.Event()
    tasks = {name: asyncio.ensure_future(each) for name, each in work.items()}
    for name, task in tasks.items():
        gates[name].call(news)
        task.add_done_callback(lambda _task: news.set())
    try:
        while ready := await _ready(tasks, gates, news, patience):
            if len(played.order) == bound:
                played.endless = tuple(name for name in tasks if not tasks[name].done())
                break
            chosen = pick(ready)
            played.order.append(chosen)
            gates[chosen].let_through()
    finally:
        await _end(tasks)
    for name, task in tasks.items():
        if task.cancelled():
            continue
        error = task.exception()
        if isinstance(error, Exception):
            played.errors[name] = error
        else:
            played.values[name] = task.result()
    return played


async def _ready(
    tasks: Mapping[str, asyncio.Future[Any]],
    gates: Mapping[str, Gate],
    news: asyncio.Event,
    patience: float,
) -> list[str]:
    """Who stands at a gate, once nobody else is about to; empty when all are done."""
    while True:
        live = [name for name, task in tasks.items() if not task.done()]
        if not live:
            return []
        news.clear()
        ready = [name for name in live if gates[name].waiting]
        if len(ready) == len(live):
            return ready
        try:
            async with asyncio.timeout(patience):
                await news.wait()
        except TimeoutError:
            if ready:
                return ready


async def _end(tasks: Mapping[str, asyncio.Future[Any]]) -> None:
    """Cancels what still runs, and waits for its end."""
    left = [task for task in tasks.values() if not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)


def _nothing() -> None:
    """Nobody waits at an open gate."""
