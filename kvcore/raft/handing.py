"""What is handed to the host in a turn, and what it says about it: the law of `Ready`, kept.

Each thing is handed out once: entries, hard state and messages. Every `Ready` that has something
to write leaves a mark behind with a number, and the host names the number when that is
durable. The marks stand in the state; the number of the first of them stands beside it.

Left out: what the law is; it stands at `Ready`, in `state.py`.
"""

from kvcore.raft import election, replication
from kvcore.raft.part import Part
from kvcore.raft.state import Mark, Ready, Role


def on_persisted(part: Part, number: int) -> None:
    """What the `Ready` of this number and those before gave out to be written is durable."""
    state = part.state
    done = number - part.first_mark + 1
    assert done <= len(state.unsynced), f"number {number} was never given out"
    if done <= 0:
        return
    mark = state.unsynced[done - 1]
    assert mark.last <= state.handed, "what was cut off since doesn't count"
    assert mark.term <= state.hard.term, "a term never falls"
    index = max(state.persisted, mark.last)
    part.first_mark += done
    part.state = state._replace(unsynced=state.unsynced[done:], persisted=index)
    if state.role is Role.CANDIDATE and mark.term == state.hard.term:
        election.on_own_vote(part)
    if part.state.role is Role.LEADER and index > part.state.commit:
        part.fold()
        replication.advance(part)


def ready(part: Part) -> Ready | None:
    """What has to be written, sent and applied now, None if nothing. Each is said once."""
    part.fold()
    if part.is_due and part.state.role is Role.LEADER:
        replication.flush(part)
    state = part.state
    last = state.log.last_index
    is_written = state.hard_handed and state.handed == last and not state.cut
    is_written = is_written and part.chunk is None and not part.wipe
    if (
        is_written
        and state.delivered >= state.commit
        and not (part.tray or part.tray_after or part.answered or part.wanted)
    ):
        return None
    marks = state.unsynced
    if not is_written:
        marks = (*marks, Mark(last, state.hard.term))
    assert state.persisted <= state.handed <= last, "the disk is ahead of the log"
    assert state.term_start == 0 or state.role is Role.LEADER, "leaders alone have a first entry"
    delivered = max(state.delivered, state.commit)
    assert state.commit <= last, "what is committed here is in the log"
    part.state = state._replace(
        hard_handed=True, handed=last, cut=0, delivered=delivered, unsynced=marks
    )
    ready = Ready(
        number=part.first_mark + len(marks) - 1,
        role=state.role,
        hard=None if state.hard_handed else state.hard,
        truncate_from=state.cut or None,
        entries=state.log.slice(state.handed, last),
        committed=state.log.slice(state.delivered, delivered),
        send_now=tuple(part.tray),
        send_after_persist=tuple(part.tray_after),
        reads=tuple(part.answered),
        wanted=tuple(part.wanted),
        chunk=part.chunk,
        wipe=part.wipe,
    )
    part.tray, part.tray_after, part.answered, part.wanted = [], [], [], []
    part.chunk, part.wipe = None, False
    return ready
