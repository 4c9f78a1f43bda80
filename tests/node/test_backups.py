"""Backups on a whole server, in virtual time, with raw requests."""

import json
import zlib
from random import Random

import pytest

from kvcore import limits
from kvcore.node.groups import FILE
from kvcore.node.io import ClientClosed, ClientData, Synced, TimerFired
from kvcore.sim.disk import SimulatedDisk
from kvcore.storage import keys
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage
from tests.support.backups import (
    backup,
    begin,
    forged,
    messages,
    open_restore,
    receive,
    restore,
    send,
)
from tests.support.driven import Driver

TTL = b"NATS/1.0\r\nNats-TTL: 1h\r\n\r\n"
MSG_ID = b"NATS/1.0\r\nNats-Msg-Id: once\r\n\r\n"
CONFIG = {
    "name": "S",
    "subjects": ["s.>"],
    "allow_msg_ttl": True,
    "allow_direct": True,
    "description": "with words",
    "metadata": {"team": "blue"},
}


def fresh(stores=None, **settings) -> Driver:
    driver = Driver(stores, **settings)
    driver.sync()
    driver.client()
    return driver


def publish(server, subject, payload=b"", block=b""):
    line = f"HPUB {subject} _I.a {len(block)} {len(block) + len(payload)}\r\n".encode()
    if not block:
        line = f"PUB {subject} _I.a {len(payload)}\r\n".encode()
    server.turn(ClientData(1, line + block + payload + b"\r\n"))
    server.sync()
    server.now += 1_234_567


def filled(**config) -> Driver:
    """A server with the stream S: headers, a TTL, an id, gaps, and a durable half done."""
    server = fresh()
    server.request("$JS.API.STREAM.CREATE.S", {**CONFIG, **config})
    for number in range(20):
        publish(server, f"s.{number % 3}", b"value %d" % number)
    publish(server, "s.ttl", b"short", TTL)
    publish(server, "s.id", b"first", MSG_ID)
    publish(server, "s.\xff", b"\x00\xff" * 10)
    for seq in (1, 5, 6):
        server.request("$JS.API.STREAM.MSG.DELETE.S", {"seq": seq})
    for name, ack in (("d", "explicit"), ("n", "none")):
        one = {"durable_name": name, "ack_policy": ack, "filter_subject": "s.>"}
        body = {"stream_name": "S", "config": one}
        server.request(f"$JS.API.CONSUMER.DURABLE.CREATE.S.{name}", body)
    watch = {"deliver_subject": "_I.watch", "ack_policy": "none", "name": "w"}
    server.request("$JS.API.CONSUMER.CREATE.S.w", {"stream_name": "S", "config": watch})
    first, second, _ = (pull(server) for _ in range(3))
    server.publish(second[0], b"+ACK")
    server.publish(first[0], b"-NAK")
    server.sync()
    return server


def pull(server, consumer="d") -> tuple[str, bytes]:
    server.heard()
    server.publish(f"$JS.API.CONSUMER.MSG.NEXT.S.{consumer}", b"", "_I.pull")
    server.sync()
    return next((m[1], m[3]) for m in messages(server.heard()) if m[1].startswith("$JS.ACK"))


def picture(server, name="S"):
    """All that a stream is, the group's number aside."""
    stream = server.node.streams[name]
    facts = (stream.config, stream.created, stream.last_msg_id, stream.first_seq, stream.last_seq)
    durable = {n: c for n, c in stream.consumers.items() if c.config.durable_name}
    ledgers = {
        name: (ledger.encode(), dict(ledger.pending), dict(ledger.again))
        for name, ledger in stream.ledgers.items()
    }
    found = [stream.message(seq) for seq in stream.sequences()]
    return (facts, durable, ledgers, found, stream.state()["bytes"], stream.next_expiry())


def owned(server):
    """The groups that have anything in the store."""
    pairs = server.stores["file"].scan(b"", b"\xff")
    return {keys.group(key) for key, _ in pairs if key != keys.IDENTITY}


