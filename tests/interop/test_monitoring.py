"""Monitoring beside nats-server's: the same traffic, the same counts, the same names.

`ABSENT` lists what nats-server tells and kvcore doesn't, by document; an entry that is there
after all fails, and so does a name that nats-server doesn't have.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.support.require import require
from tests.support.servers import KINDS, Server, running
from tests.support.wire import Wire

CONNECT = '{"verbose":false,"headers":true,"no_responders":true,"name":"%s","lang":"raw"}'
STREAM = {"name": "KV_b", "subjects": ["$KV.b.>"], "max_msgs_per_subject": 2, "storage": "file"}
MEMORY = {"name": "m", "subjects": ["m.>"], "storage": "memory", "max_bytes": 100_000}
CONSUMER = {"stream_name": "KV_b", "config": {"durable_name": "c", "ack_policy": "explicit"}}

# Not measured or not there; what is said of other servers' kinds of link is theirs to say.
ABSENT = {
    "varz": {
        *("http_base_path", "https_port", "gateway", "leaf", "mqtt", "websocket"),
        *("tls_timeout", "write_deadline", "gomaxprocs", "config_digest"),
        *("stale_connections", "stalled_clients", "http_req_stats", "feature_flags"),
        *("system_account", "slow_consumer_stats", "stale_connection_stats"),
        *("disk_io_wait_stats", "jetstream.limits", "jetstream.config.sync_interval"),
        "jetstream.config.strict",
    },
    "connz": {"connections.rtt", "connections.pending_bytes"},
    "subsz": {
        *("num_cache", "num_inserts", "num_removes", "num_matches", "cache_hit_rate"),
        *("max_fanout", "avg_fanout", "subscriptions_list.account_tag"),
    },
    "jsz": {"limits", "config.sync_interval", "config.strict"},
    "routez": set(),
    "healthz": set(),
    "accountz": {"system_account"},
    "accstatz": {
        f"account_statz.{way}.{kind}"
        for way in ("sent", "received")
        for kind in ("gateways", "routes", "leafs")
    },
}
PATHS = {
    "varz": "/varz",
    "connz": "/connz?subs=1",
    "subsz": "/subsz?subs=1",
    "jsz": "/jsz?consumers=1&config=1",
    "routez": "/routez",
    "healthz": "/healthz",
    "accountz": "/accountz",
    "accstatz": "/accstatz",
}
# Configurations, states and consumers are compared as STREAM.INFO and CONSUMER.INFO.
_ELSEWHERE = ("config", "state", "consumer_detail")

Json = Any


def document(server: Server, path: str) -> Json:
    port = int(server.wait_for("Starting http monitor").rpartition(":")[2])
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def core_traffic(one: Wire, two: Wire) -> None:
    """Copies, a queue group, a limited subscription, headers, nobody there, much at once."""
    two.send(b"SUB a.* 1\r\nSUB a.> 2\r\nSUB q g 3\r\nSUB q g 4\r\nSUB few 5\r\nUNSUB 5 2\r\n")
    two.send(b"SUB gone 6\r\nUNSUB 6\r\nPING\r\n")
    two.until("PONG")
    one.send(b"SUB a.b 1\r\n")  # hears itself
    one.send(b"PUB a.b 5\r\nhello\r\n" * 10 + b"PUB q 3\r\nabc\r\n" * 7 + b"PUB few 1\r\nx\r\n" * 5)
    header = b"NATS/1.0\r\nA: b\r\n\r\n"
    one.send(b"HPUB a.c %d %d\r\n%bxyz\r\n" % (len(header), len(header) + 3, header))
    one.send(b"PUB nobody 4\r\nlost\r\nPUB gone 2\r\nhi\r\nSUB inbox 9\r\n")
    one.send(b"PUB ask inbox 2\r\n??\r\nPING\r\n")  # answered with 503
    one.until("PONG")
    two.send(b"PING\r\n")
    two.until("PONG")


def kv_traffic(wire: Wire) -> None:
    wire.api("STREAM.CREATE.KV_b", STREAM)
    wire.api("STREAM.CREATE.m", MEMORY)
    wire.api("CONSUMER.CREATE.KV_b.c", CONSUMER)
    for n in range(30):
        wire.request(f"$KV.b.k{n % 10}", b"value %d" % n)
        wire.request(f"m.{n % 3}", b"v")
    wire.api("STREAM.INFO.missing")
    wire.api("STREAM.PURGE.KV_b", {"filter": "$KV.b.k3"})


class Seen:
    """One server's documents: after the core traffic, and after that of a bucket too."""

    def __init__(self, kind: str) -> None:
        hello = [CONNECT % name for name in ("one", "two")]
        with (
            running(kind, "-m", "-1") as server,
            Wire(server.port, hello[0]) as one,
            Wire(server.port, hello[1]) as two,
        ):
            core_traffic(one, two)
            self.core = {about: document(server, path) for about, path in PATHS.items()}
            kv_traffic(one)
            self.kv = {about: document(server, path) for about, path in PATHS.items()}


