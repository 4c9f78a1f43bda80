"""Makes a script from a seed: few keys, revisions near the present, sizes near the limits.

Chance alone seldom reaches a state that is worth asking about, so it is led: four keys
that are parts of each other, references to the last revision and its neighbours, values a
byte below, at and above the limit, filters that match by accident. `test_differential.py`
counts the outcomes that were reached, and fails when a listed one was not.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from tests.differential import expiring
from tests.differential.script import Latest, Op, Script, Seq, Subject

KEYS = ("a", "b", "a.b", "ab", "a.b.c")
PATTERNS = (">", ">", "a", "*", "a.*", "a.>", "zz", "*.b")
FILTERS = (None, None, ["a"], ["b"], ["a.b"], ["."], ["zz"], ["zz", "b"], [""], [])
OPS = 26  # more or less
CONSUMERS = ("one", "one", "two")
PURGES = {"purge", "publish", "purge_stream", "purge_deletes"}
# A script has one interest; its kinds come four times as often. `buckets` has none.
INTERESTS: dict[str, tuple[str, ...]] = {
    "buckets": (),
    "writes": ("put", "create", "update", "delete", "purge"),
    "reads": ("get", "get_revision", "history", "keys", "get_msg", "last_msg"),
    "watches": ("watch", "listen", "stop"),
    "consumers": ("consumer", "consumer_info", "pull", "ack", "delete_consumer"),
    "edits": ("edit", "status"),
    "publishes": ("publish",),
    "removals": ("purge_stream", "delete_msg", "purge_deletes", "stream_info"),
}

Maker = Callable[["Generator"], Op]
WEIGHTS: dict[str, int] = {}
MAKERS: dict[str, Maker] = {}


def op(weight: int) -> Callable[[Maker], Maker]:
    def keep(maker: Maker) -> Maker:
        MAKERS[maker.__name__] = maker
        WEIGHTS[maker.__name__] = weight
        return maker

    return keep


class Generator:
    """The choices of one script."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.interest = self.one(list(INTERESTS))
        self.config = self.make_config()
        self.number = 0
        self.lasts_filters: dict[str, object] = {}  # of a consumer of each subject's last

    def one(self, choices: Sequence[Any]) -> Any:
        return self.random.choice(choices)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def key(self) -> str:
        return self.random.choices(KEYS, (6, 3, 3, 1, 1))[0]

    def value(self) -> bytes:
        self.number += 1
        size = self.config.get("max_value_size")
        if size and self.chance(0.3):
            return b"x" * max(0, size + self.one((-1, 0, 0, 1)))
        return self.one((b"", b"%d" % self.number, b"%d" % self.number, b"v" * 40))

    def revision(self, key: str) -> object:
        """Right most often; else stale, to come, another key's, none, or of the whole stream."""
        return self.random.choices(
            (
                *(Latest(key), Latest(key, 1), Latest(self.key()), Latest(key, 2)),
                *(Seq(), Seq(1), Seq(50), Seq(-2), 0),
            ),
            (10, 3, 3, 1, 2, 1, 1, 1, 2),
        )[0]

    def make_config(self) -> dict[str, object]:
        chance, one = self.chance, self.one
        config: dict[str, object] = {"history": one((1, 1, 2, 3, 5))}
        if chance(0.4):
            config["direct"] = True
        if chance(0.3):
            config["storage"] = "memory"
        if chance(0.25):
            config["max_value_size"] = one((1, 8, 30, 60))
        if chance(0.25):
            config["max_bytes"] = one((100, 150, 250, 400))
        if chance(0.2):
            config["ttl"] = one((3600, 60))
        if chance(0.25):
            config["limit_marker_ttl"] = one((60, 3600))
        if chance(0.15):
            config["republish"] = one(("all", "headers"))
        if chance(0.1):
            config["description"] = "words"
        if chance(0.3):
            config["stream"] = {
                "allow_rollup_hdrs": chance(0.8),
                "allow_msg_ttl": chance(0.8),
                "discard": one(("old", "new")),
                "max_msgs": one((-1, -1, 2, 4, 8)),
                **one(({}, {}, {}, {"deny_purge": True, "allow_rollup_hdrs": False})),
                **one(({}, {}, {}, {"deny_delete": True})),
                **one(({}, {}, {}, {"discard": "new", "discard_new_per_subject": True})),
                **one(({}, {}, {}, {"first_seq": 10})),
            }
        return config

    def script(self, seed: int) -> Script:
        kinds = list(WEIGHTS)
        often = INTERESTS[self.interest]
        weights = [WEIGHTS[kind] * (4 if kind in often else 1) for kind in kinds]
        ops = [Op("put", {"key": self.key(), "value": self.value()})] * self.chance(0.8)
        if self.interest == "consumers":
            ops += [Op("consumer", {"name": "one", "config": {}})] * self.chance(0.6)
        for kind in self.random.choices(kinds, weights, k=OPS + self.random.randint(-6, 6)):
            ops.append(MAKERS[kind](self))
        if any(op.kind in PURGES for op in ops):
            ops = [_without_nak(op) for op in ops]
        return Script(seed, self.config, tuple(ops))