def test_a_restored_stream_is_the_one_that_was_backed_up_to_the_last_byte():
    server = filled()
    answer, data = backup(server, "S")
    other = fresh()
    created = restore(other, answer, data)
    assert created["type"] == "io.nats.jetstream.api.v1.stream_create_response"
    assert created["state"]["messages"] == answer["state"]["messages"] == 20
    assert picture(other) == picture(server)


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_chunks_of_any_size_make_the_same_stream(size):
    server = filled()
    answer, data = backup(server, "S", chunk_size=size)
    other = fresh()
    assert "error" not in restore(other, answer, data, size=size)
    assert picture(other) == picture(server)


def test_a_restored_stream_goes_on_where_the_other_one_was():
    server = filled()
    answer, data = backup(server, "S")
    other = fresh()
    restore(other, answer, data)
    publish(other, "s.id", b"again", MSG_ID)  # a duplicate
    assert other.node.streams["S"].last_seq == 23
    publish(other, "s.new", b"new")
    assert other.node.streams["S"].last_seq == 24
    assert pull(other)[1] == b"value 6"  # 4 and 5 were deleted
    assert pull(other, "n")[1] == b"value 1"
    again = Driver(other.stores)  # and after a restart
    again.sync()
    again.client()
    assert picture(again) == picture(other)
    other.wait(60)  # what was not acknowledged comes again
    assert pull(other)[1] in (b"value 1", b"value 3")


def test_consumers_stay_out_when_the_client_wants_none_and_watches_always_do():
    server = filled()
    answer, data = backup(server, "S", no_consumers=True)
    other = fresh()
    restore(other, answer, data)
    assert not other.node.streams["S"].consumers
    answer, data = backup(server, "S")
    other = fresh()
    restore(other, answer, data)
    assert sorted(other.node.streams["S"].consumers) == ["d", "n"]


@pytest.mark.parametrize(
    "config",
    [
        {"max_deliver": -1, "max_ack_pending": 7, "ack_wait": 5_000_000_000},
        {"backoff": [10**9, 2 * 10**9], "max_deliver": 3, "sample_freq": "30%"},
        {"deliver_subject": "to", "deliver_group": "g", "flow_control": True,
         "idle_heartbeat": 10**9, "headers_only": True},
        {"deliver_policy": "by_start_sequence", "opt_start_seq": 9, "max_waiting": 3},
        {"deliver_policy": "by_start_time", "opt_start_time": "2026-01-01T00:00:00Z"},
        {"deliver_policy": "last_per_subject", "filter_subjects": ["s.1", "s.2"]},
        {"ack_policy": "all", "inactive_threshold": 10**12, "max_batch": 5, "max_expires": 10**10},
        {"pause_until": "2030-01-01T00:00:00Z", "metadata": {"a": "b"}, "description": "words"},
        {"mem_storage": True, "num_replicas": 1, "max_bytes": 999},
    ],
)  # fmt: skip
def test_whatever_a_durable_was_asked_for_it_comes_back_so(config):
    server = fresh()
    server.request("$JS.API.STREAM.CREATE.S", CONFIG)
    publish(server, "s.1", b"v")
    body = {"config": {"durable_name": "d", "ack_policy": "explicit", **config}}
    said = server.request("$JS.API.CONSUMER.DURABLE.CREATE.S.d", {"stream_name": "S", **body})
    assert "error" not in said, said
    limited = {**CONFIG, "subjects": ["s.>", "t"], "max_consumers": 1}
    server.request("$JS.API.STREAM.UPDATE.S", limited)
    answer, data = backup(server, "S")
    other = fresh()
    said = restore(other, answer, data)
    assert "error" not in said, said
    assert picture(other) == picture(server)
    shown = [s.request("$JS.API.CONSUMER.INFO.S.d") for s in (server, other)]
    assert shown[0]["config"] == shown[1]["config"]


def test_a_stream_in_memory_can_be_backed_up_too():
    server = filled(storage="memory")
    answer, data = backup(server, "S")
    other = fresh()
    restore(other, answer, data)
    assert picture(other) == picture(server)
    publish(other, "s.new", b"new")
    assert other.node.streams["S"].last_seq == 24


