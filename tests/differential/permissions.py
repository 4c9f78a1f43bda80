"""What may differ between the results of kvcore and of nats-server, as data with reasons.

Each entry covers some paths of some calls' results. The full run fails when an entry has
masked nothing, so that this list only shrinks. A difference that is a decision has its row
in docs/differences.md too.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Permission:
    """Patterns for the kind of call and for the path inside its result, and the reason. With
    `after`, it holds only when a step of such a kind came before."""

    kind: str
    path: str
    reason: str
    after: str = ""

    def covers(self, kind: str, path: str) -> bool:
        return bool(re.fullmatch(self.kind, kind) and re.fullmatch(self.path, path))


PERMISSIONS: tuple[Permission, ...] = (
    Permission(
        ".*",
        r"(.*\.)?(created|ts|first_ts|last_ts|time|timestamp|last_active)",
        "a moment",
    ),
    Permission(".*", r"(.*\.)?headers\.Nats-Time-Stamp", "a moment"),
    Permission(
        ".*",
        r"(.*\.)?metadata\._nats\.ver",
        "kvcore reports the version whose client features it has",
    ),
    Permission(
        ".*",
        r"(.*\.)?metadata\._nats\.level",
        "kvcore has the JetStream API of level 1: per-key TTL, no atomic batches or counters",
    ),
    Permission(
        "delete_msg",
        "description|text",
        "beyond the last sequence: `stream store EOF` there, `no message found` here",
    ),
    Permission(
        "consumer|consumer_info",
        r"delivered\.stream_seq|ack_floor\.(stream|consumer)_seq",
        "nats-server counts what was purged as delivered and acknowledged",
        after="purge|publish|purge_stream|purge_deletes",
    ),
)

# A mistake of nats-server's that needs several steps in a row to show: a permission would mask
# what must be the same elsewhere. By seed; the run fails when such a script does not differ.
KNOWN: dict[int, Permission] = {
    7972: Permission(
        "pull",
        r"\[0\]\.delivered, sequence, consumer sequence, pending",
        "the last message deleted, then a purge that keeps some: nats-server's deliveries count "
        "one pending message too many",
    ),
}
