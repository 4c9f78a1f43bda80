"""A stream's leader changes: what clients, watchers and retries see of it."""

import json

import pytest

from kvcore.node.io import Operator, Order
from tests.support.trio import Trio


@pytest.fixture
def trio():
    trio = Trio()
    trio.create("b")
    return trio


def fail_over(trio, stream="b"):
    """The leader hands over; who leads then."""
    before = trio.leader(stream)
    host = trio.host(before, stream)
    host.group.transfer(trio.follower(stream))
    host.read(lambda: None)  # touches it
    trio.until(lambda: trio.leader(stream) not in ("", before))
    return trio.leader(stream)


def test_a_retried_message_id_is_stored_once_though_the_leader_has_changed(trio):
    conn = trio.client("a")
    first = trio.put(conn, "b", "k", b"v", "Nats-Msg-Id: 7")
    assert first == {"stream": "KV_b", "seq": 1}
    fail_over(trio)
    again = trio.put(conn, "b", "k", b"v", "Nats-Msg-Id: 7")
    assert again == {"stream": "KV_b", "seq": 1, "duplicate": True}
    assert len(trio.contents(trio.leader("b"), "b")) == 1


def test_exactly_one_of_60_concurrent_creates_wins(trio):
    conns = [trio.client(name) for name in trio.names for _ in range(20)]
    block = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n"
    line = b"HPUB $KV.b.k _I.c %d %d\r\n%bv\r\n" % (len(block), len(block) + 1, block)
    for conn in conns:
        trio.say(conn, b"SUB _I.c.%d 5\r\n" % conn)
    for conn in conns:
        trio.say(conn, line.replace(b"_I.c", b"_I.c.%d" % conn), settle=False)
    trio.settle()
    answers = [json.loads(trio.heard(conn).partition(b"\r\n")[2].strip()) for conn in conns]
    won = [each for each in answers if "error" not in each]
    lost = [each["error"]["err_code"] for each in answers if "error" in each]
    assert won == [{"stream": "KV_b", "seq": 1}]
    assert lost == [10071] * 59


def test_who_lost_the_majority_unsubscribes_and_clients_hear_of_no_responders_at_once(trio):
    leader = trio.leader("b")
    conn = trio.client(leader)
    assert trio.put(conn, "b", "k", b"v")
    trio.isolate(leader)
    trio.until(lambda: not trio.host(leader, "b").is_leading)
    before = trio.now
    assert b"503" in trio.ask(conn, "$KV.b.k", b"v", seconds=0)
    assert trio.now - before < 1_000_000
    assert len(trio.contents(leader, "b")) == 1


def two_leaders():
    """A cluster in which a leader that was cut off doesn't know yet that there is another."""
    for seed in range(30):
        trio = Trio(seed=seed)
        trio.create("b")
        stale = trio.leader("b")
        conn = trio.client(stale)
        assert trio.put(conn, "b", "k", b"1")
        trio.mute(stale)
        others = [name for name in trio.names if name != stale]
        trio.until(lambda: any(trio.host(name, "b").is_leading for name in others))  # noqa: B023
        if trio.host(stale, "b").is_leading:
            new = next(name for name in others if trio.host(name, "b").is_leading)
            return trio, conn, stale, new
    raise AssertionError("elections never overlap")


def test_a_stale_leader_and_a_new_one_may_both_hear_publishes_and_only_one_stores_them():
    trio, conn, stale, new = two_leaders()
    assert trio.ask(conn, "$KV.b.k", b"stale", seconds=0.01) is None
    assert trio.host(stale, "b").group.last_index > trio.host(stale, "b").group.applied
    assert trio.put(trio.client(new), "b", "k", b"new")["seq"] == 2
    trio.unmute()
    trio.until(lambda: trio.is_level("b"))
    trio.wait(1)
    for name in trio.names:
        assert [message.payload for message in trio.contents(name, "b")] == [b"new"]
    assert b'"seq"' not in trio.heard(conn)


# -- those who watch

HEARTBEAT = 5_000_000_000


def watch(trio, conn, deliver="_W.1"):
    """A watcher as clients make it: an ordered push consumer."""
    config = {
        "deliver_subject": deliver,
        "deliver_policy": "last_per_subject",
        "ack_policy": "none",
        "filter_subject": "$KV.b.>",
        "flow_control": True,
        "idle_heartbeat": HEARTBEAT,
        "mem_storage": True,
        "num_replicas": 1,
        "max_deliver": 1,
    }
    trio.say(conn, f"SUB {deliver} 9\r\n".encode())
    body = json.dumps({"stream_name": "KV_b", "config": config}).encode()
    return trio.ask(conn, "$JS.API.CONSUMER.CREATE.KV_b", body)


