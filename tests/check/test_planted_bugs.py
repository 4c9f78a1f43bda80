"""Bugs planted into a whole cluster, each of which a judge must convict, and each of which
goes unconvicted where it isn't planted.

What a judge has never convicted it may be blind to. An ack before a quorum shows in any storm.
The others need the world to go just so, and are led there: by cuts at the very turn in which a
server becomes leader, or has an entry committed.
"""

from dataclasses import replace

from kvcore.check.storm import Weather, storm
from kvcore.raft.entry import decode_hard_state, encode_hard_state
from kvcore.sim.workload import Settings
from kvcore.sim.world import PARTS
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage

SEEDS = 20
WEATHER = Weather(
    work=Settings(clients=5, watchers=0, pause=0.03),
    faults={"isolate": 2, "crash": 1},
    count=3,
    is_watched=False,
    operations=0,
)


def ack_before_quorum(matches, _log, _term, commit):
    """The leader counts itself alone."""
    return max(commit, *matches)


def commit_by_counting_any_term(matches, _log, _term, commit):
    """Figure 8: an entry of an earlier term is committed because a majority has it."""
    return max(commit, sorted(matches, reverse=True)[len(matches) // 2])


def vote_for_any_log(me, request):
    """Whoever asks first has the vote, whatever its log: a leader that lacks committed entries
    makes its followers truncate them."""
    return request.term >= me.term and me.voted_for in {"", request.sender}


class Forgetful(AppendFile):
    """Writes each group's term, and not for whom it voted in it."""

    def write(self, batch):
        writes = [(key, _without_vote(key, value)) for key, value in batch.writes]
        super().write(replace(batch, writes=writes))


def _without_vote(key, value):
    if key[:1] != b"H" or value is None:
        return value
    return encode_hard_state(replace(decode_hard_state(value), voted_for=""))


FORGETFUL = replace(
    PARTS, make_engines=lambda disk: {"file": Forgetful(disk), "memory": MemoryStorage()}
)


def first(convicts):
    """The first seed that is convicted, and of what."""
    for seed in range(SEEDS):
        if found := convicts(seed):
            return seed, found
    return None


def test_an_ack_before_a_quorum_is_convicted():
    guilty = replace(WEATHER, rules={"advance_commit": ack_before_quorum})
    found = first(lambda seed: [str(each) for each in storm(seed, guilty).violations])
    print(found)
    assert found
    seed, _ = found
    assert storm(seed, WEATHER).violations == []
