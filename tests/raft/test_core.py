"""Raft with one server: what it may do, and when."""

import pytest

from kvcore.raft.core import Raft
from kvcore.raft.entry import Entry, EntryKind, HardState, Members
from kvcore.raft.state import TRANSITIONS, NotLeader, Role, State, recovered


def started(term=0, log=(), applied=0):
    """A server whose first term is durable."""
    raft = Raft(recovered("a", HardState(term), tuple(log), applied))
    raft.on_persisted(raft.ready().number)
    return raft


def entries(first, last, term=1):
    return tuple(Entry(n, term, EntryKind.COMMAND, b"%d" % n) for n in range(first, last + 1))


def test_a_start_raises_the_term_and_votes_for_itself__s5_2():
    ready = Raft(recovered("a", HardState(4, "b"), (), 0)).ready()
    assert ready.hard == HardState(5, "a")
    assert ready.role is Role.CANDIDATE


def test_nobody_leads_before_term_and_vote_are_durable__s5_2():
    raft = Raft(recovered("a", HardState(), (), 0))
    with pytest.raises(NotLeader):
        raft.propose(b"early")
    ready = raft.ready()
    with pytest.raises(NotLeader):
        raft.propose(b"still early")
    raft.on_persisted(ready.number)
    assert raft.role is Role.LEADER
    assert raft.propose(b"now") == 1


def test_a_term_that_was_never_given_out_cant_be_durable():
    with pytest.raises(AssertionError, match="never given out"):
        Raft(recovered("a", HardState(), (), 0)).on_persisted(1)


def test_an_entry_is_committed_when_it_is_durable_and_not_before__s5_3():
    raft = started()
    raft.propose(b"one")
    raft.propose(b"two")
    ready = raft.ready()
    assert [entry.data for entry in ready.entries] == [b"one", b"two"]
    assert ready.committed == ()
    assert raft.ready() is None
    raft.propose(b"three")
    later = raft.ready()
    raft.on_persisted(ready.number)
    assert [entry.data for entry in raft.ready().committed] == [b"one", b"two"]
    raft.on_persisted(later.number)
    assert [entry.data for entry in raft.ready().committed] == [b"three"]
    assert raft.ready() is None


def test_entries_carry_the_leaders_term_and_consecutive_indexes():
    raft = started(term=6, log=entries(1, 2, term=6), applied=2)
    raft.propose(b"x")
    raft.propose(b"y")
    assert [(entry.index, entry.term) for entry in raft.ready().entries] == [(3, 7), (4, 7)]


def test_an_entry_that_was_never_given_out_cant_be_durable():
    raft = started()
    raft.propose(b"x")
    with pytest.raises(AssertionError, match="never given out"):
        raft.on_persisted(2)


def test_a_start_gives_out_the_logs_tail_beyond_what_was_applied():
    raft = Raft(recovered("a", HardState(1), entries(3, 7), 4))
    assert [entry.index for entry in raft.ready().committed] == [5, 6, 7]


def test_a_recovered_log_must_be_contiguous_and_of_terms_that_were():
    with pytest.raises(AssertionError, match="stands at"):
        recovered("a", HardState(1), entries(1, 2) + entries(4, 5), 0)
    with pytest.raises(AssertionError, match="never was"):
        recovered("a", HardState(1), entries(1, 2, term=2), 0)
    with pytest.raises(AssertionError, match="not in the log"):
        recovered("a", HardState(1), entries(3, 5), 1)


def test_trimming_keeps_the_last_delivered_entry_and_what_follows():
    raft = started()
    for number in range(3):
        raft.propose(b"%d" % number)
    ready = raft.ready()
    for number in range(2):
        raft.propose(b"%d" % number)
    raft.on_persisted(ready.number)
    raft.ready()
    raft.trim(5)
    assert [entry.index for entry in raft.state.log.entries] == [3, 4, 5]
    raft.trim(1)
    assert raft.state.first == 3
    assert raft.propose(b"next") == 6


def test_a_second_report_of_the_same_sync_changes_nothing():
    raft = started()
    raft.propose(b"x")
    number = raft.ready().number
    raft.on_persisted(number)
    raft.ready()
    before = raft.state
    raft.on_persisted(number)
    raft.on_persisted(number - 1)
    assert raft.state is before


def test_the_state_is_one_frozen_value_that_hashes_by_content():
    def play():
        raft = started()
        raft.propose(b"x")
        raft.ready()
        return raft.state

    assert play() == play()
    assert hash(play()) == hash(play())
    assert play() is not play()
    with pytest.raises(AttributeError):
        play().commit = 9
    assert isinstance(play().log.entries, tuple)


def test_an_instance_made_from_a_state_goes_on_from_it_and_leaves_it_alone():
    raft = started()
    raft.propose(b"x")
    fork = raft.state
    one, other = Raft(fork), Raft(fork)
    one.propose(b"one")
    other.propose(b"other")
    assert raft.state == fork
    assert [entry.data for entry in one.state.log.entries] == [b"x", b"one"]
    assert [entry.data for entry in other.state.log.entries] == [b"x", b"other"]


def test_ten_thousand_states_are_explored_by_value():
    """Every state within reach of a few proposals and syncs, each seen once."""
    start = State("a", HardState(1, "a"), Members(("a",)), Role.LEADER, "a")
    seen, todo = {start: None}, [start]
    while todo:
        state = todo.pop()
        following = []
        if len(state.log) < 8:
            raft = Raft(state)
            raft.propose(b"")
            following.append(raft.state)
        raft = Raft(state)
        raft.ready()
        following.append(raft.state)
        for number in range(1, len(state.unsynced) + 1):
            raft = Raft(state)
            raft.on_persisted(number)
            following.append(raft.state)
        for after in following:
            assert 0 <= after.delivered <= after.commit <= after.persisted
            assert after.persisted <= after.handed <= after.last_index
            if after not in seen:
                seen[after] = None
                todo.append(after)
    assert len(seen) > 1000


def test_every_role_and_every_move_between_roles_is_in_the_table():
    assert set(TRANSITIONS) == set(Role)
    raft = started()
    with pytest.raises(AssertionError, match="a leader can't become candidate"):
        raft._part.become(Role.CANDIDATE)
