"""Users' demand 8: listing a big bucket is quick, and looks at nothing that nobody asked for.

Time is never asserted here. Counted are the messages that are read from the store, of a
bucket with 100,000 keys: `few.0` to `few.999`, and the rest below `many.`.
"""

import json

import pytest

from kvcore import limits
from kvcore.limits import SECOND_NS
from kvcore.nats.interest import Interest
from kvcore.node.io import ClientData, TimerFired
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.ordered import SortedKeys
from tests.support.driven import Driver, bucket

KEYS = 100_000
FEW = 1_000


class CountingStorage(MemoryStorage):
    """Counts the messages that are read."""

    reads = 0

    def get(self, key):
        self.reads += key[:1] == b"M"
        return super().get(key)

    def scan(self, start, end):
        for key, value in super().scan(start, end):
            self.reads += key[:1] == b"M"
            yield key, value


def filled(keys, **config):
    """A server with a bucket of so many keys."""
    server = Driver({"file": CountingStorage(), "memory": CountingStorage()})
    server.sync()
    server.client()
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket(**{"storage": "memory", **config}))
    puts = [f"few.{number}" for number in range(min(FEW, keys))]
    puts += [f"many.{number}" for number in range(len(puts), keys)]
    for at in range(0, keys, 1000):
        lines = "".join(f"PUB $KV.b.{key} 1\r\nv\r\n" for key in puts[at : at + 1000])
        server.turn(ClientData(1, lines.encode()))
        server.sync()
    return server


@pytest.fixture(scope="module")
def big():
    return filled(KEYS)


def reads_of(server, act) -> int:
    store = server.stores["memory"]
    before = store.reads
    act()
    return store.reads - before


def watch(server, name, pattern, **config):
    """A consumer as the KV clients make it, until it has delivered all; what was heard."""
    given = {
        "name": name,
        "deliver_subject": f"_I.{name}",
        "deliver_policy": "last_per_subject",
        "ack_policy": "none",
        "filter_subject": pattern,
        **config,
    }
    body = {"stream_name": "KV_b", "config": given}
    server.heard()
    subject = f"$JS.API.CONSUMER.CREATE.KV_b.{name}.{pattern}"
    server.publish(subject, json.dumps(body).encode(), "_I.answer")
    server.sync()
    server.wait(1)
    return server.heard()


def test_a_watch_on_one_key_of_100_000_reads_one_message(big):
    heard = []
    assert reads_of(big, lambda: heard.append(watch(big, "one", "$KV.b.many.50000"))) == 1
    assert b"MSG $KV.b.many.50000 1 $JS.ACK.KV_b.one.1." in heard[0]


def test_the_history_of_one_key_reads_its_messages_alone(big):
    def read():
        watch(big, "past", "$KV.b.many.60000", deliver_policy="all")

    assert reads_of(big, read) == 1


def test_a_get_reads_one_message(big):
    assert reads_of(big, lambda: big.publish("$JS.API.DIRECT.GET.KV_b.$KV.b.many.70000")) == 1
    assert b"Nats-Subject: $KV.b.many.70000" in big.heard()


def test_keys_with_a_narrow_filter_read_what_matches(big):
    assert reads_of(big, lambda: watch(big, "few", "$KV.b.few.>", headers_only=True)) == FEW
    assert reads_of(big, lambda: watch(big, "none", "$KV.b.no.*", headers_only=True)) == 0


def test_a_narrow_filter_looks_at_the_subjects_that_begin_as_it_does(big):
    stream = big.node.streams["KV_b"]
    before = stream.looked
    watch(big, "narrow", "$KV.b.few.>", headers_only=True)
    watch(big, "single", "$KV.b.many.50001")
    assert stream.looked - before == 3 * (FEW + 1), "subjects, their messages, in order"
    messages = stream._messages
    assert messages.may_match(("$KV.b.few.>",)) == FEW
    assert messages.may_match(("$KV.b.no.*", "$KV.b.no.>", "$KV.b.many.5000")) == 1


def test_who_hears_a_watch_is_looked_up_once_a_turn_not_once_a_message(big, monkeypatch):
    asked, match = [], Interest.match

    def counted(self, subject):
        asked.append(subject)
        return match(self, subject)

    monkeypatch.setattr(Interest, "match", counted)
    heard = watch(big, "all", "$KV.b.>")
    assert heard.count(b"MSG $KV.b.") == KEYS
    turns = KEYS // limits.DELIVERIES_PER_TURN_COUNT
    assert asked.count("_I.all") <= 2 * turns + 2, "whether to deliver, and to whom"


