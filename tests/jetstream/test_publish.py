"""Publishing to a stream: what is stored, what is refused, and in which order it is judged."""

import pytest

from kvcore.jetstream.commands import Publish
from kvcore.jetstream.stream import Budget
from kvcore.limits import SECOND_NS
from tests.support.stream_rig import START, Rig

SUBJECT_SEQ = "Nats-Expected-Last-Subject-Sequence"


def test_the_ack_has_nats_servers_bytes():
    rig = Rig()
    rig.put("s.a")
    assert rig.last.payload == b'{"stream":"S","seq":1}'
    assert (rig.last.reply, rig.last.stored, rig.last.subject) == ("inbox", 1, "s.a")


def test_a_duplicates_ack_has_nats_servers_bytes():
    rig = Rig()
    rig.put("s.a", headers={"Nats-Msg-Id": "m"})
    rig.put("s.b", headers={"Nats-Msg-Id": "m"})
    assert rig.last.payload == b'{"stream":"S","seq":1,"duplicate": true}'
    assert (rig.last.stored, rig.left()) == (0, [1])


def test_a_refusal_has_nats_servers_bytes():
    rig = Rig()
    rig.put("s.a", headers={"Nats-Expected-Last-Msg-Id": "<x>"})
    assert rig.last.payload == (
        b'{"error":{"code":400,"err_code":10070,"description":"wrong last msg ID: "},'
        b'"stream":"S","seq":0}'
    )


def test_html_in_a_refusal_is_escaped_as_go_does():
    rig = Rig(allow_rollup_hdrs=True)
    rig.put("s.a", headers={"Nats-Rollup": "a<b"})
    assert rb'"rollup value invalid: \"a\u003cb\""' in rig.last.payload


def test_a_stream_without_acks_answers_nothing():
    rig = Rig(no_ack=True)
    rig.apply(Publish("s.a", "inbox", None, b"v", START))
    assert (rig.last.reply, rig.last.payload, rig.last.stored) == ("", b"", 1)


def test_a_publish_without_reply_is_stored():
    rig = Rig()
    rig.apply(Publish("s.a", "", None, b"v", START))
    assert rig.left() == [1]


def test_headers_and_payload_come_back_verbatim():
    rig = Rig()
    block = b"NATS/1.0\r\nB:  two\r\nA: \xff\r\n\r\n"
    rig.apply(Publish("s.\udcfe", "", block, b"\x00\xff", START))
    message = rig.stream.message(1)
    assert message == (1, "s.\udcfe", block, b"\x00\xff", START)


def test_a_zero_length_header_block_is_none():
    rig = Rig()
    rig.apply(Publish("s.a", "", b"", b"v", START))
    assert rig.stream.message(1).header is None


def test_a_wildcard_in_the_subject_is_refused():
    rig = Rig()
    refusal = "400/10003 publish subject can not contain wildcards"
    assert rig.error("s.*") == refusal
    assert rig.error("s.>") == refusal
    assert rig.put("s.a*b")["seq"] == 1


def test_create_succeeds_once_and_tells_the_loser_the_revision():
    rig = Rig(max_msgs_per_subject=1)
    assert rig.put("s.a", headers={SUBJECT_SEQ: "0"})["seq"] == 1
    assert rig.error("s.a", {SUBJECT_SEQ: "0"}) == "400/10071 wrong last sequence: 1"


def test_update_with_stale_revision_is_refused_with_10071():
    rig = Rig(max_msgs_per_subject=1)
    rig.put("s.a")
    rig.put("s.a", headers={SUBJECT_SEQ: "1"})
    assert rig.error("s.a", {SUBJECT_SEQ: "1"}) == "400/10071 wrong last sequence: 2"


def test_create_after_purge_of_the_marker_succeeds():
    rig = Rig(max_msgs_per_subject=1)
    rig.put("s.a", b"", {"KV-Operation": "DEL"})
    assert rig.error("s.a", {SUBJECT_SEQ: "0"}) == "400/10071 wrong last sequence: 1"
    rig.purge("s.a")
    assert rig.put("s.a", headers={SUBJECT_SEQ: "0"})["seq"] == 2


@pytest.mark.parametrize("value", ["abc", "-1", "1.0", "1" * 30])
def test_a_sequence_that_is_no_number_matches_nothing(value):
    rig = Rig()
    rig.put("s.a")
    assert rig.error("s.a", {SUBJECT_SEQ: value}) == "400/10071 wrong last sequence: 1"


