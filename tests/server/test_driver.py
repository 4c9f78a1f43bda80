"""The turn: what leaves when, and what happens when the disk refuses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from kvcore import limits
from kvcore.limits import MILLISECOND_NS
from kvcore.node.io import ClientClosed, ClientData, Effects, Synced, TimerFired
from kvcore.server.driver import Clock, Driver


class Bench:
    """A driver over stand-ins, on a real loop."""

    made: ClassVar[list["Bench"]] = []

    def __init__(self, core, disk, **options) -> None:
        self.made.append(self)
        self.core, self.disk = core, disk
        self.failures: list[str] = []
        self.driver = Driver(
            asyncio.get_running_loop(),
            core,
            {"file": disk, "memory": disk},
            Clock(),
            self.failures.append,
            **options,
        )


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    while Bench.made:
        Bench.made.pop().driver.stop_disk()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


def test_all_events_of_a_loop_turn_share_one_batch_one_sync_and_one_write(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        for piece in (b"a", b"b", b"c"):
            bench.driver.data(conn, piece)
        await until(lambda: pipe.sent)
        assert pipe.sent == [b"abc"]
        assert disk.journal == ["write 3", "sync"]

    run(scenario)


def test_an_ack_leaves_only_after_the_sync_that_covers_it(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        seen: list[list[str]] = []
        write = pipe.write
        pipe.write = lambda data: (seen.append(list(disk.journal)), write(data))
        bench.driver.data(conn, b"x")
        await until(lambda: pipe.sent)
        assert seen == [["write 1", "sync"]]

    run(scenario)


def test_what_arrives_during_a_sync_shares_the_next_one(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        release = asyncio.Event()
        loop = asyncio.get_running_loop()
        syncs: list[int] = []

        def slow_sync() -> None:
            if not syncs:
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result(5)
            syncs.append(len(disk.journal))

        bench.driver._disk._sync = slow_sync
        bench.driver.data(conn, b"1")
        await until(lambda: disk.journal)
        for number in (b"2", b"3", b"4"):
            bench.driver.data(conn, number)
            before = len(disk.journal)
            await until(lambda before=before: len(disk.journal) > before)
        release.set()
        await until(lambda: b"".join(pipe.sent) == b"1234")
        assert len(syncs) == 2

    run(scenario)


@pytest.mark.parametrize("policy", ["interval", "never"])
def test_without_sync_always_an_ack_does_not_wait_for_the_disk(core, disk, make_pipe, policy):
    async def scenario() -> None:
        bench = Bench(core, disk, sync=policy)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        bench.driver.data(conn, b"x")
        await until(lambda: pipe.sent)
        assert disk.journal == ["write 1"]

    run(scenario)


def test_sync_interval_syncs_now_and_then_and_only_when_something_was_written(
    core, disk, make_pipe
):
    async def scenario() -> None:
        bench = Bench(core, disk, sync="interval", sync_interval=MILLISECOND_NS)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        bench.driver.data(conn, b"x")
        await until(lambda: "sync" in disk.journal)
        assert disk.journal == ["write 1", "sync"]
        assert not any(isinstance(e, Synced) and e.ticket < 0 for e in core.events)

    run(scenario)


def test_the_timer_is_handled_after_all_input_of_its_turn(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        conn = bench.driver.connected(make_pipe())
        core.wake = 1  # long ago
        bench.driver.data(conn, b"now a")
        await until(lambda: bench.driver._timer_due or core.wake is None)
        bench.driver.data(conn, b"now b")
        await until(lambda: core.wake is None)
        turn = next(turn for turn in core.turns if TimerFired() in turn)
        assert turn[-1] == TimerFired()

    run(scenario)


def test_a_timer_in_the_future_fires_once_its_time_has_come(core, disk):
    async def scenario() -> None:
        clock = Clock()
        core.wake = clock() + 20 * MILLISECOND_NS
        wanted = core.wake
        Bench(core, disk)
        await until(lambda: TimerFired() in core.events)
        assert clock() >= wanted
        assert core.events.count(TimerFired()) == 1

    run(scenario)


def test_a_close_comes_after_the_last_write_and_is_not_reported_back(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        bench.driver.data(conn, b"bye")
        await until(lambda: pipe.closed)
        bench.driver.closed(conn, "")
        await asyncio.sleep(0)
        assert pipe.sent == [b"goodbye"]
        assert not any(isinstance(event, ClientClosed) for event in core.events)
        assert bench.driver.connections == 0

    run(scenario)


def test_a_slow_consumer_is_told_and_closed_alone(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        slow, quick = make_pipe(), make_pipe()
        slow_conn, quick_conn = bench.driver.connected(slow), bench.driver.connected(quick)
        slow.unread = limits.PENDING_OUTPUT_BYTES + 1
        bench.driver.data(slow_conn, b"now a")
        bench.driver.data(quick_conn, b"now b")
        await until(lambda: any(isinstance(event, ClientClosed) for event in core.events))
        assert slow.sent == [b"-ERR 'Slow Consumer'\r\n"]
        assert slow.closed
        assert ClientClosed(slow_conn, "Slow Consumer") in core.events
        assert (quick.sent, quick.closed) == ([b"b"], False)
        assert bench.driver.slow_consumers == 1

    run(scenario)


@pytest.mark.parametrize("refused", ["write", "sync"])
def test_a_store_that_fails_ends_the_server_and_no_ack_leaves(core, disk, make_pipe, refused):
    async def scenario() -> None:
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        await asyncio.sleep(0)
        disk.fail_next = refused
        bench.driver.data(conn, b"x")
        await until(lambda: bench.failures)
        assert len(bench.failures) == 1
        bench.driver.data(conn, b"now y")
        disk.fail_next = ""
        bench.driver.finish()
        await asyncio.sleep(0)
        assert pipe.sent == []
        assert pipe.aborted

    run(scenario)


def test_a_graceful_end_syncs_and_answers_those_who_waited(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        bench.driver.data(conn, b"last")
        bench.driver.finish()
        assert pipe.sent == [b"last"]
        assert disk.journal == ["write 1", "sync"]
        assert pipe.closed

    run(scenario)


def test_reading_stops_while_too_much_waits_for_the_disk(core, disk, make_pipe, monkeypatch):
    async def scenario() -> None:
        monkeypatch.setattr(limits, "UNSYNCED_INPUT_BYTES", 100)
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        release = asyncio.Event()
        loop = asyncio.get_running_loop()
        bench.driver._disk._sync = lambda: asyncio.run_coroutine_threadsafe(
            release.wait(), loop
        ).result(5)
        bench.driver.data(conn, b"x" * 101)
        await until(lambda: not pipe.reading)
        release.set()
        await until(lambda: pipe.reading)
        assert pipe.sent == [b"x" * 101]

    run(scenario)


def test_core_traffic_that_needs_no_disk_is_never_held_back(core, disk, make_pipe, monkeypatch):
    async def scenario() -> None:
        monkeypatch.setattr(limits, "UNSYNCED_INPUT_BYTES", 100)
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        for _ in range(5):
            bench.driver.data(conn, b"now " + b"x" * 90)
            sent = len(pipe.sent)
            await until(lambda sent=sent: len(pipe.sent) > sent)
            assert pipe.reading

    run(scenario)


def test_the_clock_never_goes_back(monkeypatch):
    times = iter([5, 3, 9])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    clock = Clock()
    assert [clock(), clock(), clock()] == [5, 5, 9]


def test_the_recorder_sees_each_event_before_it_is_handled_and_each_turn(core, disk, make_pipe):
    class Notes:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def event(self, event, now) -> None:
            assert event not in core.events
            self.seen.append(type(event).__name__)

        def turn(self, effects: Effects) -> None:
            self.seen.append("turn")

    async def scenario() -> None:
        notes = Notes()
        bench = Bench(core, disk, recorder=notes)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        bench.driver.data(conn, b"x")
        await until(lambda: pipe.sent)
        assert notes.seen == ["ClientConnected", "ClientData", "turn", "Synced", "turn"]
        assert ClientData(conn, b"x") in core.events

    run(scenario)
