"""Limits: what a full stream refuses, and what it drops."""

import pytest

from kvcore.jetstream.outcome import Deleted, Refused
from tests.support.stream_rig import Rig


def fill(rig: Rig, subjects: str) -> None:
    for letter in subjects:
        assert "error" not in rig.put(f"s.{letter}")


def test_history_keeps_the_newest_of_each_subject():
    rig = Rig(max_msgs_per_subject=2)
    fill(rig, "aabaa")
    assert rig.left() == [3, 4, 5]
    assert rig.last.removed == [2]


def test_discard_old_drops_other_keys():
    rig = Rig(max_msgs=2)
    fill(rig, "abc")
    assert (rig.left(), rig.last.removed) == ([2, 3], [1])


def test_discard_new_refuses_when_messages_are_full():
    rig = Rig(max_msgs=2, discard="new")
    fill(rig, "ab")
    assert rig.error("s.c") == "503/10077 maximum messages exceeded"
    assert rig.left() == [1, 2]


def test_discard_new_lets_a_full_history_replace_its_oldest():
    rig = Rig(max_msgs=2, max_msgs_per_subject=1, discard="new")
    fill(rig, "aba")
    assert rig.left() == [2, 3]


def test_discard_new_refuses_when_bytes_are_full():
    rig = Rig(max_bytes=80, discard="new")  # a message of one byte on s.a counts 34
    fill(rig, "ab")
    assert rig.error("s.c") == "503/10077 maximum bytes exceeded"


def test_an_overwrite_is_allowed_if_the_net_size_fits():
    rig = Rig(max_bytes=80, max_msgs_per_subject=1, discard="new")
    fill(rig, "aba")
    assert rig.error("s.a", payload=b"xx") == "503/10077 maximum bytes exceeded"


def test_discard_old_makes_room_for_bytes():
    rig = Rig(max_bytes=80)
    fill(rig, "abc")
    assert rig.left() == [2, 3]


def test_a_message_larger_than_the_stream_is_acked_and_gone():
    rig = Rig(max_bytes=40)
    assert rig.put("s.a", b"x" * 50)["seq"] == 1
    assert (rig.left(), rig.last.removed, rig.last.stored) == ([], [1], 1)


def test_a_write_once_bucket_refuses_overwrites():
    rig = Rig(
        max_msgs_per_subject=1, discard="new", discard_new_per_subject=True, allow_rollup_hdrs=True
    )
    fill(rig, "a")
    assert rig.error("s.a") == "503/10077 maximum messages per subject exceeded"
    assert rig.put("s.a", headers={"Nats-Rollup": "sub"})["seq"] == 2


@pytest.mark.parametrize(
    ("storage", "headers", "size"),
    [
        ("file", {}, 30 + 3 + 5),
        ("file", {"K": "v"}, 30 + 3 + 5 + 4 + 18),
        ("memory", {}, 16 + 3 + 5),
        ("memory", {"K": "v"}, 16 + 3 + 5 + 18),
    ],
)
def test_bytes_are_counted_as_nats_server_does(storage, headers, size):
    rig = Rig(storage=storage)
    rig.put("s.a", b"12345", headers)
    assert rig.stream.bytes == size
    rig.delete(1)
    assert rig.stream.bytes == 0


def test_lowering_history_trims_at_once():
    rig = Rig(max_msgs_per_subject=5)
    fill(rig, "aabab")
    outcome = rig.update(max_msgs_per_subject=1)
    assert (rig.left(), sorted(outcome.removed)) == ([4, 5], [1, 2, 3])


def test_lowering_totals_trims_only_when_old_messages_may_go():
    rig = Rig()
    fill(rig, "abc")
    rig.update(max_msgs=1, discard="new")
    assert rig.left() == [1, 2, 3]
    rig.update(max_msgs=1)
    assert rig.left() == [3]


def test_a_deleted_message_leaves_a_gap():
    rig = Rig()
    fill(rig, "abc")
    assert rig.delete(2).result == Deleted(2)
    assert (rig.left(), rig.stream.missing(), rig.last.removed) == ([1, 3], [2], [2])
    assert rig.stream.state()["num_deleted"] == 1


def test_deleting_the_first_message_moves_first_past_the_gap():
    rig = Rig()
    fill(rig, "abcd")
    rig.delete(2)
    rig.delete(1)
    assert rig.stream.first_seq == 3


@pytest.mark.parametrize(
    ("storage", "seq", "err_code"),
    [("file", 9, 10057), ("file", 2, 10043), ("memory", 9, 10043), ("memory", 2, 10043)],
)
def test_deleting_what_is_not_there_is_refused(storage, seq, err_code):
    rig = Rig(storage=storage)
    fill(rig, "abc")
    rig.delete(2)
    result = rig.delete(seq).result
    assert isinstance(result, Refused)
    assert result.error.err_code == err_code


def test_deny_delete_is_told_with_10057():
    rig = Rig(deny_delete=True)
    fill(rig, "a")
    result = rig.delete(1).result
    assert isinstance(result, Refused)
    assert result.error.description == "message delete not permitted"


def test_an_emptied_stream_starts_after_its_last():
    rig = Rig()
    fill(rig, "ab")
    rig.delete(1)
    rig.delete(2)
    state = rig.stream.state()
    assert (state["first_seq"], state["last_seq"], state["messages"]) == (3, 2, 0)
    assert state["first_ts"] == "0001-01-01T00:00:00Z"


def test_a_stream_that_was_never_written_has_sequence_zero():
    assert Rig().stream.state() == {
        "messages": 0,
        "bytes": 0,
        "first_seq": 0,
        "first_ts": "0001-01-01T00:00:00Z",
        "last_seq": 0,
        "last_ts": "0001-01-01T00:00:00Z",
        "consumer_count": 0,
    }


def test_the_first_sequence_can_be_chosen():
    rig = Rig(first_seq=100)
    assert (rig.stream.first_seq, rig.stream.last_seq) == (100, 99)
    assert rig.put("s.a")["seq"] == 100


def test_interest_without_consumers_acks_and_keeps_nothing():
    rig = Rig(retention="interest")
    assert rig.put("s.a")["seq"] == 1
    assert rig.put("s.a")["seq"] == 2
    assert (rig.last.stored, rig.left(), rig.stream.first_seq) == (0, [], 3)


def test_interest_keeps_what_a_consumer_wants_until_it_is_gone():
    rig = Rig(retention="interest")
    rig.consume("c", "s.a")
    rig.put("s.b")
    rig.put("s.a")
    assert rig.left() == [2]
    assert rig.forget_consumer("c").removed == [2]


def test_switching_to_interest_drops_what_nobody_wants():
    rig = Rig()
    fill(rig, "ab")
    rig.consume("c", "s.a")
    assert rig.update(retention="interest").removed == [2]


def test_workqueue_keeps_messages_for_reads():
    rig = Rig(retention="workqueue")
    fill(rig, "a")
    assert rig.left() == [1]
