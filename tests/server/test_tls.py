"""TLS on each event loop: the greeting, the handshake, and all that can come between them."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from random import Random

import pytest
import uvloop

from kvcore.limits import MILLISECOND_NS
from kvcore.node.config import NodeConfig, User
from kvcore.node.io import Order
from kvcore.node.node import Node
from kvcore.server.access import TlsSettings
from kvcore.server.driver import Clock, Driver
from kvcore.server.listener import bind
from kvcore.server.tls import Door
from kvcore.storage.memory import MemoryStorage
from tests.support.certificates import Authority

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
HELLO = b'CONNECT {"verbose":false,"user":"bob","pass":"s3"}\r\nPING\r\n'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=LOOPS)
def serving(request: pytest.FixtureRequest, authority: Authority):
    """Runs a coroutine function beside a server: it is given the driver, port and notes."""
    pair = authority.pair("server")

    def run(act: Callable[[Driver, int, list[str]], Awaitable[None]], **said: object) -> None:
        settings = TlsSettings(pair.cert, pair.key, authority.file, **said)  # type: ignore[arg-type]

        async def main() -> None:
            stores = {"file": MemoryStorage(), "memory": MemoryStorage()}
            clock = Clock()
            config = NodeConfig("n", "ID", users=(User("bob", "s3"),), tls_required=True)
            node = Node(config, stores, Random(1), clock())
            notes: list[str] = []
            loop = asyncio.get_running_loop()
            driver = Driver(loop, node, stores, clock, notes.append)
            door = Door(driver, settings, notes.append)
            listener = bind("127.0.0.1", -1)
            server = await door.open(listener)
            port = server.sockets[0].getsockname()[1]
            async with asyncio.timeout(20):
                await act(driver, port, notes)
                server.close()
                door.close()
                driver.finish()
                while driver.connections:
                    await asyncio.sleep(0)

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main())

    return run


async def enter(authority: Authority, port: int, *, first: bool = False):
    """INFO, the handshake, and a good CONNECT that leaves with the handshake's last bytes."""
    context = authority.context()
    if first:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        assert (await reader.readline()).startswith(b"INFO")
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert b'"tls_required":true' in await reader.readline()
        await writer.start_tls(context, server_hostname="127.0.0.1")
    writer.write(HELLO)
    assert await reader.readline() == b"PONG\r\n"
    return reader, writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("first", [False, True])
def test_many_clients_at_once_are_answered(serving, authority: Authority, first: bool) -> None:
    async def act(driver: Driver, port: int, notes: list[str]) -> None:
        entered = await asyncio.gather(*(enter(authority, port, first=first) for _ in range(40)))
        assert driver.connections == 40
        for _, writer in entered:
            await leave(writer)
        while driver.connections:
            await asyncio.sleep(0)
        assert notes == []

    serving(act, handshake_first=first)


def test_what_is_said_while_tls_takes_over_arrives_after_it(serving, authority: Authority) -> None:
    async def act(driver: Driver, port: int, notes: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        conn = max(driver.clients._transports)
        while not driver.clients._transports[conn].is_over:
            await asyncio.sleep(0)
        driver.clients._transports[conn].write(b"+OK\r\n")
        await writer.start_tls(authority.context(), server_hostname="127.0.0.1")
        assert await reader.readline() == b"+OK\r\n"
        await leave(writer)

    serving(act)


@pytest.mark.parametrize("way", ["silence", "garbage", "goodbye", "early"])
def test_a_handshake_that_comes_to_nothing_ends_that_connection_alone(
    serving, authority: Authority, way: str
) -> None:
    async def act(driver: Driver, port: int, notes: list[str]) -> None:
        _, known = await enter(authority, port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if way == "early":
            writer.write(HELLO)
        await reader.readline()
        if way == "garbage":
            writer.write(HELLO)
        if way == "goodbye":
            writer.transport.abort()
        try:
            rest = await reader.read()
        except ConnectionError:
            rest = b""
        assert b"PONG" not in rest
        while driver.connections > 1:
            await asyncio.sleep(0)
        assert len(notes) == 1
        assert notes[0].startswith("TLS handshake error: ")
        await leave(writer)
        await leave(known)

    serving(act, timeout=300 * MILLISECOND_NS if way == "silence" else 20_000 * MILLISECOND_NS)


def test_a_server_that_ends_does_not_wait_for_handshakes(serving, authority: Authority) -> None:
    async def act(driver: Driver, port: int, notes: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        driver.order(Order.LAME_DUCK)
        writer.transport.abort()

    serving(act, timeout=20_000 * MILLISECOND_NS)


def test_with_verify_no_stranger_is_greeted_when_tls_comes_first(
    serving, authority: Authority
) -> None:
    async def act(driver: Driver, port: int, notes: list[str]) -> None:
        told = b""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=authority.context()
            )
        except (ssl.SSLError, ConnectionError):
            return
        try:  # with TLS 1.3 the client believes that it is in
            told = await reader.readline()
        except (ssl.SSLError, ConnectionError):
            pass
        finally:
            await leave(writer)
        assert told == b""
        assert driver.connections == 0

    serving(act, handshake_first=True, verify=True)
