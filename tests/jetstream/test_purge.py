"""Purging: by subject, by sequence, all but the newest few."""

import pytest

from kvcore.jetstream.outcome import Purged, Refused
from tests.support.stream_rig import Rig


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    for subject in ("s.a", "s.b", "s.a", "s.c.d", "s.a"):
        rig.put(subject)
    return rig


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        ({}, []),
        ({"subject": ">"}, []),
        ({"subject": "s.a"}, [2, 4]),
        ({"subject": "s.*"}, [4]),
        ({"subject": "s.x"}, [1, 2, 3, 4, 5]),
        ({"subject": "s.a", "keep": 1}, [2, 4, 5]),
        ({"subject": "s.*", "keep": 1}, [4, 5]),
        ({"keep": 2}, [4, 5]),
        ({"keep": 9}, [1, 2, 3, 4, 5]),
        ({"seq": 1}, [1, 2, 3, 4, 5]),
        ({"seq": 3}, [3, 4, 5]),
        ({"subject": "s.a", "seq": 5}, [2, 4, 5]),
        ({"subject": "s.a", "seq": 50}, [2, 4]),
    ],
)
def test_a_purge_drops_what_it_names(rig, request_, left):
    outcome = rig.purge(**request_)
    assert rig.left() == left
    assert outcome.result == Purged(5 - len(left))
    assert sorted(outcome.removed) == [seq for seq in range(1, 6) if seq not in left]


def test_keep_one_leaves_a_lone_marker():
    rig = Rig()
    rig.put("s.a", b"", {"KV-Operation": "DEL"})
    assert rig.purge("s.a", keep=1).result == Purged(0)


def test_after_a_full_purge_sequences_go_on(rig):
    rig.purge()
    assert (rig.stream.first_seq, rig.stream.last_seq, rig.stream.bytes) == (6, 5, 0)
    assert rig.put("s.a")["seq"] == 6


def test_a_purge_below_a_sequence_not_yet_given_skips_to_it(rig):
    rig.purge(seq=10)
    assert (rig.stream.first_seq, rig.stream.last_seq) == (10, 9)
    assert rig.put("s.a")["seq"] == 10


def test_a_purge_of_an_untouched_stream_starts_it_at_one():
    rig = Rig()
    rig.purge()
    assert (rig.stream.first_seq, rig.stream.last_seq) == (1, 0)
    assert rig.reopened().first_seq == 1


def refusal(rig: Rig, **request: object) -> str:
    result = rig.purge(**request).result
    assert isinstance(result, Refused)
    return f"{result.error.code}/{result.error.err_code} {result.error.description}"


def test_deny_purge_is_told_with_10110():
    assert refusal(Rig(deny_purge=True)) == "500/10110 stream purge not permitted"


def test_a_sealed_stream_is_not_purged():
    rig = Rig()
    rig.update(sealed=True)
    assert refusal(rig) == "400/10109 invalid operation on sealed stream"
