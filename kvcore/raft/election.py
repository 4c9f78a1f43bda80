"""Elections: one leader in a term, chosen by a majority, and no election without need.

Section 5.2: a follower that hears from no leader for a while raises its term, votes for
itself, and asks the others. Each server votes once in a term, on a durable record of it, so
two candidates of one term can't both have a majority. Time-outs are drawn at random, so that
mostly one stands before the others do. Section 5.4.1: nobody votes for a log that lacks what
his own has; so whoever wins has every committed entry.

Two additions of the thesis keep the peace:

    pre-vote (9.6)   a server first asks whether it would win, and raises its term only if a
                     majority says so. One that was cut off comes back without a higher term,
                     and deposes nobody.
    stickiness       who has just heard from a leader takes no part in electing another
    (4.2.3)          (`Part.hears_leader`), not even by raising its term. A removed server,
                     which nobody sends heartbeats to, disturbs no one.

An answer may be lost: a candidate asks those who are silent again at the pace of heartbeats.
The candidate's own vote counts when it is durable, as anyone's.

A server that has lost its log neither votes nor stands: it may have been one of the majority
that keeps an entry, and can't know what it must not let be forgotten.

Left out: what a new leader does first (`replication.py`).
"""

from typing import assert_never

from kvcore.raft.entry import Entry, EntryKind
from kvcore.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    Message,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from kvcore.raft.part import Part
from kvcore.raft.progress import Progress
from kvcore.raft.rules import Voter
from kvcore.raft.state import Role


def answer_old(part: Part, message: Message) -> None:
    """Tell the sender of an earlier term that its time is over (section 5.1)."""
    server, term = part.state.server, part.state.hard.term
    assert message.term < term, "it is of my time"
    match message:
        case RequestVote(sender=sender, is_pre=is_pre):
            part.promise(sender, VoteReply(server, term, is_granted=False, is_pre=is_pre))
        case AppendEntries(sender=sender) | InstallSnapshot(sender=sender):
            part.promise(sender, AppendReply(server, term, is_taken=False, index=0))
        case VoteReply() | AppendReply() | SnapshotReply() | TimeoutNow():
            pass
        case _:
            assert_never(message)


def stand(part: Part, *, is_transfer: bool = False, is_rehearsed: bool = False) -> None:
    """Begin an election: a rehearsal first, unless there is nobody to ask or the leader asks."""
    state = part.state
    assert state.role is not Role.LEADER, "a leader has no need to"
    assert state.may_stand, "it has no vote to give itself"
    part.restart_timer()
    is_pre = not (is_transfer or is_rehearsed or state.is_alone)
    if is_pre:
        part.become(Role.PRE_CANDIDATE)
        part.state = part.state._replace(leader="", granted=(state.server,), refused=())
    else:
        _raise_term(part)
    _ask(part, is_transfer=is_transfer)


def _raise_term(part: Part) -> None:
    """Be a candidate in the next term, with one's own vote to be made durable."""
    hard = part.state.hard
    assert not hard.is_recovering, "it doesn't know what it must not let be forgotten"
    part.become(Role.CANDIDATE)
    part.state = part.state._replace(
        hard=hard.voted(hard.term + 1, part.state.server), hard_handed=False,
        leader="", granted=(), refused=(),
    )  # fmt: skip


def _ask(part: Part, *, is_transfer: bool = False) -> None:
    """Ask all voters that have not answered."""
    state = part.state
    is_pre = state.role is Role.PRE_CANDIDATE
    assert is_pre or state.role is Role.CANDIDATE, "only who stands asks for votes"
    request = RequestVote(
        sender=state.server,
        term=state.hard.term + is_pre,
        last_index=state.log.last_index,
        last_term=state.log.last_term,
        is_pre=is_pre,
        is_transfer=is_transfer,
    )
    post = part.send if is_pre else part.promise
    for name in state.members.voters:
        if name != state.server and name not in state.granted and name not in state.refused:
            post(name, request)
    part.beat_at = part.now + part.pace


