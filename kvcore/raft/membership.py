"""Changing the members while the group works: one server at a time.

Section 6 and chapter 4 of the thesis. If members were swapped at once, servers would learn of
it at different times, and a majority of the old ones and a majority of the new ones might
decide two things. When only one server is added or removed, any majority of the one set and
any majority of the other have a server in common, so nothing more than these rules is needed:

    a change is an entry, and in force on a server as soon as it is in its log (4.1)
    the next change waits until this one is committed, and an entry of the leader's term too
    a new server is first a learner: it is sent the log, but nobody counts it (4.2.1)
    a leader that has removed itself goes on until that is committed, and steps down (4.2.2;
    `replication.advance`)

An entry that is cut off takes its change with it: the one before is in force again.

Left out: choosing whom to add; telling a removed server to delete what it has. Those are the
business of whoever placed the group.
"""

from kvcore.raft import reads
from kvcore.raft.entry import Entry, EntryKind, Members, encode_members
from kvcore.raft.part import Part
from kvcore.raft.progress import Mode, Progress
from kvcore.raft.state import ChangeUnderWay, NotLeader, Role


def change(part: Part, members: Members) -> int:
    """Append a change of members; see the rules above."""
    part.fold()
    state = part.state
    if state.role is not Role.LEADER:
        raise NotLeader(state.leader)
    assert members.voters, "a group has a voter"
    assert len(members.others("")) == len(dict.fromkeys(members.others(""))), "each name once"
    if state.members_index > state.commit:
        raise ChangeUnderWay(f"the change at {state.members_index} isn't committed yet")
    if not reads.is_term_committed(part):
        raise ChangeUnderWay(f"this leader's first entry, {state.term_start}, isn't committed yet")
    steps = differences(state.members, members)
    if steps > 1:
        raise ChangeUnderWay(f"one server at a time: these are {steps}")
    for name in members.voters:
        if name not in state.members.voters and not is_caught_up(part, name):
            raise ChangeUnderWay(f"{name} has to catch up as a learner first")
    index = state.log.last_index + 1
    entry = Entry(index, state.hard.term, EntryKind.MEMBERS, encode_members(members))
    part.proposed.append(entry)
    part.fold()
    read_log(part)
    part.is_due = True
    return index


def differences(old: Members, new: Members) -> int:
    """How many servers have another standing: voter, learner or neither."""

    def standing(members: Members, name: str) -> int:
        return 2 * (name in members.voters) + (name in members.learners)

    names = dict.fromkeys(old.others("") + new.others(""))
    return sum(standing(old, name) != standing(new, name) for name in names)


def is_caught_up(part: Part, name: str) -> bool:
    """Whether a follower has all that is committed, and takes what is sent."""
    assert part.state.role is Role.LEADER, "only a leader knows"
    progress = part.progress_of(name)
    return (
        progress is not None
        and progress.mode is Mode.REPLICATE
        and progress.counted >= part.state.commit
    )


def read_log(part: Part) -> None:
    """The log has another end: the last change in it is in force."""
    state = part.state
    index = state.log.last_change(state.log.last_index)
    members = state.log.members_at(index)
    assert index <= state.log.last_index, "a change that is cut off is none"
    part.state = state._replace(members=members, members_index=index)
    if state.role is Role.LEADER:
        known = {progress.name: progress for progress in state.progress}
        following = state.log.last_index + 1
        others = members.others(state.server)
        progress = tuple(known.get(name) or Progress(name, following) for name in others)
        part.state = part.state._replace(progress=progress)
        for name in others:
            part.heard.setdefault(name, part.now)
