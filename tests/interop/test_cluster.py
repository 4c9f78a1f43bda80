"""Three of our servers beside three of nats-server's: the same answers, the same words.

Times, ids and the order in which servers come to lead differ, and nothing else may: what is
compared is each answer's type and error, its keys, and the CLI's exit codes and lines with
figures of time masked.
"""

import re
from collections.abc import Iterator

import pytest

from tests.support.nats_cluster import Cluster, cluster
from tests.support.require import require
from tests.support.wait import eventually

KINDS = ("kvcore", "nats-server")
WITHIN_S = 60.0

Both = dict[str, Cluster]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    require("go")
    with cluster("kvcore") as ours, cluster("nats-server") as theirs:
        found = dict(zip(KINDS, (ours, theirs), strict=True))
        for each in found.values():
            for name, replicas in (("S1", 1), ("S3", 3)):
                answer = each.ask("n1", f"STREAM.CREATE.{name}", stream(name, replicas))
                assert answer is not None
                assert "error" not in answer
            config = {"durable_name": "c", "ack_policy": "explicit"}
            body = {"stream_name": "S3", "config": config}
            assert each.ask("n1", "CONSUMER.CREATE.S3.c", body) is not None
        yield found


def stream(name: str, replicas: int = 1, **more: object) -> dict[str, object]:
    return {"name": name, "subjects": [f"{name}.>"], "num_replicas": replicas, **more}


def placed(**placement: object) -> dict[str, object]:
    return {"placement": placement}


REFUSED: list[tuple[str, object]] = [
    ("STREAM.CREATE.S3", stream("S3", 1)),
    ("STREAM.CREATE.X", stream("X", 4)),
    ("STREAM.CREATE.X", stream("X", 5)),
    ("STREAM.CREATE.X", stream("X", 6)),
    ("STREAM.CREATE.X", stream("X", -1)),
    ("STREAM.CREATE.X", stream("X", placement={"tags": ["x:y"]})),
    ("STREAM.CREATE.X", stream("X", 3, placement={"tags": ["host:n1"]})),
    ("STREAM.CREATE.X", stream("X", placement={"cluster": "nope"})),
    ("STREAM.CREATE.X", stream("X", placement={"preferred": "n3"})),
    ("STREAM.UPDATE.S1", stream("S1", 5)),
    ("STREAM.UPDATE.NOPE", stream("NOPE")),
    ("STREAM.INFO.NOPE", None),
    ("STREAM.PURGE.NOPE", None),
    ("STREAM.DELETE.NOPE", None),
    ("STREAM.MSG.GET.NOPE", {"seq": 1}),
    ("STREAM.MSG.DELETE.NOPE", {"seq": 1}),
    ("STREAM.LEADER.STEPDOWN.NOPE", None),
    ("STREAM.LEADER.STEPDOWN.S3", {"bogus": 1}),
    ("STREAM.LEADER.STEPDOWN.S3", placed(preferred="zz")),
    ("STREAM.LEADER.STEPDOWN.S3", placed(cluster="zz")),
    ("STREAM.LEADER.STEPDOWN.S3", placed(tags=["a:b"])),
    ("STREAM.PEER.REMOVE.S3", {"peer": "n1"}),
    ("STREAM.PEER.REMOVE.S3", {"peer": "zz"}),
    ("STREAM.PEER.REMOVE.S3", None),
    ("STREAM.PEER.REMOVE.S3", {}),
    ("STREAM.PEER.REMOVE.S3", {"bogus": 1}),
    ("STREAM.PEER.REMOVE.NOPE", {"peer": "n1"}),
    ("CONSUMER.CREATE.S3.x", {"stream_name": "S3", "config": {
        "durable_name": "x", "ack_policy": "explicit", "num_replicas": 5}}),
    ("CONSUMER.CREATE.NOPE.x", {"stream_name": "NOPE", "config": {
        "durable_name": "x", "ack_policy": "explicit"}}),
    ("CONSUMER.INFO.S3.nope", None),
    ("CONSUMER.INFO.NOPE.x", None),
    ("CONSUMER.NAMES.NOPE", None),
    ("CONSUMER.DELETE.S3.nope", None),
    ("CONSUMER.DELETE.NOPE.x", None),
    ("CONSUMER.LEADER.STEPDOWN.S3.nope", None),
    ("CONSUMER.LEADER.STEPDOWN.NOPE.nope", None),
    ("CONSUMER.LEADER.STEPDOWN.S3.c", placed(preferred="zz")),
    ("META.LEADER.STEPDOWN", placed(preferred="zz")),
    ("META.LEADER.STEPDOWN", placed(cluster="zz")),
    ("META.LEADER.STEPDOWN", placed(tags=["a:b"])),
    ("META.LEADER.STEPDOWN", {"bogus": 1}),
    ("SERVER.REMOVE", {"peer": "zz"}),
    ("SERVER.REMOVE", None),
    ("SERVER.REMOVE", {}),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "body"), REFUSED, ids=str)
def test_what_one_cluster_refuses_the_other_refuses_in_the_same_words(both, verb, body):
    user = "sys" if verb.startswith(("META.", "SERVER.")) else "app"
    ours, theirs = (both[kind].ask("n2", verb, body, user=user) for kind in KINDS)
    assert theirs is not None
    assert "error" in theirs
    assert ours == theirs


