"""The security table's rows for HTTP monitoring: who may read, and what a visitor can cost."""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest

from kvcore import limits
from kvcore.limits import MILLISECOND_NS
from kvcore.node.questions import Question
from kvcore.node.sight import Report
from kvcore.server import flags
from kvcore.server.listener import is_loopback
from kvcore.server.log import Log
from kvcore.server.main import Server
from kvcore.server.monitoring import PATHS, Monitoring, RefusedError, parse
from kvcore.server.settings import Settings, read
from tests.support.servers import running

SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
OK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def visit() -> Callable[..., None]:
    """Runs a coroutine function beside a monitoring port; it is given a way to connect, whose
    `visitors` are those who are connected."""

    def run(act: Callable[[Callable[[], Awaitable[Streams]]], Awaitable[None]], size: int = 2):
        def ask(_question: Question) -> Report:
            return Report(200, {"text": "x" * size})

        async def main() -> None:
            loop = asyncio.get_running_loop()
            monitoring = Monitoring(ask, is_private=True)
            server = await loop.create_server(monitoring.make, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            async with asyncio.timeout(20):

                async def connect() -> Streams:
                    return await asyncio.open_connection("127.0.0.1", port)

                connect.visitors = monitoring.visitors  # type: ignore[attr-defined]
                await act(connect)
                server.close()
                monitoring.close()
                while monitoring.visitors:
                    await asyncio.sleep(0)

        asyncio.run(main())

    return run


async def heard(streams: Streams) -> bytes:
    """All that comes until the other side closes."""
    reader, writer = streams
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


# bind


def test_bind_of_http_is_to_this_machine_alone_and_only_if_it_was_asked_for() -> None:
    assert Settings().http_port == 0
    assert is_loopback(read(flags.parse(["-m", "8222"]), "nats-server", {}).http_host)


def test_bind_of_http_to_others_is_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    def warned(host: str) -> bool:
        settings = Settings(port=-1, host="127.0.0.1", http_host=host, http_port=-1)
        server = Server(settings, "kvcore", Log("", times=False, debug=False))
        try:
            server._warn_of_http()
        finally:
            server._loop.close()
        return "anyone who can reach" in capfd.readouterr().err

    assert warned("0.0.0.0")
    assert not warned("127.0.0.1")


# auth: there is none, so nothing secret is told


def test_auth_secrets_stand_in_no_document(tmp_path: Path) -> None:
    words = ("hush-pass", "hush-token")
    text = "authorization { users: [{user: me, password: hush-pass}] }\nhttp: -1"
    with running("kvcore", argv=SERVE, config=text) as server:
        port = int(server.wait_for("Starting http monitor").rpartition(":")[2])
        for path in PATHS:
            connection = HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", f"{path}?subs=1&auth=1&config=1&streams=1")
            said = connection.getresponse().read().decode()
            connection.close()
            assert not any(word in said for word in words), path


# sizes


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 100_000, 414),
        (b"GET /varz?" + b"a" * limits.HTTP_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /varz HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, 431),
        (b"GET /varz HTTP/1.1\r\nHost: " + b"h" * 100_000, 431),
    ],
)
def test_sizes_of_a_request_are_bounded(visit, data: bytes, status: int) -> None:
    async def act(connect) -> None:
        reader, writer = await connect()
        writer.write(data)
        line = await reader.readline()
        assert line.startswith(b"HTTP/1.1 %d " % status)
        writer.close()

    visit(act)


def test_sizes_a_visitor_too_many_is_sent_away_and_the_others_stay(visit, monkeypatch) -> None:
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS_COUNT", 3)

    async def act(connect) -> None:
        waiting = [await connect() for _ in range(3)]
        assert b" 503 " in await heard(await connect())
        for _, writer in waiting:
            writer.write(OK)
        assert [b" 200 " in await heard(each) for each in waiting] == [True] * 3
        after = await connect()
        after[1].write(OK)
        assert b" 200 " in await heard(after)

    visit(act)