def _without_nak(op: Op) -> Op:
    """After any purge nats-server forgets what was to come again; see docs/differences.md."""
    return Op("ack", {**op.args, "how": "+TERM"}) if op.args.get("how") == "-NAK" else op


def generate(seed: int) -> Script:
    """The script of this seed."""
    if expiring.is_expiring(seed):
        return expiring.generate(seed)
    return Generator(seed).script(seed)


@op(14)
def put(g: Generator) -> Op:
    """Each fifth value becomes several puts that don't wait for each other."""
    key, value = g.key(), g.value()
    if g.number % 5 == 4:
        return Op("burst", {"key": key, "count": (2, 3, 8)[g.number % 3]})
    return Op("put", {"key": key, "value": value})


@op(7)
def create(g: Generator) -> Op:
    ttl = g.one((None, None, None, 3600, 1000, 0, -1))
    return Op("create", {"key": g.key(), "value": g.value(), "ttl": ttl})


@op(10)
def update(g: Generator) -> Op:
    key = g.key()
    return Op("update", {"key": key, "value": g.value(), "last": g.revision(key)})


@op(6)
def delete(g: Generator) -> Op:
    key = g.key()
    return Op("delete", {"key": key, "last": g.one((None, None, g.revision(key)))})


@op(4)
def purge(g: Generator) -> Op:
    return Op("purge", {"key": g.key(), "ttl": g.one((None, None, 3600, 0))})


@op(8)
def get(g: Generator) -> Op:
    return Op("get", {"key": g.key()})


@op(7)
def get_revision(g: Generator) -> Op:
    key = g.key()
    return Op("get_revision", {"key": key, "revision": g.revision(key)})


@op(5)
def history(g: Generator) -> Op:
    return Op("history", {"key": g.one((g.key(), g.key(), *PATTERNS))})


@op(5)
def keys(g: Generator) -> Op:
    return Op("keys", {"filters": g.one(FILTERS)})


@op(1)
def purge_deletes(g: Generator) -> Op:
    return Op("purge_deletes", {"olderthan": g.one((-1, -1, 1800))})


@op(3)
def status(_: Generator) -> Op:
    return Op("status")


@op(1)
def bind(_: Generator) -> Op:
    return Op("bind")


@op(1)
def make(g: Generator) -> Op:
    changed: Mapping[str, object] = g.one(
        (
            *(g.config, g.config, {**g.config, "history": 4}, {**g.config, "description": "new"}),
            *({"history": 65}, {"replicas": 3}, {**g.config, "ttl": 0.01}),
            {**g.config, "limit_marker_ttl": 0.5},
        )
    )
    return Op("make", {"config": changed})


@op(4)
def edit(g: Generator) -> Op:
    if g.interest != "edits" and g.chance(0.7):
        return status(g)
    changes = [
        *({"max_msgs_per_subject": count} for count in (1, 2, 4, 8)),
        *({"max_msg_size": size} for size in (-1, 2, 30)),
        *({"max_bytes": size} for size in (-1, 60, 120, 200, 1000)),
        *({"max_msgs": count} for count in (-1, 1, 2, 4)),
        *({"max_age": seconds} for seconds in (0, 3600, 0.01)),
        *({"discard": policy} for policy in ("old", "new")),
        *({"allow_direct": is_on} for is_on in (True, False)),
        *({"discard_new_per_subject": is_on} for is_on in (True, False)),
        *({"deny_delete": False}, {"deny_purge": True}),
        {"deny_purge": True, "allow_rollup_hdrs": False},
        {"allow_rollup_hdrs": g.one((True, False))},
        {"allow_msg_ttl": False},
        {"storage": g.one(("file", "memory"))},
        {"retention": g.one(("limits", "workqueue"))},
        {"num_replicas": g.one((1, 3))},
        {"duplicate_window": g.one((0.01, 30, 200))},
        {"subject_delete_marker_ttl": g.one((None, 30, 0.5))},
        {"description": g.one(("", "other"))},
        {"metadata": {"who": "a script"}},
        {"republish": g.one((None, "all"))},
        {"compression": g.one(("s2", "none"))},
        {"max_consumers": g.one((-1, 1))},
        {"subjects": g.one(([">"], ["a", "a.>"], ["a.>", "a.b"]))},
        *([{"sealed": True}] * g.chance(0.3)),
    ]
    return Op("edit", {"changes": g.one(changes)})


@op(1)
def delete_bucket(g: Generator) -> Op:
    return Op("delete_bucket") if g.chance(0.25) else status(g)