@pytest.mark.parametrize("at", ["n1", "n2", "n3"])
@pytest.mark.parametrize(
    "verb", ["STREAM.INFO.S1", "STREAM.INFO.S3", "CONSUMER.INFO.S3.c", "STREAM.NAMES"]
)
def test_answers_have_the_same_keys_wherever_they_are_asked(both, verb, at):
    ours, theirs = (both[kind].ask(at, verb) for kind in KINDS)
    assert ours is not None
    assert theirs is not None
    assert list(ours) == list(theirs) or sorted(ours) == sorted(theirs)
    assert ours["type"] == theirs["type"]
    if "cluster" in theirs:
        assert sorted(ours["cluster"]) == sorted(theirs["cluster"])
        for key in ("replicas",):
            rows = [each["cluster"].get(key, []) for each in (ours, theirs)]
            assert len(rows[0]) == len(rows[1])
            assert all({"name", "current", "active", "peer"} <= set(row) for row in rows[0])


def test_a_meta_leaders_report_has_what_nats_servers_has(both):
    found = [each.report(each.settled(), "jsz?raft=1")["meta_cluster"] for each in both.values()]
    ours, theirs = found
    assert set(theirs) - set(ours) == {"pending_requests", "pending_infos", "snapshot"}
    assert set(ours) <= set(theirs)
    for key in ("name", "cluster_size", "quorum_needed", "pending"):
        assert ours[key] == theirs[key]


_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "<time>"),
    (re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE), "<clock> "),
    (re.compile(r"\d[\d.]*(?:ns|µs|ms|s)\b"), "<span>"),
    (re.compile(r"S-R\dF-\w+"), "<group>"),
    (re.compile(r"(current|outdated), (seen|not seen).*"), "<state>"),  # of just now
    (re.compile(r"\bn[123]\b"), "<server>"),
    (re.compile(r"(Host Version:|hosted at level).*"), r"\1"),
)


def masked(text: str) -> list[str]:
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return [line.rstrip() for line in text.splitlines()]


SAID: list[tuple[tuple[str, ...], str]] = [
    (("stream", "info", "S3"), "app"),
    (("stream", "cluster", "step-down", "S3"), "app"),
    (("server", "cluster", "step-down"), "sys"),
    (("server", "check", "stream", "--stream", "S3", "--peer-expect", "3"), "app"),
    (("server", "check", "kv", "--bucket", "nope"), "app"),
    (("kv", "add", "b", "--replicas", "3"), "app"),
    (("server", "check", "kv", "--bucket", "b"), "app"),
    (("kv", "add", "nope", "--replicas", "5"), "app"),
    (("kv", "put", "b", "k", "v"), "app"),
    (("kv", "status", "b"), "app"),
    (("stream", "cluster", "peer-remove", "S3", "n1", "--force"), "app"),
]


@pytest.mark.parametrize(("words", "user"), SAID, ids=str)
def test_the_cli_says_the_same_of_both(both, words, user):
    for each in both.values():
        eventually(lambda each=each: is_level(each, "S3"), WITHIN_S)
        each.settled()
    ours, theirs = (both[kind].cli(*words, user=user, check=False) for kind in KINDS)
    assert ours.returncode == theirs.returncode, (ours, theirs)
    assert masked(ours.stdout) == masked(theirs.stdout)
    assert masked(ours.stderr) == masked(theirs.stderr)


def is_level(servers: Cluster, name: str) -> bool:
    info = servers.ask("n1", f"STREAM.INFO.{name}") or {}
    cluster = info.get("cluster", {})
    rows = cluster.get("replicas", [])
    return bool(cluster.get("leader")) and all(row["current"] for row in rows)


def test_replicas_of_a_bucket_change_while_it_is_used(both):
    """Ours alone: nats-server takes no message for some seconds while replicas are added."""
    servers = both["kvcore"]
    servers.cli("kv", "add", "live")
    for count, replicas in enumerate((3, 1, 3), 1):
        servers.cli("kv", "edit", "live", "--replicas", str(replicas))
        servers.cli("kv", "put", "live", f"k{count}", "v")

        def members(replicas: int = replicas) -> bool:
            info = servers.ask("n1", "STREAM.INFO.KV_live") or {}
            cluster = info.get("cluster", {})
            rows = cluster.get("replicas", [])
            is_level = all(row["current"] for row in rows) and "desired" not in cluster
            return "leader" in cluster and len(rows) == replicas - 1 and is_level

        eventually(members, WITHIN_S)
    said = servers.cli("kv", "ls", "live")
    assert sorted(said.stdout.split()) == ["k1", "k2", "k3"]


def test_reports_name_a_server_that_was_killed(both):
    """Ours alone: nats-server's meta group has it online for more than 40 s."""
    servers = both["kvcore"]
    gone = next(name for name in servers.names if name != servers.settled())
    alive = servers.settled()
    servers.kill(gone)

    def is_told() -> bool:
        meta = servers.report(alive, "jsz?raft=1")["meta_cluster"]
        rows = [row for row in meta.get("replicas", []) if row["name"] == gone]
        return bool(rows) and bool(rows[0].get("offline")) and not rows[0]["current"]

    eventually(is_told, 40.0)
    report = servers.cli("server", "report", "jetstream", at=alive, user="sys").stdout
    assert re.search(rf"{gone} .* false +│ false", report)

    def is_refused_a_place() -> bool:
        """10008, which says "try again", may come first, from two servers that elect anew."""
        answer = servers.ask(alive, "STREAM.CREATE.X", stream("X", 3))
        code = answer["error"]["err_code"] if answer else 10008
        assert code in (10005, 10008)
        return bool(code == 10005)

    eventually(is_refused_a_place, 40.0)
    servers.start(gone)
