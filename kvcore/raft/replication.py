"""Replication: the leader's log becomes everyone's, and what a majority has is committed.

Section 5.3. The leader sends entries together with the index and term of the one before. A
follower that has the same there takes them, and by induction has the same log up to their
end; one that has not refuses, and says how far the two may agree. Entries of the follower
that contradict the leader's are cut off; the leader's log only grows.

The leader counts an entry for a follower when the answer comes, which is after the follower's
disk has it. It counts its own when its own disk has it, but sends it before. A majority of
counts commits an entry of the leader's own term, and everything before it (section 5.4.2).

Entries are not sent one by one. What a turn has gathered goes out once, at its end (`flush`),
in messages of up to `limits.APPEND_BYTES`, up to `limits.APPENDS_IN_FLIGHT_COUNT` of them
without an answer (`progress.py`). An idle leader sends an empty message at each heartbeat; it
carries the commit index too, and tells who has lost one: he will refuse it.

Left out: followers whose next entry is trimmed here; `snapshot.py`.
"""

from kvcore.raft import membership, reads, transfer
from kvcore.raft.entry import Entry, Members
from kvcore.raft.log import Log
from kvcore.raft.messages import AppendEntries, AppendReply
from kvcore.raft.part import Part, has_change
from kvcore.raft.progress import Mode, Progress
from kvcore.raft.state import Role, State


def flush(part: Part) -> None:
    """At the end of a turn: send every follower what it lacks, as far as there is room."""
    assert part.state.role is Role.LEADER, "only a leader replicates"
    assert not part.proposed, "proposals are in the log by now"
    reads.begin(part)
    part.is_due = False
    batches: dict[int, tuple[Entry, ...]] = {}  # followers that are level share one
    for progress in part.state.progress:
        after = _send(part, progress, batches)
        if after is not progress:
            part.put_progress(after)


def _send(part: Part, progress: Progress, batches: dict[int, tuple[Entry, ...]]) -> Progress:
    """Send one follower what there is for it."""
    state, log = part.state, part.state.log
    last, sent = log.last_index, len(part.tray)
    if progress.mode is not Mode.SNAPSHOT and progress.next - 1 < log.base:
        progress = progress.needing_snapshot()
    if progress.mode is Mode.SNAPSHOT:
        if not progress.sending.is_asked and part.hears(progress.name):
            sending = progress.sending
            part.wanted.append((progress.name, sending.last, sending.offset))
            progress = progress._replace(sending=sending._replace(is_asked=True))
    else:
        while progress.next <= last and progress.has_room:
            previous = progress.next - 1
            entries = batches.get(previous)
            if entries is None:
                entries = batches[previous] = log.batch(previous, part.append_bytes)
            part.send(progress.name, _message(state, progress, previous, entries))
            progress = progress.sent(entries[-1].index, state.commit)
    is_idle = not progress.in_flight and not progress.is_waiting
    if len(part.tray) == sent and (
        progress.asked < state.round or (progress.told < state.commit and is_idle)
    ):
        part.send(progress.name, empty(state, progress))
    elif len(part.tray) == sent:
        return progress
    return progress._replace(told=state.commit, asked=state.round)


def _message(
    state: State, progress: Progress, previous: int, entries: tuple[Entry, ...]
) -> AppendEntries:
    return AppendEntries(
        sender=state.server,
        term=state.hard.term,
        previous_index=previous,
        previous_term=state.log.term(previous),
        entries=entries,
        commit=state.commit,
        round=state.round,
        is_recovered=0 <= progress.recover_to <= previous + len(entries),
    )


def empty(state: State, progress: Progress) -> AppendEntries:
    """A message without entries: behind all that was sent, or behind nothing at all.

    To a follower that is sent a snapshot no place can be named that it would know.
    """
    assert progress.next <= state.log.last_index + 1, "next is the end at most"
    is_known = progress.mode is not Mode.SNAPSHOT and progress.next - 1 >= state.log.base
    return _message(state, progress, progress.next - 1 if is_known else 0, ())


