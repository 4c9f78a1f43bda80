"""The meta group: which streams exist, under which group, with which configuration.

Creating a bucket is a decision that must be taken once. So it is a command in a log of its
own, group 1, and `apply` decides: is the name free, is the configuration sound, does it
claim subjects that another stream has. Every stream gets a group whose id is the index of
the command that created it, so an id is never used twice and needs no counter.

An update is decided here as well, against the same rules, and then handed to the stream's
own group, whose log says at which point of its history the new limits begin. If a server
stops in between, the two configurations differ at the next start, and the host proposes
the `UpdateConfig` again.

A backup is restored in two decisions: `BeginRestore` sets a group aside, whose records the
host then writes, and `CompleteRestore` makes it a stream (docs/adr/0004-restore.md).

In a cluster the decision says as well which servers hold the stream. Who is there to hold
it is a fact of the moment, so the leader looks (`Planner`) and writes what it found into the
command; `apply` only asks whether there were enough.

    S        applied index u64, time of the last command u64
    C name   group id u64, created u64 | configuration JSON, and for a stream in a cluster
             a line feed | JSON of its peers, the founders of its group, and the joiners

Left out: how a group comes to have the members that its assignment names; that takes time,
and is the business of the group's leader (`node/membership.py`).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from struct import Struct
from typing import assert_never

from kvcore.jetstream import checks, errors
from kvcore.jetstream.commands import (
    AssignPeers,
    BeginRestore,
    CompleteRestore,
    CreateStream,
    DeleteStream,
    MetaCommand,
    UpdateStream,
)
from kvcore.jetstream.config import StreamConfig, decode_config
from kvcore.jetstream.errors import ApiError, ConfigError
from kvcore.jetstream.origin_checks import CYCLE, forms_cycle
from kvcore.jetstream.outcome import (
    MetaOutcome,
    MetaResult,
    Refused,
    RestoreBegun,
    RestoreRefused,
    StreamAssignment,
    StreamCreated,
    StreamDeleted,
    StreamMoved,
    StreamUpdated,
)
from kvcore.jetstream.planner import Planner
from kvcore.jetstream.shapes import from_json
from kvcore.limits import Nanos
from kvcore.nats import subject as subjects
from kvcore.storage import keys
from kvcore.storage.overlay import Records

_STATE = Struct(">QQ")
FIRST_STREAM_GID = keys.META_GID + 1


@dataclass(frozen=True, slots=True)
class Quota:
    """What a server grants its streams in sum; -1 is no bound. `max_bytes` is reserved."""

    memory_bytes: int = -1
    file_bytes: int = -1


class Meta:
    """The machine of group 1; it is rebuilt from `records` if there are any. `planner` finds
    places for streams; a server on its own has none."""

    def __init__(
        self, records: Records, quota: Quota | None = None, planner: Planner | None = None
    ) -> None:
        self.streams: dict[str, StreamAssignment] = {}
        self._planner = planner
        self._records = records
        self._quota = quota or Quota()
        self._time: Nanos = 0
        state = records.get(keys.state(keys.META_GID))
        if state is None:
            self._save(0)
            return
        self._time = _STATE.unpack(state)[1]
        for key, record in records.scan(*keys.consumers(keys.META_GID)):
            gid, created = _STATE.unpack_from(record)
            stored, _, placed = record[_STATE.size :].partition(b"\n")
            name, where = keys.suffix(key).decode(), _decode_places(placed)
            self.streams[name] = StreamAssignment(gid, decode_config(stored), created, *where)

    def apply(self, command: MetaCommand, index: int) -> MetaOutcome:
        """Carry out one command of the meta log; `index` is its place there."""
        self._time = max(self._time, command.time)
        if self._planner is not None:
            self._planner.forget(command)
        result: MetaResult
        try:
            match command:
                case CreateStream():
                    result = self._create(command, index)
                case UpdateStream():
                    result = self._update(command)
                case DeleteStream():
                    result = self._delete(command)
                case BeginRestore():
                    result = self._begin_restore(command, index)
                case CompleteRestore():
                    result = self._complete_restore(command)
                case AssignPeers():
                    result = self._assign_peers(command, index)
                case _:
                    assert_never(command)
        except ConfigError as refused:
            result = Refused(refused.error)
        self._save(index)
        return MetaOutcome(command.reply, self._time, result, type(command).__name__)

    def _create(self, command: CreateStream, index: int) -> StreamCreated | Refused:
        config = self._sound(from_json(command.config_json))
        existing = self.streams.get(config.name)
        if existing is not None and existing.config == config:
            return StreamCreated(existing, existed=True)
        refusal = checks.unsupported(config, in_cluster=_in_cluster(command))
        if refusal is None and existing is not None:
            refusal = errors.STREAM_NAME_IN_USE
        refusal = refusal or self._clash(config) or _over_quota(command, config)
        refusal = refusal or _unplaced(command)
        if refusal is not None:
            return Refused(refusal)
        gid, peers = FIRST_STREAM_GID + index, command.peers
        assignment = StreamAssignment(gid, config, self._time, peers, tuple(sorted(peers)))
        self._assign(assignment)
        return StreamCreated(assignment, existed=False)

    def _restorable(self, config_json: bytes) -> StreamConfig:
        """As `_sound`, but a sealed stream may come back sealed."""
        config = from_json(config_json)
        return replace(self._sound(replace(config, sealed=False)), sealed=config.sealed)

    def _sound(self, config: StreamConfig) -> StreamConfig:
        """The configuration as it will stand, whatever other streams say to it."""
        refusal = checks.create_refusal(config)
        if refusal is not None:
            raise ConfigError(refusal)
        return self._inheriting(checks.normalised(config))

    def _begin_restore(self, command: BeginRestore, index: int) -> RestoreBegun | Refused:
        """As nats-server, let other streams' subjects be an obstacle only at the end."""
        config = self._restorable(command.config_json)
        refusal = checks.unsupported(config, in_cluster=bool(command.holder))
        if refusal is None and config.name in self.streams:
            refusal = errors.STREAM_EXISTS
        refusal = refusal or _unplaced(command)
        if refusal is not None:
            return Refused(refusal)
        gid, holder = FIRST_STREAM_GID + index, command.holder
        where = (holder,) if holder else ()
        return RestoreBegun(StreamAssignment(gid, config, self._time, where, where), holder)

    def _complete_restore(self, command: CompleteRestore) -> StreamCreated | RestoreRefused:
        config = self._restorable(command.config_json)
        refusal = errors.STREAM_EXISTS if config.name in self.streams else self._clash(config)
        refusal = refusal or _over_quota(command, config)
        if refusal is not None:
            return RestoreRefused(command.gid, refusal)
        where = (command.holder,) if command.holder else ()
        assignment = StreamAssignment(command.gid, config, self._time, where, where)
        assignment = assignment.moved(command.peers or where)
        self._assign(assignment)
        return StreamCreated(assignment, existed=False)

    def _update(self, command: UpdateStream) -> StreamUpdated | Refused:
        config = self._inheriting(checks.normalised(from_json(command.config_json)))
        existing = self.streams.get(config.name)
        if existing is None:
            return Refused(errors.STREAM_NOT_FOUND)
        in_cluster = _in_cluster(command)
        found = checks.updated(existing.config, config, in_cluster=in_cluster)
        if isinstance(found, ApiError):
            return Refused(found)
        refusal = checks.unsupported(found, in_cluster=in_cluster) or self._clash(found)
        refusal = refusal or _over_quota(command, found) or _unplaced(command)
        if refusal is not None:
            return Refused(refusal)
        assignment = replace(existing.moved(command.peers), config=found)
        if not command.peers:
            assignment = replace(existing, config=found)
        self._assign(assignment)
        return StreamUpdated(assignment)

    def _assign_peers(self, command: AssignPeers, index: int) -> StreamMoved | Refused:
        before = self.streams.get(command.name)
        if before is None or before.gid != command.gid:
            return Refused(errors.STREAM_NOT_FOUND)
        if command.anew:
            founders = tuple(sorted(command.peers))
            gid = FIRST_STREAM_GID + index
            after = StreamAssignment(gid, before.config, before.created, command.peers, founders)
        else:
            after = before.moved(command.peers)
        self._assign(after)
        return StreamMoved(after, before)

    def _delete(self, command: DeleteStream) -> StreamDeleted | Refused:
        existing = self.streams.pop(command.name, None)
        if existing is None:
            return Refused(errors.STREAM_NOT_FOUND)
        self._records.delete(keys.consumer(keys.META_GID, command.name))
        return StreamDeleted(existing)

    def _clash(self, config: StreamConfig) -> ApiError | None:
        """Whether another stream has claimed one of the subjects, or copies from this one
        what this one would copy from it."""
        if forms_cycle(config, {name: other.config for name, other in self.streams.items()}):
            return CYCLE
        for name, other in self.streams.items():
            if name != config.name and subjects.first_overlap(
                config.subjects, other.config.subjects
            ):
                return errors.SUBJECTS_OVERLAP
        return None

    def _inheriting(self, config: StreamConfig) -> StreamConfig:
        """A mirror of a stream that answers direct gets may answer them in its stead."""
        origin = self.streams.get(str((config.mirror or {}).get("name", "")))
        if origin is None or not origin.config.allow_direct:
            return config
        return replace(config, mirror_direct=True)

    def stamped(self, command: MetaCommand) -> MetaCommand:
        """The command with this server's word on its quota and on who shall hold the stream,
        for the leader to propose.

        These are facts of one server at one time, so apply takes the leader's word from the
        log. As to quotas, creations of one turn don't see each other.
        """
        if isinstance(command, DeleteStream | AssignPeers):
            return command
        try:
            config = checks.with_replicas(from_json(command.config_json))
        except ConfigError:
            return command  # apply refuses it in the right words
        if self._planner is not None:
            command = self._planner.placed(command, config, self.streams)
        if isinstance(command, BeginRestore):
            return command
        return replace(command, over_quota=self._is_over_quota(config))

    def _is_over_quota(self, config: StreamConfig) -> bool:
        in_file = config.storage == "file"
        limit = self._quota.file_bytes if in_file else self._quota.memory_bytes
        reserved = sum(
            max(other.config.max_bytes, 0)
            for name, other in self.streams.items()
            if name != config.name and other.config.storage == config.storage
        )
        return 0 <= limit < reserved + max(config.max_bytes, 0)

    def _assign(self, assignment: StreamAssignment) -> None:
        name = assignment.config.name
        self.streams[name] = assignment
        record = _STATE.pack(assignment.gid, assignment.created) + assignment.config.encode()
        record += _encode_places(assignment)
        self._records.put(keys.consumer(keys.META_GID, name), record)

    def _save(self, index: int) -> None:
        self._records.put(keys.state(keys.META_GID), _STATE.pack(index, self._time))


def _over_quota(
    command: CreateStream | UpdateStream | CompleteRestore, config: StreamConfig
) -> ApiError | None:
    if not command.over_quota:
        return None
    return errors.STORAGE_EXCEEDED if config.storage == "file" else errors.MEMORY_EXCEEDED


def _in_cluster(command: CreateStream | UpdateStream) -> bool:
    return bool(command.peers or command.unplaced)


def _unplaced(command: CreateStream | UpdateStream | BeginRestore) -> ApiError | None:
    return errors.unplaced(command.unplaced) if command.unplaced else None


def _encode_places(assignment: StreamAssignment) -> bytes:
    where = (assignment.peers, assignment.founders, assignment.joiners)
    return b"\n" + json.dumps(where, separators=(",", ":")).encode() if assignment.peers else b""


def _decode_places(stored: bytes) -> Iterator[tuple[str, ...]]:
    return (tuple(names) for names in json.loads(stored or b"[]"))
