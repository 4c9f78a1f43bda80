"""What JetStream holds on this server: `/jsz`.

The sums ask each stream for numbers that it keeps anyway. Details are a page of streams in
the order of their names, `offset` and `limit` counting streams, and `total` says how many
there are. A page is also bounded by its weight: a stream's configuration and each of its
consumers weigh about as much as the stream itself. Whoever wants to see all consumers of a
stream asks CONSUMER.LIST; `consumer_count` is the true number.

Left out: what a Raft group looks like from inside, which `/raftz` tells; how far mirrors and
sources have come, which STREAM.INFO tells.
"""

from dataclasses import dataclass
from itertools import islice

from kvcore import limits
from kvcore.jetstream.cluster import block, meta_block
from kvcore.jetstream.config import API_LEVEL
from kvcore.jetstream.times import rfc3339
from kvcore.node.clients import ACCOUNT
from kvcore.node.groups import MEMORY
from kvcore.node.hosting import Host
from kvcore.node.questions import Question
from kvcore.node.sight import Document, Sight


@dataclass(slots=True)
class Totals:
    """Sums over the streams; bytes of memory and file streams apart."""

    streams: int = 0
    consumers: int = 0
    messages: int = 0
    memory: int = 0
    storage: int = 0
    reserved_memory: int = 0
    reserved_storage: int = 0


def totals(sight: Sight) -> Totals:
    """What all streams of this server hold."""
    out = Totals()
    for host in sight.hosts:
        stream = host.stream
        reserved = max(0, stream.config.max_bytes)
        out.streams += 1
        out.consumers += len(stream.consumers)
        out.messages += stream.messages
        if host.group.engine == MEMORY:
            out.memory += stream.bytes
            out.reserved_memory += reserved
        else:
            out.storage += stream.bytes
            out.reserved_storage += reserved
    return out


def config(sight: Sight) -> Document:
    """JetStream's bounds, -1 where there is none."""
    own = sight.config
    return {
        "max_memory": own.max_memory,
        "max_storage": own.max_storage,
        "store_dir": own.store_dir,
    }


def stats(sight: Sight, sums: Totals) -> dict[str, object]:
    """How much of JetStream is used."""
    api = sight.api
    return {
        "memory": sums.memory,
        "storage": sums.storage,
        "reserved_memory": sums.reserved_memory,
        "reserved_storage": sums.reserved_storage,
        "accounts": 1,
        "ha_assets": _ha_assets(sight),
        "api": {"level": API_LEVEL, "total": api.total, "errors": api.errors},
    }


def meta(sight: Sight) -> Document:
    """The meta group under the key `name`; nothing on a server of its own."""
    cluster = sight.hosts.cluster
    if cluster is None:
        return {}
    return meta_block(cluster.name, sight.config.server_name, cluster.meta_sight())


def _ha_assets(sight: Sight) -> int:
    """How many groups of several servers have a member here, the meta group included."""
    if sight.hosts.cluster is None:
        return 0
    return 1 + sum(len(host.assignment.peers) > 1 for host in sight.hosts)


def jsz(sight: Sight, question: Question) -> Document:
    """JetStream: sums, and with `accounts`, `streams`, `consumers`, `config` the details."""
    of_now = {"server_id": sight.config.server_id, "now": rfc3339(sight.now)}
    if not sight.config.jetstream:
        return {**of_now, "disabled": True}
    sums = totals(sight)
    with_consumers = question.flag("consumers")
    with_streams = question.flag("streams") or with_consumers
    account = question.text("acc")
    out: dict[str, object] = {
        **stats(sight, sums),
        **of_now,
        "config": config(sight),
        "streams": sums.streams,
        "consumers": sums.consumers,
        "messages": sums.messages,
        "bytes": sums.memory + sums.storage,
        "total": 1,
    }
    if of_meta := meta(sight):
        out["meta_cluster"] = of_meta
    if question.flag("raft"):
        led = [host for host in sight.hosts if host.is_leading]
        out["streams_leader"] = len(led)
        out["consumers_leader"] = sum(len(host.consumers) for host in led)
    is_wanted = question.flag("accounts") or with_streams or bool(account)
    if is_wanted and account in ("", ACCOUNT):
        detail: dict[str, object] = {"name": ACCOUNT, "id": ACCOUNT, **stats(sight, sums)}
        if with_streams:
            out["total"] = sums.streams
            detail["stream_detail"] = _streams(sight, question, with_consumers=with_consumers)
        out["account_details"] = [detail]
    return out


def _streams(sight: Sight, question: Question, *, with_consumers: bool) -> list[Document]:
    offset, left = question.offset, limits.MONITOR_STREAMS_WEIGHT
    limit = question.limit(limits.MONITOR_STREAMS_WEIGHT)
    with_config = question.flag("config")
    names = sorted(host.name for host in sight.hosts)
    out: list[Document] = []
    for name in islice(names, offset, offset + limit):
        if left <= 0:
            break
        host = sight.hosts.get(name)
        assert host is not None, "the name is the host's own"
        shown: dict[str, object] = {
            "name": name,
            "created": rfc3339(host.stream.created),
            "cluster": _cluster(sight, host),
            "state": host.stream.state(),
        }
        left -= 1
        if with_config:
            shown["config"] = host.stream.config.to_json()
            left -= 1
        if with_consumers:
            weight = 1 + with_config
            consumers = _consumers(host, sight, max(left // weight, 1), with_config=with_config)
            left -= len(consumers) * weight
            if consumers:
                shown["consumer_detail"] = consumers
        out.append(shown)
    return out


def _cluster(sight: Sight, host: Host) -> Document:
    cluster = sight.hosts.cluster
    if cluster is not None:
        return block(cluster.name, host.assignment, cluster.sight(host.name))
    return {"leader": sight.config.server_name} if host.is_leading else {}


def _consumers(host: Host, sight: Sight, most: int, *, with_config: bool) -> list[Document]:
    out: list[Document] = []
    for consumer in islice(host.consumers, most):
        shown = consumer.info(sight.now, sight.config.version)
        if not with_config:
            del shown["config"]
        out.append(shown)
    return out