def ask_again(part: Part) -> None:
    """A candidate's heartbeat: messages may be lost (section 5.1)."""
    assert part.state.role in {Role.PRE_CANDIDATE, Role.CANDIDATE}, "nobody else asks"
    _ask(part)


def on_request(part: Part, request: RequestVote) -> None:
    """Answer a candidate. Its term is mine by now, or with `is_pre` would be a later one."""
    state, hard = part.state, part.state.hard
    assert request.is_pre or request.term == hard.term, "terms are compared first"
    me = Voter(hard.term, hard.voted_for, state.log.last_index, state.log.last_term)
    may_vote = not hard.is_recovering and not (request.is_pre and part.hears_leader())
    is_granted = may_vote and part.rules.can_grant_vote(me, request)
    term = request.term if is_granted else hard.term
    reply = VoteReply(state.server, term, is_granted, request.is_pre)
    if is_granted and not request.is_pre:
        if hard.voted_for != request.sender:
            part.state = state._replace(
                hard=hard.voted(hard.term, request.sender), hard_handed=False
            )
        part.restart_timer()
    post = part.send if request.is_pre else part.promise
    post(request.sender, reply)


def on_reply(part: Part, reply: VoteReply) -> None:
    """Count an answer to the question that is being asked; others are old."""
    state = part.state
    if state.role is Role.PRE_CANDIDATE:
        is_mine = reply.is_pre and reply.term == state.hard.term + reply.is_granted
    else:
        is_mine = state.role is Role.CANDIDATE and not reply.is_pre
    if not is_mine or reply.sender not in state.members.voters:
        return
    assert reply.is_pre == (state.role is Role.PRE_CANDIDATE), "an answer to the same question"
    if reply.sender not in state.granted + state.refused:
        if reply.is_granted:
            part.state = state._replace(granted=(*state.granted, reply.sender))
        else:
            part.state = state._replace(refused=(*state.refused, reply.sender))
        _tally(part)


def on_own_vote(part: Part) -> None:
    """The candidate's vote for itself is durable."""
    state = part.state
    assert state.role is Role.CANDIDATE, "nobody else has one"
    if state.server not in state.granted:
        part.state = state._replace(granted=(*state.granted, state.server))
        _tally(part)


def _tally(part: Part) -> None:
    """See whether the election is decided."""
    state, majority = part.state, part.state.members.majority
    assert not any(name in state.refused for name in state.granted), "each answers once"
    if len(state.granted) >= majority:
        if state.role is Role.PRE_CANDIDATE:
            _raise_term(part)
            _ask(part)
        else:
            lead(part)
    elif len(state.refused) >= majority:
        part.follow(state.hard.term, "")


def lead(part: Part) -> None:
    """Begin to lead: know nothing of the others, and add an entry of one's own term.

    That entry (a no-op, section 8) commits what earlier leaders have left. Who is alone and
    has committed all that he has needs none.
    """
    state = part.state
    is_needed = not state.is_alone or state.commit < state.log.last_index
    assert len(state.granted) >= state.members.majority, "a majority voted for it"
    part.become(Role.LEADER)
    following = state.log.last_index + 1
    others = state.members.others(state.server)
    part.state = part.state._replace(
        leader=state.server,
        progress=tuple(Progress(name, following) for name in others),
        term_start=following if is_needed else 0,
        granted=(),
        refused=(),
    )
    if is_needed:
        part.proposed.append(Entry(following, state.hard.term, EntryKind.NOOP, b""))
    part.heard = dict.fromkeys(others, part.now)
    part.beat_at = part.now + part.pace
    part.is_due = True


def on_timeout_now(part: Part, message: TimeoutNow) -> None:
    """My leader wants me to follow it: no rehearsal, and no waiting (thesis 3.10)."""
    assert message.term == part.state.hard.term, "terms are compared first"
    if part.state.role is Role.FOLLOWER and part.state.may_stand:
        stand(part, is_transfer=True)
