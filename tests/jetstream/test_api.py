"""The API's verbs: types, fields, errors, as recorded from nats-server 2.15.2."""

import pytest

from kvcore import limits
from kvcore.jetstream.answers import ProposeMeta
from kvcore.limits import SECOND_NS
from kvcore.nats.subject import matches
from tests.support.desk import INBOX, START, Desk

PUSH = {"deliver_subject": INBOX}


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.make("KV_A", max_msgs_per_subject=3)
    return desk


def create(desk: Desk, config: dict, tail: str = ".c", stream: str = "KV_A", **more):
    return desk.ask(
        f"CONSUMER.CREATE.{stream}{tail}", {"stream_name": stream, "config": config, **more}
    )


def number(answer: dict) -> int:
    return answer["error"]["err_code"]


def test_each_verb_has_its_own_subscription():
    desk = Desk()
    patterns = desk.api.subscriptions()
    assert "$JS.API.STREAM.INFO.*" in patterns
    assert not any(matches(pattern, "$JS.API.STREAM.NOSUCH.x") for pattern in patterns)
    assert not any(matches(pattern, "$JS.API.CONSUMER.MSG.NEXT.S.c") for pattern in patterns)
    assert desk.api.handle("$JS.API.STREAM.NOSUCH.x", "r", b"", START) == []
    assert desk.api.handle("$JS.API.STREAM.INFO", "r", b"", START) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"{bad"])
def test_info_reports_use_and_limits_whatever_the_payload(desk, body):
    desk.put("k", name="KV_A")
    assert create(desk, PUSH)["name"] == "c"
    desk.refused("STREAM.INFO.NOPE")
    info = desk.ask("INFO", body)
    assert info["type"] == "io.nats.jetstream.api.v1.account_info_response"
    assert (info["streams"], info["consumers"], info["memory"]) == (1, 1, 0)
    assert info["storage"] == 30 + len("$KV.A.k") + 1
    assert info["limits"]["max_bytes_required"] is False
    assert info["api"] == {"level": 1, "total": 4, "errors": 1}


def test_stream_create_shows_what_was_made_and_again_when_it_is_the_same(desk):
    config = {"name": "S", "subjects": ["s.>"]}
    first = desk.ask("STREAM.CREATE.S", config)
    assert first["type"] == "io.nats.jetstream.api.v1.stream_create_response"
    assert first["did_create"] is True
    assert first["created"] == first["ts"] == "2026-01-01T00:00:00Z"
    assert first["config"]["metadata"]["_nats.ver"] == "2.11.0"
    assert first["state"]["first_ts"] == "0001-01-01T00:00:00Z"
    assert "cluster" not in first
    assert desk.ask("STREAM.CREATE.S", config) == first
    assert desk.refused("STREAM.CREATE.S", {**config, "max_msgs": 5}) == (
        400,
        10058,
        "stream name already in use with a different configuration",
    )


