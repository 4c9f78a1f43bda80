"""What lesson 08 says of partitions, in worlds of several seeds."""

import pytest

from kvcore.lab import group_logs
from kvcore.lab.lessons import l08
from kvcore.lab.lessons.l08_split import BUCKET, Split
from kvcore.lab.trial import in_world
from kvcore.raft.rules import PAPER

SEEDS = (1, 2, 3)
each_seed = pytest.mark.parametrize("seed", SEEDS)


@each_seed
def test_six_writes_across_two_cuts_end_as_the_exercise_has_them(seed):
    played = in_world(l08.six_writes, seed=seed, servers=5)
    assert list(played.values()) == [
        *("unknown", "acked", "unknown", "unknown", "error", "acked"),
        "w6",
    ]


@each_seed
@pytest.mark.parametrize("first", ["n1 n2 n3", "n2 n3 n4", "n1 n4 n5"])
def test_a_trio_that_has_the_unanswered_put_stores_it_late(first, seed):
    assert l08.meet(*first.split(), seed=seed) == "green"


@each_seed
def test_a_trio_without_the_unanswered_put_cuts_it_off(seed):
    assert l08.meet("n3", "n4", "n5", seed=seed) == "red"


@each_seed
def test_the_paper_s_rule_is_not_convicted_and_an_impatient_one_is(seed):
    def impatient(matches, _log, _term, commit):
        return max(commit, *matches)

    assert not l08.convict(PAPER.advance_commit, seed).is_guilty
    guilty = l08.convict(impatient, seed)
    assert guilty.is_guilty
    told = "\n".join(guilty.events)
    assert "n1 is told: revision 2" in told
    assert "n1 cuts its log from index 4 on" in told
    assert "n1 begins anew, appends members, term 1, at index 1" in told
    assert told.count("begins anew") == 1


def test_an_entry_that_is_committed_by_a_later_leader_keeps_its_term_in_the_pictures():
    async def story(cluster, _seed):
        split = await Split.open(cluster)
        ann = await split.client("n1")
        await cluster.partition(["n1"], ["n2", "n3"], ["n4", "n5"])
        assert await split.put(ann, "ann", b"green") == "unknown"
        await cluster.partition(["n1", "n2", "n3"])
        await split.led_by("n1")
        await cluster.heal()
        await split.log()
        return group_logs(cluster, BUCKET)

    logs = in_world(story, seed=1, servers=5)
    green = [[e.term for e in log.entries if e.text == "c=green"] for log in logs]
    assert green == [[2]] * 5