def heartbeat(part: Part) -> None:
    """Say to every follower that the leader is there.

    It says where the leader believes the follower's log to end. An entry that was lost on the
    way makes the answer a refusal, an answer that was lost comes again with this one.
    """
    part.fold()
    state = part.state
    assert state.role is Role.LEADER, "only a leader has a heartbeat"
    for progress in state.progress:
        part.send(progress.name, empty(state, progress))
    part.beat_at = part.now + part.pace


def on_append(part: Part, message: AppendEntries) -> None:
    """A follower's side: take the entries, or say where the two logs may still agree."""
    part.follow(message.term, message.sender)
    part.leader_heard = part.now
    part.stand_at = part.now + part.timeout
    state, log = part.state, part.state.log
    if state.installing is not None and message.entries:
        if state.installing.is_whole:
            return  # the host is about to say `installed`; the leader will ask again
        _drop_snapshot(part)
        state, log = part.state, part.state.log
    previous, term, entries = message.previous_index, message.previous_term, message.entries
    if previous <= log.base and (wrong := _first_denied(log, message)):
        _begin_anew(part, message, wrong)
        return
    if previous < log.base:  # up to there all is committed, and so the same
        entries = entries[log.base - previous :]
        previous, term = log.base, log.term(log.base)
    keep = part.rules.append_entries(log, previous, term, entries)
    assert previous >= log.base, "where the term is known"
    if keep is None:
        part.promise(message.sender, _refusal(state, message))
        return
    last, proof = message.previous_index + len(message.entries), 0
    if not last:  # no place is named: where my log begins, if it is of your term there
        last, proof = log.base, log.term(log.base)
    if keep < state.delivered:
        _begin_anew(part, message, keep + 1)
        return
    if keep < log.last_index or (entries and last > keep):
        _take(part, keep, entries[keep - previous :] if keep >= previous else entries)
    commit = min(message.commit, last, part.state.log.last_index)
    if commit > part.state.commit:
        part.commit_to(commit)
    if message.is_recovered and state.hard.is_recovering:
        hard = part.state.hard.recovering(is_recovering=False)
        part.state = part.state._replace(hard=hard, hard_handed=False)
    reply = AppendReply(
        sender=state.server,
        term=message.term,
        is_taken=True,
        index=last,
        conflict_term=proof,
        round=message.round,
        is_recovering=part.state.hard.is_recovering,
    )
    part.promise(message.sender, reply)


def _first_denied(log: Log, message: AppendEntries) -> int:
    """The first place at which the leader's log isn't the one that mine was trimmed from; 0:
    none that this message shows. A leader's first entry shows it, being of a later term."""
    if log.is_denied(message.previous_index, message.previous_term):
        return message.previous_index
    return next((e.index for e in message.entries if log.is_denied(e.index, e.term)), 0)


def _begin_anew(part: Part, message: AppendEntries, wrong: int) -> None:
    """What was committed is not: elsewhere a disk has broken its promise."""
    state = part.state
    assert wrong <= state.delivered, "what wasn't applied is only cut off"
    forget(part, state.hard.members or state.members, cut=wrong)
    part.promise(message.sender, _refusal(part.state, message))


def _take(part: Part, keep: int, entries: tuple[Entry, ...]) -> None:
    """Cut my log after `keep` and append: what was cut was never committed (section 5.4)."""
    state = part.state
    log = state.log.spliced(keep, entries)
    assert state.role is not Role.LEADER, "a leader's log only grows"
    if keep < state.log.last_index:
        cut = min(state.cut or keep + 1, keep + 1) if keep < state.handed else state.cut
        state = state._replace(
            cut=cut,
            handed=min(state.handed, keep),
            persisted=min(state.persisted, keep),
            commit=min(state.commit, keep),  # never happens with the paper's rules and disks
            unsynced=tuple(mark._replace(last=min(mark.last, keep)) for mark in state.unsynced),
        )
    part.state = state._replace(log=log)
    if keep < state.members_index or has_change(entries):
        membership.read_log(part)