@pytest.mark.parametrize("verb", ["CREATE", "UPDATE"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{bad", 10025),
        (b"[]", 10025),
        (b"", 10056),
        ({"name": "C"}, 10056),
        ({"name": 5}, 10025),
        (b"null", 10056),
        ({"name": "KV_A", "bogus": 1}, 10025),
    ],
)
def test_stream_configuration_that_cannot_be_read_is_refused(desk, verb, body, expected):
    answer = desk.ask(f"STREAM.{verb}.KV_A", body)
    assert answer["type"] == f"io.nats.jetstream.api.v1.stream_{verb.lower()}_response"
    assert number(answer) == expected


def test_stream_update_answers_with_the_new_configuration(desk):
    config = {"name": "KV_A", "subjects": ["$KV.A.>"], "max_msgs_per_subject": 9}
    answer = desk.ask("STREAM.UPDATE.KV_A", {**config, "description": "d"})
    assert answer["type"] == "io.nats.jetstream.api.v1.stream_update_response"
    assert answer["config"]["description"] == "d"
    assert "did_create" not in answer
    assert desk.refused("STREAM.UPDATE.NOPE", {"name": "NOPE"})[1] == 10059


def test_stream_delete_wants_an_empty_payload(desk):
    assert desk.refused("STREAM.DELETE.KV_A", b"{bad") == (
        400,
        10038,
        "expected an empty request payload",
    )
    assert desk.ask("STREAM.DELETE.KV_A", b"{ }") == {
        "type": "io.nats.jetstream.api.v1.stream_delete_response",
        "success": True,
    }
    assert desk.refused("STREAM.DELETE.KV_A") == (404, 10059, "stream not found")


def test_stream_info_shows_counts_of_subjects_only_when_asked(desk):
    for key in ("a", "a", "b"):
        desk.put(key, name="KV_A")
    plain = desk.ask("STREAM.INFO.KV_A")
    assert [plain[k] for k in ("total", "offset", "limit")] == [0, 0, 0]
    assert plain["cluster"] == {"leader": "n1"}
    assert "subjects" not in plain["state"]
    asked = desk.ask("STREAM.INFO.KV_A", {"offset": 0, "subjects_filter": ">"})
    assert [asked[k] for k in ("total", "offset", "limit")] == [2, 0, limits.SUBJECTS_PAGE_COUNT]
    assert asked["state"]["subjects"] == {"$KV.A.a": 2, "$KV.A.b": 1}
    rest = desk.ask("STREAM.INFO.KV_A", {"offset": 1, "subjects_filter": "$KV.A.*"})
    assert rest["state"]["subjects"] == {"$KV.A.b": 1}
    none = desk.ask("STREAM.INFO.KV_A", {"subjects_filter": "zz"})
    assert [none[k] for k in ("total", "offset", "limit")] == [0, 0, 0]
    assert "subjects" not in none["state"]


def test_stream_info_lists_gaps_when_asked(desk):
    for key in ("a", "b", "c"):
        desk.put(key, name="KV_A")
    desk.ask("STREAM.MSG.DELETE.KV_A", {"seq": 2})
    assert desk.ask("STREAM.INFO.KV_A", {"deleted_details": True})["state"]["deleted"] == [2]
    assert "deleted" not in desk.ask("STREAM.INFO.KV_A")["state"]


def test_error_of_stream_info_keeps_its_type_and_counts(desk):
    assert desk.ask("STREAM.INFO.NOPE") == {
        "type": "io.nats.jetstream.api.v1.stream_info_response",
        "error": {"code": 404, "err_code": 10059, "description": "stream not found"},
        "total": 0,
        "offset": 0,
        "limit": 0,
    }
    assert desk.refused("STREAM.INFO.KV_A", {"bogus": 1}) == (
        400,
        10025,
        'invalid JSON: json: unknown field "bogus"',
    )


@pytest.mark.parametrize(
    ("body", "numbers", "expected"),
    [
        (b"", [3, 0], ["B", "KV_A", "W"]),
        ({"offset": 2}, [3, 2], ["W"]),
        ({"offset": 200}, [3, 3], None),
        ({"offset": -3}, [3, 0], ["B", "KV_A", "W"]),
        ({"subject": "b.1"}, [1, 0], ["B"]),
        ({"subject": "*.1"}, [2, 0], ["B", "W"]),
        ({"subject": "$KV.*.>"}, [1, 0], ["KV_A"]),
        ({"subject": "zz"}, [0, 0], None),
    ],
)
def test_stream_names_and_list_are_paged_sorted_and_filtered(desk, body, numbers, expected):
    for name in ("W", "B"):
        desk.make(name, subjects=[f"{name.lower()}.>"])
    answer = desk.ask("STREAM.NAMES", body)
    assert [answer["total"], answer["offset"]] == numbers
    assert answer["streams"] == expected
    assert answer["limit"] == 1024
    listed = desk.ask("STREAM.LIST", body)
    assert [one["config"]["name"] for one in listed["streams"]] == (expected or [])
    assert listed["limit"] == 256


def test_purge_says_how_many_went(desk):
    for key in ("a", "a", "b"):
        desk.put(key, name="KV_A")
    answer = desk.ask("STREAM.PURGE.KV_A", {"filter": "$KV.A.a", "keep": 1})
    assert answer == {
        "type": "io.nats.jetstream.api.v1.stream_purge_response",
        "success": True,
        "purged": 1,
    }
    assert desk.ask("STREAM.PURGE.KV_A")["purged"] == 2
    assert desk.ask("STREAM.PURGE.KV_A", {"keep": 1, "seq": 2})["error"]["err_code"] == 10003
    assert desk.ask("STREAM.PURGE.KV_A", {"bogus": 1})["purged"] == 0
    assert desk.refused("STREAM.PURGE.KV_A", {"keep": -1})[1] == 10025
    assert desk.refused("STREAM.PURGE.NOPE")[1] == 10059


def test_where_messages_may_not_be_deleted_no_sequence_is_looked_at(desk):
    desk.ask("STREAM.CREATE.D", {"name": "D", "deny_delete": True})
    for seq in (0, 1):
        assert desk.refused("STREAM.MSG.DELETE.D", {"seq": seq})[1] == 10057
    assert desk.refused("STREAM.MSG.DELETE.KV_A", {"seq": 0})[1] == 10057
    desk.ask("STREAM.CREATE.M", {"name": "M", "storage": "memory"})
    assert desk.refused("STREAM.MSG.DELETE.M", {"seq": 0})[1] == 10043


def test_a_request_that_contradicts_itself_is_bad_whatever_the_stream(desk):
    desk.ask("STREAM.CREATE.D", {"name": "D", "deny_purge": True})
    for name in ("D", "NOPE"):
        assert desk.refused(f"STREAM.PURGE.{name}", {"keep": 1, "seq": 2})[1] == 10003
        assert desk.refused(f"STREAM.MSG.GET.{name}", {"seq": 1, "last_by_subj": "a"})[1] == 10003
        assert desk.refused(f"STREAM.MSG.DELETE.{name}", {})[1] == 10003


def test_message_delete_needs_a_sequence_that_is_there(desk):
    desk.put("a", name="KV_A")
    assert desk.ask("STREAM.MSG.DELETE.KV_A", {"seq": 1}) == {
        "type": "io.nats.jetstream.api.v1.stream_msg_delete_response",
        "success": True,
    }
    assert desk.refused("STREAM.MSG.DELETE.KV_A", {"seq": 1})[1] in (10043, 10057)
    assert desk.refused("STREAM.MSG.DELETE.KV_A", b"")[1] == 10003
    assert desk.refused("STREAM.MSG.DELETE.NOPE", {"seq": 1})[1] == 10059


def test_ordered_consumer_of_nats_py_is_created_without_a_name(desk):
    config = {**PUSH, "ack_policy": "none", "deliver_policy": "last_per_subject"}
    more = {
        "filter_subject": "$KV.A.>",
        "flow_control": True,
        "idle_heartbeat": 5 * SECOND_NS,
        "max_deliver": 1,
        "ack_wait": 79200 * SECOND_NS,
        "num_replicas": 1,
        "mem_storage": True,
        "inactive_threshold": 300 * SECOND_NS,
    }
    answer = create(desk, {**config, **more}, tail="")
    assert answer["type"] == "io.nats.jetstream.api.v1.consumer_create_response"
    assert len(answer["name"]) == 8
    assert answer["config"] == {
        "deliver_policy": "last_per_subject",
        "ack_policy": "none",
        "ack_wait": 79200 * SECOND_NS,
        "max_deliver": 1,
        "filter_subject": "$KV.A.>",
        "replay_policy": "instant",
        "flow_control": True,
        "deliver_subject": INBOX,
        "idle_heartbeat": 5 * SECOND_NS,
        "inactive_threshold": 300 * SECOND_NS,
        "num_replicas": 1,
        "mem_storage": True,
        "metadata": {"_nats.level": "1", "_nats.req.level": "0", "_nats.ver": "2.11.0"},
    }
    assert answer["delivered"] == answer["ack_floor"] == {"consumer_seq": 0, "stream_seq": 0}
    assert answer["num_pending"] == 0


def test_consumers_without_a_name_get_different_ones(desk):
    names = [create(desk, PUSH, tail="")["name"] for _ in range(20)]
    assert len(dict.fromkeys(names)) == 20


def test_consumer_create_subject_may_hold_the_filter_with_its_dots(desk):
    config = {**PUSH, "filter_subject": "$KV.A.x.y.>"}
    assert create(desk, config, ".c.$KV.A.x.y.>")["config"]["filter_subject"] == "$KV.A.x.y.>"


CONSUMER_ERRORS = [
    ({**PUSH, "filter_subject": "$KV.A.x"}, ".c.$KV.A.y", (400, 10131)),
    ({**PUSH, "filter_subjects": ["$KV.A.x"]}, ".c.$KV.A.x", (400, 10137)),
    ({**PUSH, "filter_subjects": ["$KV.A.x", "$KV.A.>"]}, ".c", (400, 10138)),
    ({**PUSH, "filter_subjects": ["$KV.A.x", "$KV.A.x"]}, ".c", (400, 10138)),
    ({**PUSH, "filter_subjects": ["a"], "filter_subject": "b"}, ".c", (400, 10136)),
    ({**PUSH, "filter_subjects": [""]}, ".c", (400, 10139)),
    ({**PUSH, "filter_subject": "a..b"}, ".c", (500, 10052)),
    ({**PUSH, "flow_control": True}, ".c", (400, 10108)),
    ({**PUSH, "idle_heartbeat": 5}, ".c", (400, 10083)),
    ({**PUSH, "max_ack_pending": 5, "ack_policy": "none"}, ".c", (400, 10082)),
    ({**PUSH, "max_waiting": 4}, ".c", (400, 10080)),
    ({**PUSH, "ack_policy": "foo"}, ".c", (400, 10025)),
    ({**PUSH, "bogus": 1}, ".c", (400, 10025)),
    ({**PUSH, "headers_only": 1}, ".c", (400, 10025)),
    ({**PUSH, "opt_start_seq": -1}, ".c", (400, 10025)),
    ({**PUSH, "opt_start_time": "x"}, ".c", (400, 10025)),
    ({**PUSH, "metadata": {"a": 1}}, ".c", (400, 10025)),
    ({"deliver_subject": "a.*"}, ".c", (400, 10079)),
    ({"deliver_subject": "a..b"}, ".c", (400, 10112)),
    ({"deliver_subject": "$KV.A.x"}, ".c", (400, 10081)),
    ({"deliver_subject": 7}, ".c", (400, 10025)),
    ({**PUSH, "num_replicas": 3}, ".c", (500, 10074)),
    ({**PUSH, "num_replicas": -1}, ".c", (400, 10133)),
    ({**PUSH, "ack_wait": -1}, ".c", (400, 10183)),
    ({**PUSH, "durable_name": "q"}, ".c", (400, 10017)),
    ({**PUSH, "durable_name": "q"}, "", (400, 10020)),
    (PUSH, ".a\\b", (400, 10127)),
    (PUSH, ".a/b", (400, 10127)),
    ({**PUSH, "name": "a b"}, "", (500, 10052)),
    ({**PUSH, "opt_start_seq": 4}, ".c", (400, 10094)),
    ({**PUSH, "deliver_policy": "last_per_subject"}, ".c", (400, 10094)),
    ({**PUSH, "deliver_policy": "by_start_sequence"}, ".c", (400, 10094)),
    ({**PUSH, "deliver_policy": "by_start_time"}, ".c", (400, 10094)),
    ({**PUSH, "deliver_policy": "new", "opt_start_seq": 2}, ".c", (400, 10094)),
    ({**PUSH, "priority_groups": ["x"]}, ".c", (400, 10196)),
    ({**PUSH, "description": "x" * 4097}, ".c", (400, 10107)),
    ({**PUSH, "metadata": {"k": "x" * 200_000}}, ".c", (400, 10135)),
]


@pytest.mark.parametrize(("config", "tail", "expected"), CONSUMER_ERRORS)
def test_consumer_that_breaks_a_rule_is_refused_with_its_number(desk, config, tail, expected):
    answer = create(desk, config, tail)
    assert answer["type"] == "io.nats.jetstream.api.v1.consumer_create_response"
    assert (answer["error"]["code"], answer["error"]["err_code"]) == expected
    assert desk.ask("CONSUMER.NAMES.KV_A")["consumers"] == []


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({**PUSH, "replay_policy": "original"}, "original speed consumers"),
        ({**PUSH, "rate_limit_bps": 9}, "rate limited consumers"),
    ],
)
def test_consumer_of_a_kind_that_we_lack_is_refused_in_words(desk, config, what):
    error = create(desk, config)["error"]
    assert error == {
        "code": 500,
        "err_code": 10012,
        "description": f"{what} are not supported by this server yet",
    }


