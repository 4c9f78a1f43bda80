"""What a group has in the store: read at a start, checked, begun, and removed.

The log stands entry by entry on the group's engine, term and vote on the durable engine, and
the records of the state machine beside the log (`storage/keys.py`). A store that contradicts
itself is refused: no crash can have made it so, and whoever guessed would lose data.

A group in memory has only its hard state left after a restart: it had a log, and has it no
more. So has a group on files whose records had given way to a snapshot that never arrived
whole; what it has of it is removed (`docs/adr/`, `raft/state.py`).

Left out: writing the log; that is the group's (`groups.py`).
"""

from collections.abc import Collection

from kvcore.raft.entry import (
    CodecError,
    Entry,
    EntryKind,
    HardState,
    Members,
    decode_entry,
    decode_hard_state,
    encode_entry,
    encode_hard_state,
)
from kvcore.raft.state import State, founded, joining, recovered
from kvcore.storage import keys
from kvcore.storage.base import StorageError
from kvcore.storage.overlay import Overlay


def found(
    gid: int,
    server: str,
    records: Overlay,
    hard_records: Overlay,
    founders: tuple[str, ...] | None = (),
    *,
    is_forgotten: bool = False,
) -> State:
    """Where a server stands in its group: as the store says or, if that knows nothing of the
    group, at its beginning. `founders` begin it together, () is the server alone; None: the
    group exists, and its leader adds this server. `is_forgotten`: this server may have been a
    member whose disk was emptied since. Raises `StorageError` for records that contradict each
    other."""
    stored = hard_records.get(keys.hard_state(gid))
    if stored is None and is_forgotten:
        state = joining(server)
        return state._replace(hard=state.hard.recovering(is_recovering=True))
    if stored is None and founders is None:
        return joining(server)
    if stored is None and founders and founders != (server,):
        return founded(server, Members(founders))
    try:
        hard = HardState() if stored is None else decode_hard_state(stored)
        if hard.is_recovering:
            wipe(gid, records)
        log = tuple(decode_entry(value) for _, value in records.scan(*keys.entries(gid)))
    except CodecError as error:
        raise StorageError(f"group {gid}: {error}") from error
    applied = keys.applied_index(records.get(keys.state(gid)))
    _check(gid, log, hard, applied)
    has_lost_log = stored is not None and records is not hard_records
    return recovered(server, hard, log, applied, has_lost_log)


def _check(gid: int, log: tuple[Entry, ...], hard: HardState, applied: int) -> None:
    first = log[0].index if log else 1
    last = first + len(log) - 1
    sound = all(entry.index == first + place for place, entry in enumerate(log))
    sound = sound and all(entry.term <= hard.term for entry in log)
    if not sound or not first - 1 <= applied <= last:
        raise StorageError(
            f"group {gid}: the log from {first} to {last}, of term {hard.term}, does "
            f"not continue what was applied up to {applied}; restore the store"
        )


def destroy_all_but(live: Collection[int], durable: Overlay) -> None:
    """Remove what other groups have left in a durable store.

    A server may stop after the meta group's log says that a stream is deleted, and before
    its group is destroyed. At the start the log says so again, but by then outcomes are
    thrown away, so whoever starts the groups sweeps up.
    """
    for key, _ in list(durable.scan(*keys.hard_states())):
        gid = keys.group(key)
        if gid not in live:
            destroy(gid, durable, durable)


def install(gid: int, records: Overlay, hard: Overlay) -> None:
    """Begin a group whose records come from elsewhere, like a snapshot of its leader.

    Its log looks as if it had been trimmed: it has the last applied entry alone. So nobody
    can take the group's beginning from the log, and a follower has to be sent the records.
    """
    last = Entry(keys.RESTORED_INDEX, 1, EntryKind.NOOP, b"")
    hard.put(keys.hard_state(gid), encode_hard_state(HardState(1)))
    records.put(keys.entry(gid, last.index), encode_entry(last))


def wipe(gid: int, records: Overlay) -> None:
    """Remove a group's log and its machine's records; term and vote stay."""
    for start, end in keys.data_spans(gid):
        records.delete_range(start, end)


def destroy(gid: int, records: Overlay, hard: Overlay) -> None:
    """Remove every trace of a group."""
    wipe(gid, records)
    hard.delete(keys.hard_state(gid))
