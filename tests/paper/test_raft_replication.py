"""Sections 5.3, 5.4.2 and 8 of the Raft paper, 6.4 and 10.2.1 of the thesis: the log."""

from dataclasses import replace

import pytest

from kvcore import limits
from kvcore.check.invariants import Invariants
from kvcore.raft.entry import Entry, EntryKind
from kvcore.raft.log import Log
from kvcore.raft.messages import AppendEntries, AppendReply
from kvcore.raft.progress import Mode
from kvcore.raft.rules import advance_commit, append_entries, may_serve_read
from kvcore.raft.state import NotLeader, Role
from tests.support.rafts import Net, figure_8


@pytest.fixture
def net():
    net = Net("abc", observe=Invariants().observe)
    net.elect("a")
    return net


def log(*terms):
    return Log(1, tuple(Entry(i, t, EntryKind.COMMAND, b"") for i, t in enumerate(terms, 1)))


def tail(after, *terms):
    return tuple(Entry(after + i, t, EntryKind.COMMAND, b"") for i, t in enumerate(terms, 1))


def test_only_a_leader_takes_commands_and_others_name_it__s8(net):
    assert net["a"].propose(b"x") == 3
    with pytest.raises(NotLeader) as caught:
        net["b"].propose(b"x")
    assert caught.value.hint == "a"


def test_a_new_leader_commits_an_entry_of_its_term_at_once__s8(net):
    assert net["a"].state.log.entries[-1].kind is EntryKind.NOOP
    assert [net[name].commit for name in "abc"] == [2, 2, 2]


def test_a_command_is_applied_when_a_majority_has_it__s5_3(net):
    net.partition("ab", "c")
    net.propose("a", b"x")
    assert net.values("a") == []
    net.run()
    assert net.values("a") == [b"x"]
    assert net.values("c") == []


def test_without_a_majority_nothing_is_applied__s5_3(net):
    net.partition("a", "b", "c")
    net.propose("a", b"x")
    net.run()
    assert net.values("a") == []


def test_followers_learn_what_is_committed_and_apply_it_in_order__s5_3(net):
    net.propose("a", b"1", b"2", b"3")
    net.run()
    assert [net.values(name) for name in "abc"] == [[b"1", b"2", b"3"]] * 3


def test_a_lost_message_is_made_good_without_the_client__s5_3(net):
    net.propose("a", b"x")
    net.flying = []
    net.pass_time(200)
    assert [net.values(name) for name in "abc"] == [[b"x"]] * 3


def test_entries_are_refused_where_the_one_before_differs__s5_3():
    mine = log(1, 1, 2)
    assert append_entries(mine, 3, 3, tail(3, 3)) is None
    assert append_entries(mine, 4, 2, tail(4, 2)) is None  # there is none before
    assert append_entries(mine, 3, 2, tail(3, 3)) == 3
    assert append_entries(mine, 0, 0, tail(0, 1)) == 3


def test_only_a_contradicting_entry_cuts_the_log__s5_3():
    mine = log(1, 1, 2, 2)
    assert append_entries(mine, 2, 1, tail(2, 3)) == 2
    assert append_entries(mine, 2, 1, tail(2, 2)) == 4  # an old message, doubled
    assert append_entries(mine, 1, 1, ()) == 4


def test_the_leaders_log_wins_over_what_was_never_committed__s5_3(net):
    net.partition("a", "bc")
    net.propose("a", b"lost 1", b"lost 2")
    net.pass_time(1500)
    (leader,) = net.leaders()
    net.propose(leader, b"kept")
    net.run()
    net.heal()
    net.pass_time(300)
    assert [net.values(name) for name in "abc"] == [[b"kept"]] * 3
    assert net.terms("a") == net.terms("b") == net.terms("c")


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),  # (a) of figure 7
        (1, 1, 1, 4),  # (b)
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),  # (c)
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),  # (d)
        (1, 1, 1, 4, 4, 4, 4),  # (e)
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),  # (f)
    ],
)
def test_any_follower_of_figure_7_is_brought_to_the_leaders_log__s5_3(terms):
    leaders = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    net = Net("abc")
    first = net["a"].state.log.entries[0]
    for name, wanted in (("a", leaders), ("b", terms), ("c", (1,))):
        entries = (first, *tail(1, *wanted[1:]))
        disk = net.servers[name].disk
        hard = disk.hard.voted(7, "")
        net.crash(name)
        net.servers[name].synced = disk.__class__(hard, entries, (), 1)
        net.restart(name)
    net.campaign("a", "c")
    net.pass_time(300)
    assert net.terms("b") == net.terms("a") == net.terms("c") == [*leaders, 8]


def test_a_follower_skips_a_whole_term_when_it_refuses__s5_3():
    net = Net("abc")
    net["b"].step(AppendEntries("c", 3, 1, 1, tail(1, *[2] * 50)), 0)
    net.settle(net.servers["b"])
    net.flying = []
    net["b"].step(AppendEntries("a", 4, 60, 1, ()), 0)
    net.settle(net.servers["b"])
    assert net.flying == [("a", AppendReply("b", 4, is_taken=False, index=1, conflict_term=1))]


def test_a_full_pipe_stops_at_the_window_and_goes_on_with_answers(net):
    for number in range(limits.APPENDS_IN_FLIGHT_COUNT + 10):
        net.propose("a", b"%d" % number)
    to_b = [m for to, m in net.flying if to == "b"]
    assert len(to_b) == limits.APPENDS_IN_FLIGHT_COUNT
    net.run()
    assert len(net.values("b")) == limits.APPENDS_IN_FLIGHT_COUNT + 10


