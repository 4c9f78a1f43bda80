"""Restores under way: a backup comes in, and a stream stands, or nothing does.

The meta group's log sets a group aside (`BeginRestore`); its id is new, so whatever is
written under it belongs to nobody. The client sends its chunks one by one, each answered
when its records are checked and written. When the end has come, the index over them is
built, and the meta group's log assigns the stream (`CompleteRestore`). That entry is what
makes the stream exist. It is proposed when all the records are durable, for they may be in
another store than the log: so a crash leaves the whole stream or, after the next start's
sweep, no trace of it. For the
same reason a restore that stalls or fails just removes its group.

The records are not in the group's own log: they are what its log has come to, like a
snapshot that a leader installs. So the group begins as one whose first entries have been
trimmed (docs/adr/0004-restore.md).

All of it happens a few frames a turn.

Left out: a restore that goes on after a restart of the server. Its client begins again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from kvcore import limits
from kvcore.jetstream import advisories, errors
from kvcore.jetstream.api import Api
from kvcore.jetstream.archive import ArchiveError, ArchiveReader, End, Frame, Head
from kvcore.jetstream.archive_checks import RecordChecks, stored_key
from kvcore.jetstream.commands import CompleteRestore
from kvcore.jetstream.errors import ApiError
from kvcore.jetstream.outcome import StreamAssignment
from kvcore.jetstream.records import decode_stamped
from kvcore.jetstream.state import Budget
from kvcore.jetstream.stream import Stream
from kvcore.limits import Nanos
from kvcore.nats.permissions import Rights
from kvcore.node.advising import Advisor
from kvcore.node.backups import new_id
from kvcore.node.broker import Broker, InternalSubscription, Message
from kvcore.node.engines import engine_of, hard_of
from kvcore.node.group_records import destroy, install
from kvcore.node.permits import denied
from kvcore.node.wakeups import Clock
from kvcore.storage import keys
from kvcore.storage.overlay import Overlay


@dataclass(slots=True)
class _Restore:
    """One restore. `queue` has the chunks that came and are not used."""

    assignment: StreamAssignment
    records: Overlay
    hard: Overlay
    budget: Budget
    checks: RecordChecks
    begun_at: Nanos
    heard_at: Nanos
    reader: ArchiveReader = field(default_factory=ArchiveReader)
    queue: deque[Message] = field(default_factory=deque)
    queued_bytes: int = 0
    received_bytes: int = 0
    taken_bytes: int = 0  # of records
    reply: str = ""  # of the chunk that is being used
    rights: Rights | None = None  # of who sent it
    stream: Stream | None = None
    rebuilding: Iterator[None] | None = None
    is_proposed: bool = False
    subscription: InternalSubscription | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it is its client's turn."""
        return not (self.reply or self.queue or self.rebuilding)


