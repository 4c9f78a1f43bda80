"""`$JS.API.…`: the requests that make, change, show and drop streams and consumers.

A request is a message whose subject is the verb (`$JS.API.STREAM.INFO.KV_b`) and whose
payload is JSON. Each verb is a row in `_ENDPOINTS`; the node subscribes to the rows one by
one, so a verb that doesn't exist has no responders and its client is told at once.

A question is answered here. A change is proposed to a log, and its answer is made by
`respond_stream` or `respond_meta` when the command was applied, on the server that leads
then. Both kinds are counted, and so is every error, as `$JS.API.INFO` tells.

In a cluster a verb is heard by whoever can answer it (`Scope`): what concerns all streams by
the meta group's leader, what concerns one by that stream's leader, under its literal name.
The others keep silent (`node/guards.py` has the rest).

Left out: MSG.NEXT, which is no request of the API: each pull consumer has a subject of its
own, which its host subscribes to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import assert_never

from kvcore.jetstream import (
    backup_requests,
    bodies,
    cluster_requests,
    consumer_requests,
    stream_requests,
)
from kvcore.jetstream.answers import Action, Answer, Answers, Gather
from kvcore.jetstream.catalog import Catalog, Identity
from kvcore.jetstream.direct import DirectGets, is_direct
from kvcore.jetstream.errors import (
    CONSUMER_NOT_FOUND,
    STREAM_NOT_FOUND,
    ApiError,
    ConfigError,
)
from kvcore.jetstream.outcome import (
    Acknowledged,
    ConsumerCreated,
    ConsumerDeleted,
    ConsumerPaused,
    Deleted,
    MetaOutcome,
    Outcome,
    Purged,
    Refused,
    RestoreBegun,
    RestoreRefused,
    StreamCreated,
    StreamDeleted,
    StreamMoved,
    StreamUpdated,
    Updated,
)
from kvcore.jetstream.requests import Call, Context, Fields, Handler
from kvcore.limits import Nanos
from kvcore.nats.subject import matches

_PREFIX = "$JS.API."

# Which kind of answer a command gets.
_ANSWER_TO = {
    "CreateStream": "stream_create",
    "UpdateStream": "stream_update",
    "DeleteStream": "stream_delete",
    "BeginRestore": "stream_restore",
    "CompleteRestore": "stream_create",
    "AssignPeers": "stream_remove_peer",
    "UpdateConfig": "stream_update",
    "Purge": "stream_purge",
    "DeleteMessage": "stream_msg_delete",
    "CreateConsumer": "consumer_create",
    "DeleteConsumer": "consumer_delete",
    "PauseConsumer": "consumer_pause",
}


class Scope(Enum):
    """Whose leader answers a verb in a cluster; a server on its own leads everything."""

    META = "meta"
    STREAM = "stream"
    CLUSTER = "cluster"  # the meta group's, and only where there is a cluster


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A verb: its subject, the kind of its answer, who handles it, and where."""

    pattern: str
    what: str
    handler: Handler
    scope: Scope = Scope.STREAM

    @property
    def verb(self) -> str:
        """The subject's tokens before the names of stream and consumer."""
        return ".".join(token for token in self.pattern.split(".") if token not in ("*", ">"))


