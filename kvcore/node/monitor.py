"""What a server says of itself: the documents behind `/varz` and `$SYS.REQ.SERVER.PING.VARZ`.

Each document is a pure function of a `Sight` of the server and a `Question`; HTTP and
`$SYS.REQ` only carry them. They count what was counted anyway: none walks through messages,
and what can be long (connections, subscriptions, streams) comes in pages, so that one
question holds a turn for milliseconds at most.

Only what was measured is told. Memory and processor time are the driver's to know (`Usage`)
and absent where it doesn't say, in a simulated world for one. Subscriptions are the clients':
the server's own listeners are how it works, not what it serves.

Left out: what was never measured (round trips, unread bytes, cache statistics, closed
connections, requests over HTTP); docs/differences.md lists it.
"""

from collections.abc import Callable, Mapping

from kvcore import limits
from kvcore.jetstream.times import rfc3339
from kvcore.limits import SECOND_NS
from kvcore.node import monitor_connections, monitor_groups, monitor_routes, monitor_streams
from kvcore.node.clients import ACCOUNT, Stats
from kvcore.node.hosting import Host
from kvcore.node.questions import Question
from kvcore.node.sight import Document, Report, Sight, uptime

_NOTHING: Mapping[str, object] = {}


def report(sight: Sight, question: Question) -> Report:
    """The answer to a question; raises `QuestionError`."""
    if question.about == "healthz":
        return healthz(sight, question)
    return Report(200, _DOCUMENTS[question.about](sight, question))


def idz(sight: Sight, _question: Question) -> Document:
    """Who the server is."""
    config = sight.config
    return {"name": config.server_name, "host": config.host, "id": config.server_id}


def varz(sight: Sight, _question: Question) -> Document:
    """The server: its settings, its state and its counters."""
    config, stats = sight.config, sight.broker.stats
    out: dict[str, object] = {
        "server_id": config.server_id,
        "server_name": config.server_name,
        "version": config.version,
        "proto": 1,
        "go": "python",
        "host": config.host,
        "port": config.port,
        "max_connections": config.max_connections,
        "ping_interval": config.ping_interval,
        "ping_max": config.ping_max,
        "http_host": config.http_host,
        "http_port": config.http_port,
        "auth_timeout": config.auth_timeout / SECOND_NS,
        "max_control_line": config.max_control_line,
        "max_payload": config.max_payload,
        "max_pending": limits.PENDING_OUTPUT_BYTES,
        **monitor_routes.of_server(sight),
        "jetstream": _jetstream(sight),
        "start": rfc3339(sight.started),
        "now": rfc3339(sight.now),
        "config_load_time": rfc3339(sight.started),
        "uptime": uptime(sight.now - sight.started),
        **_usage(sight),
        "connections": stats.connections,
        "total_connections": stats.total_connections,
        "routes": len(sight.peers.names),
        "remotes": len(sight.peers.names),
        "leafnodes": 0,
        **_traffic(stats),
        "slow_consumers": stats.slow_consumers,
        "subscriptions": stats.subscriptions,
    }
    for flag in ("auth_required", "tls_required", "tls_verify"):
        if getattr(config, flag):
            out[flag] = True
    if config.tags:
        out["tags"] = config.tags
    return out


def _traffic(stats: Stats) -> Document:
    """Messages and bytes, twice: all, and those of clients, which are all there are."""
    counts = {
        "in_msgs": stats.in_msgs,
        "in_bytes": stats.in_bytes,
        "out_msgs": stats.out_msgs,
        "out_bytes": stats.out_bytes,
    }
    return counts | {name.replace("_", "_client_"): count for name, count in counts.items()}


def statsz(sight: Sight, _question: Question | None = None) -> Document:
    """The counters alone, as `$SYS.REQ.SERVER.PING` tells them."""
    stats = sight.broker.stats
    sent = {"msgs": stats.out_msgs, "bytes": stats.out_bytes}
    received = {"msgs": stats.in_msgs, "bytes": stats.in_bytes}
    return {
        "start": rfc3339(sight.started),
        **_usage(sight),
        "connections": stats.connections,
        "total_connections": stats.total_connections,
        "active_accounts": 1,
        "subscriptions": stats.subscriptions,
        "sent": sent,
        "received": received,
        "slow_consumers": stats.slow_consumers,
        **monitor_routes.counters(sight),
        "active_servers": 1 + len(sight.peers.names),
        "jetstream": _jetstream(sight),
    }


def _usage(sight: Sight) -> Document:
    usage = sight.usage
    if usage is None:
        return _NOTHING
    cpu = {} if usage.cpu_percent is None else {"cpu": usage.cpu_percent}
    memory = {"mem": usage.memory} if usage.memory else {}
    return {**memory, "cores": usage.cores, **cpu}


def _jetstream(sight: Sight) -> Document:
    if not sight.config.jetstream:
        return _NOTHING
    stats = monitor_streams.stats(sight, monitor_streams.totals(sight))
    meta = monitor_streams.meta(sight)
    of_meta = {"meta": meta} if meta else {}
    return {"config": monitor_streams.config(sight), "stats": stats, **of_meta}


def gatewayz(sight: Sight, _question: Question) -> Document:
    """Other clusters: none."""
    return {**_of_now(sight), "outbound_gateways": {}, "inbound_gateways": {}}