def test_an_empty_stream_comes_back_with_its_sequence():
    server = filled()
    server.request("$JS.API.STREAM.PURGE.S", {})
    answer, data = backup(server, "S")
    other = fresh()
    restore(other, answer, data)
    assert picture(other) == picture(server)
    assert other.node.streams["S"].first_seq == 24


def test_a_sealed_stream_comes_back_sealed():
    server = filled()
    sealed = server.request("$JS.API.STREAM.UPDATE.S", {**CONFIG, "sealed": True})
    assert sealed["config"]["sealed"]
    answer, data = backup(server, "S")
    other = fresh()
    assert "error" not in restore(other, answer, data)
    assert picture(other) == picture(server)


def test_limits_that_the_client_changed_hold_once_the_stream_stands():
    server = filled()
    answer, data = backup(server, "S")
    other = fresh()
    restore(other, answer, data, max_msgs=5)
    other.sync()
    assert other.node.streams["S"].messages == 5
    assert other.node.streams["S"].config.max_msgs == 5


# While a backup is made.


def test_a_backup_is_the_state_at_one_index_whatever_is_written_meanwhile():
    server = filled()
    for number in range(2000):
        server.turn(ClientData(1, b"PUB s.more _I.a 5\r\n%05d\r\n" % number))
    server.sync()
    before = picture(server)
    answer = begin(server, "S", chunk_size=1024, window_size=1024)
    chunks = []
    for step in range(10_000):
        server.turn(TimerFired())
        publish(server, f"s.{step % 5}", b"later %d" % step)
        if step == 3:
            server.request("$JS.API.STREAM.PURGE.S", {"filter": "s.1"})
        got = messages(server.heard(7))
        chunks += [payload for _, _, _, payload in got if payload]
        if any(not payload for _, _, _, payload in got):
            break
        for _, reply, _, _ in got:
            server.turn(ClientData(7, f"PUB {reply} 0\r\n\r\n".encode()))
    other = fresh()
    restore(other, answer, b"".join(chunks), size=50_000)
    assert len(chunks) > 40
    assert picture(other) == before


def test_no_turn_makes_more_than_a_few_frames_however_large_the_window():
    server = fresh()
    server.request("$JS.API.STREAM.CREATE.S", CONFIG)
    for _ in range(40):
        server.turn(ClientData(1, b"PUB s.a 100\r\n%b\r\n" % (b"x" * 100) * 250))
    server.sync()
    begin(server, "S", chunk_size=1024, window_size=limits.SNAPSHOT_WINDOW_MAX_BYTES)
    most = 0
    while True:
        server.turn(TimerFired())
        heard = messages(server.heard(7))
        most = max(most, sum(len(payload) for _, _, _, payload in heard))
        if any(not payload for _, _, _, payload in heard):
            break
    assert 0 < most <= limits.BACKUP_FRAMES_PER_TURN * (limits.BACKUP_FRAME_BYTES + 2000)


def test_at_most_a_window_is_on_its_way_and_a_silent_client_is_told_after_5_s():
    server = filled()
    for _ in range(30):
        publish(server, "s.big", b"x" * 1000)
    begin(server, "S", chunk_size=1024, window_size=4096)
    server.wait(1)
    heard = messages(server.heard(7))
    assert [len(payload) for _, _, _, payload in heard] == [1024] * 4
    assert heard[0][1].endswith(".1024.1")
    server.wait(3.9)
    assert server.heard(7) == b""
    server.wait(1)
    ((_, _, header, _),) = messages(server.heard(7))
    assert header == b"NATS/1.0 408 No Flow Response\r\n\r\n"
    assert not server.stores["file"]._views
    assert server.node._backups.deadline() is None


def test_a_client_that_leaves_ends_its_backup():
    server = filled()
    for _ in range(30):
        publish(server, "s.big", b"x" * 1000)
    begin(server, "S", chunk_size=1024, window_size=1024)
    server.wait(0.1)
    server.turn(ClientClosed(7))
    server.wait(0.1)
    assert server.node._backups.deadline() is None
    assert not server.stores["file"]._views


