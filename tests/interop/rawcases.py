"""Requests of the JetStream API as bytes, in families; each family has a server of its own.

They cover what no client sends unasked: every form of a get, every limit, the refusals of
configurations, consumers of each deliver policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

Body = dict[str, object] | bytes


@dataclass(frozen=True)
class Ask:
    """One request; `many` collects replies up to a status that ends a batch."""

    subject: str
    body: Body = b""
    headers: Sequence[tuple[str, str]] = ()
    many: bool = False
    label: str = field(default="", compare=False)


def api(name: str, body: Body = b"") -> Ask:
    return Ask(f"$JS.API.{name}", body)


def create(name: str, **config: object) -> Ask:
    return api(f"STREAM.CREATE.{name}", {"name": name, **config})


def update(name: str, **config: object) -> Ask:
    return api(f"STREAM.UPDATE.{name}", {"name": name, **config})


def put(subject: str, value: str = "v", **headers: object) -> Ask:
    return Ask(subject, value.encode(), [(k.replace("_", "-"), str(v)) for k, v in headers.items()])


def consume(stream: str, suffix: str = "", action: str = "", **config: object) -> Ask:
    body: dict[str, object] = {"stream_name": stream, "config": config}
    if action:
        body["action"] = action
    return api(f"CONSUMER.CREATE.{stream}{suffix}", body)


def direct(stream: str, key: str = "", body: Body = b"", *, many: bool = False) -> Ask:
    return Ask(f"$JS.API.DIRECT.GET.{stream}{key}", body, many=many)


KV = {
    "subjects": ["$KV.b.>"],
    "max_msgs_per_subject": 3,
    "discard": "new",
    "allow_rollup_hdrs": True,
    "deny_delete": True,
    "allow_direct": True,
}

CONFIGS = [
    create("A"),
    create("A"),
    create("B", subjects=["b"]),
    create("B", subjects=["b"], max_msgs=5),
    create("C", subjects=["b"]),
    create("C", subjects=["b.>", "b.c"]),
    create("C", subjects=["c", "c"]),
    create("C", subjects=["$JS.API.>"]),
    create("C", subjects=["$SYS.x"]),
    create("C", subjects=[">"]),
    create("C", subjects=[""]),
    create("C", subjects=["a b"]),
    create("C", subjects=["c.>.d"]),
    *(create("C", subjects=["c"], storage=kind) for kind in ("memory", "file", "rocksdb", 0)),
    api("STREAM.DELETE.C"),
    *(create("D", subjects=["d"], retention=kind) for kind in ("interest", "none")),
    *(create("E", subjects=["e"], discard=kind) for kind in ("new", "middle")),
    create("F", subjects=["f"], num_replicas=0),
    *(create("G", subjects=["g"], num_replicas=count) for count in (-1, 2, 5, 6)),
    create("H", subjects=["h"], max_age=1_000_000),
    create("H", subjects=["h"], max_age=-1),
    create("H", subjects=["h"], max_age=100_000_000, duplicate_window=200_000_000),
    create("H", subjects=["h"], duplicate_window=1_000_000),
    create("H", subjects=["h"], duplicate_window=-1),
    create("H", subjects=["h"], max_age=1_000_000_000),
    create("I", subjects=["i"], subject_delete_marker_ttl=1_000_000_000),
    create("I", subjects=["i"], subject_delete_marker_ttl=5, allow_msg_ttl=True),
    create("J", subjects=["j"], allow_rollup_hdrs=True, deny_purge=True),
    create("J", subjects=["j"], discard_new_per_subject=True),
    create("J", subjects=["j"], discard_new_per_subject=True, discard="new"),
    create("J", subjects=["j"], sealed=True),
    create("J", subjects=["j"], max_msgs=-5, max_bytes=-5, max_consumers=-5, max_msg_size=-5),
    create("K", subjects=["k"], max_msgs=0, max_bytes=0, max_consumers=0, max_msg_size=0),
    create("L", subjects=["l"], compression="s2"),
    create("L2", subjects=["l2"], compression="zip"),
    create("M", subjects=["m"], metadata={"a": "b", "_nats.x": "y"}),
    create("N", subjects=["n"], description="x" * 4097),
    create("N", subjects=["n"], description="x" * 4096),
    create("O", subjects=["o.*"], republish={"src": "o.*", "dest": "p.{{wildcard(1)}}"}),
    create("P", subjects=["q.*"], republish={"src": "q.*", "dest": "q.x"}),
    create("P", subjects=["q.*"], republish={"src": "z", "dest": "y"}),
    create("Q", subjects=["qq"], no_ack=True),
    create("R", subjects=["r"], first_seq=100),
    create("S", subjects=["s"], placement={"cluster": "x", "tags": ["y"]}),
    create("T", subjects=["t"], max_msgs_per_subject=-1),
    create("U", subjects=["u"], consumer_limits={"inactive_threshold": 5, "max_ack_pending": 2}),
    create("x" * 256, subjects=["y"]),
    api("STREAM.CREATE.V", {"name": "W"}),
    api("STREAM.CREATE.V", b""),
    api("STREAM.UPDATE.B", b""),
    api("STREAM.INFO.B", b"nonsense"),
    api("STREAM.INFO.nope"),
    api("STREAM.DELETE.nope"),
    api("STREAM.PURGE.nope"),
    api("STREAM.UPDATE.nope", {"name": "nope"}),
    api("STREAM.NAMES", {"offset": 3}),
    api("STREAM.NAMES", {"subject": "b"}),
    api("STREAM.NAMES", {"subject": "*"}),
    api("STREAM.NAMES", {"subject": "nobody"}),
    api("STREAM.LIST", {"offset": 2, "subject": "b"}),
    api("STREAM.NAMES"),
]

UPDATES = [
    create("KV_b", **KV),
    *(put("$KV.b.k", str(at)) for at in range(5)),
    update("KV_b", **KV),
    update("KV_b", **{**KV, "max_msgs_per_subject": 2}),
    update("KV_b", **{**KV, "storage": "memory"}),
    update("KV_b", **{**KV, "deny_delete": False}),
    update("KV_b", **{**KV, "deny_purge": True}),
    update("KV_b", **{**KV, "retention": "interest"}),
    update("KV_b", **{**KV, "max_consumers": 5}),
    update("KV_b", **{**KV, "num_replicas": 3}),
    update("KV_b", **{**KV, "subjects": ["$KV.b.>", "more"]}),
    update("KV_b", **{**KV, "subjects": ["$KV.c.>"]}),
    update("KV_b", **KV, description="now"),
    update("KV_b", **KV, allow_msg_ttl=True),
    update("KV_b", **KV),
    update("KV_b", **KV, allow_msg_ttl=True, subject_delete_marker_ttl=2_000_000_000),
    update("KV_b", **KV, allow_msg_ttl=True, max_age=3_600_000_000_000),
    update("KV_b", **KV, allow_msg_ttl=True, discard_new_per_subject=True),
    update("KV_b", **KV, allow_msg_ttl=True, metadata={"x": "y"}),
    update("KV_b", **KV, allow_msg_ttl=True, sealed=True),
    put("$KV.b.k"),
    api("STREAM.PURGE.KV_b"),
    api("STREAM.MSG.DELETE.KV_b", {"seq": 4}),
    update("KV_b", **KV, allow_msg_ttl=True, description="sealed"),
    update("KV_b", **KV, allow_msg_ttl=True, sealed=False),
    api("STREAM.INFO.KV_b"),
]

FILL = [
    create("KV_b", **{**KV, "deny_delete": False}, allow_msg_ttl=True),
    *(put(f"$KV.b.k{at % 4}", f"value {at}") for at in range(14)),
    put("$KV.b.deleted", "", KV_Operation="DEL"),
    put("$KV.b.empty", ""),
]

GETS = [
    *FILL,
    *(
        api("STREAM.MSG.GET.KV_b", body)
        for body in (
            {"seq": 5},
            {"seq": 1},
            {"seq": 99},
            {"seq": 0},
            {"last_by_subj": "$KV.b.k1"},
            {"last_by_subj": "$KV.b.*"},
            {"last_by_subj": "$KV.b.none"},
            {"seq": 4, "next_by_subj": "$KV.b.k2"},
            {"seq": 1, "next_by_subj": "$KV.b.>"},
            {"next_by_subj": "$KV.b.>"},
            {"seq": 99, "next_by_subj": "$KV.b.>"},
            {"seq": 1, "last_by_subj": "$KV.b.k1"},
            {"last_by_subj": "$KV.b.deleted"},
            {"last_by_subj": "$KV.b.empty"},
            {"batch": 3, "seq": 1},
            {"start_time": "2020-01-01T00:00:00Z"},
            {},
        )
    ),
    api("STREAM.MSG.GET.KV_b", b""),
    api("STREAM.MSG.GET.nope", {"seq": 1}),
    *(direct("KV_b", f".$KV.b.{key}") for key in ("k1", "none", "deleted", "empty", "k1.x")),
    direct("KV_b", ".$KV.b.k1", b"{}"),
    direct("KV_b", "", b""),
    direct("KV_b", "", b"nonsense"),
    direct("nope", "", {"seq": 1}),
    *(
        direct("KV_b", "", body, many=True)
        for body in (
            {"seq": 5},
            {"seq": 99},
            {"seq": 5, "last_by_subj": "$KV.b.k1"},
            {"last_by_subj": "$KV.b.k1"},
            {"seq": 5, "next_by_subj": "$KV.b.k1"},
            {"next_by_subj": "$KV.b.k3"},
            {"seq": 1, "batch": 3},
            {"batch": 3, "next_by_subj": "$KV.b.k1"},
            {"seq": 1, "batch": 100, "next_by_subj": "$KV.b.*"},
            {"seq": 99, "batch": 3},
            {"seq": 1, "batch": 100, "max_bytes": 60},
            {"batch": 2, "start_time": "2020-01-01T00:00:00Z", "next_by_subj": "$KV.b.>"},
            {"batch": 2, "start_time": "2120-01-01T00:00:00Z", "next_by_subj": "$KV.b.>"},
            {"multi_last": ["$KV.b.>"]},
            {"multi_last": ["$KV.b.k1", "$KV.b.k2", "$KV.b.none"]},
            {"multi_last": ["$KV.b.none"]},
            {"multi_last": ["$KV.b.*"], "up_to_seq": 9},
            {"multi_last": ["$KV.b.*"], "up_to_time": "2020-01-01T00:00:00Z"},
            {"multi_last": ["$KV.b.*"], "up_to_seq": 9, "up_to_time": "2020-01-01T00:00:00Z"},
            {"multi_last": ["$KV.b.*"], "batch": 2},
            {"multi_last": ["$KV.b.*"], "seq": 3},
            {"multi_last": [], "batch": 2},
            {"seq": -1},
            {"batch": 0, "seq": 1},
            {"no_hdr": True, "seq": 5},
        )
    ),
    api("STREAM.INFO.KV_b", {"subjects_filter": ">"}),
    api("STREAM.INFO.KV_b", {"subjects_filter": "$KV.b.k1"}),
    api("STREAM.INFO.KV_b", {"subjects_filter": "none"}),
    api("STREAM.INFO.KV_b", {"subjects_filter": ">", "offset": 3}),
    api("STREAM.INFO.KV_b", {"deleted_details": True}),
]

PURGES = [
    *FILL,
    api("STREAM.MSG.DELETE.KV_b", {"seq": 5}),
    api("STREAM.MSG.DELETE.KV_b", {"seq": 5}),
    api("STREAM.MSG.DELETE.KV_b", {"seq": 6, "no_erase": True}),
    api("STREAM.MSG.DELETE.KV_b", {}),
    api("STREAM.MSG.DELETE.KV_b", b""),
    api("STREAM.INFO.KV_b", {"deleted_details": True}),
    api("STREAM.PURGE.KV_b", {"filter": "$KV.b.k1", "keep": 1}),
    api("STREAM.PURGE.KV_b", {"filter": "$KV.b.k1", "keep": 1}),
    api("STREAM.PURGE.KV_b", {"filter": "$KV.b.none"}),
    api("STREAM.PURGE.KV_b", {"filter": "$KV.b.k2", "seq": 11}),
    api("STREAM.PURGE.KV_b", {"seq": 3, "keep": 3}),
    api("STREAM.PURGE.KV_b", {"seq": 8}),
    api("STREAM.PURGE.KV_b", {"keep": 4}),
    api("STREAM.PURGE.KV_b", {"keep": 400}),
    api("STREAM.PURGE.KV_b", b"nonsense"),
    api("STREAM.INFO.KV_b"),
    api("STREAM.PURGE.KV_b", {"seq": 99}),
    api("STREAM.INFO.KV_b"),
    put("$KV.b.k1", "after"),
    api("STREAM.PURGE.KV_b"),
    api("STREAM.INFO.KV_b"),
    put("$KV.b.k1", "again"),
    api("STREAM.INFO.KV_b"),
    create("P", subjects=["p"], deny_purge=True),
    put("p"),
    api("STREAM.PURGE.P"),
    api("STREAM.PURGE.P", {"keep": 0}),
]

PUBLISHES = [
    create("KV_b", **KV),
    put("$KV.b.k", "1", Nats_TTL="5s"),
    put("$KV.b.k", "1", Nats_Expected_Last_Subject_Sequence="x"),
    put("$KV.b.k", "1", Nats_Expected_Last_Subject_Sequence="1"),
    put("$KV.b.k", "1", Nats_Expected_Last_Subject_Sequence="-1"),
    put("$KV.b.k", "1", Nats_Expected_Last_Sequence="0"),
    put("$KV.b.k", "1", Nats_Expected_Last_Sequence="0"),
    put("$KV.b.k", "1", Nats_Expected_Stream="other", Nats_Expected_Last_Sequence="9"),
    put("$KV.b.k", "1", Nats_Msg_Id="a", Nats_Expected_Last_Sequence="1"),
    put("$KV.b.other", "1", Nats_Msg_Id="a"),
    put("$KV.b.k", "1", Nats_Msg_Id="a", Nats_Expected_Last_Sequence="99"),
    put("$KV.b.k", "1", Nats_Expected_Last_Msg_Id="b"),
    put("$KV.b.k", "1", Nats_Rollup="sub", Nats_Expected_Last_Subject_Sequence="2"),
    put("$KV.b.k", "1", Nats_Rollup="all"),
    put("$KV.b.k", "1", Nats_Rollup="SUB"),
    put("$KV.b.k", "1", Nats_Rollup=""),
    put("$KV.b.k", "1", nats_rollup="sub"),
    put("$KV.b.k", "", KV_Operation="PURGE", Nats_Rollup="sub"),
    create("T", subjects=["t.*"], allow_msg_ttl=True),
    *(
        put("t.a", "1", Nats_TTL=ttl)
        for ttl in ("1", "1s", "1m30s", "1.5s", "2h", "never", "0", "-1", "500ms", "1ms", "x", "")
    ),
    put("t.a", "1", Nats_TTL="99999999999999999999"),
    put("t.a", "1", Nats_Rollup="sub"),
    create("M", subjects=["m.*"], max_msg_size=5),
    put("m.a", "12345"),
    put("m.a", "123456"),
    put("m.a", "1", X="y"),
    create("O", subjects=["o.*"], max_msgs=2, discard="old"),
    *(put(f"o.{at}") for at in range(4)),
    api("STREAM.INFO.O"),
    create("N", subjects=["n.*"], max_msgs=2, discard="new"),
    *(put(f"n.{at}") for at in range(4)),
    put("n.1", "over"),
    create("NS", subjects=["ns.*"], max_msgs_per_subject=1, discard="new", max_msgs=2),
    *(put(f"ns.{at}") for at in (1, 1, 2, 3, 2)),
    create(
        "NP", subjects=["np.*"], max_msgs_per_subject=1, discard="new", discard_new_per_subject=True
    ),
    *(put(f"np.{at}") for at in (1, 1, 2)),
    create("B", subjects=["by.*"], max_bytes=100, discard="old"),
    *(put(f"by.{at}", "0123456789") for at in range(6)),
    put("by.9", "x" * 200),
    api("STREAM.INFO.B"),
    create("BN", subjects=["bn.*"], max_bytes=100, discard="new", max_msgs_per_subject=1),
    *(put(f"bn.{at}", "0123456789") for at in (1, 2, 3, 1)),
    put("bn.1", "x" * 200),
    api("STREAM.INFO.BN"),
    create("NA", subjects=["na"], no_ack=True),
    create("I", subjects=["i.*"], retention="interest"),
    put("i.a"),
    api("STREAM.INFO.I"),
    create("F", subjects=["fs"], first_seq=50),
    put("fs"),
    api("STREAM.INFO.F"),
    put("nobody.listens"),
    put("$KV.b.a..b"),
    put("$KV.b.", "v"),
]

PUSH = {"deliver_subject": "to.me", "ack_policy": "none"}

CONSUMERS = [
    *FILL,
    consume("KV_b", **PUSH),
    consume("nope", **PUSH),
    consume(
        "KV_b",
        ".c1",
        **PUSH,
        name="c1",
        deliver_policy="last_per_subject",
        filter_subject="$KV.b.>",
    ),
    consume(
        "KV_b",
        ".c1",
        **PUSH,
        name="c1",
        deliver_policy="last_per_subject",
        filter_subject="$KV.b.>",
    ),
    consume("KV_b", ".c1", **PUSH, name="c1", deliver_policy="all"),
    consume("KV_b", ".c1", "create", **PUSH, name="c1", deliver_policy="all"),
    consume("KV_b", ".c9", "update", **PUSH, name="c9"),
    consume("KV_b", ".c1", **PUSH, name="other"),
    api("CONSUMER.INFO.KV_b.c1"),
    api("CONSUMER.INFO.KV_b.none"),
    api("CONSUMER.INFO.nope.c1"),
    consume("KV_b", ".c2.$KV.b.k1", **PUSH, name="c2", filter_subject="$KV.b.k1"),
    consume("KV_b", ".c3.$KV.b.k1", **PUSH, name="c3", filter_subject="$KV.b.k2"),
    consume("KV_b", ".c3.$KV.b.k1", **PUSH, name="c3"),
    consume("KV_b", ".c4", **PUSH, name="c4", filter_subjects=["$KV.b.k1", "$KV.b.k2"]),
    consume("KV_b", ".c5", **PUSH, name="c5", filter_subjects=["$KV.b.k1", "$KV.b.*"]),
    consume("KV_b", ".c5", **PUSH, name="c5", filter_subjects=["a"], filter_subject="b"),
    consume("KV_b", ".c5", **PUSH, name="c5", filter_subjects=[""]),
    consume("KV_b", ".c6", **PUSH, name="c6", filter_subject="nobody.listens"),
    *(
        consume("KV_b", f".d{at}", **PUSH, name=f"d{at}", **config)
        for at, config in enumerate(
            (
                {"deliver_policy": "all"},
                {"deliver_policy": "last"},
                {"deliver_policy": "new"},
                {"deliver_policy": "last_per_subject"},
                {"deliver_policy": "last_per_subject", "filter_subject": "$KV.b.k1"},
                {"deliver_policy": "by_start_sequence", "opt_start_seq": 7},
                {"deliver_policy": "by_start_sequence"},
                {"deliver_policy": "by_start_sequence", "opt_start_seq": 700},
                {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"},
                {"deliver_policy": "by_start_time"},
                {"deliver_policy": "all", "opt_start_seq": 7},
                {"deliver_policy": "nonsense"},
                {"idle_heartbeat": 5_000_000_000, "flow_control": True},
                {"flow_control": True},
                {"idle_heartbeat": 1_000},
                {"idle_heartbeat": -1},
                {"headers_only": True},
                {"max_deliver": 1, "ack_wait": 79_200_000_000_000, "mem_storage": True},
                {"inactive_threshold": 60_000_000_000, "num_replicas": 1},
                {"num_replicas": 3},
                {"replay_policy": "instant"},
                {"rate_limit_bps": 1000},
                {"description": "x" * 5000},
                {"metadata": {"a": "b"}},
                {"max_waiting": 5},
                {"bogus": 1},
            )
        )
    ),
    consume("KV_b", ".bad*name", **PUSH, name="bad*name"),
    consume("KV_b", ".e1", name="e1", ack_policy="none", deliver_subject="$KV.b.x"),
    consume("KV_b", ".e2", name="e2", ack_policy="none", deliver_subject="to.*"),
    api("CONSUMER.CREATE.KV_b", b"nonsense"),
    api("CONSUMER.CREATE.KV_b", b""),
    api("CONSUMER.CREATE.KV_b", {"stream_name": "other", "config": PUSH}),
    api("CONSUMER.DELETE.KV_b.c1"),
    api("CONSUMER.DELETE.KV_b.c1"),
    api("CONSUMER.DELETE.nope.c1"),
    api("CONSUMER.NAMES.nope"),
]

FAMILIES: dict[str, list[Ask]] = {
    "configs": CONFIGS,
    "updates": UPDATES,
    "gets": GETS,
    "purges": PURGES,
    "publishes": PUBLISHES,
    "consumers": CONSUMERS,
}
