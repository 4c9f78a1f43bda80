"""The turn: what leaves when, and what happens when the disk refuses."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from kvcore import limits
from kvcore.limits import MILLISECOND_NS
from kvcore.node.io import (
    ClientClosed,
    ClientData,
    Effects,
    PeerClosed,
    PeerConnected,
    PeerData,
    Synced,
    TimerFired,
)
from kvcore.server.driver import Clock, Driver
from kvcore.server.main import new_event_loop


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


@pytest.mark.parametrize("policy", ["interval", "never"])
def test_what_is_vital_waits_for_the_disk_by_any_policy_and_so_does_what_follows(
    core, disk, make_pipe, policy
):
    async def scenario() -> None:
        bench = Bench(core, disk, sync=policy)
        may_sync, synced = threading.Event(), disk.sync

        def slowly() -> None:
            assert may_sync.wait(30)
            synced()

        disk.sync = slowly
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        core.is_vital = True
        bench.driver.data(conn, b"vital ")
        await until(lambda: disk.journal == ["write 1"])
        core.is_vital = False
        bench.driver.data(conn, b"later")
        await until(lambda: disk.journal == ["write 1", "write 1"])
        assert pipe.sent == []
        may_sync.set()
        await until(lambda: b"".join(pipe.sent) == b"vital later")
        assert disk.journal == ["write 1", "write 1", "sync", "sync"]

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


# Peers.


class Links:
    """What a mesh would be asked."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []

    def send(self, peer: str, data: bytes) -> None:
        self.asked.append(("send", peer, data))

    def unlink(self, peer: str) -> None:
        self.asked.append(("unlink", peer))


class PeerCore:
    """Answers each peer's bytes in upper case, and gives up a peer that says `bad`."""

    def __init__(self) -> None:
        self.turns: list[list[object]] = [[]]
        self.events: list[object] = []
        self.wake: int | None = None

    def handle(self, event, now) -> None:
        self.turns[-1].append(event)
        self.events.append(event)
        if event == TimerFired():
            self.wake = None

    def effects(self) -> Effects:
        turn = self.turns[-1]
        self.turns.append([])
        peers: dict[str, bytes] = {}
        for event in turn:
            if isinstance(event, PeerData):
                peers[event.peer] = peers.get(event.peer, b"") + event.data.upper()
        return Effects(peers=peers, unlinks=tuple(p for p, data in peers.items() if data == b"BAD"))

    def deadline(self):
        return self.wake


def test_a_peer_gets_one_write_a_turn_and_a_node_may_give_it_up(disk):
    async def scenario() -> None:
        core = PeerCore()
        bench = Bench(core, disk)
        links = bench.driver.links = Links()
        bench.driver.linked("n2")
        bench.driver.linked("n3")
        for peer, data in (("n2", b"a"), ("n3", b"bad"), ("n2", b"b")):
            bench.driver.peer_data(peer, data)
        bench.driver.unlinked("n2", "gone")
        await until(lambda: links.asked)
        assert links.asked == [("send", "n2", b"AB"), ("send", "n3", b"BAD"), ("unlink", "n3")]
        assert core.turns[0][:2] == [PeerConnected("n2"), PeerConnected("n3")]
        assert core.turns[0][-1] == PeerClosed("n2", "gone")

    run(scenario)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, new_event_loop])
def test_what_lay_in_the_sockets_when_a_timer_was_due_is_handled_before_it(disk, loop):
    """A process stood still while its leader went on: it must hear the leader first."""

    async def scenario() -> None:
        core = PeerCore()
        bench = Bench(core, disk)
        ours, theirs = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: Peer(bench.driver), sock=ours
        )
        await until(lambda: PeerConnected("n2") in core.events)
        core.wake = Clock()() + 20 * MILLISECOND_NS
        due = core.wake + 20 * MILLISECOND_NS
        bench.driver.linked("n3")  # a turn, so that the timer is set
        await until(lambda: core.turns[-2])
        theirs.send(b"heartbeat")
        while Clock()() < due:
            pass  # the process stands still
        await until(lambda: TimerFired() in core.events)
        assert core.events.index(PeerData("n2", b"heartbeat")) < core.events.index(TimerFired())
        transport.close()
        theirs.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())


class Peer(asyncio.Protocol):
    """A link without a handshake."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.driver.linked("n2")

    def data_received(self, data: bytes) -> None:
        self.driver.peer_data("n2", data)


# Clients behind a partition.


def test_a_client_that_is_cut_off_hears_nothing_and_is_not_heard(core, disk, make_pipe):
    async def scenario() -> None:
        bench = Bench(core, disk)
        pipe = make_pipe()
        conn = bench.driver.connected(pipe)
        bench.driver.data(conn, b"now one")
        await until(lambda: pipe.sent == [b"one"])
        bench.driver.clients.cut(("127.0.0.1:5",))
        bench.driver.data(conn, b"now two")
        bench.driver.closed(conn, "Client Closed")
        late = make_pipe()
        bench.driver.connected(late)
        await asyncio.sleep(0)
        assert pipe.sent == [b"one"]
        assert ClientClosed(conn, "Client Closed") not in core.events
        assert not pipe.aborted
        bench.driver.clients.heal()
        assert pipe.aborted
        assert late.aborted
        assert ClientClosed(conn, "Client Closed") in core.events
        assert ClientData(conn, b"now two") not in core.events

    run(scenario)
