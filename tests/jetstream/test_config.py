"""Stream configurations: one normal form, strict reading, the real server's words."""

import json

import pytest

from kvcore.jetstream import checks
from kvcore.jetstream.config import StreamConfig, decode_config
from kvcore.jetstream.errors import ApiError, ConfigError
from kvcore.jetstream.shapes import from_json
from kvcore.limits import MINUTE_NS, SECOND_NS
from tests.support.stream_rig import stream_config

BUCKET = {"name": "KV_b", "subjects": ["$KV.b.>"]}


def read(**fields: object) -> StreamConfig:
    return checks.normalised(from_json(json.dumps({**BUCKET, **fields}).encode()))


def refusal(**fields: object) -> str:
    with pytest.raises(ConfigError) as raised:
        read(**fields)
    error = raised.value.error
    return f"{error.code}/{error.err_code} {error.description}"


def test_the_echo_has_nats_servers_keys_in_its_order():
    assert list(read().echo("2.11.0")) == [
        "name", "subjects", "retention", "max_consumers", "max_msgs", "max_bytes", "max_age",
        "max_msgs_per_subject", "max_msg_size", "discard", "storage", "num_replicas",
        "duplicate_window", "compression", "allow_direct", "mirror_direct", "sealed",
        "deny_delete", "deny_purge", "allow_rollup_hdrs", "consumer_limits", "allow_msg_ttl",
        "metadata",
    ]  # fmt: skip


def test_what_is_left_out_gets_its_default():
    document = read().echo("2.11.0")
    assert document == {
        "name": "KV_b",
        "subjects": ["$KV.b.>"],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "discard": "old",
        "storage": "file",
        "num_replicas": 1,
        "duplicate_window": 2 * MINUTE_NS,
        "compression": "none",
        "allow_direct": False,
        "mirror_direct": False,
        "sealed": False,
        "deny_delete": False,
        "deny_purge": False,
        "allow_rollup_hdrs": False,
        "consumer_limits": {},
        "allow_msg_ttl": False,
        "metadata": {"_nats.level": "1", "_nats.req.level": "0", "_nats.ver": "2.11.0"},
    }


def test_different_spellings_of_one_bucket_are_equal():
    nats_py = read(max_msgs_per_subject=1, discard="new", allow_msg_ttl=False)
    nats_go = read(
        max_msgs_per_subject=1, discard="new", max_msgs=-1, max_bytes=-1, max_msg_size=-1,
        max_consumers=-1, storage="file", num_replicas=1, duplicate_window=2 * MINUTE_NS,
        placement=None, metadata={"_nats.ver": "2.15.2", "_nats.level": "5"}, sources=[],
    )  # fmt: skip
    assert nats_py == nats_go


def test_the_echo_sent_back_is_the_same_configuration():
    config = read(metadata={"mine": "1"}, max_age=SECOND_NS, placement={"cluster": "c"})
    assert read(**config.echo("2.11.0")) == config


def test_a_user_keeps_his_metadata():
    echo = read(metadata={"z": "1", "a": "2"}).echo("v")
    assert echo["metadata"] == {
        "_nats.level": "1", "_nats.req.level": "0", "_nats.ver": "v", "a": "2", "z": "1",
    }  # fmt: skip


def test_ttl_features_require_level_one():
    assert read(allow_msg_ttl=True).metadata["_nats.req.level"] == "1"
    assert read(subject_delete_marker_ttl=SECOND_NS).metadata["_nats.req.level"] == "1"


def test_a_marker_ttl_switches_on_what_it_needs():
    config = read(subject_delete_marker_ttl=SECOND_NS, deny_purge=True)
    assert (config.allow_msg_ttl, config.allow_rollup_hdrs, config.deny_purge) == (
        True, True, False,
    )  # fmt: skip


def test_the_duplicate_window_follows_a_short_age():
    assert read(max_age=SECOND_NS).duplicate_window == SECOND_NS


def test_without_subjects_a_stream_listens_to_its_name():
    assert read(subjects=[]).subjects == ("KV_b",)


