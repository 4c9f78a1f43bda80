"""A whole server, driven by hand: turns, promises, streams that come and go."""

import json

import pytest

from kvcore.jetstream.stream import Stream
from kvcore.limits import SECOND_NS
from kvcore.node.io import ClientData, Synced
from kvcore.storage import keys
from kvcore.storage.memory import MemoryStorage
from tests.support.driven import Driver, bucket


@pytest.fixture
def server():
    driver = Driver()
    driver.sync()
    driver.client()
    return driver


@pytest.fixture
def kv(server):
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    return server


def test_nobody_serves_the_api_before_the_term_is_durable():
    driver = Driver()
    driver.client()
    driver.publish("$JS.API.INFO")
    assert b"503" in driver.heard()
    driver.sync()
    assert "memory" in driver.request("$JS.API.INFO")


def test_the_term_rises_with_each_start(server):
    before = server.node.term
    again = Driver(server.stores)
    assert again.node.term == before + 1


def test_a_put_is_acknowledged_only_after_the_sync_that_covers_it(kv):
    effects = kv.publish("$KV.b.k", b"v")
    assert effects.sync is not None
    assert effects.batches["file"]
    assert kv.heard() == b""
    kv.sync()
    assert b'{"stream":"KV_b","seq":1}' in kv.heard()


def test_a_put_in_memory_is_acknowledged_in_its_own_turn(server):
    server.request("$JS.API.STREAM.CREATE.KV_m", bucket("m", storage="memory"))
    effects = server.publish("$KV.m.k", b"v")
    assert effects.sync is None
    assert b'"seq":1' in server.heard()


def test_all_puts_of_a_turn_share_one_sync(kv):
    puts = b"".join(b"PUB $KV.b.k%d _I.ack 1\r\nv\r\n" % n for n in range(64))
    effects = kv.turn(ClientData(1, puts))
    assert effects.sync is not None
    assert len(kv.tickets) == 1
    kv.sync()
    assert kv.heard().count(b'"seq":') == 64


def test_a_later_ticket_covers_the_earlier(kv):
    for n in range(3):
        kv.publish(f"$KV.b.k{n}", b"v")
    assert len(kv.tickets) == 3
    kv.turn(Synced(kv.tickets[1]))
    assert kv.heard().count(b'"seq":') == 2
    kv.turn(Synced(kv.tickets[2]))
    assert kv.heard().count(b'"seq":') == 1


def test_a_watcher_hears_of_a_put_in_the_turn_of_its_ack(kv):
    config = {"deliver_subject": "_I.w", "filter_subject": "$KV.b.>", "ack_policy": "none"}
    kv.request("$JS.API.CONSUMER.CREATE.KV_b", {"stream_name": "KV_b", "config": config})
    kv.publish("$KV.b.k", b"v")
    assert kv.heard() == b""
    kv.sync()
    heard = kv.heard()
    assert b"MSG $KV.b.k 1 $JS.ACK.KV_b." in heard
    assert b'"seq":1' in heard


def test_a_restart_finds_streams_values_and_revisions(kv):
    kv.publish("$KV.b.k", b"first")
    kv.publish("$KV.b.k", b"second")
    kv.sync()
    again = Driver(kv.stores)
    again.sync()
    again.client()
    again.publish("$JS.API.DIRECT.GET.KV_b.$KV.b.k")
    heard = again.heard()
    assert b"Nats-Sequence: 2" in heard
    assert b"second" in heard


def test_a_memory_stream_is_there_after_a_restart_and_empty(server):
    server.request("$JS.API.STREAM.CREATE.KV_m", bucket("m", storage="memory"))
    server.publish("$KV.m.k", b"v")
    again = Driver({"file": server.stores["file"], "memory": MemoryStorage()})
    again.sync()
    again.client()
    state = again.request("$JS.API.STREAM.INFO.KV_m")["state"]
    assert (state["messages"], state["last_seq"]) == (0, 0)


