"""Apply never raises, whatever a client sent: an exception there would stop every replica."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvcore.jetstream.commands import (
    CreateConsumer,
    CreateStream,
    DeleteConsumer,
    DeleteStream,
    Publish,
    Purge,
    UpdateStream,
)
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.meta import Meta
from kvcore.jetstream.shapes import _FIELDS, _WORDS
from kvcore.nats import subject as subjects
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay
from tests.support.desk import Desk
from tests.support.stream_rig import START, Rig

text = st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
names = st.sampled_from([
    b"Nats-TTL", b"Nats-Rollup", b"Nats-Msg-Id", b"Nats-Expected-Stream", b"Nats-Incr",
    b"Nats-Expected-Last-Sequence", b"Nats-Expected-Last-Subject-Sequence",
    b"Nats-Expected-Last-Subject-Sequence-Subject", b"Nats-Expected-Last-Msg-Id",
])  # fmt: skip
values = st.one_of(
    st.binary(max_size=10),
    st.sampled_from([b"9" * 400, b"1" * 5000, b"1" * 60 + b"h", b"\xb2", b"1.", b"sub", b"1h"]),
)
blocks = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.lists(st.tuples(names, values), max_size=4).map(
        lambda pairs: (
            b"NATS/1.0\r\n" + b"".join(k + b": " + v + b"\r\n" for k, v in pairs) + b"\r\n"
        )
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
documents = st.dictionaries(
    st.sampled_from([*_FIELDS, *_WORDS, "metadata", "compression"]), json_values, max_size=4
).map(lambda fields: json.dumps({"name": "A", "subjects": ["a.>"], **fields}).encode())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(text, blocks, st.binary(max_size=9)), min_size=1, max_size=6))
@example([("s.a", b"NATS/1.0\r\nNats-TTL: \xb2\r\n\r\n", b"")])
def test_any_publish_is_stored_or_refused(publishes):
    rig = Rig(allow_msg_ttl=True, allow_rollup_hdrs=True, subject_delete_marker_ttl=2 * 10**9)
    for subject, block, payload in publishes:
        outcome = rig.apply(Publish(subject, "inbox", block, payload, START))
        assert isinstance(json.loads(outcome.payload)["seq"], int)
    rig.expire(10**6)
    rig.reopened()


@settings(max_examples=300, deadline=None)
@given(documents | st.binary(max_size=30))
def test_any_stream_configuration_is_taken_or_refused(payload):
    records = Overlay(MemoryStorage())
    meta = Meta(records)
    for index, kind in enumerate((CreateStream, UpdateStream, CreateStream), 1):
        meta.apply(meta.stamped(kind(payload, "", 0)), index)
    assert Meta(records).streams == meta.streams
    for assignment in meta.streams.values():
        json.dumps(assignment.config.echo("v"))
    meta.apply(DeleteStream("\udcff", "", 0), 4)


@settings(max_examples=200, deadline=None)
@given(documents | st.binary(max_size=30), text, text)
def test_any_consumer_is_made_or_refused(payload, name, subject):
    rig = Rig()
    asked = json.dumps({"deliver_subject": "d", "filter_subject": "s.a"}).encode()
    for body in (payload, asked):
        rig.apply(CreateConsumer(body, name, "", "inbox", START))
    rig.apply(Purge(subject, 0, 0, "inbox", START))
    assert rig.reopened().consumers == rig.stream.consumers
    rig.apply(DeleteConsumer(name, "inbox", START))


def test_more_patterns_than_one_turn_can_compare_are_refused():
    desk = Desk()
    many = [f"$KV.b.{n}.*" for n in range(257)]
    _, number, text = desk.refused("STREAM.CREATE.KV_b", {"name": "KV_b", "subjects": many})
    assert (number, text) == (10052, "too many subjects, maximum allowed is 256")
    desk.make("KV_b")
    error = desk.watch(filter_subjects=many)["error"]
    assert (error["err_code"], error["description"]) == (
        10052,
        "too many filters, maximum allowed is 256",
    )
    assert desk.watch(filter_subjects=many[:256])["num_pending"] == 0


patterns = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from([".".join(words), ".".join([*words, ">"]), ">"])
)


@settings(max_examples=300, deadline=None)
@given(st.lists(patterns, min_size=1, max_size=5), st.lists(patterns, max_size=5))
def test_shortcuts_for_many_patterns_change_no_answer(ones, others):
    expected = [(a, b) for a in ones for b in others if subjects.overlaps(a, b)]
    found = subjects.first_overlap(ones, others)
    assert (found in expected) if expected else (found is None)
    wants = matcher(ones)
    for subject in ("a", "a.b", "b.a.b", "a.a.a.a", "b.b.b"):
        assert wants(subject) == any(subjects.matches(each, subject) for each in ones)


def test_a_consumer_that_is_gone_leaves_no_deadline_behind():
    desk = Desk()
    desk.make("KV_b")
    desk.subscribe()
    for count in range(300):
        desk.watch(f"c{count}", idle_heartbeat=2**62)
        desk.poll()
        assert desk.ask(f"CONSUMER.DELETE.KV_b.c{count}") == {
            "type": "io.nats.jetstream.api.v1.consumer_delete_response",
            "success": True,
        }
    assert len(desk.hosted["KV_b"]._deadlines) <= 65
