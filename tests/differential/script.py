"""A script: what nats-py is asked to do, as data that can be cut, printed and run again.

An operation is a kind and its arguments. The kind's template is the call itself, so what
runs is what is printed. An argument may refer to an earlier result (`Latest`, `Seq`): it is
looked up when the operation runs, so that a script from which operations were cut still
asks about revisions that exist, that are stale, or that are to come.

Left out: how a script is made (`generator.py`), run (`session.py`) and cut (`shrinker.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# kind -> the call; `kv`, `js`, `nc`, `s`, `bucket`, `stream` and `prefix` are the session's
TEMPLATES: dict[str, str] = {
    "put": "kv.put({key}, {value})",
    "burst": "s.burst({key}, {count})",
    "create": "kv.create({key}, {value}, msg_ttl={ttl})",
    "update": "kv.update({key}, {value}, last={last})",
    "delete": "kv.delete({key}, last={last})",
    "purge": "kv.purge({key}, msg_ttl={ttl})",
    "get": "kv.get({key})",
    "get_revision": "kv.get({key}, revision={revision})",
    "history": "s.again(lambda: kv.history({key}))",
    "keys": "s.again(lambda: kv.keys(filters={filters}))",
    "purge_deletes": "s.purge_deletes({olderthan})",
    "status": "kv.status()",
    "bind": "js.key_value(bucket)",
    "make": "s.make({config})",
    "edit": "s.edit({changes})",
    "delete_bucket": "js.delete_key_value(bucket)",
    "publish": "js.publish(prefix + {key}, {value}, headers={headers})",
    "stream_info": "js.stream_info(stream, subjects_filter={subject})",
    "purge_stream": "js.purge_stream(stream, seq={seq}, subject={subject}, keep={keep})",
    "delete_msg": "js.delete_msg(stream, {seq})",
    "get_msg": "js.get_msg(stream, seq={seq}, subject={subject}, direct={direct}, next={next})",
    "last_msg": "js.get_last_msg(stream, {subject}, direct={direct})",
    "watch": "s.watch({pattern}, {options})",
    "listen": "s.listen({pattern}, {policy}, {start}, {headers_only})",
    "stop": "s.stop()",
    "consumer": "s.consumer({name}, {config})",
    "consumer_info": "js.consumer_info(stream, {name})",
    "pull": "s.pull({name}, {batch})",
    "ack": "s.ack({at}, {how})",
    "delete_consumer": "js.delete_consumer(stream, {name})",
    "expired": "s.expired({key})",
    "copies": "s.copies()",
}

_ARGUMENT = re.compile(r"\{(\w+)\}")

CODE = {
    kind: compile(_ARGUMENT.sub(r"\1", template), f"<{kind}>", "eval")
    for kind, template in TEMPLATES.items()
}


@dataclass(frozen=True, slots=True)
class Latest:
    """The revision of the last write of a key that was taken, or of the `back`-th before it."""

    key: str
    back: int = 0


@dataclass(frozen=True, slots=True)
class Seq:
    """The stream's last sequence, as far as the script knows, plus an offset."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a key, or of a pattern of keys."""

    key: str


@dataclass(frozen=True, slots=True)
class Op:
    """One call."""

    kind: str
    args: Mapping[str, object] = field(default_factory=dict)

    def call(self, args: Mapping[str, object]) -> str:
        """The call as it would be typed, with these arguments."""
        return _ARGUMENT.sub(lambda found: repr(args[found[1]]), TEMPLATES[self.kind])


@dataclass(frozen=True, slots=True)
class Script:
    """A bucket's configuration and what is done with it, in order."""

    seed: int
    config: Mapping[str, object]
    ops: tuple[Op, ...]