_ENDPOINTS = (
    Endpoint("$JS.API.INFO", "account_info", stream_requests.account_info, Scope.META),
    Endpoint("$JS.API.STREAM.CREATE.*", "stream_create", stream_requests.create, Scope.META),
    Endpoint("$JS.API.STREAM.UPDATE.*", "stream_update", stream_requests.update, Scope.META),
    Endpoint("$JS.API.STREAM.DELETE.*", "stream_delete", stream_requests.delete, Scope.META),
    Endpoint("$JS.API.STREAM.INFO.*", "stream_info", stream_requests.info),
    Endpoint("$JS.API.STREAM.NAMES", "stream_names", stream_requests.names, Scope.META),
    Endpoint("$JS.API.STREAM.LIST", "stream_list", stream_requests.listing, Scope.META),
    Endpoint("$JS.API.STREAM.PURGE.*", "stream_purge", stream_requests.purge),
    Endpoint("$JS.API.STREAM.SNAPSHOT.*", "stream_snapshot", backup_requests.snapshot),
    Endpoint("$JS.API.STREAM.RESTORE.*", "stream_restore", backup_requests.restore, Scope.META),
    Endpoint("$JS.API.STREAM.MSG.GET.*", "stream_msg_get", stream_requests.message_get),
    Endpoint("$JS.API.STREAM.MSG.DELETE.*", "stream_msg_delete", stream_requests.message_delete),
    Endpoint(
        "$JS.API.STREAM.LEADER.STEPDOWN.*",
        "stream_leader_stepdown",
        cluster_requests.stream_step_down,
    ),
    Endpoint(
        "$JS.API.STREAM.PEER.REMOVE.*",
        "stream_remove_peer",
        cluster_requests.remove_peer,
        Scope.META,
    ),
    Endpoint(
        "$JS.API.META.LEADER.STEPDOWN",
        "meta_leader_stepdown",
        cluster_requests.meta_step_down,
        Scope.CLUSTER,
    ),
    Endpoint(
        "$JS.API.SERVER.REMOVE",
        "meta_server_remove",
        cluster_requests.remove_server,
        Scope.CLUSTER,
    ),
    Endpoint(
        "$JS.API.CONSUMER.LEADER.STEPDOWN.*.*",
        "consumer_leader_stepdown",
        cluster_requests.consumer_step_down,
    ),
    Endpoint("$JS.API.CONSUMER.CREATE.*", "consumer_create", consumer_requests.create),
    Endpoint("$JS.API.CONSUMER.CREATE.*.>", "consumer_create", consumer_requests.create),
    Endpoint(
        "$JS.API.CONSUMER.DURABLE.CREATE.*.*", "consumer_create", consumer_requests.create_durable
    ),
    Endpoint("$JS.API.CONSUMER.INFO.*.*", "consumer_info", consumer_requests.info),
    Endpoint("$JS.API.CONSUMER.DELETE.*.*", "consumer_delete", consumer_requests.delete),
    Endpoint("$JS.API.CONSUMER.PAUSE.*.*", "consumer_pause", consumer_requests.pause),
    Endpoint("$JS.API.CONSUMER.NAMES.*", "consumer_names", consumer_requests.names),
    Endpoint("$JS.API.CONSUMER.LIST.*", "consumer_list", consumer_requests.listing),
)
_BY_VERB = {endpoint.verb: endpoint for endpoint in _ENDPOINTS}


