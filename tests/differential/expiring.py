"""Scripts in which something expires: they take seconds, so there are few of them.

Each writes what lives for a second, waits until it is gone (`expired`: a condition with a
deadline), and asks what is left: the marker in its place, the history, the revisions. One
key expires at a time, since two that are due in the same second go in either order.
"""

from collections.abc import Mapping
from random import Random

from tests.differential.script import Latest, Op, Script, Seq, Subject

EVERY = 40  # one script in so many


def is_expiring(seed: int) -> bool:
    return seed % EVERY == 7


def generate(seed: int) -> Script:
    """The script of this seed."""
    random = Random(seed)
    config: dict[str, object] = {"history": random.choice((1, 2, 3))}
    if random.random() < 0.5:
        config["direct"] = True
    if random.random() < 0.4:
        config["storage"] = "memory"
    if random.random() < 0.6:
        config["limit_marker_ttl"] = 2  # what expires lives as long at least
    if random.random() < 0.3:
        config["ttl"] = 1
        if "limit_marker_ttl" in config:
            config["limit_marker_ttl"] = 3600
    options = {"include_history": True} if random.random() < 0.5 else {}
    ops = [
        Op("watch", {"pattern": ">", "options": options}),
        *_writes(random, config),
        *_edits("subject_delete_marker_ttl", config.get("limit_marker_ttl") == 2),
        Op("expired", {"key": "a"}),
        *_edits("max_age", "ttl" in config),
        Op("stop"),
        *random.sample(_questions(random), k=5),
    ]
    return Script(seed, config, tuple(ops))


def _writes(random: Random, config: Mapping[str, object]) -> list[Op]:
    """What is due in a second, and perhaps an older revision that is not."""
    before = [Op("put", {"key": "a", "value": b"first"})] * random.choice((0, 1, 2))
    if "ttl" in config:
        return [*before, Op("put", {"key": "a", "value": b"last"})]
    if not before:
        return [
            Op("create", {"key": "a", "value": b"brief", "ttl": 1}),
            Op("create", {"key": "b", "value": b"longer", "ttl": 3600}),
        ]
    if random.random() < 0.3 and "limit_marker_ttl" not in config:  # it would live as long
        return [*before, Op("purge", {"key": "a", "ttl": 1})]
    last: Op = random.choice(
        (
            Op("publish", {"key": "a", "value": b"brief", "headers": {"Nats-TTL": "1s"}}),
            Op("publish", {"key": "a", "value": b"", "headers": {"Nats-TTL": "1", "X": "y"}}),
        )
    )
    return [*before, last]


def _edits(name: str, is_needed: bool) -> list[Op]:
    """What is there from now on shall be there for as long as the questions take."""
    return [Op("edit", {"changes": {name: 3600}})] if is_needed else []


def _questions(random: Random) -> list[Op]:
    revision = random.choice((Latest("a"), Latest("a", 1), Seq()))
    return [
        Op("get", {"key": "a"}),
        Op("get_revision", {"key": "a", "revision": revision}),
        Op("history", {"key": "a"}),
        Op("keys", {"filters": None}),
        Op("status"),
        Op("stream_info", {"subject": ">"}),
        Op("last_msg", {"subject": Subject("a"), "direct": False}),
        Op("get_msg", {"seq": Seq(), "subject": None, "direct": False, "next": False}),
        Op("create", {"key": "a", "value": b"again", "ttl": None}),
        Op("update", {"key": "a", "value": b"again", "last": Latest("a")}),
        Op("update", {"key": "a", "value": b"again", "last": Seq()}),
        Op("delete", {"key": "a", "last": None}),
        Op("watch", {"pattern": "a", "options": {"include_history": True}}),
    ]