def test_durable_create_needs_a_durable_name(desk):
    body = {"stream_name": "KV_A", "config": {"durable_name": "d", "ack_policy": "explicit"}}
    answer = desk.ask("CONSUMER.DURABLE.CREATE.KV_A.d", body)
    assert (answer["name"], answer["config"]["durable_name"]) == ("d", "d")
    body["config"] = {}
    assert desk.refused("CONSUMER.DURABLE.CREATE.KV_A.d", body)[1] == 10018


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"stream_name": "OTHER", "config": PUSH}, 10056),
        ({}, 10056),
        (b"", 10056),
        (b"[]", 10025),
        (b"{bad", 10025),
        ({"config": 5}, 10025),
        ({"stream_name": "KV_A", "config": PUSH, "action": "bogus"}, 10025),
        ({"stream_name": "KV_A", "config": PUSH, "bogus": 1}, 10025),
    ],
)
def test_consumer_request_that_cannot_be_read_is_refused(desk, body, expected):
    assert desk.refused("CONSUMER.CREATE.KV_A.z", body)[1] == expected


def test_consumer_of_an_unknown_stream_is_10059(desk):
    assert number(create(desk, PUSH, stream="NOPE")) == 10059


def test_work_queue_wants_explicit_acknowledgements(desk):
    desk.make("W", subjects=["w.>"], retention="workqueue")
    assert create(desk, PUSH, stream="W")["error"] == {
        "code": 400,
        "err_code": 10098,
        "description": "workqueue stream requires explicit ack",
    }


