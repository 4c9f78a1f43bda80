"""Republish: the stored message again, under another subject, with what the stream knows."""

from dataclasses import replace

import pytest

from kvcore.jetstream.commands import Publish, UpdateConfig
from kvcore.jetstream.republish import copy_of
from kvcore.jetstream.transform import Transform
from tests.support.desk import START, Desk
from tests.support.stream_rig import Rig


@pytest.mark.parametrize(
    ("source", "target", "subject", "made"),
    [
        ("$KV.b.>", "out.>", "$KV.b.a.x", "out.a.x"),
        (">", "copy.>", "a.b", "copy.a.b"),
        ("a.*.*", "b.$2.{{wildcard(1)}}", "a.1.2", "b.2.1"),
        ("a.*.>", "b.{{ Wildcard(1) }}.>", "a.1.x.y", "b.1.x.y"),
        ("a.*.>", "b.>", "a.1.x.y", "b.x.y"),
        ("a.*", "b.$1.$1", "a.q", "b.q.q"),
        ("a.*", "b.$0", "a.q", "b.a"),
        ("a.*", "b.x$1.$x.{{wildcard(1)}}z", "a.q", "b.x$1.$x.{{wildcard(1)}}z"),
        ("a", "b", "a", "b"),
    ],
)
def test_a_subject_is_made_from_what_the_wildcards_stood_for(source, target, subject, made):
    transform = Transform.of(source, target)
    assert transform is not None
    assert transform.apply(subject) == made


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("", "b.*"),
        ("", "b.$9"),
        ("a.*.*", "b.*.*"),
        ("a.*", "b.>"),
        ("a.>", "b.x"),
        ("a.*", "b.{{wildcard(9)}}"),
        ("a.*", "b.{{wildcard(99999999999999999999)}}"),
        ("a.*", "b.{{foo(1)}}"),
        ("a.x", "b.$0"),
        ("a.*", "b..c"),
        ("a.*", "b.x\r\nPING"),
        ("a.>", "b.>.c"),
        ("a..b", "c"),
    ],
)
def test_a_transform_that_can_not_work_is_refused_when_the_stream_is_made(source, target):
    config = {"name": "A", "subjects": ["a.>"], "republish": {"src": source, "dest": target}}
    pair = f"'{source or '>'}' to '{target}'"
    text = f"stream configuration for republish with transform from {pair} not valid"
    assert Desk().refused("STREAM.CREATE.A", config) == (500, 10052, text)


def test_headers_only_is_told_only_where_it_is_on():
    for flag in (False, True):
        republish = {"src": "a.>", "dest": "b.>", "headers_only": flag}
        config = {"name": "A", "subjects": ["a.>"], "republish": republish}
        told = Desk().ask("STREAM.CREATE.A", config)["config"]["republish"]
        assert told.get("headers_only", False) is flag
        assert ("headers_only" in told) is flag


def test_without_a_target_nothing_is_republished():
    made = Desk().ask("STREAM.CREATE.A", {"name": "A", "subjects": ["a.>"], "republish": {}})
    assert made["config"]["republish"] == {"src": ">", "dest": ""}
    assert _copies({"src": ">", "dest": ""}, "s.a") is None


def test_an_empty_field_of_an_inner_object_is_the_same_as_none():
    desk, config = Desk(), {"name": "A", "subjects": ["a.>"]}
    bare = {"src": "a.>", "dest": "b.>"}
    made = desk.ask("STREAM.CREATE.A", config | {"republish": bare | {"headers_only": False}})
    assert made["config"]["republish"] == bare
    again = desk.ask("STREAM.CREATE.A", config | {"republish": bare})
    assert "error" not in again, "not another configuration"


def test_a_subject_transform_of_nothing_is_kept_as_one():
    config = {"name": "A", "subjects": ["a.>"], "subject_transform": {}}
    made = Desk().ask("STREAM.CREATE.A", config)
    assert made["config"]["subject_transform"] == {"src": "", "dest": ""}


def test_a_stored_configuration_whose_transform_can_not_work_republishes_nothing():
    assert _copies({"src": "s.*", "dest": "b.$7"}, "s.a") is None


def test_what_is_overwritten_or_dropped_at_once_is_republished_all_the_same():
    republish = {"src": ">", "dest": "copy.>"}
    for limit in ({"max_msgs_per_subject": 1}, {"max_msgs": 1}, {"max_bytes": 1, "discard": "old"}):
        rig = Rig(republish=republish, **limit)
        outcomes = [rig.apply(Publish("s.a", "", None, b"%d" % at, START)) for at in range(3)]
        copies = [copy_of(rig.stream, outcome) for outcome in outcomes]
        assert [copy.payload for copy in copies if copy is not None] == [b"0", b"1", b"2"]


def test_a_copy_whose_subject_no_client_could_read_is_not_published():
    assert _copies({"src": "s.*", "dest": "b" + ".$1" * 100}, "s." + "x" * 100) is None


def _copies(republish, subject):
    rig = Rig()
    changed = replace(rig.stream.config, republish=republish)
    rig.apply(UpdateConfig(changed.encode(), "", START))
    outcome = rig.apply(Publish(subject, "", None, b"v", START))
    assert outcome.stored == 1
    return copy_of(rig.stream, outcome)
