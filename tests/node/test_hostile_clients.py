"""What no client may do to a whole server: stop it, or keep one turn from ending."""

import json

import pytest

from kvcore.node.io import ClientData
from tests.support.driven import Driver


@pytest.fixture
def server():
    driver = Driver()
    driver.sync()
    driver.client()
    return driver


def make(server, name, **config):
    made = server.request(
        f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"], **config}
    )
    return made.get("error", {}).get("description")


def watch(server, name, deliver, **config):
    wanted = {"deliver_subject": deliver, "ack_policy": "none", **config}
    body = {"stream_name": name, "config": wanted}
    return server.request(f"$JS.API.CONSUMER.CREATE.{name}", body)


@pytest.mark.parametrize("storage", ["memory", "file"])
def test_a_consumer_does_not_deliver_into_a_stream(server, storage):
    make(server, "A", storage=storage)
    make(server, "B", storage=storage)
    watch(server, "A", "B.from", idle_heartbeat=10**9)
    watch(server, "B", "A.from", idle_heartbeat=10**9)
    server.turn(ClientData(1, b"SUB A.from 7\r\nSUB B.from 8\r\n"))
    server.publish("A.x")
    server.publish("B.x")
    server.wait(3)
    assert [server.node.streams[name].subjects() for name in "AB"] == [{"A.x": 1}, {"B.x": 1}]
    heard = server.heard()
    assert b"MSG A.x 8 " in heard
    assert b"MSG B.x 7 " in heard


def test_a_stream_that_takes_up_its_own_consumers_deliver_subject_does_not_feed_itself(server):
    make(server, "A", storage="memory")
    watch(server, "A", "out.x")
    server.turn(ClientData(1, b"SUB out.x 7\r\n"))
    update = {"name": "A", "subjects": ["A.>", "out.>"], "storage": "memory"}
    assert "error" not in server.request("$JS.API.STREAM.UPDATE.A", update)
    server.publish("A.x")
    server.turn()
    assert b"MSG A.x 7 " in server.heard()
    assert server.node.streams["A"].messages == 1


def test_two_streams_that_republish_to_each_other_come_to_an_end(server):
    make(server, "A", storage="memory", republish={"src": "A.>", "dest": "B.>"})
    make(server, "B", storage="memory", republish={"src": "B.>", "dest": "A.>"})
    server.publish("A.x")
    assert server.node.deadline() != server.now
    assert 1 < server.node.streams["A"].messages < 1000


@pytest.mark.parametrize("storage", ["memory", "file"])
@pytest.mark.parametrize(
    ("subject", "reply"),
    [
        ("A.x", "A.x"),
        ("A.x", "$JS.API.STREAM.DELETE.A"),
        ("$JS.API.INFO", "$JS.API.INFO"),
        ("$JS.API.STREAM.INFO.A", "A.info"),
        ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING"),
        ("$JS.FC.A.c.1", "$JS.FC.A.c.1"),
    ],
)
def test_an_answer_that_is_a_request_again_is_the_last(server, storage, subject, reply):
    make(server, "A", storage=storage)
    server.publish(subject, reply=reply)
    server.sync()
    server.wait(1)
    assert server.node.streams["A"].messages <= 2


def test_a_first_sequence_that_leaves_no_room_is_refused(server):
    refused = make(server, "A", first_seq=2**64 - 1)
    assert refused == "first sequence can not be larger than 9223372036854775807"
    assert make(server, "A", first_seq=2**63 - 1) is None
    assert server.request("$JS.API.STREAM.PURGE.A", {"seq": 2**63 - 1})["purged"] == 0
    for _ in range(3):
        server.publish("A.x")
        server.sync()
    assert server.request("$JS.API.STREAM.PURGE.A", {})["purged"] == 3
    again = Driver(server.stores)
    again.sync()
    assert again.node.streams["A"].last_seq == 2**63 + 1


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_utc_can_not_write_is_refused(server, time):
    make(server, "A")
    body = watch(server, "A", "out.x", deliver_policy="by_start_time", opt_start_time=time)
    assert body["error"]["err_code"] == 10025


def test_a_long_answer_ends_when_its_stream_is_deleted(server):
    make(server, "A", allow_direct=True)
    server.turn(ClientData(1, b"".join(b"PUB A.%d 0\r\n\r\n" % n for n in range(2000))))
    server.sync()
    server.publish("$JS.API.DIRECT.GET.A", json.dumps({"seq": 1, "batch": 2000}).encode())
    server.publish("$JS.API.STREAM.DELETE.A", reply="_I.deleted")
    server.sync()
    server.wait(1)
    heard = server.heard()
    assert b'MSG _I.deleted 1 73\r\n{"type":"io.nats.jetstream.api.v1.stream_delete' in heard
    assert b"NATS/1.0 204 EOB" in heard.partition(b"stream_delete")[2]


def test_a_string_that_never_ends_is_read_once(server):
    payload = b"[" * 40 + b'"' + b'\\"' * 400_000
    server.publish("$JS.API.STREAM.INFO.A", payload, "_I.answer")
    assert b"nested deeper than 32" in server.heard()