def test_a_turns_commands_go_in_one_message_and_none_is_too_large(net):
    net.propose("a", *[b"x"] * 64)
    assert [len(m.entries) for _, m in net.flying] == [64, 64]
    net.run()
    net.propose("a", *[bytes(limits.APPEND_BYTES // 2)] * 3, b"small")
    sizes = [sum(len(e.data) for e in m.entries) for _, m in net.flying]
    assert max(sizes) <= limits.APPEND_BYTES
    net.run()
    assert len(net.values("c")) == 68


def test_a_refusal_leads_back_to_one_message_at_a_time(net):
    net.propose("a", b"x")
    net.run()
    assert all(follower.mode is Mode.REPLICATE for follower in net["a"].followers)
    net["a"].step(AppendReply("b", 2, is_taken=False, index=3, conflict_term=2), net.now)
    assert net["a"].followers[0].mode is Mode.PROBE


def test_a_leader_sends_before_its_own_disk_has_it_and_counts_itself_after__thesis_10_2_1():
    net = Net("abc", auto_sync=False)
    net.stand("a")
    for _ in range(20):
        for server in net.servers.values():
            net.sync(server)
            net.settle(server)
        net.run()
    assert net.leaders() == ["a"]
    net.propose("a", b"x")
    assert {to for to, _ in net.flying} == {"b", "c"}
    net.run()
    assert net["a"].commit == 2
    net.sync(net.servers["b"])
    net.run()
    assert net["a"].commit == 2  # b has it, its own disk not yet
    net.sync(net.servers["a"])
    assert net["a"].commit == 3


def test_no_answer_leaves_before_the_entries_are_durable__s5_3():
    net = Net("abc", auto_sync=False)
    net["b"].step(AppendEntries("a", 2, 1, 1, tail(1, 2)), 0)
    net.settle(net.servers["b"])
    assert net.flying == []
    net.sync(net.servers["b"])
    assert [m for _, m in net.flying] == [AppendReply("b", 2, is_taken=True, index=2)]


@pytest.mark.parametrize(
    ("matches", "terms", "term", "commit"),
    [
        ((3, 3, 0), (1, 2, 2), 2, 3),
        ((3, 2, 0), (1, 2, 2), 2, 2),
        ((3, 0, 0), (1, 2, 2), 2, 1),
        ((3, 2, 2), (1, 2, 3), 3, 1),  # a majority has 2, but it is of an earlier term
        ((4, 4, 2, 2, 1), (1, 1, 1, 1), 1, 2),
        ((3, 3, 2, 2), (1, 1, 1), 1, 2),  # of four, three are a majority
    ],
)
def test_a_majority_of_its_own_term_commits__s5_3_s5_4_2(matches, terms, term, commit):
    assert advance_commit(matches, log(*terms), term, 1) == commit


def test_leader_never_commits_entry_of_earlier_term_by_count__s5_4_2():
    net = Net("abcde", one_at_a_time=True, observe=Invariants().observe)
    figure_8(net)  # entry 2 of term 2 was on a, b and c; e overwrites it
    assert all(net.terms(name)[:2] == [1, 3] for name in "bcde")


def test_a_read_waits_for_a_majority_to_confirm_the_leader__thesis_6_4(net):
    net["a"].read(7)
    net.settle(net.servers["a"])
    assert net.servers["a"].reads == []
    net.run()
    assert net.servers["a"].reads == [(7, 2)]


def test_reads_of_a_turn_share_a_round__thesis_6_4(net):
    for context in range(10):
        net["a"].read(context)
    net.settle(net.servers["a"])
    assert len(net.flying) == 2
    net.run()
    assert [context for context, _ in net.servers["a"].reads] == list(range(10))


def test_a_leader_that_was_cut_off_answers_no_read__thesis_6_4(net):
    net.partition("a", "bc")
    net["a"].read(7)
    net.settle(net.servers["a"])
    net.pass_time(2000)
    net.heal()
    net.pass_time(500)
    assert net.servers["a"].reads == []


def test_a_read_before_the_terms_first_commit_waits_for_it__s8():
    net = Net("abc")
    net.campaign("a", "b")
    net["a"].read(1)
    net.settle(net.servers["a"])
    net.flying = []
    assert net.servers["a"].reads == []
    net.pass_time(200)
    assert net.servers["a"].reads == [(1, 2)]
    assert not may_serve_read(2, 3, is_term_committed=False)
    assert not may_serve_read(1, 3, is_term_committed=True)
    assert may_serve_read(2, 3, is_term_committed=True)


def lose(net, name, index):
    """A crash takes the entries after `index` from a server although it had promised them."""
    net.crash(name)
    disk = net.servers[name].synced
    net.servers[name].synced = replace(
        disk, log=tuple(e for e in disk.log if e.index <= index),
        machine=tuple(item for item in disk.machine if item[0] <= index),
        applied=min(disk.applied, index),
    )  # fmt: skip
    net.restart(name)


def test_a_follower_whose_disk_lost_its_tail_is_sent_it_again_by_the_same_leader():
    net = Net("abc")
    net.elect("a")
    net.propose("a", b"1", b"2", b"3")
    net.pass_time(100)
    lose(net, "b", 3)
    assert net.values("b") == [b"1"]
    net.pass_time(200)
    assert net["a"].role is Role.LEADER
    assert net.values("b") == [b"1", b"2", b"3"]


def test_a_server_that_applied_what_a_majority_lost_begins_anew():
    net = Net("abc")
    net.elect("a")
    net.propose("a", b"1", b"2", b"3")
    net.pass_time(100)
    net.crash("a")
    lose(net, "b", 3)
    lose(net, "c", 3)
    net.elect("b")
    net.propose("b", b"other")
    net.run()
    net.restart("a")
    net.pass_time(200)
    assert net.values("b") == [b"1", b"other"]
    assert net.values("a") == net.values("c") == net.values("b")
    assert not net["a"].is_recovering