@pytest.mark.parametrize("how", ["step-down", "crash"])
def test_a_watchers_client_is_told_at_once_that_it_has_to_begin_again(trio, how):
    leader = trio.leader("b")
    home = trio.follower("b")
    conn = trio.client(home)
    assert b'"error"' not in watch(trio, conn)
    assert trio.put(trio.client(home), "b", "k", b"v")
    assert b"v" in trio.heard(conn)
    if how == "crash":
        trio.crash(leader)
        trio.until(lambda: trio.leader("b"))
    else:
        fail_over(trio)
    trio.wait(0.2)
    told = trio.heard(conn)
    assert b"100 Idle Heartbeat" in told
    assert b"Nats-Last-Consumer: 4294967296" in told
    assert b'"error"' not in watch(trio, conn, "_W.2")


def test_the_heartbeat_of_who_steps_down_comes_when_there_is_somebody_to_turn_to(trio):
    leader = trio.leader("b")
    conn = trio.client(leader)
    watch(trio, conn)
    trio.heard(conn)
    trio.isolate(leader)
    trio.until(lambda: not trio.host(leader, "b").is_leading)
    trio.wait(2)
    assert b"Idle Heartbeat" not in trio.heard(conn)
    trio.join(leader)
    trio.until(lambda: b"Nats-Last-Consumer: 4294967296" in trio.out.get(conn, b""))
    assert b'"error"' not in watch(trio, conn, "_W.2")


def test_a_durable_consumer_goes_on_where_its_acknowledgements_were_replicated(trio):
    conn = trio.client("a")
    for number in range(4):
        trio.put(conn, "b", f"k{number}", b"%d" % number)
    config = {"durable_name": "D", "ack_policy": "explicit", "ack_wait": 1_000_000_000}
    body = json.dumps({"stream_name": "KV_b", "config": config}).encode()
    assert b'"error"' not in trio.ask(conn, "$JS.API.CONSUMER.DURABLE.CREATE.KV_b.D", body)
    trio.say(conn, b"SUB _P 8\r\n")
    trio.send(conn, "$JS.API.CONSUMER.MSG.NEXT.KV_b.D", b'{"batch":2}', "_P")
    for line in trio.heard(conn).split(b"\r\n"):
        if line.startswith(b"MSG $KV"):
            trio.send(conn, line.split()[3].decode(), b"+ACK")
    fail_over(trio)
    trio.send(conn, "$JS.API.CONSUMER.MSG.NEXT.KV_b.D", b'{"batch":9,"no_wait":true}', "_P")
    heard = trio.heard(conn)
    assert [key in heard for key in (b"$KV.b.k0", b"$KV.b.k1")] == [False, False]
    assert heard.index(b"$KV.b.k2") < heard.index(b"$KV.b.k3")


def test_a_message_that_expires_goes_on_every_replica_through_the_log():
    trio = Trio()
    trio.create("b", max_age=1_000_000_000)
    trio.put(trio.client("a"), "b", "k", b"v")
    fail_over(trio)
    trio.wait(2)
    assert trio.is_level("b")
    assert [trio.contents(name, "b") for name in trio.names] == [[], [], []]


def test_a_lame_duck_lets_others_lead_before_its_clients_are_gone(trio):
    leader = trio.leader("b")
    trio.turn(leader, Operator(Order.LAME_DUCK))
    trio.settle()
    trio.until(lambda: trio.leader("b") and trio.meta_leader(), seconds=0.2)
    assert trio.leader("b") != leader
    assert trio.meta_leader() != leader


def test_a_mirror_stands_in_for_an_origin_only_while_nobody_leads_it(trio):
    trio.create("m", subjects=[], mirror={"name": "KV_b"}, mirror_direct=True)
    if trio.leader("m") == trio.leader("b"):
        fail_over(trio, "m")
    assert trio.leader("m") != trio.leader("b")
    conn = trio.client("a")
    assert trio.put(conn, "b", "k", b"v")
    trio.say(conn, b"SUB _I.d 5\r\nPUB $JS.API.DIRECT.GET.KV_b.$KV.b.k _I.d 0\r\n\r\n")
    trio.wait(0.5)
    heard = trio.heard(conn)
    assert heard.count(b"MSG _I.d") == 1
    assert b"Nats-Sequence: 1" in heard