def test_action_says_whether_the_consumer_may_exist(desk):
    assert number(create(desk, PUSH, action="update")) == 10149
    assert "error" not in create(desk, PUSH, action="create")
    assert "error" not in create(desk, PUSH, action="create")
    changed = {**PUSH, "description": "hi"}
    assert number(create(desk, changed, action="create")) == 10148
    assert create(desk, changed, action="update")["config"]["description"] == "hi"
    assert create(desk, PUSH, action="")["config"].get("description") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"deliver_policy": "new"}, "deliver policy"),
        ({"idle_heartbeat": SECOND_NS}, "heart beats"),
        ({"mem_storage": True}, "storage type"),
        ({"deliver_policy": "by_start_sequence", "opt_start_seq": 2}, "deliver policy"),
    ],
)
def test_what_a_consumer_is_cannot_be_updated(desk, change, words):
    create(desk, PUSH)
    assert create(desk, {**PUSH, **change})["error"] == {
        "code": 500,
        "err_code": 10012,
        "description": f"{words} can not be updated",
    }


def test_consumers_are_counted_against_the_streams_limit(desk):
    desk.make("L", subjects=["l"], max_consumers=1)
    assert "error" not in create(desk, PUSH, ".a", "L")
    assert number(create(desk, PUSH, ".b", "L")) == 10026
    assert "error" not in create(desk, PUSH, ".a", "L")