@pytest.mark.parametrize("asked", [{"filter": "$KV.b.many.>"}, {}, {"filter": "$KV.*.many.>"}])
def test_a_purge_takes_keys_out_of_the_index_in_one_pass(monkeypatch, asked):
    server, one_by_one, remove = filled(3_000), [], SortedKeys.remove

    def counted(self, key):
        one_by_one.append(key)
        remove(self, key)

    monkeypatch.setattr(SortedKeys, "remove", counted)
    server.request("$JS.API.STREAM.PURGE.KV_b", asked)
    stream = server.node.streams["KV_b"]
    assert stream.messages == (FEW if asked else 0)
    assert stream.next_seq() == (1 if asked else 0)
    assert list(stream.subjects()) == sorted(f"$KV.b.few.{n}" for n in range(FEW if asked else 0))
    assert not one_by_one


def test_an_updates_only_watch_and_the_stream_s_counts_read_nothing(big):
    assert reads_of(big, lambda: watch(big, "new", "$KV.b.>", deliver_policy="new")) == 0

    def ask():
        big.publish("$JS.API.STREAM.INFO.KV_b", b'{"subjects_filter":">"}', "_I.info")
        big.wait(1)

    assert reads_of(big, ask) == 1, "the first message's, for its time"
    assert big.heard().count(b'":1') >= KEYS


@pytest.fixture
def slow(monkeypatch):
    """A server on which a watch of the whole bucket has begun to search, in small steps."""
    server = filled(20_000)
    monkeypatch.setattr(limits, "SEARCH_SLICE_COUNT", 500)
    monkeypatch.setattr(limits, "SEARCHED_PER_TURN_COUNT", 500)
    config = {
        "name": "slow",
        "deliver_subject": "_I.slow",
        "ack_policy": "none",
        "deliver_policy": "last_per_subject",
        "filter_subject": "$KV.b.>",
    }
    body = json.dumps({"stream_name": "KV_b", "config": config}).encode()
    server.publish("$JS.API.CONSUMER.CREATE.KV_b.slow.$KV.b.>", body, "_I.made")
    assert b"_I.made" not in server.heard()
    return server


def turn(server) -> bytes:
    """What one turn says."""
    server.heard()
    server.turn(TimerFired())
    return server.heard()


def test_others_are_served_while_a_watch_searches_a_big_bucket(slow):
    server = slow
    server.turn(ClientData(1, b"PING\r\n"))
    assert server.heard() == b"PONG\r\n"
    server.publish("$JS.API.DIRECT.GET.KV_b.$KV.b.few.7", reply="_I.got")
    heard = server.heard()
    assert b"HMSG _I.got" in heard
    assert b"_I.made" not in heard


def test_pitfall_28_a_ping_is_answered_at_once_while_a_big_watch_streams():
    server = filled(3_000)
    server.publish(
        "$JS.API.CONSUMER.CREATE.KV_b",
        b'{"stream_name":"KV_b","config":{"deliver_subject":"_I.w","ack_policy":"none"}}',
    )
    server.heard()
    for _ in range(3):
        server.turn(TimerFired(), ClientData(1, b"PING\r\n"))
        heard = server.heard()
        assert heard.startswith(b"PONG\r\n")
        assert heard.count(b"MSG $KV.b.") == limits.DELIVERIES_PER_TURN_COUNT


def test_the_count_is_exact_though_keys_are_changed_while_the_watch_searches(slow):
    server = slow
    server.publish("$KV.b.few.0", b"new")  # looked at already
    server.publish("$KV.b.many.19999", b"new")  # not yet
    server.publish("$KV.b.more", b"new")
    server.request("$JS.API.STREAM.MSG.DELETE.KV_b", {"seq": 2})
    server.request("$JS.API.STREAM.MSG.DELETE.KV_b", {"seq": 19_998})
    made = b""
    while b"_I.made" not in made:
        made = turn(server)
    assert b"$JS.ACK.KV_b.slow" not in made, "the answer comes before what it counts"
    assert b'"num_pending":19999,' in made
    heard = b""
    while (said := turn(server)) and b"$JS.ACK.KV_b.slow" in said:
        heard += said
    keys = [line.split()[1] for line in heard.split(b"\r\n") if line.startswith(b"MSG $KV.")]
    assert len(keys) == len(dict.fromkeys(keys)) == 19_999
    assert keys[-3:] == [b"$KV.b.few.0", b"$KV.b.many.19999", b"$KV.b.more"]