def test_a_stream_is_created_once_however_often_it_is_asked_for_in_a_turn(server):
    body = json.dumps(bucket()).encode()
    line = b"PUB $JS.API.STREAM.CREATE.KV_b _I.ack %d\r\n%b\r\n" % (len(body), body)
    server.turn(ClientData(1, line * 3))
    server.sync()
    assert server.heard().count(b'"did_create":true') == 3
    assert len(server.node.streams) == 1


def test_an_update_is_answered_when_the_stream_itself_has_switched(kv):
    for n in range(3):
        kv.publish("$KV.b.k", b"%d" % n)
    answer = kv.request("$JS.API.STREAM.UPDATE.KV_b", bucket(max_msgs_per_subject=5))
    assert answer["config"]["max_msgs_per_subject"] == 5
    assert kv.node.streams["KV_b"].config.max_msgs_per_subject == 5


def test_an_update_that_was_cut_short_is_completed_at_the_next_start(kv):
    body = json.dumps(bucket(max_msgs_per_subject=5)).encode()
    line = b"PUB $JS.API.STREAM.UPDATE.KV_b _I.ack %d\r\n%b\r\n" % (len(body), body)
    kv.turn(ClientData(1, line))
    kv.turn(Synced(kv.tickets.pop()))  # meta has decided; the stream's own entry never syncs
    again = Driver(kv.stores)
    again.sync()
    assert again.node.streams["KV_b"].config.max_msgs_per_subject == 5


def test_a_changed_subject_is_subscribed_at_once_and_the_old_one_given_up(server):
    server.request("$JS.API.STREAM.CREATE.S", {"name": "S", "subjects": ["old"]})
    server.request("$JS.API.STREAM.UPDATE.S", {"name": "S", "subjects": ["new"]})
    server.publish("old")
    assert b"503" in server.heard()
    server.publish("new")
    server.sync()
    assert b'"stream":"S"' in server.heard()


def test_a_deleted_stream_leaves_no_bytes_and_no_responders(kv):
    for n in range(10):
        kv.publish(f"$KV.b.k{n}", b"v" * 100)
    kv.sync()
    kv.publish("$KV.b.late", b"v")  # in flight when the stream goes
    assert kv.request("$JS.API.STREAM.DELETE.KV_b")["success"]
    kv.heard()
    kv.publish("$KV.b.k", b"v")
    assert b"503" in kv.heard()
    left = [key for key, _ in kv.stores["file"].scan(b"", b"\xff") if key[:1] in b"MDE"]
    assert [key for key in left if key[1:9] != (1).to_bytes(8, "big")] == []


def test_a_stream_of_the_same_name_begins_anew(kv):
    kv.publish("$KV.b.k", b"v")
    kv.request("$JS.API.STREAM.DELETE.KV_b")
    kv.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    kv.publish("$KV.b.k", b"v")
    kv.sync()
    assert b'"seq":1}' in kv.heard()


def test_a_value_with_a_time_to_live_goes_when_the_time_comes_by_a_command(server):
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket(allow_msg_ttl=True))
    block = b"NATS/1.0\r\nNats-TTL: 2s\r\n\r\n"
    server.turn(
        ClientData(1, b"HPUB $KV.b.k _I.ack %d %d\r\n%bv\r\n" % (len(block), len(block) + 1, block))
    )
    server.sync()
    server.wait(1.9)
    assert server.node.streams["KV_b"].messages == 1
    server.wait(0.2)
    assert server.node.streams["KV_b"].messages == 0


def test_an_abandoned_watch_is_reaped(kv):
    config = {
        "deliver_subject": "elsewhere",
        "ack_policy": "none",
        "inactive_threshold": 5 * SECOND_NS,
    }
    body = {"stream_name": "KV_b", "config": config}
    kv.request("$JS.API.CONSUMER.CREATE.KV_b", body)
    kv.wait(4)
    assert kv.request("$JS.API.CONSUMER.NAMES.KV_b")["total"] == 1
    kv.wait(3)
    assert kv.request("$JS.API.CONSUMER.NAMES.KV_b")["total"] == 0


