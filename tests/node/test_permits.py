"""The server speaks for a client only where the client itself may."""

import json

import pytest

from kvcore.limits import MINUTE_NS
from kvcore.nats.permissions import Permissions, Responses, Rule
from kvcore.node.config import User
from kvcore.node.io import ClientConnected, ClientData
from kvcore.node.permits import targets
from tests.support.backups import backup, forged, messages
from tests.support.driven import Driver, bucket

READER = Permissions(
    publish=Rule(("$JS.API.>",)),
    subscribe=Rule(("_I.>", "$KV.b.>", "mine.>"), ("_I.no.>",)),
)
MAKER = Permissions(
    publish=Rule(("$JS.API.>", "$JS.SNAPSHOT.>", "out.>")), subscribe=Rule(("_I.>",))
)
ANSWERER = Permissions(Rule(("$JS.API.>",)), Rule(("_I.>",)), Responses(-1, MINUTE_NS))
USERS = (
    User("root", "r"),
    User("reader", "r", READER),
    User("maker", "r", MAKER),
    User("answerer", "r", ANSWERER),
)


@pytest.fixture
def server():
    driver = Driver(users=USERS)
    driver.sync()
    for conn, user in enumerate(USERS, start=1):
        driver.turn(ClientConnected(conn, "127.0.0.1", conn))
        hello = '{"verbose":false,"headers":true,"no_responders":true,"user":"%s","pass":"r"}'
        driver.turn(ClientData(conn, b"CONNECT %b\r\n" % (hello % user.name).encode()))
        driver.turn(ClientData(conn, b"SUB _I.> 1\r\n"))
        driver.heard(conn)
    assert "error" not in driver.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    driver.publish("$KV.b.k", b"v")
    driver.sync()
    driver.out.clear()
    return driver


ROOT, READ, MAKE, ANSWER = 1, 2, 3, 4


def denied(server, conn, how, subject):
    told = server.heard(conn)
    return told == b"-ERR 'Permissions Violation for Publish %b \"%b\"'\r\n" % (
        how.encode(),
        subject.encode(),
    )


@pytest.mark.parametrize("reply", ["other.x", "_I.no.x", "$KV.b.k", "a.>"])
def test_an_answer_goes_only_where_the_requester_may_hear_or_speak(server, reply):
    server.publish("$JS.API.STREAM.INFO.KV_b", reply=reply, conn=READ)
    server.sync()
    assert denied(server, READ, "with Reply of", reply)
    assert server.node.streams["KV_b"].last_seq == 1


def test_who_may_publish_somewhere_may_also_be_answered_there(server):
    server.publish("$JS.API.INFO", reply="$JS.API.INFO", conn=READ)
    assert server.heard(READ) == b""


def test_a_reader_of_a_bucket_reads_it_and_hears_of_changes(server):
    assert "config" in server.request("$JS.API.STREAM.INFO.KV_b", conn=READ)
    config = {"deliver_subject": "_I.watch", "ack_policy": "none", "deliver_policy": "last"}
    body = {"stream_name": "KV_b", "config": config}
    assert "error" not in server.request("$JS.API.CONSUMER.CREATE.KV_b", body, conn=READ)
    server.publish("$KV.b.k", b"new")
    server.sync()
    server.turn()
    assert b"new" in server.heard(READ)


@pytest.mark.parametrize("field", ["deliver_subject", "Deliver_Subject"])
@pytest.mark.parametrize("subject", ["other.x", "_I.no.x", "$KV.b.k"])
def test_a_consumer_delivers_only_where_its_maker_may_hear(server, field, subject):
    config = {field: subject, "ack_policy": "none"}
    body = {"stream_name": "KV_b", "config": config}
    with pytest.raises(AssertionError, match="no answer"):
        server.request("$JS.API.CONSUMER.CREATE.KV_b", body, conn=READ)
    server.turn(ClientData(ROOT, b"SUB other.> 9\r\n"))
    assert b"MSG other.x" not in server.heard(ROOT)


