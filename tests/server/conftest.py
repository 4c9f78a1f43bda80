import asyncio

import pytest

from kvcore.limits import Nanos
from kvcore.node.io import ClientClosed, ClientConnected, ClientData, Effects, Event, Synced
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.memory import MemoryStorage


class EchoCore:
    """A stand-in for a Node: stores each client's bytes and echoes them once they are synced."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.turns: list[list[Event]] = []
        self.wake: Nanos | None = None
        self._writes: dict[int, bytes] = {}
        self._closes: list[int] = []
        self._batch = Batch()
        self._waiting: list[tuple[int, int, bytes]] = []
        self._ticket = 0
        self.is_vital = False

    def handle(self, event: Event, now: Nanos) -> None:
        self.events.append(event)
        match event:
            case ClientData(conn, data) if data == b"bye":
                self._writes[conn] = self._writes.get(conn, b"") + b"goodbye"
                self._closes.append(conn)
            case ClientData(conn, data) if data.startswith(b"now "):
                self._writes[conn] = self._writes.get(conn, b"") + data[4:]
            case ClientData(conn, data):
                self._batch.writes.append((b"%d" % len(self.events), data))
                self._waiting.append((self._ticket + 1, conn, data))
            case Synced(ticket):
                for asked, conn, data in self._waiting:
                    if asked <= ticket:
                        self._writes[conn] = self._writes.get(conn, b"") + data
                self._waiting = [item for item in self._waiting if item[0] > ticket]
            case ClientConnected() | ClientClosed():
                pass
            case _:
                self.wake = None

    def effects(self) -> Effects:
        self.turns.append(self.events[sum(map(len, self.turns)) :])
        batch, self._batch = self._batch, Batch()
        sync = None
        if batch:
            self._ticket += 1
            sync = self._ticket
        writes, self._writes = self._writes, {}
        closes, self._closes = tuple(self._closes), []
        batches = {"file": batch} if batch else {}
        return Effects(writes, closes, batches, sync, is_vital=self.is_vital)

    def deadline(self) -> Nanos | None:
        return self.wake


class Disk(MemoryStorage):
    """Keeps a journal of writes and syncs, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: list[str] = []
        self.fail_next = ""

    def write(self, batch: Batch) -> None:
        if self.fail_next == "write":
            raise StorageError("no space left on device")
        self.journal.append(f"write {len(batch.writes)}")
        super().write(batch)

    def sync(self) -> None:
        if self.fail_next == "sync":
            raise StorageError("input/output error")
        self.journal.append("sync")


class Pipe(asyncio.Transport):
    """A transport that keeps what is written; `unread` is what its peer leaves unread."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.unread = 0
        self.closed = False
        self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 5) if name == "peername" else default

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@pytest.fixture
def core() -> EchoCore:
    return EchoCore()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def make_pipe() -> type[Pipe]:
    return Pipe
