"""Which servers shall hold a stream: a question for the meta group's leader alone.

Only a leader knows who is there just now, so it answers once and puts the answer into the
command; the replicas that apply it never ask. The rule is small:

    a stream stays where it is, as far as the server fits and is wanted
    else the servers that are online, fit, and hold the fewest replicas, then by name

A server fits if it belongs to the cluster that the placement names and has all of its tags.
When replicas are given up, those that can't be reached go first, and the leader's last: so
a stream in several copies that becomes one goes on where it is being served.

Left out: how full a server's disk is; moves between clusters, since there is one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kvcore.jetstream.config import StreamConfig

NO_PEERS = "no suitable peers for placement"


@dataclass(frozen=True, slots=True)
class Place:
    """A server that could hold streams; `held` counts the replicas that it has."""

    name: str
    cluster: str = ""
    tags: tuple[str, ...] = ()
    is_online: bool = True
    held: int = 0


class UnplacedError(Exception):
    """There are not enough servers that fit; the text is what the client is told."""


def place(
    config: StreamConfig,
    places: Sequence[Place],
    *,
    now_at: Sequence[str] = (),
    leader: str = "",
    without: Collection[str] = (),
    is_at_home: bool = False,
) -> tuple[str, ...]:
    """The servers for a stream's replicas; raises `UnplacedError`.

    `now_at` is where the stream is, `leader` who leads it, `without` who may not hold it.
    `is_at_home`: these were chosen by the same wishes, and needn't be judged again.
    """
    fitting = [each for each in places if each.name not in without and _fits(config, each)]
    by_name = {each.name: each for each in fitting}
    if is_at_home:
        stays = (each for each in places if each.name in now_at and each.name not in without)
        by_name |= {each.name: each for each in stays}
    stay = [name for name in now_at if name in by_name]
    stay.sort(key=lambda name: (name != leader, not by_name[name].is_online))
    stay = stay[: config.num_replicas]
    free = [each for each in fitting if each.name not in now_at and each.is_online]
    free.sort(key=lambda each: (each.held, each.name))
    chosen = (*stay, *(each.name for each in free[: config.num_replicas - len(stay)]))
    if len(chosen) < config.num_replicas:
        raise UnplacedError(_complaint(config, places))
    return chosen


def held(peers: Iterable[Sequence[str]]) -> dict[str, int]:
    """How many replicas each server holds, of streams that are on these servers."""
    counts: dict[str, int] = {}
    for names in peers:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return counts


def has_tags(wanted: Mapping[str, object] | None, place: Place) -> bool:
    """Whether a server has each tag of a placement; case doesn't matter."""
    tags = [tag.lower() for tag in place.tags]
    return all(tag.lower() in tags for tag in _tags(wanted))


def in_cluster(wanted: Mapping[str, object] | None, place: Place) -> bool:
    """Whether a server belongs to the cluster that a placement names, if it names one."""
    cluster = (wanted or {}).get("cluster")
    return not cluster or cluster == place.cluster


def _fits(config: StreamConfig, place: Place) -> bool:
    return in_cluster(config.placement, place) and has_tags(config.placement, place)


def _tags(wanted: Mapping[str, object] | None) -> list[str]:
    tags = (wanted or {}).get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list | tuple) else []


def _complaint(config: StreamConfig, places: Iterable[Place]) -> str:
    """nats-server names the tags that kept a server out, and no other reason."""
    near = [each for each in places if in_cluster(config.placement, each)]
    missing = [
        tag
        for tag in _tags(config.placement)
        if any(tag.lower() not in [own.lower() for own in each.tags] for each in near)
    ]
    if not missing:
        return NO_PEERS
    names = ", ".join(f"'{tag}'" for tag in sorted(missing))
    return f"{NO_PEERS}, tags not matched [{names}]"