def test_the_refusal_names_the_subject(server):
    payload = b'{"config":{"deliver_subject":"other.x"}}'
    server.publish("$JS.API.CONSUMER.CREATE.KV_b", payload, "_I.answer", conn=READ)
    assert denied(server, READ, "to", "other.x")


@pytest.mark.parametrize(
    ("dest", "may"),
    [
        ("out.>", True),
        ("out.{{wildcard(1)}}", True),
        ("{{wildcard(1)}}.x", False),
        (">", False),
        ("_I.x", False),
        ("$KV.b.k", False),
    ],
)
def test_a_stream_republishes_only_where_its_maker_may_publish(server, dest, may):
    source = "in.>" if dest.endswith(">") else "in.*"
    config = {"name": "S", "subjects": ["in.>"], "republish": {"src": source, "dest": dest}}
    if may:
        assert "error" not in server.request("$JS.API.STREAM.CREATE.S", config, conn=MAKE)
        return
    with pytest.raises(AssertionError, match="no answer"):
        server.request("$JS.API.STREAM.CREATE.S", config, conn=MAKE)
    assert "S" not in server.node.streams


def test_who_may_do_everything_is_asked_nothing(server):
    server.publish("$JS.API.INFO", reply="other.x", conn=ROOT)
    assert server.heard(ROOT) == b""


def test_who_was_asked_may_answer_and_be_answered_there(server):
    server.publish("_I.ask", reply="r.1", conn=ROOT)
    assert b"MSG _I.ask" in server.heard(ANSWER)
    server.turn(ClientData(ROOT, b"SUB r.1 9\r\n"))
    server.heard(ROOT)
    server.publish("r.1", b"yes", "_I.x", conn=ANSWER)
    assert server.heard(ANSWER) == b""
    assert b"yes" in server.heard(ROOT)


def test_targets_are_found_wherever_they_stand():
    assert targets(b'{"a":[{"DELIVER_SUBJECT":"x"}],"deliver_subject":"y"}') == [
        ("x", False),
        ("y", False),
    ]
    assert targets(b'{"config":{"republish":{"src":">","Dest":"a.$1.b"}}}') == [("a.*.b", True)]
    assert targets(b'{"dest":"x","deliver_subject":5,"republish":"x"}') == []
    assert targets(b"no JSON") == []
    assert targets(b"[" * 100_000) == []


@pytest.mark.parametrize(
    ("place", "subject"),
    [("consumer", "secret.x"), ("consumer", "$KV.b.k"), ("republish", "secret.>")],
)
def test_a_backup_that_comes_back_speaks_only_where_its_sender_may(server, place, subject):
    open_server = Driver()
    open_server.sync()
    open_server.client()
    open_server.request("$JS.API.STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"]})
    durable = {"durable_name": "d", "deliver_subject": "_I.d"}
    body = {"stream_name": "S", "config": durable}
    open_server.request("$JS.API.CONSUMER.DURABLE.CREATE.S.d", body)
    answer, data = backup(open_server, "S")

    def change(records):
        if place == "consumer":
            records[b"Cd"] = records[b"Cd"].replace(b'"_I.d"', b'"%b"' % subject.encode())
        else:
            rest = b'{"republish":{"src":">","dest":"%b"},' % subject.encode()
            records[b"Sc"] = records[b"Sc"].replace(b"{", rest, 1)

    forgery = forged(data, change)
    assert subject.encode() in forgery
    for conn, error in ((MAKE, f"you may not publish to {subject}"), (ROOT, None)):
        body = {"config": answer["config"]}
        asked = server.request("$JS.API.STREAM.RESTORE.S", body, conn=conn)
        chunks = [forgery, b""]
        said = None
        while said is None and chunks:
            server.publish(asked["deliver_subject"], chunks.pop(0), "_I.c", conn=conn)
            server.wait(0.01)
            server.sync()
            (found,) = messages(server.heard(conn))
            said = json.loads(found[3]) if found[3] else None
        if error is None:
            assert "error" not in said
        else:
            assert said["error"]["description"].endswith(error)
