"""What goes wrong first when several servers are written anew for NATS's clients.

The numbers are those of `test_wire_pitfalls.py`, which has the rest of the list.
"""

import json

import pytest

from tests.support.driven import bucket
from tests.support.gang import Gang
from tests.support.wait import PAUSE_S

CREATE = "Nats-Expected-Last-Subject-Sequence: 0"
ANYWHERE = pytest.mark.parametrize("at", ["a", "b", "c"])


@pytest.fixture
def gang():
    gang = Gang(3)
    gang.make("b")
    gang.until(lambda: gang.leader("b"))
    return gang


def hand_over(gang):
    """Another server leads the bucket; its name."""
    before = gang.leader("b")
    assert gang.one("a", "STREAM.LEADER.STEPDOWN.KV_b")["success"] is True
    gang.until(lambda: gang.leader("b") not in {"", before}, seconds=2)
    return gang.leader("b")


def answered(gang, conn, subject, payload=b"", header=None):
    """Everything that comes back within a second, as one text."""
    gang.say(conn, b"SUB _I.all 9\r\n")
    gang.heard(conn)
    gang.send(conn, subject, payload, "_I.all", header)
    gang.wait(1)
    return gang.heard(conn)


@ANYWHERE
def test_pitfall_03_of_several_servers_one_answers(gang, at):
    conn = gang.client(at)
    for verb, body in (
        ("INFO", None),
        ("STREAM.INFO.KV_b", None),
        ("STREAM.NAMES", None),
        ("STREAM.LIST", None),
        ("STREAM.CREATE.KV_b", bucket("b", num_replicas=3)),
        ("STREAM.UPDATE.KV_b", bucket("b", num_replicas=3, description=at)),
        ("STREAM.PURGE.KV_b", None),
        ("STREAM.MSG.GET.KV_b", {"seq": 1}),
        ("STREAM.LEADER.STEPDOWN.KV_b", None),
        ("CONSUMER.LIST.KV_b", None),
        ("CONSUMER.INFO.KV_b.none", None),
        ("STREAM.INFO.NONE", None),
        ("NONE", None),
    ):
        assert len(gang.request(conn, f"$JS.API.{verb}", body)) == 1, verb
        gang.until(lambda: gang.leader("b"))
    for subject in ("$KV.b.k", "$JS.API.DIRECT.GET.KV_b.$KV.b.k", "$KV.none.k"):
        assert answered(gang, conn, subject).count(b"MSG _I.all") == 1, subject


@ANYWHERE
def test_pitfall_20_a_message_id_is_remembered_by_the_next_leader(gang, at):
    conn = gang.client(at)
    first = gang.put(conn, "b", "k", b"v", "Nats-Msg-Id: 1")
    hand_over(gang)
    again = gang.put(conn, "b", "k", b"v", "Nats-Msg-Id: 1")
    assert again == {**first, "duplicate": True}
    assert [len(gang.contents(name, "b")) for name in gang.names] == [1, 1, 1]


@pytest.mark.parametrize("seed", range(3))
def test_pitfall_21_of_sixty_creates_at_once_on_three_servers_one_wins(seed):
    gang = Gang(3, seed=seed)
    gang.make("b")
    gang.until(lambda: gang.leader("b"))
    block = f"NATS/1.0\r\n{CREATE}\r\n\r\n".encode()
    conns = [gang.client(name) for name in gang.names]
    for conn in conns:
        gang.say(conn, b"SUB _I.%d.* 5\r\n" % conn)
        gang.heard(conn)
    for number in range(20):
        for conn in conns:
            sizes = b"%d %d" % (len(block), len(block) + 1)
            line = b"HPUB $KV.b.lock _I.%d.%d %b\r\n%bv\r\n" % (conn, number, sizes, block)
            gang.say(conn, line, settle=False)
    gang.settle()
    said = [line for conn in conns for line in gang.heard(conn).split(b"\r\n")]
    answers = [json.loads(line) for line in said if line.startswith(b"{")]
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert (len(answers), len(errors)) == (60, 59)
    told = {"code": 400, "err_code": 10071, "description": "wrong last sequence: 1"}
    assert all(error == told for error in errors)


def test_pitfall_22_who_leads_no_more_is_subscribed_no_more(gang):
    leader = gang.leader("b")
    conn = gang.client(leader)
    gang.mute(leader)
    gang.until(lambda: not gang.host(leader, "b").is_leading)
    gang.isolate(leader)  # interest of silent peers stays until the link is given up
    before = gang.now
    assert b"503" in gang.ask(conn, "$KV.b.k", b"v", seconds=0)
    assert gang.now - before < PAUSE_S * 1e9


@ANYWHERE
def test_pitfall_26_create_is_answered_when_the_leader_is_known(gang, at):
    answer = gang.make("new", at=at)
    assert answer["cluster"]["leader"] == gang.leader("new")
    assert len(answer["cluster"]["replicas"]) == 2
    assert gang.put(gang.client(at), "new", "k", b"v")["seq"] == 1


@ANYWHERE
def test_pitfall_30_404_is_said_of_a_key_and_never_of_a_stream_that_nobody_leads(gang, at):
    conn = gang.client(at)
    assert b"NATS/1.0 404" in gang.get(conn, "b", "k")
    assert b"NATS/1.0 503" in gang.get(conn, "none", "k")
    for name in gang.names:
        if name != at:
            gang.crash(name)
    gang.until(lambda: not gang.host(at, "b").is_leading)
    assert b"NATS/1.0 503" in gang.get(conn, "b", "k")


def test_pitfall_32_a_watch_dies_with_its_server_and_its_client_is_told(gang):
    leader = gang.leader("b")
    conn = gang.client(next(name for name in gang.names if name != leader))
    config = {
        "deliver_subject": "_W",
        "ack_policy": "none",
        "flow_control": True,
        "idle_heartbeat": 5_000_000_000,
        "mem_storage": True,
        "num_replicas": 1,
    }
    body = {"stream_name": "KV_b", "config": config}
    gang.say(conn, b"SUB _W 8\r\n")
    (made,) = gang.request(conn, "$JS.API.CONSUMER.CREATE.KV_b", body)
    assert made["config"]["num_replicas"] == 1
    assert made["cluster"]["leader"] == leader
    gang.crash(leader)
    gang.until(lambda: gang.leader("b"))
    gang.wait(0.2)
    told = gang.heard(conn)
    assert b"100 Idle Heartbeat" in told
    (again,) = gang.request(conn, "$JS.API.CONSUMER.CREATE.KV_b", body)
    assert again["cluster"]["leader"] == gang.leader("b")


@ANYWHERE
@pytest.mark.parametrize("verb", ["", ".VARZ", ".JSZ", ".CONNZ", ".ROUTEZ", ".HEALTHZ", ".STATSZ"])
def test_pitfall_35_each_server_answers_once_to_one_inbox_under_its_own_name(gang, at, verb):
    answers = gang.request(gang.client(at), f"$SYS.REQ.SERVER.PING{verb}")
    assert sorted(answer["server"]["name"] for answer in answers) == ["a", "b", "c"]
    assert len({answer["server"]["id"] for answer in answers}) == 3