def test_a_backup_waits_two_seconds_for_its_client_to_subscribe():
    server = filled()
    said = server.request("$JS.API.STREAM.SNAPSHOT.S", {"deliver_subject": "_I.late"})
    assert said["state"]["messages"] == 20
    server.wait(1)
    assert server.heard() == b""
    server.turn(ClientData(1, b"SUB _I.late 9\r\n"))
    server.wait(0.1)
    assert b"kvcore backup" in server.heard()
    server.request("$JS.API.STREAM.SNAPSHOT.S", {"deliver_subject": "nobody"})
    server.wait(3)
    assert server.node._backups.deadline() is None


def test_a_deleted_stream_is_still_backed_up_to_its_end():
    server = filled()
    before = picture(server)
    answer = begin(server, "S")
    server.request("$JS.API.STREAM.DELETE.S")
    data, _, _ = receive(server)
    restore(server, answer, data)
    assert picture(server) == before


def told(server) -> list[dict]:
    """The events that client 5 has heard."""
    heard = messages(server.heard(5))
    return [json.loads(payload) for to, _, _, payload in heard if to.startswith("$JS.EVENT.")]


def test_those_who_listen_hear_of_backups_and_restores():
    server = filled()
    server.client(5)
    server.turn(ClientData(5, b"SUB $JS.EVENT.ADVISORY.STREAM.*.S 9\r\n"))
    answer, data = backup(server, "S")
    begun, ended = told(server)
    assert begun["type"] == "io.nats.jetstream.advisory.v1.snapshot_create"
    assert begun["state"] == answer["state"]
    assert ended["type"] == "io.nats.jetstream.advisory.v1.snapshot_complete"
    assert begun["timestamp"] == ended["start"] <= ended["end"]
    assert "error" not in ended
    server.request("$JS.API.STREAM.DELETE.S")
    told(server)
    assert "error" not in restore(server, answer, data)
    events = {event["type"].rpartition(".")[2]: event for event in told(server)}
    assert sorted(events) == ["restore_complete", "restore_create", "stream_action"]
    assert events["restore_complete"]["bytes"] == len(data)


def test_a_backup_that_came_to_nothing_is_told_with_its_reason():
    server = filled()
    server.turn(ClientData(1, b"SUB $JS.EVENT.ADVISORY.STREAM.SNAPSHOT_COMPLETE.S 9\r\n"))
    server.request("$JS.API.STREAM.SNAPSHOT.S", {"deliver_subject": "nobody"})
    server.wait(3)
    (said,) = [json.loads(m[3]) for m in messages(server.heard())]
    assert said["error"] == "no interest"


# What is refused.


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, 10003),
        ({}, 10003),
        ({"deliver_subject": "a.*"}, 10015),
        ({"deliver_subject": ""}, 10015),
        ({"deliver_subject": 5}, 10025),
        ({"deliver_subject": "a", "bogus": 1}, 10025),
    ],
)
def test_a_request_for_a_backup_that_makes_no_sense_is_refused(body, code):
    server = filled()
    said = server.request("$JS.API.STREAM.SNAPSHOT.S", body)
    assert said["error"]["err_code"] == code


def test_a_backup_of_no_stream_is_refused_with_10059():
    said = fresh().request("$JS.API.STREAM.SNAPSHOT.NO", {"deliver_subject": "a"})
    assert said["error"]["err_code"] == 10059


@pytest.mark.parametrize(
    ("name", "changes", "code"),
    [
        ("S", {"name": "OTHER"}, 10056),
        ("S", {"num_replicas": 3}, 10074),
        ("S", {"max_age": 5}, 10052),
        ("T", {}, 10056),
        ("TAKEN", {"name": "TAKEN"}, 10130),
    ],
)
def test_a_restore_that_cannot_come_to_be_is_refused_before_its_first_chunk(name, changes, code):
    server = fresh()
    server.request("$JS.API.STREAM.CREATE.TAKEN", {"name": "TAKEN", "subjects": ["t"]})
    body = {"config": {**CONFIG, **changes}, "state": {}}
    said = server.request(f"$JS.API.STREAM.RESTORE.{name}", body)
    assert (said["error"]["err_code"], said["deliver_subject"]) == (code, "")
    assert len(owned(server)) == 2