def test_consumer_info_and_delete_of_an_unknown_one_are_10014(desk):
    assert desk.refused("CONSUMER.INFO.KV_A.x") == (404, 10014, "consumer not found")
    assert desk.refused("CONSUMER.DELETE.KV_A.x") == (404, 10014, "consumer not found")
    assert desk.refused("CONSUMER.INFO.NOPE.x")[1] == 10059
    assert desk.refused("CONSUMER.DELETE.NOPE.x")[1] == 10059


def test_deleted_consumer_is_gone(desk):
    create(desk, PUSH)
    assert desk.ask("CONSUMER.DELETE.KV_A.c") == {
        "type": "io.nats.jetstream.api.v1.consumer_delete_response",
        "success": True,
    }
    assert desk.refused("CONSUMER.INFO.KV_A.c")[1] == 10014
    desk.subscribe()
    desk.put("k", name="KV_A")
    assert desk.poll("KV_A") == []


def test_consumer_names_and_list_are_paged_and_sorted(desk):
    for name in ("b", "a", "c"):
        create(desk, PUSH, f".{name}")
    names = desk.ask("CONSUMER.NAMES.KV_A", {"offset": 1})
    assert names["consumers"] == ["b", "c"]
    assert [names[k] for k in ("total", "offset", "limit")] == [3, 1, 1024]
    listed = desk.ask("CONSUMER.LIST.KV_A", b"")
    assert [one["name"] for one in listed["consumers"]] == ["a", "b", "c"]
    assert listed["limit"] == 256
    missing = desk.ask("CONSUMER.NAMES.NOPE")
    assert (number(missing), missing["consumers"], missing["limit"]) == (10059, [], 0)


@pytest.mark.parametrize(
    "verb", ["STREAM.NAMES", "STREAM.LIST", "STREAM.PURGE.KV_A", "CONSUMER.NAMES.KV_A"]
)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"offset":' + b"9" * 5000 + b"}",
        b'{"offset":1e999}',
        b'{"offset":NaN}',
        b'{"offset":1.5}',
        b'{"offset":true}',
        b'{"offset":99999999999999999999}',
        b"\xff\xfe",
        b'{"subject":"\\ud800"',
    ],
    ids=lambda body: body[:20],
)
def test_hostile_json_is_one_refusal(desk, verb, body):
    assert desk.refused(verb, body)[1] == 10025


def test_half_a_surrogate_pair_is_mended(desk):
    assert desk.ask("STREAM.NAMES", b'{"subject":"\\ud800"}')["total"] == 0
    config = b'{"stream_name":"KV_A","config":{"deliver_subject":"x","description":"\\ud800"}}'
    answer = desk.ask("CONSUMER.CREATE.KV_A.c", config)
    assert answer["config"]["description"] == "\ufffd"


def test_request_without_a_reply_is_carried_out_in_silence(desk):
    assert desk.api.handle("$JS.API.INFO", "", b"", START) == []
    assert desk.api.handle("$JS.API.STREAM.INFO.NOPE", "", b"", START) == []
    (action,) = desk.api.handle("$JS.API.STREAM.DELETE.KV_A", "", b"", START)
    assert isinstance(action, ProposeMeta)
    assert desk.apply_meta(action.command) == []