def leafz(sight: Sight, _question: Question) -> Document:
    """Leaf nodes: none."""
    return {**_of_now(sight), "leafnodes": 0, "leafs": []}


def accountz(sight: Sight, question: Question) -> Document:
    """The accounts, or one of them; there is one."""
    out: dict[str, object] = {**_of_now(sight), "accounts": [ACCOUNT]}
    if question.text("acc") == ACCOUNT:
        stats = sight.broker.stats
        del out["accounts"]
        out["account_detail"] = {
            "account_name": ACCOUNT,
            "update_time": rfc3339(sight.started),
            "expired": False,
            "complete": True,
            "jetstream_enabled": sight.config.jetstream,
            "leafnode_connections": 0,
            "client_connections": stats.connections,
            "subscriptions": stats.subscriptions,
        }
    return out


def accstatz(sight: Sight, _question: Question) -> Document:
    """The accounts' counters."""
    stats = sight.broker.stats
    account = {
        "acc": ACCOUNT,
        "name": ACCOUNT,
        "conns": stats.connections,
        "leafnodes": 0,
        "total_conns": stats.connections,
        "num_subscriptions": stats.subscriptions,
        "sent": {"msgs": stats.out_msgs, "bytes": stats.out_bytes},
        "received": {"msgs": stats.in_msgs, "bytes": stats.in_bytes},
        "slow_consumers": stats.slow_consumers,
    }
    return {**_of_now(sight), "account_statz": [account]}


def _of_now(sight: Sight) -> Document:
    return {"server_id": sight.config.server_id, "now": rfc3339(sight.now)}


# Health.


def healthz(sight: Sight, question: Question) -> Report:
    """Whether the server does its work, the first reason why not, and HTTP's code for it.

    `js-server-only` asks whether clients may come, `js-enabled-only` whether JetStream runs
    as well; without either, every stream must be served too.
    """
    fault = _fault(sight, question)
    if fault is None:
        return Report(200, {"status": "ok"})
    code, kind, text, names = fault
    if question.flag("details"):
        return Report(code, {"status": "error", "errors": [{"type": kind, **names, "error": text}]})
    return Report(code, {"status": "unavailable" if code in (404, 503) else "error", "error": text})


_Fault = tuple[int, str, str, Mapping[str, str]]


def _fault(sight: Sight, question: Question) -> _Fault | None:
    if sight.broker.is_lame_duck:
        return 500, "CONNECTION", "in lame duck mode: no new clients", {}
    missing = _missing_name(question)
    if missing is not None:
        return missing
    if question.flag("js-server-only") or not sight.config.jetstream:
        return None
    if question.flag("js-enabled-only") or question.flag("js-enabled"):
        return None
    if not _has_meta_leader(sight):
        text = "JetStream has not established contact with a meta leader"
        return 503, "JETSTREAM", text, {}
    if question.flag("js-meta-only"):
        return None
    return _stream_fault(sight, question)


def _missing_name(question: Question) -> _Fault | None:
    account, stream, consumer = map(question.text, ("account", "stream", "consumer"))
    if stream and not account:
        return 400, "BAD_REQUEST", '"account" must not be empty when checking stream health', {}
    if consumer and not stream:
        return 400, "BAD_REQUEST", '"stream" must not be empty when checking consumer health', {}
    return None


def _stream_fault(sight: Sight, question: Question) -> _Fault | None:
    account, name, consumer = map(question.text, ("account", "stream", "consumer"))
    known = {"account": account}
    if account not in ("", ACCOUNT):
        return 404, "ACCOUNT", f'JetStream account "{account}" not found', known
    if not name:
        late = next((host.name for host in sight.hosts if not _is_current(sight, host)), None)
        return None if late is None else _not_current({"account": ACCOUNT, "stream": late})
    known["stream"] = name
    found = sight.hosts.get(name)
    if found is None:
        return 404, "STREAM", f'JetStream stream "{name}" not found on account "{account}"', known
    if not _is_current(sight, found):
        return _not_current(known)
    if consumer and consumer not in found.stream.consumers:
        text = f'JetStream consumer "{consumer}" not found for stream "{name}" '
        text += f'on account "{account}"'
        return 404, "CONSUMER", text, {**known, "consumer": consumer}
    return None


def _has_meta_leader(sight: Sight) -> bool:
    cluster = sight.hosts.cluster
    return sight.is_leading if cluster is None else bool(cluster.meta_leader())


def _is_current(sight: Sight, host: Host) -> bool:
    """Whether a stream is served, or followed here from a leader that is known."""
    if host.is_leading or sight.hosts.cluster is None:
        return host.is_leading
    return bool(host.group.leader) and not host.group.raft.is_recovering


def _not_current(names: Mapping[str, str]) -> _Fault:
    text = f"JetStream stream '{names['account']} > {names['stream']}' is not current"
    return 503, "STREAM", text, names


_DOCUMENTS: Mapping[str, Callable[[Sight, Question], Document]] = {
    "varz": varz,
    "statsz": statsz,
    "idz": idz,
    "routez": monitor_routes.routez,
    "gatewayz": gatewayz,
    "leafz": leafz,
    "raftz": monitor_groups.raftz,
    "connz": monitor_connections.connz,
    "subsz": monitor_connections.subsz,
    "jsz": monitor_streams.jsz,
    "accountz": accountz,
    "accstatz": accstatz,
}
