"""Age and time to live: who has to go, when, and what is left behind."""

import pytest

from kvcore.jetstream.conditions import read_ttl
from kvcore.jetstream.gojson import parse_duration, seconds
from kvcore.limits import SECOND_NS
from tests.support.stream_rig import START, Rig

MARKER = b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 3s\r\nNats-Rollup: sub\r\n\r\n"


def test_max_age_drops_the_oldest_at_its_time():
    rig = Rig(max_age=2 * SECOND_NS)
    rig.put("s.a")
    rig.now += SECOND_NS
    rig.put("s.b")
    assert rig.stream.next_expiry() == START + 2 * SECOND_NS
    assert rig.expire(1 - 1e-9).removed == []
    assert rig.expire(1e-9).removed == [1]
    assert rig.stream.next_expiry() == START + 3 * SECOND_NS


def test_a_stream_without_age_or_ttl_never_expires():
    rig = Rig()
    rig.put("s.a")
    assert rig.stream.next_expiry() is None


def test_ttl_drops_a_message_before_those_stored_earlier():
    rig = Rig(allow_msg_ttl=True)
    rig.put("s.a", headers={"Nats-TTL": "5"})
    rig.put("s.b", headers={"Nats-TTL": "1s"})
    assert rig.stream.next_expiry() == START + SECOND_NS
    assert rig.expire(1).removed == [2]
    assert rig.expire(4).removed == [1]
    assert rig.stream.next_expiry() is None


def test_never_exempts_from_max_age():
    rig = Rig(max_age=SECOND_NS, allow_msg_ttl=True)
    rig.put("s.a", headers={"Nats-TTL": "never"})
    rig.put("s.b")
    assert rig.expire(2).removed == [2]
    assert (rig.left(), rig.stream.next_expiry()) == ([1], None)
    rig.put("s.c")
    assert rig.stream.next_expiry() == rig.now + SECOND_NS


def test_an_overwritten_message_is_no_longer_due():
    rig = Rig(allow_msg_ttl=True, max_msgs_per_subject=1)
    rig.put("s.a", headers={"Nats-TTL": "1"})
    rig.put("s.a")
    assert rig.stream.next_expiry() is None
    assert rig.expire(5).removed == []


def test_a_refreshed_lock_does_not_pile_up():
    rig = Rig(allow_msg_ttl=True, max_msgs_per_subject=1)
    for _ in range(1000):
        rig.put("s.lock", headers={"Nats-TTL": "1h"})
    assert len(rig.stream._expiry._heap) < 100


@pytest.mark.parametrize("value", ["abc", "0", "-1", "500ms", "1e3", "5 s"])
def test_a_bad_ttl_is_refused(value):
    assert Rig(allow_msg_ttl=True).error("s.a", {"Nats-TTL": value}) == (
        "400/10165 invalid per-message TTL"
    )


def test_a_ttl_needs_permission():
    assert Rig().error("s.a", {"Nats-TTL": "1"}) == "400/10166 per-message TTL is disabled"


@pytest.mark.parametrize(
    ("value", "ttl"),
    [
        (b"", 0), (b"00", 0), (b"7", 7), (b"1.5s", 1), (b"1h30m", 5400), (b"+5s", 5),
        (b".5h", 1800), (b"never", -1), (b"NEVER", -1), (b"2562048h", None), (b"-5s", None),
    ],
)  # fmt: skip
def test_a_ttl_is_read_as_go_reads_it(value, ttl):
    assert read_ttl(value) == ttl


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1ns", 1), ("1us", 1000), ("1µs", 1000), ("1.000000001s", SECOND_NS + 1), ("0", 0),
        ("-1.5m", -90 * SECOND_NS), ("1h1s1h", 7201 * SECOND_NS), ("1", None), ("s", None),
        (".s", None), ("", None), ("-", None), ("1x", None), ("1..2s", None),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_go_reads_it(text, nanos):
    assert parse_duration(text) == nanos


