"""Snapshots: what a follower needs is trimmed, so it is sent the state instead of the log.

Section 7. The log can't grow for ever; the host trims it when the state machine has durably
taken in the entries. A follower that lags further behind than the log reaches, or a new one,
gets the machine's state as it was at one index, in pieces, and the log from there on.

    leader's host                 leader          follower           follower's host
      <- wanted(b, 0, 0)  -------
      send_snapshot(b, 70, 0, …)  -- InstallSnapshot -->
                                                     -- chunk, wipe -->  erases, writes
                                     <-- SnapshotReply(offset) --        (durable first)
      <- wanted(b, 70, n)  ------         …
      send_snapshot(…, is_done)   -- InstallSnapshot -->
                                                     -- chunk -->  writes the rest, then
                                                     <-- installed(70) --
                                     <-- SnapshotReply(is_installed) --

A host has no room for two states, so with the first piece the old state and log go. From then
until a leader says otherwise the follower is as one that has lost its log (`is_recovering`,
durable with the first piece): it may have promised to keep what it has just erased. A crash
half-way needs no rule of its own.

When the last piece has been given out, nothing more comes in until the host says `installed`.

A piece is asked for again when nothing was heard for an election time-out. If the host can't
give the same one again it answers with the first piece of another snapshot.

Left out: what a piece is; that is the host's.
"""

from kvcore.raft.entry import Entry, EntryKind, decode_members, encode_members
from kvcore.raft.log import Log
from kvcore.raft.messages import InstallSnapshot, SnapshotReply
from kvcore.raft.part import NEVER, Part
from kvcore.raft.progress import Mode, Sending
from kvcore.raft.replication import advance, forget
from kvcore.raft.state import Installing, Role


def send_piece(
    part: Part, to: str, last_index: int, offset: int, data: bytes, *, is_done: bool
) -> None:
    """The leader's host answers `wanted`. What nobody waits for any more is dropped."""
    assert data or is_done, "a piece has something in it"
    progress = part.progress_of(to)
    if part.state.role is not Role.LEADER or progress is None or progress.mode is not Mode.SNAPSHOT:
        return
    log, sending = part.state.log, progress.sending
    if offset == 0:
        assert log.base <= last_index <= part.state.commit, f"no snapshot can be of {last_index}"
        members = encode_members(log.members_at(last_index))
        sending = Sending(last_index, log.term(last_index), members, 0, sending.is_asked)
    if (last_index, offset) != (sending.last, sending.offset):
        return
    part.heard[_piece(to)] = part.now
    part.put_progress(progress._replace(sending=sending))
    part.send(
        to,
        InstallSnapshot(
            sender=part.state.server,
            term=part.state.hard.term,
            last_index=last_index,
            last_term=sending.term,
            members=sending.members,
            offset=offset,
            data=data,
            is_done=is_done,
        ),
    )


def _piece(name: str) -> str:
    """Under which name the time of the last piece stands beside the followers' times."""
    return f"{name} piece"


def retry(part: Part) -> None:
    """Ask again for pieces that were not acknowledged; called at the pace of heartbeats.

    Who is silent altogether is asked for nothing: the log must not wait for him to be trimmed.
    """
    since = part.now - part.longest
    assert part.state.role is Role.LEADER, "only a leader sends snapshots"
    for progress in part.state.progress:
        if progress.mode is not Mode.SNAPSHOT:
            continue
        if not part.hears(progress.name):
            if progress.sending != Sending():
                part.put_progress(progress._replace(sending=Sending()))
        elif not progress.sending.is_asked:
            part.is_due = True
        elif part.heard.get(_piece(progress.name), NEVER) == NEVER:
            part.heard[_piece(progress.name)] = part.now
        elif part.heard[_piece(progress.name)] <= since:
            sending = progress.sending._replace(is_asked=False)
            part.put_progress(progress._replace(sending=sending))
            part.heard[_piece(progress.name)] = part.now
            part.is_due = True


