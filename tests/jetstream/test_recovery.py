"""A restart changes nothing: a stream rebuilt from its records is the same stream."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kvcore.jetstream.stream import Budget, Stream
from kvcore.limits import SECOND_NS
from kvcore.storage import keys
from tests.support.stream_rig import Rig

subjects = st.sampled_from(["s.a", "s.b", "s.c.d"])
headers = st.fixed_dictionaries(
    {},
    optional={
        "Nats-Msg-Id": st.sampled_from(["m", "n", "o"]),
        "Nats-TTL": st.sampled_from(["1", "2", "never"]),
        "Nats-Rollup": st.sampled_from(["sub", "all"]),
        "Nats-Expected-Last-Subject-Sequence": st.sampled_from(["0", "1", "2"]),
        "KV-Operation": st.sampled_from(["DEL", "PURGE"]),
    },
)
steps = st.one_of(
    st.tuples(st.just("put"), subjects, st.binary(max_size=20), headers),
    st.tuples(st.just("put"), subjects, st.binary(max_size=20), headers),
    st.tuples(st.just("expire"), st.sampled_from([0, 0.5, 1.5])),
    st.tuples(st.just("purge"), st.sampled_from(["", "s.a", "s.*"]), st.integers(0, 2)),
    st.tuples(st.just("purge"), st.just(""), st.just(0), st.integers(0, 12)),
    st.tuples(st.just("delete"), st.integers(0, 12)),
    st.tuples(st.just("consume"), st.sampled_from(["c", "d"]), subjects),
    st.tuples(st.just("forget_consumer"), st.sampled_from(["c", "d"])),
)
yes = st.just(value=True)
configs = st.fixed_dictionaries(
    {"allow_msg_ttl": yes, "allow_rollup_hdrs": yes},
    optional={
        "max_msgs_per_subject": st.sampled_from([1, 3]),
        "max_msgs": st.sampled_from([1, 4]),
        "max_bytes": st.sampled_from([60, 200]),
        "discard": st.sampled_from(["old", "new"]),
        "max_age": st.sampled_from([SECOND_NS, 3 * SECOND_NS]),
        "subject_delete_marker_ttl": st.just(2 * SECOND_NS),
        "storage": st.sampled_from(["file", "memory"]),
        "retention": st.sampled_from(["limits", "interest"]),
        "duplicate_window": st.just(SECOND_NS // 2),
        "first_seq": st.sampled_from([1, 7]),
    },
)


def everything(stream: Stream) -> list[object]:
    """All that can be asked of a stream."""
    seqs = stream.sequences()
    return [
        stream.state(),
        stream.config,
        stream.created,
        stream.consumers,
        stream.last_msg_id,
        stream.next_expiry(),
        seqs,
        stream.missing(),
        [stream.message(seq) for seq in seqs],
        stream.subjects(),
        stream.last_per_subject(),
        stream._recent._sequence_of,
        stream._expiry._due_at,
        stream._expiry._never,
        stream._time,
    ]


def play(rig: Rig, script: list[tuple]) -> None:
    for verb, *arguments in script:
        getattr(rig, verb)(*arguments)
        left = rig.left()
        assert len(left) == rig.stream.messages
        assert sum(map(rig.stream._messages.size_of, left)) == rig.stream.bytes
        assert left == sorted(left)
        if left:
            assert left[0] == rig.stream.first_seq


@settings(max_examples=150, deadline=None)
@given(configs, st.lists(steps, max_size=25))
def test_a_rebuilt_stream_is_the_same(config, script):
    rig = Rig(**config)
    play(rig, script)
    again = rig.reopened()
    assert everything(again) == everything(rig.stream)
    assert keys.applied_index(rig.records.get(keys.state(2))) == rig.index


@settings(max_examples=50, deadline=None)
@given(configs, st.lists(steps, max_size=15), st.lists(steps, max_size=15))
def test_a_rebuilt_stream_goes_on_as_the_old_one_would(config, before, after):
    rig, other = Rig(**config), Rig(**config)
    play(rig, before)
    play(other, before)
    other.stream = Stream(2, other.stream.config, 0, other.records)
    play(rig, after)
    play(other, after)
    assert everything(other.stream) == everything(rig.stream)
    assert other.last == rig.last


@settings(max_examples=50, deadline=None)
@given(configs, st.lists(steps, max_size=25))
def test_two_replicas_that_apply_one_log_are_equal(config, script):
    one, two = Rig(**config), Rig(**config)
    play(one, script)
    play(two, script)
    mine, theirs = (list(rig.storage.scan(b"", b"\xff")) for rig in (one, two))
    assert mine == theirs


@settings(max_examples=50, deadline=None)
@given(configs, st.lists(steps, max_size=25))
def test_the_store_holds_nothing_but_what_is_live(config, script):
    """No record outlives its message, no id its window, no consumer its deletion."""
    rig = Rig(**config)
    play(rig, script)
    stored = [keys.number(key) for key, _ in rig.storage.scan(*keys.messages(2))]
    assert stored == rig.left()
    assert len(list(rig.storage.scan(*keys.dedups(2)))) == len(rig.stream._recent)
    assert len(list(rig.storage.scan(*keys.consumers(2)))) == len(rig.stream.consumers)


@settings(max_examples=50, deadline=None)
@given(configs, st.lists(steps, max_size=25))
def test_what_is_due_expires_in_one_command(config, script):
    """Or the leader would propose the same expiry for ever."""
    rig = Rig(**config)
    play(rig, script)
    rig.expire(1)
    due = rig.stream.next_expiry()
    assert due is None or due > rig.now


@settings(max_examples=50, deadline=None)
@given(configs, st.lists(steps, max_size=25))
def test_the_budget_follows_the_bytes(config, script):
    budget = Budget(limit=10**9)
    rig = Rig(budget=budget, **config)
    play(rig, script)
    assert budget.used == rig.stream.bytes
    rig.stream.release()
    assert budget.used == 0


def test_an_update_survives_a_restart():
    rig = Rig()
    rig.update(max_msgs=5, description="new")
    assert rig.reopened().config == rig.stream.config