def test_a_long_snapshot_leaves_room_for_a_ping(server):
    server.request("$JS.API.STREAM.CREATE.KV_m", bucket("m", storage="memory"))
    for n in range(3000):
        server.publish(f"$KV.m.k{n}", b"v", reply="")
    config = {"deliver_subject": "_I.w", "ack_policy": "none"}
    server.heard()
    body = json.dumps({"stream_name": "KV_m", "config": config}).encode()
    server.publish("$JS.API.CONSUMER.CREATE.KV_m", body)
    turns_before = len(server.turns)
    server.turn(ClientData(1, b"PING\r\n"))
    server.wait(0.001)
    heard = server.heard()
    assert heard.count(b"$JS.ACK") == 3000
    assert len(server.turns) - turns_before > 3
    assert heard.index(b"PONG") < heard.rindex(b"$JS.ACK")


def test_big_values_are_delivered_in_slices_of_bytes_and_close_nobody(server):
    server.request("$JS.API.STREAM.CREATE.KV_m", bucket("m", storage="memory"))
    for n in range(60):
        server.publish(f"$KV.m.k{n}", b"v" * 1_000_000, reply="")
    config = {"deliver_subject": "_I.w", "ack_policy": "none"}
    body = json.dumps({"stream_name": "KV_m", "config": config}).encode()
    server.publish("$JS.API.CONSUMER.CREATE.KV_m", body)
    server.publish("$JS.API.DIRECT.GET.KV_m", b'{"multi_last":["$KV.m.>"]}')
    server.wait(0.001)
    assert max(len(turn.writes.get(1, b"")) for turn in server.turns) < 12_000_000
    heard = server.heard()
    assert b"Slow Consumer" not in heard
    assert heard.count(b"$JS.ACK") == 60
    assert heard.count(b"Nats-Sequence: ") == 60


def test_the_server_says_who_it_is_and_since_when(server):
    answer = server.request("$SYS.REQ.SERVER.PING")
    assert answer["server"]["name"] == "n1"
    assert answer["statsz"]["start"] == "2026-01-01T00:00:00Z"
    assert answer["statsz"]["connections"] == 1


def test_without_jetstream_the_api_has_no_responders():
    driver = Driver(jetstream=False)
    driver.sync()
    driver.client()
    driver.publish("$JS.API.INFO")
    assert b"503" in driver.heard()


def test_a_deletion_that_a_crash_interrupted_leaves_nothing_behind(kv):
    kv.publish("$KV.b.k", b"v")
    kv.sync()
    (gid,) = (host.group.gid for host in kv.node._hosts)
    kv.publish("$JS.API.STREAM.DELETE.KV_b")  # written, and then the server stops
    again = Driver({"file": kv.stores["file"], "memory": MemoryStorage()})
    again.sync()
    assert not again.node.streams
    every = kv.stores["file"].scan(b"", b"\xff")
    assert {keys.group(key) for key, _ in every if key != keys.IDENTITY} == {keys.META_GID}
    assert gid != keys.META_GID


def test_a_batch_that_waits_has_looked_nothing_up(server, monkeypatch):
    server.request("$JS.API.STREAM.CREATE.KV_m", bucket("m", storage="memory"))
    for n in range(1200):
        server.publish(f"$KV.m.k{n}", b"v", reply="")
    looked = []
    real = Stream.walk
    monkeypatch.setattr(Stream, "walk", lambda self, *a: looked.append(1) or real(self, *a))
    body = b'{"seq":1,"batch":1000}'
    line = b"PUB $JS.API.DIRECT.GET.KV_m _I.ack %d\r\n%b\r\n" % (len(body), body)
    server.heard()
    server.turn(ClientData(1, line * 50))
    assert len(looked) == 1
    server.wait(0.001)
    assert len(looked) == 50
    assert server.heard().count(b"204 EOB") == 50
