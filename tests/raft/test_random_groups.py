"""Groups of pure cores under loss, reordering, doubling, crashes and cuts, by seed."""

from collections import Counter

import pytest

from kvcore.raft.entry import Members
from kvcore.raft.state import ChangeUnderWay, NotLeader
from tests.support.storm import Storm, storm


@pytest.mark.parametrize("names", ["abc", "abcde", "ab"])
def test_groups_agree_after_any_weather(names):
    counts = Counter()
    for seed in range(6):
        counts += storm(seed, 3000, names).counts
    assert all(counts[kind] > 0 for kind in ("lost", "doubled", "crash", "cut", "transfer")), counts


@pytest.mark.parametrize("memory", [False, True])
def test_groups_that_beat_agree_after_any_weather(memory):
    taken = changes = 0
    for seed in range(3):
        run = Storm(seed, "abc", memory=memory, beats=True)
        for step in range(3000):
            if step % 300 < 200:
                run.step()
            else:  # idle for a while, with a fault now and then
                for server in run.net.servers.values():
                    run.net.sync(server)
                run.net.pass_time(50)
                if run.random.random() < 0.05:
                    run.fault()
        taken += run.net.beats_taken
        changes += run.counts["crash"] + run.counts["duel"] + run.counts["cut"]
        run.calm()
    assert taken > 500
    assert changes > 30


def test_a_group_in_memory_survives_one_crash_at_a_time():
    crashes = 0
    for seed in range(6):
        run = storm(seed, 3000, memory=True)
        crashes += run.counts["crash"]
    assert crashes > 10


def test_members_come_and_go_in_any_weather():
    changes = 0
    for seed in range(6):
        run = Storm(seed, "abc", crashes=False)
        net = run.net
        for name in "de":
            net.add(name)
        for _ in range(1500):
            run.step()
            if run.random.random() < 0.05 and net.leaders():
                changes += change_someone(run, run.random.choice(net.leaders()))
        while_calm(run)
    assert changes > 30, changes


def change_someone(run, leader):
    net = run.net
    members = net[leader].members
    name = run.random.choice("abcde")
    voters, learners = members.voters, members.learners
    if name in voters:
        if len(voters) <= 2:
            return 0
        wanted = Members(tuple(n for n in voters if n != name), learners)
    elif name in learners:
        wanted = Members((*voters, name), tuple(n for n in learners if n != name))
    else:
        wanted = Members(voters, (*learners, name))
    try:
        net[leader].change(wanted)
    except (ChangeUnderWay, NotLeader):
        return 0
    net.settle(net.servers[leader])
    return 1


def while_calm(run):
    net = run.net
    net.heal()
    for server in net.servers.values():
        net.sync(server)
        net.settle(server)
    net.auto_sync = True
    net.pass_time(5000, 20)
    (leader,) = (n for n in net.leaders() if net[n].commit == max(net[x].commit for x in net.names))
    net.propose(leader, b"last")
    net.pass_time(200)
    for name in net[leader].members.others(""):
        assert net.values(name) == net.values(leader)
