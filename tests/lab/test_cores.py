"""Cores in the hand, and a group's steps in words: what lesson 07 shows is what happens."""

from dataclasses import replace

from kvcore.lab import Cores
from kvcore.lab.lessons.l07_append import check_07b
from kvcore.lab.lessons.l07_commit import figure_8
from kvcore.lab.stories import group_steps
from kvcore.lab.trial import in_world
from kvcore.raft.rules import PAPER


def commits_any_term(matches, log, term, commit):
    return max(commit, sorted(matches, reverse=True)[len(matches) // 2])


def test_a_put_counts_when_the_second_of_three_has_it():
    cores = Cores("abc")
    cores.elect("a", "b")
    cores.talk("a", "b")
    index = cores.put("a", "x=1")
    assert index not in cores.promised
    cores.send("a", "b")
    assert index not in cores.promised
    cores.send("b", "a")
    assert cores.promised[index][1] == "a"
    assert [each.match for each in cores.pointers] == [index, 0]


def test_figure_8_breaks_a_promise_of_the_rule_that_ignores_the_term():
    cores = Cores("abcde", rules=replace(PAPER, advance_commit=commits_any_term))
    figure_8(cores)
    assert cores.broken().startswith("a took x=1 (entry 3) for committed; e, leader of term 5")


def test_figure_8_breaks_none_of_the_papers():
    cores = Cores("abcde")
    figure_8(cores)
    assert cores.broken() == ""
    assert [entry.text for entry in cores.logs[2].truncated] == ["x=1"]


def test_the_steps_of_a_put_are_told_in_their_order():
    steps = in_world(_steps, seed=5, servers=3)
    told = [f"{step.who} {step.does}" for step in steps]
    leader = told[1].split()[0]
    places = [
        told.index(line)
        for line in (
            "A puts tea=11",
            f"{leader} appends entry 4 to its log",
            f"{leader} commits up to entry 4",
            f"{leader} applies entry 4",
            "A hears: stored as revision 2",
        )
    ]
    assert places == sorted(places)
    assert sum(line.endswith("appends entry 4 to its log") for line in told) == 3


async def _steps(cluster, seed):
    from kvcore.lab import record

    client = await cluster.connect(name="A")
    kv = await client.jetstream().create_key_value(bucket="b", replicas=3)
    await kv.put("tea", b"10")
    began = cluster.simulation.now
    wire = record(cluster, A=client)
    await kv.put("tea", b"11")
    return group_steps(cluster, "b", since=began, wire=wire)


def test_a_server_that_cuts_off_what_it_applied_is_told_to_begin_anew():
    def overwrites(log, previous_index, previous_term, _entries):
        return previous_index if log.term(previous_index) == previous_term else None

    verdict = check_07b(overwrites, (1,))
    told = [line.strip() for line in verdict.trace]
    assert told[told.index("b cuts off entry 4 of term 2") + 1].startswith("b begins anew")
    assert "b cuts off entry 1 of term 1" not in told  # it was only forgotten
    assert told[-4] == (
        "in the end: b gives no vote before a leader has sent it its log, and nobody can lead"
    )


def test_a_follower_that_refuses_for_ever_does_not_fill_the_trace():
    def keeps_all(log, previous_index, previous_term, _entries):
        return log.last_index if log.term(previous_index) == previous_term else None

    verdict = check_07b(keeps_all, (1,))
    assert len(verdict.trace) < 50
    assert any(line.startswith("… and so on, ") for line in verdict.trace)