def test_an_empty_condition_is_no_condition():
    rig = Rig()
    rig.put("s.a")
    assert rig.put("s.a", headers={SUBJECT_SEQ: ""})["seq"] == 2


def test_the_condition_can_name_another_subject_or_pattern():
    rig = Rig()
    rig.put("s.a")
    other = {SUBJECT_SEQ: "1", f"{SUBJECT_SEQ}-Subject": "s.a"}
    assert rig.put("s.b", headers=other)["seq"] == 2
    pattern = {SUBJECT_SEQ: "1", f"{SUBJECT_SEQ}-Subject": "s.*"}
    assert rig.error("s.c", pattern) == "400/10071 wrong last sequence: 2"


def test_another_subject_without_its_sequence_is_refused():
    assert Rig().error("s.b", {f"{SUBJECT_SEQ}-Subject": "s.a"}) == (
        "400/10193 missing sequence for expected last sequence per subject"
    )


def test_the_streams_last_sequence_can_be_expected():
    rig = Rig()
    rig.put("s.a")
    assert rig.error("s.b", {"Nats-Expected-Last-Sequence": "0"}) == (
        "400/10071 wrong last sequence: 1"
    )
    assert rig.put("s.b", headers={"Nats-Expected-Last-Sequence": "1"})["seq"] == 2


def test_the_last_message_id_can_be_expected():
    rig = Rig()
    rig.put("s.a", headers={"Nats-Msg-Id": "one"})
    assert rig.put("s.a", headers={"Nats-Expected-Last-Msg-Id": "one"})["seq"] == 2
    assert rig.error("s.a", {"Nats-Expected-Last-Msg-Id": "one"}) == (
        "400/10070 wrong last msg ID: "
    )


def test_another_stream_can_not_be_expected():
    assert Rig().error("s.a", {"Nats-Expected-Stream": "T"}) == (
        "400/10060 expected stream does not match"
    )


def test_a_message_id_is_forgotten_after_the_window():
    rig = Rig(duplicate_window=SECOND_NS)
    rig.put("s.a", headers={"Nats-Msg-Id": "m"})
    rig.now += SECOND_NS - 1
    assert rig.put("s.a", headers={"Nats-Msg-Id": "m"})["duplicate"] is True
    rig.now += 1
    assert rig.put("s.a", headers={"Nats-Msg-Id": "m"}) == {"stream": "S", "seq": 2}


def test_an_id_is_remembered_when_its_message_is_gone():
    rig = Rig(max_msgs_per_subject=1)
    rig.put("s.a", headers={"Nats-Msg-Id": "m"})
    rig.put("s.a")
    rig.purge()
    assert rig.put("s.a", headers={"Nats-Msg-Id": "m"})["seq"] == 1
    again = rig.reopened()
    command = Publish("s.a", "r", b"NATS/1.0\r\nNats-Msg-Id: m\r\n\r\n", b"", rig.now)
    assert b'"duplicate": true' in again.apply(command, 9).payload


def test_time_never_goes_back():
    rig = Rig()
    rig.put("s.a")
    rig.now -= 5
    rig.put("s.b")
    assert rig.stream.message(2).time == START


def test_rollup_keeps_the_new_message_and_drops_the_subjects_older_ones():
    rig = Rig(allow_rollup_hdrs=True)
    for subject in ("s.a", "s.b", "s.a"):
        rig.put(subject)
    rig.put("s.a", headers={"Nats-Rollup": "sub"})
    assert (rig.left(), rig.last.removed) == ([2, 4], [1, 3])
    rig.put("s.c", headers={"Nats-Rollup": "ALL"})
    assert rig.left() == [5]


@pytest.mark.parametrize("fields", [{}, {"deny_purge": True}])
def test_rollup_needs_permission(fields):
    assert Rig(**fields).error("s.a", {"Nats-Rollup": "sub"}) == "500/10111 rollup not permitted"


def test_sizes_count_the_headers():
    rig = Rig(max_msg_size=30)
    assert rig.put("s.a", b"x" * 30)["seq"] == 1
    too_large = "400/10054 message size exceeds maximum allowed"
    assert rig.error("s.a", payload=b"x" * 31) == too_large
    assert rig.error("s.a", {"K": "v" * 14}, b"x") == too_large  # 30 bytes of header


