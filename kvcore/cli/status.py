"""A bucket's configuration and state, as `kv add` and `kv status` show them.

A bucket is a stream with a name and a few settings, so all of this is one STREAM.INFO,
translated back: `max_msgs_per_subject` is the history, `max_age` the age, and so on.

Left out: consumers, but for those that are abandoned (`abandoned.py`).
"""

from kvcore.cli import layout
from kvcore.cli.bucket import Json


def show_status(bucket: str, info: Json, *, plain: bool = False) -> str:
    """The text for one bucket; `plain` says that the server never compresses."""
    config, state = info["config"], info["state"]
    lines = f"Information for Key-Value Store Bucket {bucket} created "
    lines += f"{layout.local(info['created'])}\n\nConfiguration:\n\n"
    marker = config.get("subject_delete_marker_ttl", 0)
    description = config.get("description", "")
    republish = config.get("republish")
    rows = [
        ("Bucket Name", bucket),
        ("History Kept", f"{config['max_msgs_per_subject']:,}"),
        ("Values Stored", f"{state['messages']:,}"),
        ("Compressed", _compressed(config.get("compression", "none"), plain=plain)),
        ("Per-Key TTL Supported", _yes(config.get("allow_msg_ttl", False))),
        *([("Limit Marker TTL", layout.duration(marker))] if marker else []),
        ("Backing Store Kind", "JetStream"),
        *([("Description", description)] if description else []),
        ("Bucket Size", layout.size(state["bytes"])),
        ("Maximum Bucket Size", _bound(config["max_bytes"])),
        ("Maximum Value Size", _bound(config["max_msg_size"])),
        ("Maximum Age", layout.duration(config["max_age"]) if config["max_age"] else "unlimited"),
        ("JetStream Stream", config["name"]),
        ("Storage", str(config["storage"]).title()),
        *([("Republishing", f"{republish['src']} to {republish['dest']}")] if republish else []),
    ]
    lines += layout.facts(rows)
    metadata = config.get("metadata") or {}
    own = [(key, value) for key, value in metadata.items() if not key.startswith("_nats.")]
    if own:
        lines += "\nMetadata:\n\n" + layout.facts(own)
    cluster = info.get("cluster")
    if cluster:
        where = [("Name", cluster.get("name", "")), ("Leader", cluster.get("leader", ""))]
        lines += "\nCluster Information:\n\n" + layout.facts(where)
    return lines


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _compressed(asked: str, *, plain: bool) -> str:
    if asked != "none" and plain:
        return "true (stored plainly)"
    return _yes(asked != "none")


def _bound(count: int) -> str:
    return layout.size(count) if count > 0 else "unlimited"