class Api:
    """The API of one server. `rng` names the consumers whose clients don't."""

    def __init__(self, identity: Identity, catalog: Catalog, rng: Random) -> None:
        self._context = Context(identity, catalog, rng)
        self.direct = DirectGets(catalog)

    @property
    def total(self) -> int:
        """Requests so far."""
        return self._context.total

    @property
    def errors(self) -> int:
        """Requests that were refused."""
        return self._context.errors

    def subscriptions(self) -> list[str]:
        """The subjects that `handle` answers, whatever streams there are."""
        alone = self._context.catalog.cluster is None
        return [row.pattern for row in _ENDPOINTS if not (alone and row.scope is Scope.CLUSTER)]

    def verbs_of(self, name: str) -> list[str]:
        """The subjects of the verbs that a stream's leader answers in a cluster."""
        if self._context.catalog.cluster is None:
            return []
        rows = (row for row in _ENDPOINTS if row.scope is Scope.STREAM)
        return [row.pattern.replace("*", name, 1) for row in rows]

    def handle(self, subject: str, reply: str, payload: bytes, now: Nanos) -> list[Action]:
        """Carry out one request. Without a reply subject nothing is answered."""
        if is_direct(subject):
            return self.direct.handle(subject, reply, payload)
        endpoint, names = _endpoint(subject)
        if endpoint is None:
            return []
        self._context.total += 1
        call = Call(endpoint.what, names, reply, payload, now)
        try:
            result = endpoint.handler(self._context, call)
        except ConfigError as refused:
            action: Action = Answer(reply, self._refuse(call.what, refused.error))
        else:
            if isinstance(result, Action):
                action = result
            else:
                action = Answer(reply, bodies.success(call.what, result))
        return [] if isinstance(action, Answer | Answers) and not reply else [action]

    def respond_stream(self, name: str, outcome: Outcome, now: Nanos) -> bytes:
        """What to tell the client whose command was applied to the stream `name`, for
        outcomes that have a reply subject. Call it after `Consumers.follow`."""
        if outcome.payload or outcome.result is None:
            return outcome.payload
        what = _ANSWER_TO[outcome.kind]
        match outcome.result:
            case Refused(error=error):
                return self._refuse(what, error)
            case Purged(count=count):
                return bodies.success(what, {"success": True, "purged": count})
            case Deleted() | ConsumerDeleted():
                return bodies.success(what, {"success": True})
            case ConsumerPaused(until=until):
                return bodies.success(what, bodies.pause(until, now))
            case Acknowledged():
                return b""
            case Updated():
                return self._show_stream(what, name, now)
            case ConsumerCreated(name=consumer_name):
                consumer = self._context.catalog.consumers(name).get(consumer_name)
                if consumer is None:  # deleted again in the same turn
                    return self._refuse(what, CONSUMER_NOT_FOUND)
                body = consumer.info(now, self._context.identity.version)
                return bodies.success(what, {**body, **self._context.group(name)})
            case _:
                assert_never(outcome.result)

    def respond_meta(self, outcome: MetaOutcome, now: Nanos) -> bytes | None:
        """What to tell the client whose command the meta group applied; call it when the
        stream stands (or is gone). None: an update is answered by the stream's own log."""
        what = _ANSWER_TO[outcome.kind]
        match outcome.result:
            case Refused(error=error) | RestoreRefused(error=error):
                return self._refuse(what, error)
            case StreamCreated(assignment=assignment, existed=existed):
                is_alone = self._context.catalog.cluster is None  # then it says so every time
                is_new = outcome.kind == "CreateStream" and (is_alone or not existed)
                return self._show_stream(what, assignment.config.name, now, is_new=is_new)
            case StreamDeleted() | StreamMoved():
                return bodies.success(what, {"success": True})
            case StreamUpdated() | RestoreBegun():
                return None
            case _:
                assert_never(outcome.result)

    def restore_begun(self, subject: str) -> bytes:
        """Where a client may send the chunks of its backup."""
        return bodies.success("stream_restore", {"deliver_subject": subject})

    def refused(self, what: str, error: ApiError) -> bytes:
        """Why a backup, or a restore, came to nothing."""
        return self._refuse(what, error)

    def _show_stream(self, what: str, name: str, now: Nanos, *, is_new: bool = False) -> bytes:
        stream = self._context.catalog.stream(name)
        if stream is None:
            return self._refuse(what, STREAM_NOT_FOUND)
        body: Fields = bodies.stream_created(stream, self._context.identity.version, now)
        body = {**body, **self._context.group(name), **self._context.catalog.origins(name)}
        if is_new:
            body = {**body, "did_create": True}
        return bodies.success(what, body)

    def _refuse(self, what: str, error: ApiError) -> bytes:
        self._context.errors += 1
        return bodies.failure(what, error)

    # In a cluster.

    @property
    def identity(self) -> Identity:
        """The server, as answers name it."""
        return self._context.identity

    def kind_of(self, outcome: MetaOutcome) -> str:
        """What kind of answer a decision gets."""
        return _ANSWER_TO[outcome.kind]

    def stepped_down(self, what: str) -> bytes:
        """Another server is about to lead, or a server to go."""
        return bodies.success(what, {"success": True})

    def listed(self, names: Iterable[str], now: Nanos) -> dict[str, Mapping[str, object]]:
        """Those of the streams that this server leads, as LIST shows them."""
        led = [name for name in names if self._context.catalog.stream(name) is not None]
        return {name: stream_requests.listed(self._context, name, now) for name in led}

    def usage(self) -> dict[str, int]:
        """What the streams that this server leads hold."""
        return bodies.usage(self._context.catalog)

    def gathered(
        self,
        asked: Gather,
        listed: Mapping[str, Mapping[str, object]],
        usages: Iterable[Mapping[str, int]],
    ) -> bytes:
        """The answer that every server has given its part of, or as many as could."""
        context = self._context
        if asked.what == "account_info":
            body = bodies.account_info(context.identity, usages, context.total, context.errors)
            return bodies.success(asked.what, {**body, "streams": len(context.configs())})
        body = {
            **asked.numbers,
            "streams": [listed[name] for name in asked.names if name in listed],
        }
        missing = [name for name in asked.names if name not in listed]
        return bodies.success(asked.what, {**body, **({"missing": missing} if missing else {})})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request's subject says: whose leader answers, which stream it is about (""
    for none), and the kind of its answer. `waits`: better late than an error, for it only
    asks how things are."""

    scope: Scope
    stream: str
    what: str

    @property
    def waits(self) -> bool:
        """Whether a leader that is about to appear is worth waiting for."""
        return self.what in ("stream_info", "consumer_info")


def asked(subject: str) -> Asked | None:
    """What is asked by a subject; None for what is no request of the API."""
    endpoint, names = _endpoint(subject)
    if endpoint is None:
        return None
    return Asked(endpoint.scope, names[0] if names else "", endpoint.what)


def _endpoint(subject: str) -> tuple[Endpoint | None, list[str]]:
    """The row for a subject, and the tokens after its verb. The longest verb wins:
    `CONSUMER.DURABLE.CREATE` is one, `STREAM.INFO.DURABLE` names a stream."""
    tokens = subject.split(".")
    for length in (5, 4, 3):
        endpoint = _BY_VERB.get(".".join(tokens[:length]))
        names = tokens[length:]
        if endpoint is None or "" in names:
            continue
        if matches(endpoint.pattern, subject) or (
            endpoint.handler is consumer_requests.create and names
        ):
            return endpoint, names
    return None, []
