"""Consumers that nobody listens to any more, and when they go.

A watch is a consumer on the server. A program that ends without deleting its watch leaves
the consumer behind; so does one that made a durable consumer and was never started again.
Each costs the server something with every message, so a server that is slow for no visible
reason may carry hundreds. A consumer with an `inactive_threshold` goes by itself when that
time is over; one without stays until somebody deletes it.

Whether a push consumer is listened to, the server says (`push_bound`). A pull consumer is
idle between two requests as well, so it counts as abandoned only after a while.

Left out: deleting them; `nats consumer rm` does.
"""

from datetime import UTC, datetime

from kvcore.cli import layout
from kvcore.cli.bucket import Json

PULL_IDLE_S = 30.0  # a client at work on a message may ask for nothing so long


def abandoned(consumers: list[Json], now: datetime) -> list[Json]:
    """Those of a stream's consumers, in its order."""
    return [each for each in consumers if _is_abandoned(each, now)]


def _is_abandoned(consumer: Json, now: datetime) -> bool:
    if consumer["config"].get("deliver_subject"):
        return not consumer.get("push_bound", False)
    if consumer.get("num_waiting", 0):
        return False
    signs = [consumer["created"]]
    signs += [consumer[part].get("last_active", "") for part in ("delivered", "ack_floor")]
    last = max(datetime.fromisoformat(sign[:19] + "+00:00") for sign in signs if sign)
    return (now - last.astimezone(UTC)).total_seconds() > PULL_IDLE_S


def show_abandoned(consumers: list[Json]) -> str:
    """The lines of `kv status`; nothing if there are none."""
    if not consumers:
        return ""
    rows = [(each["name"], _end(each["config"].get("inactive_threshold", 0))) for each in consumers]
    count = f"{len(consumers)} consumer{'s' * (len(consumers) > 1)}"
    return f"\nAbandoned: {count} that nobody listens to\n\n{layout.facts(rows)}"


def _end(threshold: int) -> str:
    if not threshold:
        return "stays until it is deleted"
    return f"goes after {layout.duration(threshold)} without a listener"