def test_a_watch_whose_stream_is_deleted_while_it_searches_is_refused(slow):
    server = slow
    server.publish("$JS.API.STREAM.DELETE.KV_b")
    server.sync()
    assert b'"err_code":10014' in server.heard().partition(b"_I.made")[2]


def test_demand_08_listing_10_000_keys_reads_each_of_them_once():
    server, heard = filled(10_000), []
    reads = reads_of(
        server, lambda: heard.append(watch(server, "keys", "$KV.b.>", headers_only=True))
    )
    assert reads == 10_000
    assert heard[0].count(b"\r\nHMSG $KV.b.") == 10_000


def test_demand_08_no_turn_of_a_listing_does_more_than_its_bound(slow):
    """Work is counted in what is looked at and read: a turn's length on any machine."""
    server, stream = slow, slow.node.streams["KV_b"]
    most_looked = most_read = 0
    while (at := server.node.deadline()) is not None and at <= server.now:
        looked, read = stream.looked, server.stores["memory"].reads
        server.turn(TimerFired())
        most_looked = max(most_looked, stream.looked - looked)
        most_read = max(most_read, server.stores["memory"].reads - read)
    assert 0 < most_looked <= limits.SEARCHED_PER_TURN_COUNT
    assert 0 < most_read <= limits.DELIVERIES_PER_TURN_COUNT
    assert server.heard().count(b"MSG $KV.b.") == 20_000


@pytest.mark.parametrize("asked", [{"subjects_filter": ">"}, {"subjects_filter": "$KV.*.few.>"}])
@pytest.mark.parametrize("offset", [0, 3, 999, 30_000])
@pytest.mark.parametrize("page", [100_000, 5])
def test_a_long_page_of_subjects_is_the_same_as_a_short_one(monkeypatch, asked, offset, page):
    server = filled(3_000)
    monkeypatch.setattr(limits, "SUBJECTS_PAGE_COUNT", page)

    def info():
        server.heard()
        body = json.dumps({**asked, "offset": offset}).encode()
        server.publish("$JS.API.STREAM.INFO.KV_b", body, "_I.info")
        turns = len(server.turns)
        server.wait(1)
        text = server.heard().partition(b"MSG _I.info 1 ")[2].partition(b"\r\n")[2]
        answer = json.loads(text.partition(b"\r\n")[0])
        del answer["ts"]
        return answer, len(server.turns) - turns

    short, turns = info()
    assert turns <= 1
    monkeypatch.setattr(limits, "SEARCH_SLICE_COUNT", 70)
    long, turns = info()
    assert turns >= 1_000 / 70
    assert long == short
    assert list(long["state"].get("subjects", {})) == list(short["state"].get("subjects", {}))


@pytest.mark.parametrize("storage", ["memory", "file"])
def test_a_bucket_that_expires_at_once_goes_in_slices(storage):
    server = filled(3_500, storage=storage, max_age=10 * SECOND_NS)
    stream, gone, turn = server.node.streams["KV_b"], [], server.turn

    def counted(*events):
        before = stream.messages
        effects = turn(*events)
        gone.append(before - stream.messages)
        return effects

    server.turn = counted
    server.wait(11)
    assert stream.messages == 0
    assert stream.first_seq == 3_501
    assert list(filter(None, gone)) == [1000, 1000, 1000, 500]


def test_a_list_of_consumers_that_still_search_holds_up_no_turn(monkeypatch):
    monkeypatch.setattr(limits, "SEARCH_SLICE_COUNT", 10)
    monkeypatch.setattr(limits, "SEARCHED_PER_TURN_COUNT", 10)
    server = filled(2000)
    for number in range(20):
        config = {"name": f"w{number}", "deliver_subject": f"_I.{number}"}
        config["filter_subject"] = "$KV.b.*.1"
        body = json.dumps({"stream_name": "KV_b", "config": config}).encode()
        server.publish(f"$JS.API.CONSUMER.CREATE.KV_b.w{number}", body)
    server.sync()
    stream = server.node.streams["KV_b"]
    server.publish("$JS.API.CONSUMER.LIST.KV_b", b"", "_I.list")
    most = 0
    while b"MSG _I.list" not in server.out.get(1, b""):
        before = stream.looked
        server.turn(TimerFired())
        most = max(most, stream.looked - before)
    assert 0 < most <= 200