def test_a_duration_is_written_as_go_writes_it():
    assert [seconds(n) for n in (1, 60, 90, 3600, 3661)] == [
        "1s", "1m0s", "1m30s", "1h0m0s", "1h1m1s",
    ]  # fmt: skip


def test_the_last_message_of_a_subject_leaves_a_marker():
    rig = Rig(max_age=SECOND_NS, subject_delete_marker_ttl=3 * SECOND_NS, max_msgs_per_subject=5)
    rig.put("s.a")
    rig.put("s.a")
    outcome = rig.expire(1)
    assert (outcome.markers, sorted(outcome.removed)) == (((3, "s.a"),), [1, 2])
    assert rig.stream.message(3) == (3, "s.a", MARKER, b"", rig.now)


def test_a_marker_dies_of_its_own_ttl_and_leaves_nothing():
    rig = Rig(subject_delete_marker_ttl=3 * SECOND_NS, max_msgs_per_subject=1)
    rig.put("s.a", headers={"Nats-TTL": "1"})
    assert rig.expire(1).markers == ((2, "s.a"),)
    assert rig.stream.next_expiry() == rig.now + 3 * SECOND_NS
    outcome = rig.expire(3)
    assert (outcome.removed, outcome.markers, rig.left()) == ([2], (), [])


def test_an_expired_purge_marker_leaves_nothing():
    rig = Rig(subject_delete_marker_ttl=3 * SECOND_NS, max_msgs_per_subject=1)
    rig.put("s.a", b"", {"KV-Operation": "PURGE", "Nats-TTL": "1"})
    rig.put("s.b", b"", {"KV-Operation": "DEL", "Nats-TTL": "1"})
    outcome = rig.expire(1)
    assert (outcome.markers, sorted(outcome.removed)) == (((3, "s.b"),), [1, 2])


def test_a_message_that_is_not_the_subjects_last_leaves_nothing():
    rig = Rig(subject_delete_marker_ttl=SECOND_NS, max_msgs_per_subject=5)
    rig.put("s.a")
    rig.put("s.a", headers={"Nats-TTL": "1"})
    outcome = rig.expire(1)
    assert (outcome.markers, outcome.removed) == ((), [2])


def test_without_marker_ttl_messages_vanish_silently():
    rig = Rig(max_age=SECOND_NS)
    rig.put("s.a")
    assert (rig.expire(1).markers, rig.left()) == ((), [])


def test_a_full_stream_still_places_its_marker():
    rig = Rig(
        max_age=SECOND_NS, subject_delete_marker_ttl=3 * SECOND_NS, max_bytes=60, discard="new"
    )
    rig.put("s.a")
    assert rig.expire(1).markers == ((2, "s.a"),)


def test_a_ttl_below_the_markers_is_raised_in_the_stored_header():
    rig = Rig(subject_delete_marker_ttl=30 * SECOND_NS, max_msgs_per_subject=5)
    rig.put("s.a", headers={"Nats-TTL": "5s", "K": "v"})
    assert rig.stream.message(1).header == b"NATS/1.0\r\nK: v\r\nNats-TTL: 30\r\n\r\n"
    assert rig.stream.next_expiry() == START + 30 * SECOND_NS


def test_with_history_one_the_ttl_is_kept():
    rig = Rig(subject_delete_marker_ttl=30 * SECOND_NS, max_msgs_per_subject=1)
    rig.put("s.a", headers={"Nats-TTL": "5s"})
    assert rig.stream.next_expiry() == START + 5 * SECOND_NS


def test_an_api_purge_places_no_marker():
    rig = Rig(subject_delete_marker_ttl=3 * SECOND_NS)
    rig.put("s.a")
    assert (rig.purge().markers, rig.left()) == ((), [])


def test_due_times_survive_a_restart():
    rig = Rig(max_age=60 * SECOND_NS, allow_msg_ttl=True)
    rig.put("s.a", headers={"Nats-TTL": "never"})
    rig.put("s.b", headers={"Nats-TTL": "7"})
    rig.put("s.c", b"\r\nNats-TTL: 1\r\n")
    again = rig.reopened()
    assert again.next_expiry() == START + 7 * SECOND_NS
