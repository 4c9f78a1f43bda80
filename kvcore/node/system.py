"""`$SYS.REQ`: requests to a server about itself, carried as messages.

    $SYS.REQ.SERVER.PING            who is there, and its counters (`statsz`)
    $SYS.REQ.SERVER.PING.VARZ       each server's document; `CONNZ`, `JSZ` and so on alike
    $SYS.REQ.SERVER.<id>.VARZ       that of one server
    $SYS.REQ.ACCOUNT.<name>.CONNZ   that of one account; `PING` is the asker's own
    $SYS.REQ.USER.INFO              who the asker is, and what it may do

A request may say which servers it means, by name or address: the others keep silent. An
answer is an envelope that says who answers, around the document or an error.

nats-server answers most of these to a system account alone; we answer them to any client,
since there is one account. A user with permissions needs the right to publish to them.

Left out: what changes a server (KICK, RELOAD, LDM), profiles, and queues inside the server.
"""

from collections.abc import Callable, Mapping

from kvcore.jetstream.documents import write
from kvcore.jetstream.times import rfc3339
from kvcore.nats.json_text import Json
from kvcore.nats.permissions import Permissions, Rule
from kvcore.nats.session import Session
from kvcore.node import monitor
from kvcore.node.broker import Broker, Message
from kvcore.node.clients import ACCOUNT
from kvcore.node.questions import QuestionError, from_json, plain, read
from kvcore.node.sight import Document, Report, Sight

SERVER_PING = "$SYS.REQ.SERVER.PING"
USER_INFO = "$SYS.REQ.USER.INFO"

_OF_SERVER = (
    *("varz", "connz", "subsz", "jsz", "routez", "gatewayz", "leafz", "raftz"),
    *("healthz", "accountz", "statsz", "idz"),
)
_OF_ACCOUNT = {"CONNZ": "connz", "SUBSZ": "subsz", "JSZ": "jsz", "STATZ": "accstatz"}


class System:
    """Listens on `broker` and answers; `sight` shows the server as it is now."""

    def __init__(self, broker: Broker, sight: Callable[[], Sight]) -> None:
        self._broker = broker
        self._sight = sight
        server_id = sight().config.server_id
        self._about: dict[str, str] = {SERVER_PING: "statsz"}
        for name in _OF_SERVER:
            for whose in ("PING", server_id):
                self._about[f"$SYS.REQ.SERVER.{whose}.{name.upper()}"] = name
        for verb, name in _OF_ACCOUNT.items():
            for whose in ("PING", ACCOUNT):
                self._about[f"$SYS.REQ.ACCOUNT.{whose}.{verb}"] = name
        for subject in self._about:
            broker.subscribe(subject, self._on_request)
        broker.subscribe(USER_INFO, self._on_user_info, is_local=True)

    def _on_request(self, message: Message) -> None:
        if not message.reply:
            return
        sight = self._sight()
        try:
            said = read(message.payload)
            if not _is_meant(sight, said):
                return
            answer = _answered(sight, self._about[message.subject], said)
        except QuestionError as refused:
            answer = {"error": {"code": refused.code, "description": str(refused)}}
        if self._about[message.subject] != "idz":
            answer = {"server": _server(sight), **answer}
        self._broker.publish(message.reply, "", None, write(answer))

    def _on_user_info(self, message: Message) -> None:
        if message.reply:
            user = _user(message.source) if message.source is not None else {}
            document = {"server": _server(self._sight()), "data": user}
            self._broker.publish(message.reply, "", None, write(document))


def _answered(sight: Sight, about: str, said: Mapping[str, Json]) -> Document:
    if about == "statsz":
        return {"statsz": monitor.report(sight, plain(about)).document}
    report: Report = monitor.report(sight, from_json(about, said))
    if about == "idz":
        return report.document
    if about == "healthz":
        return {"data": {**report.document, "status_code": report.status}}
    return {"data": report.document}


def _server(sight: Sight) -> Document:
    """Who answers. `flags` has a bit for JetStream."""
    config = sight.config
    out: dict[str, object] = {
        "name": config.server_name,
        "host": config.host,
        "id": config.server_id,
        **({"cluster": config.cluster.name} if config.cluster is not None else {}),
        "ver": config.version,
        "jetstream": config.jetstream,
        "flags": int(config.jetstream),
        "time": rfc3339(sight.now),
    }
    if config.tags:
        out["tags"] = config.tags
    return out


def _is_meant(sight: Sight, said: Mapping[str, Json]) -> bool:
    """Whether a request is for this server; names are compared in part unless it says
    `exact_match`."""
    config = sight.config
    is_exact = said.get("exact_match") is True
    for key, own in (("server_name", config.server_name), ("host", config.host)):
        wanted = said.get(key)
        if isinstance(wanted, str) and wanted and wanted not in ((own,) if is_exact else own):
            return False
    tags = said.get("tags")
    if isinstance(tags, list) and not all(tag in config.tags for tag in tags):
        return False
    cluster = config.cluster.name if config.cluster is not None else ""
    return said.get("cluster") in (None, "", cluster) and not said.get("domain")


def _user(session: Session) -> Document:
    out: dict[str, object] = {"user": session.user, "account": ACCOUNT, "account_name": ACCOUNT}
    if session.rights is not None:
        out["permissions"] = _permissions(session.rights.permissions)
    return out


def _permissions(granted: Permissions) -> Document:
    out: dict[str, object] = {
        "publish": _rule(granted.publish),
        "subscribe": _rule(granted.subscribe),
    }
    if granted.responses is not None:
        out["responses"] = {"max": granted.responses.count, "ttl": granted.responses.time}
    return out


def _rule(rule: Rule) -> Document:
    lists = {"allow": rule.allow, "deny": rule.deny}
    return {name: subjects for name, subjects in lists.items() if subjects}
