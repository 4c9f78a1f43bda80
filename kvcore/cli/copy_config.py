"""What a bucket's configuration becomes on the target, and what says that a copy is unfinished.

Most fields are taken as they are. Some would act on the copy itself (republish would send
all messages again, limit markers would take numbers that belong to other messages), so they
are set at the end, in the one update that also removes the mark of an unfinished copy. What
names things of the source's cluster stays behind, and is named: placement, sources.

Left out: a mirror, whose messages are another bucket's; a counter, whose messages are sums.
"""

from kvcore.cli.bucket import Json
from kvcore.cli.commands import CommandError

MARK = "kvcore.copy"  # in the target's metadata while the copy is unfinished
_AT_THE_END = (
    "subject_delete_marker_ttl",
    "republish",
    "subject_transform",
    "deny_purge",
    "sealed",
)
_LEFT_BEHIND = {
    "placement": "it names servers of the source's cluster",
    "sources": "their messages are copied, later ones are not fetched",
}


def mark_of(info: Json) -> str:
    """Which bucket this is: its name and the moment it was made."""
    return f"{info['config']['name']} {info['created']}"


def check(config: Json) -> None:
    """Refuse what can't be copied."""
    if config.get("mirror"):
        name = str(config["mirror"].get("name", "")).removeprefix("KV_")
        raise CommandError(f"the bucket is a mirror of {name}: copy {name} itself")
    if config.get("allow_msg_counter"):
        raise CommandError("the bucket is a counter, whose values can't be written as they are")


def first(info: Json, replicas: int | None) -> Json:
    """The configuration to create the target with."""
    config = {
        name: value
        for name, value in info["config"].items()
        if name not in _LEFT_BEHIND and name not in _AT_THE_END
    }
    config["metadata"] = {**_metadata(info), MARK: mark_of(info)}
    config["num_replicas"] = replicas or config["num_replicas"]
    if info["state"]["first_seq"] > 1:
        config["first_seq"] = info["state"]["first_seq"]
    return config


def last(source: Json, target: Json) -> Json:
    """The configuration of the finished target."""
    late = {name: source["config"][name] for name in _AT_THE_END if name in source["config"]}
    return {**target["config"], **late, "metadata": _metadata(source)}


def notes(config: Json) -> list[str]:
    """A line for each thing that is left behind, with its reason."""
    return [
        f"{name} is not copied: {why}" for name, why in _LEFT_BEHIND.items() if config.get(name)
    ]


def _metadata(info: Json) -> dict[str, str]:
    found: dict[str, str] = info["config"].get("metadata") or {}
    return {key: value for key, value in found.items() if not key.startswith("_nats.")}