def test_the_stored_form_reads_back_equal():
    config = read(
        subjects=["a.>", "b"], consumer_limits={"max_ack_pending": 5}, placement={"tags": ["x"]},
        metadata={"k": "v"}, subject_delete_marker_ttl=SECOND_NS, first_seq=9,
    )  # fmt: skip
    assert decode_config(config.encode()) == config


def test_a_null_inside_is_gos_zero_value():
    assert refusal(subjects=[None]) == "500/10052 invalid subject"
    assert refusal(sources=[None]) == "400/10141 sourced stream name is invalid"
    config = read(metadata={"a": None}, consumer_limits={"max_ack_pending": None}, sealed=None)
    assert (config.metadata["a"], config.consumer_limits.max_ack_pending) == ("", 0)


FIELD = "into Go struct field StreamConfigRequest.StreamConfig"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"foo": 1}, 'json: unknown field "foo"'),
        ({"placement": {"x": 1}}, 'json: unknown field "x"'),
        ({"max_msgs": "x"}, f"json: cannot unmarshal string {FIELD}.max_msgs of type int64"),
        ({"max_msgs": 1.5}, f"json: cannot unmarshal number 1.5 {FIELD}.max_msgs of type int64"),
        ({"max_msgs": True}, f"json: cannot unmarshal bool {FIELD}.max_msgs of type int64"),
        ({"max_age": "1s"}, f"json: cannot unmarshal string {FIELD}.max_age of type time.Duration"),
        ({"first_seq": -1}, f"json: cannot unmarshal number -1 {FIELD}.first_seq of type uint64"),
        ({"subjects": "x"}, f"json: cannot unmarshal string {FIELD}.subjects of type []string"),
        ({"subjects": [1]}, f"json: cannot unmarshal number {FIELD}.subjects of type string"),
        ({"sealed": "x"}, f"json: cannot unmarshal string {FIELD}.sealed of type bool"),
        ({"metadata": {"a": 1}}, f"json: cannot unmarshal number {FIELD}.metadata of type string"),
        (
            {"placement": 3},
            f"json: cannot unmarshal number {FIELD}.placement of type server.Placement",
        ),
        ({"storage": "rocksdb"}, r'can not unmarshal "\"rocksdb\""'),
        ({"storage": 3}, 'can not unmarshal "3"'),
        ({"retention": None}, 'can not unmarshal "null"'),
        ({"compression": "zip"}, "unknown compression algorithm"),
        (
            {"max_msg_size": 1 << 40},
            f"json: cannot unmarshal number {1 << 40} {FIELD}.max_msg_size of type int32",
        ),
    ],
)
def test_a_wrong_shape_is_refused_in_gos_words(fields, text):
    assert refusal(**fields) == f"400/10025 invalid JSON: {text}"


@pytest.mark.parametrize("payload", [b"{", b"[]", b'"x"', b"nul", b"\xff", b"1"])
def test_what_is_no_object_is_refused(payload):
    with pytest.raises(ConfigError) as raised:
        from_json(payload)
    assert raised.value.error.err_code == 10025


