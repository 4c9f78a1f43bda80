"""Leadership transfer: the leader chooses its successor.

Thesis 3.10. A server that is about to stop, or that leads too many groups, hands its
leadership over instead of letting an election time-out pass. It takes no more proposals,
sends the chosen one what it lacks, and then tells it to stand at once. The successor stands
without a rehearsal, and says why, so that those who hear the old leader vote all the same. It
wins because it has the whole log; the old leader learns of the later term and follows.

If it doesn't happen within an election time-out the leader takes proposals again. Nothing can
go wrong meanwhile: this is an election like any other.

Left out: choosing the successor.
"""

from kvcore.limits import Nanos
from kvcore.raft.messages import TimeoutNow
from kvcore.raft.part import Part
from kvcore.raft.progress import Progress
from kvcore.raft.state import NotLeader, Role, Transfer


def begin(part: Part, to: str, now: Nanos) -> None:
    """Hand over to this voter; one that isn't any is ignored."""
    part.now = now
    part.fold()
    state = part.state
    if state.role is not Role.LEADER:
        raise NotLeader(state.leader)
    progress = part.progress_of(to)
    if progress is not None and to in state.members.voters:
        part.state = state._replace(transfer=Transfer(to))
        part.transfer_until = now + part.longest
        part.is_due = True
        push(part, progress)


def push(part: Part, progress: Progress) -> None:
    """Tell the successor to stand, once it has all that the leader has."""
    assert not part.proposed, "a leader that hands over takes no proposals"
    transfer = part.state.transfer
    if transfer is None or transfer.is_sent or transfer.to != progress.name:
        return
    if progress.counted == part.state.log.last_index:
        part.send(progress.name, TimeoutNow(part.state.server, part.state.hard.term))
        part.state = part.state._replace(transfer=transfer._replace(is_sent=True))


def give_up(part: Part) -> None:
    """At a heartbeat: go on leading if the time for it has passed."""
    assert part.state.role is Role.LEADER, "it did succeed"
    if part.state.transfer is not None and part.now >= part.transfer_until:
        part.state = part.state._replace(transfer=None)