def test_a_stream_made_meanwhile_wins_over_the_restore_and_nothing_is_left():
    server = filled()
    answer, data = backup(server, "S")
    other = fresh()
    subject = open_restore(other, answer)
    assert send(other, subject, data) is None
    other.request("$JS.API.STREAM.CREATE.S", {"name": "S", "subjects": ["else"]})
    before = owned(other)
    assert send(other, subject, b"")["error"]["err_code"] == 10130
    assert len(owned(other)) == len(before) - 1
    assert other.node.streams["S"].messages == 0


def test_subjects_that_another_stream_has_are_refused_at_the_end_as_on_nats_server():
    server = filled()
    answer, data = backup(server, "S")
    other = fresh()
    other.request("$JS.API.STREAM.CREATE.X", {"name": "X", "subjects": ["s.1"]})
    assert restore(other, answer, data)["error"]["err_code"] == 10065
    assert sorted(other.node.streams) == ["X"]
    assert len(owned(other)) == 2


def test_a_restore_that_stalls_for_5_s_leaves_nothing():
    server = filled()
    answer, data = backup(server, "S")
    other = fresh()
    subject = open_restore(other, answer)
    assert send(other, subject, data[:500]) is None
    assert len(owned(other)) == 2
    other.wait(4.9)
    assert send(other, subject, data[500:600]) is None
    other.wait(5.1)
    assert len(owned(other)) == 1
    assert send(other, subject, data[600:])["error"]["description"] == "no responders"


def test_a_full_server_refuses_a_restore_in_the_middle_and_keeps_nothing():
    server = filled()
    for _ in range(30):
        publish(server, "s.big", b"x" * 1000)
    answer, data = backup(server, "S")
    other = fresh(max_storage=10_000)
    said = restore(other, answer, data)
    assert said["error"]["err_code"] == 10047
    assert len(owned(other)) == 1
    assert other.node._budgets[FILE].used == 0


def test_a_client_that_waits_for_no_answer_is_refused_at_8_mib():
    server = filled()
    answer, _ = backup(server, "S")
    other = fresh()
    subject = open_restore(other, answer)
    line = f"PUB {subject} _I.c 1000000\r\n".encode()
    other.heard()
    other.turn(*(ClientData(1, line + b"\x00" * 1_000_000 + b"\r\n") for _ in range(9)))
    assert b"too many chunks at a time" in other.heard()
    assert len(owned(other)) == 1


def test_seventeen_backups_or_restores_at_a_time_are_one_too_many():
    server = filled()
    answer, _ = backup(server, "S")
    for _ in range(limits.BACKUPS_COUNT):
        assert "error" not in server.request(
            "$JS.API.STREAM.SNAPSHOT.S", {"deliver_subject": "nobody"}
        )
        open_restore(server, answer, name="NEW")
    said = server.request("$JS.API.STREAM.SNAPSHOT.S", {"deliver_subject": "nobody"})
    assert said["error"]["err_code"] == 10064
    body = {"config": {**CONFIG, "name": "NEW"}}
    said = server.request("$JS.API.STREAM.RESTORE.NEW", body)
    assert said["error"]["err_code"] == 10023


@pytest.mark.parametrize("kind", ["flip", "cut", "insert"])
def test_an_archive_that_was_changed_anywhere_is_refused_and_leaves_nothing(kind):
    answer, data = backup(filled(), "S")
    rng = Random(kind)
    other = fresh()
    for _ in range(60):
        at = rng.randrange(len(data))
        changed = bytearray(data)
        if kind == "flip":
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del changed[at : at + rng.randrange(1, 50)]
        else:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        said = restore(other, answer, bytes(changed), size=400)
        assert said["error"]["err_code"] == 10062, (kind, at)
        assert not other.node.streams
        assert len(owned(other)) == 1