def test_a_header_of_64_kib_is_refused():
    refusal = "400/10097 header size exceeds maximum allowed of 64k"
    assert Rig().error("s.a", {"K": "v" * (64 * 1024)}) == refusal
    assert Rig().put("s.a", headers={"K": "v" * (64 * 1024 - 18)})["seq"] == 1


@pytest.mark.parametrize(
    ("key", "refusal"),
    [
        ("Nats-Incr", "400/10168 message counters is disabled"),
        ("Nats-Schedule", "400/10188 message schedules is disabled"),
        ("Nats-Batch-Id", "400/10174 atomic publish is disabled"),
        ("Nats-Stream-Source", "400/10227 message stream source header is not allowed"),
    ],
)
def test_headers_of_features_that_are_missing_are_refused(key, refusal):
    assert Rig().error("s.a", {key: "1"}) == refusal


def test_a_server_without_room_refuses():
    rig = Rig(budget=Budget(limit=50))
    rig.put("s.a", b"x" * 100)
    assert rig.error("s.b") == "503/10023 insufficient resources"
    rig.purge()
    assert rig.put("s.b")["seq"] == 2


def test_a_smaller_server_does_not_undo_what_the_log_says():
    rig = Rig(budget=Budget(limit=0))
    rig.stream.apply(Publish("s.a", "", None, b"x", START), 1)
    assert rig.stream.apply(Publish("s.a", "", None, b"x", START), 2).stored == 2


def test_only_the_first_failing_check_is_told():
    """Each header adds a failure that is judged before all those already there."""
    sealed = Rig(max_msg_size=200)
    sealed.put("s.a", headers={"Nats-Msg-Id": "known"})
    headers = {"Nats-Rollup": "sub"}
    steps = [
        ("Nats-Expected-Last-Msg-Id", "x", 10070),
        ("Nats-Expected-Last-Sequence", "7", 10071),
        (SUBJECT_SEQ, "8", 10071),
        ("Nats-TTL", "1", 10166),
        ("Nats-Expected-Stream", "T", 10060),
    ]
    assert sealed.put("s.a", headers=headers)["error"]["err_code"] == 10111
    for key, value, err_code in steps:
        headers[key] = value
        assert sealed.put("s.a", headers=headers)["error"]["err_code"] == err_code
    assert sealed.put("s.a", b"x" * 300, headers)["error"]["err_code"] == 10054
    sealed.update(max_msg_size=200, sealed=True)
    assert sealed.put("s.a", b"x" * 300, headers)["error"]["err_code"] == 10109


def test_a_duplicate_is_recognised_before_its_last_id_and_rollup_are_judged():
    rig = Rig()
    rig.put("s.a", headers={"Nats-Msg-Id": "m"})
    again = {"Nats-Msg-Id": "m", "Nats-Expected-Last-Msg-Id": "x", "Nats-Rollup": "sub"}
    assert rig.put("s.a", headers=again)["duplicate"] is True


def test_a_duplicate_is_recognised_after_its_sequences_are_judged():
    rig = Rig()
    rig.put("s.a", headers={"Nats-Msg-Id": "m"})
    again = {"Nats-Msg-Id": "m", "Nats-Expected-Last-Sequence": "0"}
    assert rig.error("s.a", again) == "400/10071 wrong last sequence: 1"


def test_header_keys_are_case_sensitive_and_the_first_one_counts():
    rig = Rig()
    rig.put("s.a")
    assert rig.put("s.a", headers={SUBJECT_SEQ.lower(): "7"})["seq"] == 2
    twice = f"NATS/1.0\r\n{SUBJECT_SEQ}: 2\r\n{SUBJECT_SEQ}: 9\r\n\r\n".encode()
    assert rig.apply(Publish("s.a", "r", twice, b"", START)).stored == 3


def test_exactly_one_of_sixty_creates_wins():
    rig = Rig(max_msgs_per_subject=1)
    acks = [rig.put("s.a", headers={SUBJECT_SEQ: "0"}) for _ in range(60)]
    refused = [ack for ack in acks if "error" in ack]
    assert len(refused) == 59
    assert {ack["error"]["description"] for ack in refused} == {"wrong last sequence: 1"}
