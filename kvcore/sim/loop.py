"""An asyncio event loop in virtual time: waiting costs nothing.

asyncio asks its selector to wait until the next timer or the next byte from a socket. Here
there are no sockets, so the selector never waits: it moves the clock to the next timer. A
time-out of five seconds takes microseconds, and the same program with the same seed does
the same things at the same times on every run. nats-py runs on it as it is.

The clock counts integer nanoseconds from 2026-01-01T00:00:00Z (`now`); `time`, asyncio's
monotonic clock, counts seconds from 0.

Two things can go wrong that a real loop doesn't have. A statement can wait for what never
comes, while keep-alives let the clock race on: after `stall_virtual_ns` without anything
else, or `stall_wall_ns` of real time, the loop raises `SimulationStalled`. A timer that the
learner's own task asked for (a sleep, a time-out) puts that off: it is not a stall. And a
learner can reach for a real socket, thread or process: threads run in line, the rest is
refused with a sentence that names the world that has it.

A loop may be run again from inside one of its own tasks (`%%capture` does that).

Left out: signals, which belong to whoever drives the loop; `asyncio.as_completed` and
`asyncio.wait`, which hand out sets, whose order no loop can make repeatable.
"""

import asyncio
import math
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from random import Random
from types import FrameType
from typing import Any, TypeVar

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.sim.errors import SimulationStalled, real_only
from kvcore.sim.network import Network

T = TypeVar("T")
_END_OF_SLEEP = asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined] # noqa: SLF001
_LONG_TURN_SECONDS = 0.5
_QUIET_TURNS_COUNT = 200
_SHORT_TIMEOUT_SECONDS = 60.0


