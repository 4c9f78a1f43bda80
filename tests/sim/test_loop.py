"""An event loop in virtual time: waiting is free, order is kept, real things are refused."""

import asyncio
import gc
import time
from contextlib import suppress

import pytest

from kvcore import limits
from kvcore.sim import drive
from kvcore.sim.errors import NotInThisWorld, SimulationStalled
from kvcore.sim.loop import VirtualLoop


@pytest.fixture
def loop():
    loop = VirtualLoop(seed=1)
    yield loop
    drive.drain(loop)
    loop.close()


def test_the_clock_starts_in_2026_and_counts_from_zero(loop):
    assert loop.now == 1_767_225_600_000_000_000
    assert loop.time() == 0.0


def test_two_virtual_minutes_cost_nothing(loop):
    start = time.monotonic()
    drive.run(loop, asyncio.sleep(120))
    assert loop.elapsed == 120 * limits.SECOND_NS
    assert time.monotonic() - start < 60


def test_sleeps_end_in_the_order_of_their_length_and_at_their_time(loop):
    seen = []

    async def wait(seconds):
        await asyncio.sleep(seconds)
        seen.append((seconds, loop.elapsed))

    async def main():
        await asyncio.gather(wait(3), wait(1), wait(2))

    drive.run(loop, main())
    assert seen == [(second, second * limits.SECOND_NS) for second in (1, 2, 3)]


def test_a_timer_fires_even_after_thirty_virtual_years(loop):
    drive.run(loop, asyncio.sleep(1e9))
    before = loop.elapsed
    drive.run(loop, asyncio.sleep(1 / 3))
    assert loop.elapsed > before


def test_a_time_out_raises_at_its_virtual_time(loop):
    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Future(), 5)

    drive.run(loop, main())
    assert loop.elapsed == 5 * limits.SECOND_NS


def test_threads_run_in_line(loop):
    async def main():
        assert await asyncio.to_thread(lambda: 5) == 5
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)

    drive.run(loop, main())


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("socket", lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol)),
        ("host", lambda _loop: asyncio.open_connection("example.com", 80)),
        ("TLS", lambda _loop: asyncio.open_connection("localhost", 80, ssl=True)),
        ("process", lambda _loop: asyncio.create_subprocess_exec("ls")),
        ("process", lambda _loop: asyncio.create_subprocess_shell("ls")),
        ("name service", lambda loop: loop.getaddrinfo("example.com", 80)),
        ("socket", lambda _loop: asyncio.open_unix_connection("/tmp/x")),
    ],
)
def test_real_things_are_refused_with_the_name_of_the_world_that_has_them(loop, name, attempt):
    async def main():
        with pytest.raises(NotInThisWorld, match=name) as caught:
            await attempt(loop)
        assert "Cluster.processes(1)" in str(caught.value)

    drive.run(loop, main())


async def _tick():
    while True:
        await asyncio.sleep(1)


async def _wait_for_nothing():
    await asyncio.Future()


def test_waiting_for_nothing_is_a_stall_that_names_the_line(loop):
    with pytest.raises(SimulationStalled, match=r"await asyncio\.Future\(\)"):
        drive.run(loop, _wait_for_nothing())


def test_a_stall_on_a_queue_names_what_the_line_called(loop):
    async def main():
        box = asyncio.Queue()
        await box.get()

    with pytest.raises(SimulationStalled, match=r"`await box.get\(\)`, for Queue.get"):
        drive.run(loop, main())


def test_the_learners_own_sleep_is_not_a_stall(loop):
    drive.run(loop, asyncio.sleep(30 * 24 * 3600))


def test_real_time_is_bounded_when_the_clock_stands_still(loop):
    loop.stall_wall_ns = 50 * limits.MILLISECOND_NS

    async def spin():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(SimulationStalled, match=r"0\.05 s of real time"):
        drive.run(loop, spin())
    assert loop.unfinished() == []


def test_long_work_between_two_awaits_is_not_a_stall(loop):
    loop.stall_wall_ns = 50 * limits.MILLISECOND_NS
    end = time.monotonic() + 0.6

    async def work():
        await asyncio.sleep(0)
        while time.monotonic() < end:
            pass
        await asyncio.sleep(0)
        return "done"

    assert drive.run(loop, work()) == "done"


def test_a_stalled_statement_cleans_up_and_is_gone(loop):
    seen = []

    async def main():
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(1)
            seen.append("cleaned up")

    with pytest.raises(SimulationStalled):
        drive.run(loop, main())
    assert seen == ["cleaned up"]
    assert loop.unfinished() == []


def test_a_loop_runs_again_from_inside_its_own_task(loop):
    order = []

    async def other():
        order.append("other")

    async def inner():
        await asyncio.sleep(1)
        order.append("inner")
        return 7

    async def main():
        waiting = [asyncio.create_task(other()) for _ in range(3)]
        assert loop.run_until_complete(inner()) == 7
        assert asyncio.current_task() is task
        await asyncio.gather(*waiting)

    task = loop.create_task(main())
    loop.run_until_complete(task)
    assert order == ["other", "other", "other", "inner"]


def test_a_world_runs_from_inside_another_loop():
    async def main():
        loop = VirtualLoop()
        me = asyncio.current_task()
        assert drive.run(loop, asyncio.sleep(60, "slept")) == "slept"
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is not loop
        drive.drain(loop)
        loop.close()

    asyncio.run(main())


@pytest.mark.parametrize(("error", "times"), [(KeyboardInterrupt, 0), (ValueError, 1)])
def test_an_interrupt_of_a_task_is_not_told_again_when_the_task_is_collected(
    loop, caplog, error, times
):
    async def raises():
        raise error

    async def main():
        asyncio.get_running_loop().create_task(raises())
        await asyncio.sleep(1)

    with suppress(KeyboardInterrupt):
        drive.run(loop, main())
    drive.drain(loop)
    gc.collect()
    assert caplog.text.count("never retrieved") == times


def test_draining_cancels_every_task_and_leaves_none():
    loop = VirtualLoop()
    seen = []

    async def stubborn():
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            seen.append("cancelled")

    async def main():
        for _ in range(3):
            asyncio.create_task(stubborn())  # noqa: RUF006
        await asyncio.sleep(0)

    drive.run(loop, main())
    drive.drain(loop)
    assert seen == ["cancelled"] * 3
    assert loop.unfinished() == []
    loop.close()
