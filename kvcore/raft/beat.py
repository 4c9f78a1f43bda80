"""The heartbeat of an idle group, so short that those of many groups fit into one message.

A server may be in hundreds of groups, most of which have nothing to say. Each of them owes its
followers a heartbeat (section 5.2): an AppendEntries without entries. To a follower that has
all of a log that is committed to its end, every one says the same: I lead in this term, and
my log ends with this entry. That is a `Beat`, four numbers, and whoever holds the groups can
send those of all groups to a server at once.

    leader     beat          for whom is all said by this? the others are written to as ever
    follower   take          if it would change nothing but my timer: done, and that is the
                             answer. If not, it is the AppendEntries that it stands for
    leader     note_taken    this follower follows me still

Nothing else is different. A beat restarts the follower's timer in its own term and from its own
leader alone, and the answer counts where a leader asks whether a majority hears it. What a beat
would do to a follower that lacks something is left to the AppendEntries: so a beat that comes
late, or to a server that has forgotten all, is as harmless as a late heartbeat.

A group without news keeps its state, as a value, from beat to beat. So each side remembers the
state that it has judged last, and need not judge it again.

Left out: gathering the beats of many groups; `kvcore/node/beats.py`.
"""

from kvcore.raft import replication
from kvcore.raft.messages import Beat
from kvcore.raft.part import Judged, Part
from kvcore.raft.progress import Mode, Progress
from kvcore.raft.rules import PAPER
from kvcore.raft.state import Role, State


def beat(part: Part) -> tuple[Beat, tuple[str, ...]]:
    """A leader's heartbeat: who is to be told by the beat; the others' messages are laid out."""
    state = part.state
    assert state.role is Role.LEADER, "only a leader has a heartbeat"
    if part.judged.state is not state or part.is_due or part.proposed or part.asked:
        part.fold()
        state = part.state
        log = state.log
        level: tuple[str, ...] = ()
        if _is_quiet(part):
            level = tuple(each.name for each in state.progress if _is_level(state, each))
        part.judged = Judged(state, Beat(state.hard.term, log.last_index, log.last_term), level)
    judged = part.judged
    for progress in state.progress:
        if progress.name not in judged.names:
            part.send(progress.name, replication.empty(state, progress))
    part.beat_at = part.now + part.pace
    return judged.beat, judged.names


def _is_quiet(part: Part) -> bool:
    """Whether the leader has nothing to say but that it is there."""
    state = part.state
    is_done = state.commit == state.log.last_index and not (part.is_due or part.asked)
    return is_done and not state.rounds and state.transfer is None and not state.members.learners


def _is_level(state: State, progress: Progress) -> bool:
    """Whether a follower has everything, and nothing is on its way to it."""
    return (
        progress.mode is Mode.REPLICATE
        and progress.counted == state.log.last_index
        and not progress.in_flight
    )


def take(part: Part, beat: Beat, leader: str) -> bool:
    """A follower's side; whether that was all, and the leader may hear so at once."""
    state, judged = part.state, part.judged
    if judged.state is not state or judged.beat != beat or judged.names != (leader,):
        if not _changes_nothing(part, beat, leader):
            return False
        part.judged = Judged(state, beat, (leader,))
    part.leader_heard = part.now
    part.stand_at = part.now + part.timeout
    return True


def _changes_nothing(part: Part, beat: Beat, leader: str) -> bool:
    """Whether the AppendEntries would be taken, change no state, and promise what is durable."""
    state, log = part.state, part.state.log
    return (
        state.role is Role.FOLLOWER
        and state.leader == leader
        and state.hard.term == beat.term
        and log.last_index == state.commit == beat.last
        and log.last_term == beat.last_term
        and part.rules.append_entries is PAPER.append_entries  # another's wants to be asked
        and not state.hard.is_recovering
        and state.installing is None
        and state.hard_handed
        and state.persisted == log.last_index
        and not state.unsynced
    )


def note_taken(part: Part, follower: str, term: int) -> None:
    """The leader hears that a follower has taken its beat of this term."""
    state = part.state
    if state.role is Role.LEADER and state.hard.term == term and part.progress_of(follower):
        part.heard[follower] = part.now
