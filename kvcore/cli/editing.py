"""`kv edit`: a bucket's configuration, with what was said changed.

The API takes a whole configuration. So the bucket's own is asked for, the flags that were
given are laid over it, and the rest goes back as it came.

Left out: mirrors and sources, which stay as they are.
"""

from kvcore.cli.bucket import Buckets, Json
from kvcore.cli.commands import Values
from kvcore.cli.session import on_server, say
from kvcore.cli.status import show_status
from kvcore.cli.values import text
from kvcore.limits import MINUTE_NS

_FIELDS = {
    "description": "description",
    "history": "max_msgs_per_subject",
    "replicas": "num_replicas",
    "max-value-size": "max_msg_size",
    "max-bucket-size": "max_bytes",
}


def edit(values: Values) -> int:
    """Change a bucket."""
    bucket = text(values, "bucket")

    async def work(buckets: Buckets) -> None:
        config = (await buckets.info(bucket))["config"]
        await buckets.call(f"STREAM.UPDATE.KV_{bucket}", _changed(config, values))
        say(show_status(bucket, await buckets.info(bucket), plain=buckets.is_kvcore))

    return on_server(work, values)


def _changed(config: Json, values: Values) -> Json:
    said = {name: value for name, value in values.items() if value is not None}
    changed = config | {field: said[name] for name, field in _FIELDS.items() if name in said}
    if "ttl" in said:
        age = int(str(said["ttl"]))
        changed |= {"max_age": age, "duplicate_window": min(age, 2 * MINUTE_NS) or 2 * MINUTE_NS}
    if "marker-ttl" in said:
        changed |= {"allow_msg_ttl": True, "subject_delete_marker_ttl": said["marker-ttl"]}
    if "compress" in said:
        changed["compression"] = "s2" if said["compress"] else "none"
    if "tags" in said or "cluster" in said:
        changed["placement"] = {"tags": said.get("tags", ()), "cluster": said.get("cluster", "")}
    labels = said.get("metadata")
    if isinstance(labels, tuple | list):
        changed["metadata"] = dict(label.split("=", 1) for label in labels)
    if "republish-destination" in said:
        changed["republish"] = {
            "src": said.get("republish-source", ""),
            "dest": said["republish-destination"],
            "headers_only": said.get("republish-headers", False),
        }
    return changed