@op(9)
def publish(g: Generator) -> Op:
    key = g.key()
    headers: dict[str, object] = g.one(
        (
            *({"Nats-Msg-Id": g.one(("m1", "m2", "m3"))} for _ in range(3)),
            {"Nats-Expected-Last-Sequence": g.one((Seq(), Seq(), Seq(-1), 0))},
            {"Nats-Expected-Last-Subject-Sequence": g.revision(key)},
            {"Nats-Expected-Last-Subject-Sequence": g.one(("x", "-1"))},
            {"Nats-Expected-Last-Msg-Id": g.one(("m1", "m2", "none"))},
            {"Nats-Expected-Stream": g.one(("KV_other", "KV_more"))},
            {"Nats-Rollup": g.one(("sub", "sub", "all", "some"))},
            {"Nats-TTL": g.one(("3600", "1h", "never", "0", "-1", "x", "500ms"))},
            {"KV-Operation": g.one(("DEL", "PURGE", "PUT"))},
            {"Own": "words"},
            {"Nats-Msg-Id": "m1", "Nats-Expected-Last-Sequence": Seq()},
            {"Nats-Rollup": "sub", "Nats-Expected-Last-Subject-Sequence": g.revision(key)},
        )
    )
    return Op("publish", {"key": key, "value": g.value(), "headers": headers})


@op(3)
def stream_info(g: Generator) -> Op:
    subject = g.one((None, ">", Subject(g.key()), Subject(g.one(PATTERNS)), "zz"))
    return Op("stream_info", {"subject": subject})


@op(4)
def purge_stream(g: Generator) -> Op:
    subject = g.one((None, Subject(g.key()), Subject(g.key()), Subject(g.one(PATTERNS))))
    seq = g.one((None, None, g.revision(g.key()), Seq(-1), Seq(3)))
    keep = g.one((None, None, 1, 2))
    if seq is None and keep is None and subject is None and g.chance(0.6):
        keep = 3
    return Op("purge_stream", {"seq": seq, "subject": subject, "keep": keep})


@op(4)
def delete_msg(g: Generator) -> Op:
    return Op("delete_msg", {"seq": g.one((Seq(), Seq(-1), Seq(-2), g.revision(g.key())))})


@op(4)
def get_msg(g: Generator) -> Op:
    args = {"direct": g.chance(0.5), "seq": g.revision(g.key()), "subject": None, "next": False}
    if g.chance(0.4):
        args |= {"subject": Subject(g.one((g.key(), g.one(PATTERNS)))), "next": True}
        args["seq"] = g.one((Seq(-3), Seq(-1), Seq(), Seq(1), 1))
    return Op("get_msg", args)


@op(2)
def last_msg(g: Generator) -> Op:
    subject = Subject(g.one((g.key(), g.one(PATTERNS))))
    return Op("last_msg", {"subject": subject, "direct": g.chance(0.5)})


@op(5)
def watch(g: Generator) -> Op:
    options = {
        name: True
        for name in ("include_history", "ignore_deletes", "meta_only", "headers_only")
        if g.chance(0.3)
    }
    return Op("watch", {"pattern": g.one(PATTERNS), "options": options})


@op(3)
def listen(g: Generator) -> Op:
    policy, start = g.one(
        (
            *(("all", 0), ("last", 0), ("new", 0), ("last_per_subject", 0)),
            *(("by_start_sequence", Seq(-2)), ("by_start_sequence", Seq(1))),
            *(("by_start_sequence", g.revision(g.key())), ("all", 3)),
        )
    )
    args = {"pattern": g.one(PATTERNS), "policy": policy, "start": start}
    return Op("listen", {**args, "headers_only": g.chance(0.25)})


@op(5)
def stop(_: Generator) -> Op:
    return Op("stop")


@op(3)
def consumer(g: Generator) -> Op:
    """`two` has filters always: nats-server's is deaf once an update takes them away, and a
    consumer without filters that begins at a last message which was deleted, gets none. They
    stay where it wants each subject's last; see docs/differences.md."""
    config: dict[str, object] = g.one(
        (
            *({}, {}, {"ack_policy": "none"}, {"ack_policy": "all"}),
            *({"deliver_policy": "last_per_subject"}, {"deliver_policy": "last"}),
            *({"max_deliver": 2}, {"max_ack_pending": 50}, {"headers_only": True}),
            {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": g.one((1, Seq(-2), Seq(), Seq(1))),
            },
        )
    )
    name = g.one(CONSUMERS)
    if name == "one" and config.get("deliver_policy") == "last":
        config = {}
    if name == "two":
        filters = g.one((["a", "b"], ["a", "*"], ["a.>"], None))
        given = {"filter_subjects": filters} if filters else {"filter_subject": g.key()}
        if config.get("deliver_policy") == "last_per_subject":
            given = g.lasts_filters = g.lasts_filters or given
        config |= given
    return Op("consumer", {"name": name, "config": config})


@op(2)
def consumer_info(g: Generator) -> Op:
    return Op("consumer_info", {"name": g.one(CONSUMERS)})


@op(4)
def pull(g: Generator) -> Op:
    return Op("pull", {"name": g.one(CONSUMERS), "batch": g.one((1, 1, 2, 5))})


@op(4)
def ack(g: Generator) -> Op:
    how = g.one(("+ACK", "+ACK", "-NAK", "+TERM", "+WPI"))
    return Op("ack", {"at": g.one((0, -1, 1)), "how": how})


@op(1)
def delete_consumer(g: Generator) -> Op:
    return Op("delete_consumer", {"name": g.one(CONSUMERS)})