def forget(part: Part, members: Members, *, cut: int = 0) -> None:
    """Let the log and the machine's state go, and with them what was promised.

    `cut` is the first entry that is known to be wrong, if the others are only forgotten.
    """
    state = part.state
    part.state = state._replace(
        hard=state.hard.recovering(is_recovering=True), hard_handed=False,
        log=Log(1, (), members), members=members, members_index=0,
        persisted=0, commit=0, handed=0, delivered=0, cut=cut,
        unsynced=tuple(mark._replace(last=0) for mark in state.unsynced),
        installing=None,
    )  # fmt: skip
    part.wipe, part.chunk = True, None


def _refusal(state: State, message: AppendEntries) -> AppendReply:
    """Say how far we may agree: before my end, and not in a term later than yours there."""
    log = state.log
    index = log.last_agreement(message.previous_index, message.previous_term)
    index = max(index, log.base)  # up to there all is committed
    assert index <= log.last_index, "nobody agrees beyond his end"
    return AppendReply(
        sender=state.server,
        term=state.hard.term,
        is_taken=False,
        index=index,
        conflict_term=log.term(index),
        round=message.round,
        is_recovering=state.hard.is_recovering,
    )


def _drop_snapshot(part: Part) -> None:
    """The leader sends entries after all: forget the pieces that came before."""
    assert part.state.hard.is_recovering, "its log has gone for the snapshot"
    part.state = part.state._replace(installing=None)
    part.wipe, part.chunk = True, None


def on_reply(part: Part, reply: AppendReply) -> None:
    """The leader's side: learn how far a follower has come, and commit what a majority has."""
    progress = part.progress_of(reply.sender)
    if progress is None:
        return  # of a member that was removed
    part.heard[reply.sender] = part.now
    if _is_not_mine(part, progress, reply):
        return
    before = progress
    if reply.is_recovering:
        if progress.recover_to < 0 or (not reply.is_taken and reply.index < progress.match):
            progress = progress.lost(max(part.state.commit, part.state.term_start))
    elif reply.is_taken and 0 <= progress.recover_to <= reply.index:
        progress = progress._replace(recover_to=-1)  # less it may have said before its loss
    if reply.is_taken:
        progress = progress.taken(reply.index)
    elif reply.index < progress.match and progress.mode is not Mode.SNAPSHOT:
        progress = progress.fallen_back(reply.index)
    elif progress.mode is not Mode.SNAPSHOT:
        log = part.state.log
        place = max(log.last_agreement(reply.index, reply.conflict_term), progress.match)
        progress = progress.probing(place + 1)
    if progress.mode is Mode.SNAPSHOT and progress.match >= max(1, part.state.log.base):
        progress = progress.probing(progress.match + 1)
    if reply.round > progress.round:
        progress = progress._replace(round=reply.round)
    if progress is before:
        return
    part.put_progress(progress)
    part.is_due = True
    if progress.counted != before.counted:
        advance(part)
    if part.state.rounds:
        reads.confirm(part)
    transfer.push(part, progress)


def _is_not_mine(part: Part, progress: Progress, reply: AppendReply) -> bool:
    """Whether a follower names an entry that this leader doesn't have, see `_begin_anew`: it is
    to be sent what the leader has."""
    log = part.state.log
    is_other = reply.is_taken and log.is_other(reply.index, reply.conflict_term)
    if not is_other and reply.index <= log.last_index:
        return False
    if progress.is_waiting:
        part.put_progress(progress._replace(is_waiting=False))
        part.is_due = True
    return True


def advance(part: Part) -> None:
    """Commit what a majority has, if the rule allows it."""
    state = part.state
    assert state.role is Role.LEADER, "only a leader decides what is committed"
    counted = {progress.name: progress.counted for progress in state.progress}
    counted[state.server] = state.persisted
    matches = tuple(counted[name] for name in state.members.voters)
    index = part.rules.advance_commit(matches, state.log, state.hard.term, state.commit)
    index = min(index, state.log.last_index)
    if index > state.commit:
        part.commit_to(index)
        part.is_due = True
        if state.server not in state.members.voters and index >= state.members_index:
            heartbeat(part)  # the others need the commit index to go on without it
            part.follow(state.hard.term, "")