def test_a_backup_under_another_name_is_refused_with_both_names():
    answer, data = backup(filled(), "S")
    said = restore(fresh(), answer, data, name="T")
    assert said["error"]["description"].endswith("the backup is of the stream S, not T")


def test_a_backup_of_nats_servers_is_refused_as_what_it_is():
    answer, _ = backup(filled(), "S")
    theirs = b"\xff\x06\x00\x00S2sTwO\x00\xd1\x00\x00}v\x8cV\x80\x02"
    said = restore(fresh(), answer, theirs)["error"]
    assert said["err_code"] == 10062
    assert "not made by kvcore, but by nats-server" in said["description"]


# A power cut.


def on_disks(disks, default):
    stores = {engine: AppendFile(disk) for engine, disk in disks.items()}
    engines = (default, "file" if default == "rocksdb" else "rocksdb")
    return fresh(stores=stores | {"memory": MemoryStorage()}, engines=engines)


@pytest.mark.parametrize("engine", ["file", "rocksdb"])
def test_a_power_cut_in_a_restore_leaves_the_whole_stream_or_none_of_it(engine):
    """In a store of its own too, which loses an end of its own; a file stands for RocksDB."""
    server = filled()
    answer, data = backup(server, "S")
    wanted = picture(server)
    seen = {"whole": 0, "none": 0, "said": 0}
    for seed in range(120):
        rng = Random(seed)
        disks = {e: SimulatedDisk(Random(f"{seed}/{e}")) for e in ("file", "rocksdb")}
        other = on_disks(disks, engine)
        noise = {"name": "N", "subjects": ["n"], "metadata": {"kvcore.engine": "file"}}
        other.request("$JS.API.STREAM.CREATE.N", noise)
        other.stores["file"].sync()
        steps, said = rng.randrange(60), None
        other.heard()
        config = {"config": answer["config"], "state": answer["state"]}
        other.publish("$JS.API.STREAM.RESTORE.S", json.dumps(config).encode(), "_I.r")
        chunks = [data[at : at + 600] for at in range(0, len(data), 600)] + [b""]
        subject = ""
        for _ in range(steps):
            if other.tickets and rng.random() < (0.5 if chunks or seed % 2 else 0.1):
                for store in other.stores.values():
                    store.sync()
                ticket, other.tickets = other.tickets[-1], []
                other.turn(Synced(ticket))  # and no other: what it leads to isn't on the disk
            other.turn(TimerFired())
            other.publish("n", bytes(300))  # more in the log's store for a power cut to keep
            for to, _, _, payload in messages(other.heard()):
                said = payload if to == "_I.c" and payload else said
                if to == "_I.r":
                    subject = json.loads(payload)["deliver_subject"]
            if subject and chunks and rng.random() < 0.8:
                other.publish(subject, chunks.pop(0), "_I.c")
        for disk in disks.values():
            disk.power_cut()
        again = on_disks(disks, engine)
        if "S" in again.node.streams:
            assert picture(again) == wanted
            seen["whole"] += 1
        else:
            assert said is None, "it was said to stand"
            assert len(owned(again)) == 2
            assert list(again.stores["rocksdb"].scan(b"", b"\xff")) == []
            seen["none"] += 1
        seen["said"] += said is not None
    assert min(seen.values()) > 5, seen


def test_records_that_contradict_each_other_are_refused_even_with_good_checksums():
    answer, data = backup(filled(), "S")
    other = fresh()
    subject = open_restore(other, answer)
    body = b"P" + b"\x00\x01\x00\x00\x00\x03Sxy"
    head = data[14 : 14 + int.from_bytes(data[11:14], "little") - 4]
    check = zlib.crc32(body, zlib.crc32(head)).to_bytes(4)
    frame = b"\x9a" + (len(body) + 4).to_bytes(3, "little") + body + check
    said = send(other, subject, data[: 14 + len(head) + 4] + frame)
    assert "is not readable" in said["error"]["description"] or "cut short" in str(said)
    assert len(owned(other)) == 1


