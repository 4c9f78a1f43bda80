"""The heartbeat of an idle group: as good as an AppendEntries, and nothing more."""

from dataclasses import replace

import pytest

from kvcore.raft.messages import Beat
from kvcore.raft.rules import PAPER, append_entries
from kvcore.raft.state import Role
from tests.support.rafts import MS, Beating, Net, Taken


@pytest.fixture
def net():
    """Three servers, `a` leads, and everybody knows of the commit."""
    net = Net(beats=True)
    net.elect("a")
    net.propose("a", b"x")
    net.run()
    net.pass_time(100)
    assert net["b"].commit == net["c"].commit == net["a"].last_index
    net.flying = []
    return net


def beat_of(net):
    return Beat(net["a"].term, net["a"].last_index, net["a"].state.log.last_term)


def test_a_leader_whose_followers_have_everything_sends_four_numbers_and_no_message(net):
    assert net.beat(net.servers["a"]) == ("b", "c")
    beating = Beating("a", beat_of(net))
    assert net.flying == [("b", beating), ("c", beating)]


def test_a_beat_restarts_the_followers_timer(net):
    before = net["b"].deadline()
    net.now += 200 * MS
    assert net["b"].step_beat("a", beat_of(net), net.now)
    assert net["b"].deadline() > before
    net["b"].on_timer(before)
    assert net["b"].role is Role.FOLLOWER


def test_without_beats_a_follower_stands_after_an_election_time_out(net):
    net.servers["a"].is_up = False  # silent; nobody closes a link
    net.pass_time(1500)
    assert net.leaders() != []
    assert "a" not in net.leaders()


def test_a_leader_whose_beats_are_not_answered_steps_down(net):
    while net["a"].role is Role.LEADER:
        assert net["a"].heard("b") > net.now - 700 * MS
        net.now += 50 * MS
        net.beat(net.servers["a"])
        net.flying = []
    assert net.now - net["a"].heard("b") >= 600 * MS


def test_answers_to_beats_keep_the_leader_in_office(net):
    for _ in range(40):
        net.now += 50 * MS
        net.beat(net.servers["a"])
        net.run()
    assert net["a"].role is Role.LEADER
    assert net["b"].term == net["a"].term


def test_an_answer_of_another_term_counts_for_nothing(net):
    heard = net["a"].heard("b")
    net["a"].beat_taken("b", net["a"].term - 1, net.now + MS)
    assert net["a"].heard("b") == heard
    net["a"].beat_taken("b", net["a"].term, net.now + MS)
    assert net["a"].heard("b") == net.now + MS


def test_nobody_takes_a_beat_of_an_earlier_term_and_its_sender_learns_of_the_later_one(net):
    beat = beat_of(net)
    net.cut = {("a", "b"), ("a", "c"), ("b", "a"), ("c", "a")}
    net.elect("b")
    net.run()
    net.heal()
    assert not net["c"].step_beat("a", beat, net.now)
    net.settle(net.servers["c"])
    net.run()
    assert net["a"].role is Role.FOLLOWER
    assert net["a"].term == net["c"].term


def test_a_server_of_an_earlier_term_follows_the_beat_as_an_append_entries(net):
    net.cut = {("c", "a"), ("c", "b"), ("a", "c"), ("b", "c")}
    net.elect("b")
    net.run()
    net.heal()
    assert net["c"].term < net["b"].term
    later = Beat(net["b"].term, net["b"].last_index, net["b"].term)
    assert not net["c"].step_beat("b", later, net.now)
    assert (net["c"].term, net["c"].leader) == (net["b"].term, "b")


@pytest.mark.parametrize("change", [{"last": 1}, {"last": -1}, {"last_term": 1}])
def test_a_follower_whose_log_ends_elsewhere_answers_as_to_an_append_entries(net, change):
    beat = beat_of(net)
    other = beat._replace(**{name: getattr(beat, name) + by for name, by in change.items()})
    assert not net["b"].step_beat("a", other, net.now)
    ready = net["b"].ready()
    ((to, reply),) = ready.send_after_persist
    assert to == "a"
    assert reply.is_taken == (change == {"last": -1})


def test_a_follower_with_something_unsynced_promises_nothing_at_once():
    net = Net(beats=True)
    net.elect("a")
    net.run()
    net.auto_sync = False
    net.propose("a", b"x")
    net.sync(net.servers["a"])
    net.deliver_between("a", "b")
    assert not net["b"].step_beat("a", beat_of(net), net.now)


def test_a_group_with_news_falls_back_to_append_entries(net):
    net["a"].propose(b"y")
    assert net.beat(net.servers["a"]) == ()
    kinds = {type(message).__name__ for _, message in net.flying}
    assert kinds == {"AppendEntries"}
    net.run()
    net.pass_time(100)
    net.flying = []
    net["a"].read(1)
    assert net.beat(net.servers["a"]) == ()


def test_a_follower_that_is_not_level_alone_gets_the_message(net):
    net["a"].peer_closed("c", net.now)
    assert net.beat(net.servers["a"]) == ("b",)
    assert [(to, type(message).__name__) for to, message in net.flying] == [
        ("b", "Beating"),
        ("c", "AppendEntries"),
    ]


def test_a_server_with_a_rule_of_its_own_is_asked_each_time(net):
    asked = []

    def mine(*given):
        asked.append(given)
        return append_entries(*given)

    beat = beat_of(net)
    assert net["b"].step_beat("a", beat, net.now)
    net["b"].rules = replace(PAPER, append_entries=mine)
    assert not net["b"].step_beat("a", beat, net.now)
    assert len(asked) == 1


def test_the_answer_travels_even_when_nobody_waits_for_it(net):
    net.beat(net.servers["a"])
    net.deliver()
    assert net.flying[-1] == ("a", Taken("b", net["a"].term))
