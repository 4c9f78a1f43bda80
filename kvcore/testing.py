"""A server for tests: started in milliseconds, gone when the test is, in the same process.

A test of code that talks to NATS wants a server of its own: empty, on a port that nobody
else has, with no binary to install and no container to wait for.

    async with kvcore.testing.server() as server:      # on the loop that runs the test
        nc = await nats.connect(server.url)

    with kvcore.testing.server() as server:            # on a thread of its own
        asyncio.run(use(server.url))

It is the server that `kvcore serve` runs, without its process: the same node, driver and
sockets. Streams live in memory, file streams too, unless `store` names a directory; then
an ack waits for the disk, and a later server on the same directory goes on where this one
ended. The system chooses the port, and it is bound before anyone learns its number, so two
servers never meet. Leaving ends it whatever happened inside: clients are closed, the port
and the directory are free, no thread is left. The pytest fixture is in `pytest_plugin.py`.

Left out: faults. `kvcore.lab.Cluster.sim` has servers whose power can be cut.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from kvcore.limits import Nanos
from kvcore.node.io import Effects, Event
from kvcore.node.node import Node
from kvcore.server.driver import Clock, Driver
from kvcore.server.flags import Value
from kvcore.server.identity import node_config
from kvcore.server.listener import Connection, bind
from kvcore.server.secrets import require_libraries
from kvcore.server.settings import Settings, read
from kvcore.server.tls import Door
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Storage, StorageError
from kvcore.storage.files import OsFileSystem
from kvcore.storage.memory import MemoryStorage

_POLL_S = 0.001
_POLLS = 200  # how often we look whether the clients have read their last answers


class ServerFailedError(Exception):
    """The server ended before its test did; the text says why."""


def server(
    store: str | Path | None = None,
    *,
    port: int = 0,
    jetstream: bool = True,
    user: str = "",
    password: str = "",
    token: str = "",
    config: str | Path | None = None,
) -> "Server":
    """A server, to be entered with `async with` or `with`.

    `store` is a directory, made if need be; None keeps everything in memory. Port 0 is any
    free one. `config` is a configuration file for the rest (users, permissions, TLS,
    limits); its port and its store directory are not used. Raises `SettingsError` for
    settings that make no sense; entering raises `ListenError` or `StorageError`.
    """
    given: dict[str, Value] = {"host": "127.0.0.1", "port": port or -1}
    if user:
        given |= {"user": user, "password": password}
    if token:
        given["token"] = token
    if config is not None:
        given["config"] = str(config)
    if not jetstream:
        given["no_jetstream"] = True
    given["store_dir"] = str(store) if store is not None else ""
    settings = read(given, "kvcore", os.environ)
    require_libraries(settings.users, settings.nkeys)
    return Server(settings, is_durable=store is not None and settings.jetstream)


class Server:
    """One server; `server` makes them. It runs between entering and leaving, once."""

    def __init__(self, settings: Settings, *, is_durable: bool) -> None:
        self._settings = settings
        self._is_durable = is_durable
        self._running: _Running | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1; 0 before it was entered."""
        return self._running.port if self._running is not None else 0

    @property
    def url(self) -> str:
        """Where clients connect to."""
        scheme = "tls" if self._settings.tls is not None else "nats"
        return f"{scheme}://127.0.0.1:{self.port}"

    def __repr__(self) -> str:
        return f"<kvcore.testing.Server {self.url}>"

    # On the caller's loop.

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("a server is entered once; make another")
        self._running = running = _Running(self._settings)
        # Lets go of port and files even if nobody ever leaves: the test's loop was closed.
        self._let_go = weakref.finalize(self, running.let_go)
        try:
            await running.start(is_durable=self._is_durable)
        except BaseException:
            self._let_go()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._running is not None
        try:
            await self._running.end()
        finally:
            self._let_go()
        if self._running.failures:
            raise ServerFailedError(self._running.failures[0]) from error

    # On a thread of its own.

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kvcore", daemon=True)
        self._thread.start()
        try:
            self._wait_for(self.__aenter__())
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._wait_for(self.__aexit__(kind, error, trace))
        finally:
            self._end_thread()

    def _wait_for(self, coroutine: Coroutine[object, object, object]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end_thread(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Running:
    """What a server holds while it runs. Knows nothing of `Server`, which may be forgotten."""

    def __init__(self, settings: Settings) -> None:
        self.failures: list[str] = []
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._listener = bind(settings.host, settings.port)
        self.port: int = self._listener.getsockname()[1]
        self._stores: dict[str, Storage] = {"file": MemoryStorage(), "memory": MemoryStorage()}
        self._driver: Driver | None = None
        self._door: Door | None = None
        self._listening: asyncio.Server | None = None

    async def start(self, *, is_durable: bool) -> None:
        """Open the store, read what is in it, let clients in."""
        settings, clock = self._settings, Clock()
        if is_durable:
            self._stores["file"] = AppendFile(OsFileSystem(settings.store_dir))
        seed = int.from_bytes(os.urandom(8), "big")
        node = Node(node_config(settings, self.port), self._stores, Random(seed), clock())
        core = _Watched(node)
        self._driver = driver = Driver(
            self._loop,
            core,
            self._stores,
            clock,
            self.failures.append,
            sync=settings.sync if is_durable else "never",
            sync_interval=settings.sync_interval,
        )
        core.failed = driver.fail
        try:
            await driver.settled()
        except asyncio.CancelledError:
            if self.failures:
                raise ServerFailedError(self.failures[0]) from None
            raise
        if settings.tls is None:
            self._listening = await self._loop.create_server(
                lambda: Connection(driver), sock=self._listener
            )
        else:
            self._door = Door(driver, settings.tls, lambda _note: None)
            self._listening = await self._door.open(self._listener)

    async def end(self) -> None:
        """No new clients, a last sync, the last answers, goodbye."""
        if self._loop.is_closed():
            return  # the loop that it ran on is gone: nobody can be told
        assert self._listening is not None
        assert self._driver is not None
        self._listening.close()
        if self._door is not None:
            self._door.close()
        self._driver.finish()
        for _ in range(_POLLS):
            if self._driver.connections == 0:
                return
            await asyncio.sleep(_POLL_S)
        self._driver.abort()
        await asyncio.sleep(0)

    def let_go(self) -> None:
        """Give back what the system lent: no loop is needed, and doing it twice does no harm."""
        self._listener.close()
        if self._driver is not None:
            self._driver.stop_disk()
        for store in self._stores.values():
            with suppress(StorageError, OSError):  # a store that failed has said so
                store.close()


class _Watched:
    """A node whose bug ends the test's server at once: no client waits for its time-out."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.failed: Callable[[str], object] = str  # set once there is a driver to stop

    def handle(self, event: Event, now: Nanos) -> None:
        try:
            self._node.handle(event, now)
        except Exception as error:
            self.failed(f"a bug in kvcore: {error!r}")
            raise

    def effects(self) -> Effects:
        try:
            return self._node.effects()
        except Exception as error:
            self.failed(f"a bug in kvcore: {error!r}")
            raise

    def deadline(self) -> Nanos | None:
        return self._node.deadline()