NAME_RULE = "stream name is required and can not contain '.', '*', '>', '\\', '/'"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": ""}, NAME_RULE),
        ({"name": "a.b"}, NAME_RULE),
        ({"name": "a b"}, NAME_RULE),
        ({"name": "x" * 256}, "stream name is too long, maximum allowed is 255"),
        ({"description": "x" * 4097}, "stream description is too long, maximum allowed is 4096"),
        (
            {"metadata": {"k": "v" * 131072}},
            "stream metadata exceeds maximum size of 131072 bytes",
        ),
        ({"num_replicas": 6}, "maximum replicas is 5"),
        ({"max_age": -1}, "max age can not be negative"),
        ({"max_age": 5}, "max age needs to be >= 100ms"),
        ({"duplicate_window": -1}, "duplicates window can not be negative"),
        ({"duplicate_window": 5}, "duplicates window needs to be >= 100ms"),
        (
            {"max_age": SECOND_NS, "duplicate_window": 2 * SECOND_NS},
            "duplicates window can not be larger then max age",
        ),
        (
            {"deny_purge": True, "allow_rollup_hdrs": True},
            "roll-ups require the purge permission",
        ),
        (
            {"discard_new_per_subject": True},
            "discard new per subject requires discard new policy to be set",
        ),
        (
            {"discard_new_per_subject": True, "discard": "new"},
            "discard new per subject requires max msgs per subject > 0",
        ),
        (
            {"subject_delete_marker_ttl": 5},
            "subject delete marker TTL must be at least 1 second",
        ),
        ({"subject_delete_marker_ttl": -1}, "subject delete marker TTL must not be negative"),
        ({"subjects": ["a b"]}, "invalid subject"),
        ({"subjects": ["a..b"]}, "invalid subject"),
        ({"subjects": ["a.>", "a.b"]}, 'subject "a.>" overlaps with "a.b"'),
        ({"subjects": [">"]}, "capturing all subjects requires no-ack to be true"),
        (
            {"subjects": ["$JS.x"]},
            "subjects that overlap with jetstream api require no-ack to be true",
        ),
        (
            {"subjects": ["$SYS.x"]},
            "subjects that overlap with system api require no-ack to be true",
        ),
        (
            {"republish": {"src": ">", "dest": "$KV.b.x"}},
            "stream configuration for republish destination forms a cycle",
        ),
        (
            {"placement": {"preferred": "n1"}},
            "preferred server not permitted in placement",
        ),
    ],
)
def test_a_broken_rule_is_told_in_nats_servers_words(fields, text):
    assert refusal(**fields) == f"500/10052 {text}"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"num_replicas": -1}, "400/10133 replicas count cannot be negative"),
        ({"mirror": {"name": "Z"}}, "400/10034 stream mirrors can not contain subjects"),
        (
            {"mirror": {"name": "Z"}, "subjects": None, "sources": [{"name": "Y"}]},
            "400/10031 stream mirrors can not also contain other sources",
        ),
        (
            {"mirror": {"name": "Z"}, "subjects": None, "first_seq": 2},
            "400/10143 stream mirrors can not have first sequence configured",
        ),
        ({"sources": [{}]}, "400/10141 sourced stream name is invalid"),
    ],
)
def test_some_rules_have_their_own_number(fields, text):
    assert refusal(**fields) == text


def test_events_of_the_api_may_be_captured():
    assert read(subjects=["$JS.EVENT.>"]).subjects == ("$JS.EVENT.>",)


CHANGE = "stream configuration update can not"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ({}, {"storage": "memory"}, f"{CHANGE} change storage type"),
        (
            {},
            {"retention": "workqueue"},
            f"{CHANGE} change retention policy to/from workqueue",
        ),
        ({"deny_delete": True}, {}, f"{CHANGE} cancel deny message deletes"),
        ({"deny_purge": True}, {}, f"{CHANGE} cancel deny purge"),
        ({"sealed": True}, {}, f"{CHANGE} unseal a sealed stream"),
        ({"allow_msg_ttl": True}, {}, "message TTL status can not be disabled"),
        ({}, {"allow_msg_counter": True}, f"{CHANGE} change message counter setting"),
        ({}, {"persist_mode": "async"}, f"{CHANGE} change persist mode"),
    ],
)
def test_some_changes_are_refused(before, after, text):
    found = checks.updated(stream_config(**before), stream_config(**after))
    assert found == ApiError(500, 10052, text)


def test_replicas_need_a_cluster():
    found = checks.updated(stream_config(), stream_config(num_replicas=3))
    assert found == ApiError(500, 10074, "replicas > 1 not supported in non-clustered mode")


def test_sealing_turns_everything_off():
    found = checks.updated(stream_config(allow_rollup_hdrs=True), stream_config(sealed=True))
    assert isinstance(found, StreamConfig)
    assert (found.discard, found.deny_delete, found.deny_purge) == ("new", True, True)
    assert (found.allow_rollup_hdrs, found.max_age) == (False, 0)


def test_what_kvs_users_edit_may_change():
    new = stream_config(
        description="d", max_age=SECOND_NS, max_bytes=5, max_msg_size=7, max_msgs_per_subject=3,
        metadata={"a": "b"}, placement={"cluster": "c"}, compression="s2", allow_msg_ttl=True,
        retention="interest", discard="new", subjects=["other"],
    )  # fmt: skip
    assert checks.updated(stream_config(), new) == new
