"""Reads that need no entry: the leader proves that it still leads, then answers.

A leader that was cut off may have been replaced without knowing it, and what it has committed
may be old. So before it answers a read it asks: do you still follow me? If a majority says so
*after* the read has come, no later leader had been elected when it came, and what is
committed here is all that any client could have seen (section 8, thesis 6.4). A new leader
also needs an entry of its own term committed, or it may not know how far its predecessors got.

A round costs one exchange and no disk, and all reads of a turn share one. Its number rides
on the AppendEntries that are sent anyway; a follower repeats it in the answer.

Left out: reads at a follower, which would ask the leader for an index.
"""

from kvcore.raft.part import Part
from kvcore.raft.state import Role, Round


def is_term_committed(part: Part) -> bool:
    """Whether an entry of the leader's own term is committed."""
    return part.state.commit >= part.state.term_start


def begin(part: Part) -> None:
    """Open a round for the reads of this turn, once there may be one."""
    state = part.state
    assert state.role is Role.LEADER, "nobody else serves reads"
    if part.asked and is_term_committed(part):
        number = state.round + 1
        assert all(opened.number < number for opened in state.rounds), "rounds are numbered"
        opened = Round(number, state.commit, tuple(part.asked))
        part.asked = []
        part.state = state._replace(round=number, rounds=(*state.rounds, opened))
        confirm(part)


def confirm(part: Part) -> None:
    """Give out the reads whose round is confirmed."""
    state = part.state
    assert state.role is Role.LEADER, "nobody else serves reads"
    done = 0
    for asked in state.rounds:
        confirmed = sum(
            name == state.server or _answered(part, name) >= asked.number
            for name in state.members.voters
        )
        if not part.rules.may_serve_read(
            confirmed, len(state.members.voters), is_term_committed(part)
        ):
            break
        part.answered += [(context, asked.upto) for context in asked.contexts]
        done += 1
    if done:
        part.state = state._replace(rounds=state.rounds[done:])


def _answered(part: Part, name: str) -> int:
    """The last round that this voter has confirmed."""
    progress = part.progress_of(name)
    assert progress is not None, "the leader knows every voter"
    return progress.round if progress.recover_to < 0 else 0