# By hand, with good checksums.


def with_config(records, **changes):
    """A stream's configuration in a backup, changed."""
    stamp, encoded = records[b"Sc"][:8], records[b"Sc"][8:]
    records[b"Sc"] = stamp + json.dumps({**json.loads(encoded), **changes}).encode()


def test_a_restored_stream_never_takes_the_subjects_that_only_its_backup_claims():
    answer, data = backup(filled(), "S")
    data = forged(data, lambda records: with_config(records, subjects=["other.>"]))
    server = fresh()
    server.request("$JS.API.STREAM.CREATE.O", {"name": "O", "subjects": ["other.>"]})
    subject = open_restore(server, answer)
    send(server, subject, data)
    server.publish(subject, b"", "_I.end")
    while "S" not in server.node.streams or server.tickets:
        publish_line = b"PUB other.x _I.a 1\r\nv\r\n"
        server.turn(ClientData(1, publish_line))
        if server.tickets:
            server.turn(Synced(server.tickets.pop(0)))
        if "S" in server.node.streams and server.node._hosts["S"].is_settled:
            break
    server.sync()
    assert server.node.streams["O"].messages > 2
    assert server.node.streams["S"].messages == 20
    assert not server.node.streams["S"].count_for("other.x")
    assert server.node.streams["S"].config.subjects == ("s.>",)


def test_the_answer_to_a_restore_shows_the_configuration_that_the_client_wanted():
    answer, data = backup(filled(), "S")
    said = restore(fresh(), answer, data, max_msgs=5)
    assert said["config"]["max_msgs"] == said["state"]["messages"] == 5


def test_limits_that_a_backup_itself_breaks_hold_before_the_restore_is_answered():
    answer, data = backup(filled(), "S")
    answer["config"]["max_msgs_per_subject"] = 1
    data = forged(data, lambda records: with_config(records, max_msgs_per_subject=1))
    server = fresh()
    assert restore(server, answer, data)["state"]["messages"] == 6
    assert server.node.streams["S"].count_for("s.1") == 1


def test_no_frame_of_a_backup_has_more_records_than_a_turn_can_take(monkeypatch):
    server = filled()
    monkeypatch.setattr(limits, "BACKUP_FRAME_COUNT", 1000)
    for number in range(300):
        publish(server, f"s.{number}")
    answer, data = backup(server, "S")
    monkeypatch.undo()
    said = restore(fresh(), answer, data)["error"]
    assert said["description"].endswith("a frame has too many records")


@pytest.mark.parametrize("size", [5, 17])
def test_a_message_larger_than_a_frame_is_backed_up_in_parts(size):
    server = fresh(max_payload=64 * limits.MIB)
    server.request("$JS.API.STREAM.CREATE.S", CONFIG)
    publish(server, "s.a", b"x" * size * limits.MIB)
    publish(server, "s.b", b"y")
    answer, data = backup(server, "S")
    other = fresh()
    assert "error" not in restore(other, answer, data, size=limits.MIB)
    assert picture(other) == picture(server)


def test_restores_that_are_under_way_share_the_room_that_is_left():
    server = fresh()
    server.request("$JS.API.STREAM.CREATE.S", CONFIG)
    for _ in range(60):
        publish(server, "s.big", b"x" * 1000)
    answer, data = backup(server, "S")
    other = fresh(max_storage=100_000)
    first, second = open_restore(other, answer), open_restore(other, answer)
    assert send(other, first, data) is None
    assert send(other, second, data)["error"]["err_code"] == 10047
    assert "error" not in send(other, first, b"")


def test_tiny_chunks_that_nobody_waits_for_are_bounded_in_number():
    other = fresh()
    subject = open_restore(other, backup(filled(), "S")[0])
    line = f"PUB {subject} _I.c 0\r\n\r\n".encode()
    other.turn(ClientData(1, line * (limits.RESTORE_PENDING_COUNT + 1)))
    assert b"too many chunks at a time" in other.heard()
