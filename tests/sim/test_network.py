"""Streams in memory behave as TCP's do, on the virtual clock."""

import asyncio

import pytest

from kvcore import limits
from kvcore.sim import drive
from kvcore.sim.loop import VirtualLoop


@pytest.fixture
def loop():
    loop = VirtualLoop(seed=1)
    yield loop
    loop.network.close()
    drive.drain(loop)
    loop.close()


async def _echo(reader, writer):
    while data := await reader.read(100_000):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_bytes_come_back_in_order_after_a_round_trip(loop):
    async def main():
        await asyncio.start_server(_echo, "localhost", 7000)
        reader, writer = await asyncio.open_connection("127.0.0.1", 7000)
        start = loop.elapsed
        for number in range(100):
            writer.write(b"%03d\n" % number)
        lines = [await reader.readline() for _ in range(100)]
        assert lines == [b"%03d\n" % number for number in range(100)]
        assert loop.elapsed - start >= 2 * limits.LINK_MIN_NS
        writer.close()
        await writer.wait_closed()

    drive.run(loop, main())


def test_nobody_listening_refuses_after_a_round_trip(loop):
    async def main():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("localhost", 7001)

    drive.run(loop, main())
    assert loop.elapsed >= 2 * limits.LINK_MIN_NS


def test_a_port_in_use_is_refused(loop):
    async def main():
        await asyncio.start_server(_echo, "localhost", 7000)
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(_echo, "127.0.0.1", 7000)

    drive.run(loop, main())


def test_a_closed_end_is_seen_after_the_bytes_before_it(loop):
    async def main():
        async def farewell(_reader, writer):
            writer.write(b"last words")
            writer.close()

        await asyncio.start_server(farewell, "localhost", 7000)
        reader, writer = await asyncio.open_connection("localhost", 7000)
        assert await reader.read() == b"last words"
        writer.close()

    drive.run(loop, main())


def test_a_reset_fails_reading(loop):
    async def main():
        async def slam(_reader, writer):
            writer.transport.abort()

        await asyncio.start_server(slam, "localhost", 7000)
        reader, _ = await asyncio.open_connection("localhost", 7000)
        with pytest.raises(ConnectionResetError):
            await reader.read()

    drive.run(loop, main())


def test_a_writer_waits_for_a_reader_who_does_not_read(loop):
    async def main():
        async def deaf(reader, _writer):
            reader._transport.pause_reading()
            await asyncio.sleep(10)
            reader._transport.resume_reading()

        await asyncio.start_server(deaf, "localhost", 7000)
        _, writer = await asyncio.open_connection("localhost", 7000)
        await asyncio.sleep(1)
        writer.write(bytes(limits.LINK_WINDOW_BYTES + 1))
        await writer.drain()
        assert loop.elapsed >= 10 * limits.SECOND_NS
        writer.close()

    drive.run(loop, main())


def test_delays_are_the_seeds(loop):
    other = VirtualLoop(seed=2)
    same = VirtualLoop(seed=1)
    delays = [[each.network.delay() for _ in range(5)] for each in (loop, same, other)]
    assert delays[0] == delays[1] != delays[2]
    other.close()
    same.close()
