"""`kvcore serve`: from a command line to a server that answers, and to its end.

The order of a start is chosen so that a mistake is found before it can do harm: settings,
then the port, then the store's lock, then the store, and only then a server that says who
it is. The order of an end is the reverse: no new clients, a last sync, answers to those who
waited for it, goodbye, close.

Whatever stops a start is one sentence and exit code 1. A store that fails while serving is
the same: an ack that can't be kept is worse than no server.

Left out: being a daemon; a supervisor does that better.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from kvcore import __version__, limits
from kvcore.limits import SECOND_NS
from kvcore.node.config import NodeConfig
from kvcore.node.io import Order
from kvcore.node.node import Node
from kvcore.server import flags, process
from kvcore.server.admin import Admin
from kvcore.server.driver import Clock, Driver
from kvcore.server.engines import durable_engines, open_engines
from kvcore.server.identity import NATS_VERSION, node_config
from kvcore.server.listener import (
    Connection,
    ListenError,
    bind,
    is_loopback,
    shown,
    write_ports_file,
)
from kvcore.server.log import Log
from kvcore.server.mesh import Mesh
from kvcore.server.monitoring import Monitoring
from kvcore.server.process import ProcessError
from kvcore.server.record import RunRecorder
from kvcore.server.secrets import SecretsError, require_libraries
from kvcore.server.settings import Settings, SettingsError, read
from kvcore.server.tls import Door, TlsError, make_context
from kvcore.server.usage import measure
from kvcore.storage.base import Storage, StorageError
from kvcore.trace import Terse


def serve(argv: Sequence[str], name: str = "kvcore") -> int:
    """Serve until told to stop; the process's exit code. `name` is what we were started as."""
    try:
        given = flags.parse(argv)
        if given.pop("help", False):
            sys.stdout.write(flags.usage())
            return 0
        if given.pop("version", False):
            sys.stdout.write(f"{name}: v{NATS_VERSION} (kvcore {__version__})\n")
            return 0
        if order := given.pop("signal", ""):
            process.send_signal(str(order))
            return 0
        settings = read(given, name, os.environ)
        require_libraries(settings.users, settings.nkeys)
        for tls in (settings.tls, settings.cluster.tls if settings.cluster else None):
            if tls is not None:
                make_context(tls)
    except (flags.FlagError, SettingsError, ProcessError, SecretsError, TlsError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    if settings.check_only:
        for warning in settings.warnings:
            sys.stderr.write(f"{name}: {warning}\n")
        sys.stderr.write(f"{name}: configuration is valid\n")
        return 0
    try:
        log = Log(settings.log_file, times=settings.log_time, debug=settings.debug)
    except OSError as error:
        sys.stderr.write(f"{name}: can't write the log to {settings.log_file}: {error.strerror}\n")
        return 1
    return Server(settings, name, log).run()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, about twice as fast; asyncio's own elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@contextmanager
def _named(what: str, where: str) -> Iterator[None]:
    """Say what couldn't be written, and where; raises `ProcessError`."""
    try:
        yield
    except OSError as error:
        raise ProcessError(f"can't write {what} to {where}: {error.strerror}") from error


class Server:
    """One server process: `run` starts it, serves, and ends it."""

    def __init__(self, settings: Settings, name: str, log: Log) -> None:
        self._settings = settings
        self._name = name
        self._log = log
        self._exit_code = 0
        self._loop = new_event_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._loop.set_exception_handler(self._bug)
        self._listening: asyncio.Server | None = None
        self._files: list[Path] = []
        self._stores: dict[str, Storage] = {}
        self._recorder: RunRecorder | None = None
        self._driver: Driver | None = None
        self._door: Door | None = None
        self._http: asyncio.Server | None = None
        self._monitoring: Monitoring | None = None
        self._mesh: Mesh | None = None
        self._admin: Admin | None = None

    def run(self) -> int:
        """Serve; the exit code."""
        try:
            # The loop runs throughout: uvloop loses a signal that comes between two runs.
            self._loop.run_until_complete(self._serve())
        except asyncio.CancelledError:
            pass  # the store failed before the first turn was over; that was said already
        except (ListenError, StorageError, ProcessError, TlsError, OSError) as error:
            self._fail(str(error))
        finally:
            for path in self._files:
                path.unlink(missing_ok=True)
            if self._recorder is not None:
                self._recorder.close()
        return self._exit_code

    async def _serve(self) -> None:
        await self._start()
        await self._over
        await self._end()

    # Start.

    async def _start(self) -> None:
        settings, say = self._settings, self._log
        say.info("Starting nats-server")
        say.info(f"  Version:  {NATS_VERSION} (kvcore {__version__})")
        for warning in settings.warnings:
            say.warn(warning)
        listener = bind(settings.host, settings.port)
        http = self._bind_http()
        peers = self._bind_peers()
        http_port = http.getsockname()[1] if http is not None else 0
        engines = durable_engines(settings)
        config = node_config(settings, listener.getsockname()[1], http_port, engines)
        say.info(f"  Name:     {config.server_name}")
        say.info(f"  ID:       {config.server_id}")
        self._warn_if_open(config)
        self._stores = open_engines(settings, say)
        node, self._driver = self._make_driver(config)
        if http is not None:
            await self._monitor(http, node, self._driver)
        self._watch_signals(self._driver)
        if settings.cluster is not None:
            rng = Random(os.urandom(8))  # not the node's, which a recording replays
            name = config.server_name
            self._mesh = Mesh(settings.cluster, name, self._driver, rng, self._log)
            self._driver.links = self._mesh
        self._listening = await self._listen(listener, self._driver)
        if self._mesh is not None and peers is not None:
            await self._mesh.open(peers)
        if settings.admin:
            await self._open_admin(config.server_name, self._driver)
        self._write_files(config, peers)
        say.info(f"Listening for client connections on {shown(config.host, config.port)}")
        say.info("Server is ready")
        gc.collect()
        gc.freeze()

    def _warn_if_open(self, config: NodeConfig) -> None:
        if is_loopback(config.host) or config.auth_required:
            return
        self._log.warn("=" * 64)
        self._log.warn(f"ANYONE who can reach {config.host} can read and change all data:")
        self._log.warn("set --user and --pass, or --auth, or listen on 127.0.0.1")
        self._log.warn("=" * 64)

    def _warn_of_http(self) -> None:
        host = self._settings.http_host
        if not is_loopback(host):
            self._log.warn(f"anyone who can reach {host} can read the monitoring: no password")

    def _bind_http(self) -> socket.socket | None:
        settings = self._settings
        if not settings.http_port:
            return None
        return bind(settings.http_host, settings.http_port, port_flag="-m", host_flag="--http_host")

    def _bind_peers(self) -> socket.socket | None:
        cluster = self._settings.cluster
        if cluster is None:
            return None
        return bind(cluster.host, cluster.port, port_flag="--cluster", host_flag="--cluster")

    async def _monitor(self, listener: socket.socket, node: Node, driver: Driver) -> None:
        host = self._settings.http_host
        self._warn_of_http()
        self._monitoring = Monitoring(
            lambda question: driver.report(lambda now: node.report(question, now)),
            is_private=is_loopback(host),
        )
        self._http = await self._loop.create_server(self._monitoring.make, sock=listener)
        self._log.info(f"Starting http monitor on {shown(host, listener.getsockname()[1])}")

    def _make_driver(self, config: NodeConfig) -> tuple[Node, Driver]:
        settings = self._settings
        clock = Clock()
        now = clock()
        seed = int.from_bytes(os.urandom(8), "big")
        if settings.record:
            if next(self._stores["file"].scan(b"", b"\xff" * 9), None) is not None:
                raise ProcessError("--record needs an empty store, to be replayed from the start")
            self._recorder = RunRecorder(settings.record, config, seed, now)
            self._log.warn(f"recording all that clients send to {settings.record}")
        sink = self._log.trace if settings.trace else Terse(self._log.news)
        node = Node(config, self._stores, Random(seed), now, sink)
        return node, Driver(
            self._loop,
            node,
            self._stores,
            clock,
            self._fail,
            sync=settings.sync,
            sync_interval=settings.sync_interval,
            recorder=self._recorder,
            measure=measure,
        )

    async def _listen(self, listener: socket.socket, driver: Driver) -> asyncio.Server:
        if self._settings.parent_fd >= 0:
            process.follow_parent(self._loop, self._settings.parent_fd, self._parent_gone)
        await driver.settled()
        if self._settings.tls is None:
            return await self._loop.create_server(lambda: Connection(driver), sock=listener)
        self._door = Door(driver, self._settings.tls, self._log.warn)
        self._log.info("TLS required for client connections")
        return await self._door.open(listener)

    async def _open_admin(self, name: str, driver: Driver) -> None:
        directory = self._settings.ports_dir or self._settings.store_dir
        self._admin = Admin(name, driver.clients, self._mesh)
        with _named("the admin file", directory):
            path = await self._admin.open(directory)
        self._files.append(path)
        self._log.warn(f"who can read {path} can cut this server off")

    def _write_files(self, config: NodeConfig, peers: socket.socket | None) -> None:
        pid = os.getpid()
        cluster = self._settings.cluster
        where = (cluster.host, peers.getsockname()[1]) if cluster and peers else None
        if self._settings.ports_dir:
            directory = self._settings.ports_dir
            with _named("the ports file", directory):
                path = write_ports_file(directory, "nats-server", pid, config, where)
            self._files.append(path)
        if self._settings.pid_file:
            path = Path(self._settings.pid_file)
            with _named("the process id", str(path)):
                path.write_text(f"{pid}", encoding="ascii")
            self._files.append(path)

    def _watch_signals(self, driver: Driver) -> None:
        add = self._loop.add_signal_handler
        add(signal.SIGTERM, self._stop, 'Trapped "terminated" signal')
        add(signal.SIGINT, self._stop, 'Trapped "interrupt" signal')
        add(signal.SIGUSR1, self._log.reopen)
        add(signal.SIGUSR2, self._lame_duck, driver)
        add(signal.SIGHUP, self._log.warn, "reloading the configuration is not supported")

    # End.

    def _stop(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(None)
            self._log.info(reason)
            self._log.info("Initiating Shutdown...")

    def _parent_gone(self) -> None:
        self._stop("The process that started this server is gone")

    def _lame_duck(self, driver: Driver) -> None:
        """No new clients; the node sends the others away; then the end."""
        self._log.info("Entering lame duck mode, stop accepting new clients")
        assert self._listening is not None
        self._listening.close()
        driver.order(Order.LAME_DUCK)
        self._stop_when_alone(driver)

    def _stop_when_alone(self, driver: Driver) -> None:
        if driver.connections == 0:
            self._stop("All clients have left")
        else:
            self._loop.call_later(0.1, self._stop_when_alone, driver)

    async def _end(self) -> None:
        assert self._listening is not None
        assert self._driver is not None
        self._listening.close()
        if self._door is not None:
            self._door.close()
        if self._admin is not None:
            self._admin.close()
        self._driver.finish()
        if self._mesh is not None:
            self._mesh.close()
        await self._goodbye(self._driver)
        if self._http is not None and self._monitoring is not None:
            self._http.close()
            self._monitoring.close()
        if self._mesh is not None:
            self._mesh.abort()
        if self._exit_code == 0:
            for store in self._stores.values():
                store.close()
        self._log.info("Server Exiting..")

    async def _goodbye(self, driver: Driver) -> None:
        """Let the last answers out, for a second at most."""
        for _ in range(100):
            if driver.connections == 0:
                return
            await asyncio.sleep(limits.SHUTDOWN_WAIT_NS / SECOND_NS / 100)

    def _fail(self, reason: str) -> None:
        if reason:
            self._log.fatal(reason)
        self._exit_code = 1
        if not self._over.done():
            self._over.set_result(None)

    def _bug(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """An exception that nobody expected: our mistake, so nothing can be promised any more."""
        error = context.get("exception")
        if isinstance(error, StorageError):
            self._log.fatal(str(error))
            self._quit()
            return
        if isinstance(error, OSError):  # no more sockets, a peer that vanished: we go on
            self._log.warn(f"{context.get('message')}: {error}")
            return
        self._log.fatal(f"a bug in kvcore ended this server: {context.get('message')}: {error!r}")
        if isinstance(error, BaseException):
            import traceback

            for line in "".join(traceback.format_exception(error)).splitlines():
                self._log.fatal(line)
        self._log.fatal("please report it, with the lines above")
        self._quit()

    def _quit(self) -> None:
        if self._driver is not None:
            self._driver.fail("")
        self._fail("serving ends")