@pytest.fixture(scope="module")
def seen() -> tuple[Seen, Seen]:
    require("go")
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(Seen, KINDS)
    return ours, theirs


def picked(found: Json, *names: str) -> dict[str, Json]:
    return {name: found.get(name) for name in names}


TRAFFIC = ("in_msgs", "in_bytes", "out_msgs", "out_bytes")


def test_messages_and_bytes_are_counted_as_nats_server_counts_them(seen) -> None:
    ours, theirs = seen
    names = (*TRAFFIC, "connections", "total_connections", "slow_consumers")
    assert picked(ours.core["varz"], *names) == picked(theirs.core["varz"], *names)
    assert ours.core["varz"]["in_msgs"] == 10 + 7 + 5 + 1 + 2 + 1
    # Answers of the API differ in length: they name versions.
    names = ("in_msgs", "in_bytes", "out_msgs")
    assert picked(ours.kv["varz"], *names) == picked(theirs.kv["varz"], *names)


def test_each_connection_is_counted_as_nats_server_counts_it(seen) -> None:
    names = (*TRAFFIC, "subscriptions", "name", "lang", "kind", "type", "ip")
    ours, theirs = (
        {each["name"]: picked(each, *names) for each in one.core["connz"]["connections"]}
        for one in seen
    )
    assert ours == theirs
    lists = [
        {
            each["name"]: sorted(each["subscriptions_list"])
            for each in one.core["connz"]["connections"]
        }
        for one in seen
    ]
    assert lists[0] == lists[1]


def test_the_clients_subscriptions_are_listed_as_nats_server_lists_them(seen) -> None:
    names = ("subject", "qgroup", "sid", "msgs", "max")

    def listed(one: Seen) -> list[dict[str, Json]]:
        clients = {each["cid"] for each in one.core["connz"]["connections"]}
        found = [sub for sub in one.core["subsz"]["subscriptions_list"] if sub["cid"] in clients]
        return sorted((picked(sub, *names) for sub in found), key=str)

    ours, theirs = map(listed, seen)
    of_group = [[each["msgs"] for each in side if each["qgroup"]] for side in (ours, theirs)]
    assert sum(of_group[0]) == sum(of_group[1]) == 7  # which member got which is chance
    for side in (ours, theirs):
        side[:] = [{**each, "msgs": 0} if each["qgroup"] else each for each in side]
    assert ours == theirs
    assert seen[0].core["subsz"]["num_subscriptions"] == len(ours)


def test_jetstream_is_counted_as_nats_server_counts_it(seen) -> None:
    names = (
        *("memory", "storage", "reserved_memory", "reserved_storage", "accounts", "ha_assets"),
        *("streams", "consumers", "messages", "bytes"),
    )
    ours, theirs = (one.kv["jsz"] for one in seen)
    assert picked(ours, *names) == picked(theirs, *names)
    assert ours["messages"] > 0
    assert ours["memory"] > 0
    names = ("total", "errors")
    assert picked(ours["api"], *names) == picked(theirs["api"], *names)
    for one, other in zip(
        *(
            sorted(side["account_details"][0]["stream_detail"], key=lambda each: each["name"])
            for side in (ours, theirs)
        ),
        strict=True,
    ):
        assert one["name"] == other["name"]
        names = ("messages", "bytes", "first_seq", "last_seq", "num_subjects", "num_deleted")
        assert picked(one["state"], *names) == picked(other["state"], *names)


def test_an_account_is_counted_as_nats_server_counts_it(seen) -> None:
    def own(one: Seen) -> Json:
        (found,) = [each for each in one.core["accstatz"]["account_statz"] if each["acc"] == "$G"]
        numbers = picked(found, "conns", "leafnodes", "total_conns", "slow_consumers")
        return numbers, *(picked(found[way], "msgs", "bytes") for way in ("sent", "received"))

    assert own(seen[0]) == own(seen[1])


def names_in(found: Json, prefix: str = "") -> Iterator[str]:
    """Every key, those of nested documents after their owners'."""
    if isinstance(found, list):
        for each in found:
            yield from names_in(each, prefix)
    elif isinstance(found, dict):
        for key, value in found.items():
            yield prefix + key
            if key not in _ELSEWHERE or (key == "config" and "account_details" not in prefix):
                yield from names_in(value, f"{prefix}{key}.")


@pytest.mark.parametrize("about", PATHS)
def test_a_document_has_nats_servers_names_and_lacks_those_that_are_listed(seen, about) -> None:
    ours, theirs = (dict.fromkeys(names_in(one.kv[about])) for one in seen)
    invented = [name for name in ours if name not in theirs and not _is_measured_late(name)]
    assert not invented
    missing = [name for name in theirs if name not in ours and not _is_measured_late(name)]
    listed = ABSENT[about]
    top = [name for name in missing if not any(name.startswith(f"{each}.") for each in listed)]
    assert sorted(top) == sorted(listed)


def _is_measured_late(name: str) -> bool:
    """The share of a processor is known a second after the start."""
    return name == "cpu"