def on_reply(part: Part, reply: SnapshotReply) -> None:
    """The leader learns which piece is next, or that the snapshot stands."""
    progress = part.progress_of(reply.sender)
    if part.state.role is not Role.LEADER or progress is None:
        return
    part.heard[reply.sender] = part.now
    sending = progress.sending
    if progress.mode is not Mode.SNAPSHOT or reply.last_index != sending.last:
        return
    if reply.is_installed:
        part.put_progress(progress.taken(reply.last_index))
        advance(part)
    elif reply.offset != sending.offset or not sending.is_asked:
        sending = sending._replace(offset=reply.offset, is_asked=False)
        part.put_progress(progress._replace(sending=sending))
    part.is_due = True


def on_piece(part: Part, message: InstallSnapshot) -> None:
    """A follower's side: take the piece that is next, ask for it if this is another one."""
    part.follow(message.term, message.sender)
    part.leader_heard = part.now
    part.stand_at = part.now + part.timeout
    index, is_here = message.last_index, False
    if index <= part.state.commit and _is_other(part.state.log, index, message.last_term):
        forget(part, decode_members(message.members), cut=index)  # as with entries
    state = part.state
    if index <= state.commit or state.log.term(index) == message.last_term:
        is_here = True  # an old message, or the log has it all: nothing need go
    elif state.installing is not None and state.installing.is_whole:
        return  # the host is about to say `installed`
    elif message.offset == 0 and not _is_going_on(state.installing, message):
        _erase(part, message)
    installing = part.state.installing
    if is_here or installing is None or not _is_going_on(installing, message):
        part.promise(message.sender, _answer(part, index, 0, is_installed=is_here))
        return
    if message.offset == installing.offset and not installing.is_whole:
        assert part.chunk is None or part.chunk.last_index != index, "one piece at a time"
        part.chunk = message
        following = message.offset + len(message.data)
        installing = installing._replace(offset=following, is_whole=message.is_done)
        part.state = part.state._replace(installing=installing)
    if not installing.is_whole:
        answer = _answer(part, index, installing.offset, is_installed=False)
        part.promise(message.sender, answer)


def _is_other(log: Log, index: int, term: int) -> bool:
    """Whether the entry at a committed index is another than the leader's."""
    return log.is_denied(index, term) or log.is_other(index, term)


def _is_going_on(installing: Installing | None, message: InstallSnapshot) -> bool:
    """Whether this is a piece of the snapshot that is being received."""
    return installing is not None and (installing.last, installing.leader_term) == (
        message.last_index,
        message.term,
    )


def _answer(part: Part, index: int, offset: int, *, is_installed: bool) -> SnapshotReply:
    hard = part.state.hard
    return SnapshotReply(part.state.server, hard.term, index, offset, is_installed)


def _erase(part: Part, message: InstallSnapshot) -> None:
    """The first piece: the old state and the old log go, and with them what was promised."""
    assert message.last_index > part.state.commit, "what is committed here doesn't go for less"
    forget(part, decode_members(message.members))
    installing = Installing(message.last_index, message.last_term, message.members, 0, message.term)
    part.state = part.state._replace(installing=installing)


def installed(part: Part, index: int) -> None:
    """The host has the whole snapshot durable: the log begins behind it, with a mere marker."""
    state, installing = part.state, part.state.installing
    if installing is None or installing.last != index:
        return  # the leader has thought better of it since
    assert installing.is_whole, "pieces are missing"
    members = decode_members(installing.members)
    marker = Entry(index, installing.term, EntryKind.NOOP, b"")
    part.state = state._replace(
        hard=state.hard.among(members), hard_handed=False,
        log=Log(index, (marker,), members), members=members, members_index=0,
        persisted=index, commit=index, handed=index, delivered=index,
        installing=None,
    )  # fmt: skip
    if state.leader:
        part.promise(state.leader, _answer(part, index, installing.offset, is_installed=True))