class VirtualLoop(asyncio.base_events.BaseEventLoop):
    """The loop of one simulated world, with its clock, its network and its chance."""

    def __init__(self, seed: int | str = 0) -> None:
        super().__init__()
        self.elapsed: Nanos = 0
        self.looks = 0  # how often the client looked at its own clock
        self.client_chance = Random(f"{seed}/client")  # what nats-py takes for randomness
        self.network = Network(self, f"{seed}/network")
        self.stall_wall_ns = limits.STALL_WALL_NS
        self.stall_virtual_ns = limits.STALL_VIRTUAL_NS
        self.waits_for: Callable[[], str] = str  # says what the statement waits for
        self._quiet_since: Nanos = 0
        self._learner_until = 0.0
        self._wall_deadline = math.inf
        self._wall_seen = 0.0
        self._when_quiet: Callable[[], object] | None = None
        self._quiet_turns = 0
        self._selector = _Clockwork(self)
        self._clock_resolution = 1e-9
        self._born: weakref.WeakValueDictionary[int, asyncio.Task[Any]]
        self._born = weakref.WeakValueDictionary()
        self._births = 0
        self._clients_own: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def reseed(self, seed: int | str) -> None:
        """Chance begins again, for a world that is made on a loop which runs already."""
        self.client_chance = Random(f"{seed}/client")
        self.network = Network(self, f"{seed}/network")

    # Time.

    @property
    def now(self) -> Nanos:
        """The virtual date, in nanoseconds since the Unix epoch."""
        return limits.SIMULATION_START_NS + self.elapsed

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.elapsed / limits.SECOND_NS

    def at(self, when: Nanos, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Calls at a virtual date; a date that has passed means as soon as possible."""
        seconds = (when - limits.SIMULATION_START_NS) / limits.SECOND_NS
        return super().call_at(seconds, callback)  # the world's own: nobody waits for it

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As asyncio's; remembers until when the learner's own code means to wait.

        Sleeps and short time-outs of the client's own tasks are how it keeps alive and
        reconnects; a long time-out there is one that the learner gave.
        """
        if when > self._learner_until and (task := asyncio.current_task(self)) is not None:
            short = callback is _END_OF_SLEEP or when - self.time() < _SHORT_TIMEOUT_SECONDS
            if not (short and task in self._clients_own):
                self._learner_until = when
        return super().call_at(when, callback, *args, context=context)

    def advance(self, seconds: float) -> None:
        """Moves the clock forward; raises `SimulationStalled` when nothing came of it for long."""
        self.elapsed = max(self.elapsed, round((self.time() + seconds) * limits.SECOND_NS))
        self._clock_resolution = max(1e-9, 2 * math.ulp(self.time()))
        quiet = self.elapsed - max(self._quiet_since, round(self._learner_until * limits.SECOND_NS))
        if quiet > self.stall_virtual_ns:
            hours = self.stall_virtual_ns / limits.HOUR_NS
            raise self._stalled(f"Nothing but keep-alives for {hours:g} h of virtual time")

    # Stalls.

    def happened(self) -> None:
        """Something other than a keep-alive took place, so the world is not stuck."""
        self._quiet_since = self.elapsed

    def start_watch(self) -> None:
        """A statement begins: from here on its real and its quiet time are counted."""
        self.happened()
        self._wall_seen = time.monotonic()
        self._wall_deadline = self._wall_seen + self.stall_wall_ns / limits.SECOND_NS

    def when_quiet(self, action: Callable[[], object]) -> None:
        """Calls `action` once no callback is due, or after some turns if one always is.

        To cancel a task is only safe then: `asyncio.wait_for` of Python 3.11 drops a
        cancellation that meets an answer on its way to the task.
        """
        self._when_quiet, self._quiet_turns = action, _QUIET_TURNS_COUNT

    def before_turn(self, *, quiet: bool) -> None:
        """Does what waits for a quiet moment."""
        self._quiet_turns -= 1
        if self._when_quiet is not None and (quiet or self._quiet_turns <= 0):
            action, self._when_quiet = self._when_quiet, None
            action()

    def stop_watch(self) -> None:
        """The statement is over."""
        self._wall_deadline = math.inf
        self._when_quiet = None

    def check_wall(self) -> None:
        """Raises `SimulationStalled` when the statement has had its share of real time."""
        now = time.monotonic()
        turn, self._wall_seen = now - self._wall_seen, now
        if turn > _LONG_TURN_SECONDS:  # a plot, a check: long work of the learner's is no wait
            self._wall_deadline += turn
        if now > self._wall_deadline:
            seconds = self.stall_wall_ns / limits.SECOND_NS
            raise self._stalled(f"{seconds:g} s of real time are over")

    def stuck(self) -> SimulationStalled:
        """The error for a loop with nothing to run and nothing scheduled."""
        return SimulationStalled(f"Nothing is left that could happen{self._what()}.")

    def _stalled(self, patience: str) -> SimulationStalled:
        self.start_watch()  # what cleans up has as long again
        return SimulationStalled(f"{patience}, and the statement is not done{self._what()}.")

    def _what(self) -> str:
        text = self.waits_for()
        return f": it waits {text}" if text else ""

    def is_held(self, seconds: float) -> bool:
        """Whether some code hasn't let go of the loop for so many real seconds."""
        return time.monotonic() - self._wall_seen > seconds

    @property
    def awaits_quiet(self) -> bool:
        """Whether what `when_quiet` was given is still to be done."""
        return self._when_quiet is not None

    @property
    def is_ready(self) -> bool:
        """Whether a callback is due now."""
        return bool(self._ready)  # type: ignore[attr-defined]

    # Tasks.

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """As asyncio's; tasks are remembered in the order of their making."""
        task: asyncio.Task[Any] = super().create_task(coro, **options)
        self._births += 1
        self._born[self._births] = task
        if _asked_by_client(sys._getframe(1)):  # noqa: SLF001 - who asks decides what it is
            self._clients_own.add(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An interrupt is told where it is caught, not again when its task is collected."""
        if not isinstance(context.get("exception"), KeyboardInterrupt):
            super().call_exception_handler(context)

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """The tasks that are not done, oldest first."""
        return [task for _, task in sorted(self._born.items()) if not task.done()]

    def run_until_complete(self, future: Any) -> Any:
        """As asyncio's, and may be called from inside a task of this loop."""
        return self._run_inside(future) if self.is_running() else super().run_until_complete(future)

    def _run_inside(self, future: Any) -> Any:
        inner = asyncio.ensure_future(future, loop=self)
        outer = asyncio.current_task(self)
        expected = len(self._ready)  # type: ignore[attr-defined]
        if outer is not None:
            asyncio.tasks._leave_task(self, outer)  # noqa: SLF001
        try:
            while not inner.done():
                self._run_once()  # type: ignore[attr-defined]
        except BaseException:
            inner.cancel()
            raise
        finally:
            if outer is not None:
                asyncio.tasks._enter_task(self, outer)  # noqa: SLF001
            for _ in range(expected):  # the turn that we interrupted counts on as many handles
                self.call_soon(_nothing)
        return inner.result()

    # What BaseEventLoop leaves to its subclass.

    def _process_events(self, _events: Sequence[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    # The network, and what stands in for threads.

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connects to a simulated server; anything else is refused."""
        if options.get("ssl") or options.get("sock") or host is None or port is None:
            raise real_only("TLS and no ready-made sockets" if options.get("ssl") else "sockets")
        return await self.network.connect(protocol_factory, host, int(port))

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **options: Any,
    ) -> Any:
        """Listens on the simulated network."""
        if options.get("ssl") or options.get("sock") or not isinstance(host, str | None):
            raise real_only("TLS and no ready-made sockets" if options.get("ssl") else "sockets")
        return self.network.listen(protocol_factory, host or "localhost", int(port or 0))

    def run_in_executor(  # type: ignore[override]
        self, _executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Runs the function in line: a simulated world has one thread, so that it repeats."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's, and goes to the caller
            future.set_exception(error)
        return future


class _Clockwork:
    """The selector that doesn't wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> tuple[()]:
        loop = self._loop
        loop.check_wall()
        loop.before_turn(quiet=timeout != 0)
        if loop.is_ready:
            return ()
        if timeout is None:
            raise loop.stuck()
        if timeout > 0:
            loop.advance(timeout)
        return ()


def _nothing() -> None:
    """Stands in for a callback that has run already."""


def _asked_by_client(frame: FrameType | None) -> bool:
    """Whether the first caller outside asyncio is nats-py."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("asyncio.", "kvcore.sim.loop")):
            return bool(module.startswith("nats."))
        frame = frame.f_back
    return False


def _refusal(what: str) -> Callable[..., Any]:
    def refuse(_self: VirtualLoop, *_args: Any, **_options: Any) -> Any:
        raise real_only(what)

    return refuse


def _refusals() -> Iterator[tuple[str, str]]:
    sockets = "add_reader remove_reader add_writer remove_writer sock_recv sock_recv_into"
    sockets += " sock_recvfrom sock_recvfrom_into sock_sendto sock_sendall sock_connect"
    sockets += " sock_accept sock_sendfile create_unix_connection create_unix_server"
    sockets += " create_datagram_endpoint connect_accepted_socket"
    for name in sockets.split():
        yield name, "sockets"
    for name in ("subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe"):
        yield name, "processes"
    for name in ("getaddrinfo", "getnameinfo"):
        yield name, "name service"
    yield "start_tls", "TLS"


for _name, _what in _refusals():
    setattr(VirtualLoop, _name, _refusal(_what))
