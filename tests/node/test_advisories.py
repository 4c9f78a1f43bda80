"""Advisories cost nothing unheard, tell who asked, and stay bounded."""

import json

import pytest

from kvcore import limits
from kvcore.jetstream import advisories
from tests.support.driven import Driver, bucket


@pytest.fixture
def server():
    driver = Driver()
    driver.sync()
    driver.client()
    return driver


def listen(server, conn=2, pattern="$JS.EVENT.>"):
    server.client(conn)
    server.say(f"SUB {pattern} 9\r\n".encode(), conn)


def told(server, conn=2) -> list[dict]:
    """The events that this connection was sent since it was last asked."""
    out, events = server.heard(conn), []
    while out:
        line, _, out = out.partition(b"\r\n")
        size = int(line.split()[-1])
        if line.startswith(b"MSG $JS.EVENT."):
            events.append({"on": line.split()[1].decode(), **json.loads(out[:size])})
        out = out[size + 2 :]
    return events


def test_nothing_is_made_for_nobody(server, monkeypatch):
    def refuse(*_):
        raise AssertionError("an event was written down although nobody listens")

    monkeypatch.setattr(advisories, "encode", refuse)
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    server.request("$JS.API.STREAM.DELETE.KV_b")


def test_an_event_has_an_identity_of_its_own_and_the_time(server):
    listen(server)
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    events = told(server)
    assert [event["type"] for event in events] == [
        "io.nats.jetstream.advisory.v1.stream_action",
        "io.nats.jetstream.advisory.v1.api_audit",
    ]
    assert len({event["id"] for event in events}) == 2
    assert all(event["timestamp"].startswith("2026-01-01T") for event in events)


def test_the_audit_of_a_change_comes_with_its_answer_after_the_sync(server):
    listen(server)
    server.publish("$JS.API.STREAM.CREATE.KV_b", json.dumps(bucket()).encode(), "_I.a")
    assert told(server) == []
    server.sync()
    (audit,) = [event for event in told(server) if event["on"] == advisories.AUDIT]
    assert json.loads(audit["response"])["did_create"]
    assert audit["client"]["id"] == 1


def test_a_request_without_a_reply_is_audited_with_an_empty_answer(server):
    listen(server)
    server.publish("$JS.API.STREAM.DELETE.KV_b", b"", reply="")
    (audit,) = told(server)
    assert (audit["subject"], audit["response"]) == ("$JS.API.STREAM.DELETE.KV_b", "")


def test_a_long_request_is_audited_by_its_beginning(server):
    listen(server)
    body = b'{"name":"' + b"x" * 200_000 + b'"}'
    server.publish("$JS.API.STREAM.CREATE.KV_b", body, "_I.a")
    (audit,) = told(server)
    assert audit["request"].endswith(f"… {len(body) - limits.AUDIT_TEXT_BYTES} bytes more")
    assert len(audit["request"]) < limits.AUDIT_TEXT_BYTES + 50


def test_requests_that_await_their_answers_are_remembered_up_to_a_bound(server, monkeypatch):
    monkeypatch.setattr("kvcore.node.advising.AUDITS_WAITING_COUNT", 3)
    listen(server)
    for at in range(5):
        body = json.dumps(bucket(str(at))).encode()
        server.publish(f"$JS.API.STREAM.CREATE.KV_{at}", body, f"_I.{at}")
    early = told(server)
    assert [event["subject"][-4:] for event in early] == ["KV_0", "KV_1"]
    assert all(event["response"] == "" for event in early)
    server.sync()
    audits = [event for event in told(server) if event["on"] == advisories.AUDIT]
    assert [bool(event["response"]) for event in audits] == [True] * 3


def test_two_requests_with_one_reply_subject_are_both_audited(server):
    listen(server)
    for name in "ab":
        body = json.dumps(bucket(name)).encode()
        server.publish(f"$JS.API.STREAM.CREATE.KV_{name}", body, "_I.same")
    server.sync()
    audits = [event for event in told(server) if event["on"] == advisories.AUDIT]
    answers = [json.loads(event["response"])["config"]["name"] for event in audits]
    assert [event["subject"][-4:] for event in audits] == answers == ["KV_a", "KV_b"]


def test_of_sampled_acknowledgements_about_the_wanted_share_is_told(server):
    listen(server, pattern="$JS.EVENT.METRIC.>")
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    config = {"durable_name": "d", "ack_policy": "explicit", "sample_freq": "25%"}
    server.request("$JS.API.CONSUMER.CREATE.KV_b.d", {"stream_name": "KV_b", "config": config})
    for at in range(200):
        server.publish(f"$KV.b.{at}", b"v")
    server.sync()
    server.publish("$JS.API.CONSUMER.MSG.NEXT.KV_b.d", b'{"batch":200}', reply="_I.pull")
    acks = [word for word in server.heard().decode().split() if word.startswith("$JS.ACK.")]
    for subject in acks:
        server.publish(subject, b"+ACK", reply="")
    assert len(acks) == 200
    assert 25 < len(told(server)) < 75


def test_a_queue_of_listeners_gets_each_event_once(server):
    for conn in (2, 3):
        server.client(conn)
        server.say(b"SUB $JS.EVENT.ADVISORY.STREAM.> auditors 9\r\n", conn)
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    assert len(told(server, 2)) + len(told(server, 3)) == 1