class Restores:
    """The restores that one server carries out, by group."""

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        broker: Broker,
        clock: Clock,
        rng: Random,
        api: Api,
        advisor: Advisor,
        propose: Callable[[CompleteRestore], None],
        after_sync: Callable[[Callable[[], None]], None],
        overlays: Mapping[str, Overlay],
        budgets: Mapping[str, Budget],
        default_engine: str,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._rng = rng
        self._api = api
        self._advisor = advisor
        self._propose = propose
        self._after_sync = after_sync
        self._overlays = overlays
        self._budgets = budgets
        self._default_engine = default_engine  # of a stream that names none
        self._by_gid: dict[int, _Restore] = {}

    def begin(self, assignment: StreamAssignment, reply: str) -> None:
        """A group was set aside: tell the client where to send its chunks."""
        if len(self._by_gid) >= limits.BACKUPS_COUNT or not reply:
            refusal = self._api.refused("stream_restore", errors.INSUFFICIENT_RESOURCES)
            self._advisor.answer(reply, refusal)
            return
        config = assignment.config
        engine = engine_of(assignment.gid, config, self._overlays, self._default_engine)
        restore = _Restore(
            assignment,
            self._overlays[engine],
            hard_of(engine, self._overlays),
            self._budgets[engine],
            RecordChecks(config),
            self._clock.now,
            self._clock.now,
        )
        install(assignment.gid, restore.records, restore.hard)
        subject = f"$JS.SNAPSHOT.RESTORE.{config.name}.{new_id(self._rng)}"

        def on_chunk(message: Message) -> None:
            self._on_chunk(restore, message)

        restore.subscription = self._broker.subscribe(subject, on_chunk)
        self._by_gid[assignment.gid] = restore
        self._advisor.answer(reply, self._api.restore_begun(subject))
        self._advisor.tell(advisories.restore_created(config.name))

    def _on_chunk(self, restore: _Restore, message: Message) -> None:
        restore.heard_at = self._clock.now
        restore.queue.append(message)
        restore.queued_bytes += len(message.payload)
        if not message.reply:
            self._fail(restore, errors.restore_failed("each chunk needs a reply subject"))
        elif (
            restore.queued_bytes > limits.RESTORE_PENDING_BYTES
            or len(restore.queue) > limits.RESTORE_PENDING_COUNT
        ):
            self._fail(restore, errors.restore_failed("too many chunks at a time"))

    def deadline(self) -> Nanos | None:
        """When `work` has something to do; now if it has already."""
        waiting = [each for each in self._by_gid.values() if not each.is_proposed]
        if any(not each.is_waiting for each in waiting):
            return self._clock.now
        return min((each.heard_at + limits.RESTORE_STALL_NS for each in waiting), default=None)

    def work(self) -> None:
        """Use a turn's worth of chunks, of one restore after the other."""
        left = limits.BACKUP_FRAMES_PER_TURN
        for gid, restore in list(self._by_gid.items()):
            if restore.is_proposed:
                continue
            if restore.is_waiting:
                if self._clock.now >= restore.heard_at + limits.RESTORE_STALL_NS:
                    self._forget(restore)
                continue
            if not left:
                return
            try:
                left = self._advance(restore, left)
            except ArchiveError as error:
                self._fail(restore, errors.restore_failed(str(error)))
            if gid in self._by_gid:  # the others come first in the next turn
                self._by_gid[gid] = self._by_gid.pop(gid)

    def _advance(self, restore: _Restore, left: int) -> int:
        while left and not (restore.is_waiting or restore.is_proposed):
            left -= 1
            if restore.rebuilding is not None:
                self._rebuild(restore)
                continue
            if restore.reply:
                frame = restore.reader.next()
                if frame is not None:
                    self._take(restore, frame)
                    continue
                self._broker.publish(restore.reply, "", None, b"")
                restore.reply = ""
                restore.heard_at = self._clock.now
            if restore.queue:
                self._next_chunk(restore)
        return left

    def _next_chunk(self, restore: _Restore) -> None:
        chunk = restore.queue.popleft()
        restore.reply, payload = chunk.reply, chunk.payload
        restore.rights = chunk.rights
        restore.queued_bytes -= len(payload)
        restore.received_bytes += len(payload)
        restore.reader.feed(payload)
        if payload:
            return
        if not restore.reader.is_complete:
            raise ArchiveError("the backup is cut short")
        gid, config = restore.assignment.gid, restore.assignment.config
        restore.stream = Stream(
            gid, config, restore.assignment.created, restore.records, restore.budget, at_once=False
        )
        restore.rebuilding = restore.stream.restoring()

    def _take(self, restore: _Restore, frame: Frame) -> None:
        match frame:
            case Head(stream=name):
                wanted = restore.assignment.config.name
                if name != wanted:
                    raise ArchiveError(f"the backup is of the stream {name}, not {wanted}")
            case End():
                restore.checks.finish()
            case _:
                gid = restore.assignment.gid
                for key, value in frame.pairs:
                    restore.checks.check(key, value)
                    self._judge(restore, key, value)
                    restore.taken_bytes += len(value)
                    if key == b"S":
                        value = keys.restored(value)  # noqa: PLW2901
                    restore.records.put(stored_key(gid, key), value)
                if self._is_over(restore.budget):
                    in_file = restore.assignment.config.storage == "file"
                    full = errors.STORAGE_EXCEEDED if in_file else errors.MEMORY_EXCEEDED
                    self._fail(restore, full)

    def _judge(self, restore: _Restore, key: bytes, value: bytes) -> None:
        """A backup must not have the server speak where the one who sends it may not."""
        if restore.rights is None or not (key == b"Sc" or key.startswith(b"C")):
            return
        config = decode_stamped(value)[1]
        subject = denied(restore.rights, config, self._broker.is_served)
        if subject:
            raise ArchiveError(f"you may not publish to {subject}")

    def _is_over(self, budget: Budget) -> bool:
        """Whether all that is there and all that is coming is too much for the server."""
        coming = sum(
            each.taken_bytes
            for each in self._by_gid.values()
            if each.budget is budget and not each.is_proposed  # then the stream is charged
        )
        return 0 <= budget.limit < budget.used + coming

    def _rebuild(self, restore: _Restore) -> None:
        assert restore.rebuilding is not None
        if next(restore.rebuilding, self) is not self:
            return
        restore.rebuilding = None
        restore.is_proposed = True
        self._unsubscribe(restore)
        self._after_sync(lambda: self._complete(restore))

    def _complete(self, restore: _Restore) -> None:
        gid, config = restore.assignment.gid, restore.assignment.config.encode()
        self._propose(CompleteRestore(gid, config, restore.reply, self._clock.now))

    # -- the end ---------------------------------------------------------------------------

    def take(self, gid: int) -> Stream | None:
        """The stream of a restore that is decided, None if there was no such restore."""
        restore = self._by_gid.pop(gid, None)
        if restore is None:
            return None
        self._tell_end(restore)
        return restore.stream

    def drop(self, gid: int) -> None:
        """The meta group did not want it after all."""
        if gid in self._by_gid:
            self._forget(self._by_gid[gid])

    def _fail(self, restore: _Restore, error: ApiError) -> None:
        reply = restore.reply or (restore.queue[0].reply if restore.queue else "")
        if reply:
            self._broker.publish(reply, "", None, self._api.refused("stream_create", error))
        self._forget(restore)

    def _forget(self, restore: _Restore) -> None:
        self._unsubscribe(restore)
        restore.queue.clear()
        restore.reply, restore.rebuilding = "", None
        if restore.is_proposed and restore.stream is not None:
            restore.stream.release()
        del self._by_gid[restore.assignment.gid]
        destroy(restore.assignment.gid, restore.records, restore.hard)
        self._tell_end(restore)

    def _tell_end(self, restore: _Restore) -> None:
        name, size = restore.assignment.config.name, restore.received_bytes
        event = advisories.restore_completed(name, restore.begun_at, self._clock.now, size)
        self._advisor.tell(event)

    def _unsubscribe(self, restore: _Restore) -> None:
        if restore.subscription is not None:
            self._broker.unsubscribe(restore.subscription)
            restore.subscription = None
