"""What expires, and what consumers have acknowledged, when a bucket's leader changes."""

import json

import pytest

from kvcore.limits import SECOND_NS
from tests.support.trio import Trio


def fail_over(trio, how):
    """Another server leads the bucket."""
    before = trio.leader("b")
    if how == "crash":
        trio.crash(before)
    else:
        trio.nodes[before].hand_over("KV_b", trio.follower("b"))
        trio.turn(before)
    trio.until(lambda: trio.leader("b") not in ("", before))
    return before


def alike(trio):
    """All replicas have the same messages; these."""
    trio.until(lambda: trio.is_level("b"))
    found = [trio.contents(name, "b") for name in trio.hosts("b")]
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.mark.parametrize("storage", ["file", "memory"])
@pytest.mark.parametrize("how", ["transfer", "crash"])
@pytest.mark.parametrize("marker", [0, 60 * SECOND_NS])
def test_a_keys_ttl_is_kept_to_by_the_next_leader(storage, how, marker):
    trio = Trio()
    more = {"subject_delete_marker_ttl": marker} if marker else {}
    trio.create("b", storage=storage, allow_msg_ttl=True, allow_rollup_hdrs=True, **more)
    conn = trio.client("a" if trio.leader("b") != "a" else "b")
    ttl = 90 if marker else 5
    trio.put(conn, "b", "gone", b"v", "Nats-TTL: 1" if not marker else f"Nats-TTL: {ttl}")
    trio.put(conn, "b", "early", b"v", f"Nats-TTL: {ttl}")
    born = trio.contents(trio.leader("b"), "b")[-1].time
    trio.put(conn, "b", "stays", b"v")
    if not marker:
        trio.wait(2)
    before = fail_over(trio, how)
    trio.wait(max((born + ttl * SECOND_NS - trio.now) / SECOND_NS - 0.5, 0))
    assert b"early" in b" ".join(m.subject.encode() for m in alike(trio))
    trio.wait(1)
    if before not in trio.nodes:
        trio.restart(before)
    trio.wait(2)
    left = [(m.subject.split(".")[-1], m.payload) for m in alike(trio)]
    if marker:
        assert left == [("stays", b"v"), ("gone", b""), ("early", b"")]
        trio.wait(70)
        left = [(m.subject.split(".")[-1], m.payload) for m in alike(trio)]
    assert left == [("stays", b"v")]


@pytest.mark.parametrize("how", ["transfer", "crash"])
def test_what_is_due_while_nobody_leads_expires_once_and_for_all(how):
    trio = Trio()
    trio.create("b", max_age=3 * SECOND_NS, duplicate_window=SECOND_NS)
    conn = trio.client(trio.follower("b"))
    for number in range(50):
        trio.send(conn, f"$KV.b.k{number}", b"v")
    trio.wait(1)
    trio.put(conn, "b", "late", b"v")
    trio.wait(1.95)
    before = fail_over(trio, how)
    trio.wait(0.5)
    assert [m.subject for m in alike(trio)] in (["$KV.b.late"], [])
    if before not in trio.nodes:
        trio.restart(before)
    trio.wait(3)
    assert alike(trio) == []
    assert trio.host(trio.leader("b"), "b").stream.last_seq == 51


def consumer(trio, conn, **config):
    body = {"stream_name": "KV_b", "config": config}
    answer = json.loads(trio.ask(conn, "$JS.API.CONSUMER.CREATE.KV_b.c", json.dumps(body).encode()))
    assert "error" not in answer, answer


def deliveries(heard, to):
    """(stream sequence, the subject to acknowledge at) of each message that came."""
    found = []
    for line in heard.split(b"\r\n"):
        words = line.split()
        if words[:1] in ([b"MSG"], [b"HMSG"]) and b"$JS.ACK." in line and words[2] == to:
            found.append((int(words[3].split(b".")[5]), words[3].decode()))
    return found


@pytest.mark.parametrize("how", ["transfer", "crash"])
@pytest.mark.parametrize("kind", ["push", "pull"])
def test_after_a_fail_over_what_is_not_acknowledged_comes_again_and_nothing_else(how, kind):
    trio = Trio()
    trio.create("b")
    home = trio.follower("b")
    conn = trio.client(home)
    for number in range(10):
        trio.put(conn, "b", f"k{number}", b"v")
    trio.say(conn, b"SUB _D.x 9\r\n")
    push = {"deliver_subject": "_D.x"} if kind == "push" else {}
    consumer(
        trio, trio.client(home), name="c", durable_name="c", ack_policy="explicit",
        deliver_policy="all", ack_wait=2 * SECOND_NS, **push,
    )  # fmt: skip
    got = []

    def hear(seconds=0.0):
        if kind == "pull":
            ask = json.dumps({"batch": 20, "expires": SECOND_NS}).encode()
            trio.send(conn, "$JS.API.CONSUMER.MSG.NEXT.KV_b.c", ask, "_D.x")
        trio.wait(seconds)
        new = deliveries(trio.heard(conn), b"9")
        got.extend(new)
        return new

    trio.wait(0.1)
    hear(0.3)
    assert sorted({seq for seq, _ in got}) == list(range(1, 11))
    acked = [1, 2, 3, 6, 7]
    for seq, subject in got:
        if seq in acked:
            trio.ask(conn, subject, b"+ACK")
    trio.heard(conn)
    before = fail_over(trio, how)
    if before == home:
        raise AssertionError("the client's server led")
    for number in range(10, 13):
        trio.until(lambda n=number: trio.put(conn, "b", f"k{n}", b"v"))
    again = []
    for _ in range(8):
        for seq, subject in hear(1.0):
            again.append(seq)
            trio.ask(conn, subject, b"+ACK")
    assert not set(again) & set(acked)
    assert set(again) == {4, 5, 8, 9, 10, 11, 12, 13}
    assert hear(3.0) == []