def test_sizes_a_long_answer_is_written_in_slices(visit) -> None:
    many = 50_000

    async def act(connect) -> None:
        streams = await connect()
        streams[1].write(OK)
        assert len(await heard(streams)) > many

    visit(act, size=many)


# slow_consumer


@pytest.mark.parametrize("data", [b"", b"GET /varz HTTP/1.1\r\n", b"\r"])
def test_slow_consumer_who_never_finishes_a_request_is_closed(
    visit, monkeypatch, data: bytes
) -> None:
    monkeypatch.setattr(limits, "HTTP_TIMEOUT_NS", 50 * MILLISECOND_NS)

    async def act(connect) -> None:
        streams = await connect()
        streams[1].write(data)
        assert await heard(streams) == b""

    visit(act)


def test_slow_consumer_who_never_reads_the_answer_is_closed(visit, monkeypatch) -> None:
    monkeypatch.setattr(limits, "HTTP_TIMEOUT_NS", 500 * MILLISECOND_NS)
    size = 64 * limits.MIB  # more than the sockets' buffers hold

    async def act(connect) -> None:
        reader, writer = await connect()
        writer.transport.pause_reading()
        writer.write(OK)
        while not connect.visitors:
            await asyncio.sleep(0)
        while connect.visitors:
            await asyncio.sleep(0)
        writer.transport.resume_reading()
        total = 0
        try:
            while piece := await reader.read(1 << 20):
                total += len(piece)
        except ConnectionResetError:
            pass
        assert total < size
        writer.close()

    visit(act, size=size)


# path_traversal


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/varz/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/%76arz",
        "//varz",
        "/varz%00",
        "\\varz",
        "http://localhost/varz",
        "*",
        "varz",
    ],
)
def test_path_traversal_finds_nothing(visit, path: str) -> None:
    async def act(connect) -> None:
        streams = await connect()
        streams[1].write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        said = await heard(streams)
        assert b" 404 " in said
        assert b"root:" not in said

    visit(act)


# A page in somebody's browser must not read it.


def test_no_other_origin_is_allowed(visit) -> None:
    async def act(connect) -> None:
        for method, status in ((b"GET", 200), (b"OPTIONS", 405)):
            streams = await connect()
            streams[1].write(
                method + b" /varz?callback=steal HTTP/1.1\r\nHost: localhost\r\n"
                b"Origin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\n\r\n"
            )
            head, _, body = (await heard(streams)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"access-control" not in head.lower()
            assert b"X-Content-Type-Options: nosniff" in head
            assert b"Cross-Origin-Resource-Policy: same-origin" in head
            assert b"steal" not in body

    visit(act)


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("localhost", True),
        ("LocalHost:8222", True),
        ("127.0.0.1:8222", True),
        ("[::1]:8222", True),
        ("evil.example", False),
        ("evil.example:8222", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("[evil]", False),
        ("", False),
    ],
)
def test_a_name_that_a_stranger_points_at_this_machine_is_refused(
    host: str, is_known: bool
) -> None:
    head = f"GET /varz HTTP/1.1\r\nHost: {host}".encode()
    if is_known:
        assert parse(head, is_private=True).path == "/varz"
    else:
        with pytest.raises(RefusedError) as caught:
            parse(head, is_private=True)
        assert caught.value.status == 403
    assert parse(head, is_private=False).path == "/varz"


# fuzz


def test_no_bytes_do_more_than_get_an_answer(visit) -> None:
    pieces = [
        b"GET",
        b" ",
        b"/varz",
        b"\r\n",
        b"\r\n\r\n",
        b"\x00\xff",
        b"HTTP/1.1",
        b"Host: a",
        b"?",
    ]
    strings = [b"".join(some) for some in itertools.permutations(pieces, 3)][::7]

    async def act(connect) -> None:
        for data in strings:
            streams = await connect()
            streams[1].write(data)
            streams[1].write_eof()
            said = await heard(streams)
            assert not said or said.startswith(b"HTTP/1.1 ")

    visit(act)
